"""Exact algebra on short formulas: equal when that is proved, different when numbers show it, else undecided.

An answer is read by recursive descent (never `eval`) into rational functions over variables, roots, pi and functions,
with exact coefficients and bounds on length, depth, terms and digits. Equal means the same after cross multiplication.
Different means clearly apart (more than 1e-6 of their size) at every one of a few fixed points. What readers disagree
about (`1/2x`, `2^3^2`, `f(x)`, degrees outside an angle, letters that may be units) is left to a verifier.
"""

from __future__ import annotations

from anectl.core.grading.algebra.answers import read, same
from anectl.core.grading.algebra.tokens import MAX_LENGTH

__all__ = ["equal"]


def equal(truth: str, given: str) -> bool | None:
    """Whether two formulas are the same answer, null when that is not decided here. Never raises for any text."""
    if max(len(truth), len(given)) > MAX_LENGTH:
        return None
    wanted = read(truth)
    if wanted is None:
        return None
    stated = read(given)
    return None if stated is None else same(wanted, stated)
