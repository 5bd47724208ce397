"""The case tables of the leak check, from `scaffold_leaks/*.txt`.

A table has problems, each with its cases:

    ? the question          / its choices / in order        . a scaffold that says nothing yet
    = type answer unit=u    + form: a text that gives the answer away     - a text that does not

`development` is what the rules were made on. The others were written and frozen before the rules met them.

Three more tables are rows of `kind`, `text` and `problem`, in `scaffold_leaks/*.jsonl`. `blind` was written by somebody
who had not seen the checker, nor its tables; the rules were then mended on it. `wordings` was written by who mended
them, beforehand, in other words for the same kinds of leaks. What was missed of either was seen while mending, so
that neither says how the check does on texts it has not met. `sealed` is the other half of what `blind` is one half of:
no rule has met it yet, and so it is the honest figure. Whoever mends the rules on it needs a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from anectl.core.records import Problem

ROW_SETS = ("blind", "wordings", "sealed")
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
