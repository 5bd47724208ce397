"""Which problems a step of strip-rl trains on, and how much scaffold each of them gets.

Every item has a level of its own, after the tiered hints of Scaf-GRPO (arXiv 2510.19807) and the adaptive hints of
BREAD and LANG; the level in use is min(own level, cap of the schedule). With p the Beta-mean of the successes at a
level, (1/2 + c) / (1 + n):
  p >= 0.75   the item goes one rung below the level in use
  all fail    at its own level, the item goes one rung up; a graduate whose bare p fell under 0.2 does too
  p >= 0.2    at level 0, the item graduates: a few failures no longer bring its scaffold back
Groups whose rewards are all equal teach nothing. Which ones to expect follows from the counts (`zero_variance`), and
items that would most likely give one are passed over, but for a review of 2% of the slots, so that none is lost.
The thresholds are our choice. Everything here is pure: state in, state out, so a resumed run goes on exactly.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

LOWER_AT = 0.75
GRADUATE_AT = 0.2
SKIP_AT = 0.75
REVIEW_SHARE = 0.02
# Counts are halved at each visit: the policy that earned them is no longer the policy of today.
MEMORY = 0.5


class Tally(msgspec.Struct, frozen=True):
    """Successes and trials at one level, older ones discounted."""

    successes: float = 0.0
    trials: float = 0.0

    @property
    def mean(self) -> float:
        """The posterior mean of the success probability under Jeffreys' prior, Beta(1/2, 1/2)."""
        return (0.5 + self.successes) / (1 + self.trials)

    def add(self, successes: int, trials: int) -> Tally:
        """The tally after one more group."""
        return Tally(MEMORY * self.successes + successes, MEMORY * self.trials + trials)


class Item(msgspec.Struct, frozen=True):
    """One problem: the levels it has (`rungs`, ascending from 0), its own level, and its tally at each rung."""

    rungs: tuple[int, ...]
    level: int
    tallies: tuple[Tally, ...]
    graduated: bool = False


class Controller(msgspec.Struct, frozen=True):
    """The state of all items and the place in the endless shuffled queue they are taken from."""

    items: tuple[Item, ...]
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One group of a step: which item, at which level."""

    item: int
    level: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one group went; `trials` counts only completions that could be graded."""

    item: int
    level: int
    successes: int
    trials: int


def new_item(rungs: Sequence[int], level: int) -> Item:
    """An unseen item that starts at the highest rung up to `level`."""
    rungs = tuple(sorted(set(rungs) | {0}))
    return Item(rungs, at_most(rungs, level), tuple(Tally() for _ in rungs))


def at_most(rungs: Sequence[int], level: int) -> int:
    """The highest rung not above `level`."""
    return max(rung for rung in rungs if rung <= level)


def level_in_use(item: Item, cap: int) -> int:
    """The level an item is shown at under the schedule's cap."""
    return at_most(item.rungs, min(item.level, cap))


def zero_variance(tally: Tally, group_size: int) -> float:
    """The predicted probability that a group comes out all right or all wrong.

    E[p^G + (1 - p)^G] under Beta(a, b) = (B(a + G, b) + B(a, b + G)) / B(a, b).
    """
    a, b = 0.5 + tally.successes, 0.5 + tally.trials - tally.successes
    base = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    total = math.lgamma(a + b + group_size)
    all_right = math.lgamma(a + group_size) + math.lgamma(b) - total - base
    all_wrong = math.lgamma(a) + math.lgamma(b + group_size) - total - base
    return math.exp(all_right) + math.exp(all_wrong)


def update(item: Item, outcome: Outcome) -> Item:
    """The item after a group; a group of which nothing could be graded changes nothing."""
    if outcome.trials == 0:
        return item
    place = item.rungs.index(outcome.level)
    tally = item.tallies[place].add(outcome.successes, outcome.trials)
    tallies = (*item.tallies[:place], tally, *item.tallies[place + 1 :])
    own = item.rungs.index(item.level)
    graduated = tallies[0].mean >= GRADUATE_AT if place == 0 else item.graduated
    if tally.mean >= LOWER_AT:
        own = min(own, max(place - 1, 0))
    elif outcome.successes == 0 and place == own and not graduated:
        own = min(own + 1, len(item.rungs) - 1)
    if graduated:
        own = 0
    return Item(item.rungs, item.rungs[own], tallies, graduated)


def updated(controller: Controller, outcomes: Sequence[Outcome]) -> Controller:
    """The controller after the groups of one step."""
    items = list(controller.items)
    for outcome in outcomes:
        items[outcome.item] = update(items[outcome.item], outcome)
    return Controller(tuple(items), controller.cursor)


def choose(
    controller: Controller, *, step: int, num_slots: int, cap: int, bare_share: float, group_size: int, seed: int
) -> tuple[tuple[Slot, ...], Controller]:
    """The groups of a step, and the controller with its cursor moved past them.

    Walks the queue (a new shuffle of all items each round) and takes items that promise a gradient, or that are due
    for review; once round without filling the slots, the most promising of those passed over are taken. At least
    `bare_share` of the slots are bare. Depends on nothing but its arguments.
    """
    rng = random.Random(f"{seed}/{step}")
    num_reviews = sum(rng.random() < REVIEW_SHARE for _ in range(num_slots))
    num_items, cursor = len(controller.items), controller.cursor
    taken: list[int] = []
    passed: list[tuple[float, int, int]] = []
    seen: set[int] = set()
    while len(taken) < num_slots and len(seen) < num_items:
        number = queue_position(cursor, num_items, seed)
        cursor += 1
        if number in seen:
            continue
        seen.add(number)
        chance = predicted(controller.items[number], cap, group_size)
        if chance < SKIP_AT or num_reviews:
            num_reviews -= chance >= SKIP_AT
            taken.append(number)
        else:
            passed.append((chance, cursor, number))
    taken += [number for _, _, number in sorted(passed)[: num_slots - len(taken)]]
    while len(taken) < num_slots:  # fewer items than slots: some come again
        taken.append(queue_position(cursor, num_items, seed))
        cursor += 1
    levels = [level_in_use(controller.items[number], cap) for number in taken]
    hinted = [place for place, level in enumerate(levels) if level > 0]
    owed = math.ceil(bare_share * num_slots) - (num_slots - len(hinted))
    for place in rng.sample(hinted, max(0, owed)):
        levels[place] = 0
    slots = tuple(Slot(number, level) for number, level in zip(taken, levels, strict=True))
    return slots, Controller(controller.items, cursor)


def predicted(item: Item, cap: int, group_size: int) -> float:
    """`zero_variance` of the item at the level it would be shown at."""
    return zero_variance(item.tallies[item.rungs.index(level_in_use(item, cap))], group_size)


def queue_position(cursor: int, num_items: int, seed: int) -> int:
    """The item at one place of the endless queue: round r is a shuffle of all items by (seed, r)."""
    return _round(cursor // num_items, num_items, seed)[cursor % num_items]


@functools.lru_cache(maxsize=2)
def _round(number: int, num_items: int, seed: int) -> tuple[int, ...]:
    order = list(range(num_items))
    random.Random(f"{seed}/round/{number}").shuffle(order)
    return tuple(order)


def level_counts(controller: Controller) -> dict[int, int]:
    """How many items have each level as their own."""
    counts: dict[int, int] = {}
    for item in controller.items:
        counts[item.level] = counts.get(item.level, 0) + 1
    return dict(sorted(counts.items()))


def to_json(controller: Controller) -> Any:
    """The state in JSON types, for a checkpoint."""
    return msgspec.to_builtins(controller)


def from_json(value: Any) -> Controller:
    """The state that `to_json` gave."""
    return msgspec.convert(value, Controller)
