"""The case tables of the leak check, from `scaffold_leaks/*.txt`.

A table has problems, each with its cases:

    ? the question          / its choices / in order        . a scaffold that says nothing yet
    = type answer unit=u    + form: a text that gives the answer away     - a text that does not

`development` is what the rules were made on. The others were written and frozen before the rules met them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anectl.core.records import Problem

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
