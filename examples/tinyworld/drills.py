"""Reading drills: short questions that teach the decoder to look at the picture before it has to reason about it.

On the mixture alone the decoder learns to read digits, which every step asks for, and leaves colours and places, which
few steps ask for, at chance for thousands of steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from mixture import Example, draw_line
from tiles import COLOURS, Grid, sample_grid


def read_tiles(rng: random.Random, grid: Grid) -> tuple[str, str]:
    line = draw_line(rng, grid)
    tiles = [f"{digit} {colour}" for digit, colour in zip(line.digits, line.colours, strict=True)]
    return f"Read {line.name}.", f"{', '.join(tiles)}."


def read_colours(rng: random.Random, grid: Grid) -> tuple[str, str]:
    line = draw_line(rng, grid)
    return f"Read the colours of {line.name}.", f"{' '.join(line.colours)}."


def find_colour(rng: random.Random, grid: Grid) -> tuple[str, str]:
    line, place = draw_line(rng, grid), rng.randint(1, grid.size)
    return f"Which colour is place {place} of {line.name}?", f"Place {place} is {line.colours[place - 1]}."


def find_place(rng: random.Random, grid: Grid) -> tuple[str, str]:
    """Where a digit stands; the first place where it stands twice."""
    line = draw_line(rng, grid)
    digit = rng.choice(line.digits)
    place = line.digits.index(digit) + 1
    reading = f"The line reads {' '.join(map(str, line.digits))}."
    return f"Which place of {line.name} has {digit}?", f"{reading} It is in place {place}."


def count_in_rows(rng: random.Random, grid: Grid) -> tuple[str, str]:
    colour = rng.choice(list(COLOURS))
    counts = (f"Row {number} has {tiles.count(colour)}." for number, tiles in enumerate(grid.colours, 1))
    return f"How many {colour} tiles has each row?", " ".join(counts)


def add(rng: random.Random, grid: Grid) -> tuple[str, str]:
    """Sums of a running total and a digit, as in the steps of `total`."""
    sums = []
    for _ in range(3):
        first, second = rng.randrange(28), rng.randrange(10)
        sums.append(f"{first} + {second} = {first + second}.")
    return "Some sums.", " ".join(sums)


DRILLS: dict[Callable[[random.Random, Grid], tuple[str, str]], int] = {
    read_tiles: 4,
    read_colours: 2,
    find_colour: 1,
    find_place: 2,
    count_in_rows: 3,
    add: 2,
}


def draw_drill(rng: random.Random) -> Example:
    grid = sample_grid(rng)
    drill = rng.choices(list(DRILLS), list(DRILLS.values()))[0]
    question, answer = drill(rng, grid)
    return Example(grid, question, "", answer)
