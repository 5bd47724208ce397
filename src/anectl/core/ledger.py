"""Scores of any number of problems, gathered row by row: what they say of each benchmark under each profile."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from anectl.core.accuracy import Accuracy, Counts, Outcome, mean_accuracy
from anectl.core.errors import RowError, UsageError
from anectl.core.metrics import ClusterType
from anectl.core.profiles import GroupMetric, load_profile
from anectl.core.records import Problem, Score
from anectl.core.scratch import no_room, open_scratch

_BATCH = 1000


@dataclass
class _Benchmark:
    """The running figures of one benchmark under one profile; `number` is its key in the database."""

    number: int
    group: GroupMetric | None
    counts: Counts = field(default_factory=Counts)

    def group_results(self) -> Mapping[str, float]:
        return {} if self.group is None else self.group.results()


class Ledger:
    """Context manager: `add` scores, then read the `results`. Memory does not grow with the rows.

    The sum over each image's problems, of which there can be as many as problems, lies in a scratch database on disk.
    The figures over groups are as large as the benchmark's own GroupMetric.
    """

    def __init__(self) -> None:
        self._profiles: dict[str, dict[str, _Benchmark]] = {}
        self._num_benchmarks = 0
        self._waiting: list[tuple[int, str, float]] = []
        self._database = open_scratch(
            "clusters (benchmark INTEGER, cluster TEXT, total REAL, size INTEGER, PRIMARY KEY (benchmark, cluster)) "
            "WITHOUT ROWID"
        )

    def add(self, score: Score, problem: Problem | None = None) -> None:
        """Count one score; the figures over groups need its problem, given here or in the score.

        Raises RowError for a score without completions or of an unknown profile, AnectlError when the disk is full.
        """
        outcome = Outcome.of(score)
        benchmarks = self._profiles.setdefault(score.profile, {})
        if score.benchmark not in benchmarks:
            benchmarks[score.benchmark] = _Benchmark(self._num_benchmarks, _group_metric(score.profile))
            self._num_benchmarks += 1
        benchmark = benchmarks[score.benchmark]
        benchmark.counts.add(outcome)
        problem = problem or score.problem
        if problem is None:
            # Figures over a part of the groups would look like those over all.
            benchmark.group = None
        elif benchmark.group is not None:
            benchmark.group.add(problem, outcome.accuracy)
        self._waiting.append((benchmark.number, outcome.cluster, outcome.accuracy))
        if len(self._waiting) >= _BATCH:
            self._store()

    def results(self, *, seed: int) -> dict[str, list[Accuracy]]:
        """By profile: the accuracy on each benchmark in order of first sight, then their mean if there are several."""
        self._store()
        results = {}
        for profile, benchmarks in self._profiles.items():
            strata = [self._cluster_types(benchmark.number) for benchmark in benchmarks.values()]
            found = [
                benchmark.counts.accuracy(name, clusters, seed=seed, groups=benchmark.group_results())
                for (name, benchmark), clusters in zip(benchmarks.items(), strata, strict=True)
            ]
            results[profile] = [*found, mean_accuracy(found, strata, seed=seed)] if len(found) > 1 else found
        return results

    def _store(self) -> None:
        query = (
            "INSERT INTO clusters VALUES (?, ?, ?, 1) "
            "ON CONFLICT DO UPDATE SET total = total + excluded.total, size = size + 1"
        )
        try:
            self._database.executemany(query, self._waiting)
        except sqlite3.OperationalError as error:
            raise no_room(error) from None
        self._waiting.clear()

    def _cluster_types(self, number: int) -> dict[ClusterType, int]:
        rows = self._database.execute(
            "SELECT round(total, 12), size, count(*) FROM clusters WHERE benchmark = ? GROUP BY 1, 2", (number,)
        )
        return {ClusterType(total, size): count for total, size, count in rows}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()


def _group_metric(profile: str) -> GroupMetric | None:
    try:
        metrics = load_profile(profile).metrics
    except UsageError as error:
        raise RowError(error.problem, hint=error.hint) from None
    return None if metrics is None else metrics()
