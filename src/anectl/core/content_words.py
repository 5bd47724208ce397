"""The words of a text that say what it is about."""

from __future__ import annotations

import re
from typing import Final

_WORD = re.compile(r"[^\W_]+")
FUNCTION_WORDS: Final = frozenset(
    _WORD.findall(
        "a an the and or but nor if then than that this these those there here it its they them their he she his her "
        "you your we our me my i is are was were be been being am do does did done have has had having will would can "
        "could shall should may might must of in on at by for from to into onto over under with without within as so "
        "thus hence not no also what which who whom whose how why when where each all any some such"
    )
)
"""English words that any question may have. A small table may have one of them in a few rows only, and BM25 would then
take it for telling."""


def content_words(text: str) -> list[str]:
    """The words and numbers of a text in order, once each, in lower case, without function words.

    All of its words where nothing else is left.
    """
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(text)))
    return [word for word in words if word not in FUNCTION_WORDS] or words
