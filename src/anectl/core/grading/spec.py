"""What a grade is made from (`GradeSpec`) and what comes out (`Grade`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from anectl.core.records import AnswerType, Example, Problem

Reason: TypeAlias = Literal[
    # correct is true
    "exact",  # the same string, letter or word after the folding of its type
    "numeric",  # the same number written in another way
    "choice_text",  # the text of the right choice instead of its letter
    "verified",  # the verifier found the two expressions equal
    "algebra",  # the same expression after exact algebra
    "judged",  # a judge model said so (also for false)
    "relaxed",  # within the tolerance of the benchmark's own rule
    "substring",  # one text stands in the other, where the benchmark's own rule is content with that
    "nearest_choice",  # the choice nearest in spelling, where the benchmark's own rule takes it
    "first_letter",  # the first letter of the completion, where the benchmark's own rule looks at no more
    # correct is false
    "mismatch",  # an answer was read and it is another one
    # correct is null
    "unparsed",  # no final answer, or none that reads as the answer type
    "several_answers",  # different final answers side by side, or one that may be read in two ways
    "order",  # the right items in another order, where it is open whether order counts
    "truncated",  # cut off before the final answer was complete
    "error",  # the engine failed, there is nothing to grade
    "unit",  # a unit that cannot be converted exactly, or a percent sign or scale word (million) on one side only
    "too_long",  # beyond what may be handed to a verifier
    "unsupported",  # notation that verifiers are known to misread
    "no_verifier",  # needs a verifier and none was given
    "undecided",  # the verifier gave no verdict within its limits, or two notations that may mean the same
    "timeout",  # the verifier was stopped at its time limit
    "truth_unparsed",  # the truth itself does not read as its answer type
    "random_pick",  # the benchmark's own script would draw a choice at random; `chance` is the odds that it is right
    "needs_judge",  # the benchmark's own script asks a language model here
    "judge_failed",  # a judge model was asked and gave no usable verdict
]


@dataclass(frozen=True, slots=True)
class Grade:
    """The judgement of one completion; `correct` is null when it could not be judged, and `reason` says why.

    `extracted` is in one form per value where the type has one (letters, `yes`/`no`, plain decimals or `p/q`), so
    that equal answers can be counted; otherwise it is what the completion says. Null when no answer was found.
    `chance` stands beside `random_pick` alone: the probability that the random choice of the benchmark's own script
    would be counted as right.
    """

    extracted: str | None
    correct: bool | None
    reason: Reason
    chance: float | None = None


def verdict(extracted: str, correct: bool, reason: Reason) -> Grade:
    """The grade of an answer that was read: `reason` where it is right, else a mismatch."""
    return Grade(extracted, correct, reason if correct else "mismatch")


@dataclass(frozen=True, slots=True)
class GradeSpec:
    """The fields of a problem that grading depends on; `precision` is in decimals."""

    answer: str
    answer_type: AnswerType
    choices: tuple[str, ...] = ()
    precision: int | None = None
    unit: str | None = None

    @classmethod
    def of(cls, row: Problem | Example) -> GradeSpec:
        """The spec of a problem or of a training row."""
        return cls(row.answer, row.answer_type, row.choices or (), row.precision, row.unit)
