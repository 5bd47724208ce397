"""How much scaffold is left at a step of strip-rl.

The fraction f of the top level, with x in 0..1 over the steps that may carry hints:
  cosine       (1 + cos(pi x)) / 2; UFT and LANG
  linear       1 - x; a baseline of LANG
  exponential  exp(-3 x); a baseline of LANG, its rate here is our choice
  staged       1, then 1/2: two equal stages; after QuestA, which shows 50% and then 25% of a solution
  constant     1
  binomial     UFT's slicing: of each group its own level, drawn from Bin(top level, f), f as in cosine: one batch has
               mixed levels, and bare groups at all times
  never        1 at every step to the end: the control of an ablation. It is the one course that does not end bare, and
               what it teaches is to lean on the hint (LANG: 10.1 instead of 28.6)
f is 0 before the hinted steps (an exemption as in Scaf-GRPO) and after them. That the last fifth of all steps is bare
is our choice; UFT has 200 bare steps of 500 (`hinted_share` 0.6).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ScheduleName = Literal["cosine", "linear", "exponential", "staged", "constant", "binomial", "never"]
MOST_HINTED = 0.8
_RATE = 3.0


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine; `progress` in 0..1 over the hinted steps."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """From 1 to 0 in a straight line."""
    return 1 - progress


def exponential(progress: float) -> float:
    """From 1 down to a twentieth, quickly at first."""
    return math.exp(-_RATE * progress)


def staged(progress: float) -> float:
    """Full, then half: two equal stages."""
    return 1.0 if progress < 0.5 else 0.5


def constant(progress: float) -> float:
    """Full throughout."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": cosine,
    "linear": linear,
    "exponential": exponential,
    "staged": staged,
    "constant": constant,
    "binomial": cosine,
    "never": constant,
}


@dataclass(frozen=True, slots=True)
class Course:
    """A schedule over a run: hints may be given from `exempt_share` of the steps up to `hinted_share` of them."""

    name: ScheduleName
    total_steps: int
    top_level: int
    hinted_share: float = MOST_HINTED
    exempt_share: float = 0.0

    def fraction(self, step: int) -> float:
        """The fraction of the top level in force at a step (counted from 0)."""
        if self.name == "never":
            return 1.0
        first = math.ceil(self.total_steps * self.exempt_share - 1e-9)
        end = math.floor(self.total_steps * self.hinted_share + 1e-9)
        if not first <= step < end:
            return 0.0
        return SCHEDULES[self.name]((step - first) / (end - first))

    def cap(self, step: int) -> int:
        """The highest level that a group can get at a step: the fraction of the top level, rounded."""
        fraction = self.fraction(step)
        if self.name == "binomial":
            return self.top_level if fraction > 0 else 0
        return round(fraction * self.top_level)

    def caps(self, step: int, num_groups: int, rng: random.Random) -> tuple[int, ...]:
        """The cap of each group of a step; they differ under `binomial` only."""
        if self.name != "binomial":
            return (self.cap(step),) * num_groups
        fraction = self.fraction(step)
        return tuple(sum(rng.random() < fraction for _ in range(self.top_level)) for _ in range(num_groups))
