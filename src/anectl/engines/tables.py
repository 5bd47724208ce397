"""Rows of parquet and Arrow files by pyarrow, a few at a time, whatever the size of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anectl.core.errors import AnectlError
from anectl.core.table_rows import TableRow

# Rows hold images: a batch of them is what lies in memory.
_BATCH_ROWS = 64
_BUFFER_BYTES = 1 << 20


def read_parquet(path: str) -> Iterator[TableRow]:
    """The rows of a parquet file, images as `{"bytes", "path"}`. Raises AnectlError when it cannot be read."""
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            yield from _rows(path, file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False))
    except (pa.ArrowException, OSError) as error:
        raise AnectlError(f"not a parquet file: {error}", path=path) from None


def read_arrow(path: str) -> Iterator[TableRow]:
    """The rows of an Arrow stream, as the datasets library saves them. Raises AnectlError when it cannot be read."""
    try:
        with pa.memory_map(path) as source, pa.ipc.open_stream(source) as stream:
            batches = (piece for batch in stream for piece in _pieces(batch))
            yield from _rows(path, batches)
    except (pa.ArrowException, OSError) as error:
        raise AnectlError(f"not an Arrow stream: {error}", path=path) from None


def _pieces(batch: Any) -> Iterator[Any]:
    for start in range(0, batch.num_rows, _BATCH_ROWS):
        yield batch.slice(start, _BATCH_ROWS)


def _rows(path: str, batches: Iterator[Any]) -> Iterator[TableRow]:
    number = 0
    for batch in batches:
        for content in _contents(batch):
            number += 1
            yield TableRow(path, number, content)


def _contents(batch: Any) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        # Only the row that holds such text is lost.
        for start in range(batch.num_rows):
            try:
                yield from batch.slice(start, 1).to_pylist()
            except UnicodeDecodeError:
                yield "the row has text that is not UTF-8"
