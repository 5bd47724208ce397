"""Two score files are compared in pairs; what cannot be paired is refused with its place."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.contingency_tables import mcnemar
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.stages.compare import Outcome, Scores, compare


def scores(path: str, shares: dict[tuple[str, str], tuple[int, int]], clusters: int = 0) -> Scores:
    """Outcomes from correct and drawn counts; `clusters` > 0 lets problems share that many images."""
    return Scores(
        path,
        {
            key: Outcome(line, drawn, correct, 0, str(line % clusters) if clusters else key[1])
            for line, (key, (correct, drawn)) in enumerate(shares.items(), 1)
        },
        {},
    )


def test_difference_and_flips_of_greedy_scores() -> None:
    before = {("b", str(i)): (int(i < 40), 1) for i in range(100)}
    after = {("b", str(i)): (int(5 <= i < 60), 1) for i in range(100)}
    row, mean_row = compare(scores("a", before), scores("b", after), seed=0)
    assert (row.accuracy_a, row.accuracy_b, row.num_problems) == (0.4, 0.55, 100)
    assert row.difference == pytest.approx(0.15)
    assert row.low < 0.15 < row.high
    assert len(row.gained) == 20
    assert row.lost == ("0", "1", "2", "3", "4")
    assert row.p_value == pytest.approx(mcnemar([[35, 5], [20, 40]], exact=True).pvalue)
    assert mean_row.benchmark == "mean"
    assert mean_row.lost[0] == "b/0"
    assert (mean_row.difference, mean_row.low, mean_row.high) == (row.difference, row.low, row.high)


def test_several_completions_count_by_their_share_and_flip_at_one_half() -> None:
    before = {("b", "x"): (2, 4), ("b", "y"): (4, 4), ("b", "z"): (3, 4)}
    after = {("b", "x"): (3, 4), ("b", "y"): (3, 4), ("b", "z"): (2, 4)}
    row = next(compare(scores("a", before), scores("b", after), seed=0))
    assert row.difference == pytest.approx(-1 / 12)
    assert (row.gained, row.lost) == (("x",), ("z",))


def test_benchmarks_weigh_equally_in_the_mean() -> None:
    before = {("small", "1"): (0, 1), **{("large", str(i)): (1, 1) for i in range(99)}}
    after = dict.fromkeys(before, (1, 1))
    *_, row = compare(scores("a", before), scores("b", after), seed=0)
    assert (row.accuracy_a, row.accuracy_b, row.difference) == (0.5, 1.0, 0.5)


def test_shared_images_widen_the_interval() -> None:
    rng = random.Random(0)
    flips = [rng.random() < 0.3 for _ in range(20)]
    before = {("b", str(i)): (0, 1) for i in range(1, 401)}
    after = {("b", str(i)): (int(flips[i % 20]), 1) for i in range(1, 401)}
    alone = next(compare(scores("a", before), scores("b", after), seed=0))
    shared = next(compare(scores("a", before, 20), scores("b", after, 20), seed=0))
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


def line(problem: str, *correct: bool | None, benchmark: str = "b", **fields: Any) -> str:
    completions = [{"text": "", "finish_reason": "stop", "correct": verdict} for verdict in correct]
    row = {"problem_id": problem, "benchmark": benchmark, "cluster": problem, "policy": "p", "sampling": {"n": 1}}
    return json.dumps({"schema": "score/1", **row, "completions": completions, **fields}) + "\n"


def run(folder: Path, *contents: str) -> Result:
    """Compare files a.jsonl, b.jsonl, ... of these contents."""
    paths = [folder / f"{letter}.jsonl" for letter in "abc"[: len(contents)]]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return CliRunner().invoke(app, ["compare", *map(str, paths)])


def test_rows_go_to_stdout_and_the_table_to_stderr(tmp_path: Path) -> None:
    good, bad = line("1", True) + line("2", True), line("2", False) + line("1", True)
    result = run(tmp_path, bad, good, bad)
    assert result.exit_code == 0, result.exception
    rows = [json.loads(text) for text in result.stdout.splitlines()]
    assert [(row["path_b"][-7:], row["benchmark"]) for row in rows] == [
        ("b.jsonl", "b"),
        ("b.jsonl", "mean"),
        ("c.jsonl", "b"),
        ("c.jsonl", "mean"),
    ]
    assert rows[0]["gained"] == ["2"]
    assert "McNemar" in result.stderr
    assert "+0.500" in result.stderr


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (line("1", True), line("1", True) + line("2", True), "b.jsonl:2: 1 problems are not in "),
        (line("1", True) + line("2", True), line("1", True), "a.jsonl:2: 1 problems are not in "),
        (line("1", True), line("1", True, benchmark="c"), "a.jsonl:1: 1 problems are not in "),
        (line("1", True), line("1", True) * 2, "b.jsonl:2: problem '1' of 'b' stands at line 1 already"),
        (line("1", True), line("1"), "b.jsonl:1: problem '1' has no completion"),
        (line("1", True), "{}", "b.jsonl:1: Object missing required field"),
        (line("1", True), "", "b.jsonl: no rows in it"),
    ],
)
def test_what_cannot_be_paired_is_refused_with_its_place(tmp_path: Path, first: str, second: str, problem: str) -> None:
    result = run(tmp_path, first, second)
    assert isinstance(result.exception, AnectlError)
    assert problem in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["a.jsonl"], ["a.jsonl", "a.jsonl"]])
def test_one_file_is_nothing_to_compare(arguments: list[str]) -> None:
    error = CliRunner().invoke(app, ["compare", *arguments]).exception
    assert isinstance(error, AnectlError)
    assert error.exit_code == 2


def test_other_settings_images_and_nulls_are_noted(tmp_path: Path) -> None:
    other = line("1", None, scaffold_level=2, profile="lenient", cluster="x", sampling={"n": 1, "temperature": 0.5})
    result = run(tmp_path, line("1", True), other)
    assert result.exit_code == 0
    for note in (
        "scaffold_level differs",
        "profile differs",
        "sampling differs",
        "other images",
        "could not be judged",
    ):
        assert note in result.stderr
    assert json.loads(result.stdout.splitlines()[0])["accuracy_b"] == 0.0


def test_another_seed_is_no_other_setting(tmp_path: Path) -> None:
    result = run(tmp_path, line("1", True), line("1", True, sampling={"n": 1, "seed": 5}))
    assert "differs" not in result.stderr
