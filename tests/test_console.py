"""stderr: texts from data do nothing but show, progress says how far it is, JSON lines are JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from anectl import console
from anectl.cli import COMMANDS, app
from anectl.core.errors import AnectlError
from anectl.core.pace import Pace, expected_rows, speed, spoken
from anectl.core.terminal_text import LIMIT, visible, visible_lines
from tests.conftest import Cli, write_rows
from tests.hostile_texts import HOSTILE, assert_harmless
from tests.terminals import shown_by


@pytest.fixture(autouse=True)
def plain() -> None:
    """Each test begins with the manner that the program begins with."""
    console.configure()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 5 µm × 字 é", "plain text, 5 µm × 字 é"),
        (r"\underline{x} \r", r"\underline{x} \r"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\r\tc", r"a\x0ab\x0d\x09c"),
        ("\x9b31m\u202e\U000e0041\ud800", r"\x9b31m\u202e\U000e0041\ud800"),
        ("a\u200db\u3000", "a\u200db\u3000"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_would_command_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_texts_are_cut_with_a_note() -> None:
    assert visible("x" * (LIMIT + 7)) == "x" * LIMIT + " [... 7 more characters]"
    assert visible("x" * (LIMIT + 7), limit=None) == "x" * (LIMIT + 7)
    assert visible_lines("a\n" * 9, max_lines=2) == ["a", "a", "[... 8 more lines]"]


def test_lines_end_only_where_lines_end() -> None:
    assert visible_lines("a\r\nb\rc\n\td\x0be") == ["a", r"b\x0dc", "    d" + r"\x0be"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_come_out_harmless(name: str) -> None:
    assert_harmless(visible(HOSTILE[name]))
    assert_harmless("\n".join("  " + line for line in visible_lines(HOSTILE[name])))


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_text_comes_out_printable_and_nothing_is_dropped(text: str) -> None:
    shown = visible(text, limit=None)
    assert_harmless(shown)
    assert len(shown) >= len(text)


def test_the_rate_is_that_of_new_rows_of_late() -> None:
    pace = Pace(now=0.0, total=100, num_marks=2)
    for _ in range(50):
        pace.add(is_new=False)
    assert pace.rate(10.0) is None
    assert pace.remaining_s(10.0) is None
    for _ in range(10):
        pace.add()
    assert pace.rate(10.0) == 1.0
    assert pace.remaining_s(10.0) == 40.0
    pace.mark(10.0)
    pace.mark(20.0)
    for _ in range(20):
        pace.add()
    assert pace.rate(20.0) == 2.0
    assert pace.remaining_s(20.0) == 10.0


def test_more_rows_than_expected_have_no_end_in_sight() -> None:
    pace = Pace(now=0.0, total=1)
    for _ in range(3):
        pace.add()
    assert pace.remaining_s(1.0) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (7260, "2 h 01 min"), (180_000, "2 d 02 h")]
)
def test_spans_of_time_in_words(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_speed_in_a_unit_that_has_one() -> None:
    assert [speed(rate) for rate in (12.34, 0.5, 0.01)] == ["12.3 rows/s", "30.0 rows/min", "36.0 rows/h"]


def test_rows_are_counted_where_that_takes_nothing_away(tmp_path: Path) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_text("{}\n{}\n")
    other.write_text("{}\n{}")
    (tmp_path / "c.parquet").write_bytes(b"PAR1\n")
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert expected_rows([str(one), str(other)]) == 4
    assert expected_rows([str(one), str(other)], limit=3) == 3
    for unknown in ("-", "c.parquet", "pipe.jsonl", "none.jsonl"):
        assert expected_rows([str(one), str(tmp_path / unknown)]) is None
    assert expected_rows([]) is None


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_progress_in_a_file_is_a_line_at_the_start_and_one_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with console.progress("rollout", 3) as advance:
        for _ in range(3):
            advance("pass rate 0.5")
    assert lines_of(capsys) == ["rollout: 3 rows in all"]
    monkeypatch.setattr(console, "_EVERY_S", 0.0)
    with console.progress("rollout", 3) as advance:
        advance("pass rate 0.5, 10 tokens/s")
    _, line = lines_of(capsys)
    assert line.startswith("rollout: 1 of 3 rows, ")
    assert " rows/s, 0 s to go, pass rate 0.5, 10 tokens/s" in line


def test_progress_as_json_has_the_figures_as_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_EVERY_S", 0.0)
    console.configure("build-index", "json")
    with console.progress("build-index: text", 2) as advance:
        advance("", {"pass_rate": 0.5, "tokens_per_s": float("nan")})
    start, line, end = map(json.loads, lines_of(capsys))
    assert [one["event"] for one in (start, line, end)] == ["start", "progress", "end"]
    assert (line["command"], line["part"], line["level"]) == ("build-index", "text", "info")
    assert (line["rows"], line["total"], line["pass_rate"]) == (1, 2, 0.5)
    assert line["rows_per_s"] > 0 <= line["eta_s"]
    assert "tokens_per_s" not in line


def test_quiet_leaves_warnings_and_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure("anchor", quiet=True)
    log = console.log("anchor")
    log("all is well")
    log("text: warning: recall is low")
    console.table("t", ["a"], [["1"]])
    with console.progress("anchor", 1) as advance:
        advance()
    console.show_error(AnectlError("no", hint="try", path="x", line=3))
    assert lines_of(capsys) == ["anchor: text: warning: recall is low", "error: x:3: no", "hint: try"]


def test_further_lines_of_a_message_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    console.log("sft")("settings:\na: 1\nerror: forged")
    assert lines_of(capsys) == ["sft: settings:", "  a: 1", "  error: forged"]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("name", HOSTILE)
def test_every_way_to_stderr_is_harmless(
    name: str, log_format: console.LogFormat, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HOSTILE[name]
    monkeypatch.setattr(console, "_EVERY_S", 0.0)
    console.configure("check", log_format)
    console.log("check")(text)
    console.table(text, [text, "n"], [[text, "1"]])
    console.show_error(AnectlError(text, hint=text, path=text, line=1))
    console.show_warning(UserWarning(text), UserWarning, "file.py", 1)
    with console.progress("check") as advance:
        advance(text)
    try:
        raise ValueError(text)
    except ValueError as error:
        console.show_bug(type(error), error, error.__traceback__)
    lines = lines_of(capsys)
    assert_harmless("\n".join(lines))
    if log_format == "json":
        assert all(isinstance(json.loads(line), dict) for line in lines)


def test_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("[bold]t", ["[red]a[/red]"], [["[/]:smile:"]])
    text = "\n".join(lines_of(capsys))
    assert all(part in text for part in ("[bold]t", "[red]a[/red]", "[/]:smile:"))


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"p{n}", "question": "?", "answer": str(n), "answer_type": "number"} for n in range(count)]


def stderr_objects(err: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in err.splitlines()]
    for one in found:
        assert {"time", "command", "level", "message"} <= one.keys()
        assert one["level"] in ("info", "warning", "error")
    return found


def test_every_line_of_a_loop_is_json(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "bench.jsonl", rows(4))
    (tmp_path / "script.jsonl").write_text('{"match": "", "texts": ["Answer: 1", "Answer: 2", "?"]}\n')
    fake = ["--model", "script.jsonl", "--engine", "fake"]
    drawn = stderr_objects(anectl("--log-format", "json", "rollout", "bench.jsonl", *fake, "-o", "r.jsonl").stderr)
    assert {one["command"] for one in drawn} == {"rollout"}
    assert [one["event"] for one in drawn if "event" in one] == ["start", "end"]
    end = next(one for one in drawn if one.get("event") == "end")
    assert (end["rows"], end["total"]) == (4, 4)
    assert {"pass_rate", "tokens_per_s", "rows_per_s"} <= end.keys()
    for words in (
        ["locate-frontier", "r.jsonl", "-o", "f.jsonl"],
        ["backtrack", "f.jsonl", *fake, "-o", "b.jsonl"],
        ["grade", "r.jsonl", "--explain", "-o", "g.jsonl"],
        ["eval", "bench.jsonl", *fake, "-o", "s.jsonl"],
        ["eval", "bench.jsonl", *fake, "--seed", "1", "-o", "t.jsonl"],
        ["compare", "s.jsonl", "t.jsonl", "--flips", "-o", "c.jsonl"],
        ["check", "r.jsonl", "s.jsonl"],
    ):
        done = anectl("--log-format", "json", *words)
        assert done.stdout == ""
        found = stderr_objects(done.stderr)
        assert found, words
        assert {one["command"] for one in found} == {words[0]}
    table = next(
        one
        for one in stderr_objects(anectl("--log-format=json", "eval", "bench.jsonl", *fake).stderr)
        if "rows" in one and "columns" in one
    )
    assert table["columns"][0] == "benchmark"
    assert table["rows"][0][0] == "bench"


def test_errors_are_json_with_their_place(anectl: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANECTL_LOG_FORMAT", "json")
    write_rows(tmp_path / "bad.jsonl", [*rows(1), {"id": "x"}])
    failed = anectl("rollout", "bad.jsonl", "--model", "none.jsonl", "--engine", "fake", ok=False)
    *_, error = stderr_objects(failed.stderr)
    assert (error["level"], error["command"]) == ("error", "rollout")
    failed = anectl("locate-frontier", "bad.jsonl", ok=False)
    *_, error = stderr_objects(failed.stderr)
    assert (error["path"], error["line"], failed.returncode) == ("bad.jsonl", 1, 1)
    assert error["hint"]
    for words in (["nothing"], ["check", "--nothing"], ["compare", "one.jsonl"], ["--nothing"]):
        failed = anectl(*words, ok=False)
        *_, error = stderr_objects(failed.stderr)
        assert (error["level"], failed.returncode) == ("error", 2)


def test_warnings_of_libraries_are_messages_too(anectl: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    anectl("--log-format", "json", "schema")
    with warnings.catch_warnings():
        warnings.showwarning = console.show_warning
        warnings.simplefilter("always")
        warnings.warn("mind the \x1b[31mgap", stacklevel=1)
    (line,) = stderr_objects(capsys.readouterr().err)
    assert line["level"] == "warning"


def test_the_format_is_refused_by_name() -> None:
    result = CliRunner().invoke(app, ["--log-format", "xml", "schema"])
    assert result.exit_code == 2
    assert "'text', 'json'" in result.stderr


def test_a_terminal_has_a_bar_and_stdout_has_records_only(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", rows(3))
    (tmp_path / "script.jsonl").write_text('{"match": "", "texts": ["Answer: 1"]}\n')
    words = ["rollout", "p.jsonl", "--model", "script.jsonl", "--engine", "fake"]
    shown, records = shown_by(*words, stream="stderr", folder=tmp_path)
    assert "━" in shown
    assert "0/3" in shown or "3/3" in shown
    assert [json.loads(line)["schema"] for line in records.splitlines()] == ["rollout/1"] * 3
    shown, records = shown_by("-q", *words, stream="stderr", folder=tmp_path)
    assert shown == ""
    assert len(records.splitlines()) == 3


def test_a_bug_keeps_its_traceback_and_shows_no_escape() -> None:
    program = """
import sys
from anectl import cli
def broken(*words, **options):
    raise ValueError("bad \\x1b]0;owned\\x07 \\x1b[31mtext")
cli.app = broken
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert r"ValueError: bad \x1b]0;owned\x07" in done.stderr
    assert_harmless(done.stderr)


def test_nothing_but_the_console_writes_to_stderr() -> None:
    package = Path(console.__file__).parent
    writers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(word in path.read_text("utf8") for word in ("file=sys.stderr", "stderr.write", "err=True"))
    }
    assert writers == {"console.py"}


def test_every_command_takes_the_options_before_its_name() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(app, ["--quiet", "--log-format", "json", name, "--help"])
        assert result.exit_code == 0, name
