"""The value of a formula without variables: what a script gets that turns LaTeX into Python and evaluates that.

Nothing is run: numbers, `+ - * / ^ !`, brackets, `\\frac`, `\\sqrt`, `\\pi` and `\\%` are read by hand. As in Python
whole numbers stay whole until they are divided. Short and shallow formulas only, and powers end where floats do.
"""

from __future__ import annotations

import math
import re

MAX_LENGTH = 300
MAX_DEPTH = 20
_MAX_FACTORIAL = 170  # the largest whose value is a float

_TOKEN = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<sign>\\(?:frac|dfrac|tfrac|sqrt|pi|cdot|times|div)(?![A-Za-z])|\\%|[-+*/:^!(){}\[\]\u03c0\u00d7\u00b7\u00f7])"
    r"|(?P<space>(?:[\s$~]|\\[,;! ]|\\q?quad(?![A-Za-z])|\\(?:left|right|displaystyle)(?![A-Za-z]))+)",
    re.ASCII,
)
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_TIMES = ("*", "\\cdot", "\\times", "\u00d7", "\u00b7")
_OVER = ("/", ":", "\\div", "\u00f7")
_SPELLINGS = {"\\dfrac": "\\frac", "\\tfrac": "\\frac", "\u03c0": "\\pi"}


def latex_value(text: str) -> int | float | None:
    """The value of `text`; null when it is no formula of the kinds named above, or has no finite real value."""
    if len(text) > MAX_LENGTH:
        return None
    tokens = _tokens(text)
    if not tokens:
        return None
    reader = _Reader(tokens)
    try:
        value = reader.sum()
        return value if reader.at_end() and math.isfinite(value) else None
    except (_NoValue, ArithmeticError):
        return None


class _NoValue(Exception):
    """The text is no formula that is read here."""


def _tokens(text: str) -> list[str] | None:
    tokens, end = [], 0
    while end < len(text):
        m = _TOKEN.match(text, end)
        if m is None:
            return None
        if m["space"] is None:
            tokens.append(_SPELLINGS.get(m[0], m[0]))
        end = m.end()
    return tokens


class _Reader:
    """Recursive descent: sum, product, factors side by side, power, atom; each reads as far as it can."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, ""]
        self._next = 0
        self._depth = 0

    def at_end(self) -> bool:
        return self._tokens[self._next] == ""

    def sum(self) -> int | float:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NoValue
        value = self._product()
        while (sign := self._take("+", "-")) is not None:
            other = self._product()
            value = value + other if sign == "+" else value - other
        self._depth -= 1
        return value

    def _product(self) -> int | float:
        value = self._signed()
        while (sign := self._take(*_TIMES, *_OVER)) is not None:
            other = self._signed()
            value = value * other if sign in _TIMES else value / other
        return value

    def _signed(self) -> int | float:
        negative = False
        while (sign := self._take("+", "-")) is not None:
            negative ^= sign == "-"
        # Factors side by side bind more tightly than a division: `1/2\\pi` is 1/(2 pi).
        value = self._power()
        while self._begins_atom():
            value *= self._power()
        return -value if negative else value

    def _power(self) -> int | float:
        value = self._atom()
        while (sign := self._take("^", "!", "\\%")) is not None:
            if sign == "\\%":
                value /= 100
            elif sign == "!":
                value = _factorial(value)
            else:
                value = _to_the(value, self._atom())
        return value

    def _begins_atom(self) -> bool:
        token = self._tokens[self._next]
        return token[:1].isdigit() or token[:1] == "." or token in ("(", "{", "[", "\\frac", "\\sqrt", "\\pi")

    def _atom(self) -> int | float:
        if not self._begins_atom():
            raise _NoValue
        token = self._tokens[self._next]
        self._next += 1
        if token in _CLOSING:
            return self._closed(token)
        if token == "\\pi":
            return math.pi
        if token == "\\frac":
            top = self._group()
            return top / self._group()
        if token == "\\sqrt":
            degree = self._closed("[") if self._take("[") else 2
            return _to_the(self._group(), 1 / degree)
        number = float(token.replace(",", ""))
        return int(number) if number.is_integer() else number

    def _group(self) -> int | float:
        if self._take("{") is None:
            raise _NoValue
        return self._closed("{")

    def _closed(self, opening: str) -> int | float:
        value = self.sum()
        if self._take(_CLOSING[opening]) is None:
            raise _NoValue
        return value

    def _take(self, *wanted: str) -> str | None:
        token = self._tokens[self._next]
        if token not in wanted:
            return None
        self._next += 1
        return token


def _factorial(value: int | float) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_FACTORIAL:
        raise _NoValue
    return math.factorial(value)


def _to_the(base: int | float, exponent: int | float) -> int | float:
    power = float(base) ** float(exponent)  # too large a power raises here, before it is computed exactly
    if isinstance(power, complex):
        raise _NoValue
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        return int(base**exponent)
    return float(power)
