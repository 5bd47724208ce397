"""Two policies on the same problems: the difference, its interval and bounds, the test, and its power."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from anectl.core.accuracy import MEAN, Outcome
from anectl.core.metrics import holm, mcnemar_exact, mean, stratified_bootstrap
from anectl.core.power import num_problems_needed
from anectl.core.records import Comparison


class Pair(NamedTuple):
    """One problem under the baseline `a` and under `b`."""

    problem_id: str
    a: Outcome
    b: Outcome


def compare_pairs(name: str, benchmarks: Mapping[str, Sequence[Pair]], *, seed: int, gain: float) -> Comparison:
    """The comparison over benchmarks that weigh equally; the test, and what it needs, pool their flips.

    `p_holm` is left open: `adjusted` sets it when all tests are known.
    """
    strata = [[(pair.a.cluster, pair.b.accuracy - pair.a.accuracy) for pair in pairs] for pairs in benchmarks.values()]
    low, high = stratified_bootstrap(strata, seed=seed)
    difference = mean(mean(value for _, value in stratum) for stratum in strata)
    gained, lost = (_flipped(benchmarks, to=solved, with_benchmark=name == MEAN) for solved in (True, False))
    num_problems = sum(map(len, benchmarks.values()))
    flip_rate = (len(gained) + len(lost)) / num_problems
    a = [[pair.a for pair in pairs] for pairs in benchmarks.values()]
    b = [[pair.b for pair in pairs] for pairs in benchmarks.values()]
    return Comparison(
        benchmark=name,
        num_problems=num_problems,
        accuracy_a=_mean_share(a, lambda outcome: outcome.num_correct),
        accuracy_b=_mean_share(b, lambda outcome: outcome.num_correct),
        difference=difference,
        low=low,
        high=high,
        lower_bound=difference - _mean_share(a, lambda outcome: outcome.num_null),
        upper_bound=difference + _mean_share(b, lambda outcome: outcome.num_null),
        truncation_rate_a=_mean_share(a, lambda outcome: outcome.num_truncated),
        truncation_rate_b=_mean_share(b, lambda outcome: outcome.num_truncated),
        p_value=mcnemar_exact(len(gained), len(lost)),
        # The test sees flips, so it is their difference that it has to find.
        num_needed=num_problems_needed((len(gained) - len(lost)) / num_problems, flip_rate),
        gain=gain,
        num_needed_for_gain=num_problems_needed(gain, flip_rate),
        gained=gained,
        lost=lost,
    )


def adjusted(rows: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons with Holm's p-values over all of them; the means pool the same flips again and stay out."""
    rows = list(rows)
    corrected = iter(holm([row.p_value for row in rows if row.benchmark != MEAN]))
    return [row if row.benchmark == MEAN else msgspec.structs.replace(row, p_holm=next(corrected)) for row in rows]


def _flipped(benchmarks: Mapping[str, Sequence[Pair]], *, to: bool, with_benchmark: bool) -> tuple[str, ...]:
    return tuple(
        f"{benchmark}/{pair.problem_id}" if with_benchmark else pair.problem_id
        for benchmark, pairs in benchmarks.items()
        for pair in pairs
        if pair.a.solved is not to and pair.b.solved is to
    )


def _mean_share(benchmarks: Sequence[Sequence[Outcome]], count: Callable[[Outcome], int]) -> float:
    """Mean over benchmarks of the problems' mean share of completions that are counted."""
    return mean(mean(count(one) / one.num_samples for one in outcomes) for outcomes in benchmarks)
