"""train-prm: learns which steps are good, from labels alone, and goes on exactly where it was stopped."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import ROOT, Cli, write_rows
from tests.training_rows import invoke, read_log, same_weights, stop_after

BASE = ROOT / "examples/tinyworld/base"


def valued(folder: Path, first: int, count: int, *, drawn: int = 4) -> list[dict[str, Any]]:
    """Rollouts whose steps are good when they read a row and bad when they name a place; some have no picture."""
    rows = []
    for number in range(first, first + count):
        rng = random.Random(number)
        Image.new("RGB", (64, 64), (number * 3 % 256, 90, 10)).save(folder / f"{number}.png")
        completions = []
        for _ in range(drawn):
            good = [rng.random() < 0.6 for _ in range(3)]
            a, b = rng.randrange(9), rng.randrange(9)
            steps = [f" Row {a} reads {b}." if one else f" Place {a} has {b}." for one in good]
            values = [{"correct": 4 * one, "judged": 4} for one in good]
            done = {"text": "".join(steps), "finish_reason": "stop", "correct": good[-1], "steps": steps}
            completions.append(done | {"values": values})
        images = [f"{number}.png"] if number % 3 else []
        problem = {"schema": "problem/1", "id": f"p{number}", "question": "Which?", "images": images}
        row = {"schema": "rollout/1", "problem": problem | {"answer": "1", "answer_type": "number"}, "policy": "p"}
        rows.append(row | {"sampling": {"n": drawn, "instruction": ""}, "completions": completions})
    return rows


TRAIN = ("--model", BASE, "--learning-rate", "1e-3", "--batch-size", "16")


@pytest.mark.parametrize("kind", [(), ("--lora", "--merge"), ("--targets", "soft")])
def test_held_out_steps_are_told_apart(tmp_path: Path, anectl: Cli, kind: tuple[str, ...]) -> None:
    write_rows(tmp_path / "v.jsonl", valued(tmp_path, 0, 32))
    write_rows(tmp_path / "h.jsonl", valued(tmp_path, 100, 12))
    done = anectl("train-prm", "v.jsonl", *TRAIN, "--epochs", 4, *kind, "-o", "prm")
    assert "384 labelled steps of 128 completions" in done.stderr
    scored = anectl("score-steps", "h.jsonl", "--prm", "prm")
    figures = scored.stderr.partition("AUC ")[2].split()
    assert float(figures[0]) > 0.97
    assert "on 144 labelled steps" in scored.stderr


def test_the_loss_is_a_mean_over_labelled_steps_whatever_the_batches(tmp_path: Path, anectl: Cli) -> None:
    rows = valued(tmp_path, 0, 4)
    rows[0]["completions"][0]["values"] = [None, {"correct": 1, "judged": 4}, None]
    write_rows(tmp_path / "v.jsonl", rows)
    losses = []
    for number, batch in enumerate((("--batch-size", 16), ("--batch-size", 4, "--gradient-accumulation", 4))):
        anectl("train-prm", "v.jsonl", "--model", BASE, "--max-steps", 2, *batch, "-o", f"prm{number}")
        log = (tmp_path / f"prm{number}/log.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in log])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "v.jsonl", valued(tmp_path, 0, 32))
    monkeypatch.chdir(tmp_path)
    asked = ("train-prm", "v.jsonl", *TRAIN, "--max-steps", 24, "--save-steps", 2)
    invoke(*asked, "-o", "whole")
    stop_after(5, tmp_path / "prm", *asked, "-o", "prm")
    assert not (tmp_path / "prm").exists()
    invoke(*asked, "-o", "prm", "--resume")
    assert same_weights(tmp_path / "whole", tmp_path / "prm")
    assert [line["step"] for line in read_log(tmp_path / "prm")] == list(range(1, 25))
    assert json.loads((tmp_path / "prm/prm.json").read_text()) == {"good": "+", "bad": "-"}


def test_completions_without_values_are_left_out_with_a_reason(tmp_path: Path, anectl: Cli) -> None:
    rows = valued(tmp_path, 0, 3)
    for completion in rows[1]["completions"]:
        completion["values"] = None
    write_rows(tmp_path / "v.jsonl", rows)
    done = anectl("train-prm", "v.jsonl", *TRAIN, "--max-steps", 1, "-o", "prm")
    assert "1 dropped (nothing in it to train on)" in done.stderr
    write_rows(tmp_path / "none.jsonl", rows[1:2])
    failed = anectl("train-prm", "none.jsonl", *TRAIN, "-o", "none", ok=False)
    assert "no rows to train on" in failed.stderr


def test_steps_that_are_not_the_text_are_refused_with_their_line(tmp_path: Path, anectl: Cli) -> None:
    rows = valued(tmp_path, 0, 2)
    rows[1]["completions"][0]["steps"][0] = "Row"
    write_rows(tmp_path / "v.jsonl", rows)
    failed = anectl("train-prm", "v.jsonl", *TRAIN, "-o", "prm", ok=False)
    assert "v.jsonl:2: the steps of a completion do not join to its text" in failed.stderr


@pytest.mark.parametrize("labels", ["+", "+,+", ",-", "good step,bad step"])
def test_labels_that_are_not_two_tokens_are_refused(tmp_path: Path, anectl: Cli, labels: str) -> None:
    write_rows(tmp_path / "v.jsonl", valued(tmp_path, 0, 1))
    failed = anectl("train-prm", "v.jsonl", *TRAIN, "--labels", labels, "-o", "prm", ok=False)
    assert "labels" in failed.stderr or "label" in failed.stderr
    assert "Traceback" not in failed.stderr
