"""A private database on disk for what must not lie in memory. It goes when it is closed or the program ends."""

from __future__ import annotations

import sqlite3

from anectl.core.errors import AnectlError

_CACHE_KB = 1024


def open_scratch(table: str) -> sqlite3.Connection:
    """An empty database with this table, in one open transaction that is never committed.

    SQLite keeps a megabyte in memory and the rest in an unlinked file (in SQLITE_TMPDIR or TMPDIR). Nothing is
    to be recovered after a crash, so there is neither a journal nor any waiting for the disk.
    """
    # A generator that holds one may be closed by the garbage collector on another thread.
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{_CACHE_KB}"):
        database.execute(f"PRAGMA {setting}")
    database.execute(f"CREATE TABLE {table}")
    database.execute("BEGIN")
    return database


def no_room(error: sqlite3.OperationalError) -> AnectlError:
    """What to tell the user when a scratch database cannot grow."""
    return AnectlError(f"no room for temporary data: {error}", hint="TMPDIR says where it goes")
