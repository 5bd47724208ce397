"""Whether something said is about another thing than the question: another row, another day, another point."""

from __future__ import annotations

import re

from anectl.core.giveaways.question import Asked, stems
from anectl.core.giveaways.spelling import ORDINALS

_EXTREMES = tuple(
    frozenset(side.split())
    for side in (
        "largest highest longest biggest tallest oldest maximum most greatest larger higher longer bigger taller",
        "smallest lowest shortest youngest minimum least fewest smaller lower shorter",
    )
)
_LABEL_SETS = tuple(
    frozenset(labels.split())
    for labels in (
        "left right middle centre center",
        "first second third fourth fifth sixth seventh eighth ninth tenth last",
        "monday tuesday wednesday thursday friday saturday sunday",
        "january february march april may june july august september october november december",
        "red green blue yellow orange purple black white grey gray brown pink",
        "top bottom upper lower",
        "inner outer",
        "boy girl man woman men women",
        "gold silver bronze",
    )
)
_OTHER_PARTNER = re.compile(r"\b(?:other|third|missing|unknown|remaining|fourth)\b", re.IGNORECASE)
_PARTNER = re.compile(
    r"^\W*(?:one|the first|the given|the known) (?:side|leg|angle|number|addend|factor|part|root|value|edge)\b", re.I
)
_LETTER = re.compile(r"(?<![\w'])[B-HJ-Z](?![\w'])|(?<=[a-z] )A(?![\w'])")
_NUMBERED = re.compile(
    r"\b(row|column|week|day|year|quarter|group|period|shell|stop|line|figure|shop|team|step|case|box|cell|mark"
    r"|floor|round|lane|part)s? ([0-9]+)",
    re.IGNORECASE,
)
_NTH = re.compile(rf"\b({'|'.join(ORDINALS)}) ([a-z]+)", re.IGNORECASE)
_CODE = re.compile(r"\b(?:[0-9]+[a-z]|[A-Z]+[0-9]+)\b")


def is_other(said: str, asked: Asked, *, extremes: bool = True) -> bool:
    """Whether it bears a label that the question does not have: `Monday`, `row 2`, `B`, and `the smallest`."""
    words = stems(said)
    if extremes and any(words & side and not asked.words & side for side in _EXTREMES):
        return True
    for labels in _LABEL_SETS:
        if words & labels and asked.words & labels and not words & labels & asked.words:
            return True
    if any(words & labels & asked.words for labels in _LABEL_SETS):
        return False
    numbered = {(noun.lower(), number) for noun, number in _NUMBERED.findall(said)}
    if numbered and not numbered & _numbered_in(asked.text):
        return True
    if _PARTNER.search(said) and _OTHER_PARTNER.search(asked.text):
        return True
    codes = set(_CODE.findall(asked.text))
    if codes and (own_codes := set(_CODE.findall(said))) and not own_codes & codes:
        return True
    letters = set(_LETTER.findall(asked.text))
    return bool(letters) and bool(own := set(_LETTER.findall(said))) and not own & letters


def _numbered_in(question: str) -> set[tuple[str, str]]:
    """The things that a question names by a number, also in words: `row 2`, `the fourth figure`."""
    named = {(noun.lower(), number) for noun, number in _NUMBERED.findall(question)}
    return named | {(noun.lower(), str(ORDINALS.index(word.lower()) + 1)) for word, noun in _NTH.findall(question)}
