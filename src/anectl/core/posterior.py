"""What n graded completions say about the pass rate: its posterior, the quantiles and the mass of each zone.

With c of n correct and the Jeffreys prior Beta(1/2, 1/2), the pass rate is Beta(1/2 + c, 1/2 + n - c); the central
95% interval of it is the Jeffreys interval (Brown, Cai and DasGupta 2001). With n = 8 and c = 0 the mass below 0.1
is 0.81, so eight wrong completions are just enough to call a problem failing at the default confidence of 0.8.

When to stop drawing may depend on what was drawn: it changes nothing in a posterior, whose likelihood p^c (1-p)^(n-c)
is the same for every such rule. What a posterior says is right on average only where its prior is how pass rates are
spread; `prior` fits one.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple, TypeAlias

from anectl.core.records import Posterior, Zone


class Part(NamedTuple):
    """One Beta(a, b) of a mixture, and its share."""

    share: float
    a: float
    b: float


Prior: TypeAlias = tuple[Part, ...]
"""A mixture of Beta distributions; the shares add up to 1."""

JEFFREYS: Prior = (Part(1.0, 0.5, 0.5),)

# A part of a mixture with less of the posterior is left out; so precise are the quantiles of one.
_NEGLIGIBLE = 1e-5
_PRECISION = 1e-6
_MAX_TERMS = 100_000
_TINY = 1e-300
_EPSILON = 1e-16


def beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b): the mass of Beta(a, b) below x.

    Absolute error under 1e-11 for a and b up to 1000, under 1e-9 up to 100,000, where lgamma loses digits.

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


def log_beta(a: float, b: float) -> float:
    """Log of the beta function B(a, b)."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def mixture_cdf(x: float, parts: Prior) -> float:
    """The mass of the mixture below x."""
    return math.fsum(part.share * beta_cdf(x, part.a, part.b) for part in parts)


def mixture_quantile(share: float, parts: Prior, precision: float = 1e-15) -> float:
    """The x below which `share` of the mixture lies, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high and high - low > precision:
        if mixture_cdf(middle, parts) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def nearby_quantile(share: float, parts: Prior, near: float) -> float:
    """The same to about 1e-6, by Newton's steps from `near`, which takes a quarter of the time.

    A step that leaves what is known to hold the quantile is halved into it.
    """
    low, high, x = 0.0, 1.0, near
    while high - low > _PRECISION:
        gap = mixture_cdf(x, parts) - share
        low, high = (x, high) if gap < 0 else (low, x)
        step = gap / max(_density(x, parts), _TINY)
        if not low < x - step < high:
            step = x - (low + high) / 2
        x -= step
        if abs(step) < _PRECISION / 2:
            break
    return x


def _inside(x: float) -> float:
    return min(max(x, 1e-4), 1 - 1e-4)


def _density(x: float, parts: Prior) -> float:
    logs = ((part, (part.a - 1) * math.log(x) + (part.b - 1) * math.log1p(-x)) for part in parts)
    return math.fsum(part.share * math.exp(value - log_beta(part.a, part.b)) for part, value in logs)


def updated(prior: Prior, n: int, c: int) -> Prior:
    """The posterior after c of n: each part Beta(a + c, b + n - c), its share by how well it foresaw the counts."""
    if len(prior) == 1:
        return (Part(1.0, prior[0].a + c, prior[0].b + n - c),)
    logs = [math.log(share) + log_beta(a + c, b + n - c) - log_beta(a, b) for share, a, b in prior]
    peak = max(logs)
    weights = [math.exp(value - peak) for value in logs]
    kept = [(weight, part) for weight, part in zip(weights, prior, strict=True) if weight > _NEGLIGIBLE]
    total = math.fsum(weight for weight, _ in kept)
    return tuple(Part(weight / total, part.a + c, part.b + n - c) for weight, part in kept)


def zone_masses(n: int, c: int, low: float, high: float, prior: Prior = JEFFREYS) -> dict[Zone, float]:
    """The posterior mass of each zone. failing: p < low; learnable: low <= p <= high; solved: p > high."""
    parts = updated(prior, n, c)
    below, up_to = mixture_cdf(low, parts), mixture_cdf(high, parts)
    return {"failing": below, "learnable": up_to - below, "solved": 1 - up_to}


@functools.lru_cache(maxsize=65536)
def zone_of(
    n: int, c: int, low: float, high: float, min_confidence: float, prior: Prior = JEFFREYS
) -> tuple[Zone, Posterior]:
    """Zone of a problem with c of n judged completions correct, and the posterior of its pass rate p.

    The zone is the one with the most mass when that mass reaches `min_confidence`, else `unsure`; `confidence` is that
    mass either way. Without a judged completion (n = 0) the prior decides nothing and the zone is unsure. Of a mixture
    `low`, `high` and `confidence` are its own; `a` and `b` are those of the Beta with its mean and variance. Cached:
    most rows share their (n, c). Raises ValueError unless 0 <= c <= n and 0 < low < high < 1.
    """
    if not 0 <= c <= n or not 0 < low < high < 1:
        raise ValueError(f"{c} of {n} correct, zones at {low} and {high}")
    masses = zone_masses(n, c, low, high, prior)
    zone, mass = max(masses.items(), key=lambda entry: entry[1])
    parts = updated(prior, n, c)
    a, b = _matched(parts)
    if len(parts) == 1:
        ends = [mixture_quantile(share, parts) for share in (0.025, 0.975)]
    else:
        # The matched Beta's own quantiles are not far, and are those of one part.
        near = (Part(1.0, a, b),)
        ends = [nearby_quantile(share, parts, _inside(mixture_quantile(share, near, 1e-3))) for share in (0.025, 0.975)]
    posterior = Posterior(a=a, b=b, low=ends[0], high=ends[1], confidence=mass)
    return (zone if n and mass >= min_confidence else "unsure"), posterior


def _matched(parts: Prior) -> tuple[float, float]:
    """a and b of the Beta with the mean and the variance of the mixture."""
    if len(parts) == 1:
        return parts[0].a, parts[0].b
    mean = math.fsum(share * a / (a + b) for share, a, b in parts)
    square = math.fsum(share * a * (a + 1) / ((a + b) * (a + b + 1)) for share, a, b in parts)
    size = mean * (1 - mean) / max(square - mean * mean, 1e-12) - 1
    return mean * size, (1 - mean) * size
