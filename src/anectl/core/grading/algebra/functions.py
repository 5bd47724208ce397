"""Functions of exact values: known angles, logarithms of products, absolute values; the rest stays as it is."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from math import factorial as product_up_to

from anectl.core.grading.algebra.field import (
    UNIT,
    ZERO,
    Field,
    Value,
    factors,
    key,
    number,
    rational,
    simplified,
    variable,
)
from anectl.core.grading.algebra.polynomial import ONE, Undecided, content, divided

_ODD = frozenset({"sin", "sinh", "tanh", "arcsin", "arctan"})
_EVEN = frozenset({"cos", "cosh"})
_LIKE_DEGREES = 10
"""A number from here on may be an angle in degrees whose sign was left out: `sin 30`."""
_INVERSES = {"sec": "cos", "csc": "sin"}


def apply(field: Field, name: str, argument: Value) -> Value:
    """The value of a function of one argument, such as `sin`. Raises Undecided where it is not defined."""
    if name == "sqrt":
        return field.power(argument, number(Fraction(1, 2)))
    if name == "exp":
        return field.power(variable("e"), argument)
    if name == "abs":
        return _absolute(field, argument)
    if name in ("ln", "log"):
        return _logarithm(field, name, argument)
    if name in ("tan", "cot"):
        sine, cosine = apply(field, "sin", argument), apply(field, "cos", argument)
        return field.divide(sine, cosine) if name == "tan" else field.divide(cosine, sine)
    if name in _INVERSES:
        return field.divide(UNIT, apply(field, _INVERSES[name], argument))
    if name in ("sin", "cos"):
        angle = rational(argument)
        if angle is not None and abs(angle) >= _LIKE_DEGREES:
            raise Undecided
        turn = _turn(argument)
        if turn is not None:
            return _sine(field, turn if name == "sin" else turn + Fraction(1, 2))
    return _symmetric(field, name, argument)


def factorial(value: Value) -> Value:
    """The factorial of a whole number up to 20."""
    return number(product_up_to(_small(value, 20)))


def binomial(upper: Value, lower: Value) -> Value:
    """The binomial coefficient of whole numbers up to 100."""
    return number(comb(_small(upper, 100), _small(lower, 100)))


def _small(value: Value, limit: int) -> int:
    known = rational(value)
    if known is None or known.denominator != 1 or not 0 <= known <= limit:
        raise Undecided
    return int(known)


def _symmetric(field: Field, name: str, argument: Value) -> Value:
    """An opaque function whose argument begins with a positive coefficient where the sign can be taken out."""
    negative = argument.num and argument.num[min(argument.num)] < 0 and (name in _ODD or name in _EVEN)
    if negative:
        argument = field.multiply(number(-1), argument)
    value = field.opaque(f"{name}({key(argument)})", (name, argument))
    return field.multiply(number(-1), value) if negative and name in _ODD else value


def _turn(argument: Value) -> Fraction | None:
    """The argument in units of pi, null when it is no rational multiple of it."""
    if not argument.num:
        return Fraction(0)
    if len(argument.num) == 1 and (("pi", 1),) in argument.num and len(argument.den) == 1 and () in argument.den:
        return Fraction(argument.num[(("pi", 1),)], argument.den[()])
    return None


def _sine(field: Field, turn: Fraction) -> Value:
    """The sine of `turn` times pi: exact for multiples of 15 degrees, else of an angle in the first quadrant."""
    turn %= 2
    sign = -1 if turn > 1 else 1
    turn %= 1
    if turn > Fraction(1, 2):
        turn = 1 - turn
    steps = turn * 12
    if steps.denominator != 1:
        angle = field.multiply(number(turn), variable("pi"))
        value = field.opaque(f"sin({key(angle)})", ("sin", angle))
        return field.multiply(number(sign), value)
    return field.multiply(number(sign), _quadrant(field, int(steps)))


def _quadrant(field: Field, steps: int) -> Value:
    """The sine of `steps` times 15 degrees, up to 90."""
    if steps in (1, 5):
        six, two = _root_of(field, 6), _root_of(field, 2)
        return field.divide(field.add(six, two, -1 if steps == 1 else 1), number(4))
    square = {0: 0, 2: 1, 3: 2, 4: 3, 6: 4}[steps]  # of twice the sine
    return field.divide(_root_of(field, square), number(2)) if square else ZERO


def _root_of(field: Field, square: int) -> Value:
    return field.power(number(square), number(Fraction(1, 2)))


def _logarithm(field: Field, name: str, argument: Value) -> Value:
    """The logarithm as a sum over the prime factors of its argument; `log` is of one base or another."""
    known = rational(argument)
    if known is None:
        return UNIT if name == "ln" and argument == variable("e") else _symmetric(field, name, argument)
    if known <= 0:
        raise Undecided
    total = ZERO
    for size, sign in ((known.numerator, 1), (known.denominator, -1)):
        for prime, times in factors(size):
            of_prime = _symmetric(field, name, number(prime))
            total = field.add(total, field.multiply(number(sign * times), of_prime))
    return total


def _absolute(field: Field, argument: Value) -> Value:
    known = rational(argument)
    if known is not None:
        return number(abs(known))
    size = Fraction(content(argument.num), content(argument.den))
    sign = -1 if argument.num[min(argument.num)] < 0 else 1
    num = divided(argument.num, sign * content(argument.num), {})
    inner = simplified(num, divided(argument.den, content(argument.den), {}))
    if inner == Value(ONE):
        return number(size)
    return field.multiply(number(size), field.opaque(f"abs({key(inner)})", ("abs", inner)))
