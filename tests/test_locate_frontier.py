"""Problems are placed by their posterior; rows come through unchanged but for what is added; no row gets lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.faults import fault_in, perception_of
from anectl.core.jsonl import decode
from anectl.core.posterior import zone_of
from anectl.core.records import Anchored, Frontier, Problem, Rollout
from anectl.core.suspects import suspect_of
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


def test_what_was_found_out_in_another_zone_no_longer_counts() -> None:
    suspect = {"answer": "7", "count": 8, "judged": 8}
    before = row("a", "--------", schema="frontier/1", zone="failing", suspect=suspect, fault="reasoning", failures=[])
    before["posterior"] = {"a": 0.5, "b": 8.5, "low": 0, "high": 0.3, "confidence": 0.8}
    (same,) = rows_in(run(*ALL, input=lines(before)))
    assert (same["zone"], same["suspect"], same["fault"]) == ("failing", suspect, "reasoning")
    (moved,) = rows_in(run(*ALL, "--min-confidence", "0.9", input=lines(before)))
    assert moved["zone"] == "unsure"
    assert "suspect" not in moved
    assert "fault" not in moved
    more = row("a", "--------", sampling={"n": 8, "temperature": 1.0, "seed": 1})
    (merged,) = rows_in(run(*ALL, input=lines(before, more)))
    assert (merged["zone"], merged.get("suspect")) == ("failing", None)
    mine = row("a", "--------", suspect="a field of mine")
    assert rows_in(run(*ALL, input=lines(mine)))[0]["suspect"] == "a field of mine"


def test_merged_lines_bring_their_first_errors_and_anchors() -> None:
    golden = json.loads((Path(__file__).parent / "golden" / "anchored-1.jsonl").read_text())
    (anchor,) = golden["anchors"][:1]
    others = [anchor | {"id": "other", "rank": 2}, anchor]
    errors = [[{"completion": 1, "step": 0, "text": "é 1"}], [{"completion": 0, "step": None}]]
    kept = {name: golden[name] for name in ("zone", "posterior")}
    first = row("a", "--", schema="frontier/1", first_errors=errors[0], **kept)
    second = row("a", "---", schema="anchored/1", first_errors=errors[1], anchors=[anchor, *others], **kept)
    second["sampling"]["seed"] = 1
    result = run(*ALL, input=lines(first, second))
    (found,) = rows_in(result)
    assert [(error["completion"], error["step"]) for error in found["first_errors"]] == [(1, 0), (2, None)]
    assert [(one["id"], one["rank"]) for one in found["anchors"]] == [(anchor["id"], 1), ("other", 2)]
    assert (found["schema"], len(found["completions"])) == ("anchored/1", 5)
    decode(result.stdout.encode(), Anchored)


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
    again = row("a", "++++", sampling={"n": 4, "temperature": 1.0, "seed": 1})
    assert "2 dropped (zone solved)" in run(input=lines(row("a", "++++"), again)).stderr


@pytest.mark.parametrize("verdicts", ["----", "--------", "--"])
def test_the_same_draws_are_no_evidence_twice(verdicts: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    other = row("a", "--", sampling={"n": 2, "temperature": 1.0, "seed": 1})
    path.write_text(lines(other, row("a", "----"), row("a", verdicts)))
    error = run(str(path)).exception
    assert isinstance(error, AnectlError)
    assert str(error) == f"{path}:3: problem 'a' has the same completions as at {path}:2, drawn with seed 0 too"
    kept = run(str(path), *ALL, "--on-error", "skip", "--rejects", str(tmp_path / "rejects.jsonl"))
    assert [len(value["completions"]) for value in rows_in(kept)] == [6]


def test_lines_without_a_key_tell_nothing_of_their_seed() -> None:
    (found,) = rows_in(run(*ALL, input=lines(row("a", "----", key=""), row("a", "----", key=""))))
    assert len(found["completions"]) == 8


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
        (["--labels", "--suspect-kin", "1.5"], "--suspect-kin"),
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
    rows = [row(str(i % 70), "+-?-+--"[i % 7 :]) for i in range(140)]
    for value in rows[70:]:
        value["sampling"]["seed"] = 1
    path.write_text(lines(*rows))
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


def answered(id: str, answers: str, **fields: Any) -> dict[str, Any]:
    """A rollout of a problem with the answer 3 that gave these one-digit answers; `?` is none that reads as one."""
    completions = [
        {
            "text": f"Answer: {answer}",
            "finish_reason": "stop",
            "extracted": None if answer == "?" else answer,
            "correct": None if answer == "?" else answer == "3",
            "reason": "unparsed" if answer == "?" else "mismatch",
        }
        for answer in answers
    ]
    return row(id, "", completions=completions) | fields


def of_type(kind: str, answer: str, **fields: Any) -> dict[str, Any]:
    return {"problem": {"id": "a", "question": "?", "answer": answer, "answer_type": kind, **fields}}


@pytest.mark.parametrize(
    ("answers", "suspect"),
    [
        ("77777712", ("7", 6, 8)),
        ("77771245", ("7", 4, 8)),
        ("77712456", None),  # under half
        ("7777????????7777", ("7", 8, 8)),
    ],
)
def test_a_wrong_answer_that_dominates_makes_the_label_suspect(
    answers: str, suspect: tuple[str, int, int] | None
) -> None:
    (found,) = rows_in(run(*ALL, "--labels", input=lines(answered("a", answers))))
    expected = None if suspect is None else dict(zip(("answer", "count", "judged"), suspect, strict=True))
    assert found.get("suspect") == expected


def test_answers_are_compared_as_the_grader_does_and_against_chance() -> None:
    halves = [{"text": "", "finish_reason": "stop", "extracted": x, "correct": False} for x in ("0.5", "1/2") * 4]
    (found,) = rows_in(run("--labels", input=lines(row("a", "", completions=halves) | of_type("expression", "3x"))))
    assert found["suspect"] == {"answer": "0.5", "count": 8, "judged": 8}
    # Of two choices, four guesses agree by chance; eight do not.
    picked = [{"text": "", "finish_reason": "stop", "extracted": "B", "correct": False}] * 8
    choices = of_type("choice", "A", choices=["x", "y"])
    (found,) = rows_in(run("--labels", input=lines(row("a", "", completions=picked) | choices)))
    assert found["suspect"]["count"] == 8
    few = decode(lines(row("a", "", completions=picked[:4]) | choices).encode(), Rollout)
    assert suspect_of(few.problem, few.completions, 0.5) is None


def test_kin_are_counted_by_problems_whatever_the_order_of_their_tags() -> None:
    def tagged(id: str, answers: str, seed: int, *tags: str) -> dict[str, Any]:
        value = answered(id, answers, sampling={"n": 8, "temperature": 1.0, "seed": seed})
        return value | {"problem": value["problem"] | {"tags": tags}}

    # One problem in five lines is one kin, which is too few to say that the kind is not understood.
    alone = [tagged("kin", "12456789", seed, "x") for seed in range(5)]
    (found,) = rows_in(run("--labels", input=lines(*alone, tagged("a", "77777777", 0, "x"))))[1:]
    assert found["suspect"]["count"] == 8
    # Lines of one problem count for the tags of its first.
    strange = [tagged(f"kin{i}", "12456789", 0, *("xy" if i % 2 else "yx")) for i in range(5)]
    parts = [tagged("a", "7777", 0, "x", "y"), tagged("a", "7778", 1, "x")]
    found = rows_in(run("--labels", input=lines(*strange, *parts)))[-1]
    assert "suspect" not in found


def test_a_label_is_not_doubted_where_the_policy_fails_the_kin_too() -> None:
    def kind(tag: str, solves: bool) -> list[dict[str, Any]]:
        kin = [answered(f"{tag}{i}", "33333333" if solves else "12456789") for i in range(5)]
        found = [*kin, answered(tag, "77777777")]
        for value in found:
            value["problem"] = {**value["problem"], "id": value["problem"]["id"], "tags": [tag]}
        return found

    source = lines(*kind("known", True), *kind("strange", False))
    suspects = {value["problem"]["id"] for value in rows_in(run(*ALL, "--labels", input=source)) if "suspect" in value}
    assert suspects == {"known"}
    result = rows_in(run(*ALL, "--labels", "--suspect-kin", "0", input=source))
    assert {value["problem"]["id"] for value in result if "suspect" in value} == {"known", "strange"}


STEPS = ["The line reads 3 9 5.", "The largest is 9.", "9 - 3 = 6."]


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        (["The line reads 3 8 5. The largest is 8. 8 - 3 = 5. Answer: 5"], "perception"),
        (["The line reads 3 9 5. The largest is 5. Answer: 5"], "reasoning"),
        (["The line clearly reads 3, 9, 5.\nThe largest is 5. Answer: 5"], "reasoning"),
        (["I think it is 5. Answer: 5"], None),
        (["The line reads 3 9. Answer: 5", "The line reads 3 9 5. Answer: 1"], None),
        (["The line reads 3 9. Answer: 5"] * 2 + ["The line reads 3 9 5. Answer: 1"], "perception"),
        (["Answer: 5"] * 2 + [None] * 3, "format"),
        ([None] * 3, "format"),
        ([""], None),
    ],
)
def test_the_fault_of_a_failing_row_is_told_by_its_worked_steps(texts: list[str | None], fault: str | None) -> None:
    completions = [
        {
            "text": text or "The line",
            "finish_reason": "stop",
            "correct": None if text is None else False,
            "reason": "truncated" if text is None else "mismatch",
        }
        for text in texts
        for _ in range(8)
    ]
    problem = of_type("number", "6", steps=STEPS)
    (found,) = rows_in(run(*ALL, "--labels", input=lines(row("a", "", completions=completions) | problem)))
    assert found.get("fault") == fault


@given(st.text(max_size=300))
def test_any_text_has_a_fault_or_none(text: str) -> None:
    facts = perception_of(Problem(id="a", question="?", answer="6", answer_type="number", steps=tuple(STEPS)))
    assert [fact.values for fact in facts] == [("3", "9", "5")]
    assert fault_in(text, facts) in ("perception", "reasoning", None)


def test_a_long_completion_is_looked_through_in_no_time() -> None:
    facts = perception_of(Problem(id="a", question="?", answer="6", answer_type="number", steps=tuple(STEPS)))
    began = time.monotonic()
    for text in (
        "1," * 500_000,
        "1.1" * 300_000,
        ". " * 500_000,
        " " * 1_000_000,
        "reads " * 200_000,
        "\n" * 1_000_000,
    ):
        fault_in(text, facts)
    assert time.monotonic() - began < 6


def test_labels_replace_earlier_ones_and_cost_no_row_its_other_fields() -> None:
    first = rows_in(run(*ALL, "--labels", input=lines(answered("a", "77777777", mine=1.5))))[0]
    assert first["suspect"]["count"] == 8
    again = rows_in(
        run(
            *ALL,
            "--labels",
            "--suspect-share",
            "1",
            input=lines(first | {"completions": answered("a", "77777771")["completions"]}),
        )
    )[0]
    assert "suspect" not in again
    assert again["mine"] == 1.5
    kept = rows_in(run(*ALL, input=lines(first)))[0]
    assert kept["suspect"] == first["suspect"]
    decode(json.dumps(first).encode(), Frontier)


def certified(tmp_path: Path, source: str, *rows: dict[str, Any], options: tuple[str, ...] = ()) -> Result:
    path = tmp_path / "other.jsonl"
    path.write_text(lines(*rows))
    return run(*ALL, "--certificates", str(path), *options, input=source)


OTHER = {"policy": "m1"}
HINTED = {"sampling": {"n": 8, "instruction": "Read the line first."}}


@pytest.mark.parametrize(
    ("own", "others", "solvable"),
    [
        ("77777777", [answered("a", "33311111", **OTHER)], True),
        ("77777777", [answered("a", "33311111", **HINTED)], True),
        ("77777777", [answered("a", "31111111", **OTHER)], None),  # one of eight is chance
        ("77777777", [answered("a", "77777777", **OTHER)], False),
        ("77777777", [answered("a", "77777773", **OTHER)], None),  # right once: not never
        ("77777777", [answered("a", "11111111", **OTHER)], None),  # wrong in another way
        ("77777777", [answered("a", "7777777", **OTHER)], None),  # too few
        ("12456789", [answered("a", "12456789", **OTHER)], None),  # c = 0 twice is no certificate
        ("77777777", [answered("a", "77777777")], None),  # the same policy in the same way
        ("77777777", [answered("b", "33333333", **OTHER)], None),
        ("77777777", [answered("a", "77777777", **OTHER), answered("a", "33333333", **OTHER, **HINTED)], True),
        ("77777777", [answered("a", "33333333", **OTHER) | of_type("number", "4")], None),  # another label
    ],
)
def test_a_certificate_needs_more_than_failure(
    tmp_path: Path, own: str, others: list[dict[str, Any]], solvable: bool | None
) -> None:
    (found,) = rows_in(certified(tmp_path, lines(answered("a", own)), *others))
    certificate = found.get("certificate")
    assert (certificate and certificate["solvable"]) == solvable
    if certificate:
        assert (certificate["by"], certificate["judged"]) == (others[-1]["policy"], 8)


def test_certified_rows_stay_unless_they_are_dropped_on_request(tmp_path: Path) -> None:
    source = lines(answered("a", "77777777"), answered("b", "77777777"), answered("c", "33333333"))
    others = (answered("a", "77777777", **OTHER), answered("b", "33333333", **OTHER), answered("x", "3", **OTHER))
    kept = certified(tmp_path, source, *others)
    assert [value.get("certificate", {}).get("solvable") for value in rows_in(kept)] == [False, True, None]
    assert "1 problems of the certificates are not among the failing" in kept.stderr
    dropped = certified(tmp_path, source, *others, options=("--drop-unsolvable",))
    assert [value["problem"]["id"] for value in rows_in(dropped)] == ["b", "c"]
    assert "1 dropped (certified unsolvable)" in dropped.stderr


def test_a_bad_certificate_row_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(lines(answered("a", "33")) + '{"torn')
    error = run("--certificates", str(tmp_path / "c.jsonl"), input=lines(answered("a", "7"))).exception
    assert isinstance(error, AnectlError)
    assert str(error).startswith(f"{tmp_path}/c.jsonl:2: ")


@pytest.mark.parametrize("option", ["--before", "--certificates"])
def test_stdin_is_not_read_for_two_purposes(option: str) -> None:
    error = run(option, "-", input=lines(row("a", "--------"))).exception
    assert isinstance(error, AnectlError)
    assert (error.exit_code, error.problem) == (2, f"{option} -: stdin holds the rollouts")


def test_any_number_of_choices_has_a_guess_rate() -> None:
    many = of_type("choices", "A", choices=["x"] * 2000)
    (found,) = rows_in(run("--labels", input=lines(answered("a", "7" * 8, **many))))
    assert found["suspect"]["count"] == 8


def test_drift_tells_who_crossed_zones(tmp_path: Path) -> None:
    before, out = tmp_path / "before.jsonl", tmp_path / "now.jsonl"
    old = run(
        "-o",
        str(before),
        input=lines(row("a", "--------"), row("b", "--------"), row("c", "++--++--"), row("g", "--------")),
    )
    assert old.exit_code == 0
    now = lines(row("a", "++++++++"), row("b", "--------"), row("c", "++++----"), row("d", "--------"))
    result = run(*ALL, "--before", str(before), "-o", str(out), input=now)
    assert result.exit_code == 0
    found = {value["problem"]["id"]: value.get("before") for value in map(json.loads, out.read_text().splitlines())}
    assert found == {"a": "failing", "b": "failing", "c": "learnable", "d": None}
    matrix = json.loads((tmp_path / "now.jsonl.manifest.json").read_text())["notes"]["drift"]
    assert matrix == {"learnable": {"learnable": 1}, "failing": {"solved": 1, "failing": 1}, "absent": {"failing": 1}}
    assert "1 failing -> solved" in result.stderr
    assert "2 stayed; 1 are gone" in result.stderr


def test_a_fitted_prior_is_more_sure_where_all_rows_fail_and_is_written_down(tmp_path: Path) -> None:
    # As 300 problems of a pass rate of 0.04 give.
    kinds = {"--------": 216, "++------": 11, "+++-----": 1, "+-------": 72}
    source = lines(*(row(f"{kind}{i}", kind) for kind, count in kinds.items() for i in range(count)))
    by_itself = run(*ALL, "--prior", "jeffreys", input=source)
    assert rows_in(by_itself)[-1]["zone"] == "unsure"
    out = tmp_path / "f.jsonl"
    assert run(*ALL, "--prior", "fitted", "-o", str(out), input=source).exit_code == 0
    last = json.loads(out.read_text().splitlines()[-1])
    assert last["zone"] == "failing"
    assert last["posterior"]["low"] < last["posterior"]["a"] / (last["posterior"]["a"] + last["posterior"]["b"])
    prior = json.loads((tmp_path / "f.jsonl.manifest.json").read_text())["notes"]["prior"]
    assert sum(part["share"] for part in prior) == pytest.approx(1)
    usual = run(*ALL, input=source)
    assert usual.stdout == out.read_text()
    assert "the prior of the pass rate is fitted to 300 problems" in usual.stderr


def test_of_few_problems_no_prior_is_fitted_unless_asked_for(tmp_path: Path) -> None:
    few, out = (
        lines(*(row(str(i), "--------" if i % 2 else "+-------") for i in range(199)), row("x", "??")),
        tmp_path / "f",
    )
    assert run(*ALL, "-o", str(out), input=few).exit_code == 0
    notes = json.loads((tmp_path / "f.manifest.json").read_text())["notes"]
    assert (notes["prior_is"], notes["prior"]) == ("jeffreys", [{"share": 1.0, "a": 0.5, "b": 0.5}])
    assert out.read_text() == run(*ALL, "--prior", "jeffreys", input=few).stdout
    assert out.read_text() != run(*ALL, "--prior", "fitted", input=few).stdout
    many = few + lines(row("y", "--------"))
    assert run(*ALL, input=many).stdout == run(*ALL, "--prior", "fitted", input=many).stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--drop-unsolvable"], "--drop-unsolvable goes with --certificates"),
        (["--labels", "--suspect-share", "0"], "--suspect-share"),
        (["--pass-rate-field", "x", "--prior", "fitted"], "--prior fitted needs rollouts"),
        (["--pass-rate-field", "x", "--labels"], "--labels needs rollouts"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], problem: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, AnectlError)
    assert error.exit_code == 2
    assert problem in str(error)
