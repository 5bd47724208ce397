"""How much help a problem needs: the smallest level of its ladder at which the policy succeeds often enough to learn.

A group-relative update is in proportion to the spread of a group's rewards, p(1-p): nothing where all fail or all
succeed. Bands around one half do best (0.3 to 0.7 in Bae et al.; PRISM takes 0.2 to 0.8, Deep Dive finds 0.41 to
0.59). AnE names the calibration of the scaffold as future work; BREAD halves a solution in the same way.

Success rises with the level, mostly: then halving finds the smallest level in reach, with 3 rounds of draws for 6
levels instead of 6. Where it does not rise, halving still ends at a level that reached the band and whose next lower
one did not, but there may be another such level below, which is not seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from anectl.core.drafts import Draft
from anectl.core.errors import UsageError
from anectl.core.keys import sample_seed
from anectl.core.probing import Probe, Work
from anectl.core.protocols import Draw, SamplingParams
from anectl.core.records import Carrier, LevelTally
from anectl.core.targets import Judge

MOST_PROBES = 3
"""Levels that are tried of one problem, at most: six of them, or none, are told apart by three answers."""


@dataclass(frozen=True, slots=True)
class Band:
    """Pass rates from which a policy learns: in reach from `low` on, too easy above `high`."""

    low: float = 0.3
    high: float = 0.7

    def reached(self, tally: LevelTally) -> bool:
        """Whether the success at a level is at or above the lower edge; without a judged completion it is not."""
        return tally.judged > 0 and tally.correct >= self.low * tally.judged - 1e-9

    def passed(self, tally: LevelTally) -> bool:
        """Whether the success at a level is above the upper edge."""
        return tally.correct > self.high * tally.judged + 1e-9


def parse_band(text: str) -> Band:
    """A band from `LOW,HIGH`. Raises UsageError."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not 0 < low < high < 1:
        raise UsageError(f"--band {text!r} is no band of pass rates", hint="such as 0.3,0.7")
    return Band(low, high)


Search: TypeAlias = Generator[int, LevelTally, int | None]
"""Gives the level to try next, is sent how it went, and returns the level found; null where none is in reach."""


def smallest_in_reach(rungs: Sequence[int], band: Band, known: LevelTally | None = None) -> Search:
    """Halving over the rungs, ascending levels; `known` is what is known of the first one, and not asked for again."""
    low, high = 0, len(rungs)
    if known is not None:
        low, high = (0, 0) if band.reached(known) else (1, high)
    while low < high:
        middle = (low + high) // 2
        tally = yield rungs[middle]
        low, high = (low, middle) if band.reached(tally) else (middle + 1, high)
    return rungs[low] if low < len(rungs) else None


def rungs_of(ladder: Sequence[str]) -> list[int]:
    """The levels of a ladder that say something new, ascending from the bare one."""
    return [level for level, text in enumerate(ladder) if text not in ladder[:level]]


OUT_OF_REACH = "out of reach with all help"
NOT_DRAWN = "the engine failed at every completion of a level"


@dataclass
class Findings:
    """Running totals of a calibration, for the summary and the manifest."""

    levels: Counter[int] = field(default_factory=Counter)
    num_unreached: int = 0
    num_passed: int = 0
    num_drawn: int = 0
    num_every: int = 0
    num_failed: int = 0

    def facts(self) -> dict[str, object]:
        """The totals for the manifest."""
        return {
            "levels": {str(level): count for level, count in sorted(self.levels.items())},
            "unreached": self.num_unreached,
            "above_band": self.num_passed,
            "samples": self.num_drawn,
            "samples_of_every_level": self.num_every,
            "engine_errors": self.num_failed,
        }

    def summary(self) -> str:
        """One sentence for the end of the run."""
        levels = ", ".join(f"{count} at level {level}" for level, count in sorted(self.levels.items())) or "no problems"
        share = f" ({self.num_drawn / self.num_every:.0%} of trying every level)" if self.num_every else ""
        out = f"; {self.num_unreached} out of reach with all help" if self.num_unreached else ""
        above = f"; {self.num_passed} above the band where they stand" if self.num_passed else ""
        errors = f"; {self.num_failed} engine errors" if self.num_failed else ""
        return f"calibrated: {levels}{out}{above}; {self.num_drawn} samples{share}{errors}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How levels are tried: `num_samples` completions at each, seeded by (seed, problem, level, sample) alone.

    A completion that ran into its limit, or states no answer, is a failure: it would earn no reward either. One that
    the engine failed to draw is not counted.
    """

    band: Band
    num_samples: int
    params: SamplingParams
    judge: Judge
    seed: int
    carrier: Carrier
    drop_unreached: bool = False
    findings: Findings = field(default_factory=Findings)

    def level(self, draft: Draft) -> Work[Draft | str]:
        """The draft at its level, or why it is dropped: no level is in reach, or the engine drew nothing to judge by.

        Out of reach otherwise, it stands at its top level.
        """
        rungs = rungs_of(draft.ladder)
        tried = list(draft.tried)
        search = smallest_in_reach(rungs, self.band, tried[0] if tried else None)
        tally: LevelTally | None = None
        self.findings.num_every += self.num_samples * len(rungs)
        while True:
            try:
                asked = next(search) if tally is None else search.send(tally)
            except StopIteration as stop:
                return self._settled(draft, stop.value, rungs[-1], tuple(tried))
            (draws,) = yield [self._probe(draft, asked)]
            tally = self._tally(draft, asked, draws)
            if not tally.judged:
                return NOT_DRAWN
            tried.append(tally)

    def _probe(self, draft: Draft, level: int) -> Probe:
        key = f"{draft.problem.id}/calibrate/{level}"
        seeds = tuple(sample_seed(self.seed, key, number) for number in range(self.num_samples))
        return Probe(draft.request(level, self.carrier, key, seeds), self.params)

    def _tally(self, draft: Draft, level: int, draws: Sequence[Draw]) -> LevelTally:
        prefix = draft.ladder[level] if self.carrier == "prefix" else ""
        drawn = [draw for draw in draws if draw.error is None]
        self.findings.num_drawn += len(draws)
        self.findings.num_failed += len(draws) - len(drawn)
        right = sum(draw.finish_reason == "stop" and self.judge(draft.problem, prefix + draw.text) for draw in drawn)
        return LevelTally(level=level, correct=right, judged=len(drawn))

    def _settled(self, draft: Draft, found: int | None, top: int, tried: tuple[LevelTally, ...]) -> Draft | str:
        findings = self.findings
        if found is None:
            findings.num_unreached += 1
            if self.drop_unreached:
                return OUT_OF_REACH
        level = top if found is None else found
        findings.levels[level] += 1
        findings.num_passed += any(tally.level == level and self.band.passed(tally) for tally in tried)
        return replace(draft, level=level, tried=tried)
