"""Texts from data, made safe to print on a terminal: what would command it is shown as an escape instead.

Completions and problems are written by strangers and by models. Printed as they are they could colour or clear the
screen, set its title, write to the clipboard (OSC 52), hide where a link leads (OSC 8), or turn the order of the
letters about (bidirectional overrides: "Trojan Source", Boucher and Anderson 2021, arXiv 2111.00169).
"""

from __future__ import annotations

import unicodedata

LIMIT = 2_000
MAX_LINES = 400
_TAB = "    "
# Spaces of other scripts, and the joiners that Persian, Indic scripts and emoji are written with.
_HARMLESS = frozenset("\u00a0\u202f\u3000\u2007\u200c\u200d")
_MAX_MARKS = 4


def visible(text: str, *, limit: int | None = LIMIT) -> str:
    """The text in one line that does nothing but show; line breaks and controls are escapes such as `\\x1b`.

    Characters past `limit` are cut, with a note of how many; null cuts nothing.
    """
    shown, note = cut(text, limit)
    return _escaped(shown) + note


def visible_lines(text: str, *, limit: int | None = LIMIT, max_lines: int | None = MAX_LINES) -> list[str]:
    """The lines of a text, each as `visible` has it; tabs are spaces, lines past `max_lines` are cut with a note.

    `limit` is for the whole text. Only `\\n` and `\\r\\n` end a line: a lone `\\r` would write over it, and is escaped.
    """
    shown, note = cut(text, limit)
    lines = [_escaped(line.expandtabs(len(_TAB))) for line in shown.replace("\r\n", "\n").split("\n")]
    lines[-1] += note
    if max_lines is not None and len(lines) > max_lines:
        lines = [*lines[:max_lines], f"[... {len(lines) - max_lines} more lines]"]
    return lines


def cut(text: str, limit: int | None = LIMIT) -> tuple[str, str]:
    """The beginning of the text as it is, and a note of what is left out; the note is empty where nothing is."""
    if limit is None or len(text) <= limit:
        return text, ""
    return text[:limit], f" [... {len(text) - limit} more characters]"


def _escaped(text: str) -> str:
    # `isprintable` is false of every control, format character, separator but the space, surrogate and unassigned one.
    if text.isascii() and text.isprintable():
        return text
    shown = []
    marks = 0
    for character in text:
        # Letters under a heap of combining marks reach into the lines above and below.
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        is_plain = character.isprintable() or character in _HARMLESS
        shown.append(character if is_plain and marks <= _MAX_MARKS else _escape(character))
    return "".join(shown)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
