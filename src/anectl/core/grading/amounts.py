"""Whether two numbers are the same amount: decimal commas, units, percent signs, scale words, precision."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from anectl.core.grading.conversions import factor_between
from anectl.core.grading.normalise import fold_expression, unwrapped
from anectl.core.grading.numerals import rounded, with_decimal_point
from anectl.core.grading.quantity import Quantity, parse_quantity
from anectl.core.grading.spec import Grade, GradeSpec, verdict
from anectl.core.grading.statements import first_statement
from anectl.core.grading.units import parse_unit, same_unit
from anectl.core.grading.words import SCALES

_ALTERNATIVES = re.compile(r"\s*(?:\bor\b|\band\b|;|,(?![0-9]{3}(?![0-9])))\s*", re.I)
# `5K` may be kelvins or thousands.
_THOUSANDS = re.compile(r"[0-9]K\b")
_DECIMALS = re.compile(r"[0-9][.,]([0-9]+)(?![0-9.,])")


@lru_cache(maxsize=4096)
def truth_quantity(text: str) -> Quantity | None:
    """The number of a truth; here a decimal comma has one reading, unless it groups thousands."""
    if (read := parse_quantity(text)) is not None or "," not in text:
        return read
    written = with_decimal_point(text)
    return parse_quantity(written[0]) if written else None


def compare_number(spec: GradeSpec, given: str) -> Grade:
    """The grade of an answer to a problem of type `number`; null where it states no single number."""
    truth = truth_quantity(spec.answer)
    if truth is None:
        same = fold_expression(given) == fold_expression(spec.answer)
        return Grade(given, True, "exact") if same else Grade(given, None, "truth_unparsed")
    stated = parse_quantity(given) or parse_quantity(first_statement(unwrapped(given)))
    if "," in given and (settled := _decimal_comma(spec, truth, stated, given)) is not None:
        return settled
    if stated is None:
        parts = [parse_quantity(part) for part in _ALTERNATIVES.split(unwrapped(given)) if part]
        if not parts or None in parts:
            return Grade(given, None, "unparsed")
        if len(set(parts)) > 1:
            return Grade(given, None, "several_answers")
        stated = parts[0]
        assert stated is not None
    return compare_quantities(spec, truth, stated, given)


def _decimal_comma(spec: GradeSpec, truth: Quantity, stated: Quantity | None, given: str) -> Grade | None:
    """The grade where a comma may be a decimal one; null where the text has to be read as it is.

    `3,14` is read as 3.14 only if the truth or its precision has two decimals as well, right or wrong. `3,142` groups
    thousands in English: if the other reading is the right one, nothing is decided.
    """
    written = with_decimal_point(first_statement(unwrapped(given)))
    if written is None or (number := parse_quantity(written[0])) is None:
        return None
    judged = compare_quantities(spec, truth, number, given)
    if written[2] or stated is not None:
        return Grade(given, None, "several_answers") if judged.correct else None
    return judged if written[1] in (_places(spec.answer), spec.precision) else None


def _places(text: str) -> int | None:
    """The decimals a number is written with; null when it has none."""
    m = _DECIMALS.search(text)
    return len(m[1]) if m else None


def compare_quantities(spec: GradeSpec, truth: Quantity, stated: Quantity, given: str) -> Grade:
    """The grade of two numbers: the unit converted where that is exact, then equal, or equal at the precision."""
    wanted = spec.unit or truth.unit
    in_percent = truth.percent or wanted in ("%", "percent")
    left, right, factor = _in_unit(truth, spec.unit), stated.value, None
    if stated.unit and not _is_wanted(stated.unit, wanted):
        factor = factor_between(stated.unit, parse_unit(wanted) or wanted) if wanted else None
        if factor is None:
            return Grade(given, None, "unit")
        right *= factor
    if in_percent != stated.percent:
        if left == right and not spec.unit:
            return Grade(given, None, "unit")  # 50 for 50%: the other side may mean a fraction or a percentage
        if not spec.unit:  # both are numbers in their own right: 50% is 0.5
            left, right = (left / 100, right) if in_percent else (left, right / 100)
        elif stated.percent:
            return Grade(given, None, "unit")
    if _THOUSANDS.search(given) and not wanted:
        return Grade(given, None, "unit")
    same = left == right
    if not same and spec.precision is not None:
        # Decimals of a percentage are those that it is written with, whichever side a factor of 100 was taken to.
        size = 100 if in_percent and not spec.unit and not stated.percent else 1
        same = rounded(left * size, spec.precision) == rounded(right * size, spec.precision)
    if not same and left in _other_scales(spec, truth, stated, right):
        return Grade(given, None, "unit")  # 13 million for 13: the problem may count in millions
    verbatim = given.strip() == spec.answer.strip()
    return verdict((stated if factor is None else Quantity(right)).text(), same, "exact" if verbatim else "numeric")


def _in_unit(truth: Quantity, unit: str | None) -> Fraction:
    """The value of the truth in the unit of the problem, where its text has another one."""
    factor = factor_between(truth.unit, parse_unit(unit) or unit) if truth.unit and unit else None
    return truth.value if factor is None else truth.value * factor


def _is_wanted(unit: str, wanted: str) -> bool:
    """Whether a unit may stand behind the number: the wanted one, or any where none is asked for, but no cents."""
    return same_unit(unit, wanted) if wanted else unit != "\u00a2"


def _other_scales(spec: GradeSpec, truth: Quantity, stated: Quantity, value: Fraction) -> tuple[Fraction, ...]:
    """What the stated value would be if one side left a scale word to the problem."""
    asked = SCALES.get((spec.unit or "").casefold().split(" ")[0].rstrip("s"), 1)
    return tuple(
        value * factor
        for scale in {truth.scale, stated.scale, asked} - {1}
        for factor in (Fraction(scale), Fraction(1, scale))
    )
