"""Replay: problems the policy has solved, among the new ones, so that learning the new does not undo the old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from anectl.core.records import Completion, Example
from anectl.core.run import Run


def typical_success(completions: Sequence[Completion], min_rate: float) -> Completion | None:
    """The correct completion of median length, or None when too few of the judged ones are correct."""
    judged = [completion for completion in completions if completion.correct is not None]
    finished = [completion for completion in judged if completion.correct and completion.finish_reason == "stop"]
    if not finished or sum(completion.correct is True for completion in judged) < min_rate * len(judged):
        return None
    finished.sort(key=lambda completion: (len(completion.text), completion.text))
    return finished[(len(finished) - 1) // 2]


class Mixture:
    """Writes examples, and among them replayed ones, so that every beginning of the output has its share of them."""

    def __init__(self, run: Run, replayed: Sequence[Example], share: float, max_examples: int | None) -> None:
        self.counts: Counter[str] = Counter()
        self._run = run
        self._replayed = iter(replayed)
        self._num_replayed = 0
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
