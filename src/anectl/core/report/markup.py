"""HTML and inert JSON from text that is never trusted: what is not markup already is escaped as it goes in."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from anectl.core.report.safe_text import visible

_INERT = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    b"\xe2\x80\xa8": b"\\u2028",
    b"\xe2\x80\xa9": b"\\u2029",
}
_VOID = frozenset({"br", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML already; only `tag` and its like make it."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"
"""What may stand in an element: text, which is escaped, markup, or many of both."""


def joined(content: Content) -> Markup:
    """All parts as one piece of markup; text is escaped, and its controls made visible."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, (str, int)):
        return Markup(html.escape(visible(str(content)), quote=True))
    return Markup("".join(joined(part) for part in content))


def tag(name: str, /, *content: Content, **attributes: str | int | float | bool | None) -> Markup:
    """An element. Attributes are escaped; `class_` is class, `data_x` is data-x, None and False leave one out."""
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        text = f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(label if value is True else f'{label}="{html.escape(visible(text), quote=True)}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{joined(content)}</{name}>")


def inert_json(value: Any) -> bytes:
    """JSON that can stand in a script element: no character in it can end the element or begin another."""
    data = msgspec.json.encode(value)
    for character, escape in _INERT.items():
        # Outside of strings JSON has none of these characters.
        data = data.replace(character, escape)
    return data


def json_block(name: str, value: Any) -> bytes:
    """A script element that is never run, for the page's script to read."""
    identity = html.escape(name, quote=True).encode()
    return b'<script type="application/json" id="' + identity + b'">' + inert_json(value) + b"</script>\n"
