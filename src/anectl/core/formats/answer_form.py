"""What a published answer is, where the data does not say: its answer type, told from its form.

The rule is conservative, since a wrong type grades wrongly while `text` only grades strictly. In this order: yes, no,
true and false are boolean; what reads as one number, with or without a unit, is a number; a formula without any word
is an expression; all else is text. Choices are told apart before, by their options (`answers`).
"""

from __future__ import annotations

import re

from anectl.core.grading.extract import find_answer
from anectl.core.grading.formula import is_prose
from anectl.core.grading.quantity import parse_quantity
from anectl.core.records import AnswerType

_BOOLEANS = {"yes", "no", "true", "false"}
_MATHS = re.compile(r"[\\^_=+*/<>|\u221a\u03c0\u00b0]|\d\s*-|\([^()]*,|\d[a-zA-Z]")
_MAX_SHORT = 60


def answer_form(answer: str) -> tuple[str, AnswerType]:
    """The answer as a problem states it, and its type."""
    stated = answer.strip()
    if stated.casefold() in _BOOLEANS:
        return answer, "boolean"
    if any(char.isdigit() for char in stated) and parse_quantity(stated) is not None:
        return answer, "number"
    if _MATHS.search(stated) and not is_prose(stated):
        return answer, "expression"
    return answer, "text"


def stated_answer(text: str) -> str | None:
    """The final answer of an assistant's turn: the marked one (boxed, tagged, `Answer: ...`), else a short line."""
    found = find_answer(text)
    if found is not None and found.texts[0].strip():
        return "; ".join(found.texts).strip()
    bare = text.strip()
    return bare if bare and len(bare) <= _MAX_SHORT and "\n" not in bare else None
