"""One problem of each answer type, the ways to mark an answer, and a verifier that says what it is told to."""

from __future__ import annotations

from anectl.core.grading import GradeSpec
from tests.grading_type_cases import CITIES

SPECS = [
    GradeSpec("13", "number"),
    GradeSpec("12.5", "number", precision=1, unit="cm"),
    GradeSpec("C", "choice", CITIES),
    GradeSpec("A, C", "choices", CITIES),
    GradeSpec("yes", "boolean"),
    GradeSpec("red", "text"),
    GradeSpec("1, 2", "list"),
    GradeSpec("x+1", "expression"),
]
MARKS = ("Answer: {}", "The answer is {}.", "\\boxed{{{}}}", "<answer>{}</answer>", "#### {}", "**Answer:** {}\n", "{}")


class Verdict:
    """A verifier that always says the same and remembers what it was asked."""

    def __init__(self, verdict: bool | None) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, str]] = []

    def equal(self, truth: str, given: str) -> bool | None:
        self.asked.append((truth, given))
        return self.verdict
