"""Lines are read where they are, and bad ones say where they stand and what to do."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.errors import AnectlError, RowError
from anectl.core.jsonl import STDIN, decode, read_lines, read_records
from anectl.core.line_store import LineStore
from anectl.core.records import Frontier, Problem, Rollout

PROBLEM = b'{"id":"1","question":"?","answer":"3","answer_type":"number"}'


@given(st.lists(st.sampled_from([b"{}", b"", b"  ", b'{"a":1}\r', b'{"b":"\xc3\xa9"}'])), st.booleans(), st.booleans())
def test_lines_say_where_they_stand(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], bom: bool, end: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    content = (b"\xef\xbb\xbf" if bom else b"") + b"\n".join([*rows, b"{}"]) + (b"\n" if end else b"")
    path.write_bytes(content)
    lines = list(read_lines(str(path)))
    assert [line.data.strip() for line in lines] == [row.strip() for row in [*rows, b"{}"] if row.strip()]
    for line in lines:
        assert content[line.offset : line.offset + len(line.data)] == line.data
        assert content[: line.offset].count(b"\n") == line.number - 1


def test_unreadable_inputs_are_errors_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "blank.jsonl").write_bytes(b"\xef\xbb\xbf\n \n")
    for path, problem in [("none.jsonl", "No such file"), ("blank.jsonl", "no rows"), (".", "directory")]:
        with pytest.raises(AnectlError, match=problem):
            list(read_lines(str(tmp_path / path)))


def test_empty_stdin_is_an_empty_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert list(read_lines("-")) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (PROBLEM[:-9], "not a JSON object"),
        (PROBLEM.replace(b"3", b"\xff"), "not a JSON object"),
        (b'{"id": NaN}', "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b"[1]", "expected a JSON object, found list"),
        (PROBLEM.replace(b'"3"', b"3"), "Expected `str`, got `int` - at `answer`"),
        (PROBLEM.replace(b'"id"', b'"name"'), "missing required field `id`"),
        (PROBLEM.replace(b'"1"', b'""'), "length >= 1"),
        (PROBLEM.replace(b"number", b"maths"), "Invalid enum value 'maths'"),
        (b'{"schema":7}', "expected a schema name"),
        (b'{"schema":"problm/1"}', "unknown schema"),
        (b'{"schema":"problem/2"}', "unknown version 'problem/2'"),
        (b'{"schema":"score/1"}', "expected problem/1, found score/1"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: bytes, problem: str) -> None:
    with pytest.raises(RowError) as caught:
        decode(line, Problem)
    assert problem in str(caught.value)


def test_a_nested_fault_is_named_by_its_path() -> None:
    line = b'{"problem":' + PROBLEM + b',"policy":"p","sampling":{},"completions":[{"text":"x","finish_reason":"eos"}]}'
    with pytest.raises(RowError, match=r"completions\[0\].finish_reason|completions\[\.\.\.\]\.finish_reason"):
        decode(line, Rollout)


def test_a_record_is_read_as_the_one_it_extends_but_not_the_other_way() -> None:
    golden = Path(__file__).parent / "golden"
    assert isinstance(decode((golden / "frontier-1.jsonl").read_bytes(), Rollout), Frontier)
    with pytest.raises(RowError, match="expected frontier/1, found rollout/1"):
        decode((golden / "rollout-1.jsonl").read_bytes(), Frontier)


def test_a_bad_record_of_a_side_input_names_its_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_bytes(PROBLEM + b"\n\n{}\n")
    with pytest.raises(RowError, match=r"truth\.jsonl:3: "):
        list(read_records(str(path), Problem))


def test_stored_lines_can_be_read_again_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_bytes(b"\xef\xbb\xbf{1}\n\n{22}")
    second.write_bytes(b"{333}\n" * 5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf{x}\n{yy}")))
    with LineStore() as store:
        lines = [line for path in (str(first), "-", str(second), str(first)) for line in read_lines(path)]
        numbers = [store.add(line) for line in lines]
        for number, line in reversed(list(zip(numbers, lines, strict=True))):
            assert store.read(number) == line.data
            assert store.place(number) == f"{line.path}:{line.number}"
    assert {line.path for line in lines} == {str(first), str(second), STDIN}


def test_stored_lines_of_a_named_pipe_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"{1}\n{2}\n",))
    writer.start()
    with LineStore() as store:
        numbers = [store.add(line) for line in read_lines(str(path))]
        writer.join()
        assert [store.read(number) for number in numbers] == [b"{1}\n", b"{2}\n"]


def test_a_file_that_shrinks_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{1}\n{2}\n")
    with LineStore() as store:
        numbers = [store.add(line) for line in read_lines(str(path))]
        os.truncate(path, 5)
        assert store.read(numbers[0]) == b"{1}\n"
        with pytest.raises(AnectlError, match="changed while it was read"):
            store.read(numbers[1])
