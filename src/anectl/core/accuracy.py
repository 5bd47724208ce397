"""What the scores of a benchmark say about the policy: accuracy, its intervals and bounds, pass@k, pass^k, maj@k."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeAlias

from anectl.core.errors import RowError
from anectl.core.metrics import ClusterType, Interval, bootstrap, mean, pass_all_k, pass_at_k, wilson
from anectl.core.records import Completion, Score

MEAN = "mean"
ClusterTypes: TypeAlias = Mapping[ClusterType, int]


class Outcome(NamedTuple):
    """One problem's completions in numbers; `num_null` could not be judged, `num_truncated` ended by length.

    `majority` is the chance that their majority vote is right. `chance` sums the odds of the completions that the
    benchmark's own script would guess; None where it guesses nowhere.
    """

    cluster: str
    num_samples: int
    num_correct: int
    num_null: int
    num_truncated: int
    majority: float
    chance: float | None

    @classmethod
    def of(cls, score: Score) -> Outcome:
        """The numbers of a score; one without a cluster is its own. Raises RowError when it has no completion."""
        if not score.completions:
            raise RowError(f"problem {score.problem_id!r} has no completion")
        verdicts = [completion.correct for completion in score.completions]
        chances = [one.chance for one in score.completions if one.correct is None and one.chance is not None]
        return cls(
            cluster=score.cluster or score.problem_id,
            num_samples=len(verdicts),
            num_correct=verdicts.count(True),
            num_null=verdicts.count(None),
            num_truncated=sum(completion.finish_reason == "length" for completion in score.completions),
            majority=majority_vote(score.completions),
            chance=math.fsum(chances) if chances else None,
        )

    @property
    def accuracy(self) -> float:
        """Share of the completions that are correct, 0..1."""
        return self.num_correct / self.num_samples

    @property
    def solved(self) -> bool:
        """Whether more than half of the completions are correct."""
        return 2 * self.num_correct > self.num_samples


def majority_vote(completions: Iterable[Completion]) -> float:
    """Chance that the answer given most often is right (maj@k; Wang et al. 2022, arXiv 2203.11171), 0..1.

    Judged completions vote, by their extracted answer; between answers with equally many votes the choice is random.
    0 where nothing was judged.
    """
    votes: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for completion in completions:
        if completion.extracted is not None and completion.correct is not None:
            votes[completion.extracted] += 1
            right[completion.extracted] += completion.correct
    most = max(votes.values(), default=0)
    first = [answer for answer, count in votes.items() if count == most]
    return sum(right[answer] for answer in first) / (most * len(first)) if first else 0.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares in 0..1 over the problems of a benchmark, or means of them over benchmarks.

    `accuracy` is avg@k over the completions of each problem; one that could not be judged counts as wrong, so this is
    the lower bound, and as correct in `upper_bound`. `expected` counts it by its `chance` (0 where it has none), and
    is null where nothing has one. `wilson` takes problems as independent (and is null for a mean over benchmarks),
    `clustered` keeps those of one image together; both are about `accuracy`. `pass_at` and `pass_all` (pass^k) are
    given for the powers of two up to the fewest completions of a problem. `majority` is maj@k over all completions of
    each problem, null where all have one. `groups` has the benchmark's own figures.
    """

    benchmark: str
    num_problems: int
    accuracy: float
    wilson: Interval | None
    clustered: Interval
    upper_bound: float
    expected: float | None
    null_rate: float
    truncation_rate: float
    pass_at: dict[int, float]
    pass_all: dict[int, float]
    majority: float | None
    groups: dict[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class Counts:
    """How many problems of a benchmark came out how, in memory that grows with the outcomes there can be."""

    def __init__(self) -> None:
        self._correct: Counter[tuple[int, int]] = Counter()
        self._null: Counter[tuple[int, int]] = Counter()
        self._truncated: Counter[tuple[int, int]] = Counter()
        self._majority: Counter[float] = Counter()
        self._chance: float | None = None

    def add(self, outcome: Outcome) -> None:
        """Count one problem."""
        self._correct[outcome.num_samples, outcome.num_correct] += 1
        self._null[outcome.num_samples, outcome.num_null] += 1
        self._truncated[outcome.num_samples, outcome.num_truncated] += 1
        self._majority[outcome.majority] += 1
        if outcome.chance is not None:
            self._chance = (self._chance or 0.0) + outcome.chance / outcome.num_samples

    def accuracy(
        self, benchmark: str, clusters: ClusterTypes, *, seed: int, groups: Mapping[str, float] | None = None
    ) -> Accuracy:
        """The accuracy so far; `clusters` has the same problems by image. Raises ValueError for no problem."""
        num_problems = self._correct.total()
        accuracy, null_rate = _mean_share(self._correct), _mean_share(self._null)
        ks = [2**i for i in range(1, min(n for n, _ in self._correct).bit_length())]
        alone = all(n == 1 for n, _ in self._correct)
        return Accuracy(
            benchmark=benchmark,
            num_problems=num_problems,
            accuracy=accuracy,
            # Completions of one problem are not independent, so the sample is as large as the number of problems.
            wilson=wilson(accuracy * num_problems, num_problems),
            clustered=bootstrap([clusters], seed=seed),
            upper_bound=accuracy + null_rate,
            expected=None if self._chance is None else accuracy + self._chance / num_problems,
            null_rate=null_rate,
            truncation_rate=_mean_share(self._truncated),
            pass_at={k: self._mean_over_problems(pass_at_k, k) for k in ks},
            pass_all={k: self._mean_over_problems(pass_all_k, k) for k in ks},
            majority=None if alone else _mean_of_counted(self._majority),
            groups=dict(groups or {}),
        )

    def _mean_over_problems(self, estimate: Callable[[int, int, int], float | None], k: int) -> float:
        values: Counter[float] = Counter()
        for counts, num_problems in self._correct.items():
            values[estimate(*counts, k) or 0.0] += num_problems
        return _mean_of_counted(values)


def mean_accuracy(each: Sequence[Accuracy], strata: Sequence[ClusterTypes], *, seed: int) -> Accuracy:
    """The mean over benchmarks, each weighted equally; `strata` has the clusters of each."""
    majorities = [one.majority for one in each if one.majority is not None]
    guesses = any(one.expected is not None for one in each)
    return Accuracy(
        benchmark=MEAN,
        num_problems=sum(one.num_problems for one in each),
        accuracy=mean(one.accuracy for one in each),
        wilson=None,
        clustered=bootstrap(strata, seed=seed),
        upper_bound=mean(one.upper_bound for one in each),
        # Where nothing is guessed, the expected accuracy is the accuracy.
        expected=mean(one.accuracy if one.expected is None else one.expected for one in each) if guesses else None,
        null_rate=mean(one.null_rate for one in each),
        truncation_rate=mean(one.truncation_rate for one in each),
        pass_at=_shared_means([one.pass_at for one in each]),
        pass_all=_shared_means([one.pass_all for one in each]),
        majority=mean(majorities) if len(majorities) == len(each) else None,
    )


def _shared_means(each: Sequence[Mapping[int, float]]) -> dict[int, float]:
    shared = set.intersection(*map(set, each))
    return {k: mean(one[k] for one in each) for k in sorted(shared)}


def _mean_share(problems: Counter[tuple[int, int]]) -> float:
    """Mean over problems of part / whole, given how many have each (whole, part)."""
    shares: Counter[float] = Counter()
    for (whole, part), num_problems in problems.items():
        shares[part / whole] += num_problems
    return _mean_of_counted(shares)


def _mean_of_counted(values: Counter[float]) -> float:
    return math.fsum(value * count for value, count in values.items()) / values.total()
