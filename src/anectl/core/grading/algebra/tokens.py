"""A formula as a list of tokens, LaTeX and plain text alike."""

from __future__ import annotations

import re
from typing import NamedTuple

from anectl.core.grading.algebra.polynomial import Undecided

MAX_LENGTH = 300
MAX_TOKENS = 200

_GREEK_NAMES = "alpha beta gamma delta epsilon zeta eta theta lambda mu nu xi rho sigma tau phi omega pi"
_GREEK = dict(
    zip(
        "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8\u03bb\u03bc\u03bd\u03be\u03c1\u03c3\u03c4\u03c6\u03c9\u03c0",
        _GREEK_NAMES.split(),
        strict=True,
    )
)
SYMBOLS = frozenset(_GREEK.values()) | {"varphi", "vartheta", "kappa", "psi", "chi", "Delta", "Omega", "Theta", "Phi"}
_FUNCTION_NAMES = "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log exp asin acos atan sqrt abs"
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_RENAMED = {
    "dfrac": "frac",
    "tfrac": "frac",
    "cfrac": "frac",
    "times": "*",
    "cdot": "*",
    "ast": "*",
    "div": "/",
    "le": "<=",
    "leq": "<=",
    "ge": ">=",
    "geq": ">=",
    "lt": "<",
    "gt": ">",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "lbrace": "\\{",
    "rbrace": "\\}",
    "infty": "infinity",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
}
_CHARACTERS = {
    "\u00d7": "*",
    "\u00b7": "*",
    "\u22c5": "*",
    "\u00f7": "/",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u221e": "infinity",
    "\u222a": "cup",
    "\u2208": "in",
}
_TOKEN = re.compile(
    r"(?P<skip>(?:\s|~|\\[,;:! ]|\\(?:left|right|bigl|bigr|Bigl|Bigr|displaystyle|quad|qquad)(?![A-Za-z]))+)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|\\(?P<command>[A-Za-z]+)"
    r"|(?P<letters>[A-Za-z]+)"
    r"|(?P<op>\\[{}|]|<=|>=|[-+*/^_=<>(){}\[\]|,;!\u00b0])"
    r"|(?P<other>[^\W\d_]|[\u00d7\u00b7\u22c5\u00f7\u2264\u2265\u221e\u222a\u2208\u221a])"
)
# 1,000 is one number for some readers and two for others; 1e-9 is a number or Euler's number less nine.
_AMBIGUOUS = re.compile(r"[0-9],[0-9]{3}(?![0-9])|[0-9][eE][-+]?[0-9]")


class Token(NamedTuple):
    """`kind` is number, letter (a variable), function, or op (everything else, by its name)."""

    kind: str
    text: str


def tokens(text: str) -> list[Token]:
    """The tokens of a formula. Raises Undecided for unknown signs and for text that is too long or ambiguous."""
    if len(text) > MAX_LENGTH or _AMBIGUOUS.search(text):
        raise Undecided
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Undecided
        kind, position = match.lastgroup, match.end()
        if kind != "skip":
            found += _read(kind or "", match[kind or 0])
    if not found or len(found) > MAX_TOKENS:
        raise Undecided
    return found


def _read(kind: str, text: str) -> list[Token]:
    if kind == "number":
        return [Token(kind, text)]
    if kind == "op":
        return [Token(kind, "|" if text == "\\|" else text)]
    if kind == "letters":
        return _read_letters(text)
    if kind == "other":
        if text in _GREEK:
            return [Token("letter", _GREEK[text])]
        if text == "\u221a":
            return [Token("op", "root")]
        name = _CHARACTERS.get(text)
    else:
        name = _RENAMED.get(text, text)
        if name in FUNCTIONS and name not in ("sqrt", "abs"):
            return [Token("function", name)]
        if name in SYMBOLS:
            return [Token("letter", name)]
    if name is None:
        raise Undecided
    return [Token("op", name)]


def _read_letters(text: str) -> list[Token]:
    """Letters side by side are a product, unless they name a function or pi; longer runs are words."""
    name = _RENAMED.get(text, text) if text in FUNCTIONS else text
    if name in FUNCTIONS:
        return [Token("function", name)]
    if text == "pi":
        return [Token("letter", text)]
    if len(text) > 3:
        raise Undecided
    return [Token("letter", letter) for letter in text]
