"""Numbers in digits: grouped thousands, decimals that repeat, fractions, mixed numbers, powers of ten. All exact."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

# Thousands in groups of three behind one kind of sign, or in the Indian way: 1,00,000.
_WHOLE = (
    r"(?:[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+|(?:_[0-9]{3})+|(?:'[0-9]{3})+|(?:[ ][0-9]{3})+)(?![0-9])"
    r"|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![0-9])|[0-9]+)"
)
_DECIMAL = rf"(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+)"
_TIMES = r"\s*(?:\\times|\\cdot|\u00d7|\u00b7|\u22c5|\*|x)\s*"
_FRAC = r"\\[dtc]?frac\s*"
_LATEX_FRACTION = rf"{_FRAC}(?:\{{\s*([+-]?{_DECIMAL})\s*\}}\s*\{{\s*({_DECIMAL})\s*\}}|([0-9])\s*([0-9]))"
_POWER = re.compile(rf"(?:({_DECIMAL}){_TIMES})?10\s*\^\s*(?:\{{\s*([+-]?[0-9]{{1,3}})\s*\}}|([+-]?[0-9]{{1,3}}))")
_MIXED = re.compile(
    rf"({_WHOLE})(?:(?:\s+|\s+and\s+)([0-9]+)\s*/\s*([0-9]+)"
    rf"|\s*{_FRAC}(?:\{{\s*([0-9]+)\s*\}}\s*\{{\s*([0-9]+)\s*\}}|([0-9])\s*([0-9])))"
)
_RATIO = re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})|{_LATEX_FRACTION}")
_REPEATING = re.compile(
    rf"({_WHOLE})?\.([0-9]*)"
    r"(?:\\(?:overline|bar)\s*\{\s*([0-9]+)\s*\}|\\bar\s*([0-9])(?![0-9])|\(([0-9]+)\)|((?:[0-9]\u0305)+))"
)
_PLAIN = re.compile(rf"({_DECIMAL})(?:[eE]([+-]?[0-9]{{1,3}})(?![0-9A-Za-z]))?")
_DECIMAL_COMMA = re.compile(r"(?<![0-9.,])([0-9]{1,3}(?:[. ][0-9]{3})+|[0-9]+),([0-9]+)(?![0-9.,])")
_GROUPING = str.maketrans("", "", ",_' ")


def read_numeral(text: str, start: int) -> tuple[Fraction, int] | None:
    """The unsigned number at `start` and where it ends; null where none stands or it divides by zero."""
    if m := _POWER.match(text, start):
        return fraction(m[1] or "1") * Fraction(10) ** int(m[2] or m[3]), m.end()
    if m := _MIXED.match(text, start):
        top, bottom = int(m[2] or m[4] or m[6]), int(m[3] or m[5] or m[7])
        return (fraction(m[1]) + Fraction(top, bottom), m.end()) if 0 < top < bottom else None
    if m := _RATIO.match(text, start):
        top_text, bottom_text = next((m[i], m[i + 1]) for i in (1, 3, 5) if m[i] is not None)
        bottom_value = fraction(bottom_text)
        return (fraction(top_text) / bottom_value, m.end()) if bottom_value else None
    if m := _REPEATING.match(text, start):
        return _repeating(m[1] or "0", m[2], (m[3] or m[4] or m[5] or m[6]).replace("\u0305", "")), m.end()
    if m := _PLAIN.match(text, start):
        return fraction(m[1]) * Fraction(10) ** int(m[2] or 0), m.end()
    return None


def fraction(digits: str) -> Fraction:
    """The value of a decimal with its grouping signs."""
    digits = digits.translate(_GROUPING)
    return Fraction(int(digits)) if digits.isdecimal() else Fraction(Decimal(digits))


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    once = Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return fraction(whole) + Fraction(int(fixed or "0"), 10 ** len(fixed)) + once


def with_decimal_point(text: str) -> tuple[str, int, bool] | None:
    """A text with one decimal comma written with a point instead, its decimals, and whether it may group thousands.

    Null when no number with a single comma stands in it. `3,14` has no other reading as one number; `3,142` has.
    """
    found = _DECIMAL_COMMA.findall(text)
    if len(found) != 1:
        return None
    ((head, decimals),) = found
    grouped = len(decimals) == 3 and len(head) <= 3 and not head.startswith("0")
    rewritten = _DECIMAL_COMMA.sub(lambda m: re.sub("[. ]", "", m[1]) + "." + m[2], text)
    return rewritten, len(decimals), grouped


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
    scaled = abs(value) * Fraction(10) ** min(places, 300)
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return -whole if value < 0 else whole
