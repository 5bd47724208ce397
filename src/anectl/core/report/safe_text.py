"""Text of unknown origin made fit for a page: controls become visible marks, long lines lose their middle.

Escaping for HTML and JSON is the business of `markup`; here it is about what a reader sees. A bidirectional override
can make a wrong answer look right, and a line of a megabyte makes a page unusable, whatever is escaped.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

# All C0 but newline and tab, DEL and C1, the bidirectional marks, overrides and isolates, what has no width,
# line separators, surrogates, non-characters, and the tag block, in which text can hide.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
# More marks on one letter than any script needs paint over the lines above and below.
_PILE = re.compile(
    r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
SHORT = 200
"""Characters of a name, an id or an argument that are shown."""


def visible(text: str) -> str:
    """The text with every control and every character that cannot be seen shown as `⟦U+202E⟧`."""
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return _PILE.sub(r"\1⟦…⟧", _UNSEEN.sub(lambda found: f"⟦U+{ord(found[0]):04X}⟧", text))


class Cut(NamedTuple):
    """A text whose middle of `left_out` characters is missing; `length` is that of the whole."""

    head: str
    tail: str
    left_out: int
    length: int


def cut(text: str, most: int) -> str | Cut:
    """The visible text, or its beginning and its end, where answers stand, when it has over `most` characters."""
    if len(text) <= most:
        return visible(text)
    tail = most // 3
    return Cut(visible(text[: most - tail]), visible(text[-tail:]) if tail else "", len(text) - most, len(text))


def short(text: str, most: int = SHORT) -> str:
    """A name or an argument on one line, cut with a note of its length."""
    line = " ".join(text[: most + 1].split("\n"))
    return visible(line) if len(text) <= most else f"{visible(line[:most])}… ({len(text)} characters)"


def plain(value: Any, most: int = SHORT) -> str:
    """Any value of a manifest as one short line."""
    if isinstance(value, str):
        return short(value, most)
    if isinstance(value, float):
        return f"{value:g}"
    return short(str(value), most)
