"""How much scaffold is left at a step of strip-rl.

Formulas: cosine and the share of steps that carry hints after UFT and LANG (f = (1 + cos(pi t / T_h)) / 2, zero from
T_h on), staged after QuestA. That the last fifth of all steps is bare is our choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

ScheduleName = Literal["cosine", "linear", "staged"]
BARE_SHARE = 0.2


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine; `progress` in 0..1 over the hinted steps."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """From 1 to 0 in a straight line."""
    return 1 - progress


def staged(progress: float) -> float:
    """Full, then half: two equal stages."""
    return 1.0 if progress < 0.5 else 0.5


SCHEDULES: dict[str, Callable[[float], float]] = {"cosine": cosine, "linear": linear, "staged": staged}


def level_cap(name: ScheduleName, step: int, total_steps: int, top_level: int) -> int:
    """The highest scaffold level allowed at a step: round(f * top_level), 0 in the last BARE_SHARE of the steps."""
    hinted_steps = total_steps - math.ceil(total_steps * BARE_SHARE)
    if step >= hinted_steps:
        return 0
    return round(SCHEDULES[name](step / hinted_steps) * top_level)
