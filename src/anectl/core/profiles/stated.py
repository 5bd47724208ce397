"""The answer that a completion states, where an official script has a language model find it.

The model is asked for the answer and nothing else, so markup is taken off. What we cannot find with certainty is left
to the judge.
"""

from __future__ import annotations

from anectl.core.grading.extract import find_answer
from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.thoughts import without_thoughts

MAX_LENGTH = 1000
"""Characters; no answer of a benchmark is longer, and what is longer is no extraction."""

_MAX_BARE_LENGTH = 60


def marked_answer(text: str) -> str | None:
    """The final answer that is marked as one (a box, `Answer: ...`), without markup; null when there is none."""
    found = find_answer(without_thoughts(text))
    if found is None or sum(map(len, found.texts)) > MAX_LENGTH:
        return None
    return unwrapped(", ".join(found.texts)) or None


def bare_answer(text: str) -> str | None:
    """A completion of one short line, without markup: it may be nothing but an answer. Null for any other."""
    shown = without_thoughts(text).strip()
    if not shown or len(shown) > _MAX_BARE_LENGTH or "\n" in shown:
        return None
    return unwrapped(shown) or None
