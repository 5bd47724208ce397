"""eval: accuracy, bounds and intervals by hand, benchmarks by file, hints, resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anectl.core.accuracy import Outcome, accuracy_of, mean_accuracy
from tests.conftest import Cli, problem_rows, write_rows

FAKE = ["--engine", "fake", "-m", "script.jsonl", "--instruction", ""]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def outcome(num_correct: int, *, cluster: str, num_samples: int = 1, num_null: int = 0) -> Outcome:
    return Outcome(cluster, num_samples, num_correct, num_null, 0)


@pytest.fixture
def benchmarks(tmp_path: Path) -> list[str]:
    """`even` has 4 problems on 4 pictures, `odd` 6 on 3; the script is right on 0..2, silent on 3, cut off on 5."""
    write_rows(tmp_path / "even.jsonl", problem_rows(tmp_path, 4))
    write_rows(tmp_path / "odd.jsonl", problem_rows(tmp_path, 6, per_image=2))
    right = [{"match": rf"\({number}\)", "texts": [f"Answer: {number}"]} for number in range(3)]
    silent = {"match": r"\(3\)", "texts": ["who knows what that is supposed to be"]}
    cut = {"match": r"\(5\)", "texts": ["and so on and on"], "finish_reason": "length"}
    write_rows(tmp_path / "script.jsonl", [*right, silent, cut, {"texts": ["Answer: 99"]}])
    return ["even.jsonl", "odd.jsonl"]


def test_accuracy_counts_null_as_wrong_and_the_upper_bound_as_right() -> None:
    outcomes = [outcome(1, cluster="a"), outcome(1, cluster="b"), outcome(0, cluster="c", num_null=1)]
    found = accuracy_of("b", [*outcomes, outcome(0, cluster="d")], seed=0)
    assert (found.accuracy, found.null_rate, found.upper_bound) == (0.5, 0.25, 0.75)
    assert found.wilson == pytest.approx((0.15004, 0.84996), abs=1e-5)  # 2 of 4
    assert found.pass_at == {}


def test_pass_at_k_is_unbiased_and_accuracy_the_mean() -> None:
    outcomes = [outcome(1, cluster="a", num_samples=4), outcome(4, cluster="b", num_samples=4)]
    found = accuracy_of("b", outcomes, seed=0)
    assert found.accuracy == pytest.approx(0.625)
    # pass@2 of 1 in 4: 1 - C(3,2)/C(4,2) = 1/2
    assert found.pass_at == pytest.approx({2: 0.75, 4: 1.0})


def test_problems_of_one_picture_widen_the_interval() -> None:
    alone = [outcome(i % 2, cluster=str(i)) for i in range(40)]
    together = [outcome(i // 4 % 2, cluster=str(i // 4)) for i in range(40)]
    narrow = accuracy_of("b", alone, seed=0).clustered
    wide = accuracy_of("b", together, seed=0).clustered
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_the_mean_weighs_benchmarks_equally() -> None:
    groups = {"a": [outcome(1, cluster=str(i)) for i in range(9)], "b": [outcome(0, cluster="x")]}
    each = [accuracy_of(name, found, seed=0) for name, found in groups.items()]
    found = mean_accuracy(groups, each, seed=0)
    assert (found.benchmark, found.accuracy, found.num_problems, found.wilson) == ("mean", 0.5, 10, None)
    assert found.clustered == (0.5, 0.5)


def test_scores_and_table_of_two_benchmarks(anectl: Cli, benchmarks: list[str], tmp_path: Path) -> None:
    done = anectl("eval", *benchmarks, *FAKE, "-o", "scores.jsonl")
    scores = lines((tmp_path / "scores.jsonl").read_text())
    assert [(score["benchmark"], score["problem_id"]) for score in scores] == [
        *(("even", f"p{number}") for number in range(4)),
        *(("odd", f"p{number}") for number in range(6)),
    ]
    assert {score["sampling"]["temperature"] for score in scores} == {0.0}
    clusters = [score["cluster"] for score in scores if score["benchmark"] == "odd"]
    assert clusters[0] == clusters[1] != clusters[2]
    facts = json.loads((tmp_path / "scores.jsonl.manifest.json").read_text())["notes"]["accuracy"]
    even, odd, mean = facts
    assert (even["accuracy"], even["null_rate"], even["upper_bound"]) == (0.75, 0.25, 1.0)
    assert (odd["accuracy"], odd["null_rate"]) == (0.5, pytest.approx(1 / 3))
    assert odd["truncation_rate"] == pytest.approx(1 / 6)
    assert mean["accuracy"] == pytest.approx(0.625)
    assert even["wilson"] == pytest.approx([0.300642, 0.954413], abs=1e-5)  # 3 of 4
    table = [line.split() for line in done.stderr.splitlines() if " odd " in line]
    assert "50.0" in table[0]
    assert "83.3" in table[0]  # at most: 3 right and 2 not judged of 6
    assert "16.7" in table[0]


def test_samples_give_pass_at_k(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "b.jsonl", problem_rows(tmp_path, 4))
    write_rows(tmp_path / "script.jsonl", [{"texts": ["Answer: 0", "Answer: 1", "Answer: 2", "Answer: 2"]}])
    anectl("eval", "b.jsonl", *FAKE, "-k", 4, "--temperature", 1, "-o", "s.jsonl")
    (facts,) = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["notes"]["accuracy"]
    # Correct of 4: 1, 1, 2, 0. pass@2: 1/2, 1/2, 1 - 1/6, 0.
    assert facts["accuracy"] == pytest.approx(0.25)
    assert facts["pass_at"] == {"2": pytest.approx((0.5 + 0.5 + 5 / 6) / 4), "4": 0.75}


def test_greedy_draws_one_completion(anectl: Cli, benchmarks: list[str]) -> None:
    failed = anectl("eval", *benchmarks, *FAKE, "-k", 4, ok=False)
    assert failed.returncode == 2
    assert "temperature" in failed.stderr


def test_hint_level_shows_the_scaffold_and_is_recorded(anectl: Cli, tmp_path: Path) -> None:
    rows = problem_rows(tmp_path, 2)
    rows[1] |= {"answer": "41", "steps": ["Row 1 reads 40 1.", "40 + 1 = 41."]}
    write_rows(tmp_path / "b.jsonl", rows)
    write_rows(tmp_path / "script.jsonl", [{"match": "Row 1 reads", "texts": ["Answer: 41"]}, {"texts": ["none here"]}])
    bare = lines(anectl("eval", "b.jsonl", *FAKE).stdout)
    assert [score["completions"][0]["correct"] for score in bare] == [None, None]
    done = anectl("eval", "b.jsonl", *FAKE, "--hint-level", 5)
    hinted = lines(done.stdout)
    assert [score["completions"][0]["correct"] for score in hinted] == [None, True]
    assert [score["scaffold_level"] for score in hinted] == [5, 5]
    assert "1 problems have no scaffold of level 5" in done.stderr


def test_resume_counts_the_finished_rows_in_the_table(anectl: Cli, benchmarks: list[str], tmp_path: Path) -> None:
    anectl("eval", *benchmarks, *FAKE, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    (tmp_path / "again.jsonl.partial").write_bytes(b"".join(whole.splitlines(keepends=True)[:5]) + whole[:40])
    anectl("eval", *benchmarks, *FAKE, "--batch-size", 3, "-o", "again.jsonl", "--resume")
    assert (tmp_path / "again.jsonl").read_bytes() == whole
    notes = [json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text())["notes"] for name in ("whole", "again")]
    assert notes[0]["accuracy"] == notes[1]["accuracy"]
    (tmp_path / "again.jsonl.manifest.json").unlink()
    failed = anectl("eval", *benchmarks, *FAKE, "--hint-level", 1, "-o", "again.jsonl", "--resume", ok=False)
    assert "scaffold level 0" in failed.stderr


def test_an_id_may_come_once_a_benchmark_and_a_name_once(anectl: Cli, benchmarks: list[str], tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/even.jsonl").write_text((tmp_path / "even.jsonl").read_text())
    failed = anectl("eval", "even.jsonl", "more/even.jsonl", *FAKE, ok=False)
    assert "2 files are the benchmark 'even'" in failed.stderr
    even = tmp_path / "even.jsonl"
    even.write_text(even.read_text() + even.read_text().splitlines()[0] + "\n")
    failed = anectl("eval", "even.jsonl", *FAKE, ok=False)
    assert "even.jsonl:5: duplicate id 'even/p0'" in failed.stderr


def test_a_real_model_is_scored(anectl: Cli, tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "b.jsonl", problem_rows(tmp_path, 3))
    done = anectl("eval", "b.jsonl", "-m", tiny_model, "--max-tokens", 8)
    assert len(lines(done.stdout)) == 3
    assert "clustered 95%" in done.stderr
