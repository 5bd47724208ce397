"""What the rules of the evaluation harnesses have in common: choices by letter, verdicts, equality of formulas.

A harness scores with 0 where its rule finds no answer, so such a completion is false here, with nothing extracted;
null stays for what the harness itself leaves open: a judge, a random pick, or an engine that failed.
"""

from __future__ import annotations

import string

from anectl.core.grading.compare import compare
from anectl.core.grading.spec import Grade, GradeSpec, Reason
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_SHOWN_LENGTH = 300
_LEFT_OPEN = ("no_verifier", "undecided", "timeout", "too_long", "unsupported")


def benchmark_of(problem: Problem) -> str:
    """The name of the benchmark the problem comes from; empty when it does not say."""
    name = problem.source.get("benchmark")
    return name if isinstance(name, str) else ""


def lettered(problem: Problem) -> dict[str, str]:
    """The choices by letter; empty for a problem without choices."""
    return dict(zip(string.ascii_uppercase, problem.choices or (), strict=False))


def verdict(extracted: str | None, correct: bool, reason: Reason = "exact") -> Grade:
    """`reason` when correct, else `mismatch`, or `unparsed` where nothing was read. Long answers are not shown."""
    if not extracted:
        return Grade(None, correct, reason if correct else "unparsed")
    shown = extracted if len(extracted) <= _SHOWN_LENGTH else None
    return Grade(shown, correct, reason if correct else "mismatch")


def needs_judge(extracted: str | None = None) -> Grade:
    """The rule is at its end and the harness asks a language model."""
    return Grade(extracted, None, "needs_judge")


def symbolically(given: str, truth: str, verifier: Verifier | None) -> Grade:
    """Equality where a harness evaluates both sides; here exact numbers and algebra, then the verifier, no eval.

    What the harness's parser cannot read is unequal there and here. Null where a formula needs the verifier and it
    is missing or gives no verdict.
    """
    judged = compare(GradeSpec(truth, "expression"), given, verifier)
    if judged.correct is None and judged.reason not in _LEFT_OPEN:
        return verdict(given, False)
    return judged
