"""Inside a step of strip-rl: one prompt in both halves of the ratio, groups drawn again, and an alarm that stops it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError
from tests.training_rows import example_row, invoke, read_log, same_weights, train, write_rows

SMALL = ["--num-generations", 4, "--batch-size", 4, "--max-tokens", 8, "--top-level", 2]

REWARDS = """
def brief(completion_ids, **rest):
    return [-len(ids) for ids in completion_ids]
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve problems that begin at level 2."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=2) for n in range(12)])


def test_both_halves_of_the_ratio_are_of_the_prompt_that_was_drawn_from(
    rows: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first of two uses of a generation every ratio is 1; at the second the weights have moved."""
    from anectl.engines.trl_strip import StripTrainer

    drawn: list[list[list[int]]] = []
    trained: list[tuple[list[list[int]], float]] = []
    generate, score, compute = (
        StripTrainer._generate_single_turn,
        StripTrainer._get_per_token_logps_and_entropies,
        StripTrainer._compute_loss,
    )

    def spy_on_generation(self: Any, prompt_ids: list[list[int]], *rest: Any) -> Any:
        drawn.append([list(ids) for ids in prompt_ids])
        return generate(self, prompt_ids, *rest)

    def spy_on_loss(self: Any, model: Any, inputs: dict[str, Any]) -> Any:
        current: list[Any] = []

        def spy_on_scores(*given: Any, **options: Any) -> Any:
            found = score(self, *given, **options)
            current.append(found[0].detach())
            return found

        with monkeypatch.context() as during:
            during.setattr(self, "_get_per_token_logps_and_entropies", spy_on_scores)
            loss = compute(self, model, inputs)
        mask = inputs["completion_mask"].bool()
        off = ((current[0] - inputs["old_per_token_logps"])[mask].exp() - 1).abs().max()
        prompts = zip(inputs["prompt_ids"], inputs["prompt_mask"].bool(), strict=True)
        trained.append(([ids[keep].tolist() for ids, keep in prompts], float(off)))
        return loss

    monkeypatch.setattr(StripTrainer, "_generate_single_turn", spy_on_generation)
    monkeypatch.setattr(StripTrainer, "_compute_loss", spy_on_loss)
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 6, *SMALL, "--learning-rate", 1e-3]
    options += ["--hint", "cap", "--schedule", "constant", "--trl", "num_iterations=2"]
    train("strip-rl", rows, *options)
    assert (len(drawn), len(trained)) == (3, 6)
    assert {level for line in read_log(tmp_path / "out") for level in line.get("levels", ())} == {"0", "2"}
    for number, (prompts, off) in enumerate(trained):
        assert sorted(prompts) == sorted(drawn[number // 2])
        if number % 2 == 0:
            assert off < 1e-4
        else:
            assert off > 1e-4


def test_dull_groups_are_drawn_again_from_other_problems(
    rows: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The untrained model fails always: every group is drawn anew as often as is allowed."""
    from anectl.engines.trl_strip import StripTrainer

    seen: dict[str, list[Any]] = {"rows": [], "drawn": [], "batch": [], "controller": []}
    refilled, score, draw = StripTrainer._refilled, StripTrainer._generate_and_score_completions, StripTrainer._draw

    def spy_on_draw(self: Any, rows: list[dict[str, Any]]) -> Any:
        seen["drawn"].append([(row["item"], row["level"]) for row in rows])
        return draw(self, rows)

    def spy_on_rows(self: Any, rows: list[dict[str, Any]]) -> Any:
        seen["rows"].append(refilled(self, rows))
        return seen["rows"][-1]

    def spy_on_batch(self: Any, inputs: list[dict[str, Any]]) -> Any:
        seen["batch"].append((score(self, inputs), self.processing_class))
        seen["controller"].append(self)
        return seen["batch"][-1][0]

    monkeypatch.setattr(StripTrainer, "_draw", spy_on_draw)
    monkeypatch.setattr(StripTrainer, "_refilled", spy_on_rows)
    monkeypatch.setattr(StripTrainer, "_generate_and_score_completions", spy_on_batch)
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 2, *SMALL, "--learning-rate", 1e-9]
    train("strip-rl", rows, *options, "--refill", 2, "--bare-share", 0.5)
    assert [len(drawn) for drawn in seen["drawn"]] == [16] * 6
    # The first choice and two refills are of all twelve problems, each once.
    assert len({item for drawn in seen["drawn"][:3] for item, _ in drawn}) == 12
    for kept, (batch, processor) in zip(seen["rows"], seen["batch"], strict=True):
        assert sum(row["level"] == 0 for row in kept) >= 8
        for row, ids in zip(kept, batch["prompt_ids"], strict=True):
            text = processor.tokenizer.decode(ids, skip_special_tokens=True)
            hint = ["", "Hint: numbers", "Hint: look at it"][row["level"]]
            assert f"picture {row['item']}?" in text
            assert ("Hint" in text) is bool(hint)
            assert hint in text
    trials = Counter(item for drawn in seen["drawn"] for item, _ in drawn)
    items = seen["controller"][-1].controller.items
    assert all((sum(tally.trials for tally in item.tallies) > 0) is bool(trials[n]) for n, item in enumerate(items))
    assert [line["refilled"] for line in read_log(tmp_path / "out")] == [2.0, 2.0]


@pytest.mark.slow
def test_a_run_that_an_alarm_stopped_goes_on_as_if_it_had_not(
    rows: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it goes every kind of state: controller, draws of levels and refills, exemption, alarms told."""
    (tmp_path / "rewards_of_steps.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    options = ["--model", tiny_model, "--max-steps", 32, "--num-generations", 4, "--batch-size", 2, "--max-tokens", 8]
    options += ["--schedule", "binomial", "--hint", "failing", "--refill", 1, "--bare-in-group", 1, "--save-steps", 30]
    options += ["--trl", "num_iterations=2", "--reward", "rewards_of_steps:brief", "--learning-rate", 2e-3]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    metrics = train("strip-rl", rows, "-o", whole, *options)["metrics"]
    raised = {line["step"]: line["alarms"] for line in read_log(whole) if "alarms" in line}
    step, (first, *_) = next(iter(raised.items()))
    stop = step + step % 2  # where the generation has been used twice
    assert metrics[f"alarm_{first}"] == step
    with pytest.raises(AnectlError, match=f"stopped at step {stop} by an alarm: {first}") as caught:
        train("strip-rl", rows, "-o", broken, *options, "--on-alarm", "stop")
    assert caught.value.path == str(tmp_path / f"broken.partial/checkpoint-{stop}")
    again = invoke("strip-rl", rows, "-o", broken, *options, "--on-alarm", "warn", "--resume")
    assert f": {first}:" not in again.stderr
    assert same_weights(whole, broken)
    logs = ([{k: v for k, v in line.items() if k != "seconds"} for line in read_log(one)] for one in (whole, broken))
    assert next(logs) == next(logs)
