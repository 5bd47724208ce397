"""The mean over all problems and over named groups of them, as most benchmarks print it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from anectl.core.profiles import official
from anectl.core.profiles.official_rows import Shares
from anectl.core.records import Problem


class GroupMeans:
    """A GroupMetric: `all`, and one figure per group. Keeps two numbers per group, whatever the number of problems."""

    def __init__(self, groups_of: Callable[[Problem], Iterable[str]]) -> None:
        self._groups_of = groups_of
        self._shares = Shares()

    def add(self, problem: Problem, share: float) -> None:
        """Count one problem in each of its groups; `share` of its completions is correct, 0..1."""
        for name in ("all", *self._groups_of(problem)):
            self._shares.add(name, share)

    def results(self) -> Mapping[str, float]:
        """The mean share of `all`, then of each group by name; empty before the first problem."""
        means = self._shares.means()
        return {name: means[name] for name in sorted(means, key=lambda name: (name != "all", name))}


def by_fields(*fields: str) -> Callable[[Problem], list[str]]:
    """Groups `FIELD/VALUE` of official fields, looked up in the row and then in its `metadata`.

    A field that holds a list puts the problem into one group per entry; a missing field into none.
    """

    def groups_of(problem: Problem) -> list[str]:
        row = official(problem)
        metadata = row.get("metadata")
        names = []
        for field in fields:
            value = row.get(field)
            if value is None and isinstance(metadata, Mapping):
                value = metadata.get(field)
            values = value if isinstance(value, list | tuple) else () if value is None else (value,)
            names += [f"{field}/{one}" for one in dict.fromkeys(map(str, values))]
        return names

    return groups_of
