"""The column `anectl` of an exported row: what the other tool has no field for, so that import gives the record back.

It is JSON in a string, since tables want one type per column, and tools leave it alone. What the row itself says wins
where the two differ: a question, answer or completion that somebody edited after the export is the one imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from anectl.core.errors import RowError
from anectl.core.jsonl import decode, encode
from anectl.core.prompts import user_text
from anectl.core.records import Example, Problem

COLUMN = "anectl"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Carried:
    """What came with a row: the record's fields without its texts and images.

    `instruction` is the one its question was shown with; `prefix` the number of characters of the last assistant's
    turn that belong to the prompt, where the other tool knows no such thing.
    """

    fields: dict[str, Any]
    instruction: str = ""
    prefix: int | None = None

    @property
    def is_example(self) -> bool:
        """Whether the row was an example; otherwise a problem."""
        return str(self.fields.get("schema", "")).startswith("example/")

    def problem(self, **values: Any) -> Problem:
        """The problem with the values that the row itself gives. Raises RowError when it is none."""
        return decode(msgspec.json.encode(self.fields | values), Problem)

    def example(self, **values: Any) -> Example:
        """The example with the values that the row itself gives. Raises RowError when it is none."""
        return decode(msgspec.json.encode(self.fields | values), Example)

    def question_in(self, text: str) -> str:
        """The question in a user turn's text: what stands before the choices and the instruction."""
        shown = user_text(self.problem(question="?", images=()), self.instruction)[1:]
        return text.removesuffix(shown) if shown and text != shown else text


def carry(
    record: Problem | Example, *, instruction: str = "", prefix: int | None = None, with_completion: bool = False
) -> str:
    """The column's value for one record; `with_completion` where the row itself holds an example's prompt only."""
    fields = msgspec.json.decode(encode(record))
    del fields["images"]
    if isinstance(record, Problem):
        del fields["question"]
    else:
        for message in (*fields["prompt"], *([] if with_completion else fields["completion"])):
            del message["content"]
    value = {"version": _VERSION, "instruction": instruction, "prefix": prefix, "record": fields}
    return msgspec.json.encode(value).decode()


def carried_in(row: Mapping[str, Any]) -> Carried | None:
    """What the row carries; None when it was not made by us, or exported without it.

    Raises RowError: the column is there and is not ours, or of another version.
    """
    value = row.get(COLUMN)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RowError(f"the column {COLUMN!r} is not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("record"), dict):
        raise RowError(f"the column {COLUMN!r} holds no record", hint="drop the column to import the row without it")
    if value.get("version") != _VERSION:
        raise RowError(f"the column {COLUMN!r} is of version {value.get('version')!r}, this anectl reads {_VERSION}")
    instruction, prefix = value.get("instruction", ""), value.get("prefix")
    if not isinstance(instruction, str) or not isinstance(prefix, (int, type(None))):
        raise RowError(f"the column {COLUMN!r} is damaged", hint="drop the column to import the row without it")
    return Carried(value["record"], instruction, prefix)
