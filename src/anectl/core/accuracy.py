"""What the scores of a benchmark say about the policy: accuracy with its intervals, bounds and pass@k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from anectl.core.metrics import Interval, cluster_bootstrap, mean, pass_at_k, stratified_bootstrap, wilson
from anectl.core.records import Score

MEAN = "mean"


class Outcome(NamedTuple):
    """One problem's completions in numbers; `num_null` could not be judged, `num_truncated` ended by length."""

    cluster: str
    num_samples: int
    num_correct: int
    num_null: int
    num_truncated: int

    @classmethod
    def of(cls, score: Score) -> Outcome:
        """The numbers of a score."""
        verdicts = [completion.correct for completion in score.completions]
        cut = sum(completion.finish_reason == "length" for completion in score.completions)
        return cls(score.cluster, len(verdicts), verdicts.count(True), verdicts.count(None), cut)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares in 0..1 over the problems of a benchmark, or means of them over benchmarks.

    `accuracy` counts a completion that could not be judged as wrong, `upper_bound` as correct. `wilson` takes problems
    as independent (and is null for a mean over benchmarks), `clustered` keeps those of one image together.
    """

    benchmark: str
    num_problems: int
    accuracy: float
    wilson: Interval | None
    clustered: Interval
    upper_bound: float
    null_rate: float
    truncation_rate: float
    pass_at: dict[int, float]

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def accuracy_of(benchmark: str, outcomes: Sequence[Outcome], *, seed: int) -> Accuracy:
    """The accuracy on one benchmark; pass@k for the powers of two up to the fewest completions of a problem."""
    shares = [outcome.num_correct / outcome.num_samples for outcome in outcomes]
    fewest = min(outcome.num_samples for outcome in outcomes)
    accuracy = mean(shares)
    null_rate = mean(outcome.num_null / outcome.num_samples for outcome in outcomes)
    return Accuracy(
        benchmark=benchmark,
        num_problems=len(outcomes),
        accuracy=accuracy,
        # Completions of one problem are not independent, so the sample is as large as the number of problems.
        wilson=wilson(sum(shares), len(outcomes)),
        clustered=cluster_bootstrap(_by_cluster(outcomes), seed=seed),
        upper_bound=accuracy + null_rate,
        null_rate=null_rate,
        truncation_rate=mean(outcome.num_truncated / outcome.num_samples for outcome in outcomes),
        pass_at={k: _mean_pass_at(outcomes, k) for k in (2**i for i in range(1, fewest.bit_length()))},
    )


def mean_accuracy(benchmarks: Mapping[str, Sequence[Outcome]], each: Sequence[Accuracy], *, seed: int) -> Accuracy:
    """The mean over benchmarks, each weighted equally."""
    shared = set.intersection(*(set(one.pass_at) for one in each))
    return Accuracy(
        benchmark=MEAN,
        num_problems=sum(one.num_problems for one in each),
        accuracy=mean(one.accuracy for one in each),
        wilson=None,
        clustered=stratified_bootstrap([_by_cluster(outcomes) for outcomes in benchmarks.values()], seed=seed),
        upper_bound=mean(one.upper_bound for one in each),
        null_rate=mean(one.null_rate for one in each),
        truncation_rate=mean(one.truncation_rate for one in each),
        pass_at={k: mean(one.pass_at[k] for one in each) for k in sorted(shared)},
    )


def _by_cluster(outcomes: Sequence[Outcome]) -> list[tuple[str, float]]:
    return [(outcome.cluster, outcome.num_correct / outcome.num_samples) for outcome in outcomes]


def _mean_pass_at(outcomes: Sequence[Outcome], k: int) -> float:
    estimates = [pass_at_k(outcome.num_samples, outcome.num_correct, k) for outcome in outcomes]
    return mean(estimate for estimate in estimates if estimate is not None)
