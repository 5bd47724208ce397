"""The frontier of a run: how the problems' pass rates lie, their zones, and what moved between series of rollouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, get_args

from anectl.core.metrics import Interval, wilson
from anectl.core.records import Zone
from anectl.core.report.figures import Axis, Block, Figure, Mark, category_axis, number_axis
from anectl.core.report.gathering import Series
from anectl.core.report.store import Store

ZONES: tuple[Zone, ...] = get_args(Zone)
WORST_FIRST: tuple[Zone, ...] = ("failing", "unsure", "learnable", "solved")
# Blocks of a map; every pair of counts has one, and adaptive sampling makes some hundreds of pairs.
_MOST_BLOCKS = 1500


class Tally(NamedTuple):
    """Problems that came out alike: `c` of `n` judged completions correct, and the interval of the pass rate."""

    n: int
    c: int
    zone: Zone
    low: float
    high: float
    problems: int

    @property
    def rate(self) -> float:
        """The empirical pass rate; 0 where nothing was judged."""
        return self.c / self.n if self.n else 0.0


class Movement(NamedTuple):
    """Problems that two series share, by their zones before and after; `shares` has the share solved of all draws."""

    before: Series
    after: Series
    counts: dict[tuple[Zone, Zone], int]
    rates: tuple[float, float]

    @property
    def problems(self) -> int:
        """How many problems both series hold."""
        return sum(self.counts.values())

    def shift(self, better: bool) -> int:
        """How many problems went to a better zone, or to a worse one; `unsure` is neither."""
        order = {zone: place for place, zone in enumerate(("failing", "learnable", "solved"))}
        found = 0
        for (old, new), count in self.counts.items():
            if old in order and new in order and order[old] != order[new]:
                found += count if (order[new] > order[old]) is better else 0
        return found


def tallies(store: Store, series: Series) -> list[Tally]:
    """The outcomes of a series, worst first."""
    query = (
        "SELECT n, c, zone, round(low, 4), round(high, 4), count(*) FROM measured WHERE series = ? "
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY CASE n WHEN 0 THEN 0 ELSE 1.0 * c / n END, 5"
    )
    return [Tally(*row) for row in store.database.execute(query, (series.number,))]


def zone_counts(found: Sequence[Tally]) -> Counter[Zone]:
    """Problems in each zone."""
    counts: Counter[Zone] = Counter()
    for tally in found:
        counts[tally.zone] += tally.problems
    return counts


def mean_rate(found: Sequence[Tally]) -> tuple[float, Interval]:
    """The mean pass rate over problems with a Wilson interval that takes problems, not draws, as the sample."""
    problems = sum(tally.problems for tally in found)
    total = sum(tally.rate * tally.problems for tally in found)
    return (total / problems if problems else 0.0), wilson(total, problems)


def movements(store: Store, series: Sequence[Series], *, between_runs: bool) -> Iterator[Movement]:
    """What moved from each series to the next that shares problems with it, or from the runs' first to each other."""
    pairs = list(pairwise(series))
    if between_runs:
        pairs = [(a, b) for a in series for b in series if (a.artifact.run, b.artifact.run) == (0, 1)]
    query = (
        "SELECT a.zone, b.zone, count(*), sum(CASE a.n WHEN 0 THEN 0 ELSE 1.0 * a.c / a.n END), "
        "sum(CASE b.n WHEN 0 THEN 0 ELSE 1.0 * b.c / b.n END) FROM measured a JOIN measured b "
        "ON a.id = b.id AND a.digest = b.digest WHERE a.series = ? AND b.series = ? GROUP BY 1, 2"
    )
    for before, after in pairs:
        rows = list(store.database.execute(query, (before.number, after.number)))
        problems = sum(row[2] for row in rows)
        if problems:
            rates = tuple(sum(row[place] for row in rows) / problems for place in (3, 4))
            counts = {(old, new): count for old, new, count, *_ in rows}
            yield Movement(before, after, counts, (rates[0], rates[1]))


def map_figure(series: Series, found: Sequence[Tally], number: int) -> Figure:
    """Every problem of a series from worst to best: its pass rate, with the 95% interval behind it."""
    total = sum(tally.problems for tally in found)
    marks: list[Mark] = []
    at = 0
    for tally in found[:_MOST_BLOCKS]:
        end = at + tally.problems
        many = f"{tally.problems} problem{'s' if tally.problems > 1 else ''}"
        label = f"{many}: {tally.c} of {tally.n} right, {tally.low:.2f} to {tally.high:.2f}, {tally.zone}"
        marks.append(Block(at, tally.low, end, tally.high, tally.zone, label, faint=True))
        marks.append(Block(at, tally.rate - 0.008, end, tally.rate + 0.008, tally.zone, label))
        at = end
    counts = zone_counts(found)
    summary = ", ".join(f"{counts[zone]} {zone}" for zone in WORST_FIRST)
    x = number_axis("problems, worst first", [0, total])
    return Figure(
        name=f"frontier-{number}",
        title=f"Pass rate, {series.label}",
        x=Axis(x.label, 0, max(total, 1), tuple(tick for tick in x.ticks if tick[0] <= total)),
        y=number_axis("", [], share=True),
        marks=tuple(marks),
        legend=tuple((f"{zone} {counts[zone]}", zone) for zone in WORST_FIRST),
        summary=summary,
        height=250,
    )


def zones_figure(each: Sequence[tuple[Series, Sequence[Tally]]]) -> Figure:
    """The share of each zone in every series."""
    marks: list[Mark] = []
    for place, (series, found) in enumerate(each):
        counts = zone_counts(found)
        total = max(sum(counts.values()), 1)
        at = 0.0
        for zone in WORST_FIRST:
            end = at + counts[zone] / total
            if counts[zone]:
                label = f"{series.label}: {counts[zone]} of {total} {zone}"
                marks.append(Block(at, place - 0.32, end, place + 0.32, zone, label))
            at = end
    return Figure(
        name="zones",
        title="Zones",
        x=number_axis("share of problems", [], share=True),
        y=category_axis("", [series.label for series, _ in each]),
        marks=tuple(marks),
        legend=tuple((zone, zone) for zone in WORST_FIRST),
        height=90 + 30 * len(each),
    )
