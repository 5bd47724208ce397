"""How often profiles judge the same completions differently; counts and a few examples, whatever the number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any, NamedTuple, TypeAlias

from anectl.core.grading.spec import Grade

Outcome: TypeAlias = bool | None


class Difference(NamedTuple):
    """One completion that the profiles judge differently; `sample` counts from 0 within its problem."""

    benchmark: str
    problem_id: str
    sample: int
    correct: dict[str, Outcome]


class Pair(NamedTuple):
    """Completions of a benchmark that `right` counts as right: how many of them `other` calls wrong, or null."""

    benchmark: str
    right: str
    other: str
    num_completions: int
    num_wrong: int
    num_null: int

    @property
    def num_not_right(self) -> int:
        """Completions that the one counts right and the other not."""
        return self.num_wrong + self.num_null


class Disagreements:
    """Gathers the grades of completions under several profiles, one completion at a time.

    Keeps one count per benchmark, pair of profiles and pair of outcomes, and the first `keep` completions on which the
    profiles disagree: memory does not grow with rows. Profiles disagree when their outcomes (right, wrong, null) are
    not all the same.
    """

    def __init__(self, keep: int = 20) -> None:
        self.num_disagreements = 0
        self.examples: list[Difference] = []
        self._keep = keep
        self._num_completions: Counter[str] = Counter()
        self._outcomes: dict[str, Counter[tuple[str, str, Outcome, Outcome]]] = {}
        self._profiles: dict[str, None] = {}

    def add(self, benchmark: str, problem_id: str, sample: int, grades: Mapping[str, Grade]) -> bool:
        """Count one completion, graded by each profile; whether the profiles disagree on it."""
        correct = {profile: grade.correct for profile, grade in grades.items()}
        self._profiles.update(dict.fromkeys(correct))
        self._num_completions[benchmark] += 1
        counts = self._outcomes.setdefault(benchmark, Counter())
        disagree = len(set(correct.values())) > 1
        if disagree:
            for one, other in permutations(correct, 2):
                if correct[one] and not correct[other]:
                    counts[one, other, True, correct[other]] += 1
            self.num_disagreements += 1
            if len(self.examples) < self._keep:
                self.examples.append(Difference(benchmark, problem_id, sample, correct))
        return disagree

    def pairs(self) -> Iterator[Pair]:
        """Every benchmark with every ordered pair of profiles, in the order they came."""
        for benchmark, total in self._num_completions.items():
            counts = self._outcomes[benchmark]
            for one, other in permutations(self._profiles, 2):
                wrong, null = counts[one, other, True, False], counts[one, other, True, None]
                yield Pair(benchmark, one, other, total, wrong, null)

    def as_table(self) -> tuple[list[str], list[list[str]]]:
        """Columns and rows of the pairs, as text."""
        columns = ["benchmark", "right by", "not by", "completions", "differ", "wrong", "null"]
        rows = [
            [pair.benchmark, pair.right, pair.other]
            + [str(count) for count in (pair.num_completions, pair.num_not_right, pair.num_wrong, pair.num_null)]
            for pair in self.pairs()
        ]
        return columns, rows

    def facts(self) -> dict[str, Any]:
        """The same as plain data, with the examples."""
        return {
            "num_disagreements": self.num_disagreements,
            "pairs": [pair._asdict() for pair in self.pairs()],
            "examples": [example._asdict() for example in self.examples],
        }
