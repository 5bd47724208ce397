"""How many problems a paired comparison needs to find a gain."""

from __future__ import annotations

import math

from anectl.core.metrics import Z_95

# The 80% quantile of the normal distribution.
_Z_POWER = 0.8416212335729143


def num_problems_needed(gain: float, flip_rate: float) -> int | None:
    """Problems at which the exact McNemar test at 5% two-sided finds a difference of `gain` with 80% power.

    `flip_rate` is the share of problems that flip either way; a gain needs at least as many flips, so a lower rate
    is raised to it. Connor 1987 (Biometrics 43, 207-211): K / |gain| = sqrt(n) with
    K = z_level sqrt(flip_rate) + z_power sqrt(flip_rate - gain^2). The exact test asks for one flip more (the
    continuity correction of Edwards 1948), which gives n |gain| - 1 = K sqrt(n). Problems count as independent.
    None for a gain of 0: no number of problems finds it.
    """
    gain = abs(gain)
    if gain == 0:
        return None
    flip_rate = max(flip_rate, gain)
    spread = Z_95 * math.sqrt(flip_rate) + _Z_POWER * math.sqrt(flip_rate - gain**2)
    root = (spread + math.sqrt(spread**2 + 4 * gain)) / (2 * gain)
    return math.ceil(root**2)
