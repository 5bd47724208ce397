"""scaffold with models: a helper that writes scaffolds, calibration, and runs that are interrupted and resumed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anectl import engines
from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.grading import GradeSpec, grade
from anectl.core.helper_prompt import HEADINGS, HELPER, help_of_reply, helper_conversation, read_reply
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode
from anectl.core.keys import sample_seed
from anectl.core.metrics import wilson
from anectl.core.model_prompts import load_prompt
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Example, Problem
from anectl.core.scaffolds import build_ladder, gold_help, leaks, load_template
from tests.chat_server import Answer, Body, ChatServer, completion, failure
from tests.conftest import ROOT, write_rows
from tests.test_scaffold import anchored_rows

TEMPLATE = load_template(None)
REPLY = """**Knowledge:** a sum of two numbers
## PLAN
1. Read the number off the picture
2. Add 6 to it.
Perception:
- the number in the picture is 4
STEPS:
1. The picture shows 4.
2) 4 + 6 = 10
"""
SUM = Problem(id="a", question="What is the number plus 6?", answer="10", answer_type="number", tags=("own",))


def scaffold(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["scaffold", *map(str, arguments)])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def anchored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_rows(tmp_path / "anchored.jsonl", anchored_rows(tmp_path))


def test_a_reply_is_cut_at_its_headings() -> None:
    assert read_reply(REPLY) == {
        "KNOWLEDGE": ("a sum of two numbers",),
        "PLAN": ("Read the number off the picture", "Add 6 to it."),
        "PERCEPTION": ("the number in the picture is 4",),
        "STEPS": ("The picture shows 4.", "4 + 6 = 10"),
    }


@pytest.mark.parametrize(
    "text", ["", "I cannot see the picture.", "PLAN:", "plan\n\n-\n", "KNOWLEDGE:\n" * 2000, "*" * 9999]
)
def test_a_reply_in_another_form_has_no_parts(text: str) -> None:
    assert read_reply(text) == dict.fromkeys(HEADINGS, ())


def test_a_helpers_parts_fill_the_levels() -> None:
    made = build_ladder(SUM, (help_of_reply(REPLY, SUM), gold_help(SUM)), TEMPLATE)
    assert made.sources == ("", *["model"] * 5)
    assert made.notes == ()
    assert made.texts[1].endswith("a sum of two numbers.")
    # The question gives 6; what a plan must not tell is masked.
    assert made.texts[2].endswith("Read the number off the picture. Add 6 to it.")
    assert "the number in the picture is 4. Read the number" in made.texts[3]
    assert made.texts[5].endswith("The picture shows 4. 4 + 6 = ?")
    assert not any(leaks(text, SUM) for text in made.texts)


def test_values_that_only_the_helper_knows_are_masked_in_its_plan() -> None:
    reply = REPLY.replace("Read the number off the picture", "Read the 4 off the picture")
    assert "Read the ? off the picture. Add 6 to it." in help_of_reply(reply, SUM).slots["plan"]


def test_a_level_that_tells_the_answer_falls_back_alone_and_says_why() -> None:
    reply = REPLY.replace("a sum of two numbers", "the answer is 10")
    made = build_ladder(SUM, (help_of_reply(reply, SUM), gold_help(SUM)), TEMPLATE)
    assert made.sources == ("", "gold", "model", "model", "model", "model")
    assert made.texts[1].endswith("own.")
    assert made.notes == ("level 1 of model gives the answer away (stated)",)


def test_a_missing_part_and_a_missing_reply_are_noted() -> None:
    half = help_of_reply("KNOWLEDGE: sums", SUM)
    assert half.notes == ("the helper wrote no plan, perception, steps",)
    made = build_ladder(SUM, (half, gold_help(SUM)), TEMPLATE)
    assert made.sources == ("", "model", "", "", "", "")
    assert help_of_reply(None, SUM, "away").notes == ("the helper gave nothing: away",)


def test_the_helpers_prompt_shows_the_problem_and_its_solution() -> None:
    problem = Problem(
        id="a", question="Which {answer}?", answer="B", answer_type="choice", choices=("x", "y"), solution="It is y."
    )
    system, user = helper_conversation(load_prompt(None, HELPER), problem)
    assert system.role == "system"
    assert all(heading in system.content for heading in HEADINGS)
    assert "Which {answer}?\n  (A) x (B) y" in user.content or "Which {answer}?\n(A) x (B) y" in user.content
    assert "It is y." in user.content


def helper_script(body: Body, number: int) -> Answer | Body:
    """Works the problems that the rows of `anchored` have; tells the answer of one, and fails for another."""
    told = body["messages"][-1]["content"]
    text = told if isinstance(told, str) else "".join(part.get("text", "") for part in told)
    answer = int(text.rsplit("hint: ", 1)[1].split()[0])
    if answer == 12:
        return failure(400, "too hard")
    reply = REPLY.replace("4", str(answer - 6)).replace("10", str(answer))
    if answer == 11:
        reply = reply.replace("a sum of two numbers", f"the answer is {answer}")
    return completion(body, reply)


def test_a_helper_behind_a_server_writes_the_scaffolds(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    with ChatServer(helper_script) as server:
        options = ("--helper-model", "m", "--helper-engine", "openai", "--helper-url", server.url)
        result = scaffold(anchored, "--scaffold-from", "model", *options, "--levels", 5, "--from", "anchors", "-o", out)
        assert result.exit_code == 0, result.exception
        shown = server.requests[0]["messages"]
    assert shown[0]["role"] == "system"
    assert any(part["type"] == "image_url" for part in shown[1]["content"])
    rows = {row["answer"]: row["scaffold"] for row in rows_of(out)}
    assert rows["10"]["sources"] == ["", *["model"] * 5]
    assert rows["10"]["text"].endswith("The picture shows 4. 4 + 6 = ?")
    assert rows["11"]["sources"] == ["", "gold", *["model"] * 4]
    assert rows["11"]["notes"] == ["level 1 of model gives the answer away (stated)"]
    assert rows["12"]["sources"] == ["", *["gold"] * 5]
    assert "too hard" in rows["12"]["notes"][0]
    assert not any(row["leak"] for row in rows.values())


def test_a_helper_that_cannot_help_leaves_the_scaffolds_as_they_were(
    anchored: Path, tmp_path: Path, tiny_model: Path
) -> None:
    brief = tmp_path / "brief.yaml"
    brief.write_text("system: KNOWLEDGE PLAN PERCEPTION STEPS\nuser: '{question} {solution}'\n")
    helper = ("--scaffold-from", "model", "--helper-model", tiny_model, "--helper-prompt", brief)
    options = ("--levels", 5, "--from", "anchors")
    helped = scaffold(anchored, *helper, "--helper-max-tokens", 8, *options, "-o", tmp_path / "helped.jsonl")
    assert helped.exit_code == 0, helped.exception
    assert scaffold(anchored, *options, "-o", tmp_path / "own.jsonl").exit_code == 0
    for row, own in zip(rows_of(tmp_path / "helped.jsonl"), rows_of(tmp_path / "own.jsonl"), strict=True):
        assert row["scaffold"]["notes"] == ["the helper wrote no knowledge, plan, perception, steps"]
        assert row["scaffold"] | {"notes": []} == own["scaffold"]


@pytest.mark.parametrize(
    ("source", "tier", "top"),
    [("anchor", "template", 2), ("anchor", "item", 5), ("gold", "item", 0), ("auto", "item", 5)],
)
def test_an_anchor_lends_its_values_only_where_it_is_the_same_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, tier: str, top: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (row,) = anchored_rows(tmp_path, 1)
    row["problem"]["answer"] = row["anchors"][0]["problem"]["answer"]
    row["anchors"][0]["why"]["tier"] = tier
    row["problem"]["solution"] = "So the answer is 10."
    path = write_rows(tmp_path / "a.jsonl", [row])
    result = scaffold(path, "--scaffold-from", source, "--from", "frontier", "--targets", "raw")
    assert result.exit_code == 0, result.exception
    (made,) = [json.loads(line)["scaffold"] for line in result.stdout.splitlines()]
    assert len(set(made["ladder"])) == top + 1
    assert {name for name in made["sources"] if name} == ({"anchor t0"} if top else set())


SCRIPT = [
    {"match": r"\(1\)[\s\S]*A note that may help", "texts": ["7. Answer: 0"]},
    {"match": r"is shown", "texts": ["The sum. Answer: 10", "Answer: 3", "Worked. Answer: 11"]},
]


def fake(tmp_path: Path) -> tuple[str, ...]:
    script = write_rows(tmp_path / "script.jsonl", SCRIPT)
    return ("--targets", "rewrite", "--model", str(script), "--engine", "fake", "--max-tokens", "16")


def test_every_row_says_how_its_target_came_about(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    assert scaffold(anchored, *fake(tmp_path), "--levels", 2, "-o", out).exit_code == 0
    rows = {row["answer"]: row for row in rows_of(out)}
    assert rows["10"]["writing"] | {"clean": 1} == {
        "kind": "rewrite",
        "level": 2,
        "candidates": 4,
        "correct": 2,
        "clean": 1,
        "nll": None,
        "fallback": "",
    }
    assert rows["12"]["origin"] == "anchor/template"
    assert rows["12"]["writing"]["fallback"] == "none of 16 rewrites correct"
    assert rows["10"]["frontier_id"] == "n0"


def test_calibration_through_the_command_line(anchored: Path, tmp_path: Path) -> None:
    """By the script every problem comes right one time in four or less, but the one whose answer is 10."""
    script = [{"match": "worked solution", "texts": ["Answer: 10"]}, {"texts": ["Answer: 0"]}]
    model = write_rows(tmp_path / "s.jsonl", script)
    options = ("--calibrate", "--model", model, "--engine", "fake", "--from", "anchors")
    result = scaffold(anchored, *options, "-o", tmp_path / "x.jsonl")
    assert result.exit_code == 0, result.exception
    rows = {row["answer"]: row["scaffold"] for row in rows_of(tmp_path / "x.jsonl")}
    assert [one["level"] for one in rows["10"]["tried"]] == [3, 5, 4] or rows["10"]["level"] == 5
    assert rows["10"]["tried"][-1]["judged"] == 8
    assert "6 out of reach with all help" in result.stderr
    dropped = scaffold(anchored, *options, "--unreached", "drop")
    assert "dropped (out of reach with all help)" in dropped.stderr
    manifest = json.loads((tmp_path / "x.jsonl.manifest.json").read_text())
    assert manifest["notes"]["calibrated"]["unreached"] == 6
    assert manifest["notes"]["calibrated"]["since_resume"] is False
    again = scaffold(anchored, *options, "-o", tmp_path / "x.jsonl", "--resume")
    assert "since the resume, calibrated:" in again.stderr
    assert json.loads((tmp_path / "x.jsonl.manifest.json").read_text())["notes"]["calibrated"]["since_resume"] is True


def interrupted(whole: bytes, keep: int, path: Path) -> None:
    """The output as a kill leaves it: `keep` whole lines and a torn one."""
    lines = whole.splitlines(keepends=True)
    path.with_name(path.name + ".partial").write_bytes(b"".join(lines[:keep]) + b"".join(lines[keep:])[:40])
    path.unlink(missing_ok=True)


def replayed(tmp_path: Path) -> Path:
    right = {"text": "It is 3. Answer: 3", "finish_reason": "stop", "correct": True}
    rows = [
        {
            "schema": "rollout/1",
            "problem": {
                "id": f"r{number}",
                "question": "q",
                "images": ["0.png"],
                "answer": "3",
                "answer_type": "number",
            },
            "policy": "base",
            "sampling": {"n": 1},
            "completions": [right],
        }
        for number in range(30)
    ]
    return write_rows(tmp_path / "rollouts.jsonl", rows)


@pytest.mark.parametrize("keep", range(0, 17, 2))
def test_a_killed_run_resumed_gives_what_the_whole_run_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("anectl.stages.scaffold._WINDOW", 2)
    anchored = write_rows(tmp_path / "anchored.jsonl", anchored_rows(tmp_path, 7))
    out = tmp_path / "x.jsonl"
    options = (*fake(tmp_path), "--calibrate", "--per-anchor-cap", 2, "--replay", replayed(tmp_path), "-o", out)
    assert scaffold(anchored, *options).exit_code == 0
    whole = out.read_bytes()
    assert whole.count(b"\n") > 18
    interrupted(whole, keep, out)
    assert isinstance(scaffold(anchored, *options).exception, AnectlError)
    result = scaffold(anchored, *options, "--resume")
    assert result.exit_code == 0, result.exception
    assert out.read_bytes() == whole


def test_a_finished_run_resumed_is_the_same_file(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    options = (*fake(tmp_path), "-o", out)
    assert scaffold(anchored, *options).exit_code == 0
    whole = out.read_bytes()
    assert scaffold(anchored, *options, "--resume").exit_code == 0
    assert out.read_bytes() == whole


def test_a_resumed_run_with_other_settings_or_another_input_is_refused(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    options = (*fake(tmp_path), "-o", out)
    assert scaffold(anchored, *options).exit_code == 0
    interrupted(out.read_bytes(), 3, out)
    changed = scaffold(anchored, *options, "--resume", "--num-candidates", 5)
    assert "num_candidates: 4 before, 5 now" in str(changed.exception)
    rows = [row for row in anchored_rows(tmp_path) if row["problem"]["id"] not in ("n1", "n2")]
    write_rows(anchored, rows)
    before = out.with_name("x.jsonl.partial").read_bytes()
    assert "which the input does not have" in str(scaffold(anchored, *options, "--resume").exception)
    assert out.with_name("x.jsonl.partial").read_bytes() == before[: before.rindex(b"\n") + 1]


def test_a_resume_that_makes_nothing_takes_no_finished_row_away(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    options = (*fake(tmp_path), "-o", out)
    assert scaffold(anchored, *options).exit_code == 0
    whole, rows = out.read_bytes(), anchored.read_bytes()
    for kept in (2, 0):
        anchored.write_bytes(b"".join(rows.splitlines(keepends=True)[:kept]))
        assert scaffold(anchored, *options, "--resume").exit_code == 1
        assert out.read_bytes() == whole
    anchored.write_bytes(rows)
    (tmp_path / "script.jsonl").write_text('{"match": "nothing asks this", "texts": ["Answer: 0"]}\n')
    assert scaffold(anchored, *options, "--resume").exit_code == 1
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--targets", "raw", "--levels", "5"], "--levels has no effect without --targets template or rewrite"),
        (["--num-candidates", "9"], "--num-candidates has no effect without --targets rewrite"),
        (["--band", "0.9,0.1"], "--band has no effect without --calibrate"),
        (["--helper-url", "http://x"], "--helper-url has no effect without --helper-model"),
        (["--replay-share", "0.1"], "--replay-share has no effect without --replay"),
        (["--temperature", "inf"], "--temperature inf: must be a number"),
        (["--replay", "-"], "both stdin"),
    ],
)
def test_options_that_would_do_nothing_are_refused(anchored: Path, options: list[str], complaint: str) -> None:
    inputs = () if "-" in options else (anchored,)
    assert complaint in str(scaffold(*inputs, *options).exception)


def test_what_the_engine_failed_to_draw_is_said(anchored: Path, tmp_path: Path) -> None:
    """With the file, with each row that is made another way, and in place of a level that nothing was seen at."""
    out, broken = tmp_path / "x.jsonl", write_rows(tmp_path / "s.jsonl", [{"error": "HTTP 400"}])
    options = ("--from", "anchors", "--model", broken, "--engine", "fake", "-o", out)
    rewritten = scaffold(anchored, *options, "--targets", "rewrite", "--levels", 4)
    assert "engine errors (the first: HTTP 400)" in rewritten.stderr
    rows = rows_of(out)
    assert {row["writing"]["fallback"] for row in rows} == {
        "none of 8 rewrites correct; the engine failed 8 times: HTTP 400"
    }
    failed = json.loads((tmp_path / "x.jsonl.manifest.json").read_text())["notes"]["engine_errors"]
    assert failed == 8 * len(rows)
    calibrated = scaffold(anchored, *options, "--calibrate")
    assert "dropped (the engine failed at every completion of a level)" in calibrated.stderr
    assert rows_of(out) == []
    helped = ("--scaffold-from", "model", "--helper-model", broken, "--helper-engine", "fake")
    assert "engine errors (the first: HTTP 400)" in scaffold(anchored, *helped).stderr


def test_an_image_that_cannot_be_decoded_costs_its_row_the_nll_and_no_other(
    anchored: Path, tmp_path: Path, tiny_model: Path
) -> None:
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    result = scaffold(anchored, "--from", "anchors", "--model", tiny_model, "-o", tmp_path / "x.jsonl")
    assert result.exit_code == 0, result.exception
    assert "1 engine errors (the first: image" in result.stderr
    losses = {row["problem_id"]: row["writing"]["nll"] for row in rows_of(tmp_path / "x.jsonl")}
    assert [name for name, loss in losses.items() if loss is None] == ["t1"]
    assert len(losses) == 7


def test_rows_of_a_window_are_written_before_the_next_window_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script knows no answer for the last row, which ends the run in its window."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("anectl.stages.scaffold._WINDOW", 2)
    rows = anchored_rows(tmp_path, 6)
    for number, row in enumerate(rows):
        row["anchors"] = row["anchors"][:1]
        row["anchors"][0]["problem"]["question"] = f"Sum number {number}?"
    write_rows(tmp_path / "anchored.jsonl", rows)
    script = write_rows(tmp_path / "s.jsonl", [{"match": "number [0-4]", "texts": ["Answer: 0"]}])
    options = ("--targets", "rewrite", "--from", "anchors", "--model", script, "--engine", "fake")
    assert scaffold(tmp_path / "anchored.jsonl", *options, "-o", tmp_path / "x.jsonl").exit_code == 1
    assert [row["frontier_id"] for row in rows_of(tmp_path / "x.jsonl.partial")] == ["n0", "n1", "n2", "n3"]


def test_an_anchor_that_is_asked_for_and_missing_gives_no_scaffold(anchored: Path, tmp_path: Path) -> None:
    rows = anchored_rows(tmp_path)
    rows[0] |= {"anchors": [], "problem": rows[0]["problem"] | {"answer": "10", "steps": ["4 + 6 = 10."]}}
    write_rows(anchored, rows[:1])
    options = ("--levels", 5, "--from", "frontier", "-o", tmp_path / "x.jsonl")
    for source, sources in (("anchor", set()), ("auto", {"gold"})):
        assert scaffold(anchored, *options, "--scaffold-from", source).exit_code == 0
        (row,) = rows_of(tmp_path / "x.jsonl")
        assert set(row["scaffold"]["sources"]) - {""} == sources


def test_only_what_was_solved_without_help_is_replayed(anchored: Path, tmp_path: Path) -> None:
    path = replayed(tmp_path)
    rows = rows_of(path)[:4]
    right = rows[0]["completions"][0]
    rows[1] |= {"completions": [right, *[{"text": "It is", "finish_reason": "length"}] * 7]}
    rows.append(rows[2] | {"completions": [{"text": "Answer: 4", "finish_reason": "stop", "correct": False}] * 9})
    write_rows(path, rows)
    options = ("--replay", path, "--replay-share", 0.5, "-o", tmp_path / "x.jsonl")
    assert scaffold(anchored, *options).exit_code == 0
    made = {row["problem_id"] for row in rows_of(tmp_path / "x.jsonl") if row["origin"] == "replay/self"}
    assert made == {"r0", "r3"}
    rows[3]["sampling"] = {"n": 1, "reveal": "The answer is {answer}."}
    write_rows(path, rows)
    told = scaffold(anchored, *options)
    assert "'r3' was drawn with its answer revealed" in str(told.exception)
    assert f"{path}:4" in str(told.exception)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems of the tiny world as anchored rows without anchors: two families that the base masters, two it fails."""
    sys.path.insert(0, str(ROOT / "examples/tinyworld"))
    try:
        from world import WorldGenerator, write_split
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp("world")
    families = ("digit", "count", "ladder", "champion")
    write_split(folder / "p.jsonl", "pool", WorldGenerator().split("pool", 24, families, 7))
    problems = [json.loads(line) for line in (folder / "p.jsonl").read_text().splitlines()]
    extra = {"zone": "unsure", "posterior": {"a": 1, "b": 1, "low": 0, "high": 1, "confidence": 0}, "anchors": []}
    base = {"schema": "anchored/1", "policy": "x", "sampling": {"n": 1, "instruction": ""}, "completions": []}
    write_rows(folder / "anchored.jsonl", [base | extra | {"problem": problem} for problem in problems])
    return folder


def test_the_base_needs_help_where_it_fails_and_none_where_it_does_not(world: Path, tmp_path: Path) -> None:
    """The levels are found with one seed; how the base does there is seen with another."""
    tinyworld = ROOT / "examples/tinyworld"
    options = ["--model", tinyworld / "base", "--template", tinyworld / "scaffold.yaml", "--calibrate"]
    options += ["--max-tokens", 96, "--batch-size", 32, "--answer-format", "Answer: {answer}", "--image-root", world]
    result = scaffold(world / "anchored.jsonl", *options, "--targets", "rewrite", "-o", tmp_path / "x.jsonl")
    assert result.exit_code == 0, result.exception
    levels: dict[str, list[int]] = {}
    rows = rows_of(tmp_path / "x.jsonl")
    families = {row["problem"]["id"]: row["problem"]["source"]["family"] for row in rows_of(world / "anchored.jsonl")}
    for row in rows:
        levels.setdefault(families[row["problem_id"]], []).append(row["scaffold"]["level"])
        assert row["writing"]["nll"] > 0
    assert Counter(levels["digit"] + levels["count"]).most_common(1)[0][0] == 0
    assert sum(level > 0 for level in levels["ladder"] + levels["champion"]) >= 9
    fresh = draws_of(tinyworld / "base", rows, world, seed=1000)
    assert sum(wilson(right, 16)[1] >= 0.3 for right in fresh) >= 0.8 * len(rows)
    assert sum(right >= 0.3 * 16 for right in fresh) >= 0.7 * len(rows)


def draws_of(model: Path, rows: list[dict[str, Any]], folder: Path, *, seed: int) -> list[int]:
    """How many of 16 completions of each row's own prompt, drawn with seeds of their own, are right."""
    examples = [decode(json.dumps(row).encode(), Example) for row in rows]
    root = ImageRoot(folder)
    requests = [
        PromptRequest(
            one.problem_id,
            one.prompt,
            root.resolve_all(one.images, None),
            tuple(sample_seed(seed, one.problem_id, number) for number in range(16)),
        )
        for one in examples
    ]
    policy = engines.load_policy(str(model), batch_size=32)
    draws = policy.sample(requests, SamplingParams(1.0, 1.0, 96))
    return [
        sum(grade(draw.text, draw.finish_reason, GradeSpec.of(one)).correct is True for draw in group)
        for one, group in zip(examples, draws, strict=True)
    ]
