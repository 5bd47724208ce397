"""grade: new grades for saved rows, one line per profile, what changed, resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, problem_rows, write_rows


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def completion(text: str, **fields: Any) -> dict[str, Any]:
    return {"text": text, "finish_reason": "stop", "num_tokens": 3, **fields}


@pytest.fixture
def rollouts(tmp_path: Path) -> list[dict[str, Any]]:
    """Two rollouts whose grades are missing or out of date, with a field this version does not know."""
    rows = []
    for problem in problem_rows(tmp_path, 2):
        completions = [
            completion(f"Answer: {problem['answer']}"),
            completion("Answer: 9", correct=True, reason="exact"),
        ]
        sampling = {"n": 2, "seed": 4}
        rows.append(
            {
                "schema": "rollout/1",
                "key": problem["id"],
                "problem": problem,
                "policy": "m",
                "sampling": sampling,
                "completions": completions,
                "note": "kept",
            }
        )
    write_rows(tmp_path / "r.jsonl", rows)
    return rows


@pytest.fixture
def scores(tmp_path: Path) -> list[dict[str, Any]]:
    """Three score rows with their problems."""
    rows = [
        {
            "schema": "score/1",
            "problem_id": problem["id"],
            "benchmark": "b",
            "cluster": problem["id"],
            "policy": "m",
            "completions": [completion(f"Answer: {problem['answer']}.0")],
            "problem": problem,
        }
        for problem in problem_rows(tmp_path, 3)
    ]
    write_rows(tmp_path / "s.jsonl", rows)
    return rows


def test_rollouts_are_graded_again_and_otherwise_kept(
    anectl: Cli, tmp_path: Path, rollouts: list[dict[str, Any]]
) -> None:
    done = anectl("grade", "r.jsonl")
    found = lines(done.stdout)
    assert [[one["correct"] for one in row["completions"]] for row in found] == [[True, False], [True, False]]
    assert [row["note"] for row in found] == ["kept", "kept"]
    assert [row["problem"]["id"] for row in found] == ["p0", "p1"]
    assert "4 of 4 grades changed" in done.stderr
    assert "correct (exact)" in done.stderr
    again = anectl("grade", stdin=done.stdout)
    assert again.stdout == done.stdout
    assert "0 of 4 grades changed" in again.stderr


def test_a_rollout_has_one_profile(anectl: Cli, rollouts: list[dict[str, Any]]) -> None:
    failed = anectl("grade", "r.jsonl", "--profile", "strict", "--profile", "mmmu", ok=False)
    assert "r.jsonl:1: a rollout has one grade" in failed.stderr
    (one, two) = lines(anectl("grade", "r.jsonl", "--profile", "lmms-eval").stdout)
    assert one["profile"] == two["profile"] == "lmms-eval"


def test_scores_come_out_once_a_profile_whatever_they_had(
    anectl: Cli, tmp_path: Path, scores: list[dict[str, Any]]
) -> None:
    asked = ["--profile", "strict", "--profile", "dynamath"]
    done = anectl("grade", "s.jsonl", *asked, "-o", "t.jsonl")
    first = lines((tmp_path / "t.jsonl").read_text())
    assert [row["profile"] for row in first] == ["strict", "dynamath"] * 3
    assert "disagree" in done.stderr
    done = anectl("grade", "t.jsonl", *asked)
    assert lines(done.stdout) == first
    assert "3 dropped (the same completions under another profile)" in done.stderr


def test_a_score_without_its_problem_says_what_to_do(anectl: Cli, tmp_path: Path, scores: list[dict[str, Any]]) -> None:
    del scores[1]["problem"]
    write_rows(tmp_path / "s.jsonl", scores)
    failed = anectl("grade", "s.jsonl", ok=False)
    assert "s.jsonl:2: the score does not hold its problem" in failed.stderr
    assert "--predictions" in failed.stderr


def test_frontier_rows_are_refused(anectl: Cli, tmp_path: Path, rollouts: list[dict[str, Any]]) -> None:
    write_rows(tmp_path / "f.jsonl", rollouts)
    frontier = anectl("locate-frontier", "f.jsonl").stdout
    failed = anectl("grade", stdin=frontier, ok=False)
    assert "<stdin>:1: a frontier row follows from its grades" in failed.stderr


def test_explain_shows_the_path_of_each_grade(anectl: Cli, scores: list[dict[str, Any]]) -> None:
    done = anectl("grade", "s.jsonl", "--explain", "--limit", 1)
    (told,) = [line for line in done.stderr.splitlines() if "p0[0]:" in line]
    assert "numeric" in told
    assert len(told.split(". ")) >= 3
    failed = anectl("grade", "s.jsonl", "--explain", "--profile", "mmmu", ok=False)
    assert failed.returncode == 2


def test_a_stopped_run_goes_on_where_it_was(anectl: Cli, tmp_path: Path, scores: list[dict[str, Any]]) -> None:
    asked = ["grade", "s.jsonl", "--profile", "strict", "--profile", "mathvista"]
    anectl(*asked, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    for count in range(1, 6):
        (tmp_path / "again.jsonl.partial").write_bytes(b"".join(whole.splitlines(keepends=True)[:count]) + whole[:30])
        anectl(*asked, "-o", "again.jsonl", "--resume")
        assert (tmp_path / "again.jsonl").read_bytes() == whole
        (tmp_path / "again.jsonl").unlink()


def test_bad_rows_are_named_or_rejected(anectl: Cli, tmp_path: Path, scores: list[dict[str, Any]]) -> None:
    text = (tmp_path / "s.jsonl").read_text()
    (tmp_path / "s.jsonl").write_text(text + '{"schema": "score/9"}\n{"torn\n')
    failed = anectl("grade", "s.jsonl", ok=False)
    assert "s.jsonl:4: unknown version 'score/9'" in failed.stderr
    done = anectl("grade", "s.jsonl", "--on-error", "skip", "--rejects", "rejects.jsonl")
    assert len(lines(done.stdout)) == 3
    assert len(lines((tmp_path / "rejects.jsonl").read_text())) == 2


def test_a_grade_by_another_profile_is_no_change(anectl: Cli, tmp_path: Path) -> None:
    problem = {"schema": "problem/1", "id": "p", "question": "?", "answer": "1", "answer_type": "number"}
    score = {
        "schema": "score/1",
        "problem_id": "p",
        "benchmark": "b",
        "cluster": "c",
        "policy": "m",
        "problem": problem,
    }
    (tmp_path / "s.jsonl").write_text(
        json.dumps(score | {"completions": [{"text": "1", "finish_reason": "stop"}]}) + "\n"
    )
    assert "changed" not in anectl("grade", "s.jsonl", "--profile", "mmmu").stderr


def test_rows_that_were_never_graded_are_sent_to_eval(anectl: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": "p", "prediction": "1"}\n')
    assert "--predictions FILE" in anectl("grade", "p.jsonl", ok=False).stderr
