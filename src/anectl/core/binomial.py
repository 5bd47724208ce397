"""Binomial draws in constant time, which `random` has only from Python 3.12 on."""

from __future__ import annotations

import math
import random

# Below this expected count walking up the distribution is faster, and the rejection method is not proven.
_FEW = 10


def draw_binomial(n: int, p: float, rng: random.Random) -> int:
    """How many of `n` independent trials succeed, each with chance `p`; exact up to the rounding of floats.

    Inversion where few successes (or few failures) are expected, else transformed rejection: algorithm BTRS of
    Hörmann 1993 (The generation of binomial random variates, J. Stat. Comput. Simul. 46, 101-110).
    Raises ValueError unless n >= 0 and 0 <= p <= 1.
    """
    if n < 0 or not 0 <= p <= 1:
        raise ValueError(f"binomial draw of {n} trials with chance {p}")
    if p > 0.5:
        return n - draw_binomial(n, 1 - p, rng)
    return _by_inversion(n, p, rng) if n * p < _FEW else _by_rejection(n, p, rng)


def _by_inversion(n: int, p: float, rng: random.Random) -> int:
    """The smallest k whose cumulative probability exceeds a uniform number, walking up from 0."""
    odds = p / (1 - p)
    none: float = (1 - p) ** n
    while True:
        k, mass, left = 0, none, rng.random()
        while left >= mass:
            left -= mass
            k += 1
            if k > n:
                # Rounding left a sliver beyond the last value.
                break
            mass *= odds * (n - k + 1) / k
        else:
            return k


def _by_rejection(n: int, p: float, rng: random.Random) -> int:
    """BTRS, for p <= 1/2 and n p >= 10; about nine of ten draws end at the first test, without a logarithm."""
    uniform = rng.random
    spread = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = n * p + 0.5
    squeeze = 0.92 - 4.2 / b
    while True:
        u = uniform() - 0.5
        room = 0.5 - abs(u)
        if room == 0:
            continue
        k = math.floor((2 * a / room + b) * u + centre)
        v = uniform()
        if room >= 0.07 and v <= squeeze:
            return k
        if not 0 <= k <= n or v == 0:
            continue
        height = v * (2.83 + 5.1 / b) * spread / (a / (room * room) + b)
        if math.log(height) <= _log_ratio(n, p, k):
            return k


def _log_ratio(n: int, p: float, k: int) -> float:
    """Log of the probability of k over that of the mode."""
    mode = math.floor((n + 1) * p)
    return (
        math.lgamma(mode + 1)
        + math.lgamma(n - mode + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + (k - mode) * math.log(p / (1 - p))
    )
