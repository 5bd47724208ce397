"""The figures of an evaluation as a table: columns and rows of text, percentages."""

from __future__ import annotations

from collections.abc import Sequence

from anectl.core.accuracy import Accuracy
from anectl.core.metrics import Interval

Table = tuple[list[str], list[list[str]]]


def score_table(accuracies: Sequence[Accuracy]) -> Table:
    """One row per benchmark. Columns that would be empty in every row are left out."""
    ks = sorted({k for accuracy in accuracies for k in accuracy.pass_at})
    columns = [
        ("benchmark", [one.benchmark for one in accuracies]),
        ("problems", [str(one.num_problems) for one in accuracies]),
        ("accuracy", [_percent(one.accuracy) for one in accuracies]),
        ("Wilson 95%", [_range(one.wilson) for one in accuracies]),
        ("clustered 95%", [_range(one.clustered) for one in accuracies]),
        *((f"pass@{k}", [_percent(one.pass_at.get(k)) for one in accuracies]) for k in ks),
        *((f"pass^{k}", [_percent(one.pass_all.get(k)) for one in accuracies]) for k in ks),
        ("maj@k", [_percent(one.majority) for one in accuracies]),
        ("null", [_percent(one.null_rate) for one in accuracies]),
        ("expected", [_percent(one.expected) for one in accuracies]),
        ("at most", [_percent(one.upper_bound if one.null_rate else None) for one in accuracies]),
        ("truncated", [_percent(one.truncation_rate) for one in accuracies]),
    ]
    shown = [(name, cells) for name, cells in columns if any(cells)]
    return [name for name, _ in shown], [list(row) for row in zip(*(cells for _, cells in shown), strict=True)]


def group_table(accuracies: Sequence[Accuracy]) -> Table | None:
    """The figures that a benchmark has of its own; null where there are none."""
    rows = [
        [accuracy.benchmark, name, _percent(value)]
        for accuracy in accuracies
        for name, value in accuracy.groups.items()
    ]
    return (["benchmark", "figure", "value"], rows) if rows else None


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _range(interval: Interval | None) -> str:
    return "" if interval is None else f"{_percent(interval[0])} to {_percent(interval[1])}"
