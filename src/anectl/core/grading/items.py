"""The items of a list answer."""

from __future__ import annotations

import re

from anectl.core.grading.normalise import unwrapped

_BRACKETED = re.compile(r"[\[({]\s*(.*?)\s*[\])}]", re.DOTALL)
_AND = re.compile(r",?\s+and\s+")
_OPENING, _CLOSING = "([{", ")]}"


def split_list(text: str) -> list[str]:
    """The items of a list in their order: split at top-level semicolons, else commas, else spaces within brackets."""
    bare = unwrapped(text.replace("\\{", "{").replace("\\}", "}"))
    if not bare:
        return []
    m = _BRACKETED.fullmatch(bare)
    inner = m[1] if m and _closes_at_end(bare) else bare
    inner = _AND.sub(", ", inner)
    for separator in ";,":
        items = _split_top_level(inner, separator)
        if len(items) > 1:
            return items
    return inner.split() if inner is not bare and m else [inner]


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if depth == 0:
            return position == len(text) - 1
    return False


def _split_top_level(text: str, separator: str) -> list[str]:
    items, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if char == separator and depth <= 0:
            items.append(text[start:position].strip())
            start = position + 1
    return [*items, text[start:].strip()]
