"""Whether an extracted answer is the right one: one pure function per answer type."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from anectl.core.grading.choice import parse_choice, parse_choices
from anectl.core.grading.extract import first_statement
from anectl.core.grading.formula import MAX_LENGTH, is_prose, refusal
from anectl.core.grading.items import split_list
from anectl.core.grading.normalise import fold_expression, fold_text, unwrapped
from anectl.core.grading.quantity import Quantity, parse_quantity, rounded
from anectl.core.grading.spec import Grade, GradeSpec, Reason
from anectl.core.grading.units import same_unit
from anectl.core.protocols import Verifier

_truth_quantity = lru_cache(maxsize=4096)(parse_quantity)

_BOOLEANS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_BOOLEAN = re.compile(
    r"(?:(?:it|that|this) is |it's )?(yes|no|true|false)\b(?:$|[\s]*[.,;:!()/\u2014-].*)", re.I | re.S
)
_BOOLEAN_AGAIN = re.compile(r"(?:[.,;:/(]|\bor\b|\band\b|\bbut\b)\s*(yes|no|true|false)\b", re.I)
_ALTERNATIVES = re.compile(r"\s*(?:\bor\b|\band\b|;|,(?![0-9]{3}(?![0-9])))\s*", re.I)
_OR = re.compile(r"\bor\b", re.I)


def compare(spec: GradeSpec, given: str, verifier: Verifier | None = None) -> Grade:
    """The grade of one extracted answer; only `expression` makes use of the verifier."""
    if len(given) > MAX_LENGTH and spec.answer_type not in ("text", "list"):
        return Grade(given, None, "too_long")
    if spec.answer_type == "expression":
        return _compare_expression(spec, given, verifier)
    return _COMPARERS[spec.answer_type](spec, given)


def identity(spec: GradeSpec, given: str) -> str:
    """A string that is the same for two answers when they are the same answer up to notation."""
    return fold_expression(compare(spec, given).extracted or "").casefold()


def _verdict(extracted: str, correct: bool, reason: Reason) -> Grade:
    return Grade(extracted, correct, reason if correct else "mismatch")


def _compare_choice(spec: GradeSpec, given: str) -> Grade:
    letters, by_text = parse_choice(given, spec.choices)
    if len(letters) != 1:
        return Grade(given, None, "several_answers" if letters else "unparsed")
    (letter,) = letters
    return _verdict(letter, letter == spec.answer.strip(), "choice_text" if by_text else "exact")


def _compare_choices(spec: GradeSpec, given: str) -> Grade:
    letters = parse_choices(given, spec.choices)
    if letters is None:
        ambiguous = _OR.search(given) and len(parse_choice(given, spec.choices)[0]) > 1
        return Grade(given, None, "several_answers" if ambiguous else "unparsed")
    truth = frozenset(spec.answer.replace(",", " ").split())
    return _verdict(", ".join(sorted(letters)), letters == truth, "exact")


def _compare_boolean(spec: GradeSpec, given: str) -> Grade:
    truth = _BOOLEANS.get(fold_text(spec.answer))
    if truth is None:
        return Grade(given, None, "truth_unparsed")
    stated = unwrapped(given)
    m = _BOOLEAN.fullmatch(stated) or _BOOLEAN.fullmatch(first_statement(stated))
    if m is None:
        hedged = {_BOOLEANS[word] for word in re.split(r"\W+or\W+|\W+and\W+", stated.lower()) if word in _BOOLEANS}
        return Grade(given, None, "several_answers" if len(hedged) > 1 else "unparsed")
    value = _BOOLEANS[m[1].lower()]
    if any(_BOOLEANS[other.lower()] != value for other in _BOOLEAN_AGAIN.findall(stated)):
        return Grade(given, None, "several_answers")
    return _verdict(value, value == truth, "exact")


def _compare_text(spec: GradeSpec, given: str) -> Grade:
    truth = fold_text(spec.answer)
    right = truth in (fold_text(given), fold_text(first_statement(given)))
    return _verdict(unwrapped(given) or given, right, "exact")


def _compare_number(spec: GradeSpec, given: str) -> Grade:
    truth = _truth_quantity(spec.answer)
    if truth is None:
        same = fold_expression(given) == fold_expression(spec.answer)
        return Grade(given, True, "exact") if same else Grade(given, None, "truth_unparsed")
    stated = parse_quantity(given) or parse_quantity(first_statement(unwrapped(given)))
    if stated is None:
        parts = [parse_quantity(part) for part in _ALTERNATIVES.split(unwrapped(given)) if part]
        if not parts or None in parts:
            return Grade(given, None, "unparsed")
        if len(set(parts)) > 1:
            return Grade(given, None, "several_answers")
        stated = parts[0]
        assert stated is not None
    return _compare_quantities(spec, truth, stated, given)


def _compare_quantities(spec: GradeSpec, truth: Quantity, stated: Quantity, given: str) -> Grade:
    wanted = spec.unit or truth.unit
    in_percent = truth.percent or wanted in ("%", "percent")
    if stated.unit and wanted and not same_unit(stated.unit, wanted):
        return Grade(given, None, "unit")
    left, right = truth.value, stated.value
    if in_percent != stated.percent:
        if left == right and not spec.unit:
            return Grade(given, None, "unit")  # 50 for 50%: the other side may mean a fraction or a percentage
        if not spec.unit:  # both are numbers in their own right: 50% is 0.5
            left, right = (left / 100, right) if in_percent else (left, right / 100)
        elif stated.percent:
            return Grade(given, None, "unit")
    same = left == right
    if not same and spec.precision is not None:
        same = rounded(left, spec.precision) == rounded(right, spec.precision)
    verbatim = given.strip() == spec.answer.strip()
    return _verdict(stated.text(), same, "exact" if verbatim else "numeric")


def _compare_list(spec: GradeSpec, given: str) -> Grade:
    if _OR.search(given) and not _OR.search(spec.answer):
        return Grade(given, None, "several_answers")
    wanted, stated = split_list(spec.answer), split_list(given)
    if not stated:
        return Grade(given, None, "unparsed")
    same = len(wanted) == len(stated) and all(
        _same_item(left, right, spec) for left, right in zip(wanted, stated, strict=True)
    )
    return _verdict(unwrapped(given), same, "exact")


def _same_item(left: str, right: str, spec: GradeSpec) -> bool:
    if fold_text(left) == fold_text(right):
        return True
    truth, stated = _truth_quantity(left), parse_quantity(right)
    return truth is not None and stated is not None and _compare_quantities(spec, truth, stated, right).correct is True


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
    if verifier is None:
        return Grade(stated, None, "no_verifier")
    equal = verifier.equal(spec.answer, stated)
    return Grade(stated, None, "undecided") if equal is None else _verdict(stated, equal, "verified")


def _only_formula(text: str) -> str:
    """The one `$...$` of a sentence, if there is exactly one; else the text as it is."""
    pieces = text.split("$")
    return pieces[1] if len(pieces) == 3 and is_prose(text) else text


def _plain_in(quantity: Quantity, spec: GradeSpec) -> bool:
    """Whether nothing stands behind the number but the unit of the problem: `5m` may be a product."""
    return not quantity.unit or (spec.unit is not None and same_unit(quantity.unit, spec.unit))


_COMPARERS: dict[str, Callable[[GradeSpec, str], Grade]] = {
    "choice": _compare_choice,
    "choices": _compare_choices,
    "boolean": _compare_boolean,
    "number": _compare_number,
    "text": _compare_text,
    "list": _compare_list,
}
