"""Tables of one's own: plain column names, lists in one field, and one's own ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from anectl.cli import app
from anectl.core.errors import AnectlError, RowError
from anectl.core.formats import load_format
from anectl.core.records import Problem


class Kept:
    """A sink that keeps references as they are."""

    def put(self, image: object) -> str:
        return str(image)


def problem(**row: Any) -> Problem:
    to_record = load_format("table").to_record
    assert to_record is not None
    found = to_record({"question": "How many?", "answer": "4"} | row, Kept())
    assert isinstance(found, Problem)
    return found


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"answer": "4"}, {"answer_type": "number"}),
        ({"answer": 4.0}, {"answer": "4", "answer_type": "number"}),
        ({"answer": "yes"}, {"answer_type": "boolean"}),
        ({"answer": "a cat"}, {"answer_type": "text"}),
        ({"answer": "1, 3, 7", "answer_type": "list"}, {"answer_type": "list"}),
        (
            {"answer": "blue", "choices": "red; blue"},
            {"answer": "B", "choices": ("red", "blue"), "answer_type": "choice"},
        ),
        ({"answer": "A;C", "choices": '["x","y","z"]'}, {"answer": "A, C", "answer_type": "choices"}),
        ({"answer": "B", "question": "Which? (A) red (B) blue"}, {"question": "Which?", "choices": ("red", "blue")}),
        ({"image": "a.png"}, {"images": ("a.png",)}),
        ({"images": "a.png; b.png"}, {"images": ("a.png", "b.png")}),
        ({"images": ["a.png", "b.png"], "image": "c.png"}, {"images": ("a.png", "b.png")}),
        ({"image": "data:image/png;base64,AAAA"}, {"images": ("data:image/png;base64,AAAA",)}),
        ({"id": "row 7"}, {"id": "row 7"}),
        ({"solution": "2 + 2 = 4", "tags": "sum;four", "unit": "m"}, {"tags": ("sum", "four"), "unit": "m"}),
        ({"steps": '["2 + 2 = 4."]'}, {"steps": ("2 + 2 = 4.",)}),
        ({"precision": "2"}, {"precision": 2}),
        ({"tags": "", "choices": "", "id": "", "image": ""}, {"tags": (), "choices": None, "images": ()}),
    ],
)
def test_columns_become_fields(row: dict[str, Any], expected: dict[str, Any]) -> None:
    found = problem(**row)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "row",
    [
        {"answer": ""},
        {"question": " "},
        {"answer": "green", "choices": "red;blue"},
        {"answer_type": "colour"},
        {"answer_type": "choice"},
        {"precision": "many"},
        {"tags": {"a": 1}, "choices": [{"b": 2}]},
    ],
)
def test_a_row_that_makes_no_sense_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        problem(**row)


def test_a_row_without_an_id_gets_one_by_its_content() -> None:
    assert problem().id == problem().id
    assert problem().id != problem(answer="5").id


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("id,question,answer\n1,How many?,4\n1,Which?,red\n")
    done = CliRunner().invoke(app, ["import", "table", str(tmp_path / "q.csv")])
    assert isinstance(done.exception, AnectlError)
    assert "duplicate id" in str(done.exception)


def test_a_csv_and_a_folder_of_pictures_become_problems(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    (tmp_path / "q.csv").write_text("id,image,question,answer,note\n1,a.png,How many?,4,x\n2,b.png,Which?,red,y\n")
    out = tmp_path / "problems.jsonl"
    done = CliRunner().invoke(app, ["import", "table", str(tmp_path / "q.csv"), "-o", str(out)])
    assert done.exit_code == 0, done.output
    first, second = (json.loads(line) for line in out.read_text("utf8").splitlines())
    assert (first["id"], first["images"], first["answer_type"]) == ("1", ["a.png"], "number")
    assert second["source"]["fields"]["note"] == "y"
