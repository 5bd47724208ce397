"""Grading: find the final answer of a completion, compare it with the truth, and say how sure that is.

The answer type of the problem decides how an answer is read. A completion that cannot be judged gets `correct`
null and a reason; nothing is guessed, and extraction (`extract`) and comparison (`compare`) are pure functions.
"""

from __future__ import annotations

import re

from anectl.core.grading.compare import compare, identity
from anectl.core.grading.extract import Found, find_answer, without_thoughts
from anectl.core.grading.formula import is_prose
from anectl.core.grading.items import split_list
from anectl.core.grading.quantity import parse_quantity
from anectl.core.grading.spec import Grade, GradeSpec, Reason
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

__all__ = ["Grade", "GradeSpec", "Reason", "grade"]

_MAX_BARE_LENGTH = 60
_EVASION = re.compile(r"\b(?:i|we|sorry|cannot|can't|don't|unknown|unsure|maybe|perhaps|probably|not)\b", re.I)


def grade(text: str, finish_reason: str, problem: Problem | GradeSpec, verifier: Verifier | None = None) -> Grade:
    """Judge one completion; never raises for any text.

    `finish_reason` is that of the engine: a completion cut by `length` counts only if its final answer was complete
    before the cut, and one that ended in `error` is not graded at all.
    """
    spec = problem if isinstance(problem, GradeSpec) else GradeSpec.of(problem)
    if finish_reason == "error":
        return Grade(None, None, "error")
    was_cut = finish_reason == "length"
    shown = without_thoughts(text)
    found = find_answer(shown)
    if found is None:
        bare = shown.strip()
        if not was_cut and _is_bare_answer(spec, bare):
            return compare(spec, bare, verifier)
        return Grade(None, None, "truncated" if was_cut else "unparsed")
    if was_cut and not found.closed:
        return Grade(None, None, "truncated")
    return _grade_found(spec, found, verifier)


def _grade_found(spec: GradeSpec, found: Found, verifier: Verifier | None) -> Grade:
    texts = found.texts
    if len(texts) > 1 and spec.answer_type in ("choices", "list"):
        texts = ("; ".join(texts),)
    if len(texts) > 1 and len({identity(spec, text) for text in texts}) > 1:
        return Grade("; ".join(texts), None, "several_answers")
    judged = compare(spec, texts[0], verifier)
    if found.later is not None and _contradicts(spec, judged, found.later):
        return Grade(judged.extracted, None, "several_answers")
    return judged


def _contradicts(spec: GradeSpec, judged: Grade, later: str) -> bool:
    """Whether a later statement names another answer; only types with one spelling per value can tell."""
    if judged.correct is None or spec.answer_type in ("text", "expression", "list"):
        return False
    other = compare(spec, later)
    return other.correct is not None and other.extracted != judged.extracted


def _is_bare_answer(spec: GradeSpec, text: str) -> bool:
    """Whether a completion without any marker is, as a whole, nothing but an answer of the type (`42`, `B`)."""
    if not text or len(text) > _MAX_BARE_LENGTH or "\n" in text:
        return False
    if spec.answer_type == "text":
        return not _EVASION.search(text) and not re.search(r"[.,;:!?]\s", text)
    if spec.answer_type == "expression":
        return not is_prose(text)
    if spec.answer_type == "list":
        return text[0] in "([{" or all(" " not in item or parse_quantity(item) for item in split_list(text))
    return compare(spec, text).reason != "unparsed"
