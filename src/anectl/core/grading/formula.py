"""Which formulas may be handed to a verifier: short, shallow, and in notation that verifiers read rightly."""

from __future__ import annotations

import re

from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.spec import Reason
from anectl.core.protocols import TimedVerifier, Verdict, Verifier

MAX_LENGTH = 300
MAX_OPERATORS = 60
MAX_NESTING = 20
# Far from any honest answer, well inside what symbolic engines misread: a sum of 1001 ones verified as equal to 1,
# and a hundred nested fractions as equal to 1/2.

_OPERATOR = re.compile(r"[-+*/^=<>]|\\(?:frac|times|cdot|div|pm|sqrt)(?![A-Za-z])|\u00d7|\u00f7")
# `2^{300000000} \bmod 7` was read as 7 by a symbolic engine.
_MODULO = re.compile(r"\\?(?:[bp]mod|mod)(?![A-Za-z])", re.IGNORECASE)
# Dropped or taken for something else: dots, primes, `about`, a second letter of a name (`x2`), a capital pi.
_DROPPED = re.compile(
    r"\\(?:[lcd]?dots|approx|sim|simeq|prime|Pi|ne|neq|not|cancel|bcancel|xcancel|sout)(?![A-Za-z])|\.\.|['\u2019\u2032~\u2248\u2260\u2026]"
    r"|(?<![A-Za-z\\])[A-Za-z][0-9]"
    r"|(?:sin|cos|tan|cot|sec|csc)\s*[({]*[0-9]{2,}(?![0-9.]*\s*(?:[A-Za-z\\^\u00b0\u03c0/]))"  # degrees or radians
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{3,}|\?")
_FUNCTION_LIST = (
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan asin acos atan log exp sqrt root pow abs max min gcd "
    "lcm det lim sup inf floor ceil infinity and frac pi theta alpha beta gamma delta lambda sigma omega phi mod bmod "
    "pmod cup cap"
)
_FUNCTIONS = frozenset(_FUNCTION_LIST.split())
_DANGLING = re.compile(r"(?:[-+*/^=<>_,]|\\(?:times|cdot|div|pm|frac|sqrt))\s*$|^\s*[*/^=_,]")


def is_prose(text: str) -> bool:
    """Whether words stand in it that no formula has; a verifier would multiply their letters."""
    stripped = _COMMAND.sub(" ", unwrapped(text))
    return any(word.casefold() not in _FUNCTIONS for word in _WORD.findall(stripped))


def refusal(text: str) -> Reason | None:
    """Why this may not be handed to a verifier; null when it may."""
    if len(text) > MAX_LENGTH or len(_OPERATOR.findall(text)) > MAX_OPERATORS or _nesting(text) > MAX_NESTING:
        return "too_long"
    if _MODULO.search(text):
        return "unsupported"
    if is_prose(text) or _DANGLING.search(text):
        return "unparsed"
    return None


def misread(text: str) -> bool:
    """Whether a verifier would read over a part of it."""
    return _DROPPED.search(text) is not None


def decide(verifier: Verifier, truth: str, given: str) -> Verdict:
    """What a verifier says; one that does not tell its timeouts from the rest has none."""
    if isinstance(verifier, TimedVerifier):
        return verifier.decide(truth, given)
    return Verdict(verifier.equal(truth, given))


def _nesting(text: str) -> int:
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest
