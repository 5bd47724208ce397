"""Final answers: expressions, equations, inequalities, tuples, intervals, sets and unions, compared part by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from anectl.core.grading.algebra.field import Atom, Field, Value, rational
from anectl.core.grading.algebra.numeric import differ, variables
from anectl.core.grading.algebra.parser import Parser
from anectl.core.grading.algebra.polynomial import ONE, Undecided, multiply
from anectl.core.grading.algebra.tokens import Token, tokens
from anectl.core.grading.normalise import unwrapped

_OPENING, _CLOSING = frozenset({"(", "[", "{", "\\{"}), frozenset({")", "]", "}", "\\}"})
_RELATIONS = ("=", "<", "<=", ">", ">=")
# On one side only: `5m` may be five metres, `E` may be Euler's number.
_NOT_SURELY_VARIABLES = frozenset("cdghlmostACEFJKLNVW")
_LEAST_GAP = Fraction(2, 10**6)
"""Numbers that agree to six places may be one number, rounded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One part of an answer, or a collection of them; `mark` holds the brackets or the relation."""

    kind: Literal["value", "relation", "ordered", "set"]
    parts: tuple[Answer, ...] = ()
    mark: str = ""
    value: Value | None = None
    atoms: dict[str, Atom] | None = None


@lru_cache(maxsize=4096)
def read(text: str) -> Answer | None:
    """The answer that `text` states, null when it is not understood in full."""
    if text.rstrip(" \n$}.").endswith("!"):  # a factorial, or emphasis that the unwrapping takes away
        return None
    try:
        return _read(tokens(unwrapped(text)))
    except Undecided:
        return None


def same(truth: Answer, given: Answer) -> bool | None:
    """Whether two answers are the same; null when that is not certain."""
    if truth.kind == given.kind == "value":
        return _same_value(truth, given)
    if "relation" in (truth.kind, given.kind):
        return _same_relation(truth, given)
    if truth.kind != given.kind:
        return None
    if truth.mark != given.mark:
        return _same_interval(truth, given) if _is_interval(truth) or _is_interval(given) else None
    if truth.kind == "ordered":
        if len(truth.parts) != len(given.parts):
            return False
        return _all(same(*pair) for pair in zip(truth.parts, given.parts, strict=True))
    verdict = _same_set(truth.parts, given.parts)
    # Intervals can be cut in other places: a union is never called different.
    return None if truth.mark == "cup" and not verdict else verdict


def _read(found: list[Token]) -> Answer:
    if not found:
        raise Undecided
    if len(found) > 2 and found[0].kind == "letter" and found[1] == ("op", "in"):
        found = found[2:]
    unions = _split(found, ("cup",))
    if len(unions) > 1:
        return Answer("set", tuple(_read(part) for part in unions), "cup")
    sides = _split(found, _RELATIONS)
    if len(sides) > 1:
        return _read_relation(found, sides)
    if found[0].text in ("(", "[", "\\{") and found[-1].text in (")", "]", "\\}") and _encloses(found):
        parts = _split(found[1:-1], (",", ";"))
        mark = found[0].text + found[-1].text
        if mark == "\\{\\}":
            return Answer("set", tuple(map(_read, parts)), mark)
        if len(parts) > 1 and "\\" not in mark:
            return Answer("ordered", tuple(map(_read, parts)), mark)
    parts = _split(found, (",", ";"))
    if len(parts) > 1:
        return Answer("set", tuple(map(_read_value, parts)))
    return _read_value(found)


def _read_value(found: list[Token]) -> Answer:
    if not found:
        raise Undecided
    field = Field()
    parser = Parser(found, field)
    value = parser.whole()
    if parser.infinite and (len(value.num) != 1 or list(value.num) != [(("infinity", 1),)] or value.den != ONE):
        raise Undecided
    return Answer("value", value=value, atoms=field.atoms)


def _read_relation(found: list[Token], sides: list[list[Token]]) -> Answer:
    if len(sides) != 2:
        raise Undecided
    relation = found[len(sides[0])].text
    left, right = _read_value(sides[0]), _read_value(sides[1])
    if relation[0] == ">":
        left, right, relation = right, left, relation.replace(">", "<")
    return Answer("relation", (left, right), relation)


def _split(found: list[Token], separators: Sequence[str]) -> list[list[Token]]:
    """The pieces between separators outside of brackets; those of a half-open interval need not match."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        if token.kind == "op":
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
            if depth == 0 and token.text in separators:
                pieces.append([])
                continue
        pieces[-1].append(token)
    if len(pieces) > 1 and not all(pieces):
        raise Undecided
    return pieces


def _encloses(found: list[Token]) -> bool:
    depth = 0
    for position, token in enumerate(found):
        if token.kind == "op":
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0:
            return position == len(found) - 1
    return False


def _is_interval(answer: Answer) -> bool:
    """Whether its brackets say so: `(0,1]`; those of `(0,1)` may be of a point."""
    return answer.kind == "ordered" and len(answer.parts) == 2 and answer.mark in ("[)", "(]")


def _same_interval(truth: Answer, given: Answer) -> bool | None:
    """Of intervals with different brackets: they differ unless that is at infinity alone."""
    if len(truth.parts) != len(given.parts):
        return None
    ends = _all(same(*pair) for pair in zip(truth.parts, given.parts, strict=True))
    if not ends:
        return ends
    finite = [end.value is not None and not any("infinity" in dict(m) for m in end.value.num) for end in truth.parts]
    changed = [one != other for one, other in zip(truth.mark, given.mark, strict=True)]
    return False if any(f and c for f, c in zip(finite, changed, strict=True)) else None


def _same_value(truth: Answer, given: Answer) -> bool | None:
    left, right = truth.value, given.value
    assert left is not None
    assert right is not None
    if left == right:
        return True
    field = Field({**(truth.atoms or {}), **(given.atoms or {})})
    try:
        if field.same(left, right):
            return True
        numbers = rational(left), rational(right)
        if numbers[0] is not None and numbers[1] is not None:
            return False if _are_apart(numbers[0], numbers[1]) else None
        different, apart = differ(left, right, field.atoms)
        if apart & _NOT_SURELY_VARIABLES or len({name.casefold() for name in apart}) < len(apart):
            return None
        return False if different else None
    except Undecided:
        return None


def _are_apart(left: Fraction, right: Fraction) -> bool:
    gap = abs(left - right)
    return gap > _LEAST_GAP or gap > max(abs(left), abs(right)) / 10**6


def _same_relation(truth: Answer, given: Answer) -> bool | None:
    if truth.kind == given.kind:
        if truth.mark == given.mark:
            names = [_assigned(answer) for answer in (truth, given)]
            if names[0] is not None and names[0] == names[1]:
                return same(truth.parts[1], given.parts[1])
            if _proportional(truth, given):
                return True
        return None if "=" in (truth.mark, given.mark) else _same_bound(truth, given)
    relation, other = (truth, given) if truth.kind == "relation" else (given, truth)
    name = _assigned(relation)
    if name is None or other.kind != "value":
        return None
    return same(relation.parts[1], other) if relation is truth else same(other, relation.parts[1])


def _same_bound(truth: Answer, given: Answer) -> bool | None:
    """Whether two inequalities bound the same variable alike; null when they are not such."""
    bounds = [(side, _name_of(answer.parts[side])) for answer in (truth, given) for side in (0, 1)]
    named = [(side, name) for side, name in bounds if name is not None]
    if len(named) != 2 or named[0][1] != named[1][1]:
        return None
    if named[0] != named[1] or truth.mark != given.mark:
        return False
    return same(truth.parts[1 - named[0][0]], given.parts[1 - named[1][0]])


def _assigned(answer: Answer) -> str | None:
    """The variable that an equation gives a value to: `x` of `x = 5`, not of `x = 2x`."""
    name = _name_of(answer.parts[0]) if answer.mark == "=" else None
    right = answer.parts[1]
    if name is None or right.value is None:
        return None
    try:
        return None if name in variables(right.value, right.atoms or {}) else name
    except Undecided:
        return None


def _name_of(side: Answer) -> str | None:
    """The variable that a side consists of."""
    if side.value is None or len(side.value.num) != 1 or side.value.den != ONE:
        return None
    ((monomial, coefficient),) = side.value.num.items()
    if coefficient != 1 or len(monomial) != 1 or monomial[0][1] != 1:
        return None
    return None if monomial[0][0] in ("pi", "e", "infinity") or side.atoms else monomial[0][0]


def _proportional(truth: Answer, given: Answer) -> bool:
    """Whether one side less the other is the same up to a number, for inequalities a positive one."""
    field = Field({name: atom for side in (*truth.parts, *given.parts) for name, atom in (side.atoms or {}).items()})
    try:
        first, second = (_difference(field, answer) for answer in (truth, given))
        if not first.num or not second.num:
            return False
        lead = min(first.num)
        if lead not in second.num or any(list(difference.den) != [()] for difference in (first, second)):
            return False
        left, right = first.num[lead], second.num[lead]
        same_line = multiply(first.num, {(): right}) == multiply(second.num, {(): left})
        return same_line and (truth.mark == "=" or left * right > 0)
    except Undecided:
        return False


def _difference(field: Field, answer: Answer) -> Value:
    left, right = (part.value for part in answer.parts)
    assert left is not None
    assert right is not None
    return field.add(left, right, -1)


def _same_set(truth: tuple[Answer, ...], given: tuple[Answer, ...]) -> bool | None:
    """Both ways: everything of one side is in the other."""
    verdicts = {(i, j): same(left, right) for i, left in enumerate(truth) for j, right in enumerate(given)}
    rows = [[verdicts[i, j] for j in range(len(given))] for i in range(len(truth))]
    columns = [[verdicts[i, j] for i in range(len(truth))] for j in range(len(given))]
    return _all(_any(line) for line in (*rows, *columns))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    found = list(verdicts)
    return False if False in found else None if None in found else True


def _any(verdicts: list[bool | None]) -> bool | None:
    return True if True in verdicts else None if None in verdicts else False
