"""The eight problem families of the tiny world, each with a worked solution.

`digit`, `larger`, `count` and `order` are mastered by the base model. `span`, `total`, `ladder` and `champion` are
its frontier: it can carry out their steps when it is told the plan, but it does not know what the four terms mean.
The steps name no coordinates after the first one, so that the plan of one problem fits every problem of its family.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from tiles import Grid, Line, LineKind

MASTERED = ("digit", "larger", "count", "order")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
FRONTIER = ("span", "total", "ladder", "champion")


@dataclass(frozen=True)
class Work:
    """How a problem is solved: the steps, the same in terse notation, and the answer they lead to."""

    answer: str
    answer_type: str
    steps: tuple[str, ...]
    solution: str
    tags: tuple[str, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A question about one grid, with its work; `line` is set where the question is about a row or column."""

    family: str
    question: str
    work: Work
    line: str | None = None


def read_line(line: Line) -> str:
    return f"The line reads {' '.join(map(str, line.digits))}."


def span(line: Line) -> Work:
    high, low = max(line.digits), min(line.digits)
    steps = (read_line(line), f"The largest is {high}.", f"The smallest is {low}.", f"{high} - {low} = {high - low}.")
    tags = ("span", "largest", "smallest", "difference")
    return Work(str(high - low), "number", steps, f"{high}-{low}={high - low}", tags)


def total(line: Line) -> Work:
    sums = list(accumulate(line.digits))
    additions = [f"{old} + {digit} = {new}." for old, digit, new in zip(sums, line.digits[1:], sums[1:], strict=False)]
    terse = f"{'+'.join(map(str, line.digits))}={sums[-1]}"
    return Work(str(sums[-1]), "number", (read_line(line), *additions), terse, ("total", "sum", "addition"))


def ladder(line: Line) -> Work:
    rising = [str(digit) for digit in sorted(line.digits)]
    steps = (read_line(line), f"In order: {' '.join(rising)}.")
    return Work(", ".join(rising), "list", steps, "<".join(rising), ("ladder", "sorted", "ascending"))


def champion(line: Line) -> Work | None:
    """Which digit of the line is the largest; None where the largest digit is not alone."""
    high = max(line.digits)
    if line.digits.count(high) > 1:
        return None
    place = ORDINALS[line.digits.index(high)]
    steps = (read_line(line), f"The largest is {high}.", f"It stands {place}.")
    return Work(place, "text", steps, f"max {high}: {place}", ("champion", "largest", "place"))


PROCEDURES: dict[str, Callable[[Line], Work | None]] = {
    "span": span,
    "total": total,
    "ladder": ladder,
    "champion": champion,
}


def ask_digit(grid: Grid, rng: random.Random) -> Task:
    row, column = rng.randint(1, grid.size), rng.randint(1, grid.size)
    line = grid.line("row", row)
    digit = line.digits[column - 1]
    steps = (f"Row {row} reads {' '.join(map(str, line.digits))}.", f"Place {column} has {digit}.")
    work = Work(str(digit), "number", steps, f"({row},{column})={digit}", ("digit", "reading"))
    return Task("digit", f"Which digit is in row {row}, column {column}?", work)


def ask_larger(grid: Grid, rng: random.Random) -> Task | None:
    """Which of two tiles has the larger digit, as a choice; None where they are equal."""
    cells = [(row, column) for row in range(grid.size) for column in range(grid.size)]
    pair = rng.sample(cells, 2)
    digits = [grid.digits[row][column] for row, column in pair]
    if digits[0] == digits[1]:
        return None
    letter = "A" if digits[0] > digits[1] else "B"
    steps = (f"A has {digits[0]}.", f"B has {digits[1]}.", f"{letter} is larger.")
    choices = tuple(f"row {row + 1}, column {column + 1}" for row, column in pair)
    sign = ">" if letter == "A" else "<"
    work = Work(letter, "choice", steps, f"{digits[0]}{sign}{digits[1]}", ("larger", "comparison"), choices)
    return Task("larger", "Which tile has the larger digit?", work)


def ask_count(grid: Grid, rng: random.Random) -> Task:
    """How many digits of a row are over a bound."""
    line, bound = grid.line("row", rng.randint(1, grid.size)), rng.randint(2, 7)
    over = ["yes" if digit > bound else "no" for digit in line.digits]
    number = over.count("yes")
    steps = (
        f"Row {line.number} reads {' '.join(map(str, line.digits))}.",
        f"Over {bound}: {' '.join(over)}.",
        f"That makes {number}.",
    )
    listed = ",".join(str(digit) for digit in line.digits if digit > bound) or "none"
    work = Work(str(number), "number", steps, f">{bound}: {listed}: {number}", ("count", "comparison"))
    return Task("count", f"How many digits of row {line.number} are over {bound}?", work)


def ask_order(grid: Grid, rng: random.Random) -> Task:
    cells = [(row, column) for row in range(grid.size) for column in range(grid.size)]
    (row_a, column_a), (row_b, column_b) = rng.sample(cells, 2)
    first, second = grid.digits[row_a][column_a], grid.digits[row_b][column_b]
    answer = "yes" if first > second else "no"
    steps = (
        f"Row {row_a + 1}, column {column_a + 1} has {first}.",
        f"Row {row_b + 1}, column {column_b + 1} has {second}.",
        f"{first} against {second}: {answer}.",
    )
    sign = ">" if first > second else "<" if first < second else "="
    work = Work(answer, "boolean", steps, f"{first}{sign}{second}", ("order", "comparison"))
    question = (
        f"Is the digit in row {row_a + 1}, column {column_a + 1} "
        f"larger than the digit in row {row_b + 1}, column {column_b + 1}?"
    )
    return Task("order", question, work)


ASK: dict[str, Callable[[Grid, random.Random], Task | None]] = {
    "digit": ask_digit,
    "larger": ask_larger,
    "count": ask_count,
    "order": ask_order,
}


def ask_line(term: str, line: Line) -> str:
    return f"What is the {term} of {line.name}?"


def ask_term(family: str, grid: Grid, rng: random.Random, kinds: tuple[LineKind, ...]) -> Task | None:
    """A frontier question about a random line; None where the grid has no answer there."""
    line = grid.line(rng.choice(kinds), rng.randint(1, grid.size))
    work = PROCEDURES[family](line)
    return None if work is None else Task(family, ask_line(family, line), work, line.name)


def ask(family: str, grid: Grid, rng: random.Random, kinds: tuple[LineKind, ...] = ("row", "column")) -> Task | None:
    if family in FRONTIER:
        return ask_term(family, grid, rng, kinds)
    return ASK[family](grid, rng)
