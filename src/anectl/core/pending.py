"""Problems that wait to be embedded, on disk: every signal reads them once more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import Self

import msgspec

from anectl.core.images import ImageRef
from anectl.core.protocols import EmbedItem
from anectl.core.records import Signal
from anectl.core.scratch import no_room, open_scratch
from anectl.core.views import shown

WINDOW = 512
"""Problems that are handed to an embedder at a time."""


class Pending:
    """Context manager: rows with what an embedder is shown of them, in the order in which they were put in."""

    def __init__(self) -> None:
        self._database = open_scratch("pending (row INTEGER PRIMARY KEY, text TEXT, images BLOB)")

    def add(self, row: int, item: EmbedItem) -> None:
        """Remember an item under a row above all before. Raises AnectlError when the disk is full."""
        images = msgspec.json.encode([(image.ref, image.location, image.root) for image in item.images])
        try:
            self._database.execute("INSERT INTO pending VALUES (?, ?, ?)", (row, item.text, images))
        except sqlite3.OperationalError as error:
            raise no_room(error) from None

    def count(self, signal: Signal) -> int:
        """How many of the rows have something to show for a signal."""
        condition = " WHERE length(images) > 2" if signal == "image" else ""
        return int(self._database.execute(f"SELECT count(*) FROM pending{condition}").fetchone()[0])

    def windows(self, signal: Signal) -> Iterator[tuple[list[int], list[EmbedItem]]]:
        """The rows that have something to show for a signal, WINDOW at a time, and what they show."""
        items = self._items(signal)
        while window := list(islice(items, WINDOW)):
            yield [row for row, _ in window], [item for _, item in window]

    def _items(self, signal: Signal) -> Iterator[tuple[int, EmbedItem]]:
        for row, text, images in self._database.execute("SELECT row, text, images FROM pending ORDER BY row"):
            item = shown(EmbedItem(text, tuple(ImageRef(*image) for image in msgspec.json.decode(images))), signal)
            if item is not None:
                yield row, item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
