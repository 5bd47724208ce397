"""`<image>` in a text: the placeholder that other tools replace by an image, and the same letters meant as letters.

LLaMA-Factory, ms-swift, EasyR1 and verl put an image wherever `<image>` stands in a text (and media of other kinds
at `<video>` and `<audio>`). Ours stand together before the first user turn's text. The same letters in a text get a
word joiner (U+2060) before the `>`, one more where there are some already, so that each text has one escaped form.
"""

from __future__ import annotations

import re

from anectl.core.errors import RowError

IMAGE = "<image>"
_JOINER = "\u2060"
_LITERAL = re.compile(rf"<(image|video|audio)({_JOINER}*)>")
_ESCAPED = re.compile(rf"<(image|video|audio){_JOINER}({_JOINER}*)>")
_OTHER_MEDIA = re.compile("<(?:video|audio)>")


def escape(text: str) -> str:
    """The text with no placeholder in it; `unescape` gives it back."""
    return _LITERAL.sub(rf"<\1\2{_JOINER}>", text)


def unescape(text: str) -> str:
    """The text that was escaped; a text that never was stays as it is."""
    return _ESCAPED.sub(r"<\1\2>", text)


def escape_bare(text: str) -> str:
    """Escape only what still reads as a placeholder: for texts whose images stand elsewhere, escaped or not."""
    return re.sub(r"<(image|video|audio)>", rf"<\1{_JOINER}>", text)


def refuse_other_media(text: str) -> None:
    """Raises RowError for a text that asks for a video or a sound."""
    found = _OTHER_MEDIA.search(text)
    if found:
        raise RowError(f"{found[0]} in the text: only images can be read")
