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
    # correct is false
    "mismatch",  # an answer was read and it is another one
    # correct is null
    "unparsed",  # no final answer, or none that reads as the answer type
    "several_answers",  # different final answers side by side
    "truncated",  # cut off before the final answer was complete
    "error",  # the engine failed, there is nothing to grade
    "unit",  # another unit, or percent on one side only: no conversion is attempted
    "too_long",  # beyond what may be handed to a verifier
    "unsupported",  # notation that verifiers are known to misread
    "no_verifier",  # needs a verifier and none was given
    "undecided",  # the verifier gave no verdict within its limits
    "truth_unparsed",  # the truth itself does not read as its answer type
]


@dataclass(frozen=True, slots=True)
class Grade:
    """The judgement of one completion; `correct` is null when it could not be judged, and `reason` says why.

    `extracted` is in one form per value where the type has one (letters, `yes`/`no`, plain decimals or `p/q`), so
    that equal answers can be counted; otherwise it is what the completion says. Null when no answer was found.
    """

    extracted: str | None
    correct: bool | None
    reason: Reason


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
