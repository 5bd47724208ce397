"""Statements of an answer in words: `Answer: 13`, `the answer is (B)`, `13 is the answer`, `B is correct`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from anectl.core.grading.hedges import takes_back

_MARKER = re.compile(
    r"<answer>[\s*]*"
    r"|^[ \t#*_]*(?:the[ ]|final[ ]){0,2}answers?[ \t*_:]*\n[\s*]*"  # a heading or a line of its own
    r"|^[ \t]*\#{4}[ \t]+"
    r"|^[ \t#*_]*(?:final[ ])?answer[*_]*[ \t][*_]*[-\u2013\u2014](?=[ \t])[\s*]*"  # `Answer - 13`, never `Answer -13`
    r"|\b(?:answers?|(?:correct|final|right|best)[ ](?:option|choice|result))"
    r"(?:[ ]to(?:[ ](?!answer)[^\s.:]{1,30}){1,12}?|[ ]choice|[ ]option)?"
    r"[ \t*_]*"
    r"(?:[:=\uff1a]|(?:is|are|equals|turns[ ]out[ ]to[ ]be|(?:must|should|would|will)[ ]be)\b"
    r"(?![ ](?:correct|incorrect|wrong)\b)"  # of an answer given before
    r"[ \t]*(?:indeed|therefore|thus|simply)?[ \t]*[:=]?)"
    r"[\s*]*"
    r"|\bans[ \t*_]*[:=][\s*]*"
    # Chinese: `the answer is`, `so choose`.
    r"|\u7b54\u6848[ *]*(?:(?:\u5e94\u8be5|\u5e94)?[\u662f\u4e3a\u70ba][ *]*[:\uff1a]?|[:\uff1a])[\s*]*"
    r"|(?:[\u6545\u5e94]|\u56e0\u6b64|\u6240\u4ee5)\u9009(?:\u62e9)?[ *]*[:\uff1a]?[\s*]*(?=[(\uff08]?[A-Z])",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_DENIED = re.compile(
    r"(?:\b(?:if|whether|unless|suppose|supposing|assume|assuming|wrong|incorrect|false|doubt|why|how)"
    r"|(?:n't|\bnot|\bnever|\bcannot)[ ](?:think|believe|sure|certain|say|claim|mean|true|clear|likely|see)(?:[ ]how)?)"
    r"(?:[ ]that)?(?:[ ](?:the|this|his|her|an?|one|your|my))?(?:[ ](?:final|correct|right|best))?[ ]*$",
    re.IGNORECASE,
)
_LOOK_BACK = 80

# `13 is the answer`, `B is the correct option`: the end of the sentence must follow.
_CLAUSE_END = r"(?=[ \t*_]*(?:[.,;!)\n\u3002]|$|because\b|since\b|to[ ]the[ ](?:question|problem)\b))"
_BEHIND = re.compile(
    r"[ ](?:is|are|must[ ]be|should[ ]be)[ ](?:(?:thus|therefore|hence|indeed|clearly|both)[ ])?"
    r"(?:(?P<strong>(?:the|our|my)[ ](?:(?:final|correct|right|best|only[ ]correct)[ ])?(?:answers?|options?|choices?))"
    rf"|correct)(?![A-Za-z]){_CLAUSE_END}",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_CLAUSE_START = re.compile(r"[.,;:!?]\s|\n")
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|and|but|that|means|clearly|finally|obviously|indeed|thereby"
    r"|(?:we|i|you|one)(?: can)? (?:see|conclude|find|know|think|believe))\b[, ]*)+",
    re.IGNORECASE,
)
_LETTERS = re.compile(
    r"(?:[Bb]oth )?(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer)s? )?[(*]*[A-Z][)*]*(?:(?:, | and |, and )[(*]*[A-Z][)*]*)*"
)
_NO_VALUE = re.compile(
    r"\b(?:not|neither|nor|never|no|none|if|whether|unless|wrong|incorrect|cannot|which|what|why|how|this|that|these|"
    r"those|it|they|here|there|he|she|we|you|i|answers?|only)\b|n't\b",
    re.IGNORECASE,
)
_MAX_VALUE, _MAX_WORDS = 60, 5

# `5! ways` is a factorial.
_SENTENCE_END = re.compile(r"(?<=[^\s.])(?:[.?]|(?<![0-9])!|!(?=\s+[A-Z]))\s+(?=[A-Za-z(*\\$])")
_GROUNDS = re.compile(
    r"[\s,;:(\u2014-]{1,10}"
    r"(?:because|since|so that|given that|as (?:shown|we|it|the|seen|can)|which|so (?:the|we))\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_MARKING = ("answer", "ans", "option", "choice", "result", "####", "\u7b54\u6848", "\u9009")
# A text with more of them says the same over and over; a line longer than the window is no line of words.
_MAX_MARKERS = 64
_WINDOW = 1000
_KEYWORDS = (*_MARKING, "correct")
# A sentence such as `The answer is 13!` exclaims; `Answer: 13!` may be a factorial.
_EXCLAIMED = re.compile(r"(?<=[0-9*])!$")
_NUMBERED = re.compile(r"[ \t]*([0-9]{1,3})[.)][ \t]+[^\n]*(?:\n\s*)?")
_BULLET = re.compile(r"[ \t]*[-\u2022][ \t]+([^\n]+)(?:\n|$)")
_BLANK = re.compile(r"[\s*]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """Where a statement begins, by which words it is known, what it states; `closed` when it cannot go on."""

    start: int
    marker: str
    texts: tuple[str, ...]
    closed: bool


def last_statement(text: str) -> Statement | None:
    """The last statement that is not denied or conditional (`if the answer is 5`); null when there is none.

    `13 is the answer` counts like `the answer is 13`. A mere `B is correct` counts only where nothing else does, with
    all of its kind side by side, since a completion may weigh each option so.
    """
    lower = _lower(text)
    last = {word: place for word in _KEYWORDS if (place := lower.rfind(word)) >= 0}
    if not last:
        return None
    stated = _last_marked(text, lower, last)
    if stated is not None:
        behind = _values_before(text, stated.start, strong=True)
        return behind[-1] if behind else stated
    if behind := _values_before(text, 0, strong=True):
        return behind[-1]
    weak = _values_before(text, 0, strong=False)
    if not weak:
        return None
    texts = tuple(dict.fromkeys(statement.texts[0] for statement in weak))
    return Statement(weak[-1].start, weak[-1].marker, texts, weak[-1].closed)


def first_statement(text: str) -> str:
    """The first sentence without its grounds: `5, because ...` is `5`; all of it where the rest takes that back."""
    first = _first(text)
    return text.strip() if takes_back(text[len(first) :]) else first.strip()


def is_taken_back(text: str) -> bool:
    """Whether what follows the first sentence or statement gives it up again: `5. Or 6`, `5, which is wrong`."""
    return takes_back(text[len(_first(text)) :])


def _first(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return _GROUNDS.sub("", text[: end.start()] if end else text)


def _lower(text: str) -> str:
    """Lower case, place by place (a few letters become two)."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _last_marked(text: str, lower: str, last: dict[str, int]) -> Statement | None:
    for marker in islice(_markers_from_the_end(text, lower, last), _MAX_MARKERS):
        start = marker.start()
        if start == 0 or text[start - 1] == "\n" or not _DENIED.search(text[max(0, start - _LOOK_BACK) : start]):
            return _statement(text, marker)
    return None


def _markers_from_the_end(text: str, lower: str, last: dict[str, int]) -> Iterator[re.Match[str]]:
    """Markers, last first, around those places that hold a word of one: the pattern is slow on a whole text."""
    places = {word: place for word, place in last.items() if word in _MARKING}
    while places:
        place = max(places.values())
        start = max(text.rfind("\n", 0, place) + 1, place - _WINDOW)
        end = text.find("\n", place, place + _WINDOW)
        behind = _BLANK.match(text, max(end, 0))
        end = place + _WINDOW if end < 0 or behind is None else behind.end() + 1
        yield from reversed(list(_MARKER.finditer(text, start, end)))
        moved = {word: lower.rfind(word, 0, start) if at >= start else at for word, at in places.items()}
        places = {word: at for word, at in moved.items() if at >= 0}


def _values_before(text: str, start: int, *, strong: bool) -> list[Statement]:
    """The statements from `start` on with the value before the marker, in their order."""
    found = deque((m for m in _BEHIND.finditer(text, start) if bool(m["strong"]) is strong), _MAX_MARKERS)
    return [statement for m in found if (statement := _value_before(text, m)) is not None]


def _statement(text: str, marker: re.Match[str]) -> Statement | None:
    name = " ".join(marker[0].split())
    if name.lower().startswith("<answer>"):
        end = text.find("</answer>", marker.end())
        if end >= 0:
            return Statement(marker.start(), name, (text[marker.end() : end].strip(),), True)
    if "\n" in marker[0] and (items := _items(text, marker.end())) is not None:
        return Statement(marker.start(), name, items, text[marker.end() :].count("\n") >= len(items)) if items else None
    line_end = text.find("\n", marker.end())
    line = text[marker.end() :] if line_end < 0 else text[marker.end() : line_end]
    line, tag, _ = line.partition("</")
    closed = line_end >= 0 or bool(tag) or _SENTENCE_END.search(line) is not None
    line = line.strip()
    if name.rstrip("* ")[-1:].isalpha():
        line = _EXCLAIMED.sub("", line)
    return Statement(marker.start(), name, (line,), closed) if line else None


def _items(text: str, start: int) -> tuple[str, ...] | None:
    """The items of a list that begins at `start`: none where it cannot be said what they are; null for other text.

    Numbered items are steps or remarks as often as answers, and a single `- 5` may be five below zero.
    """
    if (first := _NUMBERED.match(text, start)) is not None:
        following = _NUMBERED.match(text, first.end())
        return () if following and int(following[1]) == int(first[1]) + 1 else None
    items: list[str] = []
    while (m := _BULLET.match(text, start)) and len(items) < _MAX_MARKERS:
        items.append(m[1].strip())
        start = m.end()
    if not items:
        return None
    return () if len(items) == 1 and items[0][:1].isdigit() else tuple(items)


def _value_before(text: str, behind: re.Match[str]) -> Statement | None:
    before = text[max(0, behind.start() - _LOOK_BACK) : behind.start()]
    start = 0
    for boundary in _CLAUSE_START.finditer(before):
        start = boundary.end()
    clause = before[start:].strip()
    lead_in = _LEAD_IN.match(clause)
    value = (clause[lead_in.end() :] if lead_in else clause).strip()
    if not value or len(value) > _MAX_VALUE or len(value.split()) > _MAX_WORDS or _NO_VALUE.search(value):
        return None
    if not behind["strong"] and not _LETTERS.fullmatch(value):
        return None
    closed = text[behind.end() :].strip(" \t*_") != ""
    return Statement(behind.start() - len(before) + start, behind[0].strip(), (value,), closed)
