"""trace: every row that tells of a problem, by its schema, and nothing that commands the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.jsonl import decode
from anectl.core.nearest_ids import nearest_ids
from anectl.core.records import RECORDS, Problem, Trace
from anectl.core.trace_story import story
from anectl.core.tracing import about, files_of, search
from tests.conftest import Cli, write_rows
from tests.hostile_texts import HOSTILE, assert_harmless
from tests.terminals import shown_by

Row = dict[str, Any]


def problem(name: str = "p1", **more: Any) -> Row:
    return {
        "schema": "problem/1",
        "id": name,
        "question": "How many?",
        "answer": "7",
        "answer_type": "number",
        "steps": ["3 + 4 = 7."],
        **more,
    }


def completion(text: str = "It is 7. Answer: 7", right: bool | None = True, **more: Any) -> Row:
    return {"text": text, "finish_reason": "stop", "extracted": text[-1:], "correct": right, "reason": "exact", **more}


def rollout(name: str = "p1", **more: Any) -> Row:
    drawn = [
        completion(logprob=-3.0),
        completion("Surely 7: 7", logprob=-1.0),
        completion("It is 8", False, logprob=-0.5),
        completion("Likely 9", False, logprob=-4.0, steps=["Likely ", "9"], values=[{"correct": 1, "judged": 4}, None]),
        completion("?", None),
    ]
    group = {"problem": problem(name), "policy": "m0", "sampling": {"n": 5, "seed": 3}, "completions": drawn}
    return {"schema": "rollout/1", **group, **more}


def frontier(name: str = "p1", **more: Any) -> Row:
    posterior = {"a": 1.5, "b": 3.5, "low": 0.05, "high": 0.7, "confidence": 0.83}
    first = [{"completion": 3, "step": 1, "text": "9", "num_continuations": 12}]
    return {
        **rollout(name),
        "schema": "frontier/1",
        "zone": "learnable",
        "posterior": posterior,
        "first_errors": first,
    } | more


def anchored(name: str = "p1", anchor: str = "t9") -> Row:
    why = {"text": 0.912, "bm25": 3.5, "tier": "template", "note": "shares `sum`"}
    found = [{"id": anchor, "rank": 1, "score": 0.5, "why": why, "problem": problem(anchor, question="How much?")}]
    return {**frontier(name), "schema": "anchored/1", "anchors": found}


def example(name: str = "t9", made_for: str = "p1") -> Row:
    scaffold = {"level": 3, "carrier": "prompt", "text": "Row 1 reads 3.", "anchor_ids": ["t9"]}
    return {
        "schema": "example/1",
        "problem_id": name,
        "frontier_id": made_for,
        "prompt": [{"role": "user", "content": "How many?"}],
        "completion": [{"role": "assistant", "content": "So it is 7."}],
        "answer": "7",
        "answer_type": "number",
        "scaffold": scaffold,
        "origin": "anchor/raw",
        "writing": {"kind": "raw", "nll": 0.25},
    }


def score(name: str = "p1", right: bool = False, policy: str = "m0", **more: Any) -> Row:
    drawn = [completion("Answer: 8", right, reason="mismatch")]
    row = {"schema": "score/1", "problem_id": name, "benchmark": "sums", "cluster": "c", "policy": policy}
    return {**row, "completions": drawn, **more}


def reject(row: str, **more: Any) -> Row:
    return {
        "schema": "reject/1",
        "path": "in.jsonl",
        "line": 4,
        "problem": "no image",
        "hint": None,
        "row": row,
        **more,
    }


def comparison(**more: Any) -> Row:
    names = ("accuracy_a", "accuracy_b", "difference", "low", "high", "p_value")
    row = {"schema": "comparison/1", "benchmark": "sums", "num_problems": 9, **dict.fromkeys(names, 0.5)}
    return {**row, "path_a": "a.jsonl", "path_b": "b.jsonl", "gained": ["x", "p1"], "lost": [], **more}


LIFE = {
    "one": [problem("p0"), problem()],
    "two": [rollout("p0"), rollout()],
    "three": [frontier()],
    "four": [anchored("p0", "p1"), anchored()],
    "five": [example(), example("t8", "p0")],
    "six": [score(), score("p0"), score(right=True, policy="m1")],
    "seven": [
        comparison(),
        reject(json.dumps(problem())),
        reject(json.dumps(problem("p2")), match={"path": "bench.jsonl", "line": 2, "id": "p1"}),
    ],
    "eight": [
        {
            "schema": "disagreement/1",
            "problem_id": "p1",
            "benchmark": "sums",
            "sample": 0,
            "text": "8",
            "grades": [{"profile": "strict", "correct": False}, {"profile": "mathvista", "correct": True}],
        }
    ],
}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The artifacts of a small run; the names of the files say nothing."""
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    for name, rows in LIFE.items():
        write_rows(folder / "deep" / f"{name}.jsonl", rows)
    write_rows(folder / "log.jsonl", [{"step": 1, "loss": 0.5, "note": "p1"}])
    return folder


def trace(*words: str | Path, **settings: Any) -> Result:
    return CliRunner().invoke(app, ["trace", *map(str, words)], **settings)


@pytest.mark.parametrize(
    ("row", "role", "other"),
    [
        (problem(), "itself", None),
        (problem("p2"), None, None),
        (rollout(), "itself", None),
        (anchored("p0", "p1"), "anchor", "p0"),
        (example("t9", "p1"), "itself", None),
        (example("p1", "p0"), "itself", None),
        (score(), "itself", None),
        (comparison(), "flip", None),
        (comparison(gained=[]), None, None),
        (reject(json.dumps(problem())), "itself", None),
        (reject(json.dumps(rollout())), "itself", None),
        (reject(json.dumps(problem("q")), match={"path": "b", "line": 1, "id": "p1"}), "match", "q"),
        (reject('{"id": "p1", "quest'), "mention", None),
        (reject('{"id": "p11", "quest'), None, None),
    ],
)
def test_what_a_row_has_to_do_with_a_problem(row: Row, role: str | None, other: str | None) -> None:
    told = about(row, RECORDS[row["schema"].partition("/")[0]], "p1")
    assert (told and told.role) == role
    assert (told and told.other) == other


def test_of_a_comparison_and_of_anothers_anchors_only_what_concerns_the_problem_is_kept() -> None:
    told = about(comparison(), RECORDS["comparison"], "p1")
    assert told is not None
    assert told.row["flip"] == "gained"
    assert "gained" not in told.row
    told = about(anchored("p0", "p1"), RECORDS["anchored"], "p1")
    assert told is not None
    assert told.row["id"] == "p1"
    assert "completions" not in told.row


@pytest.mark.parametrize("name", ["p/1", "é-1", 'a"b', "a\\b", "字", "a b\tc"])
def test_an_id_is_found_however_json_spells_it(name: str, tmp_path: Path) -> None:
    spelled = [json.dumps(problem(name)), json.dumps(problem(name), ensure_ascii=False)]
    spelled += [spelled[0].replace("/", "\\/"), spelled[0].replace("1", "\\u0031")]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*spelled, json.dumps(problem(name + "x"))]) + "\n", "utf8")
    assert [one.sighting.line for one in search([str(path)], name).found] == [1, 2, 3, 4]


def test_rows_come_in_the_order_of_the_loop_then_of_time(tmp_path: Path) -> None:
    for name, rows, age in (
        ("z", [rollout()], 200),
        ("a", [rollout()], 100),
        ("b", [score()], 300),
        ("c", [problem()], 0),
    ):
        write_rows(tmp_path / f"{name}.jsonl", rows)
        manifest = tmp_path / f"{name}.jsonl.manifest.json"
        manifest.write_text('{"command": "rollout"}')
        os.utime(manifest, (1_700_000_000 - age,) * 2)
    found = search(files_of([str(tmp_path)]), "p1").found
    assert [Path(one.sighting.path).stem for one in found] == ["c", "z", "a", "b"]
    assert found[1].sighting.command == "rollout"
    assert found[1].sighting.finished == "2023-11-14T22:10:00Z"


def test_a_torn_line_and_an_unknown_version_are_named_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.partial"
    newer = json.dumps(problem()).replace("problem/1", "problem/9")
    path.write_text(f"{json.dumps(rollout())}\n{newer}\n" + json.dumps(rollout())[:200])
    result = trace("p1", tmp_path)
    assert result.exit_code == 0
    assert f"2 rows that name it cannot be read: {path}:2, {path}:3" in result.stderr
    assert f"{path}:1" in result.stdout


def test_the_page_tells_the_whole_life_in_order(run_folder: Path) -> None:
    result = trace("p1", run_folder, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.stderr
    wanted = [
        "problem p1",
        f"{run_folder}/deep/one.jsonl:2",
        "How many?",
        "7 (number)",
        f"{run_folder}/deep/two.jsonl:2",
        "0.50 [0.15, 0.85]: 2 of 4 right, 1 not judged",
        "4 distinct: '7' x2 right",
        "[1] right (exact), answer '7', log-probability -1.00",
        "Surely 7: 7",
        "[3] wrong",
        f"{run_folder}/deep/three.jsonl:1",
        "learnable",
        "of [3]: step 2 of 2, by 12 continuations",
        "right continuations after each step: 1/4 ?",
        f"{run_folder}/deep/four.jsonl:2",
        "t9, score 0.5, tier template; text 0.912, bm25 3.5",
        "why: shares `sum`",
        "level 3 in the prompt, from t9",
        "Row 1 reads 3.",
        "So it is 7.",
        "sums: m0, profile strict",
        "wrong (mismatch)",
        "sums: m1, profile strict",
        "gained in b.jsonl against a.jsonl",
        "in.jsonl:4: no image",
        "p0: rank 1, score 0.5",
    ]
    place = 0
    for text in wanted:
        found = result.stdout.find(text, place)
        assert found >= 0, (text, result.stdout)
        place = found
    assert result.stderr == ""


def test_completions_of_frontier_rows_are_told_where_no_rollout_is(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [anchored()])
    titles = [part.title for part in story(search([str(path)], "p1").found, lambda ref, path: ref)]
    assert titles == ["problem", "rollouts", "anchors"]


def test_another_row_of_the_problem_is_compared_with_the_first(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [problem(), problem(), problem(answer="8")])
    parts = list(story(search([str(path)], "p1").found, lambda ref, path: ref))
    assert [part.entries[0].text for part in parts[1:]] == ["the same", "with another answer"]


def test_json_is_one_record_of_facts(run_folder: Path) -> None:
    result = trace("p1", run_folder, "--json")
    assert result.stdout.count("\n") == 1
    found = decode(result.stdout.encode(), Trace)
    assert found.problem_id == "p1"
    assert [(one.kind, one.role) for one in found.sightings] == [
        ("problem/1", "itself"),
        ("rollout/1", "itself"),
        ("frontier/1", "itself"),
        ("anchored/1", "itself"),
        ("example/1", "itself"),
        ("score/1", "itself"),
        ("score/1", "itself"),
        ("disagreement/1", "itself"),
        ("comparison/1", "flip"),
        ("reject/1", "itself"),
        ("reject/1", "match"),
        ("anchored/1", "anchor"),
    ]
    assert found.sightings[1].row == rollout()
    assert msgspec.convert(found.sightings[0].row, Problem).answer == "7"


def test_rows_on_stdin_and_the_folder_that_is_there(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = trace("p1", "-", input=json.dumps(rollout()) + "\n")
    assert "<stdin>:1" in result.stdout
    monkeypatch.chdir(run_folder)
    assert "deep/one.jsonl:2" in trace("p1").stdout


def test_images_are_named_with_their_size_or_with_what_is_wrong(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    write_rows(tmp_path / "a.jsonl", [problem(images=["a.png", "b.png", "none.png", "../x.png"])])
    shown = " ".join(trace("p1", tmp_path, env={"COLUMNS": "300"}).stdout.split())
    assert "a.png, 40 x 30 pixels" in shown
    assert "b.png' cannot be decoded" in shown
    assert "'none.png' not found" in shown
    assert "'../x.png' is outside" in shown


def test_an_unknown_id_is_an_error_with_the_nearest(anectl: Cli, run_folder: Path) -> None:
    failed = anectl("trace", "p3", run_folder, ok=False)
    assert (
        f"error: none of the {sum(map(len, LIFE.values())) + 1} rows of 9 files tells of problem 'p3'" in failed.stderr
    )
    assert "hint: did you mean p" in failed.stderr
    assert failed.stdout == ""
    assert "ids are those" in anectl("trace", "quite-another-thing", run_folder, ok=False).stderr


def test_nearest_ids_are_near(tmp_path: Path) -> None:
    names = [f"pool-{number:05}" for number in range(400)]
    path = write_rows(tmp_path / "a.jsonl", [rollout(name) for name in names])
    assert nearest_ids([str(path)], "pool-0123")[0] == "pool-00123"
    assert nearest_ids([str(path)], "POOL-00123")[0] == "pool-00123"
    assert nearest_ids([str(path)], "pol-00077")[0] == "pool-00077"
    assert nearest_ids([str(path)], "xyz") == []


@pytest.mark.parametrize(("where", "problem"), [("none", "no such file or folder"), ("empty", "no JSON Lines files")])
def test_places_without_rows_are_errors(where: str, problem: str, anectl: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    failed = anectl("trace", "p1", where, ok=False)
    assert problem in failed.stderr
    assert "hint" in failed.stderr or where == "none"


def test_a_place_is_never_broken_over_two_lines(anectl: Cli, tmp_path: Path) -> None:
    (folder := tmp_path / "a-folder-with-a-name-that-is-longer-than-eighty-columns" / "and-another-one").mkdir(
        parents=True
    )
    write_rows(folder / "a.jsonl", [rollout()])
    assert f"{folder}/a.jsonl:1\n" in anectl("trace", "p1", str(folder)).stdout


def test_memory_and_parsing_grow_with_the_rows_of_the_problem_only(tmp_path: Path) -> None:
    line = json.dumps(rollout("other-000000")).encode()
    with open(tmp_path / "a.jsonl", "wb") as file:
        for number in range(40_000):
            file.write(line.replace(b"other-000000", b"other-%06d" % number) + b"\n")
        file.write(json.dumps(rollout()).encode() + b"\n")
    # ru_maxrss would be at least that of the process that started this one.
    program = "import re, sys; from anectl.cli import app\ntry: app()\nexcept SystemExit: pass\n"
    program += "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program, "trace", "p1", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "a.jsonl:40001" in done.stdout
    assert int(done.stderr.split()[-1]) < 80 * 1024
    assert os.path.getsize(tmp_path / "a.jsonl") > 30 * 1024**2


def hostile_life(text: str) -> list[Row]:
    """Every place of a problem's rows where a text can stand holds it."""
    drawn = completion(text, False, reason=text, error=text, judge=text, extracted=text)
    drawn |= {"steps": [text], "values": [{"correct": 0, "judged": 1}]}
    asked = problem(
        "p1",
        question=text,
        answer=text,
        answer_type="text",
        choices=[text],
        unit=text,
        steps=[text],
        images=[text],
        tags=[text],
    )
    group = {
        "problem": asked,
        "policy": text,
        "completions": [drawn, drawn],
        "sampling": {"reveal": text},
        "profile": text,
    }
    posterior = {"a": 1, "b": 1, "low": 0, "high": 1, "confidence": 1}
    zone = {"zone": "failing", "posterior": posterior, "first_errors": [{"completion": 0, "step": 0, "text": text}]}
    doubts = {
        "certificate": {"solvable": True, "by": text, "correct": 1, "judged": 1},
        "suspect": {"answer": text, "count": 1, "judged": 1},
    }
    anchor = {"id": text or "x", "rank": 1, "score": 1, "why": {"note": text}, "problem": {**asked, "id": text}}
    scaffold = {"level": 1, "text": text, "anchor_ids": [text], "sources": [text, text]}
    turn = [{"role": "assistant", "content": text}]
    return [
        {**asked},
        {"schema": "rollout/1", **group},
        {"schema": "anchored/1", **group, **zone, **doubts, "anchors": [anchor]},
        {**anchored(text, "p1"), "policy": text},
        {**example("p1", text), "prompt": turn, "completion": turn, "scaffold": scaffold, "origin": text}
        | {"writing": {"kind": "raw", "fallback": text}},
        score(policy=text, benchmark=text, profile=text, completions=[drawn]),
        score(policy=text, benchmark=text, profile=text, completions=[drawn, drawn]),
        comparison(benchmark=text, path_a=text, path_b=text, profile=text),
        reject(text + '"p1"', path=text, problem=text, hint=text, match={"path": text, "line": 1, "id": text}),
        {"schema": "disagreement/1", "problem_id": "p1", "benchmark": text, "sample": 0, "text": text}
        | {"grades": [{"profile": text, "correct": None, "extracted": text, "reason": text}]},
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_text_gets_through_a_trace(name: str, anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", hostile_life(HOSTILE[name]))
    done = anectl("trace", "p1", "a.jsonl")
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)
    assert len(done.stdout) < 200_000
    assert "a.jsonl:10" in done.stdout
    assert_harmless(anectl("trace", "p1", "a.jsonl", "--json").stderr)
    failed = anectl("trace", HOSTILE[name], "a.jsonl", "nothing.jsonl", ok=False)
    assert_harmless(failed.stderr)


def test_full_cuts_nothing_and_is_harmless_too(anectl: Cli, tmp_path: Path) -> None:
    text = "\x1b[31m" + "word " * 2000
    write_rows(tmp_path / "a.jsonl", [problem(question=text)])
    assert "more characters]" in anectl("trace", "p1", "a.jsonl").stdout
    full = anectl("trace", "p1", "a.jsonl", "--full").stdout
    assert full.count("word") == 2000
    assert_harmless(full)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_text_gets_through_the_other_commands(name: str, anectl: Cli, tmp_path: Path) -> None:
    text = HOSTILE[name]
    asked = [problem(f"p{n} {text}", question=text, answer="7", unit=None) for n in range(2)]
    write_rows(tmp_path / "p.jsonl", asked)
    drawn = [completion(f"{text} Answer: 7"), completion(text, False), completion(f"Answer: {text}", None)]
    group = {"policy": text, "sampling": {"n": 3}, "completions": drawn}
    write_rows(tmp_path / "r.jsonl", [{"schema": "rollout/1", "problem": one, **group} for one in asked])
    for file, answers in (("s.jsonl", (True, False)), ("t.jsonl", (False, True))):
        rows = [
            score(one["id"], right, benchmark=text, policy=text, profile=text)
            for one, right in zip(asked, answers, strict=True)
        ]
        write_rows(tmp_path / file, rows)
    bad = [{"id": text}, problem(text, answer_type=text), problem("a", images=[text]), {"schema": text, "id": "x"}]
    write_rows(tmp_path / "bad.jsonl", [*bad, problem(text), problem(text)])
    for ok, words in (
        (False, ["check", "bad.jsonl", "-o", "bad.out"]),
        (False, ["rollout", "bad.jsonl", "--model", text.replace("\0", ""), "--engine", "fake"]),
        (True, ["compare", "s.jsonl", "t.jsonl", "--flips", "-o", "c.jsonl"]),
        (True, ["grade", "r.jsonl", "--explain", "-o", "g.jsonl"]),
        (
            True,
            [
                "eval",
                "p.jsonl",
                "--predictions",
                "r.jsonl",
                "--policy",
                text,
                "--profile",
                "strict",
                "--profile",
                "mathvista",
            ],
        ),
    ):
        for form in ("text", "json"):
            done = anectl("--log-format", form, *words, ok=ok)
            assert_harmless(done.stderr)
            assert len(done.stderr) < 400_000, words
            if form == "json":
                assert all(isinstance(json.loads(line), dict) for line in done.stderr.splitlines())


def test_names_of_files_are_data_too(anectl: Cli, tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\u202e[red]\n.jsonl"
    write_rows(tmp_path / name, [problem()])
    for words, ok in (("trace", "p1", name), True), (("check", name), True), (("locate-frontier", name), False):
        done = anectl(*words, ok=ok)
        assert_harmless(done.stdout if words[0] == "trace" else "")
        assert_harmless(done.stderr)


def test_a_terminal_gets_colours_and_lines_of_its_width_and_nothing_else(tmp_path: Path) -> None:
    texts = [text for name, text in HOSTILE.items() if not name.startswith(("a million", "many"))]
    path = write_rows(tmp_path / "a.jsonl", [row for text in texts for row in hostile_life(text)])
    shown = shown_by("trace", "p1", str(path), stream="stdout", columns=60)[0]
    assert "\x1b[" in shown
    assert_harmless(shown, colours=True)
    plain = shown_by("trace", "p1", str(path), stream="stdout", columns=60, NO_COLOR="1")[0]
    assert "\x1b[3" not in plain
    assert_harmless(plain, colours=True)


def test_a_closed_pipe_ends_it_quietly(run_folder: Path) -> None:
    command = f"{sys.executable} -m anectl trace p1 {run_folder} --full | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "problem p1\n"


def test_a_terminal_without_unicode_gets_numbers(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [problem(question="5 µm × 字")])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "anectl", "trace", "p1", str(path)], capture_output=True, env=environment, check=True
    )
    assert rb"5 \xb5m \xd7 \u5b57" in done.stdout
