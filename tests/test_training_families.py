"""Every family samples, trains by both commands, in full and by adapters, is merged, loaded again and samples again."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.families import FAMILIES, Family, build
from tests.training_rows import example_row, invoke, read_log, same_weights, train, weights, write_rows

TRAINED = ("qwen2_5_vl", "qwen3_vl", "llava", "idefics3", "smolvlm")
# Wide, tall, square and small: other numbers of tiles and of tokens.
SIZES = ((100, 70), (50, 130), (64, 64), (40, 40))
NUM_ROWS = 8
ADAPTER = "adapter_model.safetensors"
RESUMED = ("qwen2_5_vl", "idefics3")  # one whose names in memory are those on disk, and one whose are not
SFT = ("--max-steps", 3, "--batch-size", NUM_ROWS, "--learning-rate", 3e-3, "--scheduler", "constant")
STRIP = ("--max-steps", 3, "--batch-size", 4, "--num-generations", 4, "--max-tokens", 12, "--learning-rate", 1e-2)

Checkpoint = tuple[Family, Path]


@pytest.fixture(scope="module", params=TRAINED)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    family = FAMILIES[request.param]
    if family.needs:
        pytest.importorskip(family.needs)
    return family, build(family, tmp_path_factory.mktemp(family.name))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems with a picture of noise each, the last with two of them, at levels 0 to 2."""
    folder = tmp_path_factory.mktemp("rows")
    examples = [example_row(folder, number, level=number % 3) for number in range(NUM_ROWS)]
    for number in range(NUM_ROWS):
        width, height = SIZES[number % len(SIZES)]
        noise = random.Random(number).randbytes(width * height * 3)
        Image.frombytes("RGB", (width, height), noise).save(folder / f"{number}.png")
    examples[-1]["images"] *= 2
    return write_rows(folder / "train.jsonl", examples)


@pytest.fixture(scope="module")
def problems(rows: Path) -> Path:
    """The same problems as `rollout` reads them."""
    found = []
    for line in rows.read_text().splitlines():
        row = json.loads(line)
        kept = {name: row[name] for name in ("images", "answer", "answer_type")}
        found.append({"id": row["problem_id"], "question": row["scaffold"]["question"], **kept})
    return write_rows(rows.with_name("problems.jsonl"), found)


def rollout(problems: Path, model: Path) -> list[str]:
    """Greedy completions."""
    options = ("-n", 1, "--temperature", 0, "--max-tokens", 12, "--batch-size", NUM_ROWS)
    lines = invoke("rollout", problems, "--model", model, *options).stdout.splitlines()
    draws = [one for line in lines for one in json.loads(line)["completions"]]
    assert [one["error"] for one in draws if one.get("error")] == []
    assert len(draws) == NUM_ROWS
    return [one["text"] for one in draws]


def losses(folder: Path) -> list[float]:
    found = [line["loss"] for line in read_log(folder)]
    assert all(map(math.isfinite, found))
    return found


def of_decoder(name: str) -> bool:
    """Whether a name on disk, which is not the one in memory, is of the text decoder or its head."""
    return not any(part in name for part in ("visual", "vision", "connector", "projector"))


def moved(before: Path, after: Path) -> set[str]:
    """The names of the weights that changed; the two checkpoints have the same names, shapes and types."""
    old, new = weights(before), weights(after)
    assert {name: (value.shape, value.dtype) for name, value in old.items()} == {
        name: (value.shape, value.dtype) for name, value in new.items()
    }
    return {name for name in old if not old[name].equal(new[name])}


def logits(model: Path, rows: Path) -> Any:
    """The logits on one prompt with its picture."""
    import torch

    from anectl.engines.checkpoints import load_vlm

    network, processor = load_vlm(str(model), "float32")
    image = Image.open(rows.with_name("0.png"))
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which number?"}]}
    text = processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    with torch.inference_mode():
        return network(**processor(text=[text], images=[[image]], return_tensors="pt")).logits


def test_sft_of_all_weights_moves_the_decoder_alone(
    checkpoint: Checkpoint, rows: Path, problems: Path, tmp_path: Path
) -> None:
    base, out = checkpoint[1], tmp_path / "out"
    before = rollout(problems, base)
    train("sft", rows, "--model", base, "-o", out, *SFT)
    found = losses(out)
    assert found[-1] < found[0]
    assert moved(base, out) == {name for name in weights(base) if of_decoder(name)}
    assert rollout(problems, out) != before
    train("sft", rows, "--model", out, "-o", tmp_path / "again", *SFT, "--max-steps", 1)
    assert losses(tmp_path / "again")[0] < found[-1]


def test_sft_of_adapters_gives_what_they_give_when_merged(
    checkpoint: Checkpoint, rows: Path, problems: Path, tmp_path: Path
) -> None:
    base, adapter, merged = checkpoint[1], tmp_path / "adapter", tmp_path / "merged"
    for out, more in ((adapter, ()), (merged, ("--merge",))):
        train("sft", rows, "--model", base, "-o", out, *SFT, "--lora", "--lora-rank", 8, *more)
    found = losses(adapter)
    assert found == losses(merged)
    assert found[-1] < found[0]
    assert all(of_decoder(name) for name in weights(adapter, ADAPTER))
    changed = moved(base, merged)
    assert changed
    assert all(of_decoder(name) and "_proj" in name for name in changed)
    assert logits(adapter, rows).allclose(logits(merged, rows), atol=1e-4)
    assert (logits(adapter, rows) - logits(base, rows)).abs().max() > 0.01
    assert rollout(problems, adapter) == rollout(problems, merged)


def test_strip_rl_of_all_weights_moves_the_decoder_alone(
    checkpoint: Checkpoint, rows: Path, problems: Path, tmp_path: Path
) -> None:
    base, out = checkpoint[1], tmp_path / "out"
    train("strip-rl", rows, "--model", base, "-o", out, *STRIP)
    losses(out)
    assert any(line["reward_std"] > 0 for line in read_log(out))
    changed = moved(base, out)
    assert changed
    assert all(of_decoder(name) for name in changed)
    rollout(problems, out)


def test_strip_rl_of_adapters_gives_what_they_give_when_merged(
    checkpoint: Checkpoint, rows: Path, problems: Path, tmp_path: Path
) -> None:
    base, adapter, merged = checkpoint[1], tmp_path / "adapter", tmp_path / "merged"
    for out, more in ((adapter, ()), (merged, ("--merge",))):
        train("strip-rl", rows, "--model", base, "-o", out, *STRIP, "--lora", "--lora-rank", 8, *more)
    assert losses(adapter) == losses(merged)
    changed = moved(base, merged)
    assert changed
    assert all(of_decoder(name) and "_proj" in name for name in changed)
    assert logits(adapter, rows).allclose(logits(merged, rows), atol=1e-4)
    assert rollout(problems, adapter) == rollout(problems, merged)


class Cut(Exception):
    """Ends a run in the midst of it."""


@pytest.mark.parametrize("kind", [(), ("--lora", "--lora-rank", 8)], ids=["full", "lora"])
@pytest.mark.parametrize("command", ["sft", "strip-rl"])
@pytest.mark.parametrize("checkpoint", RESUMED, indirect=True)
def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(
    checkpoint: Checkpoint,
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    kind: tuple[object, ...],
) -> None:
    from anectl.engines.train_run import TrainLog

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = SFT if command == "sft" else STRIP
    options = (rows, "--model", checkpoint[1], *settings, "--batch-size", 4, "--max-steps", 4, "--save-steps", 2, *kind)
    train(command, *options, "-o", whole)
    on_log = TrainLog.on_log

    def cut(self: TrainLog, args: Any, state: Any, *rest: Any, **more: Any) -> None:
        on_log(self, args, state, *rest, **more)
        if state.global_step == 3:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(TrainLog, "on_log", cut)
        with pytest.raises(Cut):
            train(command, *options, "-o", broken)
    assert train(command, *options, "-o", broken, "--resume")["steps"] == 4
    assert same_weights(whole, broken, ADAPTER if kind else "model.safetensors")
    curves = [
        [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(folder)]
        for folder in (whole, broken)
    ]
    assert curves[0] == curves[1]
