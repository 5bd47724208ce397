"""Saved completions of any origin are found by the id of their problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError, RowError
from anectl.core.prediction_rows import prediction_of
from anectl.core.predictions import PredictionStore
from anectl.core.records import Problem
from tests.conftest import write_rows


def problem(name: str, *, benchmark: str = "", **fields: Any) -> Problem:
    """A problem as import makes it: its own id behind the name of its set, the published fields in `source`."""
    source = {"benchmark": benchmark, "fields": fields} if benchmark else {}
    return Problem(id=name, question="?", answer="1", answer_type="number", source=source)


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


def test_the_id_of_a_batch_answer_is_not_the_id_of_its_problem() -> None:
    body = {"choices": [{"message": {"content": "a"}}]}
    row = {"id": "batch_req_1", "custom_id": "p", "response": {"status_code": 200, "body": body}, "error": None}
    assert of(row) == ("p", ["a"])


@pytest.mark.parametrize(
    "answer",
    [
        {"response": {"status_code": 500, "body": {"error": "x"}}},
        {"response": None, "error": {"message": "too long"}},
        {"response": {"status_code": 200, "body": {"choices": []}}},
    ],
)
def test_a_request_that_failed_is_an_engine_error_and_not_an_answer(answer: dict[str, Any]) -> None:
    (completion,) = prediction_of(json.dumps({"id": "r", "custom_id": "p"} | answer).encode()).completions
    assert (completion.text, completion.finish_reason) == ("", "error")
    assert completion.error


def test_a_completion_cut_while_thinking_is_empty_and_cut() -> None:
    choice = {"message": {"content": None, "reasoning_content": "hm"}, "finish_reason": "length"}
    (completion,) = prediction_of(
        json.dumps({"custom_id": "p", "response": {"body": {"choices": [choice]}}}).encode()
    ).completions
    assert (completion.text, completion.finish_reason) == ("", "length")


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
        assert store.find("any", problem("a")).completions[0].text == "1"
        assert store.find("any", problem("b")).policy == "m7"
        with pytest.raises(RowError, match="no prediction for problem 'c'"):
            store.find("any", problem("c"))
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
        assert store.find("b", problem("a")).completions[0].correct is None
        with pytest.raises(RowError):
            store.find("other", problem("a"))


OWN_IDS = [
    ({"pid": "7", "response": "1"}, problem("mathvista-7", benchmark="mathvista", pid="7")),
    (
        {"doc_id": 6, "doc": {"pid": "7"}, "filtered_resps": ["1"]},
        problem("mathvista-7", benchmark="mathvista", pid="7"),
    ),
    ({"index": 7, "prediction": "1"}, problem("mmbench-7", benchmark="mmbench", index=7)),
    (
        {"id": "validation_Art_1", "response": "1"},
        problem("mmmu-validation_Art_1", benchmark="mmmu", id="validation_Art_1"),
    ),
]


@pytest.mark.parametrize(("row", "wanted"), OWN_IDS)
def test_a_problem_is_found_by_the_id_of_its_set(tmp_path: Path, row: dict[str, Any], wanted: Problem) -> None:
    write_rows(tmp_path / "p.jsonl", [row])
    with PredictionStore() as store:
        store.read(str(tmp_path / "p.jsonl"))
        assert store.find("any", wanted).completions[0].text == "1"
        assert store.num_unused() == 0


def test_a_row_number_is_not_taken_for_the_id_of_the_set(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", [{"index": 7, "prediction": "of another problem"}])
    with PredictionStore() as store:
        store.read(str(tmp_path / "p.jsonl"))
        with pytest.raises(RowError) as failure:
            store.find("any", problem("mathvista-7", benchmark="mathvista", pid="7"))
    assert "ids such as '7'" in str(failure.value.hint)


def test_an_id_of_the_set_that_several_rows_have_names_none(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", [{"id": f"r{i}", "pid": 7, "response": str(i)} for i in range(2)])
    with PredictionStore() as store:
        store.read(str(tmp_path / "p.jsonl"))
        with pytest.raises(RowError):
            store.find("any", problem("mathvista-7", benchmark="mathvista", pid="7"))


def test_a_field_that_is_named_may_hold_the_id_of_the_set(tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", [{"question_number": 7, "response": "1"}])
    with PredictionStore(id_field="question_number") as store:
        store.read(str(tmp_path / "p.jsonl"))
        assert store.find("any", problem("mathvista-7", benchmark="mathvista", pid="7")).problem_id == "7"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.tsv", "index\tprediction\na\t1\n"),
        ("p.csv", "index,prediction\na,1\n"),
        ("p.json", '[\n {"id": "a",\n "response": "1"}\n]'),
        ("p.json", '{\n "a": {"response": "1"}\n}'),
    ],
)
def test_tables_of_predictions_are_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with PredictionStore() as store:
        store.read(str(tmp_path / name))
        assert store.find("any", problem("a")).completions[0].text == "1"


def test_a_spreadsheet_is_refused_with_what_to_save_it_as(tmp_path: Path) -> None:
    (tmp_path / "p.xlsx").write_bytes(b"PK")
    with PredictionStore() as store, pytest.raises(AnectlError, match="no kind that can be read") as failure:
        store.read(str(tmp_path / "p.xlsx"))
    assert "TSV" in str(failure.value.hint)
