"""What the arithmetic of a text comes to: `11 - 3`, `half of 86`, `\\binom{8}{2}`, `the product of 15 and 12`.

Exact and small: numbers, the four operations, powers, roots, factorials and binomials, also with units between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_N = r"((?<![0-9])[0-9]{1,12}(?![0-9])(?:\.[0-9]{1,12})?(?:/[0-9]{1,12})?)"
_OF_BOTH = r"(?:(?:these|the|both|those) )?(?:numbers? )?"
_THESE = r"(?:(?:the|those|these|all|its|their) ){0,2}"
_MEASURED = r"(?: [A-Za-z]{1,3}(?:/[a-z]{1,3}(?:\^\{?[23]\}?)?)?)?"


def _remainder(m: re.Match[str]) -> str:
    whole, by = Fraction(m[1]), Fraction(m[2])
    return f"({whole} - {whole - whole % by})" if by else m[0]


# Calculations in words, as signs. Units and articles may stand around the numbers.
_PHRASES = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"(?<=[0-9]) ?x ?(?=[0-9])", " * "),
        (r"(?<=\)) ?: ?(?=[0-9])", " / "),
        (r"\\d?binom ?\{ ?([0-9]+) ?\} ?\{ ?([0-9]+) ?\}", r"C(\1;\2)"),
        (r"\b([0-9]+) choose ([0-9]+)\b", r"C(\1;\2)"),
        (r"\bC\(([0-9]+), ?([0-9]+)\)", r"C(\1;\2)"),
        (r"\b([0-9]+) factorial\b", r"\1!"),
        (r"(?<![0-9.])([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(?:%|per ?cent) of (?:the |all )?(?=[0-9])", r"(\1/100) * "),
        (rf"(?:\bthe )?\bproduct of {_OF_BOTH}{_N}{_MEASURED} and {_N}", r"(\1 * \2)"),
        (rf"(?:\bthe )?\bsum of {_OF_BOTH}{_N} and {_N}", r"(\1 + \2)"),
        (rf"(?:\bthe )?\bsum of {_OF_BOTH}{_N}, {_N},? and {_N}", r"(\1 + \2 + \3)"),
        (rf"(?:\bthe )?\bquotient of {_OF_BOTH}{_N} and {_N}", r"(\1 / \2)"),
        (rf"(?:\bthe )?\bdifference (?:of|between) {_OF_BOTH}{_N} and {_N}", r"|\1 - \2|"),
        (r"(?:divided by|over|/) ?([0-9]+/[0-9]+)", r"/ (\1)"),
        (rf"\b{_N} (?:taken|subtracted|deducted)(?: away)? from {_N}", r"(\2 - \1)"),
        (rf"\b{_N} added to {_N}", r"(\1 + \2)"),
        (rf"\b{_N} (?:less|fewer) than {_N}", r"(\2 - \1)"),
        (rf"\b{_N} more than {_N}", r"(\2 + \1)"),
        (rf"\b(?:twice|double) (?:of |the )?{_N}", r"(2 * \1)"),
        (rf"\b(?:three times|triple|thrice) (?:of |the )?{_N}", r"(3 * \1)"),
        (rf"\b{_N} (?:doubled|times two)\b", r"(2 * \1)"),
        (rf"\b{_N} tripled\b", r"(3 * \1)"),
        (rf"\b{_N} halved\b", r"(\1 / 2)"),
        (rf"\bhalf (?:of )?{_THESE}{_N}", r"(\1 / 2)"),
        (rf"\b(?:a|one) (?:quarter|fourth) of {_THESE}{_N}", r"(\1 / 4)"),
        (rf"\b(?:a|one) third of {_THESE}{_N}", r"(\1 / 3)"),
        (rf"\bremainder of {_THESE}{_N}[a-z ]{{1,20}} by {_N}", _remainder),
        (rf"(?<=[0-9)]),? (?:and|then)(?: then)? (?:knock|take) (?:off|away) {_N}", r" - \1"),
        (rf"\bquotient (?:of )?{_N} ?[:/] ?{_N}", r"(\1 / \2)"),
        (rf"(?:(?<== )|(?<=makes )|(?<=gives )){_N}(?: [A-Za-z]{{1,3}})? : {_N}", r"(\1 / \2)"),
        (r"\b([0-9]+/[0-9]+|0?\.[0-9]+) of the (?=[0-9])", r"\1 * "),
        (rf"\b{_N} (?:squared|to the second)\b|\b(?:the )?square of {_N}(?![0-9.]| (?:rows|columns|cells|fields"
            rf"|sides?|units?|cm|m)\b)", r"\1\2^2"),
        (rf"\b{_N} cubed\b|\b(?:the )?cube of {_N}(?![0-9.])", r"\1\2^3"),
        (rf"\b{_N} (?:raised )?to the power (?:of )?{_N}", r"\1^\2"),
        (r"(?<=[0-9])(?: [A-Za-z]{1,15}){0,5} (?:plus|added to|and another) (?=[0-9])", r" + "),
        (r"(?<=[0-9])(?: [A-Za-z]{1,15}){0,5} (?:minus|take away) (?=[0-9])", r" - "),
        (r"(?<=[0-9])(?: [A-Za-z]{2,15}){0,2} (?:times|multiplied by) (?=[0-9])", r" * "),
        (r"(?<=[0-9])(?: [A-Za-z]{2,15}){0,2},? (?:divided by|shared by|split by|over) (?=[0-9])", r" / "),
    )
)  # fmt: skip
# Nothing of the above or below stands in a text without one of these.
_CALCULATION = re.compile(
    r"[0-9)] ?[x:%]|binom|choose|factorial|C\(|per ?cent|product|\bsum |quotient|differen|subtract|deduct|\btake"
    r"|remov|add|divid|multipl|\bthan |twice|doubl|tripl|thrice|times|halve|half|quarter|fourth|third|remainder"
    r"|knock|over |: |[0-9] of |square"
    r"|cube|power|plus|another|minus|shared|split",
    re.IGNORECASE,
)
# What a text tells to do; with the result behind it, it is said to be one.
_TASKS = (
    (rf"\b(?:subtract|deduct|take|remove)(?:ing)?(?: away)? (?:the )?{_N}(?: away)? from (?:the )?{_N}", r"(\2 - \1)"),
    (rf"\bfrom (?:the )?{_N},? (?:subtract|deduct|take)(?: away)? (?:the )?{_N}", r"(\1 - \2)"),
    (rf"\badd(?:ing)? (?:the )?{_N} (?:to|and) (?:the )?{_N}", r"(\1 + \2)"),
    (rf"\bdivid(?:e|ing) {_N}(?: [a-z]{{1,15}}){{0,2}} (?:by|into) {_N}", r"(\1 / \2)"),
    (rf"\bmultiply(?:ing)? {_N} (?:by|with|and) {_N}", r"(\1 * \2)"),
)
_AND_HAVE = (
    r"(?=[^.;\n]{0,20}?,? (?:and|to|which|then|you|it|that)\b[^.;\n]{0,12}?"
    r" (?:have|get|gives?|leaves?|find|makes?|is|are|obtain|equals?|reach|arrive)\b)"
)
_ANY_TASK, _DONE_TASK = (
    tuple((re.compile(pattern + end, re.IGNORECASE), plain) for pattern, plain in _TASKS) for end in ("", _AND_HAVE)
)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?P<percent> ?%)?"
    r"|C\((?P<upper>[0-9]{1,3});(?P<lower>[0-9]{1,3})\)|(?P<root>\\sqrt(?=[{(0-9]))|(?P<sign>[-+*/^(){}\[\]!|−–]))"
)
_UNIT = re.compile(
    r"\s?(?:°|Ω|[A-Za-zµ]{1,12}(?:\^?\{?[23]\}?)?(?:/[A-Za-z]{1,10}(?:\^?\{?[23]\}?)?)?)(?=\s*(?:[-+*)]"
    r"|/(?!\s?[A-Za-z])))"
)
_UNKNOWN = re.compile(r"\s*[A-Za-z](?![\w'])")
_START = re.compile(r"[0-9(\[{|\\C.]")
_LETTER = re.compile(r"[^\W\d_]|_")
_MOST_TOKENS = 60
_MOST_DIGITS = 12
_LARGEST_EXPONENT = 40
_LARGEST_FACTORIAL = 20
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Sum:
    """An expression of a text: its value, where it stands, and how many steps it takes.

    `loose`: all of its signs are as ambiguous as in `3-2`.
    """

    value: Fraction
    start: int
    end: int
    steps: int
    loose: bool


def in_signs(text: str, *, tasks: bool = True) -> str:
    """A text in digits with calculations in words as signs: `subtract 37 from 100` is `(100 - 37)`.

    Without `tasks`, what is told to do stays in words, unless its result is spoken of behind it.
    """
    if not _CALCULATION.search(text):
        return text
    for pattern, plain in (*(_ANY_TASK if tasks else _DONE_TASK), *_PHRASES):
        text = pattern.sub(plain, text)
    return text


def sums(text: str) -> Iterator[Sum]:
    """The whole expressions of a text in signs, with two numbers or more, that no equation goes on with."""
    place = 0
    while (m := _START.search(text, place)) is not None:
        start = m.start()
        tokens, end = _tokens(text, start)
        place = max(end, start + 1)
        if not any(kind in ("number", "choose") for kind, _, _ in tokens) or _goes_on(text, start, end):
            continue
        if tokens and tokens[-1][1] in ("*", "/", "+", "-") and _UNKNOWN.match(text, end):
            continue
        while tokens and tokens[-1][1] in ("(", "[", "{", "*", "/", "+", "-"):
            end = tokens.pop()[2]
        while sum(sign == ")" for _, sign, _ in tokens) > sum(sign == "(" for _, sign, _ in tokens):
            end = tokens.pop()[2]
        signs = [sign for kind, sign, _ in tokens if kind == "sign" and sign not in "(){}[]"]
        if not signs and not any(kind in ("choose", "root") for kind, _, _ in tokens):
            continue
        value = _value(tokens)
        if value is not None:
            stop = tokens[-1][2] if len(tokens) else end
            loose = (
                all(sign in "-/" for sign in signs)
                and " " not in text[start:end].strip()
                and "(" not in text[start:end]
            )
            yield Sum(value, start, stop, len(signs), loose)


def _tokens(text: str, start: int) -> tuple[list[tuple[str, str, int]], int]:
    """The tokens from a place on, each as its kind, its text and where it ends; units within are left out."""
    tokens: list[tuple[str, str, int]] = []
    place = start
    while len(tokens) < _MOST_TOKENS and (m := _TOKEN.match(text, place)) is not None:
        kind = "choose" if m["upper"] else "number" if m["number"] else "root" if m["root"] else "sign"
        if kind == "number" and tokens and tokens[-1][0] in ("number", "choose"):
            break
        sign = f"{m['upper']};{m['lower']}" if kind == "choose" else (m["number"] or m["root"] or m["sign"])
        if m["sign"] == "!" and (not tokens or (tokens[-1][1] not in (")", "]") and tokens[-1][0] != "number")):
            break
        place = m.end()
        tokens.append((kind, sign.replace("−", "-").replace("–", "-"), place))
        if m["percent"]:
            tokens.append(("percent", "%", place))
        if kind == "number" and (unit := _UNIT.match(text, place)) and _is_unit(text, place, unit):
            place = unit.end()
    return tokens, place


def _is_unit(text: str, place: int, unit: re.Match[str]) -> bool:
    """Whether letters behind a number are a unit: `2x + 3` and `3 a - 2` have variables."""
    letters = unit[0].strip()
    if letters in ("°", "Ω") or len(letters) > 1 or letters in "mgslhVAWNLJK":
        return not letters.isalpha() or len(letters) > 1 or text[place : place + 1] == " "
    return False


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether a run is part of more: an equation goes on, a letter or a masked value stands at one of its ends."""
    behind = text[end : end + 12].lstrip()
    if behind[:1] in ("=", "?", "<", ">", "≈") or behind[:1] in ("\\", "_") or _LETTER.match(text[end : end + 1]):
        return not behind.startswith(("\\)", "\\]"))
    if re.match(r"[-+*/^]?\s*(?:\?|[A-Za-z](?![\w'])\s*[-+*/^=)])", behind):
        return True
    before = text[max(0, start - 12) : start].rstrip()
    if before[-1:] in ("^", "_", "\\", "/", "*", "+", "?"):
        return True
    if re.search(r"(?:[?)]|(?<![\w'])[A-Za-z])\s*[-–−]$", before):
        return True
    return _LETTER.match(text[start - 1 : start] or " ") is not None


class _Unreadable(Exception):
    """The tokens are no expression, or one too large."""


def _value(tokens: list[tuple[str, str, int]]) -> Fraction | None:
    try:
        value, place = _sum(tokens, 0, 0)
    except (_Unreadable, ZeroDivisionError):
        return None
    return value if place == len(tokens) else None


def _at(tokens: list[tuple[str, str, int]], place: int) -> tuple[str, str]:
    return tokens[place][:2] if place < len(tokens) else ("", "")


def _sum(tokens: list[tuple[str, str, int]], place: int, depth: int) -> tuple[Fraction, int]:
    if depth > _DEEPEST:
        raise _Unreadable
    value, place = _product(tokens, place, depth)
    while (sign := _at(tokens, place)[1]) in ("+", "-"):
        right, place = _product(tokens, place + 1, depth)
        value = value + right if sign == "+" else value - right
    return value, place


def _product(tokens: list[tuple[str, str, int]], place: int, depth: int) -> tuple[Fraction, int]:
    value, place = _power(tokens, place, depth)
    while True:
        kind, sign = _at(tokens, place)
        if sign in ("*", "/"):
            right, place = _power(tokens, place + 1, depth)
            value = value * right if sign == "*" else value / right
        elif sign in ("(", "[", "{") or kind == "root":
            right, place = _power(tokens, place, depth)
            value *= right
        else:
            return value, place


def _power(tokens: list[tuple[str, str, int]], place: int, depth: int) -> tuple[Fraction, int]:
    if _at(tokens, place)[1] == "-":
        value, place = _power(tokens, place + 1, depth + 1) if depth <= _DEEPEST else (Fraction(0), place)
        return -value, place
    value, place = _atom(tokens, place, depth)
    while True:
        sign = _at(tokens, place)[1]
        if sign == "!":
            if value.denominator != 1 or not 0 <= value <= _LARGEST_FACTORIAL:
                raise _Unreadable
            value, place = Fraction(math.factorial(int(value))), place + 1
        elif sign == "%":
            value, place = value / 100, place + 1
        elif sign == "^":
            exponent, place = _atom(tokens, place + 1, depth)
            if exponent.denominator != 1 or abs(exponent) > _LARGEST_EXPONENT or abs(value) > 10**_MOST_DIGITS:
                raise _Unreadable
            value = value ** int(exponent)
        else:
            return value, place


def _atom(tokens: list[tuple[str, str, int]], place: int, depth: int) -> tuple[Fraction, int]:
    kind, sign = _at(tokens, place)
    if kind == "number" and len(sign) <= _MOST_DIGITS:
        return Fraction(sign.replace(",", "")), place + 1
    if kind == "choose":
        upper, lower = map(int, sign.split(";"))
        return Fraction(math.comb(upper, lower)), place + 1
    if kind == "root":
        value, place = _atom(tokens, place + 1, depth + 1)
        return _root(value), place
    if sign in ("(", "[", "{", "|"):
        if depth > _DEEPEST:
            raise _Unreadable
        value, place = _sum(tokens, place + 1, depth + 1)
        if _at(tokens, place)[1] != {"(": ")", "[": "]", "{": "}", "|": "|"}[sign]:
            raise _Unreadable
        return abs(value) if sign == "|" else value, place + 1
    raise _Unreadable


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise _Unreadable
    upper, lower = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if upper * upper != value.numerator or lower * lower != value.denominator:
        raise _Unreadable
    return Fraction(upper, lower)
