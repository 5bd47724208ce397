"""Completions that were drawn elsewhere or before, found by the id of their problem, in memory that does not grow.

Rows are kept in an anonymous database on disk (in TMPDIR) which goes when the store is closed or the program ends.
"""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Self

import msgspec

from anectl.core.errors import RowError
from anectl.core.prediction_rows import ID_FIELDS, TEXT_FIELDS, Prediction, prediction_of
from anectl.core.records import Completion, Problem
from anectl.core.scratch import no_room, open_scratch
from anectl.core.table_rows import TableRow, read_plain


class PredictionStore:
    """Context manager: `add` the rows of files, then `find` them by benchmark and problem."""

    def __init__(self, *, id_field: str | None = None, text_field: str | None = None) -> None:
        self.num_rows = 0
        self._id_field = id_field
        self._ids = (id_field,) if id_field else ID_FIELDS
        self._texts = (text_field,) if text_field else TEXT_FIELDS
        self._database = open_scratch(
            "predictions (benchmark TEXT, id TEXT, place TEXT, data BLOB, used INTEGER DEFAULT 0, "
            "PRIMARY KEY (benchmark, id)) WITHOUT ROWID"
        )
        # An id that several rows have names none of them.
        self._database.execute("CREATE TABLE own_ids (field TEXT, value TEXT, id TEXT, PRIMARY KEY (field, value))")

    def read(self, path: str) -> None:
        """Add all rows of a JSON Lines, JSON, TSV or CSV file.

        Raises AnectlError with file and line for a bad row, or for a second one of a problem.
        """
        for row in read_plain(path):
            try:
                self.add(prediction_of(_as_json(row), self._ids, self._texts), f"{row.path}:{row.number}")
            except RowError as error:
                raise error.at(row.path, row.number) from None

    def add(self, prediction: Prediction, place: str) -> None:
        """Add one; the same completions under another scoring profile are passed over. Raises RowError for others."""
        key = prediction.benchmark, prediction.problem_id
        data = msgspec.json.encode(prediction._replace(completions=tuple(map(_bare, prediction.completions)), named={}))
        try:
            self._database.execute(
                "INSERT INTO predictions (benchmark, id, place, data) VALUES (?, ?, ?, ?)", (*key, place, data)
            )
            self._database.executemany(
                "INSERT INTO own_ids VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET id = NULL",
                [(field, value, prediction.problem_id) for field, value in prediction.named.items()],
            )
        except sqlite3.IntegrityError:
            query = "SELECT place, data FROM predictions WHERE benchmark = ? AND id = ?"
            first, known = self._database.execute(query, key).fetchone()
            if known != data:
                raise RowError(f"problem {prediction.problem_id!r} has other completions at {first}") from None
            return
        except sqlite3.OperationalError as error:
            raise no_room(error) from None
        self.num_rows += 1

    def find(self, benchmark: str, problem: Problem) -> Prediction:
        """The completions of a problem: by its id, or by the id that its set gave it; `benchmark` is its file's stem.

        A row that names no benchmark serves any. Raises RowError when there are none.
        """
        for name, key in ((benchmark, problem.id), ("", problem.id), ("", self._key_of_own_id(problem))):
            query = "SELECT data FROM predictions WHERE benchmark = ? AND id = ?"
            found = self._database.execute(query, (name, key)).fetchone()
            if found is not None:
                mark = "UPDATE predictions SET used = 1 WHERE benchmark = ? AND id = ?"
                self._database.execute(mark, (name, key))
                return msgspec.json.decode(found[0], type=Prediction)
        raise RowError(f"no prediction for problem {problem.id!r} of benchmark {benchmark!r}", hint=self._hint(problem))

    def _key_of_own_id(self, problem: Problem) -> str | None:
        """The id of the prediction that names the problem as its set does (`pid` 7 for `mathvista-7`).

        Only a field that made the problem's id counts: a row number must not be taken for it.
        """
        own, fields = _own_id(problem), problem.source.get("fields")
        if own is None or not isinstance(fields, dict):
            return None
        for name in self._ids:
            if name == self._id_field or str(fields.get(name)) == own:
                query = "SELECT id FROM own_ids WHERE field = ? AND value = ?"
                found = self._database.execute(query, (name, own)).fetchone()
                if found is not None:
                    return found[0] if found[0] is None else str(found[0])
        return None

    def _hint(self, problem: Problem) -> str:
        first = self._database.execute("SELECT benchmark, id FROM predictions LIMIT 1").fetchone()
        if first is None:
            return "the predictions are empty"
        of = f" of benchmark {first[0]!r}" if first[0] else ""
        own = _own_id(problem)
        wanted = f"{problem.id!r}" + (f" or the set's own {own!r}" if own else "")
        return f"predictions have ids such as {first[1]!r}{of}; --id-field names the field that holds {wanted}"

    def num_unused(self) -> int:
        """How many predictions no problem asked for."""
        return int(self._database.execute("SELECT COUNT(*) FROM predictions WHERE used = 0").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()


def _own_id(problem: Problem) -> str | None:
    """The id behind the name of the set that the problem was imported from; None for a problem from elsewhere."""
    name = problem.source.get("benchmark")
    own = problem.id.removeprefix(f"{name}-") if isinstance(name, str) else problem.id
    return None if own == problem.id else own


def _as_json(row: TableRow) -> bytes:
    if isinstance(row.content, bytes) and row.key is None:
        return row.content
    return msgspec.json.encode(row.fields())


def _bare(completion: Completion) -> Completion:
    """Without any grade: only what was drawn counts."""
    return msgspec.structs.replace(completion, extracted=None, correct=None, reason="", chance=None, judge=None)
