"""Parquet files written batch by batch, with the images in the rows where they are given as data URIs.

Such images become `{bytes, path}` structs of the `Image` type of `datasets`, so that verl, EasyR1 and TRL load
pictures. All rows must have the same fields: the first batch decides the types.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List

_BATCH_ROWS = 1000
_BATCH_BYTES = 64 * 1024 * 1024
_DATA = "data:"


class ParquetWriter:
    """Takes rows and hands the bytes of a parquet file on; memory holds one batch."""

    def __init__(self, write: Callable[[bytes], None], *, inline: bool) -> None:
        """`inline` says that the `images` of every row are data URIs, also of rows that have none."""
        self._sink = _Sink(write)
        self._inline = inline
        self._rows: list[dict[str, Any]] = []
        self._size = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Take one row; a full batch is written."""
        if self._inline:
            row = row | {"images": [_image(value) for value in row["images"]]}
            self._size += sum(len(image["bytes"]) for image in row["images"])
        self._rows.append(row)
        if len(self._rows) >= _BATCH_ROWS or self._size >= _BATCH_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left and the footer; without any row there is no schema, and the file stays empty."""
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, self._schema(), compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._writer.schema))
        self._rows, self._size = [], 0

    def _schema(self) -> pa.Schema:
        schema = pa.Table.from_pylist(self._rows).schema
        at = schema.get_field_index("images")
        if at < 0:
            return schema
        if not self._inline:
            shown = schema.field(at).type
            is_known = pa.types.is_list(shown) and not pa.types.is_null(shown.value_type)
            return schema if is_known else schema.set(at, pa.field("images", pa.list_(pa.string())))
        features = Features.from_arrow_schema(schema.set(at, pa.field("images", pa.list_(pa.string()))))
        features["images"] = List(Image())
        return features.arrow_schema


class _Sink:
    """The file that pyarrow sees; bytes only ever go to its end."""

    closed = False

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._position = 0

    def write(self, data: Any) -> int:
        block = bytes(data)
        self._write(block)
        self._position += len(block)
        return len(block)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _image(value: Any) -> dict[str, Any]:
    uri = value["image"] if isinstance(value, dict) else value
    return {"bytes": base64.b64decode(uri.partition(",")[2]), "path": None}
