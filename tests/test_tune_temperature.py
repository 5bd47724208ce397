"""tune-temperature: the maximum of a noisy curve, and the estimates it is made of."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.metrics import pass_at_k
from anectl.core.tuning import Graded, reward_pass, smoother, tune

GRID = [round(0.3 + 0.1 * place, 1) for place in range(14)]
completions = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=8)


@given(completions, st.data())
def test_reward_pass_is_the_mean_over_all_ways_to_draw(rows: list[tuple[bool, float]], data: st.DataObject) -> None:
    drawn = data.draw(st.integers(1, len(rows)))
    kept = data.draw(st.integers(1, drawn))
    graded = [Graded(*row) for row in rows]
    ways = list(itertools.combinations(graded, drawn))
    hits = sum(any(one.correct for one in sorted(way, key=lambda one: -one.reward)[:kept]) for way in ways)
    assert math.isclose(reward_pass(graded, drawn, kept), hits / len(ways), abs_tol=1e-12)


@given(completions)
def test_keeping_all_that_is_drawn_is_pass_at_k(rows: list[tuple[bool, float]]) -> None:
    graded = [Graded(*row) for row in rows]
    right = sum(one.correct for one in graded)
    for drawn in range(1, len(rows) + 1):
        expected = pass_at_k(len(rows), right, drawn)
        assert expected is not None
        assert math.isclose(reward_pass(graded, drawn, drawn), expected, abs_tol=1e-12)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.sets(st.sampled_from(GRID), min_size=3))
def test_smoothing_leaves_a_parabola_as_it_is(a: float, b: float, c: float, measured: set[float]) -> None:
    xs = sorted(measured)
    for at, row in zip(GRID, smoother(xs, GRID, 0.3), strict=True):
        value = math.fsum(w * (a + b * x + c * x * x) for w, x in zip(row, xs, strict=True))
        # Far from three neighbouring temperatures the parabola is read off their last digits.
        scale = math.fsum(abs(w) for w in row)
        assert math.isclose(value, a + b * at + c * at * at, abs_tol=1e-6 * max(1, scale))


def test_the_maximum_is_found_between_the_temperatures_that_were_drawn() -> None:
    drawn = [0.3, 0.6, 0.9, 1.2, 1.5]
    values = {t: [(0.9, 0.6 - (t - 1.0) ** 2 / 4)] * 20 for t in drawn}
    tuned = tune(values, GRID, seed=0, bandwidth=0.3)
    assert tuned.temperature == 1.0
    assert tuned.interval == (1.0, 1.0)
    assert [point.temperature for point in tuned.points if point.reward_pass is not None] == [0.3, 0.6, 0.9, 1.2, 1.5]


def test_the_interval_of_the_choice_is_wide_where_the_curve_is_flat() -> None:
    values = {t: [(1.0, float((hash((t, i)) >> 7) % 2)) for i in range(50)] for t in (0.3, 0.8, 1.2, 1.6)}
    low, high = tune(values, GRID, seed=0, bandwidth=0.3).interval
    assert high - low > 0.5


def test_two_temperatures_have_no_maximum() -> None:
    with pytest.raises(AnectlError, match="at least three"):
        tune({0.3: [(1.0, 1.0)], 0.6: [(1.0, 1.0)]}, GRID, seed=0, bandwidth=0.3)


def rollout(
    number: int, temperature: float, right: int, *, scored: bool = True, policy: str = "p", count: int = 4
) -> dict[str, Any]:
    """A problem whose first `right` completions are right, and ranked first."""
    problem = {"schema": "problem/1", "id": f"p{number}", "question": "?", "answer": "7", "answer_type": "number"}
    drawn = [
        {"text": "x", "finish_reason": "stop", "num_tokens": 2, "logprob": -1.0 - place, "correct": place < right}
        | ({"step_scores": [1 - place / count, 1.0]} if scored else {})
        for place in range(count)
    ]
    sampling = {"n": count, "temperature": temperature}
    return {"schema": "rollout/1", "problem": problem, "policy": policy, "sampling": sampling, "completions": drawn}


def write(folder: Path, rows: list[dict[str, Any]], name: str = "valid.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["tune-temperature", "--num-drawn", "4", *arguments], catch_exceptions=code == 1)
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr + str(done.exception or "")


def curve(share: dict[float, int], **more: Any) -> list[dict[str, Any]]:
    """Ten problems at each temperature, so many of them solved."""
    return [rollout(i, t, int(i < solved), **more) for t, solved in share.items() for i in range(10)]


def test_one_record_says_what_was_chosen_and_from_what(tmp_path: Path) -> None:
    path = write(tmp_path, curve({0.4: 3, 0.8: 8, 1.2: 7, 1.6: 2}))
    out, log = run(path)
    record = json.loads(out)
    assert record["schema"] == "temperature/1"
    assert 0.8 <= record["temperature"] <= 1.2
    assert record["num_problems"] == 10
    assert record["num_samples"] == 160
    assert record["reward"] == "prm"
    assert f"{record['temperature']:g} <" in log


def test_log_probabilities_rank_where_no_steps_are_scored(tmp_path: Path) -> None:
    path = write(tmp_path, curve({0.4: 3, 0.8: 8, 1.2: 3}, scored=False))
    assert json.loads(run(path, "--reward", "logprob")[0])["temperature"] == 0.8
    _, log = run(path, code=1)
    assert "valid.jsonl:1: a completion has no step scores" in log


def test_a_problem_missing_at_one_temperature_counts_at_none(tmp_path: Path) -> None:
    rows = curve({0.4: 3, 0.8: 8, 1.2: 3})
    out, log = run(write(tmp_path, rows[:-1]))
    assert json.loads(out)["num_problems"] == 9
    assert "1 problems were not drawn at every temperature" in log


def test_rows_of_two_policies_do_not_mix(tmp_path: Path) -> None:
    rows = [*curve({0.4: 3, 0.8: 8}), *curve({1.2: 3}, policy="q")]
    _, log = run(write(tmp_path, rows), code=1)
    assert "valid.jsonl:21: drawn from 'q'" in log


def test_an_empty_completion_has_nothing_to_score_and_ranks_last(tmp_path: Path) -> None:
    rows = curve({0.5: 3, 1.0: 5, 1.5: 2})
    record, _ = run(write(tmp_path, rows))
    worst = min(rows[-1]["completions"], key=lambda one: min(one["step_scores"]))
    worst |= {"text": " ", "step_scores": None, "correct": None}
    after, _ = run(write(tmp_path, rows, "empty.jsonl"))
    assert json.loads(after)["temperature"] == json.loads(record)["temperature"]


def test_too_few_completions_are_refused_with_their_row(tmp_path: Path) -> None:
    _, log = run(write(tmp_path, curve({0.4: 3}, count=2)), code=1)
    assert "valid.jsonl:1: 2 completions, which cannot tell of 4" in log


@pytest.mark.parametrize("grid", ["1", "1:2", "2:1:0.1", "0:1:0.1", "0.3:1.6:0", "a:b:c", "nan:1:0.1"])
def test_a_grid_that_is_none_is_refused(tmp_path: Path, grid: str) -> None:
    _, log = run(write(tmp_path, curve({0.4: 3})), "--grid", grid, code=1)
    assert "is not lowest:highest:step" in log


def test_rollout_reads_the_record(tmp_path: Path) -> None:
    record = tmp_path / "temperature.json"
    record.write_text(run(write(tmp_path, curve({0.4: 3, 0.8: 9, 1.2: 3})))[0])
    problem = {"schema": "problem/1", "id": "p", "question": "?", "answer": "7", "answer_type": "number"}
    (tmp_path / "script.jsonl").write_text(json.dumps({"texts": ["7"]}) + "\n")
    problems = write(tmp_path, [problem], "problems.jsonl")
    rollout = ["rollout", problems, "--engine", "fake", "--model", str(tmp_path / "script.jsonl"), "--temperature"]
    done = CliRunner().invoke(app, [*rollout, f"@{record}"], catch_exceptions=False)
    assert json.loads(done.stdout)["sampling"]["temperature"] == 0.8
    done = CliRunner().invoke(app, [*rollout, f"@{tmp_path / 'none.json'}"])
    assert "none.json" in str(done.exception)
    for bad in ("warm", "-1", "nan", "inf"):
        done = CliRunner().invoke(app, [*rollout, bad])
        assert done.exit_code != 0
