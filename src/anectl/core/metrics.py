"""Estimators over graded completions: pass@k, intervals, paired tests. Standard library only.

Accuracies are shares in 0..1; every interval is 95% unless its argument says otherwise.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from anectl.core.binomial import draw_binomial

Interval = tuple[float, float]
Z_95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""

# Types with no more clusters than this are drawn cluster by cluster.
_RARE = 8


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


def pass_all_k(n: int, c: int, k: int) -> float | None:
    """Chance that all of k completions are correct (pass^k), from n drawn and c correct: C(c, k) / C(n, k).

    The unbiased estimator of Yao et al. 2024 (tau-bench, arXiv 2406.12045, section 3). None where n < k.
    Raises ValueError unless 0 <= c <= n and k >= 1.
    """
    if not 0 <= c <= n or k < 1:
        raise ValueError(f"pass^{k} of {c} correct in {n}")
    return None if n < k else math.comb(c, k) / math.comb(n, k)


def wilson(successes: float, n: int, z: float = Z_95) -> Interval:
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
    (Davison and Hinkley 1997, section 3.8). Raises ValueError for no pairs.
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
    return bootstrap([cluster_types(stratum) for stratum in strata], seed=seed, resamples=resamples)


class ClusterType(NamedTuple):
    """What a cluster adds to a mean: the sum of its values and their number."""

    total: float
    size: int


def cluster_types(pairs: Iterable[tuple[str, float]]) -> Counter[ClusterType]:
    """How many clusters there are of each type; sums that differ by rounding alone are one type."""
    sums: dict[str, float] = {}
    sizes: Counter[str] = Counter()
    for cluster, value in pairs:
        sums[cluster] = sums.get(cluster, 0.0) + value
        sizes[cluster] += 1
    return Counter(ClusterType(round(total, 12), sizes[cluster]) for cluster, total in sums.items())


def bootstrap(strata: Sequence[Mapping[ClusterType, int]], *, seed: int, resamples: int = 2000) -> Interval:
    """`stratified_bootstrap` of clusters that are counted by type.

    The numbers of each type among clusters drawn with replacement are multinomial, so they are drawn, not the
    clusters: time and memory grow with the types, not with the problems. Raises ValueError for an empty stratum.
    """
    rng = random.Random(seed)
    columns = [_resampled_means(stratum, rng, resamples) for stratum in strata]
    estimates = sorted(mean(row) for row in zip(*columns, strict=True))
    return _quantile(estimates, 0.025), _quantile(estimates, 0.975)


def _resampled_means(types: Mapping[ClusterType, int], rng: random.Random, resamples: int) -> Iterator[float]:
    if not types:
        raise ValueError("bootstrap of no values")
    # The real part carries the sum and the imaginary part the size, so that one addition counts a cluster.
    by_count = sorted(types.items(), key=lambda item: (item[1], item[0]), reverse=True)
    common = [(count, complex(*kind)) for kind, count in by_count if count > _RARE]
    rare = [complex(*kind) for kind, count in by_count if count <= _RARE for _ in range(count)]
    num_clusters = sum(types.values())
    for _ in range(resamples):
        drawn = 0j
        to_draw = left = num_clusters
        for count, value in common:
            times = draw_binomial(to_draw, count / left, rng)
            drawn += times * value
            to_draw -= times
            left -= count
        if rare:
            drawn += sum(rng.choices(rare, k=to_draw))
        yield drawn.real / drawn.imag


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
    ways = tail = 1
    for i in range(min(gained, lost)):
        # C(flips, i + 1) from C(flips, i): with thousands of flips each from scratch would take seconds.
        ways = ways * (flips - i) // (i + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << flips))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted so that the chance of any false finding among them stays at the level tested (Holm 1979).

    In the order given: the smallest of m is multiplied by m, the next by m - 1, and so on; none falls below a
    smaller one's, and none is over 1.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted
