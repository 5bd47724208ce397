"""The case tables of the leak check, from `scaffold_leaks/*.txt`.

A table has problems, each with its cases:

    ? the question          / its choices / in order        . a scaffold that says nothing yet
    = type answer unit=u    + form: a text that gives the answer away     - a text that does not

`development` is what the rules were made on. The others were written and frozen before the rules met them.

The other tables are rows of `kind`, `text` and `problem`, in `scaffold_leaks/*.jsonl`. Apart from `wordings`, which was
written beforehand by who mended the rules, they were written without sight of the checker and its tables: `blind` and
`blind_rest` (two halves of one table), `teachers`, `hints` and `everyday` (150 leaks each, every row in its own words),
`planted_*` and `sealed` (a hundred ways and more to plant a leak into over 180 clean scaffolds, drawn by a program).
The rules were mended on all of them but `sealed`, so that the others do not say how the check does on texts that it has
not met. Of `sealed` only the counts are known, no row. Whoever mends the rules on it needs a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from anectl.core.records import Problem

ROW_SETS = (
    "blind",
    "blind_rest",
    "wordings",
    "teachers",
    "hints",
    "everyday",
    "planted_mathematics",
    "planted_lists",
    "planted_documents",
    "planted_science",
    "planted_mixed",
    "sealed",
)
SETS = ("development", "held_out", "final", "last")
_FOLDER = Path(__file__).parent / "scaffold_leaks"


@dataclass(frozen=True, slots=True)
class LeakCase:
    """A text for a problem; `form` is how it leaks, or `clean`; `before` is a clean text of the same problem."""

    problem: Problem
    form: str
    text: str
    before: str


def read_cases(kind: str, name: str) -> Iterator[LeakCase]:
    """The cases of one table: `kind` is leaks or clean, `name` one of SETS."""
    question, before = "", ""
    fields: dict[str, object] = {}
    for line in (_FOLDER / f"{kind}_{name}.txt").read_text("utf8").splitlines():
        mark, rest = line[0], line[2:]
        if mark == "?":
            question, before, fields = rest, "", {}
        elif mark == "=":
            answer_type, _, answer = rest.partition(" ")
            answer, _, unit = answer.partition(" unit=")
            fields |= {"answer": answer, "answer_type": answer_type, "unit": unit or None}
        elif mark == "/":
            fields["choices"] = tuple(rest.split(" / "))
        elif mark == ".":
            before = rest
        else:
            form, text = rest.split(": ", 1) if mark == "+" else ("clean", rest)
            problem = Problem(id="a", question=question, **fields)  # type: ignore[arg-type]
            yield LeakCase(problem, form, text.replace(" // ", "\n"), before)


class _Row(msgspec.Struct):
    kind: str
    text: str
    problem: Problem


def read_rows(kind: str, name: str) -> list[LeakCase]:
    """The cases of one table of rows: `kind` is leaks or clean, `name` one of ROW_SETS."""
    lines = (_FOLDER / f"{kind}_{name}.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line, type=_Row) for line in lines]
    return [LeakCase(row.problem, row.kind, row.text, "") for row in rows]
