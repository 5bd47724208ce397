"""What a figure shows, in the units of its axes: drawn as SVG by `figure_svg`, as PNG by an engine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

# On paper and on black; told apart by people who see no red or no green, and in grey.
PALETTE = {
    "c0": ("#1f5a7a", "#7fb8d8"),
    "c1": ("#b4532a", "#e39a6f"),
    "c2": ("#4c7a3f", "#9cc48c"),
    "c3": ("#7a4a86", "#c79ad3"),
    "c4": ("#8a6d1d", "#d3b865"),
    "c5": ("#2f7f7a", "#79c6bf"),
    "c6": ("#9a3350", "#e08ca3"),
    "c7": ("#5d6470", "#a9b0bb"),
    "failing": ("#a8402c", "#d9735e"),
    "unsure": ("#8d8577", "#8f897d"),
    "learnable": ("#c08a1e", "#d9ac4f"),
    "solved": ("#2f6f62", "#5fae9d"),
    "ink": ("#1f1d1a", "#e6e2da"),
    "muted": ("#8b857b", "#7d7870"),
    "rule": ("#ddd7cc", "#35332f"),
}
"""Each colour by its name, on light and on dark ground."""
NUM_SERIES = 8


def series_colour(number: int) -> str:
    """The name of the colour of a series; there are NUM_SERIES of them."""
    return f"c{number % NUM_SERIES}"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis from `low` to `high`; a category axis has a tick for each category and no grid."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    categories: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline; a thin one lies behind its own smoothed form."""

    points: tuple[tuple[float, float], ...]
    colour: str
    label: str = ""
    thin: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The area between a lower and an upper value at each x."""

    points: tuple[tuple[float, float, float], ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line between two points, such as an interval."""

    x0: float
    y0: float
    x1: float
    y1: float
    colour: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point."""

    x: float
    y: float
    colour: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle; a faint one lies behind others."""

    x0: float
    y0: float
    x1: float
    y1: float
    colour: str
    label: str = ""
    faint: bool = False


Mark: TypeAlias = Line | Band | Segment | Dot | Block


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure; `name` is its file name, `summary` what a reader who cannot see it should know."""

    name: str
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    legend: tuple[tuple[str, str], ...] = ()
    summary: str = ""
    height: int = 220
    width: int = 460


def number_axis(label: str, values: Iterable[float], *, share: bool = False, zero: bool = False) -> Axis:
    """An axis with round ticks around the values; of shares from 0 to 1, shown in percent; `zero` keeps 0 on it."""
    if share:
        return Axis(label, 0.0, 1.0, tuple((tick / 4, f"{25 * tick}%") for tick in range(5)))
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-3):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = [number * step for number in range(first, last + 1)]
    return Axis(label, places[0], places[-1], tuple(zip(places, _tick_texts(places, step), strict=True)))


def category_axis(label: str, names: Sequence[str]) -> Axis:
    """An axis with a place for each name, from 0 up."""
    return Axis(label, -0.5, max(len(names), 1) - 0.5, tuple(enumerate(names)), categories=True)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least this."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def _tick_texts(places: Sequence[float], step: float) -> list[str]:
    """The shortest texts that tell ticks apart."""
    if 1e-4 <= step < 1e6:
        decimals = next((digits for digits in range(6) if abs(round(step, digits) - step) < step * 1e-6), 6)
        return [f"{0.0 if abs(place) < step / 2 else place:,.{decimals}f}" for place in places]
    for digits in range(1, 16):
        texts = [f"{0.0 if abs(place) < step / 2 else place:.{digits}g}" for place in places]
        if len(set(texts)) == len(texts):
            break
    return texts
