"""strip-rl with the scaffold as the beginning of the answer: the tokens of sft, graded whole, and at last nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode
from anectl.core.records import Example
from anectl.core.stripping import opening, to_item
from anectl.core.training import TrainingRow
from tests.families import FAMILIES, build
from tests.training_rows import example_row, read_log, train, weights, write_rows

# A beginning that ends in a space, one that holds the name of the turn, one of several lines.
LADDER = ("", "numbers", "The assistant looks: ", "Row by row.\nFirst, end", "Row by row.\nFirst, end", "look")


def prefix_row(folder: Path, number: int, level: int) -> dict[str, Any]:
    """A row whose answer begins with the text of its level."""
    row = example_row(folder, number, level=0, carrier="prefix")
    row["scaffold"] |= {"level": level, "text": LADDER[level], "ladder": LADDER}
    if LADDER[level]:
        row["prompt"].append({"role": "assistant", "content": LADDER[level]})
    return row


def training_row(folder: Path, row: dict[str, Any]) -> TrainingRow:
    example = decode(json.dumps(row).encode(), Example)
    return TrainingRow(example, ImageRoot(folder).resolve_all(example.images))


def test_each_level_begins_the_answer_and_the_bare_one_does_not(tmp_path: Path) -> None:
    item = to_item(training_row(tmp_path, prefix_row(tmp_path, 2, 3)), top_level=5)
    assert {level: opening(prompt) for level, prompt in item.prompts.items()} == {
        0: "",
        1: "numbers",
        2: "The assistant looks: ",
        3: "Row by row.\nFirst, end",
        5: "look",
    }
    assert {prompt[0].content for prompt in item.prompts.values()} == {"Which number is picture 2?"}
    assert [message.role for message in item.prompts[0]] == ["user"]


@pytest.fixture(params=["idefics3", "qwen2_5_vl"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(FAMILIES[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The batches of a run: what generation was given and gave, what the loss was given, and the texts graded."""
    from anectl.engines import trl_strip

    calls: list[dict[str, Any]] = []
    tokenize = trl_strip.StripTrainer._tokenize_prompts
    score = trl_strip.StripTrainer._generate_and_score_completions
    graded = trl_strip.grade

    def spy_on_tokens(self: Any, prompts: list[Any]) -> Any:
        found = tokenize(self, prompts)
        calls[-1]["prompt_ids"] = [list(ids) for ids in found[0]]
        return found

    def spy_on_batch(self: Any, inputs: list[dict[str, Any]]) -> Any:
        calls.append({"rows": inputs, "graded": [], "cap": self.cap()})
        calls[-1]["batch"] = score(self, inputs)
        return calls[-1]["batch"]

    def spy_on_grade(text: str, *rest: Any) -> Any:
        calls[-1]["graded"].append(text)
        return graded(text, *rest)

    monkeypatch.setattr(trl_strip.StripTrainer, "_tokenize_prompts", spy_on_tokens)
    monkeypatch.setattr(trl_strip.StripTrainer, "_generate_and_score_completions", spy_on_batch)
    monkeypatch.setattr(trl_strip, "grade", spy_on_grade)
    return calls


def ids_of_sft(folder: Path, processor: Any, number: int, level: int) -> list[int]:
    """The prompt's tokens as `sft` trains on them."""
    from anectl.engines.trl_sft import render

    row = training_row(folder, prefix_row(folder, number, level))
    prompt, _ = render(row, processor)
    images = [[image.open() for image in row.images]]
    return list(processor(text=[prompt], images=images, add_special_tokens=False)["input_ids"][0])


def test_generation_and_loss_see_the_tokens_of_sft_and_the_grade_the_whole_answer(
    model: Path, tmp_path: Path, seen: list[dict[str, Any]]
) -> None:
    from anectl.engines.processors import load_processor

    rows = write_rows(tmp_path / "train.jsonl", [prefix_row(tmp_path, n, 1 + n % 3) for n in range(12)])
    options = ["--model", model, "-o", tmp_path / "out", "--max-steps", 8, "--top-level", 3, "--schedule", "linear"]
    options += ["--num-generations", 4, "--batch-size", 4, "--max-tokens", 8, "--learning-rate", 1e-3]
    result = train("strip-rl", rows, *options, "--trl", "log_completions=false")
    assert result["steps"] == 8
    processor = load_processor(str(model))
    levels = [[row["level"] for row in call["rows"]] for call in seen]
    for call in seen:
        _prompts_are_those_of_sft(call, processor, tmp_path)
        _answers_are_graded_whole(call, processor)
    assert [max(found) <= call["cap"] for found, call in zip(levels, seen, strict=True)] == [True] * 8
    assert {0, 1, 2, 3} == {level for found in levels for level in found}
    assert [call["cap"] for call in seen][-2:] == [0, 0]
    before, after = weights(model), weights(tmp_path / "out")
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved
    assert not any(part in name for name in moved for part in ("vis", "connector"))
    assert all("accuracy_bare" in line for line in read_log(tmp_path / "out"))


def _prompts_are_those_of_sft(call: dict[str, Any], processor: Any, folder: Path) -> None:
    batch = call["batch"]
    for place, (row, ids) in enumerate(zip(call["rows"], call["prompt_ids"], strict=True)):
        assert ids == ids_of_sft(folder, processor, row["item"], row["level"])
        assert processor.tokenizer.decode(ids).endswith(LADDER[row["level"]])
        mask = batch["prompt_mask"][place].bool()
        assert batch["prompt_ids"][place][mask].tolist() == ids
    if "mm_token_type_ids" in batch:  # positions of three axes: one for each token that the loss sees
        assert batch["mm_token_type_ids"].shape[1] == batch["prompt_ids"].shape[1] + batch["completion_ids"].shape[1]


def _answers_are_graded_whole(call: dict[str, Any], processor: Any) -> None:
    batch = call["batch"]
    for row, text, ids, mask in zip(
        call["rows"], call["graded"], batch["completion_ids"], batch["completion_mask"], strict=True
    ):
        drawn = processor.tokenizer.decode(ids[mask.bool()], skip_special_tokens=True)
        assert text == LADDER[row["level"]] + drawn


def test_rows_of_both_carriers_share_a_run_without_pictures(tmp_path: Path, tiny_model: Path) -> None:
    rows = [prefix_row(tmp_path, n, 2) if n % 2 else example_row(tmp_path, n, level=2) for n in range(8)]
    file = write_rows(tmp_path / "train.jsonl", [row | {"images": []} for row in rows])
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 3, "--lora", "--max-tokens", 8]
    assert train("strip-rl", file, *options, "--num-generations", 4, "--batch-size", 4)["steps"] == 3
