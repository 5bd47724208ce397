"""Saved completions of any origin are found by the id of their problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError, RowError
from anectl.core.predictions import PredictionStore, prediction_of
from tests.conftest import write_rows


def of(row: dict[str, Any]) -> tuple[str, list[str]]:
    found = prediction_of(json.dumps(row).encode())
    return found.problem_id, [completion.text for completion in found.completions]


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"id": "p", "prediction": "Answer: 3"}, ["Answer: 3"]),
        ({"problem_id": "p", "response": "Answer: 3"}, ["Answer: 3"]),
        ({"id": "p", "responses": ["a", "b"]}, ["a", "b"]),
        ({"doc_id": "p", "resps": [["a", "b"]], "filtered_resps": ["a"]}, ["a"]),
        ({"id": "p", "completions": [{"text": "a"}, {"text": "b"}]}, ["a", "b"]),
        (
            {"custom_id": "p", "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "a"}}]}}},
            ["a"],
        ),
    ],
)
def test_many_shapes_are_read(row: dict[str, Any], texts: list[str]) -> None:
    assert of(row) == ("p", texts)


def test_an_integer_id_is_its_digits() -> None:
    assert of({"index": 17, "prediction": "B"})[0] == "17"


def test_a_cut_completion_of_a_batch_stays_cut() -> None:
    choice = {"message": {"content": "Answer: 1"}, "finish_reason": "length"}
    row = {"custom_id": "p", "response": {"body": {"choices": [choice]}}}
    assert prediction_of(json.dumps(row).encode()).completions[0].finish_reason == "length"


@pytest.mark.parametrize(
    "row",
    [
        {"prediction": "a"},
        {"id": True, "prediction": "a"},
        {"id": "p"},
        {"id": "p", "prediction": 3},
        {"id": "p", "predictions": []},
        {"id": "p", "predictions": ["a", 3]},
        {"custom_id": "p", "response": {"status_code": 500, "body": {"error": "x"}}},
        {"custom_id": "p", "response": {"body": {"choices": [{"message": {"content": None}}]}}},
    ],
)
def test_what_is_no_prediction_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        of(row)


def test_predictions_are_found_by_benchmark_and_id(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", [{"id": "a", "text": "1"}, {"id": "b", "text": "2", "model": "m7"}])
    with PredictionStore() as store:
        store.read(str(tmp_path / "p.jsonl"))
        assert store.find("any", "a").completions[0].text == "1"
        assert store.find("any", "b").policy == "m7"
        with pytest.raises(RowError, match="no prediction for problem 'c'"):
            store.find("any", "c")
        assert store.num_unused() == 0


def test_two_predictions_of_one_problem_are_an_error_with_their_places(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", [{"id": "a", "text": "1"}, {"id": "a", "text": "1"}, {"id": "a", "text": "2"}])
    with PredictionStore() as store, pytest.raises(AnectlError) as failure:
        store.read(str(tmp_path / "p.jsonl"))
    assert failure.value.line == 3
    assert "p.jsonl:1" in failure.value.problem


def test_scores_of_several_profiles_are_one_prediction(tmp_path: Path) -> None:
    score = {"schema": "score/1", "problem_id": "a", "benchmark": "b", "cluster": "c", "policy": "m"}
    graded = [
        score | {"profile": name, "completions": [{"text": "1", "finish_reason": "stop", "correct": name == "strict"}]}
        for name in ("strict", "mmmu")
    ]
    write_rows(tmp_path / "s.jsonl", graded)
    with PredictionStore() as store:
        store.read(str(tmp_path / "s.jsonl"))
        assert store.num_rows == 1
        assert store.find("b", "a").completions[0].correct is None
        with pytest.raises(RowError):
            store.find("other", "a")
