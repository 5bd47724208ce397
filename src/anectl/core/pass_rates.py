"""Pass rates that a data set was published with, read as if that many completions had been drawn and graded.

ViRL39K, for one, says how often two models solved each problem. A rate is all there is: no completion, no key.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from anectl.core.errors import RowError
from anectl.core.posterior import zone_of
from anectl.core.profiles import official
from anectl.core.records import Frontier, Problem, Sampling


class RateColumn(NamedTuple):
    """The field that holds the rates (0..1), and the number of completions a rate counts for."""

    field: str
    samples: int = 8

    def correct(self, problem: Problem) -> int | None:
        """The number of completions a problem's rate stands for, to the nearest; None where the rate is null.

        The rate is a field of the published row (`source.fields`) or of the problem itself. Raises RowError when
        there is no such field, or it is no number in 0..1.
        """
        for fields in (official(problem), problem.extra):
            if self.field in fields:
                rate = fields[self.field]
                break
        else:
            raise RowError(
                f"problem {problem.id!r} has no field {self.field!r}",
                hint="fields: " + (", ".join([*official(problem), *problem.extra]) or "none"),
            )
        if rate is None:
            return None
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise RowError(f"field {self.field!r}: {str(rate)[:60]!r} is no pass rate in 0..1")
        return math.floor(rate * self.samples + 0.5)

    def frontier(self, problem: Problem, correct: int, low: float, high: float, min_confidence: float) -> Frontier:
        """The frontier row of a problem: its zone by the counts, no completions; the policy is `column:FIELD`."""
        zone, posterior = zone_of(self.samples, correct, low, high, min_confidence)
        return Frontier(
            problem=problem,
            policy=f"column:{self.field}",
            sampling=Sampling(n=self.samples),
            completions=(),
            zone=zone,
            posterior=posterior,
        )
