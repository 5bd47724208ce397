"""Where the final answer of a completion stands. Linear in the length of the text; knows nothing of answer types."""

from __future__ import annotations

import re
from dataclasses import dataclass

from anectl.core.grading.statements import last_statement

_BOX_TOKEN = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{|\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(r"[\s,;.$&\\/()]{0,20}(?:(?:and|or)\b[\s,;$\\()]{0,10})?", re.IGNORECASE)
_EMPHASISED_LINE = re.compile(r"(?:\n[ \t]*\n|\A)[ \t]*\*\*([^*\n]{1,60})\*\*[ \t]*\s*\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A final answer in its own words, the marker it stands by, and where the marker begins.

    `texts` has more than one entry only for boxes or confirmations side by side. `closed` is false when the text ends
    inside the answer, so that a cut completion could have gone on (`Answer: 13` of 135). `later` is a statement of
    the answer that follows the box and may contradict it.
    """

    texts: tuple[str, ...]
    closed: bool
    later: str | None = None
    marker: str = "\\boxed"
    start: int = 0


def find_answer(text: str) -> Found | None:
    """The final answer that is marked as one: the last `\\boxed{}`, else the last statement (`Answer: ...`)."""
    stated = last_statement(text)
    spans, open_box = _boxes(text)
    if not spans:
        if open_box is not None and (stated is None or stated.start < open_box):
            return Found((text[open_box:].strip(),), closed=False, start=open_box)
        return None if stated is None else Found(stated.texts, stated.closed, None, stated.marker, stated.start)
    if open_box is not None and open_box > spans[-1][1]:
        return Found((text[open_box:].strip(),), closed=False, start=open_box)
    first = len(spans) - 1
    while first and _BETWEEN_BOXES.fullmatch(text, spans[first - 1][1] + 1, spans[first][0]):
        first -= 1
    texts = tuple(dict.fromkeys(text[start:end] for start, end in _inner(text, spans[first:])))
    later = stated.texts[0] if stated is not None and stated.start > spans[-1][1] and stated.closed else None
    return Found(texts, closed=True, later=later, start=spans[first][0])


def emphasised_last_line(text: str) -> str | None:
    """The words of a last line that is bold as a whole, behind an empty line; null where the text ends otherwise."""
    m = _EMPHASISED_LINE.search(text, max(0, len(text) - 200)) if text.endswith(("*", "\n", " ")) else None
    return m[1].strip() if m else None


def _boxes(text: str) -> tuple[list[tuple[int, int]], int | None]:
    """Spans (start of the command, closing brace) of the outermost boxes; where the last box left open begins."""
    if "boxed" not in text and "fbox" not in text:
        return [], None
    spans: list[tuple[int, int]] = []
    open_braces: list[tuple[bool, int, int]] = []
    for token in _BOX_TOKEN.finditer(text):
        if token[0][-1] == "{" and len(token[0]) != 2:  # a brace or a box; `\{` has two characters
            open_braces.append((len(token[0]) > 1, token.start(), token.end()))
        elif token[0] == "}" and open_braces:
            is_box, start, inner = open_braces.pop()
            if is_box and text[inner : token.start()].strip():
                while spans and spans[-1][0] > start:
                    spans.pop()
                spans.append((start, token.start()))
    unclosed = [inner for is_box, _, inner in open_braces if is_box]
    return spans, unclosed[-1] if unclosed else None


def _inner(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans of what stands inside the boxes."""
    return [(text.index("{", start) + 1, end) for start, end in spans]
