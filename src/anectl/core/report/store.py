"""What a report knows of each problem, on disk: where its rows stand, how often it was solved, how it was scored.

Memory does not grow with the rows; a row of 20 KB leaves about 200 bytes here, and is read again when it is shown.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from anectl.core.accuracy import Outcome
from anectl.core.records import Problem, Zone
from anectl.core.scratch import no_room, open_scratch

_TABLES = (
    "measured (id TEXT, digest BLOB, series INTEGER, n INTEGER, c INTEGER, nulls INTEGER, zone TEXT, low REAL, "
    "high REAL, confidence REAL, located INTEGER, PRIMARY KEY (id, digest, series)) WITHOUT ROWID",
    "outcomes (series INTEGER, profile TEXT, benchmark TEXT, id TEXT, digest BLOB, cluster TEXT, samples INTEGER, "
    "correct INTEGER, nulls INTEGER, truncated INTEGER, majority REAL, chance REAL, "
    "PRIMARY KEY (series, profile, benchmark, id)) WITHOUT ROWID",
)
_INDEXES = ("rows_by_id ON rows (id)", "outcomes_by_id ON outcomes (id, digest)")
_ADOPTIONS = (
    "UPDATE outcomes SET digest = (SELECT max(o.digest) FROM outcomes o WHERE o.id = outcomes.id "
    "AND o.benchmark = outcomes.benchmark) WHERE digest = x''",
    "UPDATE outcomes SET digest = coalesce((SELECT max(r.digest) FROM rows r WHERE r.id = outcomes.id "
    "AND r.kind IN ('rollout', 'problem')), digest) WHERE digest = x''",
)


class Place(NamedTuple):
    """Where a row stands: the number of its artifact, its line, and its bytes."""

    kind: str
    file: int
    line: int
    offset: int
    size: int


class Measured(NamedTuple):
    """How often a problem was solved in one series of rollouts, and what follows for its pass rate.

    `located` is whether locate-frontier said so; else the zone is that of the Jeffreys prior and the default borders.
    """

    n: int
    c: int
    nulls: int
    zone: Zone
    low: float
    high: float
    confidence: float
    located: bool


def digest_of(problem: Problem) -> bytes:
    """Tells problems of one id apart: two benchmarks may both begin to count at 1."""
    text = "\0".join((problem.question, problem.answer, *(problem.choices or ())))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class Store:
    """Context manager. An empty digest stands for a row that names its problem by id alone."""

    def __init__(self) -> None:
        self.database = open_scratch(
            "rows (id TEXT, digest BLOB, kind TEXT, file INTEGER, line INTEGER, offset INTEGER, size INTEGER)"
        )
        for table in _TABLES:
            self.database.execute(f"CREATE TABLE {table}")

    def add_row(self, identity: str, digest: bytes, place: Place) -> None:
        """Remember where a row of a problem stands. Raises AnectlError when the disk is full."""
        self._put("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", (identity, digest, *place))

    def add_measured(self, identity: str, digest: bytes, series: int, found: Measured) -> None:
        """Remember the pass rate in one series; what locate-frontier said stays, and more completions win."""
        self._put(
            "INSERT INTO measured VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = excluded.n, "
            "c = excluded.c, nulls = excluded.nulls, zone = excluded.zone, low = excluded.low, high = excluded.high, "
            "confidence = excluded.confidence, located = excluded.located "
            "WHERE (excluded.located, excluded.n) > (located, n)",
            (identity, digest, series, *found),
        )

    def add_outcome(self, series: int, profile: str, benchmark: str, identity: str, digest: bytes, of: Outcome) -> bool:
        """Remember a score; False when its problem has one in this series already."""
        cursor = self._put(
            "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (series, profile, benchmark, identity, digest, *of),
        )
        return cursor.rowcount == 1

    def _put(self, query: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self.database.execute(query, values)
        except sqlite3.OperationalError as error:
            raise no_room(error) from None

    def finish_reading(self) -> None:
        """Build the indexes; call it once between the last row and the first question."""
        for index in _INDEXES:
            self.database.execute(f"CREATE INDEX {index}")
        # A score may not carry its problem: it is the one of its id, and of its benchmark if there are several.
        for query in _ADOPTIONS:
            self._put(query, ())

    def outcomes(self, series: int, profile: str, benchmark: str) -> Iterator[tuple[str, Outcome]]:
        """The problem ids and outcomes of one benchmark in one series of scores."""
        query = (
            "SELECT id, cluster, samples, correct, nulls, truncated, majority, chance FROM outcomes "
            "WHERE series = ? AND profile = ? AND benchmark = ? ORDER BY id"
        )
        for identity, *values in self.database.execute(query, (series, profile, benchmark)):
            yield identity, Outcome(*values)

    def places(self, identity: str, digest: bytes, most: int) -> list[Place]:
        """Where the rows of a problem stand, in order of the files, `most` at most."""
        query = (
            "SELECT kind, file, line, offset, size FROM rows WHERE id = ? AND digest IN (?, x'') "
            "ORDER BY file, line LIMIT ?"
        )
        return [Place(*row) for row in self.database.execute(query, (identity, digest, most))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.database.close()
