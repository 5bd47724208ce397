"""Replay: problems the policy has solved, among the new ones, so that learning the new does not undo the old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.records import Completion, Example, Problem
from anectl.core.run import Run


@dataclass(slots=True)
class Solved:
    """How a policy did on a problem, over all lines of its rollouts: what counts, and the texts that may be replayed.

    A completion that ran into its limit counts as a failure: it would earn no reward either.
    """

    problem: Problem
    images: tuple[ImageRef, ...]
    instruction: str
    num_judged: int = 0
    num_correct: int = 0
    finished: list[str] = field(default_factory=list)

    def add(self, completions: Iterable[Completion]) -> None:
        """Count the completions of a line."""
        for completion in completions:
            self.num_judged += completion.correct is not None or completion.finish_reason == "length"
            self.num_correct += completion.correct is True
            if completion.correct and completion.finish_reason == "stop":
                self.finished.append(completion.text)

    def typical(self, min_rate: float) -> str | None:
        """The correct completion of median length, or None when too few of the judged ones are correct."""
        if not self.finished or self.num_correct < min_rate * self.num_judged:
            return None
        return sorted(self.finished, key=lambda text: (len(text), text))[(len(self.finished) - 1) // 2]


@dataclass
class Progress:
    """What an interrupted run has written: how many lines of each origin, and which rows of the input they are for.

    `owed` is the last of these rows. Whether it was complete cannot be told from its lines, which are taken out again.
    """

    counts: Counter[str] = field(default_factory=Counter)
    written: set[str] = field(default_factory=set)
    owed: str | None = None

    @classmethod
    def of(cls, run: Run) -> Progress:
        """Read, and cut, the output of a resumed run; nothing in a new one.

        Raises AnectlError for rows that do not say what they were made for.
        """
        progress = cls()
        for example in run.finished(Example):
            if not example.frontier_id and not _is_replayed(example):
                raise AnectlError(
                    f"the row of {example.problem_id!r} does not say what it was made for",
                    path=str(run.output.path),
                    hint="written by an earlier version: start anew",
                )
            progress.owed = example.frontier_id or progress.owed
        met: list[Example] = []

        def is_owed(example: Example) -> bool:
            if met or example.frontier_id == progress.owed:
                met.append(example)
            return bool(met)

        for example in run.finished(Example, owed=is_owed):
            progress.counts[example.origin] += 1
            progress.written.add(example.frontier_id)
        return progress


def _is_replayed(example: Example) -> bool:
    return example.origin.startswith("replay/")


class Mixture:
    """Writes examples, and among them replayed ones, so that every beginning of the output has its share of them."""

    def __init__(
        self, run: Run, replayed: Iterable[Example], share: float, max_examples: int | None, progress: Progress
    ) -> None:
        """Goes on where `progress` says that an interrupted run was."""
        self.counts = Counter(progress.counts)
        self._run = run
        self._written = progress.written
        self._num_replayed = sum(count for origin, count in self.counts.items() if origin.startswith("replay/"))
        self._replayed = islice(replayed, self._num_replayed, None)
        self._share = share
        self._max_examples = max_examples

    @property
    def is_full(self) -> bool:
        """Whether the wanted number of examples is written."""
        return self._max_examples is not None and self.counts.total() >= self._max_examples

    def add(self, examples: Sequence[Example], reason: str) -> None:
        """Write the examples of one input row, or count the row as dropped."""
        wanted = [] if self.is_full else examples
        for number, example in enumerate(wanted):
            if self.is_full:
                return
            self._write(example, rows=0 if number else 1)
            self._add_replays()
        if not wanted:
            self._run.drop("enough examples" if self.is_full else reason)

    def pass_over(self, row_id: str) -> None:
        """Count a row that an interrupted run was done with."""
        if row_id in self._written:
            self._run.keep()
        else:
            self._run.drop("gave no example before the run was resumed")

    def _add_replays(self) -> None:
        while not self.is_full and self._num_replayed + 1 <= self._share * (self.counts.total() + 1):
            example = next(self._replayed, None)
            if example is None:
                return
            self._write(example, rows=0)
            self._num_replayed += 1

    def _write(self, example: Example, *, rows: int) -> None:
        self._run.write(example, rows=rows)
        self.counts[example.origin] += 1
