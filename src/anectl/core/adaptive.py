"""How many completions a problem needs: more where its zone is still open, up to a most.

The number of completions is doubled until one zone has enough of the posterior. Rows whose completions cannot be judged
stay open and end at the most. A row of which the engine has drawn nothing but errors is left to --retry-failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from anectl.core.errors import UsageError
from anectl.core.posterior import Prior, zone_masses, zone_of
from anectl.core.prior import expected_error, fit_prior
from anectl.core.records import Completion, Sampling

DEFAULT_MAX_N = 64
DEFAULT_LOW = 0.1
DEFAULT_HIGH = 0.7
# Too few problems say too little of how pass rates are spread.
_LEAST_PROBLEMS = 200
_UNIFORM = (8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class Budget:
    """Draw until a zone has `until_confident` of the posterior, at most `max_n`; the borders are pass rates."""

    until_confident: float
    max_n: int = DEFAULT_MAX_N
    low: float = DEFAULT_LOW
    high: float = DEFAULT_HIGH

    def further(self, completions: tuple[Completion, ...]) -> int:
        """How many more completions to draw, by the verdicts on those there are; 0 when they suffice."""
        total = len(completions)
        correct, judged = tally(completions)
        is_broken = all(completion.error is not None for completion in completions)
        if total >= self.max_n or is_broken or self.is_sure(judged, correct):
            return 0
        return min(total, self.max_n - total)

    def is_sure(self, judged: int, correct: int) -> bool:
        """Whether the verdicts place a problem with the confidence that is asked for."""
        return zone_of(judged, correct, self.low, self.high, self.until_confident)[0] != "unsure"


def budget_of(
    sampling: Sampling, until_confident: float | None, max_n: int | None, low: float, high: float
) -> tuple[Sampling, Budget | None]:
    """The budget that options ask for, and the sampling with it; None for a fixed number of completions.

    Raises UsageError for options that make no sense.
    """
    if until_confident is None:
        if max_n is not None:
            raise UsageError("--max-n goes with --until-confident", hint="-n sets a fixed number of completions")
        if (low, high) != (DEFAULT_LOW, DEFAULT_HIGH):
            raise UsageError("--low and --high go with --until-confident", hint="locate-frontier has them too")
        return sampling, None
    if not 0 < until_confident < 1:
        raise UsageError(f"--until-confident {until_confident}: must be between 0 and 1")
    if not 0 < low < high < 1:
        raise UsageError(f"--low {low} --high {high}: must be 0 < low < high < 1")
    budget = Budget(until_confident, DEFAULT_MAX_N if max_n is None else max_n, low, high)
    if budget.max_n < sampling.n:
        raise UsageError(f"--max-n {budget.max_n}: fewer than the first {sampling.n} of each problem")
    if sampling.temperature == 0:
        raise UsageError("--until-confident at temperature 0 would draw the same completion again")
    return msgspec.structs.replace(sampling, until_confident=until_confident, max_n=budget.max_n), budget


def tally(completions: Iterable[Completion]) -> tuple[int, int]:
    """How many completions are correct, and how many could be judged."""
    verdicts = Counter(completion.correct for completion in completions)
    return verdicts[True], verdicts[True] + verdicts[False]


class Spending:
    """What an adaptive run has drawn, against drawing equally many of each problem."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._rows: Counter[tuple[int, int]] = Counter()
        self._drawn = 0

    def add(self, completions: tuple[Completion, ...]) -> None:
        """Count a problem."""
        correct, judged = tally(completions)
        self._rows[judged, correct] += 1
        self._drawn += len(completions)

    def facts(self) -> dict[str, float | int | None]:
        """For the manifest: what was drawn, what --max-n of each would have been, and `uniform_n` (see `summary`)."""
        problems = self._rows.total()
        unsure = sum(number for (n, c), number in self._rows.items() if not self._budget.is_sure(n, c))
        return {
            "problems": problems,
            "samples": self._drawn,
            "samples_of_uniform_max_n": problems * self._budget.max_n,
            "unsure": unsure,
            "uniform_n": self._uniform_n(),
        }

    def _uniform_n(self) -> int | None:
        """The fewest completions of every problem that are expected to place as many problems right; None if unknown.

        An estimate: pass rates are taken to be spread as a prior fitted to this run says.
        """
        if self._rows.total() < _LEAST_PROBLEMS:
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
        if facts["uniform_n"] is None:
            return said
        evenly = facts["uniform_n"] * (facts["problems"] or 0)
        return f"{said}; to place as many right, {facts['uniform_n']} for each would be needed, {evenly} (an estimate)"


def _mean_doubt(rows: Mapping[tuple[int, int], int], low: float, high: float, prior: Prior) -> float:
    """The share of problems that are expected not to be in their likeliest zone."""
    doubt = sum(number * (1 - max(zone_masses(n, c, low, high, prior).values())) for (n, c), number in rows.items())
    return doubt / sum(rows.values())
