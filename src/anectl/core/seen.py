"""Keys that may come once only, in memory that does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from anectl.core.scratch import no_room, open_scratch


class Seen:
    """Context manager: a set of keys on disk, each with the place where it stood first."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._database = open_scratch("seen (key TEXT PRIMARY KEY, path INTEGER, line INTEGER) WITHOUT ROWID")
        # One cursor for all rows: a new one for each would cost as much as the search.
        self._cursor = self._database.cursor()

    def add(self, key: Hashable, path: str, line: int) -> str | None:
        """Remember a key; `file:line` of its first place if it is there already. Keys are equal if their repr is.

        Raises AnectlError when the disk is full.
        """
        if not self._paths or self._paths[-1] != path:
            self._paths.append(path)
        name = repr(key)
        try:
            self._cursor.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (name, len(self._paths) - 1, line))
        except sqlite3.OperationalError as error:
            raise no_room(error) from None
        if self._cursor.rowcount:
            return None
        first = self._database.execute("SELECT path, line FROM seen WHERE key = ?", (name,)).fetchone()
        return f"{self._paths[first[0]]}:{first[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
