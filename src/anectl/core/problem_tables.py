"""Problems in parquet files, as the lines that their JSON Lines file would have."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.jsonl import Line, read_lines
from anectl.core.table_rows import TableRow

_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp", b"RIFF": "webp"}


def problem_lines(path: str, read_parquet: Callable[[str], Iterator[TableRow]]) -> Iterator[Line]:
    """The rows of a file of problems, parquet by its ending `.parquet`, else JSON Lines.

    A field that is null in a table is one that the row does not have. Images that lie in the rows, as the datasets
    library keeps them, become data URIs. Raises AnectlError when the file cannot be read.
    """
    if not path.endswith(".parquet"):
        yield from read_lines(path)
        return
    is_empty = True
    for row in read_parquet(path):
        is_empty = False
        yield Line(path, row.number, _json(row))
    if is_empty:
        raise AnectlError("no rows in it", path=path)


def _json(row: TableRow) -> bytes:
    # What is wrong with a row is a JSON text, which is no object either, so that it is refused in its place.
    if not isinstance(row.content, Mapping):
        return msgspec.json.encode(row.content)
    fields = {name: value for name, value in row.content.items() if value is not None}
    if isinstance(fields.get("images"), list):
        fields["images"] = [_reference(image) for image in fields["images"]]
    return msgspec.json.encode(fields)


def _reference(image: Any) -> Any:
    """A data URI for `{"bytes", "path"}`, its path where there are no bytes; anything else as it is."""
    if not isinstance(image, dict):
        return image
    data = image.get("bytes")
    if not isinstance(data, bytes):
        return image.get("path")
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "png")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
