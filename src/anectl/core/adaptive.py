"""How many completions a problem needs: more where its zone is still open, up to a most.

The number of completions is doubled until one zone has enough of the posterior. A row is given up before, and stays
unsure, where more completions are not worth it: some that lie on a border, and some that lie so near the wanted
confidence that it would cost much to gain little. What they are saved is spent better on other rows. Rows whose
completions cannot be judged stay open and end at the most. A row of which the engine has drawn nothing but errors is
left to --retry-failed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import msgspec

from anectl.core.errors import UsageError
from anectl.core.posterior import Prior, zone_masses
from anectl.core.prior import LEAST_PROBLEMS, expected_error, fit_prior
from anectl.core.records import Completion, Sampling
from anectl.core.worth import Terms, is_worth_more, likeliest

DEFAULT_MAX_N = 64
DEFAULT_LOW = 0.1
DEFAULT_HIGH = 0.7
DEFAULT_GROWTH = 2.0
# So many completions it may cost to take away the doubt that is allowed: chosen on the mixtures of pass rates in
# benchmarks/bench_adaptive.py, which differ little in what is best.
_PATIENCE = 64
# Under this there would be hundreds of rounds.
_LEAST_GROWTH = 1.1
_UNIFORM = (8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class Budget:
    """Draw until a zone has `until_confident` of the posterior, at most `max_n`; the borders are pass rates.

    Each time there are `growth` times as many completions. With `gives_up`, drawing ends where more are not worth it.
    """

    until_confident: float
    max_n: int = DEFAULT_MAX_N
    low: float = DEFAULT_LOW
    high: float = DEFAULT_HIGH
    growth: float = DEFAULT_GROWTH
    gives_up: bool = True

    def further(self, completions: tuple[Completion, ...]) -> int:
        """How many more completions to draw, by the verdicts on those there are; 0 when they suffice."""
        if all(completion.error is not None for completion in completions):
            return 0
        correct, judged = tally(completions)
        return self.more(len(completions), judged, correct)

    def more(self, total: int, judged: int, correct: int) -> int:
        """How many more to draw after `total`, of which `judged` could be judged; 0 when they suffice."""
        if total >= self.max_n or self.is_sure(judged, correct) or self.is_given_up(total, judged, correct):
            return 0
        return self._terms.next_total(total) - total

    def is_sure(self, judged: int, correct: int) -> bool:
        """Whether the verdicts place a problem with the confidence that is asked for."""
        return judged > 0 and likeliest(judged, correct, self.low, self.high) >= self.until_confident

    def is_given_up(self, total: int, judged: int, correct: int) -> bool:
        """Whether a problem that is not placed gets no more completions though it might."""
        is_open = total < self.max_n and not self.is_sure(judged, correct)
        return self.gives_up and is_open and not is_worth_more(total, judged, correct, self._terms)

    @property
    def _terms(self) -> Terms:
        price = (1 - self.until_confident) / _PATIENCE
        return Terms(price, self.low, self.high, self.max_n, self.growth)


def budget_of(
    sampling: Sampling, until_confident: float | None, given: Mapping[str, Any]
) -> tuple[Sampling, Budget | None]:
    """The budget that options ask for, and the sampling with it; None for a fixed number of completions.

    `given` has the options that go with `until_confident` by their names: max_n (null for the default), low, high,
    growth, give_up. Raises UsageError for options that make no sense.
    """
    max_n, low, high, growth = (given[name] for name in ("max_n", "low", "high", "growth"))
    if until_confident is None:
        usual = {"max_n": None, "low": DEFAULT_LOW, "high": DEFAULT_HIGH, "growth": DEFAULT_GROWTH, "give_up": True}
        _refuse_lone({name for name, value in usual.items() if given[name] != value})
        return sampling, None
    if not 0 < until_confident < 1:
        raise UsageError(f"--until-confident {until_confident}: must be between 0 and 1")
    if not 0 < low < high < 1:
        raise UsageError(f"--low {low} --high {high}: must be 0 < low < high < 1")
    if not _LEAST_GROWTH <= growth < math.inf:
        raise UsageError(f"--growth {growth}: must be a number from {_LEAST_GROWTH} up")
    budget = Budget(until_confident, DEFAULT_MAX_N if max_n is None else max_n, low, high, growth, given["give_up"])
    if budget.max_n < sampling.n:
        raise UsageError(f"--max-n {budget.max_n}: fewer than the first {sampling.n} of each problem")
    if sampling.temperature == 0:
        raise UsageError("--until-confident at temperature 0 would draw the same completion again")
    return msgspec.structs.replace(
        sampling,
        until_confident=until_confident,
        max_n=budget.max_n,
        growth=growth,
        borders=(low, high),
        gives_up=budget.gives_up,
    ), budget


def _refuse_lone(names: Set[str]) -> None:
    """Raises UsageError for options that go with --until-confident and came without it."""
    if names & {"low", "high"}:
        raise UsageError("--low and --high go with --until-confident", hint="locate-frontier has them too")
    for name in sorted(names, reverse=True):
        option = "--no-give-up" if name == "give_up" else f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} goes with --until-confident", hint="-n sets a fixed number of completions")


def tally(completions: Iterable[Completion]) -> tuple[int, int]:
    """How many completions are correct, and how many could be judged."""
    verdicts = Counter(completion.correct for completion in completions)
    return verdicts[True], verdicts[True] + verdicts[False]


class Spending:
    """What an adaptive run has drawn, against drawing equally many of each problem."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._rows: Counter[tuple[int, int]] = Counter()
        self._drawn = self._given_up = 0

    def add(self, completions: tuple[Completion, ...]) -> None:
        """Count a problem."""
        correct, judged = tally(completions)
        self._rows[judged, correct] += 1
        self._drawn += len(completions)
        is_broken = all(completion.error is not None for completion in completions)
        self._given_up += not is_broken and self._budget.is_given_up(len(completions), judged, correct)

    def facts(self) -> dict[str, float | int | None]:
        """For the manifest: what was drawn, what --max-n of each would have been, and `uniform_n` (see `summary`)."""
        problems = self._rows.total()
        unsure = sum(number for (n, c), number in self._rows.items() if not self._budget.is_sure(n, c))
        return {
            "problems": problems,
            "samples": self._drawn,
            "samples_of_uniform_max_n": problems * self._budget.max_n,
            "unsure": unsure,
            "given_up": self._given_up,
            "uniform_n": self._uniform_n(),
        }

    def _uniform_n(self) -> int | None:
        """The fewest completions of every problem that are expected to place as many problems right; None if unknown.

        An estimate: pass rates are taken to be spread as a prior fitted to this run says.
        """
        if self._rows.total() < LEAST_PROBLEMS:
            return None
        low, high = self._budget.low, self._budget.high
        prior = fit_prior(self._rows)
        wrong = _mean_doubt(self._rows, low, high, prior)
        return next((n for n in _UNIFORM if expected_error(prior, n, low, high) <= wrong), None)

    def summary(self, facts: Mapping[str, float | int | None]) -> str:
        """One sentence for the end of the run, from `facts`, which take seconds to find."""
        most = facts["samples_of_uniform_max_n"] or 1
        said = (
            f"drew {self._drawn} samples, {self._drawn / most:.0%} of the {most} that {self._budget.max_n} "
            f"for each of {facts['problems']} problems would be; {facts['unsure']} problems are still unsure"
        )
        if facts["given_up"]:
            said += f", {facts['given_up']} of them given up, as more would not have been worth it"
        if facts["uniform_n"] is None:
            return said
        evenly = facts["uniform_n"] * (facts["problems"] or 0)
        return f"{said}; to place as many right, {facts['uniform_n']} for each would be needed, {evenly} (an estimate)"


def _mean_doubt(rows: Mapping[tuple[int, int], int], low: float, high: float, prior: Prior) -> float:
    """The share of problems that are expected not to be in their likeliest zone."""
    doubt = sum(number * (1 - max(zone_masses(n, c, low, high, prior).values())) for (n, c), number in rows.items())
    return doubt / sum(rows.values())
