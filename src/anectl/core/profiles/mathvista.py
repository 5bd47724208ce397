"""mathvista: normalised by answer type, nearest choice, equality as strings.

The official script (lupantech/MathVista, evaluation/extract_answer.py and calculate_score.py) has a language model
extract the answer unless one of its quick rules applies. Here a marked or bare answer stands in for the extraction;
without one the grade is null with reason `needs_judge`. The scoring of the extraction is kept with its known faults:
any letter in parentheses names a choice, an answer that names none is taken as the choice nearest in spelling (also an
empty completion, which gets credit where the right choice is the shortest), integers are cut and not rounded, and the
result must equal the truth as a string (`2.50` is never reached).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from anectl.core.grading.choice import parse_choice
from anectl.core.grading.quantity import parse_quantity
from anectl.core.grading.spec import Grade, Reason
from anectl.core.grading.statements import first_statement
from anectl.core.profiles import Profile, official
from anectl.core.profiles.groups import GroupMeans, by_fields
from anectl.core.profiles.stated import MAX_LENGTH, bare_answer, marked_answer
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_QUOTED = ('The answer is "', '".')
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_GROUPS = ("question_type", "answer_type", "language", "source", "category", "task", "context", "grade", "skills")


def score(text: str, finish_reason: str, problem: Problem, verifier: Verifier | None = None) -> Grade:
    """The grade by the official rule; `extracted` is the prediction that is compared, so a choice by its text."""
    if finish_reason == "error":
        return Grade(None, None, "error")
    row = _Row.of(problem)
    extraction = _quick(text, row)
    if extraction is None:
        extraction = _stand_in(text, row)
    if extraction is None:
        return Grade(None, None, "needs_judge")
    if len(extraction) > MAX_LENGTH:
        return Grade(None, None, "too_long")
    prediction, reason = _choice(extraction, row) if row.choices else _value(extraction, row)
    if prediction is None:
        return Grade(extraction or None, False, "unparsed")
    return Grade(prediction, True, reason) if prediction == row.answer else Grade(prediction, False, "mismatch")


@dataclass(frozen=True, slots=True)
class _Row:
    """What the script reads of a problem; `choices` is empty for free-form questions, `answer` a choice's text."""

    answer: str
    choices: tuple[str, ...]
    answer_type: str
    precision: int | None

    @classmethod
    def of(cls, problem: Problem) -> _Row:
        fields = official(problem)
        own = problem.choices or ()
        of_choice = fields.get("question_type", "multi_choice" if own else "free_form") == "multi_choice"
        given = fields.get("choices")
        choices = tuple(map(str, given)) if isinstance(given, list | tuple) and given else own
        answer = fields.get("answer")
        if answer is None:
            answer = own[ord(problem.answer) - ord("A")] if problem.answer_type == "choice" else problem.answer
        precision = _decimals(fields.get("precision"), problem.precision)
        answer_type = fields.get("answer_type") or _type_of(problem, precision)
        return cls(str(answer), choices if of_choice else (), str(answer_type), precision)


def _decimals(given: Any, own: int | None) -> int | None:
    """The field is a float in the published rows; it may be missing or NaN."""
    return int(given) if isinstance(given, int | float) and 0 <= given < MAX_LENGTH else own


def _type_of(problem: Problem, precision: int | None) -> str:
    if problem.answer_type == "number":
        return "float" if precision or "." in problem.answer else "integer"
    return "list" if problem.answer_type == "list" else "text"


def _quick(text: str, row: _Row) -> str | None:
    """The extraction by the script's own rules, which need no language model; null where none applies."""
    if not text or text in row.choices:
        return text
    if row.answer_type in ("integer", "float"):
        try:
            return str(int(text) if row.answer_type == "integer" else float(text))
        except ValueError:
            pass
    opening, closing = _QUOTED
    for line in text.split("\n") if opening in text else ():
        start = line.find(opening) + len(opening)
        end = line.rfind(closing)
        if len(opening) <= start <= end:
            return line[start:end]
    return None


def _stand_in(text: str, row: _Row) -> str | None:
    """What a language model would extract, where that is certain."""
    marked = marked_answer(text)
    stated = bare_answer(text) if marked is None else marked
    if stated is None:
        return None
    if row.choices:
        letters, _ = parse_choice(stated, row.choices)
        if len(letters) == 1:
            return next(iter(letters))
    elif row.answer_type in ("integer", "float"):
        quantity = parse_quantity(stated) or parse_quantity(first_statement(stated))
        if quantity is not None:
            try:
                return str(float(quantity.value))
            except OverflowError:
                return stated
    # A bare line that reads as no answer may be anything; a marked one is the answer, however it reads.
    is_list = row.answer_type == "list" and stated.startswith("[") and stated.endswith("]")
    return stated if marked is not None or is_list else None


def _choice(extraction: str, row: _Row) -> tuple[str, Reason]:
    extraction = extraction.strip()
    if wrapped := _LETTER.search(extraction):
        extraction = wrapped[1].upper()
    if len(extraction) == 1 and 0 <= ord(extraction) - ord("A") < len(row.choices):
        return row.choices[ord(extraction) - ord("A")], "exact"
    if extraction in row.choices:
        return extraction, "choice_text"
    return min(row.choices, key=partial(_edits, extraction)), "nearest_choice"


def _value(extraction: str, row: _Row) -> tuple[str | None, Reason]:
    if row.answer_type not in ("integer", "float"):
        return extraction, "exact"
    try:
        value = float(extraction)
        if row.answer_type == "integer":
            prediction = str(int(value))
        elif row.precision is None:
            return None, "unparsed"
        else:
            prediction = str(round(value, row.precision))
    except (ValueError, OverflowError):
        return None, "unparsed"
    return prediction, "exact" if extraction == row.answer else "numeric"


def _edits(left: str, right: str) -> int:
    """Levenshtein's distance: the fewest insertions, deletions and replacements that make one of the other."""
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(right, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (char != other))
    return row[-1]


PROFILE = Profile(
    name="mathvista",
    rule="lupantech/MathVista evaluation/calculate_score.py",
    score=score,
    metrics=partial(GroupMeans, by_fields(*_GROUPS)),
)
