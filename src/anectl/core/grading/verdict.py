"""The path from a completion to its grade. `grade` takes the end of it, `explain` tells all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from anectl.core.grading.compare import compare, identity, takes_several
from anectl.core.grading.extract import Found, emphasised_last_line, find_answer
from anectl.core.grading.formula import is_prose
from anectl.core.grading.items import split_list
from anectl.core.grading.quantity import parse_quantity
from anectl.core.grading.spec import Grade, GradeSpec
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.protocols import Verifier

_MAX_BARE_LENGTH = 60
_EVASION = re.compile(r"\b(?:i|we|sorry|cannot|can't|don't|unknown|unsure|maybe|perhaps|probably|not)\b", re.I)
_BARE_CHOICES = frozenset(("choice", "choices", "number", "boolean"))


@dataclass(frozen=True, slots=True)
class Path:
    """A grade and what led to it; each part is null where the path ended before it.

    `shown` is the completion without its thoughts, `found` the marked answer, `given` the text that was compared.
    """

    grade: Grade
    shown: str | None = None
    found: Found | None = None
    given: str | None = None


def follow(text: str, finish_reason: str, spec: GradeSpec, verifier: Verifier | None) -> Path:
    """Judge one completion; never raises for any text."""
    if finish_reason == "error":
        return Path(Grade(None, None, "error"))
    was_cut = finish_reason == "length"
    shown = without_thoughts(text)
    found = find_answer(shown)
    if found is None:
        bare = None if was_cut else _bare_answer(spec, shown)
        if bare is None:
            return Path(Grade(None, None, "truncated" if was_cut else "unparsed"), shown)
        return Path(compare(spec, bare, verifier), shown, None, bare)
    if was_cut and not found.closed:
        return Path(Grade(None, None, "truncated"), shown, found)
    return _judged(spec, shown, found, verifier)


def _judged(spec: GradeSpec, shown: str, found: Found, verifier: Verifier | None) -> Path:
    texts = found.texts
    if len(texts) > 1 and takes_several(spec):
        texts = ("; ".join(texts),)
    if len(texts) > 1 and len({identity(spec, text) for text in texts}) > 1:
        return Path(Grade("; ".join(texts), None, "several_answers"), shown, found)
    judged = compare(spec, texts[0], verifier)
    if found.later is not None and _contradicts(spec, judged, found.later):
        judged = Grade(judged.extracted, None, "several_answers")
    return Path(judged, shown, found, texts[0])


def _contradicts(spec: GradeSpec, judged: Grade, later: str) -> bool:
    """Whether a later statement names another answer; only types with one spelling per value can tell."""
    if judged.correct is None or spec.answer_type in ("text", "expression", "list"):
        return False
    other = compare(spec, later)
    return other.correct is not None and other.extracted != judged.extracted


def _bare_answer(spec: GradeSpec, shown: str) -> str | None:
    """The answer of a completion without any marker: the whole of it (`42`, `B`), or a bold last line."""
    bare = shown.strip()
    if _is_bare_answer(spec, bare):
        return bare
    line = emphasised_last_line(shown) if spec.answer_type in _BARE_CHOICES else None
    return line if line is not None and _is_bare_answer(spec, line) else None


def _is_bare_answer(spec: GradeSpec, text: str) -> bool:
    if not text or len(text) > _MAX_BARE_LENGTH or "\n" in text:
        return False
    if spec.answer_type == "text":
        return not _EVASION.search(text) and not re.search(r"[.,;:!?]\s", text)
    if spec.answer_type == "expression":
        return not is_prose(text)
    if spec.answer_type == "list":
        return text[0] in "([{" or all(" " not in item or parse_quantity(item) for item in split_list(text))
    return compare(spec, text).reason != "unparsed"
