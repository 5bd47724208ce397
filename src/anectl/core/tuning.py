"""The temperature to draw at next, from completions drawn at several.

Pass@K, the share of problems with a right completion among K, says what the policy can find; Reward-Pass@k, the share
with a right one among the k best of K by reward, says what training will get of it. M-STaR (arXiv 2412.17451, section
4.3) takes the argmax of Reward-Pass@2 on 250 problems. Neighbouring temperatures differ by less than the noise of that
many problems, so the curve is smoothed before its maximum is taken, by a parabola fitted around each point (local
quadratic regression with Gaussian weights; Fan and Gijbels 1996, section 3). That is ours: with the curves of the paper
it needs less than half of the samples for the same hits (`benchmarks/bench_temperature.py`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anectl.core.errors import AnectlError
from anectl.core.metrics import Interval, mean

BANDWIDTH = 0.3
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Graded:
    """One completion: whether it is right (what could not be judged is not), and its reward."""

    correct: bool
    reward: float


@dataclass(frozen=True, slots=True)
class Point:
    """One temperature of the grid: both figures with their intervals where it was measured, and the smoothed curve."""

    temperature: float
    pass_at_k: float | None
    pass_interval: Interval | None
    reward_pass: float | None
    reward_interval: Interval | None
    smoothed: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """The chosen temperature, and the central 95% of what resampled problems would have chosen."""

    temperature: float
    interval: Interval
    points: tuple[Point, ...]


def reward_pass(completions: Sequence[Graded], num_drawn: int, num_kept: int) -> float:
    """Chance that of `num_drawn` of these completions one of the `num_kept` with the highest rewards is right.

    Over all ways to draw them, so that further completions make the estimate steadier but not larger; with `num_kept`
    equal to `num_drawn` it is pass@k of Chen et al. 2021. Equal rewards rank in the order given.
    Raises ValueError unless 1 <= num_kept <= num_drawn <= len(completions).
    """
    total = len(completions)
    if not 1 <= num_kept <= num_drawn <= total:
        raise ValueError(f"the best {num_kept} of {num_drawn} of {total}")
    ranked = sorted(completions, key=lambda one: one.reward, reverse=True)
    # ways[j]: in how many ways j of the completions so far are drawn, none of them right.
    ways = [1] + [0] * (num_kept - 1)
    misses = 0
    for place, one in enumerate(ranked):
        if one.correct:
            continue
        misses += ways[-1] * math.comb(total - place - 1, num_drawn - num_kept)
        for j in range(num_kept - 1, 0, -1):
            ways[j] += ways[j - 1]
    return 1 - misses / math.comb(total, num_drawn)


def tune(
    values: Mapping[float, Sequence[tuple[float, float]]], grid: Sequence[float], *, seed: int, bandwidth: float
) -> Tuned:
    """The temperature of the grid at which the smoothed Reward-Pass@k is highest; of equal ones the lowest.

    `values` has for each measured temperature the (Pass@K, Reward-Pass@k) of each problem, problems in the same order.
    Intervals are of 95%, by resampling problems, all temperatures together. Raises AnectlError for fewer than three
    temperatures: a parabola needs as many.
    """
    measured = sorted(values)
    if len(measured) < 3:
        raise AnectlError(
            f"completions of {len(measured)} temperatures: a maximum needs at least three",
            hint="anectl rollout --temperature 0.3, 0.6, 0.9, ..., one file each",
        )
    weights = smoother(measured, grid, bandwidth)
    rewards = [[reward for _, reward in values[temperature]] for temperature in measured]
    curve = _smoothed(weights, [mean(column) for column in rewards])
    rng = random.Random(f"{seed}/tune")
    num_problems = len(rewards[0])
    draws = [rng.choices(range(num_problems), k=num_problems) for _ in range(_RESAMPLES)]
    resampled = [[math.fsum(column[i] for i in draw) / num_problems for draw in draws] for column in rewards]
    winners = sorted(grid[_best(_smoothed(weights, row))] for row in zip(*resampled, strict=True))
    passes = [[found for found, _ in values[temperature]] for temperature in measured]
    points = []
    for place, temperature in enumerate(grid):
        if temperature not in values:
            points.append(Point(temperature, None, None, None, None, curve[place]))
            continue
        column = measured.index(temperature)
        found = sorted(math.fsum(passes[column][i] for i in draw) / num_problems for draw in draws)
        intervals = _central(found), _central(sorted(resampled[column]))
        points.append(
            Point(temperature, mean(passes[column]), intervals[0], mean(rewards[column]), intervals[1], curve[place])
        )
    return Tuned(grid[_best(curve)], _central(winners), tuple(points))


def smoother(measured: Sequence[float], grid: Sequence[float], bandwidth: float) -> list[list[float]]:
    """Weights, one row per point of the grid, that turn values at the measured points into the smoothed curve.

    Row t is the value at t of the parabola fitted by least squares with weights exp(-((x - t) / bandwidth)^2 / 2).
    """
    rows = []
    for at in grid:
        kernel = [math.exp(-0.5 * ((x - at) / bandwidth) ** 2) for x in measured]
        moments = [
            math.fsum(w * (x - at) ** power for w, x in zip(kernel, measured, strict=True)) for power in range(5)
        ]
        a, b, c = _first_row_of_inverse(moments)
        rows.append([w * (a + b * (x - at) + c * (x - at) ** 2) for w, x in zip(kernel, measured, strict=True)])
    return rows


def _first_row_of_inverse(m: Sequence[float]) -> tuple[float, float, float]:
    """Of the matrix of moments [[m0, m1, m2], [m1, m2, m3], [m2, m3, m4]]."""
    minors = m[2] * m[4] - m[3] ** 2, m[2] * m[3] - m[1] * m[4], m[1] * m[3] - m[2] ** 2
    determinant = m[0] * minors[0] + m[1] * minors[1] + m[2] * minors[2]
    return minors[0] / determinant, minors[1] / determinant, minors[2] / determinant


def _smoothed(weights: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    return [math.fsum(w * value for w, value in zip(row, values, strict=True)) for row in weights]


def _best(curve: Sequence[float]) -> int:
    return max(range(len(curve)), key=lambda place: (curve[place], -place))


def _central(ordered: Sequence[float]) -> Interval:
    """The middle 95% of sorted values."""
    cut = round(0.025 * (len(ordered) - 1))
    return ordered[cut], ordered[-1 - cut]
