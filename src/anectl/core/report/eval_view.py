"""The evaluation of a run: accuracy of every policy on every benchmark, and paired tests against a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from anectl.core.accuracy import MEAN, Accuracy
from anectl.core.errors import UsageError
from anectl.core.metrics import Interval
from anectl.core.paired import Pair, adjusted, compare_pairs
from anectl.core.records import Comparison
from anectl.core.report.figures import Axis, Dot, Figure, Mark, Segment, category_axis, number_axis, series_colour
from anectl.core.report.gathering import Series
from anectl.core.report.store import Store

_GAIN = 0.02


class Scored(NamedTuple):
    """The accuracies of one policy under one profile: a column of the table. `rows` is by benchmark."""

    series: Series
    profile: str
    rows: dict[str, Accuracy]


class Test(NamedTuple):
    """A paired comparison of a series with the baseline, and the problems that only one of the two has."""

    baseline: Series
    series: Series
    comparison: Comparison
    unpaired: int


def scored(series: Iterable[Series], *, seed: int) -> list[Scored]:
    """The columns, by profile and then in order of the run."""
    columns = []
    for one in series:
        if one.ledger is not None:
            for profile, rows in one.ledger.results(seed=seed).items():
                columns.append(Scored(one, profile, {row.benchmark: row for row in rows}))
    profiles = list(dict.fromkeys(column.profile for column in columns))
    return sorted(columns, key=lambda column: profiles.index(column.profile))


def interval_of(found: Accuracy) -> Interval:
    """The interval clustered by image; where all or none are right, which leaves it empty, the Wilson interval."""
    low, high = found.clustered
    return found.wilson if low == high and found.wilson is not None else (low, high)


def benchmarks_of(columns: Sequence[Scored]) -> list[str]:
    """All benchmarks, in order of first sight, the mean last."""
    names = dict.fromkeys(name for column in columns for name in column.rows if name != MEAN)
    return [*names, *([MEAN] if any(MEAN in column.rows for column in columns) else [])]


def series_named(series: Sequence[Series], wanted: str | None, *, option: str) -> Series | None:
    """The series that an option names, by label, policy or file; without a name the first on the bare prompt.

    Raises UsageError when no series has the name.
    """
    if wanted is None:
        bare = (one for one in series if one.level == 0)
        return next(bare, series[0] if series else None)
    for one in series:
        if wanted in (one.label, one.policy, one.artifact.shown, one.artifact.path):
            return one
    names = ", ".join(dict.fromkeys(one.label for one in series)) or "none"
    raise UsageError(f"{option} {wanted!r} is not among the scores", hint=f"policies: {names}")


def pairs_to_test(series: Sequence[Series], baseline: Series | None, *, two_runs: bool) -> list[tuple[Series, Series]]:
    """Baseline and series of each comparison: all with the baseline, or of two runs those of one name."""
    if not two_runs:
        return [] if baseline is None else [(baseline, one) for one in series if one is not baseline]
    first, second = ([one for one in series if one.artifact.run == run] for run in (0, 1))
    named = [(a, b) for b in second for a in first if a.level == b.level and a.artifact.shown == b.artifact.shown]
    return named or [(a, b) for a in first[-1:] for b in second[-1:]]


def tests(store: Store, pairs: Sequence[tuple[Series, Series]], *, seed: int) -> list[Test]:
    """The comparisons, with p-values adjusted over all of them (Holm).

    Only problems that both have are compared; how many are left out is said.
    """
    found = [test for a, b in pairs for test in _tests(store, a, b, seed)]
    rows = adjusted(test.comparison for test in found)
    return [test._replace(comparison=row) for test, row in zip(found, rows, strict=True)]


def _tests(store: Store, a: Series, b: Series, seed: int) -> Iterator[Test]:
    for profile, names in a.profiles.items():
        strata: dict[str, list[Pair]] = {}
        alone: dict[str, int] = {}
        for name in names:
            if name in b.profiles.get(profile, {}):
                others = dict(store.outcomes(b.number, profile, name))
                mine = list(store.outcomes(a.number, profile, name))
                shared = [Pair(identity, one, others[identity]) for identity, one in mine if identity in others]
                if shared:
                    strata[name] = shared
                    alone[name] = len(mine) + len(others) - 2 * len(shared)
        parts = [(name, {name: found}) for name, found in strata.items()]
        for name, part in [*parts, *([(MEAN, strata)] if len(strata) > 1 else [])]:
            row = compare_pairs(name, part, seed=seed, gain=_GAIN)
            row = msgspec.structs.replace(row, path_a=a.artifact.shown, path_b=b.artifact.shown, profile=profile)
            yield Test(a, b, row, sum(alone.values()) if name == MEAN else alone[name])


def accuracy_figure(columns: Sequence[Scored], profile: str) -> Figure:
    """Accuracy with its 95% interval, one row per benchmark and policy."""
    shown = [column for column in columns if column.profile == profile]
    names = benchmarks_of(shown)
    marks: list[Mark] = []
    for place, column in enumerate(shown):
        offset = (place - (len(shown) - 1) / 2) * 0.78 / max(len(shown), 1)
        colour = series_colour(place)
        for row, name in enumerate(names):
            found = column.rows.get(name)
            if found is not None:
                low, high = interval_of(found)
                label = f"{column.series.label}, {name}: {found.accuracy:.1%} ({low:.1%} to {high:.1%})"
                marks.append(Segment(low, row + offset, high, row + offset, colour, label))
                marks.append(Dot(found.accuracy, row + offset, colour, label))
    return Figure(
        name=f"accuracy-{profile}",
        title=f"Accuracy, profile {profile}",
        x=number_axis("95% intervals", [], share=True),
        y=category_axis("", names),
        marks=tuple(marks),
        legend=tuple((column.series.label, series_colour(place)) for place, column in enumerate(shown)),
        height=90 + len(names) * max(18, 7 * len(shown) + 8),
    )


def difference_figure(found: Sequence[Test], number: int) -> Figure:
    """The difference to the baseline with its 95% interval, per benchmark."""
    first = found[0]
    names = [test.comparison.benchmark for test in found]
    marks: list[Mark] = [Segment(0, -0.5, 0, len(names) - 0.5, "muted")]
    for place, test in enumerate(found):
        row = test.comparison
        colour = "muted" if row.low <= 0 <= row.high else "solved" if row.difference > 0 else "failing"
        label = f"{row.benchmark}: {row.difference:+.1%} ({row.low:+.1%} to {row.high:+.1%})"
        marks.append(Segment(row.low, place, row.high, place, colour, label))
        marks.append(Dot(row.difference, place, colour, label))
    ends = [value for test in found for value in (test.comparison.low, test.comparison.high)]
    points = number_axis("difference in percentage points", [100 * value for value in (*ends, 0.0)])
    x = Axis(points.label, points.low / 100, points.high / 100, tuple((at / 100, text) for at, text in points.ticks))
    return Figure(
        name=f"difference-{number}",
        title=f"{first.series.label} less {first.baseline.label}",
        x=x,
        y=category_axis("", names),
        marks=tuple(marks),
        legend=(("better", "solved"), ("worse", "failing"), ("neither is sure", "muted")),
        height=100 + 20 * len(names),
    )
