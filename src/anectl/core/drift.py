"""Who crossed the zones' borders between two rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import get_args

from anectl.core.jsonl import read_records
from anectl.core.records import Frontier, Zone

ABSENT = "absent"
"""For a problem that the earlier frontier does not hold; by default a frontier leaves out solved problems."""


class Drift:
    """The zones of an earlier frontier, and how many problems went from which zone to which.

    Problems are known by their ids. Memory grows with the number of rows of the earlier frontier.
    """

    def __init__(self, path: str) -> None:
        """Raises AnectlError with its place for a row that is no frontier row."""
        self._before: dict[str, Zone] = {}
        self.matrix: Counter[tuple[str, str]] = Counter()
        self._num_met = 0
        for row in read_records(path, Frontier):
            self._before[row.problem.id] = row.zone

    def enter(self, id: str, zone: Zone) -> Zone | None:
        """Count a problem by its zone now; its zone before, None where it is not known."""
        before = self._before.get(id)
        self._num_met += before is not None
        self.matrix[before or ABSENT, zone] += 1
        return before

    def facts(self) -> dict[str, dict[str, int]]:
        """For the manifest: the number of problems by zone before and zone now."""
        names = (*get_args(Zone), ABSENT)
        return {
            before: {now: self.matrix[before, now] for now in names[:-1] if self.matrix[before, now]}
            for before in names
            if any(self.matrix[before, now] for now in names)
        }

    def summary(self) -> str:
        """One sentence: all who crossed, then who stayed."""
        crossed = _sentence(entry for entry in self.matrix.most_common() if entry[0][0] != entry[0][1])
        stayed = sum(number for (before, now), number in self.matrix.items() if before == now)
        gone = len(self._before) - self._num_met
        return f"since before: {crossed or 'nobody crossed'}; {stayed} stayed" + (f"; {gone} are gone" if gone else "")


def _sentence(entries: Iterable[tuple[tuple[str, str], int]]) -> str:
    return ", ".join(f"{number} {before} -> {now}" for (before, now), number in entries)
