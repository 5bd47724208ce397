"""How the pass rates of a set of problems are spread: a mixture of Betas fitted to what was drawn of all of them.

Empirical Bayes (Robbins 1956; Efron 2014, Two modeling strategies for empirical Bayes estimation): each problem alone
says little of its pass rate, all of them say much of how pass rates are spread. The shares of fixed Betas are fitted
by EM (Laird 1978), whose likelihood has one maximum. Stopping early where a row was sure is no bias: the likelihood of
the counts is the same for every rule of stopping that looks at nothing else than the counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from anectl.core.posterior import JEFFREYS, Part, Prior, log_beta, zone_masses

LEAST_PROBLEMS = 200
"""Fewer problems say too little of how pass rates are spread."""

# Betas by mean and by a + b: from wide ones to some as narrow as 64 completions can tell.
_MEANS = (0.02, 0.05, 0.12, 0.22, 0.35, 0.5, 0.65, 0.78, 0.88, 0.95, 0.98)
_SIZES = (2, 10, 50)
# The Jeffreys prior counts as so many problems, so that a few rows do not make up a prior of their own.
_PSEUDO_PROBLEMS = 10.0
_ROUNDS = 400
_STEADY = 1e-5
_NEGLIGIBLE = 1e-6


def fit_prior(counts: Mapping[tuple[int, int], int]) -> Prior:
    """The prior that fits best; `counts` gives the number of problems with each (judged, correct).

    Without any judged completion it is the Jeffreys prior. Raises ValueError unless 0 <= correct <= judged.
    """
    if any(not 0 <= c <= n for n, c in counts):
        raise ValueError("more correct than judged")
    parts = [*JEFFREYS, *(Part(0.0, mean * size, (1 - mean) * size) for size in _SIZES for mean in _MEANS)]
    told = {pair: number for pair, number in counts.items() if pair[0]}
    rows = [[math.exp(value) for value in _levelled(pair, parts)] for pair in told]
    numbers = list(told.values())
    shares = [1 / len(parts)] * len(parts)
    for _ in range(_ROUNDS if told else 0):
        before, shares = shares, _improved(shares, rows, numbers)
        # A part of no use stays so; without it every further round is quicker.
        if 0.0 in shares:
            kept = [place for place, share in enumerate(shares) if share]
            parts, shares, before = ([values[place] for place in kept] for values in (parts, shares, before))  # type: ignore[assignment]
            rows = [[row[place] for place in kept] for row in rows]
        if max(abs(new - old) for new, old in zip(shares, before, strict=True)) < _STEADY:
            break
    if not told:
        return JEFFREYS
    return tuple(Part(share, part.a, part.b) for share, part in zip(shares, parts, strict=True))


def _levelled(pair: tuple[int, int], parts: list[Part]) -> list[float]:
    """Log likelihood of the counts under each part, the largest of them 0."""
    n, c = pair
    logs = [log_beta(a + c, b + n - c) - log_beta(a, b) for _, a, b in parts]
    peak = max(logs)
    return [value - peak for value in logs]


def _improved(shares: list[float], rows: list[list[float]], numbers: list[int]) -> list[float]:
    """One round of EM; the Jeffreys prior, which is the first part, gets its own problems besides."""
    sums = [0.0] * len(shares)
    for row, number in zip(rows, numbers, strict=True):
        weights = [share * value for share, value in zip(shares, row, strict=True)]
        scale = number / sum(weights)
        for place, weight in enumerate(weights):
            sums[place] += weight * scale
    sums[0] += _PSEUDO_PROBLEMS
    total = sum(sums)
    kept = [value / total if value > _NEGLIGIBLE * total else 0.0 for value in sums]
    scale = 1 / sum(kept)
    return [value * scale for value in kept]


def expected_error(prior: Prior, n: int, low: float, high: float) -> float:
    """The share of problems whose likeliest zone is not theirs when n completions of each are judged."""
    error = 0.0
    for c in range(n + 1):
        choose = math.lgamma(n + 1) - math.lgamma(c + 1) - math.lgamma(n - c + 1)
        seen = math.fsum(
            share * math.exp(choose + log_beta(a + c, b + n - c) - log_beta(a, b)) for share, a, b in prior
        )
        if seen > _NEGLIGIBLE:
            error += seen * (1 - max(zone_masses(n, c, low, high, prior).values()))
    return error
