"""Resampling: draws have their distribution, intervals are those of the definition and cover the truth."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import Counter

import pytest
from scipy.stats import binom, chisquare

from anectl.core.binomial import draw_binomial
from anectl.core.metrics import (
    ClusterType,
    bootstrap,
    cluster_bootstrap,
    mean,
    paired_bootstrap,
    stratified_bootstrap,
    wilson,
)


def test_bootstrap_of_independent_problems_is_close_to_the_wilson_interval() -> None:
    pairs = [(str(i), float(i % 4 == 0)) for i in range(400)]
    assert cluster_bootstrap(pairs, seed=1) == pytest.approx(wilson(100, 400), abs=0.01)


def test_bootstrap_is_wider_when_problems_share_an_image() -> None:
    values = [float(i % 40 < 10) for i in range(400)]
    alone = cluster_bootstrap([(str(i), value) for i, value in enumerate(values)], seed=1)
    shared = cluster_bootstrap([(str(i // 10), value) for i, value in enumerate(values)], seed=1)
    assert shared[1] - shared[0] > 2 * (alone[1] - alone[0])


def test_bootstrap_depends_on_the_seed_alone() -> None:
    rng = random.Random(0)
    pairs = [(str(i % 30), rng.random()) for i in range(100)]
    assert cluster_bootstrap(pairs, seed=7) == cluster_bootstrap(pairs, seed=7)
    assert cluster_bootstrap(pairs, seed=7) != cluster_bootstrap(pairs, seed=8)


def test_paired_bootstrap_of_a_constant_gain_has_no_width() -> None:
    assert paired_bootstrap([(str(i), 0.25, 0.75) for i in range(9)], seed=0) == (0.5, 0.5)


def test_strata_weigh_equally_whatever_their_size() -> None:
    small, large = [("s", 1.0)], [(str(i), 0.0) for i in range(99)]
    assert stratified_bootstrap([small, large], seed=0) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("n", "p"), [(5, 0.3), (30, 0.2), (40, 0.26), (100, 0.1), (100, 0.5), (1000, 0.013), (10**5, 0.9), (10**6, 1e-5)]
)
def test_binomial_draws_have_the_binomial_distribution(n: int, p: float) -> None:
    rng = random.Random(n)
    num_draws = 20_000
    drawn = Counter(draw_binomial(n, p, rng) for _ in range(num_draws))
    edges = sorted({int(binom.ppf(share / 20, n, p)) for share in range(1, 20)})
    bins = list(zip([-1, *edges], [*edges, n], strict=True))
    observed = [sum(count for value, count in drawn.items() if low < value <= high) for low, high in bins]
    expected = [num_draws * (binom.cdf(high, n, p) - binom.cdf(low, n, p)) for low, high in bins]
    assert sum(observed) == num_draws
    kept = [(o, e) for o, e in zip(observed, expected, strict=True) if e > 0]
    # One of 8 fixed seeds falls below 0.001 by chance less than once in 100 rewrites of the sampler.
    assert chisquare(*zip(*kept, strict=True)).pvalue > 0.001


@pytest.mark.parametrize(("n", "p", "drawn"), [(0, 0.5, 0), (7, 0.0, 0), (7, 1.0, 7), (10**6, 1.0, 10**6)])
def test_binomial_draws_without_chance(n: int, p: float, drawn: int) -> None:
    assert draw_binomial(n, p, random.Random(0)) == drawn


@pytest.mark.parametrize(("n", "p"), [(-1, 0.5), (1, -0.1), (1, 1.1), (1, math.nan)])
def test_binomial_draws_refuse_impossible_chances(n: int, p: float) -> None:
    with pytest.raises(ValueError, match="binomial draw"):
        draw_binomial(n, p, random.Random(0))


def drawn_one_by_one(pairs: list[tuple[str, float]], resamples: int) -> tuple[float, float]:
    """The definition: draw as many clusters as there are, and take the mean of all their values."""
    rng = random.Random(1)
    clusters: dict[str, list[float]] = {}
    for cluster, value in pairs:
        clusters.setdefault(cluster, []).append(value)
    groups = list(clusters.values())
    means = sorted(mean(itertools.chain(*rng.choices(groups, k=len(groups)))) for _ in range(resamples))
    return means[round(0.025 * resamples)], means[round(0.975 * resamples)]


@pytest.mark.parametrize("kind", ["few types", "all different", "mixed"])
def test_drawing_by_type_gives_the_interval_of_drawing_clusters(kind: str) -> None:
    rng = random.Random(0)
    pairs = []
    for i in range(200):
        continuous = kind == "all different" or (kind == "mixed" and i % 3 == 0)
        pairs += [(str(i), rng.random() ** 2 if continuous else float(rng.random() < 0.3)) for _ in range(1 + i % 3)]
    # The standard error of such a quantile, from 4000 draws, is about 0.03 of the width of the interval.
    expected = drawn_one_by_one(pairs, 4000)
    assert cluster_bootstrap(pairs, seed=0, resamples=4000) == pytest.approx(
        expected, abs=0.06 * (expected[1] - expected[0])
    )


def test_bootstrap_of_100_000_images_takes_well_under_a_second() -> None:
    rng = random.Random(0)
    sizes = [rng.randint(1, 4) for _ in range(100_000)]
    types = Counter(ClusterType(float(draw_binomial(size, 0.3, rng)), size) for size in sizes)
    started = time.process_time()
    low, high = bootstrap([types], seed=0)
    assert time.process_time() - started < 0.5
    assert 0.29 < low < high < 0.31


def test_bootstrap_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        cluster_bootstrap([], seed=0)


def paired_experiment(rng: random.Random, *, num_problems: int, num_clusters: int) -> list[tuple[str, float, float]]:
    """Greedy outcomes of two policies; problems of one image share difficulty and how much policy b gains there.

    The log odds of a are N(0, 1) of the image + N(0, 1) of the problem, those of b are 0.4 + N(0, 0.7^2) of the image
    above them. Every image has a problem, the other problems choose their image at random.
    """
    images = [(rng.gauss(0, 1), 0.4 + rng.gauss(0, 0.7)) for _ in range(num_clusters)]
    triples = []
    for number in range(num_problems):
        image = number if number < num_clusters else rng.randrange(num_clusters)
        ease, gain = images[image]
        ease += rng.gauss(0, 1)
        a, b = (1 / (1 + math.exp(-odds)) for odds in (ease, ease + gain))
        triples.append((str(image), float(rng.random() < a), float(rng.random() < b)))
    return triples


def true_difference() -> float:
    """The expectation of b - a in `paired_experiment`, on a grid: both log odds are normal."""

    def expected_share(centre: float, spread: float) -> float:
        points = [-8 + i / 100 for i in range(1601)]
        weights = [math.exp(-(x**2) / 2) for x in points]
        values = (w / (1 + math.exp(-(centre + spread * x))) for x, w in zip(points, weights, strict=True))
        return math.fsum(values) / math.fsum(weights)

    return expected_share(0.4, math.sqrt(2 + 0.7**2)) - expected_share(0, math.sqrt(2))


@pytest.mark.slow
def test_paired_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(5)
    truth = true_difference()
    hits = 0
    for trial in range(1000):
        triples = paired_experiment(rng, num_problems=400, num_clusters=250)
        low, high = paired_bootstrap(triples, seed=trial, resamples=1000)
        hits += low <= truth <= high
    print(f"coverage {hits / 1000:.3f} of {truth:.4f}")
    assert 930 <= hits <= 970
