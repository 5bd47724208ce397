"""Drift of sft: what is measured before and after is what the two checkpoints say, however the run went."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.jsonl import decode
from anectl.core.policy_drift import HeldOut, Measure, bare, chosen_rows, drift, mastered, surprise, within
from anectl.core.records import Example
from anectl.core.train_sizes import RowSize
from anectl.core.training import TrainingRow
from tests.training_rows import example_row, invoke, read_log, same_weights, stop_after, train, write_rows

COLOURS = ("red", "green", "blue", "white")


def training_row(folder: Path, number: int = 0, **more: Any) -> TrainingRow:
    example = decode(json.dumps(example_row(folder, number, **more)).encode(), Example)
    return TrainingRow(example, (ImageRef(example.images[0], str(folder / example.images[0])),))


def held(folder: Path, number: int, *tags: str) -> HeldOut:
    return HeldOut(training_row(folder, number), tags)


def rollout_row(folder: Path, number: int, verdicts: str, *, tags: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A rollout whose completions are right (+), wrong (-) or not judged (?)."""
    example = example_row(folder, number)
    problem = {name: example[name] for name in ("answer", "answer_type", "images")}
    problem |= {"id": f"h{number}", "question": f"Which number is picture {number}?", "tags": list(tags)}
    completions = [
        {
            "text": f" Row {number % 4} reads \\boxed{{{number % 4}}} ({place})",
            "finish_reason": "stop",
            "correct": {"+": True, "-": False, "?": None}[verdict],
        }
        for place, verdict in enumerate(verdicts)
    ]
    whole = {"schema": "rollout/1", "problem": problem, "policy": "base", "sampling": {"instruction": "Say it."}}
    return whole | {"completions": completions} | more


# --- arithmetic -----------------------------------------------------------------------------------------------------
def test_the_surprise_of_targets_is_a_mean_over_tokens(tmp_path: Path) -> None:
    rows = [training_row(tmp_path, number) for number in range(3)]
    found = surprise(rows, {0: Measure(2, 4.0, False), 1: Measure(6, 6.0, False), 2: Measure(2, 5.0, True)})
    assert (found.rows, found.tokens, found.nll) == (3, 10, 1.5)
    assert 1.0 <= found.low < 1.5 < found.high <= 2.5


def test_forgetting_is_told_for_each_tag_worst_first(tmp_path: Path) -> None:
    rows = [held(tmp_path, 0, "sum"), held(tmp_path, 1, "sum", "hard"), held(tmp_path, 2, "max")]
    before = {0: Measure(4, 1.0, True), 1: Measure(4, 3.0, True), 2: Measure(2, 1.0, False)}
    after = {0: Measure(4, 2.0, False, 0.4), 1: Measure(4, 6.0, True, 1.2), 2: Measure(2, 1.0, True, 0.1)}
    found = drift(None, rows, before, after)
    assert found.held_out is not None
    assert (found.held_out.rows, found.held_out.tokens, found.held_out.tag) == (3, 10, None)
    assert (found.held_out.nll_before, found.held_out.nll_after) == (0.5, 0.9)
    assert found.held_out.kl == pytest.approx(0.17)
    assert (found.held_out.greedy_before, found.held_out.greedy_after, found.held_out.lost) == (2, 2, 1)
    assert [(one.tag, one.rows, round(one.kl, 6)) for one in found.tags] == [
        ("hard", 1, 0.3),
        ("sum", 2, 0.2),
        ("max", 1, 0.05),
    ]
    assert found.tags[1].kl_low <= 0.2 <= found.tags[1].kl_high


def test_a_run_without_held_out_rows_tells_only_of_its_targets() -> None:
    assert drift(None, [], {}, {}).held_out is None


@pytest.mark.parametrize("carrier", ["prompt", "prefix"])
def test_targets_are_measured_without_their_scaffold(tmp_path: Path, carrier: str) -> None:
    example = bare(training_row(tmp_path, 1, level=2, carrier=carrier)).example
    assert [message.content for message in example.prompt] == ["Which number is picture 1?"]
    said = "look at it." if carrier == "prefix" else ""
    assert example.completion[0].content == said + " Row 1 reads \\boxed{1}"


def test_the_rows_to_measure_follow_from_the_seed(tmp_path: Path) -> None:
    rows = [training_row(tmp_path, number) for number in range(9)]
    names = [row.example.problem_id for row in chosen_rows(rows, 4, seed=1)]
    assert names == [row.example.problem_id for row in chosen_rows(rows, 4, seed=1)] == sorted(names)
    assert chosen_rows(rows, 20, seed=1) == rows


def test_a_problem_is_mastered_where_most_of_its_completions_are_right(tmp_path: Path) -> None:
    verdicts = ["++++", "+++-", "++--", "++??", "----", "-+++++++"]
    rows = [rollout_row(tmp_path, number, each, tags=("t",)) for number, each in enumerate(verdicts)]
    rows.append(
        {**rollout_row(tmp_path, 9, "+")} | {"completions": [{"text": "x", "finish_reason": "length", "correct": True}]}
    )
    path = write_rows(tmp_path / "rollouts.jsonl", rows)
    found = list(mastered(str(path), ImageRoot(None)))
    assert [one.row.example.problem_id for one in found] == ["h0", "h1", "h3", "h5"]
    assert found[3].row.example.completion[0].content.endswith("(1)")  # the first right one
    assert found[0].row.example.prompt[0].content == "Which number is picture 0?\nSay it."
    assert found[0].tags == ("t",)
    with pytest.raises(AnectlError, match="no problem in it is mastered"):
        list(mastered(str(write_rows(path, rows[4:5])), ImageRoot(None)))


class Ruler:
    """Measures every row as long as the number in its id says."""

    window = 50

    def measure(self, row: TrainingRow) -> RowSize:
        return RowSize(0, 10, 10 * int(row.example.problem_id[1:]))

    def memory(self, sizes: Any) -> Any:
        raise NotImplementedError


def test_held_out_rows_are_drawn_up_to_a_number_of_tokens(tmp_path: Path) -> None:
    rows = [held(tmp_path, number) for number in (1, 2, 3, 4, 5)]
    assert len(within(rows, Ruler(), 1000, seed=0)) == 4  # the last one does not fit into the window
    assert sum(int(one.row.example.problem_id[1:]) for one in within(rows, Ruler(), 50, seed=0)) <= 5
    with pytest.raises(AnectlError, match="no held-out row"):
        within(rows[4:], Ruler(), 1000, seed=0)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.integers(1, 4))
def test_processes_share_rows_in_equally_many_passes_of_one_kind(kinds: list[bool], size: int, world: int) -> None:
    from anectl.engines.drift_meter import _share

    image = ImageRef("a", "a")
    rows = [TrainingRow(None, (image,) if kind else ()) for kind in kinds]  # type: ignore[arg-type]
    shares = [_share(rows, size, world, rank) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    for at_once in zip(*shares, strict=True):
        assert len({kinds[place] for batch in at_once for place in batch.places}) == 1
    counted = [place for share in shares for batch in share if batch.counts for place in batch.places]
    assert sorted(counted) == list(range(len(kinds)))


# --- with a model ---------------------------------------------------------------------------------------------------
@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve rows, some of them with a scaffold in the prompt."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=n % 3) for n in range(12)])


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    """Eleven mastered problems of two families, the last of them without a picture."""
    given = [rollout_row(tmp_path, n, "++++", tags=("even" if n % 2 == 0 else "odd",)) for n in range(20, 31)]
    given[-1]["problem"]["images"] = []
    return write_rows(tmp_path / "rollouts.jsonl", given)


def options(model: Path, *more: object) -> tuple[object, ...]:
    return ("--model", model, "--batch-size", 4, "--max-steps", 6, "--learning-rate", 1e-2, *more)


def by_hand(model: Path, rows: list[TrainingRow]) -> list[Any]:
    """Log-probabilities of the whole vocabulary, and the tokens, at each token of the completions, row by row."""
    import torch

    from anectl.engines.checkpoints import load_vlm
    from anectl.engines.trl_sft import render

    network, processor = load_vlm(str(model), "float32")
    found = []
    for row in rows:
        prompt, completion = render(row, processor)
        images = {"images": [[image.open() for image in row.images]]} if row.images else {}
        inputs = processor(text=[prompt + completion], return_tensors="pt", add_special_tokens=False, **images)
        size = len(processor.tokenizer(completion, add_special_tokens=False)["input_ids"])
        with torch.inference_mode():
            logits = network(**inputs).logits[0, -size - 1 : -1].double()
        found.append((logits.log_softmax(-1), inputs["input_ids"][0, -size:]))
    return found


@pytest.mark.parametrize("kind", [[], ["--lora"]], ids=["full", "lora"])
def test_the_drift_is_that_of_the_two_checkpoints(
    rows: Path, held_out: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    train("sft", rows, "-o", plain, *options(tiny_model, *kind, "--drift-rows", 0))
    done = invoke("sft", rows, "-o", out, *options(tiny_model, *kind), "--held-out", held_out)
    assert same_weights(plain, out, "adapter_model.safetensors" if kind else "model.safetensors")
    assert [line["loss"] for line in read_log(plain)] == [line["loss"] for line in read_log(out)]
    assert not (out / "scratch").exists()
    found = json.loads(done.stdout)["drift"]
    assert found == json.loads((out / "result.json").read_text())["drift"]

    texts = [one.row for one in mastered(str(held_out), ImageRoot(None))]
    before, after = by_hand(tiny_model, texts), by_hand(out, texts)
    num = sum(len(tokens) for _, tokens in before)
    kl = sum(float((old.exp() * (old - new)).sum()) for (old, _), (new, _) in zip(before, after, strict=True))
    nll = [sum(-float(log.gather(1, ids[:, None]).sum()) for log, ids in one) / num for one in (before, after)]
    whole = found["held_out"]
    assert (whole["rows"], whole["tokens"]) == (11, num)
    assert whole["kl"] == pytest.approx(kl / num, rel=2e-3)
    assert whole["kl"] > 0.05
    assert [whole["nll_before"], whole["nll_after"]] == pytest.approx(nll, rel=1e-4)
    assert whole["kl_low"] < whole["kl"] < whole["kl_high"]
    greedy = [sum(bool((log.argmax(-1) == ids).all()) for log, ids in one) for one in (before, after)]
    assert [whole["greedy_before"], whole["greedy_after"]] == greedy
    assert sorted((one["tag"], one["rows"]) for one in found["tags"]) == [("even", 6), ("odd", 5)]

    targets = [bare(training_row(tmp_path, number, level=number % 3)) for number in range(12)]
    measured = by_hand(tiny_model, targets)
    tokens = sum(len(ids) for _, ids in measured)
    wanted = sum(-float(log.gather(1, ids[:, None]).sum()) for log, ids in measured) / tokens
    assert found["targets"]["tokens"] == tokens
    assert found["targets"]["nll"] == pytest.approx(wanted, rel=1e-4)
    assert "targets of 12 rows: NLL" in done.stderr
    assert "on 11 held-out rows: KL" in done.stderr


def test_a_run_that_changes_nothing_has_no_drift(rows: Path, held_out: Path, tmp_path: Path, tiny_model: Path) -> None:
    given = ("--model", tiny_model, "--max-steps", 1, "--learning-rate", 0, "--held-out", held_out)
    whole = train("sft", rows, "-o", tmp_path / "out", *given)["drift"]["held_out"]
    assert abs(whole["kl"]) < 1e-6
    assert whole["nll_before"] == whole["nll_after"]
    assert whole["lost"] == 0


@pytest.mark.slow
def test_a_killed_run_tells_the_drift_of_the_whole_one(
    rows: Path, held_out: Path, tmp_path: Path, tiny_model: Path
) -> None:
    given = ("--model", tiny_model, "--batch-size", 4, "--max-steps", 30, "--learning-rate", 1e-3, "--save-steps", 3)
    given = (*given, "--held-out", held_out)
    whole = train("sft", rows, "-o", tmp_path / "whole", *given)
    stop_after(8, tmp_path / "broken", "sft", rows, "-o", tmp_path / "broken", *given)
    assert train("sft", rows, "-o", tmp_path / "broken", *given, "--resume")["drift"] == whole["drift"]


@pytest.mark.slow
def test_a_round_tells_the_drift_since_the_round_before(
    rows: Path, held_out: Path, tmp_path: Path, tiny_model: Path
) -> None:
    first = options(tiny_model, "--lora", "--total-steps", 12)
    train("sft", rows, "-o", tmp_path / "m1", *first)
    more = ("--continue-from", tmp_path / "m1", "--max-steps", 6, "--held-out", held_out)
    whole = train("sft", rows, "-o", tmp_path / "m2", *more)["drift"]["held_out"]
    texts = [one.row for one in mastered(str(held_out), ImageRoot(None))]
    before, after = by_hand(tmp_path / "m1", texts), by_hand(tmp_path / "m2", texts)
    kl = sum(float((old.exp() * (old - new)).sum()) for (old, _), (new, _) in zip(before, after, strict=True))
    assert whole["kl"] == pytest.approx(kl / whole["tokens"], rel=5e-3)


@pytest.mark.slow
def test_two_processes_measure_what_one_does(rows: Path, held_out: Path, tmp_path: Path, tiny_model: Path) -> None:
    given = (rows, "--model", tiny_model, "--max-steps", 3, "--learning-rate", 1e-3, "--held-out", held_out)
    alone = train("sft", *given, "-o", tmp_path / "one", "--batch-size", 4)["drift"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "anectl"]
    command = ["sft", *given, "-o", tmp_path / "two", "--batch-size", 2]
    done = subprocess.run([*launcher, *map(str, command)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("held-out rows: KL") == 1
    both = json.loads(done.stdout)["drift"]
    assert both["targets"]["nll"] == pytest.approx(alone["targets"]["nll"], rel=1e-5)
    assert alone["held_out"].pop("tag") is None
    for name, value in alone["held_out"].items():
        assert both["held_out"][name] == pytest.approx(value, rel=0.02), name
