"""The records of an index in SQLite: one row per ground-truth problem, in the order of the vectors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from anectl.core.errors import AnectlError
from anectl.core.jsonl import decode, encode
from anectl.core.records import Problem

REBUILD = "the index is damaged: build it again with anectl build-index"
_TABLE = """
CREATE TABLE records (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    image_key TEXT NOT NULL,
    problem TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class StoredProblem:
    """A problem with its content key and the key of its images alone (`core/keys.py`)."""

    problem: Problem
    key: str
    image_key: str


class RecordWriter:
    """Writes a new `records.sqlite`; context manager. The file is of use only after `commit`."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        # A torn file is thrown away with its folder, so the journal would only cost time.
        for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", _TABLE, "BEGIN"):
            self._database.execute(statement)

    def add(self, record: StoredProblem) -> bool:
        """Add a problem under the next row number; False when one of the same content is there already."""
        line = encode(record.problem).decode().rstrip("\n")
        cursor = self._execute(
            "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)",
            (self.count, record.problem.id, record.key, record.image_key, line),
        )
        self.count += cursor.rowcount
        return cursor.rowcount == 1

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise AnectlError(f"cannot write: {error}", path=str(self._path)) from None

    def commit(self) -> None:
        """Make the file whole on disk."""
        self._execute("COMMIT")
        self._database.close()
        with open(self._path, "rb") as file:
            os.fsync(file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()


class RecordReader:
    """Reads a `records.sqlite` that no one changes any more."""

    def __init__(self, path: Path, count: int) -> None:
        """Raises AnectlError: not a database of records, or not of `count` rows."""
        self._path = path
        # Quoted, because an index folder may be called `what?`.
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        with self._readable():
            found = self._database.execute("SELECT count(*), max(row) FROM records").fetchone()
        if found != (count, count - 1 if count else None):
            raise AnectlError(f"holds {found[0]} records where the manifest says {count}", path=str(path))

    def get(self, rows: Iterable[int]) -> list[StoredProblem]:
        """The problems with these row numbers, in the order asked for."""
        with self._readable():
            return [self._get(row) for row in rows]

    def _get(self, row: int) -> StoredProblem:
        query = "SELECT problem, key, image_key FROM records WHERE row = ?"
        problem, key, image_key = self._database.execute(query, (row,)).fetchone()
        return StoredProblem(decode(problem.encode(), Problem), key, image_key)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise AnectlError(f"not a readable index: {error}", path=str(self._path), hint=REBUILD) from None
