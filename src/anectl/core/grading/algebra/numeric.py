"""Values in numbers: two forms that differ clearly at fixed points are different."""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from anectl.core.grading.algebra.field import Atom, Value
from anectl.core.grading.algebra.polynomial import Polynomial, Undecided

NUM_POINTS = 3
_CLEAR = 1e-6
"""Relative difference that is never taken for rounding; a decimal of six places may stand for a surd."""
_MAX_CANCELLED = 1e-6
"""A sum smaller than this part of its terms has lost too many digits."""
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "ln": cmath.log,
    "abs": abs,
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "infinity": 1e12 / 7}


@dataclass
class Point:
    """Positive numbers for the variables, always the same ones; `names` fills with those that were needed.

    The last two points read two ambiguous names in their other sense: `i` as the imaginary unit, `log` to base e.
    """

    number: int
    atoms: dict[str, Atom]
    names: set[str] = field(default_factory=set)
    known: dict[str, complex] = field(default_factory=dict)

    def value(self, value: Value) -> complex:
        """The value here. Raises Undecided when too few of its digits are certain."""
        try:
            result = self._sum(value.num) / self._sum(value.den)
        except (OverflowError, ZeroDivisionError, ValueError):
            raise Undecided from None
        if not cmath.isfinite(result):
            raise Undecided
        return result

    def _sum(self, polynomial: Polynomial) -> complex:
        total, size = 0j, 0.0
        for monomial, coefficient in polynomial.items():
            term = complex(coefficient)
            for atom, exponent in monomial:
                base = self.known.get(atom)
                if base is None:
                    base = self.known[atom] = self._atom(atom)
                term *= base**exponent if isinstance(exponent, int) else base ** float(exponent)
            total += term
            size += abs(term)
        if polynomial and abs(total) <= _MAX_CANCELLED * size:
            raise Undecided
        return total

    def _atom(self, name: str) -> complex:
        meaning = self.atoms.get(name)
        if meaning is None:
            return self._plain(name)
        if meaning[0] == "base":
            return self.value(meaning[1])
        if len(meaning) == 3:
            return self.value(meaning[1]) ** self.value(meaning[2])
        argument = self.value(meaning[1])
        if meaning[0] == "log":
            return cmath.log(argument) if self.number == NUM_POINTS - 2 else cmath.log10(argument)
        return _FUNCTIONS[meaning[0]](argument)

    def _plain(self, name: str) -> complex:
        if name[0] == "#":
            return complex(int(name[1:]))
        if name in _CONSTANTS:
            return complex(_CONSTANTS[name])
        self.names.add(name)
        if name == "i" and self.number == NUM_POINTS - 1:
            return 1j
        return complex(0.4 + zlib.crc32(f"{self.number} {name}".encode()) % 100_003 / 50_000)


def variables(value: Value, atoms: dict[str, Atom]) -> set[str]:
    """The names of the variables in it."""
    point = Point(0, atoms)
    point.value(value)
    return point.names


def differ(left: Value, right: Value, atoms: dict[str, Atom]) -> tuple[bool, set[str]]:
    """Whether the two are clearly different at every point, and the variables that stand on one side only.

    Raises Undecided when that cannot be computed.
    """
    apart: set[str] = set()
    number, count = 0, 1
    while number < count:
        points = Point(number, atoms), Point(number, atoms)
        a, b = points[0].value(left), points[1].value(right)
        if abs(a - b) <= _CLEAR * max(abs(a), abs(b)):
            return False, apart
        if not number:
            names = points[0].names | points[1].names
            apart = points[0].names ^ points[1].names
            count = NUM_POINTS if names or any(meaning[0] == "log" for meaning in atoms.values()) else 1
            count -= "i" not in names and count > 1
        number += 1
    return True, apart
