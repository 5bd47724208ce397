"""Numbers as people and models write them, read exactly: signs, thousands, fractions, powers of ten, units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.units import parse_unit

MAX_LENGTH = 300
"""Characters; longer text is not read as a number."""

_WHOLE = r"(?:[0-9]{1,3}(?:[,_'][0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+)"
_TIMES = r"\s*(?:\\times|\\cdot|\u00d7|\u00b7|\*|x)\s*"
_LATEX_FRACTION = rf"\\[dtc]?frac\s*(?:\{{\s*([+-]?{_DECIMAL})\s*\}}\s*\{{\s*({_DECIMAL})\s*\}}|([0-9])\s*([0-9]))"
_SIGN = re.compile(r"([$\u20ac\u00a3\u00a5]?)\s*([+-]?)\s*([$\u20ac\u00a3\u00a5]?)\s*")
_POWER = re.compile(rf"(?:({_DECIMAL}){_TIMES})?10\s*\^\s*(?:\{{\s*([+-]?[0-9]{{1,3}})\s*\}}|([+-]?[0-9]{{1,3}}))")
_MIXED = re.compile(rf"({_WHOLE})(?:\s+([0-9]+)\s*/\s*([0-9]+)|\s*\\[dtc]?frac\s*\{{([0-9]+)\}}\s*\{{([0-9]+)\}})")
_RATIO = re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})|{_LATEX_FRACTION}")
_PLAIN = re.compile(rf"({_DECIMAL})(?:[eE]([+-]?[0-9]{{1,3}})(?![0-9A-Za-z]))?")
_APPROXIMATELY = re.compile(
    r"^(?:\\approx|\u2248|=|(?:approximately|approx|about|roughly|around|exactly|equal to)\b\.?)\s*", re.IGNORECASE
)
_REMARK = re.compile(r"\s*\([^()0-9]*\)$")
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WORD_VALUES = {word: Fraction(value) for value, word in enumerate(_WORDS.split())}
_GROUPING = str.maketrans("", "", ",_'")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and what stands behind it; `unit` is folded, `percent` numbers are as written (50% has value 50)."""

    value: Fraction
    unit: str = ""
    percent: bool = False

    def text(self) -> str:
        """One spelling per value: a decimal where it ends, else `p/q`; then the percent sign."""
        return plain_number(self.value) + ("%" if self.percent else "")


def parse_quantity(text: str) -> Quantity | None:
    """The number that `text` as a whole states, with an optional unit; null when it states none or more than one.

    `x = 5` and `2 + 3 = 5` state 5; `4 = 5` states nothing.
    """
    if len(text) > MAX_LENGTH:
        return None
    sides = unwrapped(text).split("=")
    stated = _parse_side(sides[-1])
    if stated is None or len(sides) == 1:
        return stated
    others = [_parse_side(side) for side in sides[:-1]]
    return stated if all(other is None or other.value == stated.value for other in others) else None


def _parse_side(text: str) -> Quantity | None:
    text = _REMARK.sub("", _APPROXIMATELY.sub("", text.strip()))
    head, _, tail = text.partition(" ")
    if head.casefold() in _WORD_VALUES:
        return _with_tail(_WORD_VALUES[head.casefold()], "", tail)
    sign = _SIGN.match(text)
    assert sign is not None  # every part of the pattern is optional
    read = _parse_unsigned(text, sign.end())
    if read is None:
        return None
    value, end = read
    return _with_tail(-value if sign[2] == "-" else value, sign[1] or sign[3], text[end:])


def _with_tail(value: Fraction, currency: str, tail: str) -> Quantity | None:
    unit = parse_unit(tail)
    if unit is None or (unit and currency):
        return None
    return Quantity(value, percent=True) if unit == "%" else Quantity(value, unit or currency)


def _parse_unsigned(text: str, start: int) -> tuple[Fraction, int] | None:
    if m := _POWER.match(text, start):
        return _fraction(m[1] or "1") * Fraction(10) ** int(m[2] or m[3]), m.end()
    if m := _MIXED.match(text, start):
        top, bottom = int(m[2] or m[4]), int(m[3] or m[5])
        return (_fraction(m[1]) + Fraction(top, bottom), m.end()) if 0 < top < bottom else None
    if m := _RATIO.match(text, start):
        top_text, bottom_text = next((m[i], m[i + 1]) for i in (1, 3, 5) if m[i] is not None)
        bottom_value = _fraction(bottom_text)
        return (_fraction(top_text) / bottom_value, m.end()) if bottom_value else None
    if m := _PLAIN.match(text, start):
        return _fraction(m[1]) * Fraction(10) ** int(m[2] or 0), m.end()
    return None


def _fraction(digits: str) -> Fraction:
    digits = digits.translate(_GROUPING)
    return Fraction(int(digits)) if digits.isdecimal() else Fraction(Decimal(digits))


def plain_number(value: Fraction) -> str:
    """The shortest exact spelling: `5`, `-0.25`, or `1/3` where the decimal does not end."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return ("-" if value < 0 else "") + digits[:-places] + "." + digits[-places:]


def rounded(value: Fraction, places: int) -> int:
    """`value` in units of 10^-places, halves rounded away from zero as in school, not to even."""
    scaled = abs(value) * Fraction(10) ** min(places, MAX_LENGTH)
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return -whole if value < 0 else whole
