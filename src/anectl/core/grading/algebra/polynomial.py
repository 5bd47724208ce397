"""Polynomials with integer coefficients over named atoms, bounded in size.

A polynomial is a dict from monomial to coefficient, without zeros; a monomial is a tuple of (atom, exponent) sorted by
atom. Atoms are names: of variables, of constants, `#p` for the prime p (its exponent is a fraction in (0, 1), so a sum
of roots has one form: real radicals of primes are linearly independent over the rationals), and others that `field`
gives a meaning to.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import TypeAlias

MAX_TERMS = 200
MAX_BITS = 2000

Exponent: TypeAlias = int | Fraction
Monomial: TypeAlias = tuple[tuple[str, Exponent], ...]
Polynomial: TypeAlias = dict[Monomial, int]

ONE: Polynomial = {(): 1}


class Undecided(Exception):
    """The expression is beyond what is decided here: unknown notation, too large, or not defined."""


def bounded(value: int) -> int:
    """The number itself. Raises Undecided when it is longer than `MAX_BITS`."""
    if value.bit_length() > MAX_BITS:
        raise Undecided
    return value


def power_of(base: int, exponent: int) -> int:
    """`base ** exponent` for a natural exponent; never computes what it would refuse."""
    if (abs(base).bit_length() - 1) * exponent > MAX_BITS:
        raise Undecided
    return bounded(base**exponent)


def add(left: Polynomial, right: Polynomial, factor: int = 1) -> Polynomial:
    """`left + factor * right`."""
    total = dict(left)
    for monomial, coefficient in right.items():
        value = total.get(monomial, 0) + factor * coefficient
        if value:
            total[monomial] = bounded(value)
        else:
            total.pop(monomial, None)
    if len(total) > MAX_TERMS:
        raise Undecided
    return total


def multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    """The product; powers of primes are carried into the coefficients."""
    if left is ONE:
        return right
    if right is ONE:
        return left
    if len(left) * len(right) > MAX_TERMS * 10:
        raise Undecided
    total: Polynomial = {}
    for m, a in left.items():
        for n, b in right.items():
            monomial, coefficient = (n, a * b) if not m else (m, a * b) if not n else merged(m, n, a * b)
            total[monomial] = bounded(total.get(monomial, 0) + coefficient)
    total = {monomial: coefficient for monomial, coefficient in total.items() if coefficient}
    if len(total) > MAX_TERMS:
        raise Undecided
    return total


def merged(left: Monomial, right: Monomial, coefficient: int) -> tuple[Monomial, int]:
    """The product of two monomials and a coefficient."""
    exponents = dict(left)
    for atom, exponent in right:
        exponents[atom] = exponents.get(atom, 0) + exponent
    return carried(exponents, coefficient)


def carried(exponents: dict[str, Exponent], coefficient: int) -> tuple[Monomial, int]:
    """The monomial of these exponents, whole powers of primes moved to the coefficient; exponents are not negative."""
    for atom, exponent in list(exponents.items()):
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            exponent = exponents[atom] = int(exponent)
        if atom[0] == "#" and exponent >= 1:
            whole = int(exponent)
            coefficient = bounded(coefficient * power_of(int(atom[1:]), whole))
            exponent = exponents[atom] = exponent - whole
        if not exponent:
            del exponents[atom]
    return tuple(sorted(exponents.items())), coefficient


def content(polynomial: Polynomial) -> int:
    """The greatest common divisor of the coefficients, positive."""
    return gcd(*polynomial.values())


def shared(polynomials: tuple[Polynomial, ...]) -> dict[str, Exponent]:
    """The atoms that every monomial holds, with their least exponents."""
    common: dict[str, Exponent] | None = None
    for polynomial in polynomials:
        for monomial in polynomial:
            here = dict(monomial)
            if common is None:
                common = here
            else:
                common = {atom: min(low, here[atom]) for atom, low in common.items() if atom in here}
            if not common:
                return {}
    return common or {}


def divided(polynomial: Polynomial, number: int, atoms: dict[str, Exponent]) -> Polynomial:
    """The polynomial over a number and a monomial that divide all of it."""
    result: Polynomial = {}
    for monomial, coefficient in polynomial.items():
        if atoms:
            left = {atom: exponent - atoms.get(atom, 0) for atom, exponent in monomial}
            monomial = carried(left, 1)[0]
        result[monomial] = coefficient // number
    return result
