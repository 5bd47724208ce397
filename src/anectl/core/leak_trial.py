"""How well leaks are found: known ones are planted beside a user's own rows, and both are searched."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from anectl.core.benchmark_rows import BenchmarkRow
from anectl.core.errors import RowError
from anectl.core.leak_search import LeakFinder, Subject
from anectl.core.metrics import Interval, wilson
from anectl.core.planted_leaks import PLANTS, plant

_WINDOW = 64


@dataclass(slots=True)
class Trial:
    """Counts of a self-test: per kind of planted leak how many there were, were found, and named their own row.

    `clean` are the user's rows, of which `alarms` were found: false alarms, or leaks the user has.
    """

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    clean: int = 0
    alarms: Counter[str] = field(default_factory=Counter)

    def add_clean(self, kind: str | None) -> None:
        """Count a row of the user's, with the kind of leak that it was found to be."""
        self.clean += 1
        if kind is not None:
            self.alarms[kind] += 1

    def report(self) -> dict[str, Any]:
        """The counts, with the shares and their 95% Wilson intervals."""
        kinds = {
            kind: {
                "planted": self.planted[kind],
                "found": self.found[kind],
                "own_row": self.named[kind],
                "by": dict(self.by.get(kind, {})),
                "share": _share(self.found[kind], self.planted[kind]),
                "interval": wilson(self.found[kind], self.planted[kind]),
            }
            for kind in PLANTS
        }
        planted, found, alarms = self.planted.total(), self.found.total(), self.alarms.total()
        return {
            "kinds": kinds,
            "all": {"planted": planted, "found": found, "share": _share(found, planted)}
            | {"interval": wilson(found, planted)},
            "rest": {"rows": self.clean, "found": alarms, "by": dict(self.alarms), "share": _share(alarms, self.clean)}
            | {"interval": wilson(alarms, self.clean)},
        }

    def table(self) -> Iterator[tuple[str, ...]]:
        """Rows for people: what was planted, how many, found, of these at their own row, the share, its interval."""
        report = self.report()
        for kind, one in report["kinds"].items():
            if one["planted"]:
                counts = (str(one["planted"]), str(one["found"]), str(one["own_row"]))
                yield (f"planted: {kind}", *counts, *_shown(one["share"], one["interval"]))
        rest = report["rest"]
        yield (
            "the rows themselves",
            str(rest["rows"]),
            str(rest["found"]),
            "",
            *_shown(rest["share"], rest["interval"]),
        )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shown(share: float | None, interval: Interval) -> tuple[str, str]:
    return ("", "") if share is None else (f"{share:.1%}", f"{interval[0]:.1%} to {interval[1]:.1%}")


def try_planted(finder: LeakFinder, trial: Trial, *, per_kind: int, seed: int) -> None:
    """Plant up to `per_kind` leaks of each kind, from benchmark rows drawn by `seed`, and search each."""
    for kind in PLANTS:
        window: list[tuple[BenchmarkRow, Subject]] = []
        for row, subject in _drawn(finder, kind, per_kind, random.Random(f"{seed}/{kind}")):
            window.append((row, subject))
            if len(window) == _WINDOW:
                _search(finder, trial, kind, window)
        _search(finder, trial, kind, window)


def _drawn(finder: LeakFinder, kind: str, per_kind: int, rng: random.Random) -> Iterator[tuple[BenchmarkRow, Subject]]:
    left = per_kind
    for number in rng.sample(range(finder.num_rows), finder.num_rows):
        if not left:
            return
        row = finder.row(number)
        try:
            subject = plant(row, kind, rng)
        except RowError as error:
            raise error.at(row.path, row.line) from None
        if subject is not None:
            left -= 1
            yield row, subject


def _search(finder: LeakFinder, trial: Trial, kind: str, window: list[tuple[BenchmarkRow, Subject]]) -> None:
    cosines = finder.cosines([subject for _, subject in window])
    for (row, subject), nearest in zip(window, cosines, strict=True):
        leak = finder.find(subject, nearest)
        trial.planted[kind] += 1
        if leak is not None:
            trial.found[kind] += 1
            trial.named[kind] += (leak.path, leak.line) == (row.path, row.line)
            trial.by.setdefault(kind, Counter())[leak.kind] += 1
    window.clear()
