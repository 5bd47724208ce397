"""Rows of tables that need no library: JSON Lines, a JSON list or object of rows, CSV and TSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from anectl.core.errors import AnectlError, RowError
from anectl.core.images import MAX_BYTES
from anectl.core.jsonl import parse_object, read_lines

MAX_JSON_BYTES = 4 << 30
"""A JSON list is held in memory as bytes; a larger one is refused."""
_DELIMITERS = {".tsv": "\t", ".csv": ","}
_NO_TEXT = frozenset({".xlsx", ".xls", ".parquet", ".arrow", ".pkl", ".zip"})
_MAX_FIELD = MAX_BYTES * 4 // 3 + 4  # the largest image, in base64


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; `number` counts the rows of its file from 1 (lines of JSON Lines), `key` is its name in a JSON object.

    `content` is the row itself, or its undecoded JSON, or what is wrong with it.
    """

    path: str
    number: int
    content: Mapping[str, Any] | bytes | str
    key: str | None = None

    def fields(self) -> Mapping[str, Any]:
        """The fields of the row; the key of a JSON object is its `id`. Raises RowError when it is no row."""
        if isinstance(self.content, str):
            raise RowError(self.content)
        found = parse_object(self.content) if isinstance(self.content, bytes) else self.content
        return found if self.key is None or "id" in found else {"id": self.key, **found}


def read_plain(path: str) -> Iterator[TableRow]:
    """The rows of a file of text by its ending: CSV, TSV, JSON; all else, and stdin for `-`, is JSON Lines.

    Raises AnectlError for the endings of tables that are no text.
    """
    kind = "" if path == "-" else os.path.splitext(path)[1].lower()
    if kind in _NO_TEXT:
        raise AnectlError(
            "is of no kind that can be read here", path=path, hint="save it as JSON Lines, JSON, TSV or CSV"
        )
    if kind in _DELIMITERS:
        return read_delimited(path, _DELIMITERS[kind])
    return read_json(path) if kind == ".json" else read_json_lines(path)


def read_json_lines(path: str) -> Iterator[TableRow]:
    """The rows of a JSON Lines file, or of stdin for `-`."""
    for line in read_lines(path):
        yield TableRow(line.path, line.number, line.data)


def read_json(path: str) -> Iterator[TableRow]:
    """The rows of a JSON list, or of an object whose values are rows. The file is held in memory, its rows are not.

    Many sets call JSON Lines `.json`; those are read as what they are. Raises AnectlError when it is none of these,
    or larger than MAX_JSON_BYTES.
    """
    if _has_a_row_a_line(path):
        yield from read_json_lines(path)
        return
    try:
        if os.path.getsize(path) > MAX_JSON_BYTES:
            raise AnectlError(
                f"a JSON list of over {MAX_JSON_BYTES >> 30} GiB", path=path, hint="write it as JSON Lines"
            )
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=path) from None
    try:
        rows = msgspec.json.decode(data, type=list[msgspec.Raw] | dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnectlError(f"not a JSON list of rows: {error}", path=path) from None
    pairs = rows.items() if isinstance(rows, dict) else ((None, row) for row in rows)
    for number, (key, row) in enumerate(pairs, 1):
        yield TableRow(path, number, bytes(row), key)


def _has_a_row_a_line(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            lines = (line for line in file if not line.isspace())
            first, second = next(lines, b""), next(lines, b"")
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=path) from None
    return first.startswith(b"{") and first.rstrip().endswith(b"}") and second.startswith(b"{")


def read_delimited(path: str, delimiter: str) -> Iterator[TableRow]:
    """The rows of a CSV or TSV file with a header, every field as text. Raises AnectlError for what is none."""
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from _delimited(path, csv.reader(file, delimiter=delimiter, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise AnectlError(f"not a {'TSV' if delimiter == chr(9) else 'CSV'} file: {error}", path=path) from None
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=path) from None
    finally:
        csv.field_size_limit(before)


def _delimited(path: str, rows: Iterator[list[str]]) -> Iterator[TableRow]:
    header = next(rows, None)
    if not header:
        raise AnectlError("no rows in it", path=path)
    for number, values in enumerate((row for row in rows if row), 1):
        if len(values) == len(header):
            yield TableRow(path, number, dict(zip(header, values, strict=True)))
        else:
            yield TableRow(path, number, f"the row has {len(values)} fields, the header {len(header)}")
