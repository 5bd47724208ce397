"""What n graded completions say about the pass rate: a Beta posterior, its quantiles and the mass of each zone.

With c of n correct and the Jeffreys prior Beta(1/2, 1/2), the pass rate is Beta(1/2 + c, 1/2 + n - c); the central
95% interval of it is the Jeffreys interval (Brown, Cai and DasGupta 2001). With n = 8 and c = 0 the mass below 0.1
is 0.81, so eight wrong completions are just enough to call a problem failing at the default confidence of 0.8.
"""

from __future__ import annotations

import functools
import math

from anectl.core.records import Posterior, Zone

_MAX_TERMS = 100_000
_TINY = 1e-300
_EPSILON = 1e-16


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b): the mass of Beta(a, b) below x. Absolute error under 1e-12.

    The continued fraction DLMF 8.17.22 by Lentz's method, on the side where it converges in O(sqrt(max(a, b)))
    terms: I_x(a, b) = 1 - I_{1-x}(b, a).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1 / _nonzero(1 + term * d)
            c = _nonzero(1 + term / c)
            step = c * d
            value *= step
        if abs(step - 1) < _EPSILON * 4:
            return value
    raise ArithmeticError(f"no convergence of I_x({a}, {b}) at {x}")


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = share, by bisection down to neighbouring floats."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high and high - low > 1e-15:
        if beta_cdf(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@functools.lru_cache(maxsize=65536)
def zone_of(n: int, c: int, low: float, high: float, min_confidence: float) -> tuple[Zone, Posterior]:
    """Zone of a problem with c of n judged completions correct, and the posterior of its pass rate p.

    failing: p < low; learnable: low <= p <= high; solved: p > high. The zone is the one with the most mass when
    that mass reaches `min_confidence`, else `unsure`; `confidence` is that mass either way. Without a judged
    completion (n = 0) the prior decides nothing and the zone is unsure. Cached: most rows share their (n, c).
    Raises ValueError unless 0 <= c <= n and 0 < low < high < 1.
    """
    if not 0 <= c <= n or not 0 < low < high < 1:
        raise ValueError(f"{c} of {n} correct, zones at {low} and {high}")
    a, b = 0.5 + c, 0.5 + n - c
    below, up_to = beta_cdf(low, a, b), beta_cdf(high, a, b)
    masses: dict[Zone, float] = {"failing": below, "learnable": up_to - below, "solved": 1 - up_to}
    zone, mass = max(masses.items(), key=lambda entry: entry[1])
    posterior = Posterior(a=a, b=b, low=beta_quantile(0.025, a, b), high=beta_quantile(0.975, a, b), confidence=mass)
    return (zone if n and mass >= min_confidence else "unsure"), posterior
