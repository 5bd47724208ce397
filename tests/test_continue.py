"""Rounds of sft: optimizer, schedule and random numbers go on over new rows as if there had been no break."""

from __future__ import annotations

import json
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError, UsageError
from anectl.core.records import Budget
from anectl.core.rounds import Round, inherit, read_round, refuse_excess
from tests.training_rows import example_row, invoke, read_log, same_weights, stop_after, train, write_rows

KINDS = pytest.mark.parametrize("kind", [[], ["--lora"]], ids=["full", "lora"])
SETTINGS = {
    "model": "base",
    "total_steps": 12,
    "learning_rate": 1e-3,
    "warmup_steps": 2,
    "scheduler": "cosine",
    "train_vision": False,
    "lora": False,
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_targets": "",
    "load_in_4bit": False,
    "batch_size": 4,
    "max_steps": 8,
    "epochs": 1.0,
    "save_steps": 100,
    "report_to": "none",
    "merge": False,
    "trl": {"optim": "adafactor"},
}
BEFORE = Round("m1", SETTINGS, 8, 2)
DEFAULTS = {**SETTINGS, "model": None, "total_steps": None, "learning_rate": None, "batch_size": 16, "max_steps": 3}


def test_what_is_not_said_again_is_as_in_the_round_before() -> None:
    options = inherit({**DEFAULTS, "trl": {"max_grad_norm": 2}}, {"max_steps"}, BEFORE)
    assert (options["model"], options["learning_rate"], options["batch_size"]) == ("base", 1e-3, 4)
    assert (options["max_steps"], options["trl"]) == (3, {"optim": "adafactor", "max_grad_norm": 2})
    assert inherit({**DEFAULTS, "batch_size": 2}, {"batch_size"}, BEFORE)["batch_size"] == 2
    assert BEFORE.budget == Budget(total_steps=12, steps_before=8, passes_before=2, continued_from="m1")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"learning_rate": 2e-3}, "--learning-rate: 0.001 before, 0.002 now"),
        ({"scheduler": "linear"}, "--scheduler: 'cosine' before, 'linear' now"),
        ({"warmup_steps": 0}, "--warmup-steps: 2 before, 0 now"),
        ({"total_steps": 20}, "--total-steps: 12 before, 20 now"),
        ({"model": "other"}, "--model: 'base' before, 'other' now"),
        ({"lora": True}, "--lora: False before, True now"),
        ({"trl": {"optim": "sgd"}}, "trl optim: 'adafactor' before, 'sgd' now"),
        ({"trl": {"adam_beta2": 0.9}}, "trl adam_beta2: None before, 0.9 now"),
    ],
)
def test_settings_that_give_the_optimizer_another_meaning_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        inherit({**DEFAULTS, "trl": {}, **changed}, changed.keys(), BEFORE)
    assert str(error.value).endswith(said)


def test_a_round_ends_with_the_budget() -> None:
    refuse_excess(BEFORE.budget, 4)
    with pytest.raises(UsageError, match="5 steps are more than the 4 that are left of --total-steps 12"):
        refuse_excess(BEFORE.budget, 5)


def test_a_folder_without_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnectlError, match="holds no optimizer state"):
        read_round(str(tmp_path))
    (tmp_path / "state").mkdir()
    with pytest.raises(AnectlError, match="is torn"):
        read_round(str(tmp_path))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Sixteen rows, some of them with a scaffold in the prompt."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=n % 3) for n in range(16)])


def options(model: Path, *kind: str) -> tuple[object, ...]:
    """Four rows a step, so that a pass over the sixteen rows has four."""
    schedule = ("--total-steps", 12, "--learning-rate", 1e-3, "--warmup-steps", 2, "--drift-rows", 0)
    return ("--model", model, "--batch-size", 4, *schedule, *kind)


def weight_file(kind: list[str]) -> str:
    return "adapter_model.safetensors" if "--lora" in kind else "model.safetensors"


def untimed(*folders: Path) -> list[dict[str, float]]:
    """The lines of several logs, one after the other, without their times and the numbers that each begins anew."""
    lines = [line for folder in folders for line in read_log(folder)]
    return [{name: value for name, value in line.items() if name not in ("seconds", "step", "epoch")} for line in lines]


@pytest.mark.parametrize("kind", [[], ["--lora"], ["--group-by-length"]], ids=["full", "lora", "by length"])
def test_two_rounds_on_the_same_rows_equal_one_run_of_both(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    whole, first, second = tmp_path / "whole", tmp_path / "m1", tmp_path / "m2"
    train("sft", rows, "-o", whole, *options(tiny_model, *kind), "--max-steps", 12)
    assert not (whole / "state").exists()  # the budget is used up
    train("sft", rows, "-o", first, *options(tiny_model, *kind), "--max-steps", 8)
    result = train("sft", rows, "-o", second, "--continue-from", first, "--max-steps", 4, "--drift-rows", 0)
    assert same_weights(whole, second, weight_file(kind))
    assert untimed(whole) == untimed(first, second)  # losses, gradients, learning rates
    rates = [line["learning_rate"] for line in untimed(first, second)]
    assert rates[2] == max(rates) == 1e-3  # after the warm-up
    assert all(late < early for early, late in pairwise(rates[2:]))
    budget = {"total_steps": 12, "steps_before": 8, "passes_before": 2, "continued_from": str(first)}
    assert (result["base"], result["steps"], result["budget"]) == (str(tiny_model), 4, budget)
    with pytest.raises(UsageError, match="5 steps are more than the 4 that are left"):
        train("sft", rows, "-o", tmp_path / "m3", "--continue-from", first, "--max-steps", 5, "--dry-run")
    done = invoke("sft", rows, "-o", tmp_path / "m3", "--continue-from", first, "--dry-run")
    assert "steps 9 to 12 of a schedule of 12" in done.stderr


@KINDS
def test_a_round_of_new_rows_equals_a_run_over_both_files(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    """In the order of the files; three rounds, the second of another length, the first amid a pass of its rows."""
    lines = rows.read_text().splitlines(keepends=True)
    parts = []
    for number, (start, end) in enumerate([(0, 4), (4, 12), (12, 16)], 1):
        parts.append(tmp_path / f"r{number}.jsonl")
        parts[-1].write_text("".join(lines[start:end]))
    common = (*options(tiny_model, *kind), "--trl", "train_sampling_strategy=sequential")
    train("sft", rows, "-o", tmp_path / "whole", *common)
    train("sft", parts[0], "-o", tmp_path / "m1", *common)
    for number in (2, 3):
        more = ("--continue-from", tmp_path / f"m{number - 1}", "--drift-rows", 0)
        train("sft", parts[number - 1], "-o", tmp_path / f"m{number}", *more)
    assert same_weights(tmp_path / "whole", tmp_path / "m3", weight_file(kind))
    assert untimed(tmp_path / "whole") == untimed(*(tmp_path / f"m{number}" for number in (1, 2, 3)))


@KINDS
def test_the_optimizer_begins_a_round_with_the_moments_it_ended_with(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    import torch
    from transformers import TrainerCallback

    from anectl.core.sft_settings import SftSettings
    from anectl.core.training import TrainFolder, TrainSettings
    from anectl.engines.trl_sft import make_trainer, sft_config
    from tests.test_train_preflight import training_rows

    class Begin(TrainerCallback):  # type: ignore[misc]
        """Looks at the optimizer in the moment the training begins."""

        def on_train_begin(self, *given: Any, optimizer: Any = None, lr_scheduler: Any = None, **rest: Any) -> None:
            states = optimizer.state_dict()["state"].items()
            self.moments = {number: {name: value.clone() for name, value in one.items()} for number, one in states}
            self.rates = lr_scheduler.get_last_lr()

    first = tmp_path / "m1"
    train("sft", rows, "-o", first, *options(tiny_model, *kind), "--max-steps", 8)
    before = read_round(str(first))
    ours = {field.name: before.settings[field.name] for field in fields(TrainSettings)}
    settings = TrainSettings(**{**ours, "max_steps": 1})
    sft = SftSettings(budget=before.budget, state=before.state)
    folder = TrainFolder("sft", str(tmp_path / "m2"), {}, resume=False, overwrite=False)
    trainer = make_trainer(training_rows(rows), settings, sft_config(settings, folder, None, sft), sft, before.state)
    begin = Begin()
    trainer.add_callback(begin)
    trainer.train(resume_from_checkpoint=str(before.state))

    saved = torch.load(before.state / "optimizer.pt", weights_only=True)["state"]
    assert begin.moments.keys() == saved.keys() != set()
    for number, one in saved.items():
        assert one.keys() == begin.moments[number].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(one[name].equal(begin.moments[number][name]) for name in one)
        assert one["step"] == 8
        assert one["exp_avg_sq"].abs().max() > 0
    assert begin.rates[0] == torch.load(before.state / "scheduler.pt", weights_only=True)["_last_lr"][0] > 0


@KINDS
def test_a_round_that_is_killed_before_it_is_in_its_place_does_no_step_more(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = (*options(tiny_model, *kind), "--total-steps", 40, "--max-steps", 3, "--save-steps", 2)
    train("sft", rows, "-o", tmp_path / "whole", *long)

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anectl.core.training.TrainFolder.commit", killed)
        invoke("sft", rows, "-o", tmp_path / "broken", *long, ok=False)
    written = (tmp_path / "broken.partial/log.jsonl").read_bytes()
    train("sft", rows, "-o", tmp_path / "broken", *long, "--resume")
    assert (tmp_path / "broken/log.jsonl").read_bytes() == written
    assert same_weights(tmp_path / "whole", tmp_path / "broken", weight_file(kind))
    whole, broken = (
        sorted(path.name for path in (tmp_path / name / "state").iterdir()) for name in ("whole", "broken")
    )
    assert whole == broken
    begin = train("sft", rows, "-o", tmp_path / "next", "--continue-from", tmp_path / "broken", "--max-steps", 2)
    assert begin["budget"]["steps_before"] == 3


@KINDS
@pytest.mark.slow
def test_a_round_that_is_killed_goes_on_as_if_nothing_had_happened(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    long = (*options(tiny_model, *kind), "--total-steps", 40)
    train("sft", rows, "-o", tmp_path / "m1", *long, "--max-steps", 6)
    more = ("--continue-from", tmp_path / "m1", "--drift-rows", 0, "--max-steps", 24, "--save-steps", 3)
    train("sft", rows, "-o", tmp_path / "whole", *more)
    stop_after(8, tmp_path / "broken", "sft", rows, "-o", tmp_path / "broken", *more)
    result = train("sft", rows, "-o", tmp_path / "broken", *more, "--resume")
    assert (result["steps"], result["budget"]["steps_before"]) == (24, 6)
    assert same_weights(tmp_path / "whole", tmp_path / "broken", weight_file(kind))
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "broken")
    facts = [json.loads((tmp_path / name / "state/round.json").read_text()) for name in ("whole", "broken")]
    assert facts[0] == facts[1]
    assert (facts[0]["steps"], facts[0]["passes"]) == (30, 8)
