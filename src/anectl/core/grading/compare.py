"""Whether an extracted answer is the right one: one pure function per answer type."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from anectl.core.grading import algebra
from anectl.core.grading.amounts import compare_number
from anectl.core.grading.amounts import compare_quantities as _compare_quantities
from anectl.core.grading.amounts import truth_quantity as _truth_quantity
from anectl.core.grading.booleans import boolean_value, parse_boolean
from anectl.core.grading.choice import parse_choice, parse_choices
from anectl.core.grading.formula import MAX_LENGTH, decide, is_prose, misread, refusal
from anectl.core.grading.hedges import is_doubtful
from anectl.core.grading.intervals import compare_regions, parse_region
from anectl.core.grading.items import (
    Outcome,
    SameItem,
    brackets,
    compare_rows,
    compare_sets,
    has_alternatives,
    is_set,
    split_alternatives,
    split_list,
)
from anectl.core.grading.normalise import fold_expression, fold_text, unwrapped
from anectl.core.grading.quantity import Quantity, parse_quantity
from anectl.core.grading.spec import Grade, GradeSpec
from anectl.core.grading.spec import verdict as _verdict
from anectl.core.grading.statements import first_statement, is_taken_back
from anectl.core.grading.units import same_unit
from anectl.core.protocols import Verifier

MAX_TEXT = 2000
"""Characters by which a text or a list may be longer than the truth; no answer is."""

_SEPARATOR = re.compile(r"[,;{]|\bor\b|\\lor|±|\\pm")
_COMMAND, _LETTER, _DECIMAL = re.compile(r"\\[A-Za-z]+"), re.compile("[A-Za-z]"), re.compile(r"[0-9]*\.[0-9]+")
_SUBSCRIPT, _OF_ANOTHER = re.compile(r"_(?:\{[^{}]*\}|\w)"), re.compile(r"[-0-9^+*/]")
_MARK = re.compile(r"(?<=[0-9])['\")\]}!]|[(\[{](?=[-.0-9])|(?<![A-Za-z])[A-Za-z]!")
_FORMULA = re.compile(r"[\\^*+]|[A-Za-z0-9)]/[A-Za-z(]|√|π")


def compare(spec: GradeSpec, given: str, verifier: Verifier | None = None) -> Grade:
    """The grade of one extracted answer; only `expression` makes use of the verifier."""
    limit = MAX_LENGTH if spec.answer_type not in ("text", "list") else MAX_TEXT + len(spec.answer)
    if len(given) > limit:
        return Grade(given, None, "too_long")
    if spec.answer_type == "expression":
        judged = _compare_structure(spec, given, verifier) or _compare_expression(spec, given, verifier)
    else:
        judged = _COMPARERS[spec.answer_type](spec, given)
    if judged.correct is None or spec.answer_type in ("choice", "choices", "boolean") or not is_taken_back(given):
        return judged
    return judged if fold_text(given) == fold_text(spec.answer) else Grade(given, None, "several_answers")


def takes_several(spec: GradeSpec) -> bool:
    """Whether boxes side by side are the parts of one answer."""
    return spec.answer_type in ("choices", "list") or (spec.answer_type == "expression" and is_set(spec.answer))


def identity(spec: GradeSpec, given: str) -> str:
    """A string that is the same for two answers when they are the same answer up to notation."""
    return fold_expression(compare(spec, given).extracted or "").casefold()


def _compare_choice(spec: GradeSpec, given: str) -> Grade:
    letters, by_text = parse_choice(given, spec.choices)
    if len(letters) != 1:
        return Grade(given, None, "several_answers" if letters else "unparsed")
    (letter,) = letters
    return _verdict(letter, letter == spec.answer.strip(), "choice_text" if by_text else "exact")


def _compare_choices(spec: GradeSpec, given: str) -> Grade:
    letters = parse_choices(given, spec.choices)
    if letters is None:
        ambiguous = has_alternatives(given) and len(parse_choice(given, spec.choices)[0]) > 1
        return Grade(given, None, "several_answers" if ambiguous else "unparsed")
    truth = frozenset(spec.answer.replace(",", " ").split())
    return _verdict(", ".join(sorted(letters)), letters == truth, "exact")


def _compare_boolean(spec: GradeSpec, given: str) -> Grade:
    truth = boolean_value(spec.answer)
    if truth is None:
        return Grade(given, None, "truth_unparsed")
    values = parse_boolean(given)
    if len(values) != 1:
        return Grade(given, None, "several_answers" if values else "unparsed")
    (value,) = values
    return _verdict(value, value == truth, "exact")


def _compare_text(spec: GradeSpec, given: str) -> Grade:
    truth = fold_text(spec.answer)
    right = truth in (fold_text(given), fold_text(first_statement(given)))
    if right and _folded_too_far(spec.answer, given):
        return Grade(given, None, "undecided")
    return _verdict(unwrapped(given) or given, right, "exact")


def _folded_too_far(answer: str, given: str) -> bool:
    """Whether signs that fold away say something beside digits: `[2, 3)`, `5'`, `n!`, the M of `10 MW`."""
    marks = _MARK.findall(unwrapped(answer))
    if marks and marks != _MARK.findall(unwrapped(given)):
        return True
    truth, stated = parse_quantity(answer), parse_quantity(given)
    return truth is not None and stated is not None and truth.unit != stated.unit


def _compare_list(spec: GradeSpec, given: str) -> Grade:
    if _may_be_intervals(spec.answer, given):
        return Grade(given, None, "undecided")
    return _compare_items(spec, given)


def _compare_items(spec: GradeSpec, given: str) -> Grade:
    def same(left: str, right: str) -> Outcome:
        return _same_item(spec, left, right)

    if _is_prose_for_numbers(spec.answer, given):
        return Grade(given, None, "unparsed")
    if (outcome := _regions(spec.answer, given, same)) is not None:
        return Grade(unwrapped(given), *outcome)
    if is_set(spec.answer):
        stated = split_alternatives(given)
        outcome = compare_sets(split_alternatives(spec.answer), stated, same)
    else:
        stated = split_list(given)
        if has_alternatives(given):
            return Grade(given, None, "several_answers")
        outcome = compare_rows(split_list(spec.answer), stated, same)
    if not stated:
        return Grade(given, None, "unparsed")
    return Grade(unwrapped(given), outcome[0], "exact" if outcome[0] else outcome[1])


def _may_be_intervals(answer: str, given: str) -> bool:
    """Whether `(1, 2)` stands against `[1, 2]`: two ways to write a list, or two intervals."""
    pair = parse_region(answer), parse_region(given)
    return None not in pair and {brackets(answer), brackets(given)} == {"(", "["}


def _is_prose_for_numbers(answer: str, given: str) -> bool:
    """Whether words stand among the items where the truth has numbers: they may say anything about them."""
    if not all(map(_truth_quantity, split_alternatives(answer))):
        return False
    return any(is_prose(item) and parse_quantity(item) is None for item in split_alternatives(given))


def _same_item(spec: GradeSpec, left: str, right: str) -> Outcome:
    if not brackets(left) and brackets(right) in ("[", "{"):
        return None, "undecided"
    if brackets(left) and brackets(right):
        judged = _compare_items(replace(spec, answer=left), right)
        return judged.correct, judged.reason
    truth, stated = _truth_quantity(left), parse_quantity(right)
    if truth is not None and stated is not None:
        judged = _compare_quantities(spec, truth, stated, right)
        return judged.correct, judged.reason
    if right.rstrip().endswith("!") and not left.rstrip().endswith("!"):
        return None, "undecided"
    if fold_text(left) == fold_text(right) or fold_expression(left) == fold_expression(right):
        return True, "exact"
    if _FORMULA.search(left) or _FORMULA.search(right):
        judged = _compare_expression(replace(spec, answer=left, answer_type="expression"), right, None)
        return judged.correct, judged.reason
    return False, "mismatch"


def _regions(answer: str, given: str, same: SameItem) -> Outcome | None:
    """The outcome where the truth is an interval or a union of them; null where it is not, or the answer is none."""
    wanted = parse_region(answer)
    if wanted is None or fold_expression(answer) == fold_expression(given):
        return None
    stated = parse_region(given)
    if stated is None or not (wanted.sure or stated.sure):
        return None
    # `(1, 3)` may be a point: whether `1 < x < 3` is the same is not for us to say.
    return compare_regions(wanted, stated, same) if wanted.sure else (None, "undecided")


def _compare_structure(spec: GradeSpec, given: str, verifier: Verifier | None) -> Grade | None:
    """An interval, set, tuple or row of formulas, item by item; null where either side is a single formula."""

    def same(left: str, right: str) -> Outcome:
        judged = _compare_expression(replace(spec, answer=left), right, verifier)
        return judged.correct, judged.reason

    stated = _only_formula(first_statement(given))
    if fold_expression(stated) == fold_expression(spec.answer):
        return None
    outcome = _regions(spec.answer, stated, same) or _rows(spec.answer, stated, same)
    return None if outcome is None else Grade(unwrapped(stated), *outcome)


def _rows(answer: str, given: str, same: SameItem) -> Outcome | None:
    """The outcome for two collections of one kind; null where they are none, or of kinds that cannot be matched."""
    if not _SEPARATOR.search(answer) or "\\begin" in answer or not given or _truth_quantity(answer) is not None:
        return None
    kind, other = brackets(answer), brackets(given)
    if is_set(answer):
        if other not in ("", "{"):
            return None
        return compare_sets(split_alternatives(answer), split_alternatives(given), same)
    wanted, stated = split_list(answer), split_list(given)
    if len(wanted) < 2 or kind != other or len(stated) < 2:
        return None
    outcome = compare_rows(wanted, stated, same)
    if not kind and outcome[0] is False and compare_sets(wanted, stated, same)[0] is not False:
        return None, "order"
    return outcome


def _compare_expression(spec: GradeSpec, given: str, verifier: Verifier | None) -> Grade:
    stated = _only_formula(first_statement(given))
    if fold_expression(stated) == fold_expression(spec.answer):
        return Grade(unwrapped(stated), True, "exact")
    truth, number = _truth_quantity(spec.answer), parse_quantity(stated)
    if truth is not None and number is not None and _plain_in(truth, spec) and _plain_in(number, spec):
        return _compare_quantities(spec, truth, number, stated)
    if (why := refusal(stated)) is not None:
        return Grade(stated, None, why)
    if (why := refusal(spec.answer)) is not None:
        return Grade(stated, None, "truth_unparsed" if why == "unparsed" else why)
    same = algebra.equal(spec.answer, stated)
    return _ask(spec, stated, verifier) if same is None else _verdict(stated, same, "algebra")


def _ask(spec: GradeSpec, stated: str, verifier: Verifier | None) -> Grade:
    if misread(stated):
        return Grade(stated, None, "unsupported")
    if verifier is None:
        return Grade(stated, None, "no_verifier")
    found = decide(verifier, spec.answer, stated.rstrip(". "))
    if found.equal is None or (found.equal and _blurred(spec.answer, stated)):
        return Grade(stated, None, "timeout" if found.timed_out else "undecided")
    return _verdict(stated, found.equal, "verified")


def _blurred(answer: str, stated: str) -> bool:
    """Whether a verifier's yes may be due to what it does not tell apart: brackets, capitals, rounded decimals."""
    if brackets(answer) != brackets(stated) and brackets(answer) and brackets(stated):
        return True
    names = [set(_LETTER.findall(_COMMAND.sub(" ", text))) for text in (answer, stated)]
    if any(name.swapcase() in names[0] and name not in names[0] for name in names[1]):
        return True
    if ("=" in answer) != ("=" in stated):  # 2x = 5 is not 5, which f(x) = 5 may be
        name = _SUBSCRIPT.sub("", (answer if "=" in answer else stated).partition("=")[0])
        if _OF_ANOTHER.search(name):
            return True
    decimals = [set(_DECIMAL.findall(text)) for text in (answer, stated)]
    return decimals[0] != decimals[1]


def _only_formula(text: str) -> str:
    """The one `$...$` of a sentence, if there is exactly one and nothing denies it; else the text as it is."""
    pieces = text.split("$")
    if len(pieces) != 3 or not is_prose(text) or is_doubtful(f"{pieces[0]} {pieces[2]}"):
        return text
    return pieces[1]


def _plain_in(quantity: Quantity, spec: GradeSpec) -> bool:
    """Whether nothing stands behind the number but the unit of the problem: `5m` may be a product."""
    return not quantity.unit or (spec.unit is not None and same_unit(quantity.unit, spec.unit))


_COMPARERS: dict[str, Callable[[GradeSpec, str], Grade]] = {
    "choice": _compare_choice,
    "choices": _compare_choices,
    "boolean": _compare_boolean,
    "number": compare_number,
    "text": _compare_text,
    "list": _compare_list,
}
