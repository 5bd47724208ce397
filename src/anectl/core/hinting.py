"""At which level an item is shown, of its own level and the cap of the schedule.

controller  the lower one of the two
cap         the cap, for all items alike; UFT, QuestA, LANG
failing     as controller, but only where the item's last visit was a bare group that failed throughout; after a hinted
            visit it is bare again. Scaf-GRPO and NuRL, which hint a group in the very visit in which it failed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

HintName = Literal["controller", "cap", "failing"]
# Of the steps none is hinted at first, where only failing groups get hints (Scaf-GRPO: without it 9% worse).
EXEMPT_SHARE = 0.15


def at_most(rungs: Sequence[int], level: int) -> int:
    """The highest rung not above `level`."""
    return max(rung for rung in rungs if rung <= level)


def level_to_show(rungs: Sequence[int], own: int, cap: int, hint: HintName, *, failed_bare: bool) -> int:
    """The level an item is shown at, one of its rungs."""
    if hint == "failing" and not failed_bare:
        return 0
    return at_most(rungs, cap if hint == "cap" else min(own, cap))
