"""Running totals of what was drawn, and the writing of rows as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from anectl.core.records import Completion, Rollout, Score
from anectl.core.run import Run

Drawn = TypeVar("Drawn", Rollout, Score)
Engine = TypeVar("Engine")


@dataclass
class Tally:
    """Running totals for the progress line and the summary; the clock starts when the engine is loaded."""

    num_correct: int = 0
    num_judged: int = 0
    num_null: int = 0
    num_errors: int = 0
    num_tokens: int = 0
    first_error: str | None = None
    started: float = field(default_factory=time.monotonic)

    def clocked(self, load: Callable[[], Engine]) -> Engine:
        """What `load` gives; the clock starts then."""
        engine = load()
        self.started = time.monotonic()
        return engine

    def add(self, problem_id: str, completions: Iterable[Completion]) -> None:
        """Count the completions of one row."""
        for completion in completions:
            self.num_tokens += completion.num_tokens
            self.num_errors += completion.error is not None
            if completion.error is not None and self.first_error is None:
                self.first_error = f"problem {problem_id}: {completion.error}"
            self.num_null += completion.correct is None
            self.num_judged += completion.correct is not None
            self.num_correct += completion.correct is True

    def note(self) -> str:
        """`pass rate 0.412, 5120 tokens/s`."""
        seconds = max(self._seconds(), 1e-9)
        rate = f"{self.num_correct / self.num_judged:.3f}" if self.num_judged else "unknown"
        return f"pass rate {rate}, {self.num_tokens / seconds:.0f} tokens/s"

    def figures(self) -> dict[str, float]:
        """The same as numbers; no pass rate before a completion was judged."""
        rate = {"pass_rate": self.num_correct / self.num_judged} if self.num_judged else {}
        return {**rate, "tokens_per_s": self.num_tokens / max(self._seconds(), 1e-9)}

    def facts(self) -> dict[str, int | float]:
        """The totals for the manifest; seconds since the engine was loaded."""
        return {
            "correct": self.num_correct,
            "judged": self.num_judged,
            "null": self.num_null,
            "engine_errors": self.num_errors,
            "tokens": self.num_tokens,
            "seconds": round(self._seconds(), 3),
        }

    def _seconds(self) -> float:
        return time.monotonic() - self.started

    def summary(self, *, timed: bool = True) -> str:
        """One sentence for the end of the run; `timed` when the completions were drawn in it."""
        rate = f"{self.num_correct / self.num_judged:.3f}" if self.num_judged else "unknown"
        drawn = self.note() if timed else f"pass rate {rate} of the completions that were judged"
        nulls = f", {self.num_null} completions not judged" if self.num_null else ""
        errors = f", {self.num_errors} engine errors (the first: {self.first_error})" if self.num_errors else ""
        return drawn + nulls + errors


def write_each(run: Run, records: Iterable[Drawn | None], tally: Tally) -> Iterator[Drawn | None]:
    """Write and count the record of each row as it comes; None is a row that was written before."""
    for record in records:
        if record is None:
            run.keep()
        else:
            tally.add(record.problem.id if isinstance(record, Rollout) else record.problem_id, record.completions)
            run.write(record)
        yield record
