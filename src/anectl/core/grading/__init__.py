"""Grading: find the final answer of a completion, compare it with the truth, and say how sure that is.

The answer type of the problem decides how an answer is read. A completion that cannot be judged gets `correct`
null and a reason; nothing is guessed, and extraction (`extract`) and comparison (`compare`) are pure functions.
"""

from __future__ import annotations

from anectl.core.grading.explain import Explanation, explain
from anectl.core.grading.spec import Grade, GradeSpec, Reason
from anectl.core.grading.verdict import follow
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

__all__ = ["Explanation", "Grade", "GradeSpec", "Reason", "explain", "grade"]


def grade(text: str, finish_reason: str, problem: Problem | GradeSpec, verifier: Verifier | None = None) -> Grade:
    """Judge one completion; never raises for any text.

    `finish_reason` is that of the engine: a completion cut by `length` counts only if its final answer was complete
    before the cut, and one that ended in `error` is not graded at all.
    """
    spec = problem if isinstance(problem, GradeSpec) else GradeSpec.of(problem)
    return follow(text, finish_reason, spec, verifier).grade
