"""JSON Lines in and out: lines with their place, records with their unknown fields kept."""

from __future__ import annotations

import difflib
import functools
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from anectl.core.errors import AnectlError, RowError
from anectl.core.records import EXTRA, RECORDS, Record

R = TypeVar("R", bound=Record)
STDIN = "<stdin>"
# How JSON begins that is written out over many lines.
_OPENINGS = (b"{", b"[", b"[{")
_BOM = b"\xef\xbb\xbf"
# Rows are longer than Python's 8 KiB default, which would make it join several reads for each of them.
_BUFFER_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an input; `number` counts from 1, `offset` is where `data` begins in its file, in bytes."""

    path: str
    number: int
    data: bytes
    offset: int = 0


class _Shape(NamedTuple):
    known: frozenset[str]
    nested: dict[str, _Shape]


@functools.cache
def _shape(kind: type[Record]) -> _Shape:
    nested = {}
    for field in msgspec.structs.fields(kind):
        inner = _record_in(field.type)
        if inner is not None:
            nested[field.encode_name] = _shape(inner)
    return _Shape(frozenset(f.encode_name for f in msgspec.structs.fields(kind)) - {EXTRA}, nested)


def _record_in(annotation: Any) -> type[Record] | None:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _record_in(argument)
        if found is not None:
            return found
    return None


def _fold(value: Any, shape: _Shape) -> None:
    """Move the unknown fields of a parsed object, and of the records inside it, under EXTRA."""
    if isinstance(value, list):
        for item in value:
            _fold(item, shape)
    elif isinstance(value, dict):
        unknown = value.keys() - shape.known
        if unknown:
            value[EXTRA] = {name: value.pop(name) for name in list(value) if name in unknown}
        for name, inner in shape.nested.items():
            if name in value:
                _fold(value[name], inner)


def _unfold(value: Any, shape: _Shape) -> Any:
    if isinstance(value, (list, tuple)):
        return [_unfold(item, shape) for item in value]
    if not isinstance(value, dict):
        return value
    extra = value.pop(EXTRA, {})
    for name, inner in shape.nested.items():
        if value.get(name) is not None:
            value[name] = _unfold(value[name], inner)
    return {**value, **extra}


def parse_object(data: bytes) -> dict[str, Any]:
    """One line as a JSON object.

    Raises RowError: the line is torn, is no JSON (NaN and Infinity are none), or is no object.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if data.strip() in _OPENINGS:
            raise RowError(
                "not JSON Lines: the object goes on in the next line", hint="write one object a line"
            ) from None
        hint = "a torn line comes from an interrupted writer; rerun it with --resume"
        if data.lstrip()[:1] != b"{":
            hint = "a table, or rows of another tool? `anectl import` makes problems of them"
        raise RowError(f"not a JSON object: {error}", hint=hint) from None
    except RecursionError:
        raise RowError("not a JSON object: nested too deeply") from None
    if not isinstance(value, dict):
        raise RowError(f"expected a JSON object, found {type(value).__name__}")
    return value


def decode(data: bytes, kind: type[R]) -> R:
    """One line as a record of `kind` or of a record that extends it (a frontier row is a rollout).

    Raises RowError: bad JSON, a schema of another kind or of an unknown version, a missing field or a wrong type.
    """
    value = parse_object(data)
    actual = kind_of(value, kind)
    _fold(value, _shape(actual))
    try:
        return msgspec.convert(value, actual)
    except msgspec.ValidationError as error:
        raise RowError(str(error).replace("`$.", "`")) from None


def kind_of(value: dict[str, Any], kind: type[R]) -> type[R]:
    """The record type that the `schema` field of a parsed line names; `kind` where there is none."""
    expected = schema_tag(kind)
    tag = value.get("schema", expected)
    if tag == expected:
        return kind
    if not isinstance(tag, str):
        raise RowError(f"expected a schema name like {expected!r}, found {tag!r}")
    name = tag.partition("/")[0]
    found = RECORDS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, RECORDS, n=1)
        raise RowError(f"unknown schema {tag!r}", hint=f"did you mean {near[0]}/1?" if near else f"expected {expected}")
    if tag != schema_tag(found):
        raise RowError(
            f"unknown version {tag!r}: this anectl reads {schema_tag(found)}", hint="use the anectl that wrote it"
        )
    if not issubclass(found, kind):
        raise RowError(f"expected {expected}, found {tag}", hint=f"this command reads {expected} rows")
    return found


def schema_tag(kind: type[Record]) -> str:
    """The tag that rows of this record carry, such as `rollout/1`."""
    return cast(str, kind.__struct_defaults__[_default_index(kind)])


@functools.cache
def _default_index(kind: type[Record]) -> int:
    names = kind.__struct_fields__
    return names.index("schema") - (len(names) - len(kind.__struct_defaults__))


def encode(record: Record) -> bytes:
    """The record as one JSON line (with its newline), unknown fields where they were."""
    value = _unfold(msgspec.to_builtins(record), _shape(type(record)))
    return msgspec.json.encode(value) + b"\n"


def read_lines(path: str) -> Iterator[Line]:
    """The non-blank lines of a file, or of stdin for `-`.

    Raises AnectlError: no such file, a directory, unreadable, or a named file without any row.
    """
    if path == "-":
        yield from _lines(STDIN, cast("Iterable[bytes]", sys.stdin.buffer))
        return
    if os.path.isdir(path):
        raise AnectlError("is a directory, not a JSON Lines file", path=path)
    empty = True
    try:
        with open(path, "rb", buffering=_BUFFER_BYTES) as file:
            for line in _lines(path, file):
                empty = False
                yield line
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=path) from None
    if empty:
        raise AnectlError("no rows in it", path=path, hint="an earlier step wrote nothing: look at its summary")


def _lines(path: str, file: Iterable[bytes]) -> Iterator[Line]:
    offset = 0
    for number, data in enumerate(file, 1):
        if number == 1 and data.startswith(_BOM):
            data = data[len(_BOM) :]
            offset = len(_BOM)
        if data and not data.isspace():
            yield Line(path, number, data, offset)
        offset += len(data)


def read_records(path: str, kind: type[R]) -> Iterator[R]:
    """All records of a side input (replay, scores); a bad row is an error with its file and line."""
    for line in read_lines(path):
        try:
            yield decode(line.data, kind)
        except RowError as error:
            raise error.at(line.path, line.number) from None
