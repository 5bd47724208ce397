"""M3CoT: the last option after `[Answer]`, then choice texts, then lone letters; accuracy by domain.

The rule is LightChen233/M3CoT `utils/metric.py`. "Last" is the last in the text for `(B)` alone; for choice texts and
lone letters it is the last in the order of the choices, wherever it stands. The script knows six letters, and we go
on to Z.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from anectl.core.grading.spec import Grade, Reason
from anectl.core.profiles import Profile, official
from anectl.core.profiles.groups import GroupMeans, by_fields
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_WRAPPED = re.compile(r"\(([A-Za-z])\)")
_PUNCTUATION = str.maketrans(dict.fromkeys("\n.,!?", " "))


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """Judge one completion; one that names no option is wrong, as in the script."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    published = official(problem).get("choices")
    choices = published if isinstance(published, list) else problem.choices or ()
    letter, reason = predicted(text, [str(choice) for choice in choices])
    if letter is None:
        return Grade(None, False, "unparsed")
    is_right = letter == _letter(official(problem).get("answer", problem.answer))
    return Grade(letter, is_right, reason if is_right else "mismatch")


def predicted(text: str, choices: Sequence[str]) -> tuple[str | None, Reason]:
    """The letter that the completion is taken to mean, and by which of the rules."""
    if "[Answer]" in text:
        text = text.rpartition("[Answer]")[2].split("[Rationale]")[0].split("[Context]")[0]
    if wrapped := _WRAPPED.findall(text):
        return wrapped[-1].upper(), "exact"
    lower = text.lower()
    named = [i for i, choice in enumerate(choices) if choice.lower() in lower]
    if named:
        return ascii_uppercase[named[-1]] if named[-1] < len(ascii_uppercase) else None, "choice_text"
    letters = ascii_uppercase[: len(choices)]
    words = set(text.translate(_PUNCTUATION).split(" "))
    # A lower-case letter counts only where there is no capital: `a` is then choice A, article or not.
    for lone in (letters, letters.lower()):
        if alone := [letter for letter in lone if letter in words]:
            return alone[-1].upper(), "exact"
    return None, "unparsed"


def _letter(answer: object) -> str:
    """The published answer is a letter; a number counts from 0."""
    return ascii_uppercase[answer] if isinstance(answer, int) and 0 <= answer < 26 else str(answer)


def domains() -> GroupMeans:
    """Accuracy in all, by domain (science, commonsense, mathematics) and by topic."""
    return GroupMeans(by_fields("domain", "topic"))


PROFILE = Profile(name="m3cot", rule="LightChen233/M3CoT utils/metric.py", score=score, metrics=domains)
