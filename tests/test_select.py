"""select: which of the policy's own completions become training examples."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from anectl.cli import app
from anectl.core.errors import RowError
from anectl.core.records import Completion, Problem
from anectl.core.selection import Aggregate, Rule, Selection, different, process_reward
from anectl.core.voting import vote


def completion(text: str, scores: tuple[float, ...] | None = None, extracted: str | None = None) -> Completion:
    return Completion(text=text, finish_reason="stop", correct=True, extracted=extracted, step_scores=scores)


def selection(rule: Rule, k: int | None = 2, alpha: float = 0.5, aggregate: Aggregate = "min") -> Selection:
    return Selection(rule=rule, k=k, alpha=alpha, aggregate=aggregate, seed=0)


def test_a_completion_is_worth_its_worst_step() -> None:
    good_on_average, never_bad = completion("a", (1.0, 1.0, 0.1)), completion("b", (0.5, 0.5, 0.5))
    assert process_reward(good_on_average, "min") == 0.1
    assert selection("prm-top", 1).choose("key", [good_on_average, never_bad]) == [never_bad]
    assert selection("prm-top", 1, aggregate="mean").choose("key", [good_on_average, never_bad]) == [good_on_average]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=16), st.integers(1, 20))
def test_the_kept_are_the_k_best_and_the_first_of_equals(scores: list[float], k: int) -> None:
    candidates = [completion(str(place), (score,)) for place, score in enumerate(scores)]
    kept = [int(one.text) for one in selection("prm-top", k).choose("key", candidates)]
    assert kept == sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:k]


def test_a_threshold_keeps_what_is_over_it_and_no_more_than_k() -> None:
    candidates = [completion(str(score), (score,)) for score in (0.4, 0.5, 0.6, 0.9, 0.7)]
    assert [one.text for one in selection("prm-above", None).choose("key", candidates)] == ["0.9", "0.7", "0.6"]
    assert [one.text for one in selection("prm-above", 1).choose("key", candidates)] == ["0.9"]


def test_random_choice_depends_on_the_problem_and_the_seed_alone() -> None:
    candidates = [completion(str(number)) for number in range(8)]
    first = Counter(selection("random", 1).choose(f"key{number}", candidates)[0].text for number in range(800))
    assert selection("random").choose("a", candidates) == selection("random").choose("a", candidates)
    assert min(first.values()) > 60  # 100 expected of each


def test_missing_step_scores_are_an_error_only_where_they_count() -> None:
    assert selection("all", None).choose("key", [completion("a")]) == [completion("a")]
    with pytest.raises(RowError, match="no step scores"):
        selection("prm-top").choose("key", [completion("a")])


def test_one_text_is_learnt_once_and_unfinished_ones_never() -> None:
    cut = Completion(text="c", finish_reason="length", correct=True)
    assert [one.text for one in different([completion("a"), completion("b"), completion("a"), cut])] == ["a", "b"]


PROBLEM = Problem(id="p", question="?", answer="7", answer_type="number")


def test_the_vote_counts_one_value_in_two_spellings_as_one() -> None:
    voters = [completion("x", extracted=answer) for answer in ("0.5", "1/2", "3", "3")]
    assert vote(PROBLEM, voters[:3], None) is not None
    won = vote(PROBLEM, [*voters[:3], completion("y", extracted="1/2")], None)
    assert won is not None
    assert won.answer == "1/2"
    assert math.isclose(won.share, 0.75)
    assert len(won.voters) == 3


def test_a_tie_or_no_answer_gives_no_label() -> None:
    voters = [completion("x", extracted=answer) for answer in ("4", "3")]
    assert vote(PROBLEM, voters, None) is None
    assert vote(PROBLEM, [completion("x")], None) is None
    assert vote(PROBLEM, voters, [0.0, 0.0]) is None


def test_a_trusted_minority_outvotes_a_doubted_majority() -> None:
    voters = [completion("x", extracted=answer) for answer in ("4", "3", "3")]
    won = vote(PROBLEM, voters, [0.9, 0.2, 0.2])
    assert won is not None
    assert won.answer == "4"


def row(number: int, completions: list[dict[str, Any]], answer: str = "7") -> dict[str, Any]:
    problem = {
        "schema": "problem/1",
        "id": f"p{number}",
        "question": f"Question {number}?",
        "answer": answer,
        "answer_type": "number",
    }
    sampling = {"n": len(completions), "instruction": "Say it."}
    return {
        "schema": "rollout/1",
        "key": f"{number:032x}",
        "problem": problem,
        "policy": "p",
        "sampling": sampling,
        "completions": completions,
    }


def said(answer: str, correct: bool | None, scores: list[float] | None = None, text: str = "") -> dict[str, Any]:
    return {
        "text": text or f"It is {answer}.",
        "finish_reason": "stop",
        "extracted": answer,
        "correct": correct,
        "step_scores": scores,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(path)


def run(*arguments: str, code: int = 0) -> tuple[list[dict[str, Any]], str]:
    result = CliRunner().invoke(app, ["select", *arguments], catch_exceptions=code == 1)
    assert result.exit_code == code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr + str(result.exception or "")


def test_only_right_completions_become_bare_examples(tmp_path: Path) -> None:
    rows = [row(1, [said("7", True), said("8", False), said("9", None)]), row(2, [said("8", False)])]
    examples, log = run(write(tmp_path / "r.jsonl", rows), "--rule", "all")
    assert [one["problem_id"] for one in examples] == ["p1"]
    assert examples[0]["prompt"] == [{"role": "user", "content": "Question 1?\nSay it."}]
    assert examples[0]["completion"][0]["content"] == "It is 7."
    assert examples[0]["scaffold"]["level"] == 0
    assert examples[0]["origin"] == "labelled/self"
    assert "1 dropped (no right completion that is kept)" in log


def test_the_limit_takes_every_problems_best_first(tmp_path: Path) -> None:
    def scored(number: int) -> dict[str, Any]:
        return row(number, [said("7", True, [0.2], f"a{number}"), said("7", True, [0.9], f"b{number}")])

    path = write(tmp_path / "r.jsonl", [scored(number) for number in range(3)])
    examples, _ = run(path, "--rule", "prm-top", "--max-examples", "4")
    assert [one["completion"][0]["content"] for one in examples] == ["b0", "b1", "b2", "a0"]
    examples, log = run(path, "--rule", "prm-top", "--max-examples", "2")
    assert [one["problem_id"] for one in examples] == ["p0", "p1"]
    assert "1 dropped (enough examples)" in log


def test_unlabelled_problems_are_labelled_by_their_own_vote_whatever_their_answer_says(tmp_path: Path) -> None:
    labelled = write(tmp_path / "l.jsonl", [row(1, [said("7", True)])])
    unclear = row(3, [said("4", False), said("5", False)])
    hidden = write(tmp_path / "u.jsonl", [row(2, [said("4", False), said("4", False), said("7", True)]), unclear])
    examples, log = run(labelled, "--unlabelled", hidden)
    assert [(one["problem_id"], one["answer"], one["origin"]) for one in examples] == [
        ("p1", "7", "labelled/self"),
        ("p2", "4", "voted/self"),
    ]
    assert "1 labels by vote (0 right)" in log
    assert "1 dropped (no label: the vote is not clear)" in log


def test_unlabelled_problems_wait_for_their_part_of_the_training(tmp_path: Path) -> None:
    labelled = write(tmp_path / "l.jsonl", [row(1, [said("7", True)])])
    hidden = write(tmp_path / "u.jsonl", [row(2, [said("4", False)])])
    mixed = ("--unlabelled", hidden, "--mix-in", "0.75", "--training-done")
    assert len(run(labelled, *mixed, "0.5")[0]) == 1
    assert len(run(labelled, *mixed, "0.75")[0]) == 2


def test_a_rule_that_needs_step_scores_names_the_row_without(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [row(1, [said("7", True, [0.5])]), row(2, [said("7", True)])])
    _, log = run(path, "--rule", "prm-top", code=1)
    assert "r.jsonl:2: a completion has no step scores" in log
    examples, _ = run(path, "--rule", "prm-top", "--on-error", "skip", "--rejects", str(tmp_path / "x.jsonl"))
    assert [one["problem_id"] for one in examples] == ["p1"]


def test_a_problem_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [row(1, [said("7", True)]), row(1, [said("7", True)])])
    _, log = run(path, code=1)
    assert "r.jsonl:2: duplicate id 'p1'" in log


def test_explanations_of_a_revealed_answer_are_learnt_without_it(tmp_path: Path) -> None:
    reveal = "The answer is {answer}. Show how to get there."
    good, told = said("7", True, text="Three and four make 7."), said("7", True, text="The given answer is 7.")
    copied = said("7", True, text="I show how to get there: 7.")
    revealed = row(1, [good, told, copied])
    revealed["sampling"]["reveal"] = reveal
    path = write(tmp_path / "r.jsonl", [revealed])
    examples, _ = run(path, "--rule", "all")
    assert [one["completion"][0]["content"] for one in examples] == ["Three and four make 7."]
    assert examples[0]["prompt"][0]["content"] == "Question 1?\nSay it."
    assert examples[0]["origin"] == "revealed/self"
    for command in (["locate-frontier"], ["log-round", "--round", "0"], ["tune-temperature", "--num-drawn", "3"]):
        result = CliRunner().invoke(app, [*command, path])
        assert "drawn with its answer revealed" in str(result.exception)


def test_rollout_reveals_the_answer_to_the_policy_alone(tmp_path: Path) -> None:
    problem = row(1, [said("7", True)])["problem"]
    path = write(tmp_path / "p.jsonl", [problem])
    script = [{"match": "Question 1\\?\\nSay it\\.\\nIt is 7, why\\?$", "texts": ["7"]}, {"texts": ["8"]}]
    asked = [
        "rollout",
        path,
        "--engine",
        "fake",
        "--model",
        write(tmp_path / "s.jsonl", script),
        "--instruction",
        "Say it.",
    ]
    done = CliRunner().invoke(app, [*asked, "--reveal", "It is {answer}, why?", "-n", "1"], catch_exceptions=False)
    drawn = json.loads(done.stdout)
    assert drawn["completions"][0]["correct"] is True
    assert drawn["sampling"]["reveal"] == "It is {answer}, why?"
    refused = CliRunner().invoke(app, [*asked, "--reveal", "Why?"])
    assert "has no {answer}" in str(refused.exception)
