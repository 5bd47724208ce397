"""Rational functions over atoms: exact arithmetic, roots, powers and functions, in one form as far as that is cheap.

Two values are equal when their cross products are the same polynomial. The converse does not hold for nested roots or
functions with related arguments; such pairs are left undecided, not called different.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import Literal, NamedTuple, TypeAlias

from anectl.core.grading.algebra.polynomial import (
    ONE,
    Exponent,
    Monomial,
    Polynomial,
    Undecided,
    add,
    bounded,
    carried,
    content,
    divided,
    multiply,
    power_of,
    shared,
)

MAX_POWER = 50
MAX_ROOT = 12
MAX_NAME = 2000
_MAX_TRIAL = 1000
POSITIVE = frozenset({"pi", "e"})


class Value(NamedTuple):
    """A numerator over a denominator."""

    num: Polynomial
    den: Polynomial = ONE


ZERO, UNIT = Value({}), Value(ONE)

Atom: TypeAlias = tuple[Literal["base"], Value] | tuple[Literal["power"], Value, Value] | tuple[str, Value]
"""What an opaque atom stands for: a base under a root, a power with a variable exponent, or a function of a value."""


def number(value: Fraction | int) -> Value:
    """A rational constant."""
    if isinstance(value, int):
        return Value({(): bounded(value)}) if value else ZERO
    return Value({(): bounded(value.numerator)} if value else {}, _whole(value.denominator))


def variable(name: str) -> Value:
    """A variable, or a constant that has a name."""
    return Value({((name, 1),): 1})


def rational(value: Value) -> Fraction | None:
    """The number that a value is, null when it is not a rational one."""
    if not value.num:
        return Fraction(0)
    if len(value.num) == 1 and len(value.den) == 1 and () in value.num and () in value.den:
        return Fraction(value.num[()], value.den[()])
    return None


def key(value: Value) -> str:
    """A string that is the same for the same form. Raises Undecided when it grows long: names hold names."""
    name = f"{sorted(value.num.items())}/{sorted(value.den.items())}"
    if len(name) > MAX_NAME:
        raise Undecided
    return name


def simplified(num: Polynomial, den: Polynomial) -> Value:
    """The fraction without common numbers and monomials, its denominator led by a positive number, a single root in it
    rationalised. Raises Undecided when the denominator is zero."""
    if not den:
        raise Undecided
    if not num:
        return ZERO
    if len(den) == 1:
        ((monomial, _),) = den.items()
        roots = {atom: 1 - exponent for atom, exponent in monomial if atom[0] == "#"}
        if roots:
            factor = {carried(roots, 1)[0]: 1}
            num, den = multiply(num, factor), multiply(den, factor)
    common = {} if () in den or () in num else shared((num, den))
    divisor = gcd(content(num), content(den))
    if den[min(den)] < 0:
        divisor = -divisor
    if divisor != 1 or common:
        num, den = divided(num, divisor, common), divided(den, divisor, common)
    return Value(num, ONE if den == ONE else den)


@dataclass
class Field:
    """Arithmetic with a memory of what the opaque atoms stand for; every method may raise Undecided."""

    atoms: dict[str, Atom] = field(default_factory=dict)

    def add(self, left: Value, right: Value, sign: int = 1) -> Value:
        """`left + sign * right`."""
        if left.den is ONE and right.den is ONE:
            return Value(add(left.num, right.num, sign))
        if left.den == right.den:
            return simplified(add(left.num, right.num, sign), left.den)
        num = add(self._product(left.num, right.den), self._product(right.num, left.den), sign)
        return simplified(num, self._product(left.den, right.den))

    def multiply(self, left: Value, right: Value) -> Value:
        """The product."""
        num = self._product(left.num, right.num)
        if left.den is ONE and right.den is ONE:
            return Value(num)
        return simplified(num, self._product(left.den, right.den))

    def divide(self, left: Value, right: Value) -> Value:
        """The quotient."""
        return simplified(self._product(left.num, right.den), self._product(left.den, right.num))

    def same(self, left: Value, right: Value) -> bool:
        """Whether the cross products are the same polynomial."""
        return left == right or self._product(left.num, right.den) == self._product(right.num, left.den)

    def power(self, base: Value, exponent: Value) -> Value:
        """`base ** exponent`; roots are the principal ones, and of positive numbers only."""
        if exponent.den is ONE and len(exponent.num) == 1 and 0 < exponent.num.get((), 0) < MAX_POWER:
            return self._whole_power(base, exponent.num[()])
        wanted = rational(exponent)
        if wanted is None:
            return self._symbolic_power(base, exponent)
        if abs(wanted.numerator) > 1000 or wanted.denominator > MAX_ROOT:
            raise Undecided
        if wanted < 0:
            base, wanted = self.divide(UNIT, base), -wanted
        if not base.num and not wanted:
            raise Undecided
        whole = int(wanted)
        result = self._whole_power(base, whole)
        return self.multiply(result, self._root(base, wanted - whole)) if wanted != whole else result

    def opaque(self, name: str, atom: Atom, exponent: Exponent = 1) -> Value:
        """An atom that is known by its name alone."""
        self.atoms[name] = atom
        return Value({((name, exponent),): 1})

    def _product(self, left: Polynomial, right: Polynomial) -> Polynomial:
        product = multiply(left, right)
        if not self.atoms:
            return product
        for monomial in product:
            for atom, exponent in monomial:
                if atom[0] == "(" and exponent >= 1:
                    return self._expanded(product)
        return product

    def _expanded(self, polynomial: Polynomial) -> Polynomial:
        """Whole powers of what stands under a root, multiplied out."""
        total: Polynomial = {}
        for monomial, coefficient in polynomial.items():
            exponents = dict(monomial)
            factor = ONE
            for atom, exponent in monomial:
                if atom[0] == "(" and exponent >= 1:
                    base = self.atoms[atom][1]
                    if base.den is not ONE:
                        raise Undecided
                    factor = multiply(factor, self._whole_power(base, int(exponent)).num)
                    exponents[atom] = exponent - int(exponent)
            rest, coefficient = carried(exponents, coefficient)
            total = add(total, multiply({rest: coefficient}, factor))
        return total

    def _whole_power(self, base: Value, exponent: int) -> Value:
        if len(base.num) <= 1 and len(base.den) <= 1:
            return simplified(self._term_power(base.num, exponent), self._term_power(base.den, exponent))
        if exponent > MAX_POWER:
            raise Undecided
        result = UNIT
        for _ in range(exponent):
            result = self.multiply(result, base)
        return result

    def _term_power(self, term: Polynomial, exponent: int) -> Polynomial:
        if not term:
            return term if exponent else ONE
        ((monomial, coefficient),) = term.items()
        raised, coefficient = carried({atom: e * exponent for atom, e in monomial}, power_of(coefficient, exponent))
        return self._product(ONE, {raised: coefficient})

    def _root(self, base: Value, exponent: Fraction) -> Value:
        """`base ** exponent` for an exponent between 0 and 1; positive factors are taken out of the root."""
        if not base.num:
            return ZERO
        outside_num, inside_num = _taken_out(base.num, exponent)
        outside_den, inside_den = _taken_out(base.den, exponent)
        outside = simplified(outside_num, outside_den)
        inside = Value(inside_num, inside_den)
        if inside_num == ONE and inside_den == ONE:
            return outside
        if rational(inside) is not None:  # a negative number: its roots are not real
            raise Undecided
        if inside_den == ONE and len(inside_num) == 1:
            ((monomial, coefficient),) = inside_num.items()
            if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
                return self.multiply(outside, Value({((monomial[0][0], exponent),): 1}))
        if inside_den == ONE:
            inside = Value(inside_num)
        return self.multiply(outside, self.opaque(f"({key(inside)})", ("base", inside), exponent))

    def _symbolic_power(self, base: Value, exponent: Value) -> Value:
        """A power whose exponent is no number: split at its sums, whole factors outside (`a^{2x+1}` is a (a^x)^2)."""
        result = UNIT
        if len(exponent.den) > 1 or () not in exponent.den:
            return self._named_power(base, exponent, 1)
        for monomial, coefficient in exponent.num.items():
            share = Fraction(coefficient, exponent.den[()])
            if not monomial:
                result = self.multiply(result, self.power(base, number(share)))
                continue
            inner = Value({monomial: 1}, _whole(share.denominator))
            constant = rational(base)
            if constant is not None and constant > 0:
                for prime, times in _signed_factors(constant):
                    result = self.multiply(result, self._named_power(number(prime), inner, times * share.numerator))
            else:
                result = self.multiply(result, self._named_power(base, inner, share.numerator))
        return result

    def _named_power(self, base: Value, exponent: Value, times: int) -> Value:
        value = self.opaque(f"^{key(base)}^{key(exponent)}", ("power", base, exponent), abs(times))
        return value if times > 0 else Value(ONE, value.num)


def _taken_out(polynomial: Polynomial, exponent: Fraction) -> tuple[Polynomial, Polynomial]:
    """What is surely positive, raised to the exponent, and what must stay under the root."""
    size = content(polynomial)
    outside: dict[str, Exponent] = {}
    for prime, times in factors(size):
        outside[f"#{prime}"] = outside.get(f"#{prime}", 0) + times * exponent
    known = {atom: e for atom, e in shared((polynomial,)).items() if atom[0] == "#" or atom in POSITIVE}
    for atom, e in known.items():
        outside[atom] = outside.get(atom, 0) + e * exponent
    monomial, coefficient = carried(outside, 1)
    rest = divided(polynomial, size, known)
    return {monomial: coefficient}, ONE if rest == ONE else rest


def factors(size: int) -> list[tuple[int, int]]:
    """(factor, multiplicity) with primes up to 1000; a larger rest is one factor, which is sound but may miss."""
    found = []
    candidate = 2
    while candidate * candidate <= size and candidate <= _MAX_TRIAL:
        times = 0
        while size % candidate == 0:
            size, times = size // candidate, times + 1
        if times:
            found.append((candidate, times))
        candidate += 1 if candidate == 2 else 2
    return [*found, (size, 1)] if size > 1 else found


def _signed_factors(value: Fraction) -> list[tuple[int, int]]:
    below = [(prime, -times) for prime, times in factors(value.denominator)]
    return factors(value.numerator) + below


def _whole(value: int) -> Polynomial:
    return ONE if value == 1 else {(): bounded(value)}


__all__ = ["UNIT", "ZERO", "Atom", "Field", "Monomial", "Value", "factors", "key", "number", "rational", "variable"]
