"""Whether further completions of a problem are worth what they cost: the value of information, looked ahead to the end.

A problem is placed wrong with the chance that its likeliest zone is not its own. Further completions are expected to
lower that chance; where they lower it by less than their price, drawing ends. What they may show is foreseen by the
posterior, and so is what one would do then, back from the most that may be drawn (Bellman's equation; the value of
sample information is that of Raiffa and Schlaifer 1961). A rule that looks one step ahead gives up too early: eight
more completions alone seldom move a border, sixteen may.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

from anectl.core.posterior import JEFFREYS, log_beta, zone_masses

_NEGLIGIBLE = 1e-9


class Terms(NamedTuple):
    """What a completion costs, in wrong zones, and how many there are after how many: `growth` times, up to `most`."""

    price: float
    low: float
    high: float
    most: int
    growth: float

    def next_total(self, total: int) -> int:
        """How many completions there are after the next draw."""
        return min(max(total + 1, math.ceil(total * self.growth)), self.most)


def is_worth_more(total: int, judged: int, correct: int, terms: Terms) -> bool:
    """Whether to draw on after `total` completions, of which `judged` could be judged and `correct` were right.

    Of further completions as large a share is taken to be judged; where none was, nothing is known, and it is worth it.
    """
    doubt = 1 - likeliest(judged, correct, terms.low, terms.high)
    return not judged or _loss(total, judged, correct, terms) < doubt


@functools.lru_cache(maxsize=1 << 18)
def likeliest(judged: int, correct: int, low: float, high: float) -> float:
    """The posterior mass of the likeliest zone."""
    return max(zone_masses(judged, correct, low, high).values())


@functools.lru_cache(maxsize=1 << 18)
def _loss(total: int, judged: int, correct: int, terms: Terms) -> float:
    """The chance of a wrong zone and the price of what is drawn from here on, when drawing ends where it should."""
    doubt = 1 - likeliest(judged, correct, terms.low, terms.high)
    grown = terms.next_total(total)
    price = terms.price * (grown - total)
    # Nothing lowers a doubt under zero, so what costs more is not looked into; it keeps the search small.
    if grown <= total or price >= doubt:
        return doubt
    further = max(1, round((grown - total) * judged / total))
    loss = price
    for right, chance in _foreseen(further, judged, correct):
        loss += chance * _loss(grown, judged + further, correct + right, terms)
        if loss >= doubt:
            return doubt
    return loss


def _foreseen(further: int, judged: int, correct: int) -> Iterator[tuple[int, float]]:
    """How many of `further` completions may be right, with the chance of each, but for negligible ones.

    The beta-binomial distribution of the posterior, from its likeliest number to either side.
    """
    (_, a, b) = JEFFREYS[0]
    a, b = a + correct, b + judged - correct
    middle = min(further, int((further + 1) * a / (a + b)))
    choose = math.lgamma(further + 1) - math.lgamma(middle + 1) - math.lgamma(further - middle + 1)
    peak = math.exp(choose + log_beta(a + middle, b + further - middle) - log_beta(a, b))
    yield middle, peak
    chance, right = peak, middle
    while right < further and chance > _NEGLIGIBLE:
        chance *= (further - right) * (a + right) / ((right + 1) * (b + further - right - 1))
        right += 1
        yield right, chance
    chance, right = peak, middle
    while right and chance > _NEGLIGIBLE:
        chance *= right * (b + further - right) / ((further - right + 1) * (a + right - 1))
        right -= 1
        yield right, chance
