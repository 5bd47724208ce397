"""Two score files are compared in pairs; what cannot be paired is refused with its place."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.contingency_tables import mcnemar
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.accuracy import Outcome
from anectl.core.errors import AnectlError
from anectl.core.metrics import holm
from anectl.core.paired import Pair, adjusted, compare_pairs
from anectl.core.power import num_problems_needed
from anectl.core.records import Comparison
from anectl.stages.compare import Entry, Scores
from anectl.stages.compare import compare as compare_scores


def outcome(cluster: str, correct: int, drawn: int = 1, *, null: int = 0, cut: int = 0) -> Outcome:
    return Outcome(cluster, drawn, correct, null, cut, majority=0.0, chance=None)


def scores(path: str, shares: dict[tuple[str, str], tuple[int, int]], clusters: int = 0) -> Scores:
    """Outcomes from correct and drawn counts; `clusters` > 0 lets problems share that many images."""
    entries: dict[str, dict[str, Entry]] = {}
    for line, ((benchmark, problem), (correct, drawn)) in enumerate(shares.items(), 1):
        one = outcome(str(line % clusters) if clusters else problem, correct, drawn)
        entries.setdefault(benchmark, {})[problem] = Entry(line, one)
    return Scores(path, {"strict": entries})


def compare(a: Scores, b: Scores, *, seed: int) -> Iterator[Comparison]:
    return compare_scores(a, b, seed=seed, gain=0.02)


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


def test_nulls_bound_the_difference_and_cut_completions_are_counted() -> None:
    pairs = [
        Pair("1", outcome("1", 1), outcome("1", 0, null=1, cut=1)),
        Pair("2", outcome("2", 0, null=1), outcome("2", 1)),
        Pair("3", outcome("3", 0, null=1), outcome("3", 0)),
        Pair("4", outcome("4", 1), outcome("4", 1, cut=1)),
    ]
    row = compare_pairs("b", {"b": pairs}, seed=0, gain=0.1)
    assert row.difference == 0
    # At worst a was right on 2 and 3; at best b was right on 1.
    assert (row.lower_bound, row.upper_bound) == (-0.5, 0.25)
    assert (row.truncation_rate_a, row.truncation_rate_b) == (0.0, 0.5)


def test_the_problems_needed_come_from_the_flips() -> None:
    before = {("b", str(i)): (int(i < 40), 1) for i in range(100)}
    after = {("b", str(i)): (int(5 <= i < 60), 1) for i in range(100)}
    row, mean_row = compare_scores(scores("a", before), scores("b", after), seed=0, gain=0.05)
    assert row.num_needed == mean_row.num_needed == num_problems_needed(0.15, 0.25)
    assert (row.gain, row.num_needed_for_gain) == (0.05, num_problems_needed(0.05, 0.25))
    same = next(compare_scores(scores("a", before), scores("b", before), seed=0, gain=0.05))
    assert (same.p_value, same.num_needed) == (1.0, None)
    assert same.num_needed_for_gain == num_problems_needed(0.05, 0.05)


def test_p_is_adjusted_over_all_benchmarks_and_files_but_not_the_means() -> None:
    rows = []
    for path, sizes in (("b", (8, 3)), ("c", (6, 0))):
        before = {(f"b{which}", str(i)): (0, 1) for which in (0, 1) for i in range(20)}
        after = {(f"b{which}", str(i)): (int(i < sizes[which]), 1) for which in (0, 1) for i in range(20)}
        rows += compare(scores("a", before), scores(path, after), seed=0)
    found = adjusted(iter(rows))
    tests = [row for row in found if row.benchmark != "mean"]
    assert [row.p_holm for row in tests] == holm([row.p_value for row in tests])
    assert tests[0].p_holm == pytest.approx(4 * tests[0].p_value)
    assert [row.p_holm for row in found if row.benchmark == "mean"] == [None, None]


@pytest.mark.slow
def test_two_runs_of_one_model_differ_as_often_as_the_level_says() -> None:
    """1,000 comparisons of 1,000 problems, drawn once by each run with the problem's own pass rate, Beta(0.6, 0.5).

    Two problems share an image and so a part of their pass rate. The exact test is conservative where flips are few;
    here there are about 230.
    """
    rng = random.Random(11)
    rejected = apart = 0
    for trial in range(1000):
        pairs = []
        for image in range(500):
            shared = rng.betavariate(0.6, 0.5)
            for number in range(2):
                rate = (shared + rng.betavariate(0.6, 0.5)) / 2 if number else shared
                a, b = (outcome(str(image), int(rng.random() < rate)) for _ in range(2))
                pairs.append(Pair(f"{image}-{number}", a, b))
        row = compare_pairs("b", {"b": pairs}, seed=trial, gain=0.02)
        rejected += row.p_value < 0.05
        apart += not row.low <= 0 <= row.high
    print(f"rejected {rejected / 1000:.3f}; interval without 0 {apart / 1000:.3f}")
    assert 30 <= rejected <= 70
    assert 30 <= apart <= 70


def line(problem: str, *correct: bool | None, benchmark: str = "b", **fields: Any) -> str:
    completions: list[dict[str, Any]] = [
        {"text": "", "finish_reason": "stop", "correct": verdict} for verdict in correct
    ]
    row = {"problem_id": problem, "benchmark": benchmark, "cluster": problem, "policy": "p", "sampling": {"n": 1}}
    return json.dumps({"schema": "score/1", **row, "completions": completions, **fields}) + "\n"


def run(folder: Path, *contents: str, options: Sequence[str] = ()) -> Result:
    """Compare files a.jsonl, b.jsonl, ... of these contents."""
    paths = [folder / f"{letter}.jsonl" for letter in "abc"[: len(contents)]]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return CliRunner().invoke(app, ["compare", *options, *map(str, paths)])


def test_profiles_are_compared_each_by_itself(tmp_path: Path) -> None:
    first = line("1", False) + line("1", False, profile="mmstar") + line("2", True) + line("2", True, profile="mmstar")
    second = line("2", True, profile="mmstar") + line("1", True) + line("1", False, profile="mmstar") + line("2", True)
    result = run(tmp_path, first, second)
    assert result.exit_code == 0, result.exception
    rows = [json.loads(text) for text in result.stdout.splitlines()]
    assert [(row["profile"], row["benchmark"], row["difference"]) for row in rows] == [
        ("strict", "b", 0.5),
        ("strict", "mean", 0.5),
        ("mmstar", "b", 0.0),
        ("mmstar", "mean", 0.0),
    ]
    assert "profile mmstar" in result.stderr


def test_files_of_other_profiles_are_refused_with_a_hint(tmp_path: Path) -> None:
    result = run(tmp_path, line("1", True), line("1", True) + line("1", True, profile="mmmu"))
    assert isinstance(result.exception, AnectlError)
    assert "b.jsonl: scored under mmmu, strict, but" in str(result.exception)
    assert "anectl grade" in (result.exception.hint or "")


def test_flips_are_listed_both_ways_with_their_ids(tmp_path: Path) -> None:
    before = line("won", False) + line("kept", True) + line("gone", True)
    after = line("won", True) + line("kept", True) + line("gone", False)
    result = run(tmp_path, before, after, options=["--flips"])
    listed = [words for text in result.stderr.splitlines() if len(words := text.replace("│", " ").split()) == 3]
    assert listed == [["won", "b", "gained"], ["gone", "b", "lost"]]
    assert "gone" not in run(tmp_path, before, after).stderr


def test_nulls_cuts_and_the_problems_needed_are_shown(tmp_path: Path) -> None:
    cut = {"text": "", "finish_reason": "length", "correct": None}
    after = line("1", True) + line("2", completions=[cut])
    result = run(tmp_path, line("1", True) + line("2", False), after, options=["--gain", "0.1"])
    listed = [text.replace("│", " ").split() for text in result.stderr.splitlines()]
    assert ["b", "+0.000", "+0.500", "0.0%", "50.0%"] in listed
    assert "n for 0.1" in result.stderr
    assert "…" not in result.stderr
    row = json.loads(result.stdout.splitlines()[0])
    assert (row["lower_bound"], row["upper_bound"], row["truncation_rate_b"]) == (0.0, 0.5, 0.5)


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
    other = line("1", None, scaffold_level=2, cluster="x", sampling={"n": 1, "temperature": 0.5})
    result = run(tmp_path, line("1", True), other)
    assert result.exit_code == 0
    for note in (
        "scaffold_level differs",
        "sampling differs",
        "other images",
        "could not be judged",
    ):
        assert note in result.stderr
    assert json.loads(result.stdout.splitlines()[0])["accuracy_b"] == 0.0


def test_another_seed_is_no_other_setting(tmp_path: Path) -> None:
    result = run(tmp_path, line("1", True), line("1", True, sampling={"n": 1, "seed": 5}))
    assert "differs" not in result.stderr


def test_completions_from_elsewhere_have_no_known_sampling(tmp_path: Path) -> None:
    result = run(tmp_path, line("1", True), line("1", True, sampling=None))
    assert result.exit_code == 0
    assert "b.jsonl has not known" in result.stderr


def test_a_problem_counts_once_under_however_many_profiles_it_stands(tmp_path: Path) -> None:
    both = "".join(line(name, None, profile=profile) for profile in ("strict", "mmmu") for name in "12")
    one = "".join(line("1", None, profile=profile) for profile in ("strict", "mmmu"))
    assert "1 problems are not in" in str(run(tmp_path, both, one).exception)
    notes = run(tmp_path, both, both).stderr
    assert "2 completions in" in notes
    assert "under mmmu" in notes
    assert "4 completions" not in notes


def test_the_mean_of_one_benchmark_is_not_shown(tmp_path: Path) -> None:
    result = run(tmp_path, line("1", True), line("1", False))
    assert "│ mean" not in result.stderr
    assert '"benchmark":"mean"' in result.stdout
