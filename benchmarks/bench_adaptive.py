"""What drawing until sure saves, and whether zones are right as often as they say: simulated, with known pass rates.

Usage: python benchmarks/bench_adaptive.py [--problems 20000] [--seeds 3]

For each of eight mixtures of Betas the pass rates of the problems are drawn, then completions as `rollout` draws them.
The wrong zones are the problems whose likeliest zone, by the posterior, is not the one of their pass rate; unsure
problems count as well. The first table has the wrong zones of uniform n = 64; the least share of its samples that any
rule takes for as few, even one that knows the mixture and looks after every completion; the samples and wrong zones of
--until-confident 0.9 --max-n 64; and the uniform n that gives as few wrong zones.

The second table is of the cheapest of 16 budgets that has no more wrong zones than uniform n = 64, chosen on a seed of
its own and measured on the others: its samples over 64, what it is, and `more wrong`, its share of wrong zones less
that of uniform n = 64, in points, with its 95% interval. Both are placed in the same way: by the Jeffreys prior, or
each by a prior fitted to its own counts, as locate-frontier has it from 200 problems on. Rows are drawn with
--no-give-up, with the defaults, and with --growth 1.5.

The third table compares, at --until-confident 0.9 --max-n 64, what zones say with what is true: the mean confidence of
the problems that are placed (confidence 0.8 and more) less the share of them that is placed right, in points, over all
and at its worst over the bins 0.8, 0.85, 0.9, 0.95, 0.99 that hold 1000 problems or more of all seeds; by the Jeffreys
and by a fitted prior.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from anectl.core.adaptive import Budget
from anectl.core.binomial import draw_binomial
from anectl.core.posterior import JEFFREYS, Part, Prior, updated, zone_masses
from anectl.core.prior import expected_error, fit_prior

LOW, HIGH = 0.1, 0.7
MIXTURES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "U-shaped": ((0.5, 0.3, 1.5), (0.5, 1.5, 0.3)),
    "hard": ((0.6, 0.3, 6), (0.3, 2, 3), (0.1, 6, 0.6)),
    "two peaks": ((0.4, 0.5, 20), (0.2, 3, 3), (0.4, 20, 0.8)),
    "tiny world": ((0.45, 0.2, 4), (0.55, 8, 0.3)),
    "Jeffreys": ((1, 0.5, 0.5),),
    "uniform": ((1, 1, 1),),
    "middle": ((1, 4, 4),),
    "at the borders": ((0.5, 4, 30), (0.5, 12, 6)),
}
UNIFORM = (8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64)
BUDGETS = tuple((percent / 100, most) for most in (128, 256) for percent in range(88, 96))
WAYS = {"--no-give-up": (2.0, False), "default": (2.0, True), "--growth 1.5": (1.5, True)}
PRIORS = ("Jeffreys", "fitted")
BINS = (0.8, 0.85, 0.9, 0.95, 0.99, 1.01)
LEAST_IN_BIN = 1000
HORIZON = 256
_MASSES: dict[tuple[int, int, Prior], tuple[float, ...]] = {}

Counts = list[tuple[int, int]]


class Calibration(NamedTuple):
    """Confidence less truth, as shares: over all that are placed, and in the worst bin."""

    overall: float
    worst: float


def pass_rates(mixture: Sequence[tuple[float, float, float]], count: int, rng: random.Random) -> list[float]:
    parts = rng.choices(mixture, [share for share, _, _ in mixture], k=count)
    return [rng.betavariate(a, b) for _, a, b in parts]


def masses(n: int, c: int, prior: Prior) -> tuple[float, ...]:
    key = n, c, prior
    if key not in _MASSES:
        _MASSES[key] = tuple(zone_masses(n, c, LOW, HIGH, prior).values())
    return _MASSES[key]


def zone_number(rate: float) -> int:
    return (rate >= LOW) + (rate > HIGH)


def is_right(rate: float, counts: tuple[int, int], prior: Prior) -> bool:
    found = masses(*counts, prior)
    return found.index(max(found)) == zone_number(rate)


def wrong_zones(rates: Sequence[float], counts: Counts, prior: Prior = JEFFREYS) -> float:
    return 1 - sum(is_right(rate, pair, prior) for rate, pair in zip(rates, counts, strict=True)) / len(rates)


def drawn_uniformly(rates: Sequence[float], n: int, rng: random.Random) -> Counts:
    return [(n, draw_binomial(n, rate, rng)) for rate in rates]


def drawn_adaptively(rates: Sequence[float], budget: Budget, rng: random.Random, first: int = 8) -> Counts:
    """As `rollout` does where every completion can be judged."""
    found = []
    further: dict[tuple[int, int], int] = {}
    for rate in rates:
        n = c = 0
        more = first
        while more:
            n, c = n + more, c + draw_binomial(more, rate, rng)
            if (n, c) not in further:
                further[n, c] = budget.more(n, n, c)
            more = further[n, c]
        found.append((n, c))
    return found


def prior_of(name: str, counts: Counts) -> Prior:
    return fit_prior(Counter(counts)) if name == "fitted" else JEFFREYS


def placed(rates: Sequence[float], counts: Counts, prior: Prior) -> list[tuple[float, float]]:
    """The confidence of each problem that is placed, and the same less 1 where it is placed right."""
    found = []
    for rate, pair in zip(rates, counts, strict=True):
        confidence = max(masses(*pair, prior))
        if confidence >= BINS[0]:
            found.append((confidence, confidence - is_right(rate, pair, prior)))
    return found


def calibration(gaps: Sequence[tuple[float, float]]) -> Calibration:
    worst = []
    for low, high in pairwise(BINS):
        inside = [gap for confidence, gap in gaps if low <= confidence < high]
        if len(inside) >= LEAST_IN_BIN:
            worst.append(statistics.fmean(inside))
    return Calibration(statistics.fmean(gap for _, gap in gaps), max(worst, key=abs, default=math.nan))


def mean_n(counts: Counts) -> float:
    return statistics.fmean(n for n, _ in counts)


def matching_uniform(rates: Sequence[float], wrong: float, rng: random.Random) -> float:
    """The uniform n, between those of UNIFORM by a straight line, with this share of wrong zones."""
    known = [(n, wrong_zones(rates, drawn_uniformly(rates, n, rng))) for n in UNIFORM]
    for (n, high), (more, low) in pairwise(known):
        if low <= wrong:
            return n if high <= wrong else n + (more - n) * (high - wrong) / (high - low)
    return float(UNIFORM[-1])


def cheapest(rates: Sequence[float], way: tuple[float, bool], rng: random.Random) -> dict[str, Budget]:
    """For each way of placing problems the budget that draws least and has no more wrong zones than uniform n = 64."""
    uniform = drawn_uniformly(rates, 64, rng)
    bounds = {name: wrong_zones(rates, uniform, prior_of(name, uniform)) for name in PRIORS}
    found: dict[str, tuple[float, Budget]] = {}
    for confident, most in BUDGETS:
        budget = Budget(confident, most, LOW, HIGH, *way)
        counts = drawn_adaptively(rates, budget, rng)
        for name, bound in bounds.items():
            is_cheaper = name not in found or mean_n(counts) < found[name][0]
            if is_cheaper and wrong_zones(rates, counts, prior_of(name, counts)) <= bound:
                found[name] = mean_n(counts), budget
    return {name: budget for name, (_, budget) in found.items()}


def least_of_any_rule(mixture: Sequence[tuple[float, float, float]]) -> float:
    """What the best of all rules for as few wrong zones as n = 64 draws at least of a problem, up to HORIZON.

    It knows the mixture and looks after every completion. The Lagrangian bound: at every price of a completion its
    least loss, wrong zones and price together, is no more than that of any other rule.
    """
    prior = tuple(Part(*part) for part in mixture)
    target = expected_error(prior, 64, LOW, HIGH)
    doubts = {
        (n, c): 1 - max(zone_masses(n, c, LOW, HIGH, prior).values()) for n in range(HORIZON + 1) for c in range(n + 1)
    }
    rates = {(n, c): sum(part.share * part.a / (part.a + part.b) for part in updated(prior, n, c)) for n, c in doubts}
    bounds = []
    for price in (0.0004 * 1.2**step for step in range(16)):
        losses = [doubts[HORIZON, c] for c in range(HORIZON + 1)]
        for n in range(HORIZON - 1, -1, -1):
            further = ((rates[n, c] * losses[c + 1] + (1 - rates[n, c]) * losses[c]) for c in range(n + 1))
            losses = [min(doubts[n, c], price + loss) for c, loss in enumerate(further)]
        bounds.append((losses[0] - target) / price)
    return max(bounds)


class World:
    """The problems of one seed, and what a budget finds of them."""

    def __init__(self, mixture: Sequence[tuple[float, float, float]], num_problems: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rates = pass_rates(mixture, num_problems, self.rng)
        self.uniform = drawn_uniformly(self.rates, 64, self.rng)

    def differences(self, counts: Counts, name: str) -> list[int]:
        """For each problem 1 where these counts place it wrong and uniform n = 64 does not, -1 the other way round."""
        priors = prior_of(name, self.uniform), prior_of(name, counts)
        return [
            is_right(rate, uniform, priors[0]) - is_right(rate, pair, priors[1])
            for rate, uniform, pair in zip(self.rates, self.uniform, counts, strict=True)
        ]


def usual(worlds: Sequence[World]) -> tuple[str, str]:
    """What --until-confident 0.9 --max-n 64 does, and how its zones are calibrated."""
    saved = []
    gaps: tuple[list[tuple[float, float]], ...] = ([], [])
    for world in worlds:
        counts = drawn_adaptively(world.rates, Budget(0.9, 64, LOW, HIGH), world.rng)
        wrong = wrong_zones(world.rates, counts)
        matched = matching_uniform(world.rates, wrong, world.rng)
        saved.append((wrong_zones(world.rates, world.uniform), mean_n(counts), wrong, matched))
        for known, prior in zip(gaps, (JEFFREYS, fit_prior(Counter(counts))), strict=True):
            known += placed(world.rates, counts, prior)
    uniform, spent, wrong, matched = map(statistics.fmean, zip(*saved, strict=True))
    said = [100 * value for known in gaps for value in calibration(known)]
    text = f"{uniform:6.2%}  {spent:5.1f} {wrong:6.2%} {spent / 64:4.0%}  {matched:5.1f} {spent / matched:5.0%}  "
    return text, "{:+6.2f} {:+7.2f}   {:+6.2f} {:+7.2f}".format(*said)


def equal_error(worlds: Sequence[World], budget: Budget | None, name: str) -> str:
    """What the budget that was chosen for as few wrong zones as uniform n = 64 draws, and whether it has as few."""
    if budget is None:
        return "none".ljust(34)
    spent, differences = [], []
    for world in worlds:
        counts = drawn_adaptively(world.rates, budget, world.rng)
        spent.append(mean_n(counts))
        differences += world.differences(counts, name)
    half = 1.96 * statistics.pstdev(differences) / len(differences) ** 0.5
    more = f"{100 * statistics.fmean(differences):+5.2f} +- {100 * half:.2f}"
    return f"{statistics.fmean(spent) / 64:6.1%}  {more}  {budget.until_confident} to {budget.max_n}".ljust(34)


def bought(chosen_on: World, worlds: Sequence[World]) -> dict[str, str]:
    """For each way of drawing, what as few wrong zones as those of uniform n = 64 take."""
    said = {}
    for name, way in WAYS.items():
        budgets = cheapest(chosen_on.rates, way, chosen_on.rng)
        said[name] = "  ".join(equal_error(worlds, budgets.get(prior), prior) for prior in PRIORS)
        _MASSES.clear()
    return said


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mixture", choices=list(MIXTURES), action="append")
    arguments = parser.parse_args()
    started = time.monotonic()
    calibrated, equal = {}, {}
    print(f"{arguments.problems} problems, means over seeds 0 to {arguments.seeds - 1}; zones at {LOW} and {HIGH}\n")
    print(f"{'':15} n = 64  any rule  --until-confident 0.9  as uniform")
    print(f"{'mixture':15}  wrong  at least      n  wrong of 64      n of it")
    for name in arguments.mixture or MIXTURES:
        chosen_on, *worlds = (World(MIXTURES[name], arguments.problems, seed) for seed in (-1, *range(arguments.seeds)))
        saved, calibrated[name] = usual(worlds)
        least = least_of_any_rule(MIXTURES[name]) / 64
        print(f"{name:15} {saved[:6]}  {least:8.1%}{saved[6:]}", flush=True)
        equal[name] = bought(chosen_on, worlds)
    print(f"\n{'as few wrong zones as n = 64':29} {'placed by the Jeffreys prior':34}  placed by a fitted prior")
    print(f"{'mixture':15} {'way':13}" + f"  {'of 64  more wrong     budget':34}" * 2)
    for name, ways in equal.items():
        for way, text in ways.items():
            print(f"{name:15} {way:13} {text}")
    print(f"\n{'':15}    Jeffreys prior     fitted prior\n{'mixture':15}    all   worst bin   all   worst bin")
    for name, text in calibrated.items():
        print(f"{name:15} {text}")
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
