"""Estimators over graded completions: pass@k, intervals, paired tests. Standard library only.

Accuracies are shares in 0..1; every interval is 95% unless its argument says otherwise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence

Interval = tuple[float, float]


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean, summed without rounding drift. Raises ValueError for no values: there is no such mean."""
    known = list(values)
    if not known:
        raise ValueError("mean of no values")
    return math.fsum(known) / len(known)


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Chance that at least one of k completions is correct, from n drawn and c correct: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of Chen et al. 2021 (arXiv 2107.03374, section 2.1). None where it is undefined: n < k.
    Raises ValueError unless 0 <= c <= n and k >= 1.
    """
    if not 0 <= c <= n or k < 1:
        raise ValueError(f"pass@{k} of {c} correct in {n}")
    if n < k:
        return None
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def mean_pass_at_k(problems: Mapping[tuple[int, int], int], k: int) -> float | None:
    """Mean pass@k over problems, given how many problems have each (n, c).

    None without problems, or where a problem has fewer than k completions: leaving it out would bias the mean.
    """
    estimates = {counts: pass_at_k(*counts, k) for counts in problems}
    known = [estimate * problems[counts] for counts, estimate in estimates.items() if estimate is not None]
    return math.fsum(known) / sum(problems.values()) if known and len(known) == len(problems) else None


def wilson(successes: float, n: int, z: float = 1.959964) -> Interval:
    """Score interval of a share (Wilson 1927): never outside 0..1 and never empty, also at 0 and n successes.

    (0, 1) where n is 0: nothing is known.
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def cluster_bootstrap(pairs: Iterable[tuple[str, float]], *, seed: int, resamples: int = 2000) -> Interval:
    """Percentile interval of the mean of `(cluster, value)` pairs, whole clusters resampled with replacement.

    Problems that share an image go wrong together, so drawing them one by one would give too short an interval
    (Davison and Hinkley 1997, section 3.8). Time grows with clusters x resamples.
    """
    return stratified_bootstrap([list(pairs)], seed=seed, resamples=resamples)


def paired_bootstrap(triples: Iterable[tuple[str, float, float]], *, seed: int, resamples: int = 2000) -> Interval:
    """The same interval for the mean of b - a, from `(cluster, a, b)` triples: one triple per problem."""
    return cluster_bootstrap([(cluster, b - a) for cluster, a, b in triples], seed=seed, resamples=resamples)


def stratified_bootstrap(
    strata: Sequence[Sequence[tuple[str, float]]], *, seed: int, resamples: int = 2000
) -> Interval:
    """The same interval for the mean over strata of each stratum's mean: benchmarks, each weighted equally.

    Each stratum is resampled by its own clusters, and keeps its size in clusters.
    """
    rng = random.Random(seed)
    columns = [_resampled_means(stratum, rng, resamples) for stratum in strata]
    estimates = sorted(mean(row) for row in zip(*columns, strict=True))
    return _quantile(estimates, 0.025), _quantile(estimates, 0.975)


def _resampled_means(pairs: Sequence[tuple[str, float]], rng: random.Random, resamples: int) -> list[float]:
    sums: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for cluster, value in pairs:
        sums[cluster] = sums.get(cluster, 0.0) + value
        sizes[cluster] = sizes.get(cluster, 0) + 1
    if not sums:
        raise ValueError("bootstrap of no values")
    clusters = list(sums)
    means = []
    for _ in range(resamples):
        drawn = rng.choices(clusters, k=len(clusters))
        means.append(sum(map(sums.__getitem__, drawn)) / sum(map(sizes.__getitem__, drawn)))
    return means


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact p-value that wins and losses are equally likely, from the problems that flipped each way.

    Under the null the losses are Binomial(gained + lost, 1/2) (McNemar 1947; Edwards 1948 on the exact form);
    p = min(1, 2 P(X <= min(gained, lost))), and 1 where nothing flipped.
    """
    flips = gained + lost
    tail = sum(math.comb(flips, i) for i in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**flips))
