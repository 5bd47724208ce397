"""From a row's completions to its score lines, one per profile, and where the profiles disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from anectl.core.answers import Answered
from anectl.core.completion_grades import regraded
from anectl.core.disagreement import Disagreements
from anectl.core.grading.spec import Grade, Reason
from anectl.core.jsonl import encode
from anectl.core.output import Output
from anectl.core.problem_rows import Row
from anectl.core.profiles import Profile
from anectl.core.protocols import Verifier
from anectl.core.records import Completion, Disagreement, Problem, ProfileGrade, Score

ByProfile = dict[str, tuple[Completion, ...]]
"""The graded completions of one problem by the name of the profile."""


def by_profile(
    problem: Problem, completions: Sequence[Completion], profiles: Iterable[Profile], verifier: Verifier | None
) -> ByProfile:
    """The completions under each profile."""
    return {
        profile.name: tuple(regraded(problem, one, profile.score, verifier) for one in completions)
        for profile in profiles
    }


def scores_of(answered: Answered, profiles: Iterable[Profile], verifier: Verifier | None) -> list[Score]:
    """The score lines of one row, one per profile; none for a finished row."""
    if answered.completions is None:
        return []
    row = answered.row
    graded = by_profile(row.problem, answered.completions, profiles, verifier)
    return [
        Score(
            problem_id=row.problem.id,
            benchmark=row.benchmark,
            cluster=row.cluster,
            policy=answered.policy,
            profile=profile,
            sampling=answered.sampling,
            scaffold_level=answered.scaffold_level,
            completions=completions,
            problem=row.problem,
        )
        for profile, completions in graded.items()
    ]


def mark_of(row: Row) -> str:
    """What tells the rows of an evaluation apart; the same for the row and for its score lines."""
    return f"{row.benchmark}/{row.problem.id}/{row.cluster}"


@dataclass
class Finished:
    """The score lines an interrupted run has written; a row is finished when the line of every profile is there."""

    profiles: Sequence[str]
    lines: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, score: Score) -> None:
        """Count one line."""
        self.lines[f"{score.benchmark}/{score.problem_id}/{score.cluster}", score.profile] += 1

    def rows(self) -> Counter[str]:
        """How often each mark is there under every profile."""
        marks = {mark for mark, _ in self.lines}
        whole = {mark: min(self.lines[mark, profile] for profile in self.profiles) for mark in marks}
        return Counter({mark: count for mark, count in whole.items() if count})

    def owes(self, row: Row, profile: str) -> bool:
        """Whether this profile's line of an unfinished row is still to be written: a kill may fall between two."""
        return not self.lines[mark_of(row), profile]


class DisagreementLog:
    """Counts on which completions profiles differ; with a path, writes each of them there as a row."""

    def __init__(self, path: str | None) -> None:
        self.counts = Disagreements()
        self._output = Output(path) if path else None
        self._lines: list[Score] = []

    def add_line(self, score: Score, num_profiles: int) -> None:
        """Count the lines of an interrupted run, which come row by row; a row counts when its last line is there."""
        if self._lines and (self._lines[0].benchmark, self._lines[0].problem_id) != (score.benchmark, score.problem_id):
            self._lines = []
        self._lines.append(score)
        if len(self._lines) == num_profiles > 1:
            self.add(score.benchmark, score.problem_id, {line.profile: line.completions for line in self._lines})

    def add(self, benchmark: str, problem_id: str, graded: ByProfile) -> None:
        """Count the completions of one problem."""
        for sample in range(len(next(iter(graded.values())))):
            grades = {name: _grade(completions[sample]) for name, completions in graded.items()}
            if self.counts.add(benchmark, problem_id, sample, grades) and self._output is not None:
                self._output.write(encode(_row(benchmark, problem_id, sample, graded)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._output is not None:
            self._output.__exit__(kind, error, trace)


def _grade(completion: Completion) -> Grade:
    return Grade(completion.extracted, completion.correct, cast(Reason, completion.reason), completion.chance)


def _row(benchmark: str, problem_id: str, sample: int, graded: ByProfile) -> Disagreement:
    return Disagreement(
        problem_id=problem_id,
        benchmark=benchmark,
        sample=sample,
        text=next(iter(graded.values()))[sample].text,
        grades=tuple(
            ProfileGrade(
                profile=name,
                extracted=one[sample].extracted,
                correct=one[sample].correct,
                reason=one[sample].reason,
            )
            for name, one in graded.items()
        ),
    )
