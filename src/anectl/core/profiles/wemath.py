"""We-Math: the letter after the last `Answer`, and the four dimensions of a problem and its one-step parts.

The rules are We-Math/We-Math `evaluation/accuracy.py` (the letter, accuracy by steps) and
`evaluation/four_dimensional_metrics.py` (arXiv 2407.01284). The published set has 525 groups.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from anectl.core.grading.spec import Grade
from anectl.core.profiles import Profile
from anectl.core.profiles.official_rows import Shares, field_text
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

LETTERS = "ABCDEFGH"
MULTI = "multi"
ROWS = {f"{steps}steps_{part}": (steps, part) for steps in (2, 3) for part in (*map(str, range(1, steps + 1)), MULTI)}
"""The rows of a group by their published `key`: number of steps, and which part or the whole problem."""

_FIRST_SHOWN = re.compile(r"[^<>:.\s]")
_WHOLE = {2: "two-step accuracy", 3: "three-step accuracy"}


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion: right when its letter is the published one."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    letter = letter_after_answer(text)
    if letter is None:
        return Grade(None, False, "unparsed")
    if letter != field_text(problem, "answer", problem.answer):
        return Grade(letter, False, "mismatch")
    return Grade(letter, True, "exact" if text.strip() == letter else "first_letter")


def letter_after_answer(text: str) -> str | None:
    """The first character behind the last `Answer` that is no space and none of `<>:.`; null unless it is A to H.

    Nothing asks for the end of a word: `Answer: Cannot tell` is C, and so is `Certainly ...` without any `Answer`.
    """
    m = _FIRST_SHOWN.search(text.rpartition("Answer")[2])
    return m[0] if m and m[0] in LETTERS else None


class Group(NamedTuple):
    """A problem of two or three steps: how often its parts and the problem itself were solved, 0..1 each."""

    parts: tuple[float, ...]
    whole: float


class Dimensions(NamedTuple):
    """Numbers of groups; IK, IG, CM and RM add up to all groups, in the strict as in the loose reading."""

    insufficient: float
    inadequate: float
    mastered_strict: float
    mastered_loose: float
    rote_strict: float
    rote_loose: float


def dimensions(groups: Sequence[Group]) -> Dimensions:
    """The four dimensions.

    Insufficient knowledge (IK): the problem is wrong and so is a part. Inadequate generalization (IG): the problem is
    wrong though all parts are right. Solved problems are mastered (CM) or learned by rote (RM): in the strict reading
    CM wants all parts right, in the loose one any. Shares that are not 0 or 1 (several completions) give the numbers
    to expect when one completion of each row is drawn.
    """
    every = [math.prod(group.parts) for group in groups]
    none = [math.prod(1 - part for part in group.parts) for group in groups]
    whole = [group.whole for group in groups]
    return Dimensions(
        insufficient=sum((1 - e) * (1 - w) for e, w in zip(every, whole, strict=True)),
        inadequate=sum(e * (1 - w) for e, w in zip(every, whole, strict=True)),
        mastered_strict=sum(e * w for e, w in zip(every, whole, strict=True)),
        mastered_loose=sum((1 - n) * w for n, w in zip(none, whole, strict=True)),
        rote_strict=sum((1 - e) * w for e, w in zip(every, whole, strict=True)),
        rote_loose=sum(n * w for n, w in zip(none, whole, strict=True)),
    )


class FourDimensions:
    """The published figures; the shares of a group's three or four rows are kept."""

    def __init__(self) -> None:
        self._steps = Shares()
        self._groups: dict[tuple[int, str], dict[str, float]] = {}
        self._num_outside = 0

    def add(self, problem: Problem, share: float) -> None:
        """Count one row of the group that the published `ID` and `key` (`2steps_1`, `3steps_multi`) name."""
        row = ROWS.get(field_text(problem, "key", ""))
        group = field_text(problem, "ID", "")
        if row is None or not group:
            self._num_outside += 1
            return
        steps, part = row
        self._groups.setdefault((steps, group), {})[part] = share
        self._steps.add(_WHOLE[steps] if part == MULTI else "one-step accuracy", share)

    def results(self) -> Mapping[str, float]:
        """Scores, IK, IG and CM as shares of the complete groups; RM as a share of the solved ones, as published.

        A group that lacks a row is not scored: `incomplete groups` counts them, `rows outside groups` the rows
        without a known `ID` and `key`.
        """
        complete = []
        for (steps, _), rows in self._groups.items():
            if len(rows) == steps + 1:
                complete.append(Group(tuple(share for part, share in rows.items() if part != MULTI), rows[MULTI]))
        figures = self._steps.means() | (_figures(dimensions(complete), len(complete)) if complete else {})
        return figures | {
            "groups": float(len(complete)),
            "incomplete groups": float(len(self._groups) - len(complete)),
            "rows outside groups": float(self._num_outside),
        }


def _figures(found: Dimensions, n: int) -> dict[str, float]:
    penalty = 0.5 * found.inadequate + found.insufficient
    figures = {
        "score (strict)": (n - penalty - found.rote_strict) / n,
        "score (loose)": (n - penalty - found.rote_loose) / n,
        "insufficient knowledge": found.insufficient / n,
        "inadequate generalization": found.inadequate / n,
        "complete mastery (strict)": found.mastered_strict / n,
        "complete mastery (loose)": found.mastered_loose / n,
    }
    solved = found.mastered_strict + found.rote_strict
    if solved:
        figures["rote memorization (strict)"] = found.rote_strict / solved
        figures["rote memorization (loose)"] = found.rote_loose / solved
    return figures


PROFILE = Profile(
    name="wemath",
    rule="We-Math/We-Math evaluation/accuracy.py, evaluation/four_dimensional_metrics.py",
    score=score,
    metrics=FourDimensions,
)
