"""schema: what a row of each record must look like, as JSON Schema.

reads:   nothing
writes:  the JSON Schema of one record, or the list of all records
example: anectl schema problem > problem.schema.json
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any

import msgspec
import typer

from anectl import completion
from anectl.core.errors import UsageError
from anectl.core.jsonl import schema_tag
from anectl.core.records import EXTRA, RECORDS, Record


def command(
    record: Annotated[
        str | None, typer.Argument(autocompletion=completion.records, help="A record, such as problem or rollout/1.")
    ] = None,
) -> None:
    """Print the JSON Schema of a record; without one, list the records.

    Further fields are allowed everywhere: commands keep what they do not know.

    Example: anectl schema problem > problem.schema.json
    """
    if record is None:
        for kind in RECORDS.values():
            typer.echo(f"{schema_tag(kind):17}{_first_line(kind)}")
        return
    typer.echo(msgspec.json.format(msgspec.json.encode(json_schema(find(record))), indent=2))


def find(name: str) -> type[Record]:
    """The record of a name, with or without its version. Raises UsageError with the nearest name."""
    tags = {schema_tag(kind): kind for kind in RECORDS.values()}
    kind = RECORDS.get(name) or tags.get(name)
    if kind is None:
        near = difflib.get_close_matches(name.partition("/")[0], RECORDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"records are {', '.join(RECORDS)}"
        raise UsageError(f"unknown record {name!r}", hint=hint)
    return kind


def json_schema(kind: type[Record]) -> dict[str, Any]:
    """JSON Schema (2020-12) of a record, without the field in which unknown fields travel inside the program."""
    schema = msgspec.json.schema(kind)
    for definition in schema["$defs"].values():
        definition.get("properties", {}).pop(EXTRA, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _first_line(kind: type[Record]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
