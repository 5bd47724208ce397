"""eval: accuracy, bounds and intervals by hand, benchmarks by file, hints, resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, problem_rows, write_rows

FAKE = ["--engine", "fake", "-m", "script.jsonl", "--instruction", ""]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


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
    facts = json.loads((tmp_path / "scores.jsonl.manifest.json").read_text())["notes"]["accuracy"]["strict"]
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
    (facts,) = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["notes"]["accuracy"]["strict"]
    # Correct of 4: 1, 1, 2, 0. pass@2: 1/2, 1/2, 1 - 1/6, 0.
    assert facts["accuracy"] == pytest.approx(0.25)
    assert facts["pass_at"] == {"2": pytest.approx((0.5 + 0.5 + 5 / 6) / 4), "4": 0.75}
    assert facts["pass_all"] == {"2": pytest.approx(1 / 6 / 4), "4": 0.0}
    # The most frequent answer is 2, twice of four: right for the third problem.
    assert facts["majority"] == pytest.approx(0.25)


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


MMMU = {"id": "validation_Art_1", "question_type": "multiple-choice", "options": "['a cat', 'a dog']", "answer": "B"}


@pytest.fixture
def pets(tmp_path: Path) -> None:
    """`pets`: three MMMU rows, and saved completions on which its rule and ours differ."""
    rows = []
    for number in range(3):
        sound = {"schema": "problem/1", "id": f"p{number}", "question": "Which pet?", "answer": "B"}
        source = {"benchmark": "mmmu", "fields": MMMU | {"id": f"validation_Art_{number}"}}
        rows.append(sound | {"answer_type": "choice", "choices": ["a cat", "a dog"], "source": source})
    write_rows(tmp_path / "pets.jsonl", rows)
    texts = ["The answer is (B).", "It may well be (A) or it may be (B), I think", "hm"]
    write_rows(tmp_path / "saved.jsonl", [{"id": f"p{i}", "prediction": text} for i, text in enumerate(texts)])


def test_saved_predictions_are_scored_by_several_profiles(anectl: Cli, tmp_path: Path, pets: None) -> None:
    asked = ["eval", "pets.jsonl", "--predictions", "saved.jsonl", "--profile", "strict", "--profile", "mmmu"]
    done = anectl(*asked, "--disagreements", "differ.jsonl", "-o", "s.jsonl")
    found = lines((tmp_path / "s.jsonl").read_text())
    assert [(row["problem_id"], row["profile"]) for row in found] == [
        (f"p{number}", name) for number in range(3) for name in ("strict", "mmmu")
    ]
    verdicts = [(row["completions"][0]["correct"], row["completions"][0]["chance"]) for row in found]
    assert verdicts == [(True, None), (True, None), (None, None), (True, None), (None, None), (None, 0.5)]
    assert {row["policy"] for row in found} == {"saved"}
    assert {row["sampling"] for row in found} == {None}
    notes = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["notes"]
    (strict,), (official,) = (notes["accuracy"][name] for name in ("strict", "mmmu"))
    assert strict["accuracy"] == pytest.approx(1 / 3)
    assert official["accuracy"] == pytest.approx(2 / 3)
    assert official["expected"] == pytest.approx((2 + 0.5) / 3)
    assert notes["card"]["profiles"].keys() == {"strict", "mmmu"}
    differ = lines((tmp_path / "differ.jsonl").read_text())
    assert [(row["problem_id"], [one["correct"] for one in row["grades"]]) for row in differ] == [("p1", [None, True])]
    assert "completions on which profiles disagree" in done.stderr


def test_a_problem_without_a_prediction_is_an_error_at_its_line(anectl: Cli, tmp_path: Path, pets: None) -> None:
    saved = (tmp_path / "saved.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "saved.jsonl").write_text("".join(saved[:2]) + '{"id": "p9", "prediction": "B"}\n')
    asked = ["eval", "pets.jsonl", "--predictions", "saved.jsonl"]
    failed = anectl(*asked, ok=False)
    assert "pets.jsonl:3: no prediction for problem 'p2'" in failed.stderr
    done = anectl(*asked, "--on-error", "skip", "--rejects", "rejects.jsonl")
    assert len(lines(done.stdout)) == 2
    assert "1 rejected" in done.stderr
    assert "1 predictions belong to none of the problems" in done.stderr


def test_scores_are_predictions_again(anectl: Cli, benchmarks: list[str], tmp_path: Path) -> None:
    anectl("eval", *benchmarks, *FAKE, "-o", "first.jsonl")
    anectl("eval", *benchmarks, "--predictions", "first.jsonl", "-o", "second.jsonl")
    assert (tmp_path / "second.jsonl").read_bytes() == (tmp_path / "first.jsonl").read_bytes()


@pytest.mark.parametrize("options", [[], ["-m", "x", "--predictions", "y.jsonl"]])
def test_completions_come_from_one_place(anectl: Cli, tmp_path: Path, pets: None, options: list[str]) -> None:
    failed = anectl("eval", "pets.jsonl", *options, ok=False)
    assert failed.returncode == 2
    assert "--model and --predictions" in failed.stderr


def test_an_unknown_profile_names_the_nearest(anectl: Cli, tmp_path: Path, pets: None) -> None:
    failed = anectl("eval", "pets.jsonl", "--predictions", "saved.jsonl", "--profile", "mathvist", ok=False)
    assert "did you mean mathvista?" in failed.stderr


def test_a_row_of_which_one_profile_is_written_is_completed(anectl: Cli, tmp_path: Path, pets: None) -> None:
    asked = ["eval", "pets.jsonl", "--predictions", "saved.jsonl", "--profile", "strict", "--profile", "mmmu"]
    asked += ["--disagreements", "differ.jsonl"]
    anectl(*asked, "-o", "whole.jsonl")
    differ = (tmp_path / "differ.jsonl").read_bytes()
    whole = (tmp_path / "whole.jsonl").read_bytes()
    for count in range(1, 6):
        (tmp_path / "again.jsonl.partial").write_bytes(b"".join(whole.splitlines(keepends=True)[:count]) + whole[:9])
        anectl(*asked, "-o", "again.jsonl", "--resume")
        assert (tmp_path / "again.jsonl").read_bytes() == whole
        notes = [
            json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text())["notes"] for name in ("whole", "again")
        ]
        assert notes[0]["accuracy"] == notes[1]["accuracy"]
        assert notes[0]["disagreement"] == notes[1]["disagreement"]
        assert (tmp_path / "differ.jsonl").read_bytes() == differ
        (tmp_path / "again.jsonl").unlink()


def test_the_run_card_says_what_another_harness_needs(anectl: Cli, tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "b.jsonl", problem_rows(tmp_path, 2))
    anectl("eval", "b.jsonl", "-m", tiny_model, "--max-tokens", 4, "--card", "card.json")
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["first_prompt"].startswith("Which number is shown?")
    assert card["pixels"]["images"] == 2
    assert card["pixels"]["mean_pixels"] == 64 * 64
    assert card["pixels"]["processor"]["size"] == {"longest_edge": 64}
    assert card["sampling"]["max_tokens"] == 4
    assert card["profiles"]["strict"]
    assert card["versions"]["anectl"]
