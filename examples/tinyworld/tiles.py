"""The picture side of the tiny world: a grid of coloured tiles with one digit each, and its PNG.

A tile is 16x16 pixels, the size of one patch of the vision tower, so the tower sees exactly one tile per token.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Literal

from PIL import Image

TILE = 16
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (200, 40, 40),
    "green": (30, 150, 60),
    "blue": (40, 70, 210),
    "yellow": (235, 205, 50),
}
INK = (255, 255, 255)
DARK_INK = (20, 20, 20)

# Seven rows of five pixels per digit, "#" is ink.
FONT: dict[int, str] = {
    0: ".###. #...# #..## #.#.# ##..# #...# .###.",
    1: "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    2: ".###. #...# ....# ...#. ..#.. .#... #####",
    3: ".###. #...# ....# ..##. ....# #...# .###.",
    4: "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    5: "##### #.... ####. ....# ....# #...# .###.",
    6: "..##. .#... #.... ####. #...# #...# .###.",
    7: "##### ....# ...#. ..#.. .#... .#... .#...",
    8: ".###. #...# #...# .###. #...# #...# .###.",
    9: ".###. #...# #...# .#### ....# ...#. .##..",
}
GLYPH_LEFT, GLYPH_TOP = 5, 4

LineKind = Literal["row", "column"]


@dataclass(frozen=True)
class Line:
    """One row or column of a grid; `number` counts from 1, as questions do."""

    kind: LineKind
    number: int
    digits: tuple[int, ...]
    colours: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"


@dataclass(frozen=True)
class Grid:
    """Digits and background colours, indexed [row][column] from 0."""

    digits: tuple[tuple[int, ...], ...]
    colours: tuple[tuple[str, ...], ...]

    @property
    def size(self) -> int:
        return len(self.digits)

    def line(self, kind: LineKind, number: int) -> Line:
        if kind == "row":
            return Line(kind, number, self.digits[number - 1], self.colours[number - 1])
        digits = tuple(row[number - 1] for row in self.digits)
        colours = tuple(row[number - 1] for row in self.colours)
        return Line(kind, number, digits, colours)


def sample_grid(rng: random.Random, size: int = 4, num_digits: int = 10, num_colours: int = 4) -> Grid:
    palette = list(COLOURS)[:num_colours]
    digits = tuple(tuple(rng.randrange(num_digits) for _ in range(size)) for _ in range(size))
    colours = tuple(tuple(rng.choice(palette) for _ in range(size)) for _ in range(size))
    return Grid(digits, colours)


@cache
def render_tile(digit: int, colour: str) -> Image.Image:
    tile = Image.new("RGB", (TILE, TILE), COLOURS[colour])
    ink = DARK_INK if colour == "yellow" else INK
    for y, pixels in enumerate(FONT[digit].split()):
        for x, pixel in enumerate(pixels):
            if pixel == "#":
                tile.putpixel((GLYPH_LEFT + x, GLYPH_TOP + y), ink)
    return tile


def render_grid(grid: Grid) -> Image.Image:
    image = Image.new("RGB", (grid.size * TILE, grid.size * TILE))
    for row, (digits, colours) in enumerate(zip(grid.digits, grid.colours, strict=True)):
        for column, (digit, colour) in enumerate(zip(digits, colours, strict=True)):
            image.paste(render_tile(digit, colour), (column * TILE, row * TILE))
    return image
