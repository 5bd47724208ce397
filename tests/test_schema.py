"""JSON Schemas say what rows look like, and nothing of how the program carries them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.records import EXTRA, RECORDS
from anectl.stages.schema import json_schema


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["schema", *arguments])
    assert result.exit_code == 0, result.exception
    return result.stdout


def objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in objects(item)]
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in objects(item))]
    return []


@pytest.mark.parametrize("name", RECORDS)
def test_a_schema_is_open_complete_and_free_of_the_programs_own_field(name: str) -> None:
    schema = json.loads(json.dumps(json_schema(RECORDS[name])))
    assert EXTRA not in json.dumps(schema)
    assert not any(found.get("additionalProperties") is False for found in objects(schema))
    references = {found["$ref"] for found in objects(schema) if "$ref" in found}
    assert references == {f"#/$defs/{definition}" for definition in schema["$defs"]}
    assert json.loads(run(name)) == json.loads(run(f"{name}/1")) == schema


def test_a_schema_says_types_bounds_and_choices() -> None:
    problem = json_schema(RECORDS["problem"])["$defs"]["Problem"]
    assert {"id", "question", "answer", "answer_type"} == set(problem["required"])
    assert problem["properties"]["id"] == {"type": "string", "minLength": 1}
    assert "choice" in problem["properties"]["answer_type"]["enum"]


def test_without_a_name_all_records_are_listed() -> None:
    listed = [line.split()[0] for line in run().splitlines()]
    assert listed == [f"{name}/1" for name in RECORDS]


@pytest.mark.parametrize(("name", "hint"), [("rolout", "did you mean rollout?"), ("xyz", "records are problem")])
def test_an_unknown_record_is_refused_with_the_nearest(name: str, hint: str) -> None:
    error = CliRunner().invoke(app, ["schema", name]).exception
    assert isinstance(error, AnectlError)
    assert error.exit_code == 2
    assert hint in str(error.hint)
