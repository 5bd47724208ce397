"""Which problems a step of strip-rl trains on, and how much scaffold each of them gets.

Every item has a level of its own, after the tiered hints of Scaf-GRPO (arXiv 2510.19807) and the adaptive hints of
BREAD and LANG; `hinting` says which level is in use. With p the Beta-mean of the successes at a level,
(1/2 + c) / (1 + n):
  p >= 0.75   the item goes one rung below the level in use
  all fail    at its own level, the item goes one rung up; a graduate whose bare p fell under 0.2 does too
  p >= 0.2    at level 0, the item graduates: a few failures no longer bring its scaffold back
Groups whose rewards are all equal teach nothing. Which ones to expect follows from the counts (`zero_variance`), and
items that would most likely give one are passed over: the hopeless, the mastered and most graduates. 2% of the slots
are for them, the longest unseen first, so that none is lost and a graduate that forgets is found out.
The thresholds are our choice. Everything here is pure: state in, state out, so a resumed run goes on exactly.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from anectl.core.hinting import HintName, at_most, level_to_show

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
    """One problem: the levels it has (`rungs`, ascending from 0), its own level, and its tally at each rung.

    `failed_bare` says that its last visit was a bare group without any success, `visited` is the step it was last
    chosen at.
    """

    rungs: tuple[int, ...]
    level: int
    tallies: tuple[Tally, ...]
    graduated: bool = False
    failed_bare: bool = False
    visited: int = -1


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


def group_outcomes(
    items: Sequence[int], levels: Sequence[int], won: Sequence[bool | None], group_size: int
) -> list[Outcome]:
    """The outcomes of a batch of groups, one for each level of a group, its highest first; `won` is null if unknown."""
    found = []
    for start in range(0, len(items), group_size):
        group = range(start, min(start + group_size, len(items)))
        for level in sorted({levels[place] for place in group}, reverse=True):
            known = [won[place] for place in group if levels[place] == level and won[place] is not None]
            found.append(Outcome(items[start], level, sum(map(bool, known)), len(known)))
    return found


def new_item(rungs: Sequence[int], level: int) -> Item:
    """An unseen item that starts at the highest rung up to `level`."""
    rungs = tuple(sorted(set(rungs) | {0}))
    return Item(rungs, at_most(rungs, level), tuple(Tally() for _ in rungs))


def level_in_use(item: Item, cap: int, hint: HintName = "controller") -> int:
    """The level an item is shown at under the schedule's cap."""
    return level_to_show(item.rungs, item.level, cap, hint, failed_bare=item.failed_bare)


@functools.lru_cache(maxsize=4096)
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
    graduated = item.graduated
    if place == 0:  # a graduate stays one for a while; to become one takes a success
        graduated = tally.mean >= GRADUATE_AT and (item.graduated or outcome.successes > 0)
    if tally.mean >= LOWER_AT:
        own = min(own, max(place - 1, 0))
    elif outcome.successes == 0 and place == own and not graduated:
        own = min(own + 1, len(item.rungs) - 1)
    if graduated:
        own = 0
    failed = place == 0 and outcome.successes == 0
    return Item(item.rungs, item.rungs[own], tallies, graduated, failed, item.visited)


def updated(controller: Controller, outcomes: Sequence[Outcome]) -> Controller:
    """The controller after the groups of one step."""
    items = list(controller.items)
    for outcome in outcomes:
        items[outcome.item] = update(items[outcome.item], outcome)
    return Controller(tuple(items), controller.cursor)


def choose(
    controller: Controller,
    *,
    step: int,
    caps: Sequence[int],
    bare_share: float,
    group_size: int,
    seed: int,
    hint: HintName = "controller",
    attempt: int = 0,
) -> tuple[tuple[Slot, ...], Controller]:
    """The groups of a step, one under each of `caps`, and the controller with its cursor moved past them.

    First come the reviews; then it walks the queue (a new shuffle of all items each round) and takes items that promise
    a gradient; once round without filling the slots, the most promising of those passed over are taken. At least
    `bare_share` of the slots are bare. Depends on nothing but its arguments; `attempt` counts further choices of one
    step.
    """
    rng = random.Random(f"{seed}/{step}/{attempt}" if attempt else f"{seed}/{step}")
    num_slots, num_items = len(caps), len(controller.items)
    chance = functools.partial(_chance, controller, caps, group_size, hint)
    taken = _reviewed(controller, sum(rng.random() < REVIEW_SHARE for _ in caps), chance)
    passed: list[tuple[float, int, int]] = []
    seen, cursor = set(taken), controller.cursor
    while len(taken) < num_slots and len(seen) < num_items:
        number = queue_position(cursor, num_items, seed)
        cursor += 1
        if number in seen:
            continue
        seen.add(number)
        dull = chance(number, len(taken))
        if dull < SKIP_AT:
            taken.append(number)
        else:
            passed.append((dull, cursor, number))
    taken += [number for _, _, number in sorted(passed)[: num_slots - len(taken)]]
    while len(taken) < num_slots:  # fewer items than slots: some come again
        taken.append(queue_position(cursor, num_items, seed))
        cursor += 1
    levels = [level_in_use(controller.items[number], cap, hint) for number, cap in zip(taken, caps, strict=True)]
    hinted = [place for place, level in enumerate(levels) if level > 0]
    owed = math.ceil(bare_share * num_slots) - (num_slots - len(hinted))
    for place in rng.sample(hinted, max(0, owed)):
        levels[place] = 0
    slots = tuple(Slot(number, level) for number, level in zip(taken, levels, strict=True))
    return slots, Controller(_visited(controller.items, taken, step), cursor)


def _chance(
    controller: Controller, caps: Sequence[int], group_size: int, hint: HintName, number: int, place: int
) -> float:
    """The predicted `zero_variance` of an item in one of the slots, at the level it would be shown at."""
    item = controller.items[number]
    return zero_variance(item.tallies[item.rungs.index(level_in_use(item, caps[place], hint))], group_size)


def _reviewed(controller: Controller, most: int, chance: Callable[[int, int], float]) -> list[int]:
    """Items that would be passed over, the longest unseen of them first."""
    found: list[int] = []
    if most == 0:
        return found
    for number in sorted(range(len(controller.items)), key=lambda one: controller.items[one].visited):
        if len(found) == most:
            break
        if chance(number, len(found)) >= SKIP_AT:
            found.append(number)
    return found


def _visited(items: tuple[Item, ...], taken: Sequence[int], step: int) -> tuple[Item, ...]:
    noted = list(items)
    for number in taken:
        noted[number] = msgspec.structs.replace(noted[number], visited=step)
    return tuple(noted)


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
