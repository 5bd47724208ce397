"""What strip-rl can be told: every algorithm, schedule and way of hinting trains, and the log says what happened."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError, UsageError
from tests.training_rows import example_row, invoke, read_log, train, write_rows

SMALL = ["--num-generations", 4, "--batch-size", 4, "--max-tokens", 8, "--learning-rate", 1e-3, "--top-level", 2]

REWARDS = '''
def brief(completion_ids, level, answer, **rest):
    """More for a shorter completion, and nothing to say on hinted ones."""
    assert len(answer) == len(completion_ids)
    return [None if one else -0.01 * len(ids) for ids, one in zip(completion_ids, level)]

def undefined(completions, problem_id, **rest):
    return [float("nan") if one == "p3" else 0.0 for one in problem_id]

def fails(completions, **rest):
    return [[][0] for _ in completions]
'''


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve problems that begin at level 2."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=2) for n in range(12)])


@pytest.fixture
def my_rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of reward functions in the current folder."""
    (tmp_path / "rewards_of_strip.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--hinted-share", 0.9], "last fifth"),
        (["--hint", "failing", "--hinted-share", 0.1], "--exempt-share"),
        (["--bare-in-group", 8], "--bare-in-group"),
        (["--hint-tax", 0.3], "advantages stay as they are"),
        (["--reward", "math:sqrt", "--reward-weight", 1, "--reward-weight", 2], "--reward-weight once for each"),
    ],
)
def test_options_that_contradict_are_refused(rows: Path, tmp_path: Path, options: list[Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        train("strip-rl", rows, "--model", "no-such-model", "-o", tmp_path / "out", "--dry-run", *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hint", "failing"], "with --hint failing no hint is ever shown"),
        ([], "with --hint controller no level follows"),
        (["--hint", "cap"], None),
        (["--max-steps", 20], None),
    ],
)
def test_the_plan_warns_of_runs_too_short_to_meet_a_problem_twice(
    rows: Path, tmp_path: Path, tiny_model: Path, options: list[Any], said: str | None
) -> None:
    common = ["--model", tiny_model, "-o", tmp_path / "out", *SMALL, "--max-steps", 3, "--dry-run"]
    done = invoke("strip-rl", rows, *common, *options)
    assert "3 steps" in done.stderr or "20 steps" in done.stderr
    assert ("WARNING" in done.stderr) == (said is not None)
    assert said is None or said in done.stderr


def test_the_plan_counts_what_trl_is_told(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    common = ["--model", tiny_model, "-o", tmp_path / "out", *SMALL, "--dry-run", "--hint", "cap"]
    told = ["--trl", "num_generations=8", "--trl", "max_completion_length=5", "--trl", "max_steps=7"]
    done = invoke("strip-rl", rows, *common, *told)
    assert "7 steps of 2 x 8 completions" in done.stderr
    assert "112 completions of at most 5 tokens" in done.stderr


def test_a_constant_rate_has_the_warm_up_that_is_asked_for(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    options = ["--model", tiny_model, "-o", tmp_path / "out", *SMALL, "--max-steps", 3, "--warmup-steps", 2]
    train("strip-rl", rows, *options)
    assert [line["learning_rate"] for line in read_log(tmp_path / "out")] == pytest.approx([0, 5e-4, 1e-3])


def test_a_kl_term_over_an_adapter_is_refused_before_anything_is_loaded(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text("{}")
    options = ["--model", tmp_path / "adapter", "-o", tmp_path / "out", "--algorithm", "grpo", "--dry-run"]
    with pytest.raises(AnectlError, match="is an adapter") as error:
        train("strip-rl", rows, *options)
    assert "--merge" in str(error.value.hint)
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize(
    ("algorithm", "options", "expected"),
    [
        ("dapo", [], ("dapo", "token", 0.2, 0.28, 0.0, "group")),
        ("grpo", [], ("grpo", "token", 0.2, 0.2, 0.04, "group")),
        ("dr_grpo", [], ("dr_grpo", "token", 0.2, 0.2, 0.0, "none")),
        ("gspo", [], ("grpo", "sequence", 3e-4, 4e-4, 0.0, "group")),
        ("sapo", [], ("sapo", "token", 0.2, 0.2, 0.0, "group")),
        ("gspo", ["--epsilon", 0.1, "--beta", 0.01], ("grpo", "sequence", 0.1, 4e-4, 0.01, "group")),
        ("grpo", ["--beta", 0, "--trl", "epsilon=0.3", "--epsilon", 0.1], ("grpo", "token", 0.3, 0.2, 0.0, "group")),
        ("dapo", ["--scale-rewards", "batch"], ("dapo", "token", 0.2, 0.28, 0.0, "batch")),
    ],
)
def test_an_algorithm_is_a_set_of_settings_that_single_options_win_over(
    monkeypatch: pytest.MonkeyPatch,
    rows: Path,
    tmp_path: Path,
    tiny_model: Path,
    algorithm: str,
    options: list[Any],
    expected: tuple[Any, ...],
) -> None:
    from anectl.engines import trl_strip

    made: list[Any] = []
    configured = trl_strip.strip_config
    monkeypatch.setattr(trl_strip, "strip_config", lambda *given: made.append(configured(*given)) or made[-1])
    common = ["--model", tiny_model, "-o", tmp_path / "out", "--max-tokens", 8, "--dry-run"]
    told = invoke("strip-rl", rows, *common, "--algorithm", algorithm, *options).stderr
    config = made[0]
    found = (config.loss_type, config.importance_sampling_level, config.epsilon, config.epsilon_high, config.beta)
    assert (*found, config.scale_rewards) == expected
    assert f"algorithm: {algorithm}" in told
    assert f"loss_type: {expected[0]}" in told
    assert f"epsilon_high: {expected[3]}" in told
    assert ("--trl num_iterations=2" in told) is (algorithm == "gspo")


@pytest.mark.parametrize(
    ("algorithm", "schedule", "more"),
    [
        ("dapo", "exponential", ["--hint", "cap"]),
        ("grpo", "binomial", ["--hint", "cap", "--scale-rewards", "batch"]),
        ("dr_grpo", "staged", ["--hint", "failing", "--exempt-share", 0.2]),
        ("gspo", "constant", ["--hinted-share", 0.5, "--trl", "num_iterations=2", "--save-steps", 6]),
        ("sapo", "never", ["--bare-share", 0.5]),
    ],
)
def test_every_algorithm_and_schedule_trains(
    rows: Path, tmp_path: Path, tiny_model: Path, algorithm: str, schedule: str, more: list[Any]
) -> None:
    out = tmp_path / "out"
    options = ["--model", tiny_model, "-o", out, "--max-steps", 6, *SMALL, "--algorithm", algorithm]
    done = invoke("strip-rl", rows, *options, "--schedule", schedule, *more)
    lines = read_log(out)
    assert [line["step"] for line in lines] == list(range(1, 7))
    assert all(math.isfinite(line["loss"]) for line in lines)
    levels = [line["levels"] for line in lines if "levels" in line]
    assert all(sum(shares.values()) == pytest.approx(1) for shares in levels)
    caps = [line["cap"] for line in lines if "cap" in line]
    assert ("kl" in lines[0]) is (algorithm == "grpo")
    if schedule == "never":
        assert "CONTROL" in done.stderr
        assert levels == [{"2": 1.0}] * 6
        return
    assert caps[-1] == 0
    assert levels[-1] == {"0": 1.0}
    assert "CONTROL" not in done.stderr
    if schedule == "binomial":
        assert any(len(shares) > 1 for shares in levels)
    if "failing" in more:
        # Two steps of exemption, a third until all were seen bare; then those that failed, at half the top level.
        assert [shares.get("0") for shares in levels[:3]] == [1.0] * 3
        assert "1" in levels[3]
    if schedule == "constant":
        assert caps == [2, 2, 0]  # one generation in two steps


def test_the_log_has_every_quantity(rows: Path, tmp_path: Path, tiny_model: Path, my_rewards: None) -> None:
    out = tmp_path / "out"
    options = ["--model", tiny_model, "-o", out, "--max-steps", 3, *SMALL, "--beta", 0.01, "--repetition-penalty", 0.5]
    options += ["--bare-in-group", 1, "--hint-tax", 0.3, "--schedule", "constant", "--hint", "cap"]
    options += ["--reward", "rewards_of_strip:brief", "--reward-weight", 2]
    train("strip-rl", rows, *options)
    line = read_log(out)[0]
    for name in ("reward", "reward_std", "accuracy_bare", "accuracy_hinted", "gap", "level", "cap", "entropy", "kl"):
        assert name in line, name
    for name in ("mean_length", "repetition", "zero_variance", "truncated", "clip_fraction", "grad_norm"):
        assert name in line, name
    # One bare group of four at least, and one bare completion in each of the hinted ones.
    assert line["levels"] == {"0": 7 / 16, "2": 9 / 16}
    assert list(line["rewards"]) == ["accuracy", "format", "overlong", "repetition", "tax", "brief"]
    assert line["rewards"]["tax"] == pytest.approx(-0.3 * line["accuracy_hinted"] * 9 / 16)
    ours = sum(value for name, value in line["rewards"].items() if name != "brief")
    assert line["rewards"]["brief"] < 0
    assert line["reward"] == pytest.approx(ours + 2 * line["rewards"]["brief"] * 7 / 16, abs=1e-5)


@pytest.mark.parametrize(
    ("function", "problem"),
    [("undefined", "reward undefined: nan for 'p3'"), ("fails", r"rewards_of_strip.py:11: reward fails: IndexError")],
)
def test_a_reward_function_that_fails_ends_the_run_with_its_place(
    rows: Path, tmp_path: Path, tiny_model: Path, my_rewards: None, function: str, problem: str
) -> None:
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 4, *SMALL]
    with pytest.raises(AnectlError, match=problem):
        train("strip-rl", rows, *options, "--reward", f"rewards_of_strip:{function}")


def test_a_missing_reward_function_is_told_before_anything_is_loaded(rows: Path, tmp_path: Path) -> None:
    options = ["--model", "no-such-model", "-o", tmp_path / "out", "--reward", "no_such_rewards:f"]
    with pytest.raises(AnectlError, match="there is no module 'no_such_rewards'"):
        train("strip-rl", rows, *options)


def test_any_tracker_of_transformers_gets_the_metrics(
    rows: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    told: list[dict[str, float]] = []

    class Remembered(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            told.append(dict(logs))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "remembered", Remembered)
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 2, *SMALL]
    train("strip-rl", rows, *options, "--report-to", "remembered")
    assert {"reward", "entropy", "level_share/2", "reward_part/format", "repetition"} <= told[0].keys()
    with pytest.raises(AnectlError, match="nosuch is not supported"):
        train("strip-rl", rows, *options, "-o", tmp_path / "other", "--report-to", "nosuch")
