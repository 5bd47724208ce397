"""log-round: one line says how a round went."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from anectl.cli import app


def rollout(number: int, correct: list[bool | None], *, policy: str = "m2", scores: bool = True) -> dict[str, Any]:
    problem = {"schema": "problem/1", "id": f"p{number}", "question": "?", "answer": "7", "answer_type": "number"}
    completions = [
        {
            "text": "x",
            "finish_reason": "stop" if place else "length",
            "num_tokens": 4,
            "logprob": -2.0,
            "correct": right,
        }
        | ({"step_scores": [0.1 * place]} if scores else {})
        for place, right in enumerate(correct)
    ]
    sampling = {"n": len(correct), "temperature": 0.9}
    return {
        "schema": "rollout/1",
        "problem": problem,
        "policy": policy,
        "sampling": sampling,
        "completions": completions,
    }


def greedy(number: int, right: bool) -> dict[str, Any]:
    drawn = [{"text": "x", "finish_reason": "stop", "correct": right}]
    return {"schema": "score/1", "problem_id": f"p{number}", "benchmark": "b", "cluster": "", "policy": "m2"} | {
        "completions": drawn
    }


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(*arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
    done = CliRunner().invoke(app, ["log-round", "--round", "3", *arguments], catch_exceptions=code == 1)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout or "{}"), done.stderr + str(done.exception or "")


def test_the_line_has_what_could_be_found_and_what_is_given(tmp_path: Path) -> None:
    # The best two by score are the last two completions.
    rows = [
        rollout(0, [True, True, False, False]),
        rollout(1, [False, False, False, True]),
        rollout(2, [False, None, False, False]),
        rollout(3, [True, True, True, True]),
    ]
    scores = write(tmp_path / "g.jsonl", [greedy(number, number == 3) for number in range(4)])
    result = {"schema": "result/1", "command": "sft", "base": "b", "checkpoint": "m3", "num_examples": 7}
    result |= {"steps": 30, "seconds": 1.0, "metrics": {"loss": 0.5}, "budget": {"total_steps": 90}}
    trained = write(tmp_path / "result.json", [result])
    record, log = run(write(tmp_path / "r.jsonl", rows), "--greedy", scores, "--result", trained)
    assert record["number"] == 3
    assert record["temperature"] == 0.9
    assert record["pass_at_k"]["value"] == 0.75
    assert math.isclose(record["pass_rate"]["value"], 7 / 16)
    assert record["reward_pass"]["value"] == 0.5
    assert record["greedy"]["value"] == 0.25
    assert record["exploration"] == 0.5
    assert record["surprisal"] == 0.5
    assert record["mean_tokens"] == 4
    assert record["truncated"] == 0.25
    assert (record["num_examples"], record["steps"], record["total_steps"]) == (7, 30, 90)
    assert "round 3: pass rate 43.8, pass@4 75.0, greedy 25.0, Reward-Pass@2 50.0" in log


def test_figures_that_not_every_problem_has_are_left_open(tmp_path: Path) -> None:
    rows = [rollout(0, [True, False]), rollout(1, [True, False], scores=False)]
    rows[1]["completions"][0]["logprob"] = None
    record, _ = run(write(tmp_path / "r.jsonl", rows))
    assert record["reward_pass"] is None
    assert record["surprisal"] is None
    assert record["greedy"] is None
    assert record["exploration"] is None


def test_an_empty_completion_has_nothing_to_score_and_leaves_the_figure_there(tmp_path: Path) -> None:
    rows = [rollout(0, [True, False, False, True]), rollout(1, [False, None, False, True])]
    before, _ = run(write(tmp_path / "all.jsonl", rows))
    rows[1]["completions"][1] |= {"text": "", "step_scores": None}
    record, _ = run(write(tmp_path / "r.jsonl", rows))
    assert before["reward_pass"] is not None
    assert record["reward_pass"] == before["reward_pass"]


def test_rows_of_two_rounds_do_not_mix(tmp_path: Path) -> None:
    rows = [rollout(0, [True, False]), rollout(1, [True, False], policy="m1")]
    _, log = run(write(tmp_path / "r.jsonl", rows), code=1)
    assert "r.jsonl:2: 2 completions of 'm1'" in log
