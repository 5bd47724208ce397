"""Does tune-temperature follow a moving optimum, and at what cost? A simulation of M-STaR's temperature curves.

Pass@16 and Reward-Pass@2 against temperature are those of M-STaR (arXiv 2412.17451, read off its plots, +-1 point) at
the start and at the end of training; at the end they all but meet, so its shape there, and that the maximum moves
steadily from 0.5 to 1.2 in between, are our reading. Each round has 250 problems: a normal spread of difficulty, and
completions whose rewards tell right from wrong just as well as the two curves say. A hit is a choice within one step of
the grid (0.1) of the round's true maximum. The baseline is the paper's: 16 completions at each of the 14 temperatures,
and the highest figure wins. Intervals are Wilson's, of 95%.

    python benchmarks/bench_temperature.py [--runs 40] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from anectl.core.metrics import wilson
from anectl.core.tuning import BANDWIDTH, Graded, reward_pass, smoother

Floats = NDArray[np.float64]

GRID = [round(0.3 + 0.1 * place, 1) for place in range(14)]
NUM_ROUNDS, NUM_PROBLEMS, NUM_DRAWN, NUM_KEPT = 13, 250, 16, 2
START_PEAK, END_PEAK = 0.5, 1.2
# The spread of the problems' difficulty, in logits: a policy is right almost always or hardly ever.
SPREAD = 2.5
AT = (0.0, 0.3, 0.5, 0.7, 1.0, 1.2, 1.5, 1.7, 2.0, 2.5)
# Percent. 0.5 to 2.0 are the paper's (0.7 to 1.7 of the end lie in its band of 46 to 52), the others go on from there.
REWARD_START = (46, 51.5, 53, 52, 44, 42, 34, 29, 19, 5)
REWARD_END = (44, 45.5, 46.5, 48, 51, 52, 51, 49.5, 46, 38)
PASS_START = (50, 58, 62, 65, 66, 65, 59, 57, 45, 20)
PASS_END = (54, 54.5, 56, 57, 60, 62, 62, 63, 63, 60)
NUM_FIT = 3000


def reward_curve(temperature: float, done: float) -> float:
    """True Reward-Pass@2 when that share of the training is done: the end curves, each moved to the peak of today."""
    peak = START_PEAK + (END_PEAK - START_PEAK) * done
    start = _read(REWARD_START, temperature - peak + START_PEAK)
    return (1 - done) * start + done * _read(REWARD_END, temperature - peak + END_PEAK)


def pass_curve(temperature: float, done: float) -> float:
    """True Pass@16; never below what the best two can have."""
    value = (1 - done) * _read(PASS_START, temperature) + done * _read(PASS_END, temperature)
    return max(value, reward_curve(temperature, done) + 0.02)


def _read(curve: tuple[float, ...], temperature: float) -> float:
    """The curve at a temperature, a smooth line through its points."""
    x = min(max(temperature, AT[0]), AT[-1])
    return float(_smooth(curve)(x)) / 100


@cache
def _smooth(curve: tuple[float, ...]) -> Callable[[float], float]:
    from scipy.interpolate import PchipInterpolator

    line: Callable[[float], float] = PchipInterpolator(AT, curve)
    return line


@cache
def policy(temperature: float, done: float) -> tuple[float, float]:
    """Mean logit of success, and by how much the rewards of right completions lie higher, that give both curves."""
    rng = np.random.default_rng(1)
    difficulty = SPREAD * rng.normal(size=NUM_FIT)
    luck, noise = rng.random((NUM_FIT, NUM_DRAWN)), rng.normal(size=(NUM_FIT, NUM_DRAWN))

    def found(logit: float) -> float:
        return float(np.mean(1 - (1 - _logistic(logit + difficulty)) ** NUM_DRAWN))

    logit = _solve(found, pass_curve(temperature, done), -20, 20)
    right = luck < _logistic(logit + difficulty)[:, None]

    def kept(lead: float) -> float:
        best = np.argpartition(-(noise + lead * right), NUM_KEPT - 1, axis=1)[:, :NUM_KEPT]
        return float(np.take_along_axis(right, best, 1).any(axis=1).mean())

    return logit, _solve(kept, reward_curve(temperature, done), -6, 8)


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _solve(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2


def measure(rng: np.random.Generator, difficulty: Floats, temperature: float, done: float, samples: int) -> float:
    """Reward-Pass@2 of 16 as estimated from `samples` completions of each problem."""
    logit, lead = policy(temperature, done)
    right = rng.random((len(difficulty), samples)) < _logistic(logit + difficulty)[:, None]
    rewards = rng.normal(size=right.shape) + lead * right
    estimates = (
        reward_pass([Graded(bool(c), float(r)) for c, r in zip(*row, strict=True)], NUM_DRAWN, NUM_KEPT)
        for row in zip(right, rewards, strict=True)
    )
    return math.fsum(estimates) / len(difficulty)


def choose(values: list[float], measured: list[float], *, smooth: bool) -> float:
    """The temperature of the highest value, on the smoothed curve over the whole grid or among those measured."""
    if not smooth:
        return measured[max(range(len(values)), key=values.__getitem__)]
    curve = [math.fsum(w * v for w, v in zip(row, values, strict=True)) for row in smoother(measured, GRID, BANDWIDTH)]
    return GRID[max(range(len(GRID)), key=curve.__getitem__)]


def run(samples: int, measured: list[float], *, smooth: bool, runs: int, seed: int) -> str:
    """One row of the table: hits, what was lost by misses, and the cost."""
    hits, lost = 0, 0.0
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        difficulty = SPREAD * rng.normal(size=NUM_PROBLEMS)
        for turn in range(NUM_ROUNDS):
            done = turn / (NUM_ROUNDS - 1)
            values = [measure(rng, difficulty, temperature, done, samples) for temperature in measured]
            chosen = choose(values, measured, smooth=smooth)
            true = {temperature: reward_curve(temperature, done) for temperature in GRID}
            best = max(GRID, key=true.__getitem__)
            hits += abs(chosen - best) < 0.1 + 1e-9
            lost += true[best] - true[chosen]
    rounds = runs * NUM_ROUNDS
    low, high = wilson(hits, rounds)
    cost = samples * len(measured)
    return (
        f"| {'smoothed' if smooth else 'highest'}, {len(measured)} temperatures x {samples} | "
        f"{100 * hits / rounds:.1f}% [{100 * low:.1f}, {100 * high:.1f}] | {100 * lost / rounds:.2f} | {cost} | "
        f"{cost * NUM_PROBLEMS:,} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{asked.runs} runs of {NUM_ROUNDS} rounds, seed {asked.seed}\n")
    print("| choice | within one step of the maximum | points lost | samples a problem | samples a round |")
    print("|---|---|---:|---:|---:|")
    third = GRID[::3] + GRID[-1:]
    for samples, measured, smooth in (
        (16, GRID, False),
        (32, GRID, False),
        (16, GRID, True),
        (32, third, True),
        (64, third, True),
        (32, GRID, True),
    ):
        print(run(samples, measured, smooth=smooth, runs=asked.runs, seed=asked.seed), flush=True)


if __name__ == "__main__":
    main()
