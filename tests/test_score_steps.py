"""score-steps: each step is read where it ends, and the figures about scores are what they say."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.prm import auc, best_of, calibration, step_labels
from anectl.core.records import Completion, StepValue
from tests.conftest import Cli, problem_rows, write_rows


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), max_size=12))
def test_auc_is_the_chance_that_a_good_step_is_ranked_over_a_bad_one(pairs: list[tuple[float, bool]]) -> None:
    good, bad = ([score for score, is_good in pairs if is_good == kind] for kind in (True, False))
    duels = [(a > b) + (a == b) / 2 for a in good for b in bad]
    found = auc(pairs)
    if not duels:
        assert found is None
    else:
        assert found is not None
        assert math.isclose(found, sum(duels) / len(duels))


def test_scores_that_are_true_chances_are_calibrated() -> None:
    rng = random.Random(0)
    scores = [rng.random() for _ in range(20_000)]
    pairs = [(score, float(rng.random() < score)) for score in scores]
    bins, error = calibration(pairs)
    assert error is not None
    assert error < 0.02
    assert sum(one.count for one in bins) == len(pairs)
    assert calibration([(score, 1 - label) for score, label in pairs])[1] > 0.3  # type: ignore[operator]
    assert calibration([]) == ([], None)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), min_size=1, max_size=7), st.data())
def test_best_of_k_is_the_mean_over_all_ways_to_draw_k(rows: list[tuple[float, bool]], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(rows)))
    ways = list(itertools.combinations(range(len(rows)), k))
    wins = sum(rows[max(way, key=lambda place: (rows[place][0], -place))][1] for way in ways)
    rewards, correct = [row[0] for row in rows], [row[1] for row in rows]
    assert math.isclose(best_of(rewards, correct, k), wins / len(ways), abs_tol=1e-12)


def test_labels_are_of_the_continuations_and_the_last_step_is_as_right_as_its_completion() -> None:
    values = (StepValue(correct=3, judged=4), StepValue(correct=0, judged=4), None, None)
    completion = Completion(text="abcd", finish_reason="stop", correct=False, steps=tuple("abcd"), values=values)
    assert step_labels(completion, "soft") == (0.75, 0.0, None, 0.0)
    assert step_labels(completion, "hard") == (1.0, 0.0, None, 0.0)
    assert step_labels(Completion(text="a", finish_reason="stop", correct=True), "hard") == ()


@pytest.fixture(scope="module")
def prm(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A process reward model that has learnt nothing."""
    folder = tmp_path_factory.mktemp("prm")
    shutil.copytree(tiny_model, folder, dirs_exist_ok=True)
    (folder / "prm.json").write_text('{"good": "+", "bad": "-"}')
    return folder


TEXTS = ["Row 1 reads 1 2. Answer: 1", "Row 2.\nThe rest is 3 4. So it is. Answer: 0", "7"]


def rollouts(folder: Path, count: int = 3) -> list[dict[str, Any]]:
    """Problems with pictures, three completions each, of one to four steps; one of the rows has no picture."""
    rows = []
    for number, problem in enumerate(problem_rows(folder, count)):
        drawn = [
            {"text": text, "finish_reason": "stop", "correct": place == 0, "extracted": str(place)}
            for place, text in enumerate(TEXTS)
        ]
        drawn.append({"text": "", "finish_reason": "error", "error": "lost", "correct": None})
        if number == 1:
            problem["images"] = []
        sampling = {"n": len(drawn), "instruction": ""}
        rows.append(
            {"schema": "rollout/1", "problem": problem, "policy": "p", "sampling": sampling, "completions": drawn}
        )
    return rows


def test_every_step_gets_the_chance_that_the_model_gives_it(tmp_path: Path, prm: Path, anectl: Cli) -> None:
    import torch

    from anectl.engines.checkpoints import load_vlm

    write_rows(tmp_path / "r.jsonl", rollouts(tmp_path))
    done = anectl("score-steps", "r.jsonl", "--prm", prm)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    first = rows[0]["completions"]
    assert [len(one["steps"]) for one in first[:3]] == [2, 4, 1]
    assert [len(one["step_scores"]) for one in first[:3]] == [2, 4, 1]
    assert first[3]["step_scores"] is None
    assert rows[1]["completions"][0]["step_scores"] != first[0]["step_scores"]
    assert "12 completions scored, 3 of them could not be scored" in done.stderr

    # By hand: the text up to the end of the second step, alone, and what the model expects behind it.
    model, processor = load_vlm(str(prm), "float32")
    problem, steps = rows[0]["problem"], first[1]["steps"]
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": problem["question"]}]}]
    from PIL import Image

    text = processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) + "".join(steps[:2])
    with Image.open(tmp_path / "0.png") as picture:
        inputs = processor(text=[text], images=[[picture]], add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1]
    good, bad = (processor.tokenizer.convert_tokens_to_ids(label) for label in "+-")
    assert math.isclose(first[1]["step_scores"][1], float((logits[good] - logits[bad]).sigmoid()), abs_tol=1e-4)


def test_completions_of_a_problem_that_say_the_same_have_the_same_scores(
    tmp_path: Path, prm: Path, anectl: Cli
) -> None:
    rows = rollouts(tmp_path, 2)
    for row in rows:
        row["completions"] = [*row["completions"], row["completions"][1], row["completions"][0]]
    write_rows(tmp_path / "r.jsonl", rows)
    done = anectl("score-steps", "r.jsonl", "--prm", prm, "--batch-size", 3)
    for line in done.stdout.splitlines():
        scores = [one["step_scores"] for one in json.loads(line)["completions"]]
        assert scores[4] == scores[1] != scores[0] == scores[5]
        assert scores[3] is None


def test_scores_do_not_depend_on_the_company_and_a_resumed_file_is_the_same(
    tmp_path: Path, prm: Path, anectl: Cli
) -> None:
    write_rows(tmp_path / "r.jsonl", rollouts(tmp_path, 5))
    scores = []
    for size in (1, 4, 32):
        done = anectl("score-steps", "r.jsonl", "--prm", prm, "--batch-size", size)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        scores.append([score for row in rows for one in row["completions"] for score in one["step_scores"] or ()])
    for other in scores[1:]:
        assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(scores[0], other, strict=True))
    anectl("score-steps", "r.jsonl", "--prm", prm, "--batch-size", 2, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "cut.jsonl.partial").write_bytes(b"".join(lines[:3]) + lines[3][:40])
    anectl("score-steps", "r.jsonl", "--prm", prm, "--batch-size", 2, "-o", "cut.jsonl", "--resume")
    assert (tmp_path / "cut.jsonl").read_bytes() == whole


def test_the_table_says_what_ranking_is_worth(tmp_path: Path, prm: Path, anectl: Cli) -> None:
    rows = rollouts(tmp_path)
    for row in rows:
        del row["completions"][3]
    write_rows(tmp_path / "r.jsonl", rows)
    done = anectl("score-steps", "r.jsonl", "--prm", prm)
    for name in ("best by score", "majority", "majority, weighted", "pass@k"):
        assert name in done.stderr


def test_a_policy_is_no_process_reward_model(tmp_path: Path, tiny_model: Path, anectl: Cli) -> None:
    write_rows(tmp_path / "r.jsonl", rollouts(tmp_path, 1))
    failed = anectl("score-steps", "r.jsonl", "--prm", tiny_model, ok=False)
    assert "is no process reward model" in failed.stderr
    assert "train-prm" in failed.stderr


def test_rows_scored_by_another_model_are_not_gone_on_with(tmp_path: Path, prm: Path, anectl: Cli) -> None:
    write_rows(tmp_path / "r.jsonl", rollouts(tmp_path, 2))
    done = anectl("score-steps", "r.jsonl", "--prm", prm)
    scored = [json.loads(line) | {"step_scorer": "other"} for line in done.stdout.splitlines()]
    write_rows(tmp_path / "s.jsonl.partial", scored[:1])
    failed = anectl("score-steps", "r.jsonl", "--prm", prm, "-o", "s.jsonl", "--resume", ok=False)
    assert "holds rows scored by 'other'" in failed.stderr
