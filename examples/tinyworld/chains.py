"""The steps by which each family is solved, each with a way to be wrong about it.

A chain asks for its values one by one and goes on from what it is given, so that an error is carried on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from families import ORDINALS
from tiles import Grid, Line

Value = Any


@dataclass(frozen=True)
class Claim:
    """One step: how it words a value, the value that follows from the steps before, and a way to be wrong about it."""

    words: Callable[[Value], str]
    value: Value
    wrong: Callable[[random.Random], Value]


Chain = Generator[Claim, Value, None]


def another(values: range | tuple[Value, ...], value: Value) -> Callable[[random.Random], Value]:
    return lambda rng: rng.choice([other for other in values if other != value])


def reading(name: str, digits: tuple[int, ...]) -> Claim:
    """A line of digits; a misreading has one of them wrong."""

    def wrong(rng: random.Random) -> tuple[int, ...]:
        place = rng.randrange(len(digits))
        return (*digits[:place], another(range(10), digits[place])(rng), *digits[place + 1 :])

    return Claim(lambda value: f"{name} reads {' '.join(map(str, value))}.", digits, wrong)


def digit_claim(pattern: str, value: int, values: range | tuple[int, ...] = range(10)) -> Claim:
    return Claim(pattern.format, value, another(values, value))


def nearby(pattern: str, value: int) -> Claim:
    """A count or a result; a wrong one is off by little."""
    return Claim(pattern.format, value, lambda rng: max(0, value + rng.choice((-3, -2, -1, 1, 2, 3))))


def digit_chain(line: Line, column: int) -> Chain:
    digits = yield reading(f"Row {line.number}", line.digits)
    digit = yield digit_claim(f"Place {column} has {{}}.", digits[column - 1])
    yield digit_claim("Answer: {}", digit)


def larger_chain(first: int, second: int) -> Chain:
    a = yield digit_claim("A has {}.", first)
    b = yield digit_claim("B has {}.", second)
    letter = yield Claim("{} is larger.".format, "A" if a > b else "B", another(("A", "B"), "A" if a > b else "B"))
    yield Claim("Answer: {}".format, letter, another(("A", "B"), letter))


def count_chain(line: Line, bound: int) -> Chain:
    digits = yield reading(f"Row {line.number}", line.digits)
    over = tuple("yes" if digit > bound else "no" for digit in digits)

    def flipped(rng: random.Random) -> tuple[str, ...]:
        place = rng.randrange(len(over))
        return (*over[:place], "no" if over[place] == "yes" else "yes", *over[place + 1 :])

    over = yield Claim(lambda value: f"Over {bound}: {' '.join(value)}.", over, flipped)
    number = yield digit_claim("That makes {}.", over.count("yes"), range(5))
    yield digit_claim("Answer: {}", number, range(5))


def order_chain(names: tuple[str, str], first: int, second: int) -> Chain:
    a = yield digit_claim(f"{names[0]} has {{}}.", first)
    b = yield digit_claim(f"{names[1]} has {{}}.", second)
    verdict = "yes" if a > b else "no"
    verdict = yield Claim(f"{a} against {b}: {{}}.".format, verdict, another(("yes", "no"), verdict))
    yield Claim("Answer: {}".format, verdict, another(("yes", "no"), verdict))


def span_chain(line: Line) -> Chain:
    digits = yield reading("The line", line.digits)
    high = yield digit_claim("The largest is {}.", max(digits))
    low = yield digit_claim("The smallest is {}.", min(digits), range(high + 1))
    difference = yield nearby(f"{high} - {low} = {{}}.", high - low)
    yield nearby("Answer: {}", difference)


def total_chain(line: Line) -> Chain:
    digits = yield reading("The line", line.digits)
    total = digits[0]
    for digit in digits[1:]:
        total = yield nearby(f"{total} + {digit} = {{}}.", total + digit)
    yield nearby("Answer: {}", total)


def ladder_chain(line: Line) -> Chain:
    digits = yield reading("The line", line.digits)
    rising = tuple(sorted(digits))

    def swapped(rng: random.Random) -> tuple[int, ...]:
        one, other = rng.sample(range(len(rising)), 2)
        order = list(rising)
        order[one], order[other] = order[other], order[one]
        return tuple(order)

    rising = yield Claim(lambda value: f"In order: {' '.join(map(str, value))}.", rising, swapped)
    yield Claim(lambda value: f"Answer: {', '.join(map(str, value))}", rising, swapped)


def champion_chain(line: Line) -> Chain:
    digits = yield reading("The line", line.digits)
    high = yield digit_claim("The largest is {}.", max(digits), tuple(sorted(set(digits))))
    place = ORDINALS[digits.index(high)]
    place = yield Claim("It stands {}.".format, place, another(ORDINALS[: len(digits)], place))
    yield Claim("Answer: {}".format, place, another(ORDINALS[: len(digits)], place))


def chain_of(family: str, grid: Grid, question: str) -> Chain:
    """The chain of a problem, whose question tells the places it is about."""
    numbers = [int(word) for word in "".join(c if c.isdigit() else " " for c in question).split()]
    if family == "digit":
        return digit_chain(grid.line("row", numbers[0]), numbers[1])
    if family == "count":
        return count_chain(grid.line("row", numbers[0]), numbers[1])
    if family in ("larger", "order"):
        cells = [(numbers[0], numbers[1]), (numbers[2], numbers[3])]
        first, second = (grid.digits[row - 1][column - 1] for row, column in cells)
        names = tuple(f"Row {row}, column {column}" for row, column in cells)
        return larger_chain(first, second) if family == "larger" else order_chain(names, first, second)  # type: ignore[arg-type]
    line = grid.line("row" if " row " in question else "column", numbers[0])
    return {"span": span_chain, "total": total_chain, "ladder": ladder_chain, "champion": champion_chain}[family](line)


def worked(chain: Chain, rng: random.Random, wrong: int | None, slipped: int | None = None) -> list[str]:
    """The steps of a chain that is wrong from step `wrong` on, and shows a wrong value it does not use at `slipped`."""
    steps: list[str] = []
    claim = next(chain)
    while True:
        value = claim.wrong(rng) if len(steps) == wrong else claim.value
        shown = claim.wrong(rng) if len(steps) == slipped else value
        steps.append(claim.words(shown))
        try:
            claim = chain.send(value)
        except StopIteration:
            return steps
