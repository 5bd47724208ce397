"""At which step a failing completion is lost: a search that asks for continuations and knows nothing of engines.

The value of a step is the share of continuations, drawn from the text up to its end, that are right. Success is
unlikely after a step when the posterior of its value (Beta, Jeffreys prior) has enough of its mass under a threshold:
no bare count of zero decides. Continuations are drawn until a value is on one side for sure, or `most` are drawn. The
last likely and the first unlikely step are found by halving, as in OmegaPRM (arXiv 2406.06592), which takes log2(steps)
values where Math-Shepherd (arXiv 2312.08935) takes all.

Halving takes for granted that what is lost stays lost. Models take errors back, and luck plays its part, so the steps
on either side are probed too, and two further behind. A likely step behind an unlikely one is either the model's own
correction or an accident: both are drawn to the full, and the failure begins later only if it is likely for sure.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from anectl.core.posterior import beta_cdf
from anectl.core.records import StepValue

_AT_A_TIME = 64

START = -1
"""The step before the first: nothing is written yet."""


class Ask(NamedTuple):
    """Continuations wanted behind a step: `num` of them, the first of which is number `first` of that step."""

    step: int
    first: int
    num: int


Counts: TypeAlias = tuple[int, int]
"""Right continuations, and those that could be judged."""

Search: TypeAlias = Generator[list[Ask], Sequence[Counts], "Found"]
"""Gives lists of questions, all of which can be drawn at once, and is sent the counts of each."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When success counts as unlikely, and how much may be drawn to find out.

    A value under `threshold` is unlikely; `certainty` is the posterior mass that decides early. `most` continuations
    are drawn of a step, `budget` in all (null: without bound). `confirm` steps on either side are probed too.
    """

    threshold: float = 0.3
    certainty: float = 0.9
    most: int = 8
    confirm: int = 1
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: the first step after which success is unlikely, and the values of all steps it probed.

    `step` is null where nothing shows that success was ever likely before it, not even before the first step, or where
    no continuation could be judged. `is_cut` says that the budget ended the search.
    """

    step: int | None
    values: tuple[StepValue | None, ...]
    num_drawn: int
    is_cut: bool = False


@functools.lru_cache(maxsize=65536)
def verdict(correct: int, judged: int, threshold: float, certainty: float) -> Literal["likely", "unlikely", "unsure"]:
    """What the counts of a value say about success, by the mass of Beta(1/2 + correct, 1/2 + wrong)."""
    below = beta_cdf(threshold, 0.5 + correct, 0.5 + judged - correct)
    if below >= certainty:
        return "unlikely"
    return "likely" if 1 - below >= certainty else "unsure"


def search_by_halving(num_steps: int, before: Counts, rule: Rule) -> Search:
    """The first unlikely step of a wrong completion, by halving and confirmation.

    `before` are the counts of whole completions of the problem: the value before the first step. The completion itself
    is the one continuation behind its last step.
    """
    book = _Book(num_steps, before, rule)
    if not num_steps:
        return book.found(None)
    while True:
        low, high = book.borders()
        asks = book.asks(wanted := book.unsettled())
        if not wanted:
            asks = book.asks(wanted := book.doubtful(low), full=True)
        if not wanted:
            asks = book.asks(wanted := [(low + high) // 2] if high - low > 1 else book.unconfirmed(low, high))
        if not asks:
            return book.found(high, is_cut=bool(wanted))
        yield from book.draw(asks)


def search_all(num_steps: int, before: Counts, rule: Rule, *, is_right: bool = False) -> Search:
    """The value of every step from `most` continuations each, and the first unlikely step that follows from them.

    With a budget for fewer, of as many steps as it pays for, evenly spaced. A right completion has values only.
    """
    book = _Book(num_steps, before, rule, is_right=is_right)
    if not num_steps:
        return book.found(None)
    steps = list(range(num_steps - 1))
    paid = len(steps) if rule.budget is None else min(len(steps), rule.budget // rule.most)
    chosen = [steps[(2 * place + 1) * len(steps) // (2 * paid)] for place in range(paid)]
    # A few at a time: each is drawn behind a copy of the text up to its end.
    for place in range(0, len(chosen), _AT_A_TIME):
        yield from book.draw([Ask(step, 0, rule.most) for step in chosen[place : place + _AT_A_TIME]])
    if is_right:
        return book.found(None, is_cut=len(chosen) < len(steps))
    low, high = book.borders()
    start = [START] if low == START else []
    while asks := book.asks(start):
        yield from book.draw(asks)
    return book.found(high, is_cut=len(chosen) < len(steps) or not all(map(book.is_settled, start)))


@dataclass(slots=True)
class _Value:
    correct: int = 0
    judged: int = 0
    num_drawn: int = 0


@dataclass(slots=True)
class _Book:
    """What is known of the values of one completion."""

    num_steps: int
    before: Counts
    rule: Rule
    num_drawn: int = 0
    values: dict[int, _Value] = field(default_factory=dict)
    is_right: bool = False

    def __post_init__(self) -> None:
        self.values[START] = _Value(*self.before)
        # The last step leaves nothing to continue: the completion itself tells.
        self.values[self.num_steps - 1] = _Value(int(self.is_right), 1, self.rule.most)

    def borders(self) -> tuple[int, int]:
        """The last likely step, and the first unlikely one behind it."""
        low, is_lost = START, False
        for step in sorted(self.values):
            if step == START:
                continue
            if self._is_unlikely(step) or (is_lost and self._is_accident(step)):
                is_lost = True
            else:
                low = step
        return low, min(step for step in self.values if step > low)

    def unsettled(self) -> list[int]:
        """The steps that were drawn, but not enough to tell."""
        return [step for step, value in self.values.items() if value.num_drawn and not self.is_settled(step)]

    def doubtful(self, low: int) -> list[int]:
        """The last likely step and the nearest unlikely one before it, where there is one and more can be drawn."""
        worse = [step for step in self.values if START < step < low and self._is_unlikely(step)]
        pair = [max(worse), low] if worse else []
        return [step for step in pair if self.values[step].num_drawn < self.rule.most]

    def unconfirmed(self, low: int, high: int) -> list[int]:
        """What speaks for or against the border and is not settled.

        The steps on either side (before the first of all: the start); and behind it, where the failure may have been
        mended, the middle of the rest and the last step that can be continued.
        """
        reach = range(1, self.rule.confirm + 1)
        last = self.num_steps - 1
        before = [START] if low == START else [low - distance for distance in reach if low - distance > START]
        behind = [high + distance for distance in reach]
        if self.rule.confirm:
            behind += [(high + last) // 2, last - 1]
        steps = dict.fromkeys((*before, *(step for step in behind if high < step < last)))
        return [step for step in steps if not self.is_settled(step)]

    def asks(self, steps: Sequence[int], *, full: bool = False) -> list[Ask]:
        """What to draw next of these steps: the fewest that can settle them, or with `full` all they may have."""
        found = []
        left = None if self.rule.budget is None else self.rule.budget - self.num_drawn
        for step in steps:
            value = self.values.get(step, _Value())
            if not full and self.is_settled(step):
                continue
            room = self.rule.most - value.num_drawn
            num = room if full else self._fewest(value, room)
            if left is not None:
                num = min(num, left)
                left -= num
            if num > 0:
                found.append(Ask(step, value.num_drawn, num))
        return found

    def draw(self, asks: list[Ask]) -> Generator[list[Ask], Sequence[Counts], None]:
        """Ask, and note the answers."""
        for ask, (correct, judged) in zip(asks, (yield asks), strict=True):
            value = self.values.setdefault(ask.step, _Value())
            value.correct += correct
            value.judged += judged
            value.num_drawn += ask.num
            self.num_drawn += ask.num

    def found(self, step: int | None, *, is_cut: bool = False) -> Found:
        """The end of the search, with `step` as the first unlikely one."""
        if step is not None and (self._is_hopeless(step) or not self._is_informed()):
            step = None
        values = [self.values.get(number) for number in range(self.num_steps)]
        shown = tuple(
            None if value is None else StepValue(correct=value.correct, judged=value.judged) for value in values
        )
        return Found(step, shown, self.num_drawn, is_cut)

    def _is_hopeless(self, step: int) -> bool:
        """Whether success was never seen to be likely before a step, so that it makes no difference."""
        before = {number: value for number, value in self.values.items() if number < step}
        return all(self._is_unlikely(number) or not value.judged for number, value in before.items())

    def _is_informed(self) -> bool:
        """Whether any continuation could be judged; a completion of one step asks for none."""
        last = self.num_steps - 1
        return not last or any(value.judged for step, value in self.values.items() if START < step < last)

    def is_settled(self, step: int) -> bool:
        """Whether the value of a step is on one side for sure, or all of it is drawn."""
        value = self.values.get(step)
        if value is None:
            return False
        return value.num_drawn >= self.rule.most or self._verdict(value) != "unsure"

    def _is_unlikely(self, step: int) -> bool:
        """By the larger part of the posterior, where it is on neither side for sure; never where nothing was judged."""
        if step == self.num_steps - 1:
            return True
        value = self.values[step]
        if not value.judged:
            return False
        decided = self._verdict(value)
        if decided == "unsure":
            return verdict(value.correct, value.judged, self.rule.threshold, 0.5) == "unlikely"
        return decided == "unlikely"

    def _is_accident(self, step: int) -> bool:
        """Whether all that may be drawn of a step, which looks likely behind an unlikely one, is no proof of it."""
        value = self.values[step]
        return value.num_drawn >= self.rule.most and self._verdict(value) != "likely"

    def _fewest(self, value: _Value, room: int) -> int:
        """How many more it takes at least, all right or all wrong, to be sure; all there is room for if none do."""
        for num in range(1, room):
            judged = value.judged + num
            if any(
                self._verdict(_Value(correct, judged)) != "unsure" for correct in (value.correct, value.correct + num)
            ):
                return num
        return room

    def _verdict(self, value: _Value) -> str:
        return verdict(value.correct, value.judged, self.rule.threshold, self.rule.certainty)
