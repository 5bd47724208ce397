"""Every record survives reading and writing, with fields this version does not know; old lines stay readable."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anectl.core.errors import RowError
from anectl.core.jsonl import decode, encode, schema_tag
from anectl.core.records import EXTRA, RECORDS, Problem, Record

GOLDEN = Path(__file__).parent / "golden"
UNKNOWN = st.dictionaries(
    st.sampled_from([EXTRA, "remark", "extra", "p99", ""]),
    st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4), st.lists, max_leaves=3),
    max_size=2,
)


def rows_of(kind: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects of a record, with unknown fields at every level and optional fields left out at times."""
    required, optional = {}, {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name != EXTRA:
            (required if field.required else optional)[field.encode_name] = values_of(field.type)
    known = st.fixed_dictionaries(required, optional=optional)
    if kind is Problem:
        known = known.map(_answerable)
    return st.builds(lambda row, unknown: {**unknown, **row}, known, UNKNOWN)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """JSON values that a field of this type takes."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        bounds = arguments[1]
        if arguments[0] is str:
            return st.text(min_size=bounds.min_length, max_size=6)
        lowest = bounds.ge if bounds.ge is not None else 1e-3
        if arguments[0] is int:
            return st.integers(int(lowest), int(bounds.le or 99))
        return st.floats(lowest, bounds.le or 9.0)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple:
        size = {} if arguments[-1] is Ellipsis else {"min_size": len(arguments), "max_size": len(arguments)}
        return st.lists(values_of(arguments[0]), **{"max_size": 2, **size})
    if origin is dict:
        return st.dictionaries(st.text(max_size=3), values_of(arguments[1]), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return rows_of(annotation)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=6),
        int: st.integers(-99, 99),
        float: st.floats(-1e9, 1e9),
        bool: st.booleans(),
        type(None): st.none(),
        Any: st.integers(-9, 9) | st.text(max_size=4),
    }
    return simple[annotation]


def _answerable(row: dict[str, Any]) -> dict[str, Any]:
    if row["answer_type"] not in ("choice", "choices"):
        return row
    return {**row, "choices": ["red", "blue"], "answer": "B"}


def assert_kept(before: Any, after: Any) -> None:
    """Whatever stood in a row stands in it still; what was left out may have got its default."""
    if isinstance(before, dict):
        for name, value in before.items():
            assert_kept(value, after[name])
    elif isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            assert_kept(one, other)
    else:
        assert before == after


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_row_keeps_every_field_through_reading_and_writing(name: str, data: st.DataObject) -> None:
    row = data.draw(rows_of(RECORDS[name]))
    record = decode(json.dumps(row).encode(), RECORDS[name])
    line = encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert_kept(row, json.loads(line))
    assert encode(decode(line, RECORDS[name])) == line


@pytest.mark.parametrize("name", RECORDS)
def test_an_unknown_version_is_refused(name: str) -> None:
    line = json.dumps({**golden(name), "schema": f"{name}/99"}).encode()
    with pytest.raises(RowError, match=f"unknown version '{name}/99'"):
        decode(line, RECORDS[name])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_lines_of_every_version_stay_readable(path: Path) -> None:
    name, _, version = path.stem.rpartition("-")
    row = json.loads(path.read_bytes())
    assert row["schema"] == f"{name}/{version}"
    record = decode(path.read_bytes(), RECORDS[name])
    if row["schema"] == schema_tag(RECORDS[name]):
        assert_kept(row, json.loads(encode(record)))


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_has_a_golden_line_of_its_version(name: str) -> None:
    kind = RECORDS[name]
    known = {field.encode_name for field in msgspec.structs.fields(kind)} - {EXTRA}
    assert schema_tag(kind).partition("/")[0] == name
    # Fields added later have defaults, and golden lines stay as they are.
    assert golden(name).keys() <= known


@pytest.mark.parametrize("name", RECORDS)
def test_the_schema_tag_comes_first(name: str) -> None:
    assert encode(decode(json.dumps(golden(name)).encode(), RECORDS[name])).startswith(b'{"schema":"' + name.encode())


@pytest.mark.parametrize(
    ("answer_type", "choices", "answer"),
    [("choice", None, "A"), ("choice", [], "A"), ("choice", ["x", "y"], "C"), ("choice", ["x", "y"], "A,B")],
)
def test_a_choice_must_be_among_the_choices(answer_type: str, choices: list[str] | None, answer: str) -> None:
    row = {"id": "1", "question": "?", "answer": answer, "answer_type": answer_type, "choices": choices}
    with pytest.raises(RowError, match="choices"):
        decode(json.dumps(row).encode(), Problem)


def golden(name: str) -> dict[str, Any]:
    """The golden line of a record's present version."""
    path = GOLDEN / f"{schema_tag(RECORDS[name]).replace('/', '-')}.jsonl"
    row = json.loads(path.read_bytes())
    assert isinstance(row, dict)
    return row
