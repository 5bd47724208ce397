"""Writing the records of an index: problems put in, put in place of others, and taken out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from anectl.core.errors import AnectlError
from anectl.core.jsonl import encode
from anectl.core.keys import digest
from anectl.core.store import StoredProblem, licence_of, provenance_of, read_row, rows_where, words

_TABLES = (
    """
CREATE TABLE records (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    image_key TEXT NOT NULL,
    answer_type TEXT NOT NULL,
    licence TEXT,
    provenance TEXT,
    is_verified INTEGER NOT NULL,
    tags TEXT NOT NULL,
    source TEXT NOT NULL,
    problem TEXT NOT NULL
) STRICT
""",
    # The text itself is in `problem`: this table holds the words only.
    "CREATE VIRTUAL TABLE words USING fts5(question, solution, skills, content='', tokenize='unicode61')",
)
_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Added: TypeAlias = Literal["new", "replaced", "changed", "same", "copy"]
"""What became of a problem that was put in: see `RecordWriter.put`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest says of the records: `rows` digests their content keys in order."""

    count: int
    rows: str
    licences: Mapping[str, int]
    num_unverified: int


class RecordWriter:
    """Writes a `records.sqlite` that no one reads yet; context manager. The file is of use only after `commit`."""

    def __init__(self, path: Path, next_row: int = 0) -> None:
        """A file that is there already is changed, with `next_row` as the first row number to be given."""
        self.next_row = next_row
        self.removed: list[int] = []
        self._path = path
        is_new = not path.exists()
        self._database = sqlite3.connect(path, isolation_level=None)
        # A torn file is thrown away with its folder, so the journal would only cost time.
        begin = ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-65536")
        for statement in (*begin, *(_TABLES if is_new else ()), "BEGIN"):
            self._execute(statement)

    def put(self, record: StoredProblem) -> Added:
        """Add a problem under the next row number.

        `replaced`: there was another of its id, which is gone. `changed`: the one of its id has the same question,
        answer and images, so that its row and vectors stay and the rest is written anew. `same`: nothing has changed.
        `copy`: the same content is there under another id, and it is left out.
        """
        before = self._execute("SELECT row, key FROM records WHERE id = ?", (record.problem.id,)).fetchone()
        if before is None or before[1] != record.key:
            if before is not None:
                self.remove([before[0]])
            if self._execute("SELECT 1 FROM records WHERE key = ?", (record.key,)).fetchone():
                return "copy"
            self._insert(self.next_row, record)
            self.next_row += 1
            return "new" if before is None else "replaced"
        if self._stored(before[0]) == record:
            return "same"
        self._erase(before[0])
        self._insert(before[0], record)
        return "changed"

    def remove(self, rows: Iterable[int]) -> None:
        """Take rows out; `removed` gathers their numbers."""
        for row in rows:
            self._erase(row)
            self.removed.append(row)

    def rows_of(self, ids: Sequence[str]) -> list[int]:
        """The rows of these ids. Raises AnectlError naming those that are not there."""
        found = [self._execute("SELECT row FROM records WHERE id = ?", (name,)).fetchone() for name in ids]
        missing = [name for name, row in zip(ids, found, strict=True) if row is None]
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise AnectlError(
                f"no such id: {', '.join(map(repr, missing[:5]))}{more}", path=str(self._path.parent.parent)
            )
        return [row[0] for row in found]

    def rows_where(self, condition: str) -> list[int]:
        """The rows that a condition is true of (`core/where.py`). Raises UsageError for a bad one."""
        return rows_where(self._database, condition)

    def facts(self) -> Facts:
        """Counts over all rows."""
        count, unverified = self._execute("SELECT count(*), sum(NOT is_verified) FROM records").fetchone()
        keys = self._execute("SELECT key FROM records ORDER BY row")
        licences = self._execute("SELECT coalesce(licence, ''), count(*) FROM records GROUP BY 1 ORDER BY 1")
        named = {name or "unknown": number for name, number in licences.fetchall()}
        return Facts(count, digest(bytes.fromhex(key) for (key,) in keys), named, unverified or 0)

    def _stored(self, row: int) -> StoredProblem:
        return read_row(self._database, row)

    def _insert(self, row: int, record: StoredProblem) -> None:
        problem = record.problem
        line = encode(problem).decode().rstrip("\n")
        self._execute(
            _INSERT,
            (
                row,
                problem.id,
                record.key,
                record.image_key,
                problem.answer_type,
                licence_of(problem),
                provenance_of(problem),
                int(record.is_verified),
                json.dumps(problem.tags, ensure_ascii=False),
                json.dumps(problem.source, ensure_ascii=False),
                line,
            ),
        )
        self._execute(
            "INSERT INTO words (rowid, question, solution, skills) VALUES (?, ?, ?, ?)", (row, *words(problem))
        )

    def _erase(self, row: int) -> None:
        # The words of a row are taken out of the full-text table by naming them.
        gone = words(self._stored(row).problem)
        statement = "INSERT INTO words (words, rowid, question, solution, skills) VALUES ('delete', ?, ?, ?, ?)"
        self._execute(statement, (row, *gone))
        self._execute("DELETE FROM records WHERE row = ?", (row,))

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise AnectlError(f"cannot write: {error}", path=str(self._path)) from None

    def commit(self) -> None:
        """Write everything out; the caller makes the file durable. The words are merged, so that searches are quick."""
        self._execute("INSERT INTO words (words) VALUES ('optimize')")
        self._execute("COMMIT")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
