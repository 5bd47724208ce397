"""The records of an index in SQLite: one row per ground-truth problem, with its words for BM25.

A row keeps its number for as long as it lives, and no later row is given that number again; the vectors of every
signal name their rows by it.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anectl.core import where as conditions
from anectl.core.errors import AnectlError, UsageError
from anectl.core.jsonl import decode
from anectl.core.prompts import user_text
from anectl.core.records import Problem

REBUILD = "the index is damaged: build it again with anectl build-index"
COLUMNS = ("question", "solution", "skills")
_MAX_WORDS = 200
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class StoredProblem:
    """A problem with its content key and the key of its images alone (`core/keys.py`).

    `is_verified` says that its solution was seen to lead to its answer.
    """

    problem: Problem
    key: str
    image_key: str
    is_verified: bool = True


def words(problem: Problem) -> tuple[str, str, str]:
    """What full text finds a problem by: question and choices, solution and steps, tags."""
    solution = "\n".join([problem.solution or "", *(problem.steps or ())])
    return user_text(problem, ""), solution, "\n".join(problem.tags)


def licence_of(problem: Problem) -> str | None:
    """The licence that the source of a problem names, if any."""
    return _text_of(_named(problem.source, "licence", "license"))


def provenance_of(problem: Problem) -> str | None:
    """Where the source of a problem says that it comes from: its benchmark or dataset, else a URL."""
    return _text_of(_named(problem.source, "benchmark", "dataset", "data_source", "name", "url"))


def _named(source: Mapping[str, Any], *names: str) -> Any:
    """The first of these fields, in the source itself or among the published fields that an import keeps in it."""
    published = source.get("fields")
    places = [source, published] if isinstance(published, dict) else [source]
    return next((place[name] for place in places for name in names if place.get(name)), None)


def _text_of(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("name") or value.get("id")
    return value if isinstance(value, str) else None


def read_row(database: sqlite3.Connection, row: int) -> StoredProblem:
    """The problem of a row that is there."""
    query = "SELECT problem, key, image_key, is_verified FROM records WHERE row = ?"
    problem, key, image_key, is_verified = database.execute(query, (row,)).fetchone()
    return StoredProblem(decode(problem.encode(), Problem), key, image_key, bool(is_verified))


def rows_where(database: sqlite3.Connection, condition: str) -> list[int]:
    """The rows that a condition is true of, in order. Raises UsageError for a bad one."""
    parsed = conditions.parse(condition)
    query = f"SELECT row FROM records WHERE {parsed.sql} ORDER BY row"
    rows = [row for (row,) in database.execute(query, parsed.parameters)]
    if not rows and parsed.fields:
        _refuse_unknown_fields(database, parsed.fields)
    return rows


def _refuse_unknown_fields(database: sqlite3.Connection, fields: Collection[str]) -> None:
    known = [name for (name,) in database.execute("SELECT DISTINCT j.key FROM records, json_each(source) AS j")]
    for name in sorted(set(fields) - set(known)):
        near = difflib.get_close_matches(name, [*known, *conditions.COLUMNS], n=1)
        fields_are = "fields are " + ", ".join(sorted([*known, *conditions.COLUMNS])[:20])
        raise UsageError(f"no row has a field {name!r}", hint=f"did you mean {near[0]}?" if near else fields_are)


class RecordReader:
    """Reads a `records.sqlite` that no one changes any more."""

    def __init__(self, path: Path, count: int) -> None:
        """Raises AnectlError: not a database of records, or not of `count` rows."""
        self._path = path
        self._count = count
        self._among: Collection[int] | None = None
        self._frequencies: dict[str, int] = {}
        # Quoted, because an index folder may be called `what?`.
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        with self._readable():
            self._database.execute("PRAGMA temp_store=MEMORY")
            self._database.execute("CREATE TEMP TABLE among (row INTEGER PRIMARY KEY)")
            self._database.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, words, row)")
            (found,) = self._database.execute("SELECT count(*) FROM records").fetchone()
        if found != count:
            raise AnectlError(f"holds {found} records where the manifest says {count}", path=str(path), hint=REBUILD)

    def get(self, rows: Iterable[int]) -> list[StoredProblem]:
        """The problems with these row numbers, in the order asked for."""
        with self._readable():
            return [read_row(self._database, row) for row in rows]

    def rows(self, where: str | None = None) -> list[int]:
        """The row numbers in order, of those that a condition is true of (`core/where.py`).

        Raises UsageError for a condition that cannot be read, or asks about a field that no row has.
        """
        with self._readable():
            if where is not None:
                return rows_where(self._database, where)
            return [row for (row,) in self._database.execute("SELECT row FROM records ORDER BY row")]

    def match(
        self,
        query: str,
        num: int,
        columns: Sequence[str] = ("question", "solution"),
        among: Collection[int] | None = None,
    ) -> list[tuple[int, float]]:
        """At most `num` rows by BM25 (Robertson and Zaragoza 2009; k1 1.2, b 0.75), best first, higher is better.

        The query is plain words, never FTS syntax; any of them may match, in any of these columns, but words that more
        than half of the rows have are looked for only where there are no others. Of rows as good as each other the
        lower comes first. `among` limits the rows.
        """
        asked = list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))[:_MAX_WORDS]
        if not asked or num < 1:
            return []
        # Words of more than half of the rows weigh nothing by BM25, and cost more than all the others.
        asked = [word for word in asked if 2 * self._num_rows_with(word) <= self._count] or asked
        unknown = set(columns) - set(COLUMNS)
        if unknown or not columns:
            raise ValueError(f"no such column: {sorted(unknown)}")
        terms = " OR ".join(f'"{word}"' for word in asked)
        statement = "SELECT rowid, bm25(words) AS score FROM words WHERE words MATCH ?"
        if among is not None:
            self._limit(among)
            # The plus keeps SQLite from asking the full text for each of these rows in turn, which is 90 times slower.
            statement += " AND +rowid IN (SELECT row FROM temp.among)"
        with self._readable():
            found = self._database.execute(
                statement + " ORDER BY score, rowid LIMIT ?", (f"{{{' '.join(columns)}}} : ({terms})", num)
            )
            return [(row, -score) for row, score in found]

    def _num_rows_with(self, word: str) -> int:
        if word not in self._frequencies:
            with self._readable():
                found = self._database.execute("SELECT doc FROM temp.vocabulary WHERE term = ?", (word,)).fetchone()
            self._frequencies[word] = found[0] if found else 0
        return self._frequencies[word]

    def _limit(self, among: Collection[int]) -> None:
        """Put the rows into a table of this connection; asked again with the same collection it stays."""
        if among is self._among:
            return
        self._database.execute("DELETE FROM temp.among")
        self._database.executemany("INSERT OR IGNORE INTO temp.among VALUES (?)", ((row,) for row in among))
        self._among = among

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise AnectlError(f"not a readable index: {error}", path=str(self._path), hint=REBUILD) from None
