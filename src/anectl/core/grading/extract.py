"""Where the final answer of a completion stands. Linear in the length of the text; knows nothing of answer types."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_THOUGHT_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_BOX_TOKEN = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{|\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(r"[\s,;.$&\\/()]{0,20}(?:(?:and|or)\b[\s,;$\\()]{0,10})?", re.IGNORECASE)
_MARKER = re.compile(
    r"<answer>[\s*]*"
    r"|^[ \t#*_]*(?:the[ ]|final[ ]){0,2}answers?[ \t*_:]*\n[\s*]*"  # a heading or a line of its own
    r"|^[ \t]*\#{4}[ \t]+"
    r"|\b(?:answers?|(?:correct|final|right|best)[ ](?:option|choice|result))"
    r"(?:[ ]to[ ][^.:\n]{1,80}?|[ ]choice|[ ]option)?"
    r"[ \t*_]*"
    r"(?:[:=\uff1a]|(?:is|are|(?:must|should|would)[ ]be)\b[ \t]*(?:indeed|therefore|thus|simply)?[ \t]*[:=]?)"
    r"[\s*]*",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_SENTENCE_END = re.compile(r"(?<=[^\s.])[.!?]\s+(?=[A-Za-z(*\\$])")
_GROUNDS = re.compile(
    r"[\s,;:(\u2014-]{1,10}"
    r"(?:because|since|so that|given that|as (?:shown|we|it|the|seen|can)|which|so (?:the|we))\b.*$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A final answer in its own words.

    `texts` has more than one entry only for boxes side by side. `closed` is false when the text ends inside the
    answer, so that a cut completion could have gone on (`Answer: 13` of 135). `later` is a statement of the answer
    that follows the box and may contradict it.
    """

    texts: tuple[str, ...]
    closed: bool
    later: str | None = None


def without_thoughts(text: str) -> str:
    """The text outside `<think>...</think>`.

    A closing tag without its opening one ends a thought that began in the prompt; an unclosed one hides the rest.
    """
    if "hink" not in text and "HINK" not in text:
        return text
    shown: list[str] = []
    start, thinking = 0, False
    for tag in _THOUGHT_TAG.finditer(text):
        if tag[1]:
            shown = shown if thinking else []
            thinking = False
        elif not thinking:
            shown.append(text[start : tag.start()])
            thinking = True
        start = tag.end()
    return "".join(shown) if thinking else "".join([*shown, text[start:]])


def find_answer(text: str) -> Found | None:
    """The final answer that is marked as one: the last `\\boxed{}`, else the last statement (`Answer: ...`)."""
    stated = _last_statement(text)
    spans, open_box = _boxes(text)
    if not spans:
        if open_box is not None and (stated is None or stated[0] < open_box):
            return Found((text[open_box:].strip(),), closed=False)
        return None if stated is None else Found((stated[1],), stated[2])
    if open_box is not None and open_box > spans[-1][1]:
        return Found((text[open_box:].strip(),), closed=False)
    first = len(spans) - 1
    while first and _BETWEEN_BOXES.fullmatch(text, spans[first - 1][1] + 1, spans[first][0]):
        first -= 1
    texts = tuple(dict.fromkeys(text[start:end] for start, end in _inner(text, spans[first:])))
    later = stated[1] if stated is not None and stated[0] > spans[-1][1] and stated[2] else None
    return Found(texts, closed=True, later=later)


def first_statement(text: str) -> str:
    """The first sentence without its grounds: `5, because ...` is `5`."""
    sentence = _SENTENCE_END.split(text, maxsplit=1)[0]
    return _GROUNDS.sub("", sentence).strip()


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


def _last_statement(text: str) -> tuple[int, str, bool] | None:
    """Start, words and completeness of the last statement of an answer; null when there is none."""
    markers = deque(_MARKER.finditer(text), maxlen=1)
    if not markers:
        return None
    marker = markers[0]
    if marker[0].lower().startswith("<answer>"):
        end = text.find("</answer>", marker.end())
        if end >= 0:
            return marker.start(), text[marker.end() : end].strip(), True
    line_end = text.find("\n", marker.end())
    line = text[marker.end() :] if line_end < 0 else text[marker.end() : line_end]
    line, tag, _ = line.partition("</")
    complete = line_end >= 0 or bool(tag) or _SENTENCE_END.search(line) is not None
    return (marker.start(), line.strip(), complete) if line.strip() else None
