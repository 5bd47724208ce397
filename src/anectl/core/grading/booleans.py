"""Yes and no, true and false, in the languages people ask models in."""

from __future__ import annotations

import re

from anectl.core.grading.hedges import takes_back
from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.statements import first_statement

_YES_LIST = (
    "yes true correct ja wahr oui vrai s\u00ed si verdadero s\u00ec vero sim verdadeiro "
    "\u0434\u0430 \u0432\u0435\u0440\u043d\u043e "
    "\u662f \u662f\u7684 \u5bf9 \u5bf9\u7684 \u6b63\u786e \u306f\u3044 \uc608 \ub124"
)
_NO_LIST = (
    "no false incorrect nein falsch non faux falso n\u00e3o nao "
    "\u043d\u0435\u0442 \u043d\u0435\u0432\u0435\u0440\u043d\u043e "
    "\u5426 \u4e0d\u662f \u4e0d\u5bf9 \u9519 \u9519\u8bef \u4e0d\u6b63\u786e \u3044\u3044\u3048 "
    "\uc544\ub2c8\uc694 \uc544\ub2c8\uc624"
)
_OTHER = {"yes": "no", "no": "yes"}
_VALUES = {**dict.fromkeys(_YES_LIST.split(), "yes"), **dict.fromkeys(_NO_LIST.split(), "no")}
_WORD = "(" + "|".join(sorted(_VALUES, key=len, reverse=True)) + r")(?!\w)"
_BOOLEAN = re.compile(rf"(?:(?:it|that|this) is |it's )?{_WORD}(?:$|\s*[.,;:!()/\u2014-].*)", re.I | re.S)
_AGAIN = re.compile(rf"(?:[.,;:/(]|\bor\b|\band\b|\bbut\b)\s*{_WORD}", re.I)
_AFTER_DASH = re.compile(rf"[!?\u2014\u2026-]\s*{_WORD}\s*(?:$|[^\w\s])", re.I)
# Behind `yes` or `no`: `it is false`, `that is not true`, `the statement is incorrect`.
_CLAIM = re.compile(
    r"[\s.,;:!()\u2014-]+(?:it|this|that|(?:the|this|that) (?:statement|claim|answer|sentence))"
    rf"(?:'s| is| was| would be)(?P<denied> not)? {_WORD}",
    re.I,
)
_NOT_AT_ALL = re.compile(r"\W*(?:\w+\s+){0,3}(?:not|isn't|doesn't|don't|aren't)\W*", re.I)
_CONDITION = re.compile(r"[\s,;(\u2014-]+(?:if|unless|only if|when|except)\b", re.I)
_CONTRAST = re.compile(r"\W*(?:but|however)\b", re.I)
_HEDGE = re.compile(r"\W+or\W+|\W+and\W+")


def boolean_value(text: str) -> str | None:
    """`yes` or `no` for a single word that means it; null for anything else."""
    return _VALUES.get(unwrapped(text).strip("'\"").casefold())


def parse_boolean(text: str) -> frozenset[str]:
    """The values a statement names: one for an answer, both for a hedge, none when it says something else."""
    stated = unwrapped(text)
    m = _BOOLEAN.fullmatch(stated) or _BOOLEAN.fullmatch(first_statement(stated))
    if m is None:
        hedged = frozenset(_VALUES[word] for word in _HEDGE.split(stated.casefold()) if word in _VALUES)
        return hedged if len(hedged) > 1 else frozenset()
    value, rest = _VALUES[m[1].casefold()], stated[m.end(1) :]
    again = (_VALUES[word.casefold()] for pattern in (_AGAIN, _AFTER_DASH) for word in pattern.findall(stated))
    return frozenset((value, *again, _behind(value, rest)))


def _behind(value: str, rest: str) -> str:
    """The value that the words behind `yes` or `no` claim or turn to; the same one where they do neither."""
    if claim := _CLAIM.match(rest):
        claimed = _VALUES[claim[2].casefold()]
        return _OTHER[claimed] if claim["denied"] else claimed
    if _CONDITION.match(rest):
        return _OTHER[value]
    turned = takes_back(rest) and not _CONTRAST.match(rest)
    return _OTHER[value] if turned or (value == "yes" and _NOT_AT_ALL.fullmatch(rest)) else value
