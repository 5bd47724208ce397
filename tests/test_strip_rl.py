"""strip-rl: prompts follow controller and schedule, end bare, and a killed run goes on with all of its state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anectl.core.controller import from_json
from anectl.core.errors import AnectlError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode
from anectl.core.records import Example
from anectl.core.stripping import first_controller, one_row_per_problem, to_item
from anectl.core.training import TrainingRow
from tests.training_rows import example_row, read_log, same_weights, stop_after, train, weights, write_rows

SMALL = ["--num-generations", 4, "--batch-size", 4, "--max-tokens", 8]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve problems that begin at level 2."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=2) for n in range(12)])


def training_row(folder: Path, **changes: Any) -> TrainingRow:
    row = example_row(folder, 3, level=2)
    row["scaffold"] |= changes
    example = decode(json.dumps(row).encode(), Example)
    return TrainingRow(example, ImageRoot(folder).resolve_all(example.images))


def test_an_item_has_a_prompt_for_every_level_that_says_something_new(tmp_path: Path) -> None:
    item = to_item(training_row(tmp_path), top_level=5)
    assert {level: prompt[-1].content for level, prompt in item.prompts.items()} == {
        0: "Which number is picture 3?",
        1: "Which number is picture 3?\nHint: numbers",
        2: "Which number is picture 3?\nHint: look at it",
    }
    assert first_controller([item]).items[0].level == 2
    assert list(to_item(training_row(tmp_path), top_level=1).prompts) == [0, 1]


def test_a_level_that_gives_the_answer_away_is_never_shown(tmp_path: Path) -> None:
    ladder = ("", "numbers", "the answer is 3", "look", "look", "look")
    assert list(to_item(training_row(tmp_path, ladder=ladder), top_level=3).prompts) == [0, 1, 3]


def test_of_the_rows_of_a_problem_the_most_scaffolded_is_kept(tmp_path: Path) -> None:
    bare, hinted = training_row(tmp_path, level=0), training_row(tmp_path, level=2)
    assert one_row_per_problem([bare, hinted, bare]) == [hinted]


def no_images(row: dict[str, Any]) -> None:
    row["images"] = []


def no_question(row: dict[str, Any]) -> None:
    row["scaffold"]["question"] = ""


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (no_images, "11 rows have images and 1 have none"),
        (no_question, "no scaffold.question"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, tiny_model: Path, spoil: Callable[[dict[str, Any]], None], problem: str
) -> None:
    examples = [example_row(tmp_path, n, level=2) for n in range(12)]
    spoil(examples[0])
    rows = write_rows(tmp_path / "train.jsonl", examples)
    with pytest.raises(AnectlError, match=problem):
        train("strip-rl", rows, "--model", tiny_model, "-o", tmp_path / "out", "--max-tokens", 8, "--dry-run")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--trl", "num_generation=4"], "unknown key 'num_generation'"),
        (["--gradient-accumulation", 3], "does not divide"),
        (["--trl", "num_iterations=3", "--save-steps", 4], "uses of a generation"),
    ],
)
def test_settings_that_cannot_work_are_refused(rows: Path, tmp_path: Path, options: list[Any], problem: str) -> None:
    with pytest.raises(AnectlError, match=problem):
        train("strip-rl", rows, "--model", "no-such-model", "-o", tmp_path / "out", "--dry-run", *options)


def test_a_policy_without_probabilities_ends_with_an_error_that_says_so(
    rows: Path, tmp_path: Path, tiny_model: Path
) -> None:
    """A step is sound and its update is not: the next one fails as it draws."""
    options = ("--max-steps", 4, "--num-generations", 2, "--max-tokens", 4, "--learning-rate", 1e12)
    with pytest.raises(AnectlError, match="probabilities are not finite: the training has diverged"):
        train("strip-rl", rows, "--model", tiny_model, "-o", tmp_path / "out", *options)
    assert 0 < len(read_log(tmp_path / "out.partial")) < 4


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the reward saw, step by step: caps, levels and prompts."""
    from anectl.engines import trl_strip

    calls: list[dict[str, Any]] = []
    graded = trl_strip.StripTrainer.reward_group

    def spy(self: Any, **given: Any) -> list[float | None]:
        rewards = graded(self, **given)
        texts = [prompt[-1]["content"][-1]["text"] for prompt in given["prompts"]]
        call = {"cap": self.cap(), "texts": texts, "step": self.state.global_step, "rewards": rewards}
        calls.append(call | {"level": given["level"], "item": given["item"]})
        return rewards

    monkeypatch.setattr(trl_strip.StripTrainer, "reward_group", spy)
    return calls


@pytest.mark.parametrize("extra", [[], ["--gradient-accumulation", 2]], ids=["plain", "accumulated"])
def test_the_reward_sees_the_scaffold_of_the_step(
    rows: Path, tmp_path: Path, tiny_model: Path, seen: list[dict[str, Any]], extra: list[Any]
) -> None:
    out = tmp_path / "out"
    options = ["--model", tiny_model, "-o", out, "--max-steps", 10, "--top-level", 2, *SMALL, *extra]
    result = train("strip-rl", rows, *options, "--schedule", "linear", "--learning-rate", 1e-3)
    assert [call["step"] for call in seen] == list(range(10))
    assert [call["cap"] for call in seen] == [2, 2, 2, 1, 1, 1, 0, 0, 0, 0]
    for call in seen:
        assert max(call["level"]) <= call["cap"]
        assert sum(level == 0 for level in call["level"]) >= 4
        for text, level, item in zip(call["texts"], call["level"], call["item"], strict=True):
            hint = ["", "\nHint: numbers", "\nHint: look at it"][level]
            assert text == f"Which number is picture {item}?{hint}"
        assert all(call["item"][start : start + 4] == [call["item"][start]] * 4 for start in range(0, 16, 4))
    assert {level for call in seen for level in call["level"]} == {0, 1, 2}
    lines = read_log(out)
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert [line["cap"] for line in lines] == [call["cap"] for call in seen]
    for name in ("loss", "reward", "reward_std", "accuracy_bare", "level", "entropy", "mean_length", "zero_variance"):
        assert all(name in line for line in lines), name
    assert lines[0]["level"] == sum(seen[0]["level"]) / 16
    assert result["steps"] == 10
    assert sum(count for name, count in result["metrics"].items() if name.startswith("items_at_level")) == 12
    before, after = weights(tiny_model), weights(out)
    assert all(before[name].equal(after[name]) for name in before if "vision" in name)
    assert any(not before[name].equal(after[name]) for name in before)


def test_rows_of_one_problem_and_no_pictures_train_too(tmp_path: Path, tiny_model: Path) -> None:
    examples = [example_row(tmp_path, n // 2, level=n % 2) | {"images": []} for n in range(6)]
    rows = write_rows(tmp_path / "train.jsonl", examples)
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 2, *SMALL, "--lora", "--merge"]
    assert train("strip-rl", rows, *options)["num_examples"] == 3
    manifest = json.loads((tmp_path / "out.manifest.json").read_text())
    assert manifest["counts"]["dropped"] == {"another row of the same problem": 3}


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    options = ["--model", tiny_model, "--max-steps", 12, *SMALL, "--learning-rate", 1e-3, "--save-steps", 2]
    options += ["--beta", 0.04]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train("strip-rl", rows, "-o", whole, *options)
    stop_after(5, broken, "strip-rl", rows, "-o", broken, *options)
    state = tmp_path / "broken.partial/checkpoint-4/controller.json"
    assert len(from_json(json.loads(state.read_text())).items) == 12
    result = train("strip-rl", rows, "-o", broken, *options, "--resume")
    assert result["steps"] == 12
    assert same_weights(whole, broken)
    first, second = (
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(folder)] for folder in (whole, broken)
    )
    assert first == second
