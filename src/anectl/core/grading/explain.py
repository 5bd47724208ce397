"""The path of one grade in short sentences."""

from __future__ import annotations

from dataclasses import dataclass

from anectl.core.grading.booleans import boolean_value, parse_boolean
from anectl.core.grading.choice import parse_choice, parse_choices
from anectl.core.grading.items import split_alternatives
from anectl.core.grading.quantity import Quantity, parse_quantity
from anectl.core.grading.spec import Grade, GradeSpec, Reason
from anectl.core.grading.statements import first_statement
from anectl.core.grading.verdict import Path, follow
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

_MAX_QUOTE = 80
_WHY: dict[Reason, str] = {
    "exact": "it is the truth, written the same way up to the foldings of its type",
    "numeric": "it is the value of the truth in another notation",
    "choice_text": "it is the text of the right choice",
    "algebra": "exact arithmetic found it equal to the truth",
    "verified": "the verifier found it equal to the truth",
    "mismatch": "it is another answer than the truth",
    "unparsed": "no final answer was found, or none that reads as this answer type",
    "several_answers": "there are different answers side by side, or one that may be read in two ways",
    "order": "the items are right, in another order, and it is open whether order counts",
    "truncated": "the text was cut off before its final answer was complete",
    "error": "the engine failed, so there is nothing to grade",
    "unit": "the units, percent signs or scale words of the two sides cannot be brought together exactly",
    "too_long": "it is longer or deeper than what may be compared",
    "unsupported": "its notation is one that verifiers are known to misread",
    "no_verifier": "only a verifier could tell, and none was given",
    "undecided": "it could not be settled whether the two are equal",
    "timeout": "the verifier took too long",
    "truth_unparsed": "the truth itself does not read as its answer type",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A grade and how it came about, one short sentence a step."""

    grade: Grade
    steps: tuple[str, ...]


def explain(
    text: str, finish_reason: str, problem: Problem | GradeSpec, verifier: Verifier | None = None
) -> Explanation:
    """The grade of `grade` for the same arguments, with its path; never raises for any text."""
    spec = problem if isinstance(problem, GradeSpec) else GradeSpec.of(problem)
    path = follow(text, finish_reason, spec, verifier)
    steps = [*_where(text, path), *_readings(spec, path), _decision(path.grade)]
    return Explanation(path.grade, tuple(steps))


def _where(text: str, path: Path) -> list[str]:
    """What was hidden, and where the answer stands in the rest."""
    if path.shown is None:
        return []
    steps: list[str] = []
    if path.shown != text:
        steps.append(f"Thoughts are left out: {len(path.shown)} of {len(text)} characters remain.")
    if path.found is not None:
        words = " | ".join(map(_quoted, path.found.texts))
        open_end = "" if path.found.closed else ", where the text may have gone on"
        steps.append(
            f"The answer is marked by {_quoted(path.found.marker)} at character {path.found.start}: {words}{open_end}."
        )
        if path.found.later is not None:
            steps.append(f"A later statement says {_quoted(path.found.later)}.")
    elif path.given is not None:
        steps.append(f"No marker, but {_quoted(path.given)} stands alone.")
    else:
        steps.append("No marker of a final answer was found.")
    return steps


def _readings(spec: GradeSpec, path: Path) -> list[str]:
    """How the answer and the truth were read."""
    if path.given is None:
        return []
    kind = spec.answer_type
    extra = "".join(
        f", {name} {value}" for name, value in (("unit", spec.unit), ("precision", spec.precision)) if value is not None
    )
    return [
        f"Read as {kind}, it is {_reading(spec, path.given)}.",
        f"The truth {_quoted(spec.answer)} is {_reading(spec, spec.answer)}{extra}.",
    ]


def _reading(spec: GradeSpec, text: str) -> str:
    if spec.answer_type == "choice":
        letters, by_text = parse_choice(text, spec.choices)
        return (" or ".join(sorted(letters)) or "no choice") + (" by its text" if by_text else "")
    if spec.answer_type == "choices":
        return ", ".join(sorted(parse_choices(text, spec.choices) or ())) or "no set of choices"
    if spec.answer_type == "boolean":
        value = boolean_value(text)
        return value or " and ".join(sorted(parse_boolean(text))) or "neither yes nor no"
    if spec.answer_type == "number":
        return _number(parse_quantity(text) or parse_quantity(first_statement(text)))
    if spec.answer_type == "list":
        return "the items " + " | ".join(map(_quoted, split_alternatives(text)[:12]))
    return _quoted(text)


def _number(quantity: Quantity | None) -> str:
    if quantity is None:
        return "no single number"
    return quantity.text() + (f" in {quantity.unit}" if quantity.unit else "")


def _decision(grade: Grade) -> str:
    verdict = "Not judged" if grade.correct is None else "Correct" if grade.correct else "Wrong"
    return f"{verdict} ({grade.reason}): {_WHY.get(grade.reason, grade.reason)}."


def _quoted(text: str) -> str:
    short = " ".join(text[: 2 * _MAX_QUOTE].split())
    return f"`{short[:_MAX_QUOTE]}...`" if len(short) > _MAX_QUOTE or len(text) > 2 * _MAX_QUOTE else f"`{short}`"
