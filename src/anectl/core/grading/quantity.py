"""Numbers with what stands around them: sign, currency, scale word, percent sign, unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from anectl.core.grading.hedges import is_doubtful
from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.numerals import plain_number, read_numeral
from anectl.core.grading.units import parse_unit
from anectl.core.grading.words import SCALES, leading_number

MAX_LENGTH = 300
"""Characters; longer text is not read as a number."""

_SIMPLE = re.compile(r"-?[0-9]{1,18}")
_CURRENCY = r"([$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd]?)"
_SIGN = re.compile(rf"{_CURRENCY}\s*([+-]?)\s*{_CURRENCY}\s*")
_CODES = {"US$": "$", "USD": "$", "EUR": "\u20ac", "GBP": "\u00a3", "JPY": "\u00a5", "INR": "\u20b9"}
_CODE = re.compile(r"(US\$|USD|EUR|GBP|JPY|INR)\s*(?=[-+0-9.])")
_EQUALS = re.compile(r"=|\\approx(?![A-Za-z])|\u2248")
_OTHER_RELATION = re.compile(r"[!/~]\s*=|[<>\u2260\u2264\u2265]")
_SEVERAL = re.compile(r"[,;]|\b(?:and|or)\b", re.IGNORECASE)
# `2x = 5` and `x^2 = 5` say something about x that is not the number on the right.
_OF_ANOTHER = re.compile(r"(?:-|-?[0-9./]+\s*\*?\s*|[0-9]+\s*/\s*)[A-Za-z]|[A-Za-z]\s*\^\s*\{?[0-9-]+\}?")
_APPROXIMATELY = re.compile(r"^(?:approximately|approx|about|roughly|around|exactly|equal to)\b\.?\s*", re.IGNORECASE)
_MINUS = re.compile(r"^(?:minus|negative)\s+(?=[0-9.])", re.IGNORECASE)
_REMARK = re.compile(r"\s*\([^()0-9]*\)$")
_ENCLOSED = re.compile(r"\(([^()]*)\)")
_MINUTE, _SECOND = r"(?:'|\u2032|\^\{?\\prime\}?)", r"(?:\"|''|\u2033|\^\{\\prime\s*\\prime\})"
_ANGLE = re.compile(
    rf"([0-9]+)\s*\u00b0\s*([0-9]+(?:\.[0-9]+)?)\s*{_MINUTE}(?!')(?:\s*([0-9]+(?:\.[0-9]+)?)\s*{_SECOND})?"
)
_PARTS_OF_HUNDRED = {"%": Fraction(1), "\u2030": Fraction(1, 10)}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and what stands behind it; `unit` is folded, `percent` numbers are as written (50% has value 50).

    `scale` is what a scale word multiplied the value by (`5 million`: value 5000000, scale 1000000).
    """

    value: Fraction
    unit: str = ""
    percent: bool = False
    scale: int = 1

    def text(self) -> str:
        """One spelling per value: a decimal where it ends, else `p/q`; then the percent sign."""
        return plain_number(self.value) + ("%" if self.percent else "")


def parse_quantity(text: str) -> Quantity | None:
    """The number that `text` as a whole states, with an optional unit; null when it states none or more than one.

    `x = 5` and `2 + 3 = 5` state 5; `4 = 5` states nothing, and `1/3 = 0.33` neither.
    """
    if _SIMPLE.fullmatch(text):
        return Quantity(Fraction(int(text)))
    if len(text) > MAX_LENGTH:
        return None
    sides = _EQUALS.split(bare := unwrapped(text))
    stated = _parse_side(sides[-1])
    if stated is None or len(sides) == 1:
        return stated
    if _OTHER_RELATION.search(bare) or any(map(_says_more, sides[:-1])):
        return None
    others = [_parse_side(side) for side in sides[:-1]]
    return stated if all(other is None or other.value == stated.value for other in others) else None


def _says_more(side: str) -> bool:
    """Whether it is more than the name of the number or the way to it: `6, y` of `x = 6, y = 5`, `not x`, `2x`."""
    if is_doubtful(side) or _OF_ANOTHER.fullmatch(side.strip()):
        return True
    return any(_parse_side(part) for part in _SEVERAL.split(side)) if _SEVERAL.search(side) else False


def _parse_side(text: str) -> Quantity | None:
    text = _without_remark(_APPROXIMATELY.sub("", text.strip()))
    if m := _ENCLOSED.fullmatch(text):
        text = m[1].strip()
    text = _MINUS.sub("-", text)
    if code := _CODE.match(text):
        text = _CODES[code[1]] + text[code.end() :]
    sign = _SIGN.match(text)
    assert sign is not None  # every part of the pattern is optional
    if sign[1] and sign[3]:
        return None
    factor = -1 if sign[2] == "-" else 1
    if m := _ANGLE.fullmatch(text, sign.end()):
        return _angle(factor, m[1], m[2], m[3] or "0")
    read = read_numeral(text, sign.end())
    if read is not None:
        value, end = read
        return _with_tail(factor * value, 1, sign[1] or sign[3], text[end:])
    if (in_words := leading_number(text)) is not None:
        value, scale, end = in_words
        return _with_tail(value, scale, "", text[end:])
    return None


def _without_remark(text: str) -> str:
    """`5 (apples)` without what stands in brackets, unless that casts doubt on it or is another number."""
    m = _REMARK.search(text)
    if m is None or is_doubtful(m[0]):
        return text
    before, in_words = text[: m.start()], leading_number(m[0].strip(" ()"))
    if in_words is not None and ((stated := _parse_side(before)) is None or stated.value != in_words[0]):
        return text
    return before


def _angle(factor: int, degrees: str, minutes: str, seconds: str) -> Quantity | None:
    """Degrees, minutes and seconds of arc as degrees."""
    parts = Fraction(minutes), Fraction(seconds)
    if max(parts) >= 60:
        return None
    return Quantity(factor * (int(degrees) + parts[0] / 60 + parts[1] / 3600), "\u00b0")


def _with_tail(value: Fraction, scale: int, currency: str, tail: str) -> Quantity | None:
    word, _, rest = tail.strip().partition(" ")
    if scale == 1 and (factor := SCALES.get(word.casefold())):
        value, scale, tail = value * factor, factor, rest
    unit = parse_unit(tail)
    if unit is None or (unit and currency and unit != currency):
        return None
    if (part := _PARTS_OF_HUNDRED.get(unit)) is not None:
        return Quantity(value * part, percent=True, scale=scale)
    return Quantity(value, unit or currency, scale=scale)
