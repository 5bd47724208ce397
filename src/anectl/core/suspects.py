"""Labels to be doubted: a problem is failed, yet its completions agree on one other answer.

The answers are compared as the grader compares an answer with the truth, so that `1/2` and `0.5` are one. A policy that
misunderstands a kind of problem agrees with itself too. Where a problem has kin, problems of the same tags, a label is
therefore doubted only if the policy gets most of them right. Even so, a suspect is to be looked at, not to be dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from anectl.core.chance import guess_rate, is_beyond_chance, num_wrong_answers
from anectl.core.grading import GradeSpec
from anectl.core.grading.compare import compare
from anectl.core.records import Completion, Problem, Suspect

# With fewer kin there is no telling whether the policy understands their kind.
_LEAST_KIN = 4
# Spellings that others are compared with; an answer that dominates has one of its spellings among the commonest.
_LEADERS = 4
# Types whose extracted answers have one spelling for each value.
_CANONICAL = ("choice", "choices", "boolean")


def suspect_of(problem: Problem, completions: Iterable[Completion], share: float) -> Suspect | None:
    """The wrong answer that at least `share` of the judged completions agree on, more than chance would bring.

    None where no answer does. See `chance` for what guessing would bring.
    """
    judged = 0
    spelled: Counter[str] = Counter()
    for completion in completions:
        judged += completion.correct is not None
        if completion.correct is False and completion.extracted is not None:
            spelled[completion.extracted] += 1
    if not spelled or spelled.total() < share * judged:
        return None
    answer, count = _commonest(problem, spelled)
    if count < share * judged:
        return None
    if not is_beyond_chance(count, judged, guess_rate(problem), num_wrong_answers(problem)):
        return None
    return Suspect(answer=answer, count=count, judged=judged)


def is_same_answer(problem: Problem, one: str, other: str) -> bool:
    """Whether two answers to a problem are the same to its grader."""
    if one == other or problem.answer_type in _CANONICAL:
        return one == other
    return compare(replace(GradeSpec.of(problem), answer=one), other).correct is True


def _commonest(problem: Problem, spelled: Counter[str]) -> tuple[str, int]:
    """The answer given most often, in its commonest spelling, and how often it was given."""
    best = ("", 0)
    merged: set[str] = set()
    for leader, _ in spelled.most_common(_LEADERS):
        if leader in merged:
            continue
        same = {text for text in spelled if is_same_answer(problem, leader, text)}
        merged |= same
        count = sum(spelled[text] for text in same)
        if count > best[1]:
            best = (leader, count)
    return best


class Kin:
    """How many completions of the problems of each kind, of the same tags, are right."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], tuple[int, int, int]] = {}

    def add(self, problem: Problem, correct: int, judged: int, *, is_further: bool = False) -> None:
        """Count a problem with its completions, or further completions of one that is counted already."""
        kind = _kind(problem)
        problems, right, known = self._sums.get(kind, (0, 0, 0))
        self._sums[kind] = (problems + (not is_further), right + correct, known + judged)

    def pass_rate(self, problem: Problem, correct: int, judged: int) -> float | None:
        """Of the kin of a problem, without its own completions; None where it has no tags or too few kin."""
        problems, right, known = self._sums.get(_kind(problem), (0, 0, 0))
        if not problem.tags or problems <= _LEAST_KIN or known <= judged:
            return None
        return (right - correct) / (known - judged)


def _kind(problem: Problem) -> tuple[str, ...]:
    return tuple(sorted(set(problem.tags)))
