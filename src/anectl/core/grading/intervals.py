"""Intervals and their unions: `(0, 1]`, `[2, \\infty)`, `1 < x <= 3`, `x < 0 or x > 4`, `x \\ne 2`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from anectl.core.grading.items import STRENGTH, Outcome, SameItem
from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.quantity import parse_quantity

End: TypeAlias = Fraction | float | str
"""An exact number, plus or minus infinity, or a formula in its own words."""

_SPELLINGS = (
    (re.compile("\\\\infty(?![A-Za-z])|\u221e|\\b(?:infinity|inf|oo)\\b", re.IGNORECASE), "INF"),
    (re.compile("\\\\leq?(?:slant)?(?![A-Za-z])|\u2264"), "<="),
    (re.compile("\\\\geq?(?:slant)?(?![A-Za-z])|\u2265"), ">="),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile("\\\\neq?(?![A-Za-z])|\u2260"), "!="),
    (re.compile(r"\\mathbb\s*\{?R\}?|\u211d|\ball real numbers\b|\ball reals\b", re.IGNORECASE), "(-INF,INF)"),
    (re.compile(r"\\cup(?![A-Za-z])|\u222a|(?<=[\])])\s*U\s*(?=[\[(])|\bor\b", re.IGNORECASE), "|"),
    (re.compile(r"\\([{}])"), r"\1"),
)
_MEMBER = re.compile(r"^\s*(?P<name>[A-Za-z]|\\[a-z]+)\s*(?:\\in(?![A-Za-z])|\u2208)\s*")
_BRACKETED = re.compile(r"([\[(\]])([^,;]*)[,;]([^,;]*)([\])\[])")
_POINT = re.compile(r"\{([^{},;]*)\}")
_RELATION = re.compile(r"(<=|>=|!=|<|>)")
_VARIABLE = re.compile(r"[A-Za-z]|\\(?:theta|alpha|beta|lambda|phi|mu)")
_INFINITE = re.compile(r"([+-]?)\s*INF")
_HINT = re.compile("[\\[\\](<>≤≥≠\\\\ℝ]|\\breals?\\b")
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_INF = float("inf")
_MAX_PIECES = 12


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, each with whether it belongs to the interval."""

    low: End
    has_low: bool
    high: End
    has_high: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A union of intervals. `sure` is false for a mere `(1, 2)` or `[1, 2]`, which may be a point or a list."""

    pieces: tuple[Interval, ...]
    variable: str
    sure: bool


def parse_region(text: str) -> Region | None:
    """The region that `text` as a whole writes; null when it writes something else."""
    if not _HINT.search(text):
        return None
    text = unwrapped(text)
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    member = _MEMBER.match(text)
    variables = {member["name"]} if member else set()
    pieces: list[Interval] = []
    parts = text[member.end() if member else 0 :].split("|")
    if len(parts) > _MAX_PIECES:
        return None
    for part in parts:
        read = _bracketed(part.strip()) or _relation(part.strip(), variables)
        if read is None:
            return None
        pieces.extend(read)
    if len(variables) > 1:
        return None
    mere = len(pieces) == 1 and not variables and _is_mere_pair(pieces[0])
    return Region(tuple(pieces), next(iter(variables), ""), not mere)


def compare_regions(wanted: Region, stated: Region, same: SameItem) -> Outcome:
    """Exact where all ends are numbers, however the unions are cut; else piece by piece, ends compared by `same`."""
    if wanted.variable and stated.variable and wanted.variable != stated.variable:
        return None, "undecided"
    left, right = _merged(wanted.pieces), _merged(stated.pieces)
    if left is not None and right is not None:
        return (True, "numeric") if left == right else (False, "mismatch")
    if len(wanted.pieces) != len(stated.pieces):
        return None, "undecided"
    outcomes: list[Outcome] = []
    for one, other in zip(wanted.pieces, stated.pieces, strict=True):
        if (one.has_low, one.has_high) != (other.has_low, other.has_high):
            return (False, "mismatch") if len(wanted.pieces) == 1 else (None, "undecided")
        outcomes += [_same_end(one.low, other.low, same), _same_end(one.high, other.high, same)]
    worst = next((outcome for outcome in outcomes if not outcome[0]), None)
    if worst is not None:  # pieces may stand in another order, so only a single one can be called wrong
        return worst if worst[0] is None or len(wanted.pieces) == 1 else (None, "undecided")
    return True, max((reason for _, reason in outcomes), key=STRENGTH.index)


def _same_end(left: End, right: End, same: SameItem) -> Outcome:
    if isinstance(left, float) or isinstance(right, float):
        return (True, "exact") if left == right else (False, "mismatch")
    return same(str(left), str(right))


def _bracketed(text: str) -> list[Interval] | None:
    if m := _BRACKETED.fullmatch(text):
        low, high = _end(m[2]), _end(m[3])
        # An infinite end is never a member, and nothing lies between 3 and 1.
        has_low, has_high = m[1] == "[", m[4] == "]"
        if low is None or high is None or (has_low and low == -_INF) or (has_high and high == _INF):
            return None
        return [Interval(low, has_low, high, has_high)] if _in_order(low, high) else None
    if m := _POINT.fullmatch(text):
        point = _end(m[1])
        return None if point is None or isinstance(point, float) else [Interval(point, True, point, True)]
    return None


def _relation(text: str, variables: set[str]) -> list[Interval] | None:
    """`x < 1`, `1 < x <= 3`, `x != 2`; adds the variable to `variables`."""
    parts = [part.strip() for part in _RELATION.split(text)]
    if len(parts) == 3:
        if _VARIABLE.fullmatch(parts[2]):
            parts = [parts[2], _TURNED[parts[1]], parts[0]]
        bound = _end(parts[2])
        if not _VARIABLE.fullmatch(parts[0]) or bound is None or isinstance(bound, float) or bound == parts[0]:
            return None
        variables.add(parts[0])
        return _one_sided(parts[1], bound)
    if len(parts) != 5 or not _VARIABLE.fullmatch(parts[2]):
        return None
    if parts[1][0] == parts[3][0] == ">":
        parts = [parts[4], _TURNED[parts[3]], parts[2], _TURNED[parts[1]], parts[0]]
    low, high = _end(parts[0]), _end(parts[4])
    if not parts[1][0] == parts[3][0] == "<" or low is None or high is None or not _in_order(low, high):
        return None
    variables.add(parts[2])
    return [Interval(low, parts[1] == "<=", high, parts[3] == "<=")]


def _one_sided(relation: str, bound: End) -> list[Interval]:
    below = Interval(-_INF, False, bound, relation == "<=")
    above = Interval(bound, relation == ">=", _INF, False)
    return [below, above] if relation == "!=" else [below] if relation[0] == "<" else [above]


def _end(text: str) -> End | None:
    text = text.strip()
    if m := _INFINITE.fullmatch(text):
        return -_INF if m[1] == "-" else _INF
    if not text or "INF" in text or _RELATION.search(text):
        return None
    number = parse_quantity(text)
    return text if number is None or number.unit or number.percent else number.value


def _in_order(low: End, high: End) -> bool:
    return isinstance(low, str) or isinstance(high, str) or low <= high


def _is_mere_pair(piece: Interval) -> bool:
    infinite = isinstance(piece.low, float) or isinstance(piece.high, float)
    return not infinite and piece.has_low == piece.has_high


def _merged(pieces: tuple[Interval, ...]) -> list[tuple[Fraction | float, bool, Fraction | float, bool]] | None:
    """The union as disjoint intervals in order; null when an end is no number."""
    spans: list[tuple[Fraction | float, bool, Fraction | float, bool]] = []
    for piece in pieces:
        if isinstance(piece.low, str) or isinstance(piece.high, str):
            return None
        if piece.low < piece.high or (piece.has_low and piece.has_high):
            spans.append((piece.low, piece.has_low, piece.high, piece.has_high))
    merged: list[tuple[Fraction | float, bool, Fraction | float, bool]] = []
    for low, has_low, high, has_high in sorted(spans, key=lambda span: (span[0], not span[1])):
        if merged and (low < merged[-1][2] or (low == merged[-1][2] and (has_low or merged[-1][3]))):
            before = merged[-1]
            top = max((before[2], before[3]), (high, has_high))
            merged[-1] = (before[0], before[1], *top)
        else:
            merged.append((low, has_low, high, has_high))
    return merged
