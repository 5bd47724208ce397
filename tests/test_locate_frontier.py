"""Problems are placed by their posterior; rows come through unchanged but for what is added; no row gets lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.jsonl import decode
from anectl.core.posterior import zone_of
from anectl.core.records import Frontier
from anectl.core.zones import Borders, Tally, locate, summarise

ALL = ["--zones", "failing,learnable,solved,unsure"]
CORRECT = {"+": True, "-": False, "?": None}


def row(id: str, verdicts: str, **fields: Any) -> dict[str, Any]:
    """A rollout whose completions are correct (+), wrong (-) or not judged (?)."""
    completions = [{"text": f"é {i}", "finish_reason": "stop", "correct": CORRECT[v]} for i, v in enumerate(verdicts)]
    return {
        "schema": "rollout/1",
        "key": f"key of {id}",
        "problem": {"id": id, "question": "?", "answer": "3", "answer_type": "number", "colour": {"deep": [1.50]}},
        "policy": "base",
        "sampling": {"n": max(1, len(verdicts)), "temperature": 1.0, "seed": 0},
        "completions": completions,
        **fields,
    }


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in rows)


def run(*arguments: str, input: str = "") -> Result:
    return CliRunner().invoke(app, ["locate-frontier", *arguments], input=input)


def rows_in(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("verdicts", "zone"),
    [
        ("--------", "failing"),
        ("+-------", "unsure"),
        ("++------", "learnable"),
        ("++++----", "learnable"),
        ("+++++++-", "solved"),
        ("++++++++", "solved"),
        ("----", "unsure"),
        ("????", "unsure"),
        ("", "unsure"),
        ("--------????", "failing"),
    ],
)
def test_zone_follows_the_posterior_and_nulls_are_no_evidence(verdicts: str, zone: str) -> None:
    assert locate(verdicts.encode(), Borders()).zone == zone


def test_eight_failures_are_just_enough_at_the_default_confidence() -> None:
    posterior = zone_of(8, 0, 0.1, 0.7, 0.8)[1]
    assert posterior.confidence == pytest.approx(0.813, abs=5e-4)
    assert zone_of(7, 0, 0.1, 0.7, 0.8)[0] == "unsure"


@given(st.text("+-?", max_size=12))
def test_failures_are_the_wrong_completions(verdicts: str) -> None:
    assert [verdicts[i] for i in locate(verdicts.encode(), Borders()).failures] == ["-"] * verdicts.count("-")


def test_summary_gives_pass_at_k_as_far_as_every_judged_problem_has_k() -> None:
    tallies = Counter({Tally(1, 3, 0, "learnable"): 1, Tally(4, 0, 0, "solved"): 1, Tally(0, 0, 2, "unsure"): 1})
    assert summarise(tallies) == pytest.approx(
        {"failing": 0, "learnable": 1, "solved": 1, "unsure": 1}
        | {"pass@1": 0.625, "pass@2": 0.75, "pass@4": 1.0, "null_rate": 0.2}
    )
    assert summarise(Counter()) == {"failing": 0, "learnable": 0, "solved": 0, "unsure": 0}


def test_solved_rows_are_dropped_and_counted_unless_asked_for() -> None:
    source = lines(row("a", "--------"), row("b", "++++++++"), row("c", "++--"))
    result = run(input=source)
    assert [value["problem"]["id"] for value in rows_in(result)] == ["a", "c"]
    assert "3 rows in, 2 out, 1 dropped (zone solved)" in result.stderr
    assert [value["zone"] for value in rows_in(run(*ALL, input=source))] == ["failing", "solved", "unsure"]


@pytest.mark.parametrize("spaced", [True, False])
def test_a_row_keeps_its_other_fields_and_their_bytes(spaced: bool) -> None:
    before = row("a", "-+-?", mine={"x": 1e400, "y": 1.50}, zone_note="é")
    text = json.dumps(before, separators=None if spaced else (",", ":")).replace("Infinity", "1.0000000000000000001")
    result = run(*ALL, input=text + "\r\n")
    after = rows_in(result)[0]
    added = {name: after.pop(name) for name in ("zone", "posterior", "failures")}
    assert after == {**json.loads(text), "schema": "frontier/1"}
    assert "1.0000000000000000001" in result.stdout
    assert "\\u00e9" in result.stdout
    assert added["failures"] == [0, 2]
    record = decode(result.stdout.encode(), Frontier)
    assert record.posterior.a == 1.5
    assert record.posterior.b == 2.5
    assert record.posterior.extra == {}


def test_a_row_without_schema_gets_one_and_comes_out_once() -> None:
    before = row("a", "--")
    del before["schema"]
    result = run(*ALL, input=lines(before))
    assert result.stdout.startswith('{"schema":"frontier/1"')
    assert len(rows_in(result)) == 1


def test_frontier_rows_are_located_anew_and_keep_what_later_stages_added() -> None:
    golden = Path(__file__).parent / "golden"
    for kind in ("frontier", "anchored"):
        before = json.loads((golden / f"{kind}-1.jsonl").read_text())
        before |= {
            "first_errors": [{"completion": 0, "step": 1, "text": "7 - 2 = 4."}],
            "zone": "solved",
            "failures": [],
        }
        before["completions"] = row("a", "--------")["completions"]
        after = rows_in(run(*ALL, input=lines(before)))[0]
        assert after["schema"] == f"{kind}/1"
        assert (after["zone"], after["first_errors"][0]["step"], len(after["failures"])) == ("failing", 1, 8)
        assert after.get("anchors") == before.get("anchors")


def test_lines_of_one_problem_merge_in_the_place_of_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(lines(row("a", "---?"), row("b", "++")))
    again = row("a", "-----+")
    again["sampling"]["seed"] = 1
    second.write_text(lines(row("c", "+"), again, row("b", "")))
    result = run(str(first), str(second), *ALL)
    merged = rows_in(result)
    assert [value["problem"]["id"] for value in merged] == ["a", "b", "c"]
    assert merged[0]["failures"] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert merged[0]["sampling"] == {"n": 10, "temperature": 1.0, "seed": 0}
    assert merged[0]["completions"] == row("a", "---?")["completions"] + again["completions"]
    assert merged[0]["posterior"]["b"] == 8.5
    assert "5 rows in, 3 out" in result.stderr


def test_dropped_lines_of_a_merged_problem_are_all_counted() -> None:
    assert "2 dropped (zone solved)" in run(input=lines(row("a", "++++"), row("a", "++++"))).stderr


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"key": "other"}, "key"),
        ({"key": "", "problem": {"id": "a", "question": "!", "answer": "3", "answer_type": "number"}}, "question"),
        ({"policy": "m1"}, "policy"),
        ({"sampling": {"n": 8, "temperature": 0.7}}, "sampling"),
    ],
)
def test_lines_that_do_not_belong_together_name_both_places(change: dict[str, Any], name: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("\n" + lines(row("a", "+-"), row("b", "+"), row("a", "--", **change)))
    error = run(str(path)).exception
    assert isinstance(error, AnectlError)
    assert str(error).startswith(f"{path}:4: problem 'a' has another {name}")
    assert str(error).endswith(f"than at {path}:2")


def test_skipped_rows_go_to_the_rejects_and_the_rest_counts(tmp_path: Path) -> None:
    path, out = tmp_path / "r.jsonl", tmp_path / "f.jsonl"
    bad = [row("a", "-", policy="m1"), row("x", "-", completions=[{"text": 3, "finish_reason": "stop"}])]
    path.write_text(lines(row("a", "--------"), *bad) + '{"torn')
    result = run(str(path), "-o", str(out), "--on-error", "skip")
    assert result.exit_code == 0
    rejects = [json.loads(line) for line in (tmp_path / "f.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3, 4]
    assert json.loads(rejects[0]["row"]) == bad[0]
    assert len(out.read_text().splitlines()) == 1
    manifest = json.loads((tmp_path / "f.jsonl.manifest.json").read_text())
    assert manifest["counts"] == {"read": 4, "kept": 1, "dropped": {}, "rejected": 3, "written": 1}
    assert manifest["notes"]["summary"]["failing"] == 1
    assert manifest["options"]["low"] == 0.1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--low", "0.7", "--high", "0.1"], "--low 0.7 --high 0.1"),
        (["--min-confidence", "0"], "--min-confidence"),
        (["--zones", "failng"], "unknown zone 'failng'"),
    ],
)
def test_senseless_options_are_usage_errors(arguments: list[str], problem: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, AnectlError)
    assert error.exit_code == 2
    assert problem in str(error)


def test_empty_stdin_gives_no_rows() -> None:
    result = run(input="")
    assert result.exit_code == 0
    assert result.stdout == ""


def test_a_pipe_a_file_and_stdin_agree(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(lines(*(row(str(i % 70), "+-?-+--"[i % 7 :]) for i in range(140))))
    command = f"{sys.executable} -m anectl locate-frontier --zones unsure,learnable"
    shell = f"{command} {path} | md5sum; {command} < {path} | md5sum; {command} <(cat {path}) | md5sum"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert len(set(done.stdout.splitlines())) == 1
    assert done.stderr.count("140 rows in") == 3


def rated(id: str, rate: object, **fields: Any) -> dict[str, Any]:
    """A problem whose data set was published with a pass rate."""
    source = {"benchmark": "virl39k", "fields": {"PassRate_7BBase": rate}}
    return {"id": id, "question": "?", "answer": "3", "answer_type": "number", "source": source, **fields}


def test_a_published_pass_rate_becomes_a_frontier_without_completions() -> None:
    source = lines(*(rated(str(count), count / 8) for count in range(9)), rated("none", None))
    result = run(*ALL, "--pass-rate-field", "PassRate_7BBase", input=source)
    zones = {value["problem"]["id"]: value["zone"] for value in rows_in(result)}
    assert zones == {str(count): locate(b"+" * count + b"-" * (8 - count), Borders()).zone for count in range(9)}
    assert "10 rows in, 9 out, 1 dropped (no pass rate)" in result.stderr
    first = rows_in(result)[0]
    assert (first["policy"], first["completions"], first["failures"]) == ("column:PassRate_7BBase", [], [])
    assert (first["posterior"]["a"], first["posterior"]["b"]) == (0.5, 8.5)
    assert first["problem"]["source"]["fields"] == {"PassRate_7BBase": 0.0}
    decode(result.stdout.splitlines()[0].encode(), Frontier)


def test_more_samples_make_a_pass_rate_surer_and_fields_of_the_problem_count_too() -> None:
    rows = lines({**rated("a", None, source={}), "rate": 0.05}, {**rated("b", None, source={}), "rate": 1})
    assert "2 unsure" in run("--pass-rate-field", "rate", "--pass-rate-samples", "1", input=rows).stderr
    result = run("--pass-rate-field", "rate", "--pass-rate-samples", "100", input=rows)
    assert [value["zone"] for value in rows_in(result)] == ["failing"]
    assert "1 dropped (zone solved)" in result.stderr


@pytest.mark.parametrize("rate", [-0.1, 1.5, "0.5", True, [0.5]])
def test_what_is_no_pass_rate_is_refused_with_its_line(rate: object) -> None:
    error = run("--pass-rate-field", "PassRate_7BBase", input=lines(rated("a", 0.5), rated("b", rate))).exception
    assert isinstance(error, AnectlError)
    assert str(error).startswith("<stdin>:2: field 'PassRate_7BBase'")


def test_a_problem_without_the_field_tells_which_fields_it_has() -> None:
    error = run("--pass-rate-field", "PassRate", input=lines(rated("a", 0.5))).exception
    assert isinstance(error, AnectlError)
    assert (error.problem, error.hint) == ("problem 'a' has no field 'PassRate'", "fields: PassRate_7BBase")


def test_images_of_rated_problems_are_named_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"is not opened here")
    path = tmp_path / "p.jsonl"
    path.write_text(lines(rated("a", 0.0, images=["1.png"])))
    (located,) = rows_in(run(str(path), "--pass-rate-field", "PassRate_7BBase"))
    assert located["problem"]["images"] == [str(tmp_path / "1.png")]


def test_memory_does_not_grow_with_the_length_of_completions(tmp_path: Path) -> None:
    peaks = []
    for size in (10, 20_000):
        path = tmp_path / f"{size}.jsonl"
        completion = {"text": "x" * size, "finish_reason": "stop", "correct": False}
        with path.open("w") as file:
            for i in range(400):
                file.write(lines(row(str(i), "", completions=[completion] * 8)))
        program = (
            "import resource, sys; from anectl.cli import app; app(sys.argv[1:], standalone_mode=False);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        arguments = [sys.executable, "-c", program, "locate-frontier", str(path), "-o", str(tmp_path / "out.jsonl")]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        peaks.append(int(done.stderr.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 8  # MiB; the long file has 64
