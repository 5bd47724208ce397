"""The items of a list, tuple or set, and how two rows of items are compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from anectl.core.grading.normalise import unwrapped
from anectl.core.grading.spec import Reason

Outcome: TypeAlias = tuple[bool | None, Reason]
"""Right, wrong or null, with its reason."""
SameItem: TypeAlias = Callable[[str, str], Outcome]
"""How the item of the truth (first) compares with the one stated."""

MAX_ITEMS = 12
"""A longer set is not compared in every order."""

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_AND = re.compile(r",?\s+(?:and|\\text\{\s*and\s*\})\s+")
_OR = re.compile(r",?\s*(?:\bor\b|\\lor(?![A-Za-z])|\u6216)\s*", re.IGNORECASE)
_OPENING, _CLOSING = "([{", ")]}"
_NAME = re.compile(r"\s*([A-Za-z](?:_\{?\w\}?)?)\s*=\s*(?=\S)")
_TUPLE_NAME = re.compile(
    "(?:\\(\\s*[A-Za-z](?:\\s*,\\s*[A-Za-z])*\\s*\\)\\s*=|[A-Za-z]\\s*(?:=|\\\\in(?![A-Za-z])|\u2208))\\s*"
)
_SIGNS = re.compile("\\\\pm(?![A-Za-z])|\u00b1")
STRENGTH: tuple[Reason, ...] = ("exact", "numeric", "algebra", "verified")
"""The reasons of a right answer, the strongest first."""


def split_list(text: str) -> list[str]:
    """The items of a list in their order: split at top-level semicolons, else commas, else spaces within brackets."""
    bare = _bare(text)
    if not bare:
        return []
    inner = bare[1:-1].strip() if _kind(bare) else bare
    inner = _AND.sub(", ", inner)
    for separator in ";,":
        items = _split_top_level(inner, separator)
        if len(items) > 1:
            return items if items[-1] else items[:-1]
    return inner.split() if _kind(bare) and "\\" not in inner else [inner]


def split_alternatives(text: str) -> list[str]:
    """The members of a set: `{1, 2}`, `x = 1 or x = 2`, and both signs of the one that has a `\\pm`."""
    parts = [item for part in _OR.split(_bare(text)) for item in split_list(part)]
    return [signed for item in parts for signed in _both_signs(item)]


def brackets(text: str) -> str:
    """The bracket (`(`, `[` or `{`) around the whole text; empty when there is none."""
    return _kind(_bare(text))


def is_set(text: str) -> bool:
    """Whether the text writes a set: braces, alternatives joined by `or`, or a single sign that is plus and minus."""
    return brackets(text) == "{" or has_alternatives(text) or len(_SIGNS.findall(text)) == 1


def has_alternatives(text: str) -> bool:
    """Whether `or` joins parts of the text."""
    return len(_OR.split(_bare(text))) > 1


def compare_rows(wanted: Sequence[str], stated: Sequence[str], same: SameItem) -> Outcome:
    """Item by item. `x = 1, y = 2` may stand for `1, 2`; named in another order it is put in order first."""
    if len(wanted) != len(stated):
        return False, "mismatch"
    ordered = _ordered_by_name(wanted, stated)
    if ordered is None:
        return None, "order"
    return _all(same(left, right) for left, right in zip(wanted, ordered, strict=True))


def compare_sets(wanted: Sequence[str], stated: Sequence[str], same: SameItem) -> Outcome:
    """Each has an equal on the other side; null where that hangs on a pair that could not be judged."""
    if len(wanted) > MAX_ITEMS or len(stated) > MAX_ITEMS:
        return None, "too_long"
    if not wanted:
        return None, "undecided"  # the empty set has other names
    known: dict[tuple[int, int], Outcome] = {}

    def at(row: int, column: int) -> Outcome:
        if (row, column) not in known:
            known[row, column] = same(wanted[row], stated[column])
        return known[row, column]

    outcomes: list[Outcome] = []
    for row in range(len(wanted)):
        outcomes.append(_any(at(row, column) for column in range(len(stated))))
        if outcomes[-1][0] is False:
            return outcomes[-1]
    return _all([*outcomes, *(_any(at(row, column) for row in range(len(wanted))) for column in range(len(stated)))])


def _any(outcomes: Iterable[Outcome]) -> Outcome:
    """Right if one is, else null if one is, else wrong."""
    undecided: Outcome | None = None
    for right, reason in outcomes:
        if right:
            return right, reason
        if right is None and undecided is None:
            undecided = right, reason
    return undecided or (False, "mismatch")


def _all(outcomes: Iterable[Outcome]) -> Outcome:
    """Wrong if one is, else null if one is, else right for the weakest of the reasons."""
    undecided: Outcome | None = None
    strength = 0
    for right, reason in outcomes:
        if right is False:
            return False, "mismatch"
        if right is None:
            undecided = undecided or (right, reason)
        else:
            strength = max(strength, STRENGTH.index(reason))
    return undecided or (True, STRENGTH[strength])


def _ordered_by_name(wanted: Sequence[str], stated: Sequence[str]) -> Sequence[str] | None:
    """The stated items in the order of the truth; null when names (`y = 2, x = 1`) leave the order open."""
    names = [m[1] if (m := _NAME.match(item)) else "" for item in stated]
    if len(set(names)) < len(names) or not all(names):
        return stated
    asked = [m[1] if (m := _NAME.match(item)) else "" for item in wanted]
    if sorted(asked) == sorted(names):
        return [stated[names.index(name)] for name in asked]
    return stated if names == sorted(names) else None


def _bare(text: str) -> str:
    bare = unwrapped(text.replace("\\{", "{").replace("\\}", "}"))
    m = _TUPLE_NAME.match(bare)
    return bare[m.end() :] if m and _kind(bare[m.end() :]) else bare


def _kind(bare: str) -> str:
    closing = _PAIRS.get(bare[:1])
    return bare[0] if closing is not None and bare.endswith(closing) and _closes_at_end(bare) else ""


def _both_signs(item: str) -> list[str]:
    if len(_SIGNS.findall(item)) != 1:
        return [item]
    return [_SIGNS.sub(sign, item) for sign in "+-"]


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if depth == 0:
            return position == len(text) - 1
    return False


def _split_top_level(text: str, separator: str) -> list[str]:
    items, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if char == separator and depth <= 0:
            items.append(text[start:position].strip())
            start = position + 1
    return [*items, text[start:].strip()]
