"""An answer equals itself under every formatting the grader claims to read, and nothing else does."""

from __future__ import annotations

import string
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from anectl.core.grading import GradeSpec, grade
from anectl.core.grading.conversions import factor_between
from tests.grading_cases import CITIES
from tests.grading_specs import MARKS

WRAPPERS = ("{}", "**{}**", "${}$", "\\({}\\)", "\\text{{{}}}", " {} ", "{}.", "\\boxed{{{}}}", "\\mathbf{{{}}}")
BEFORE_THE_MARKER = ("{} is the answer", "So {} is the answer.", "Therefore, {} is the final answer!")
NUMBER_FORMS = (
    "{}",
    "{}.0",
    "+{}",
    "${}$",
    "\\({}\\)",
    "x = {}",
    "{} apples",
    "**{}**",
    "\\text{{{}}}",
    "\\frac{{{}}}{{1}}",
)
CHOICE_FORMS = ("{}", "({})", "{}.", "{})", "**{}**", "\\text{{{}}}", "option {}", "{} is correct", "[{}]")


SMALL_LIST = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
SMALL = SMALL_LIST.split()
TENS_LIST = "twenty thirty forty fifty sixty seventy eighty ninety"
TENS = ["", "", *TENS_LIST.split()]


def in_words(value: int) -> str:
    """A whole number below 10^9 in English words."""
    if value < 0:
        return "minus " + in_words(-value)
    for size, name in ((10**6, " million"), (1000, " thousand"), (100, " hundred")):
        if value >= size:
            rest = " " + in_words(value % size) if value % size else ""
            return in_words(value // size) + name + rest
    if value < 20:
        return SMALL[value]
    return TENS[value // 10] + (f"-{SMALL[value % 10]}" if value % 10 else "")


@given(
    value=st.integers(-(10**12), 10**12),
    mark=st.sampled_from(MARKS[:-1]),
    form=st.sampled_from(NUMBER_FORMS),
    grouped=st.booleans(),
)
def test_a_number_equals_itself_in_every_form(value: int, mark: str, form: str, grouped: bool) -> None:
    if value < 0 and form == "+{}":
        form = "{}"
    written = form.format(f"{value:,}" if grouped else value)
    assert grade(mark.format(written), "stop", GradeSpec(str(value), "number")).correct is True


@given(value=st.decimals(-(10**6), 10**6, places=4), mark=st.sampled_from(MARKS))
def test_a_decimal_equals_itself_with_more_zeros(value: Decimal, mark: str) -> None:
    assert grade(mark.format(f"{value:f}00"), "stop", GradeSpec(f"{value:f}", "number")).correct is True


@given(
    digits=st.text(string.digits, min_size=1, max_size=40),
    place=st.integers(0, 39),
    change=st.integers(1, 9),
    point=st.integers(0, 40),
    mark=st.sampled_from(MARKS),
    answer_type=st.sampled_from(["number", "expression", "text", "list"]),
)
def test_a_changed_digit_is_never_equal(
    digits: str, place: int, change: int, point: int, mark: str, answer_type: str
) -> None:
    place %= len(digits)
    changed = digits[:place] + str((int(digits[place]) + change) % 10) + digits[place + 1 :]
    point %= len(digits)
    truth, other = (f"{text[:point]}.{text[point:]}" if point else text for text in (digits, changed))
    spec = GradeSpec(truth, answer_type)  # type: ignore[arg-type]
    assert grade(mark.format(other), "stop", spec).correct is not True
    assert grade(mark.format(truth), "stop", spec).correct is True


@given(letter=st.sampled_from("ABCD"), mark=st.sampled_from(MARKS), form=st.sampled_from(CHOICE_FORMS))
def test_a_letter_equals_only_itself_in_every_form(letter: str, mark: str, form: str) -> None:
    for truth in "ABCD":
        judged = grade(mark.format(form.format(letter)), "stop", GradeSpec(truth, "choice", CITIES))
        assert judged.correct is (letter == truth)


@given(words=st.lists(st.text(string.ascii_letters, min_size=2, max_size=8), min_size=1, max_size=4))
def test_a_text_equals_itself_folded(words: list[str]) -> None:
    text = " ".join(words)
    for written in (
        text,
        text.upper(),
        text.lower(),
        f"  {text}. ",
        "  ".join(words),
        f"**{text}**",
        f"\\text{{{text}}}",
    ):
        assert grade(f"<answer>{written}</answer>", "stop", GradeSpec(text, "text")).correct is True


@given(value=st.integers(1, 10**9), separator=st.sampled_from([",", "_", "'", " ", "\u00a0", "\u202f", "{,}", "\\,"]))
def test_a_number_equals_itself_with_any_thousands_sign(value: int, separator: str) -> None:
    written = f"{value:,}".replace(",", separator)
    assert grade(f"Answer: {written}", "stop", GradeSpec(str(value), "number")).correct is True


@given(value=st.integers(1, 10**6), mark=st.sampled_from(BEFORE_THE_MARKER))
def test_a_number_may_stand_before_the_marker(value: int, mark: str) -> None:
    assert grade(mark.format(value), "stop", GradeSpec(str(value), "number")).correct is True
    assert grade(mark.format(value), "stop", GradeSpec(str(value + 1), "number")).correct is False


@given(value=st.integers(-999_999_999, 999_999_999), wrapper=st.sampled_from(WRAPPERS))
def test_a_number_equals_its_words(value: int, wrapper: str) -> None:
    for words in (in_words(value), in_words(value).replace("-", " "), in_words(value).capitalize()):
        assert grade(f"Answer: {wrapper.format(words)}", "stop", GradeSpec(str(value), "number")).correct is True
        assert grade(f"Answer: {words}", "stop", GradeSpec(str(value + 1), "number")).correct is not True


@given(top=st.integers(1, 999), bottom=st.integers(2, 99), whole=st.integers(0, 99), mark=st.sampled_from(MARKS))
def test_a_fraction_equals_itself_in_every_form(top: int, bottom: int, whole: int, mark: str) -> None:
    value = whole + Fraction(top % bottom or 1, bottom)
    rest = value - whole
    forms = [f"{value.numerator}/{value.denominator}", f"\\frac{{{value.numerator}}}{{{value.denominator}}}"]
    if whole:
        forms += [f"{whole} {rest}", f"{whole}\\frac{{{rest.numerator}}}{{{rest.denominator}}}", f"{whole} and {rest}"]
    for form in forms:
        assert grade(mark.format(form), "stop", GradeSpec(str(value), "number")).correct is True, form
        assert grade(mark.format(form), "stop", GradeSpec(str(value + 1), "number")).correct is not True, form


@given(
    value=st.integers(1, 10**6),
    units=st.sampled_from(
        [
            ("m", "cm"),
            ("km", "m"),
            ("kg", "g"),
            ("h", "min"),
            ("L", "mL"),
            ("m^2", "cm^2"),
            ("m/s", "km/h"),
            ("kJ", "J"),
        ]
    ),
)
def test_a_quantity_equals_itself_in_every_unit(value: int, units: tuple[str, str]) -> None:
    wanted, other = units
    factor = factor_between(wanted, other)
    assert factor is not None
    spec = GradeSpec(str(value), "number", unit=wanted)
    assert grade(f"Answer: {value * factor} {other}", "stop", spec).correct is True
    assert grade(f"Answer: {value * factor + 1} {other}", "stop", spec).correct is False
    assert grade(f"Answer: {value} kelvins", "stop", spec).reason == "unit"


@given(
    units=st.lists(
        st.sampled_from(["cm", "m", "ft", "km/h", "m/s", "g/cm^3", "L", "dm^3", "h"]), min_size=3, max_size=3
    )
)
def test_conversions_agree_with_each_other(units: list[str]) -> None:
    one, two, three = units
    there, on, direct = factor_between(one, two), factor_between(two, three), factor_between(one, three)
    if there is not None and on is not None:
        assert direct == there * on
        assert factor_between(two, one) == 1 / there


@given(
    low=st.integers(-99, 99),
    width=st.integers(1, 99),
    has_low=st.booleans(),
    has_high=st.booleans(),
    answer_type=st.sampled_from(["list", "expression"]),
)
def test_an_interval_equals_itself_in_every_form(
    low: int, width: int, has_low: bool, has_high: bool, answer_type: str
) -> None:
    truth, high = f"{'[' if has_low else '('}{low}, {low + width}{']' if has_high else ')'}", low + width
    spec = GradeSpec(truth, answer_type)  # type: ignore[arg-type]
    assert grade(f"\\boxed{{{truth.replace(' ', '')}}}", "stop", spec).correct is True
    relation = f"{low} {'<=' if has_low else '<'} x {'<=' if has_high else '<'} {high}"
    other = f"{low} {'<' if has_low else '<='} x {'<=' if has_high else '<'} {high}"
    sure = has_low != has_high  # `(1, 3)` may be a point
    assert grade(f"Answer: {relation}", "stop", spec).correct is (True if sure else None)
    assert grade(f"Answer: {other}", "stop", spec).correct is (False if sure else None)
    assert grade(f"Answer: {relation}", "stop", GradeSpec(relation.replace("x", "t"), "list")).correct is not False


@given(
    values=st.lists(st.integers(-99, 99), min_size=2, max_size=5, unique=True),
    answer_type=st.sampled_from(["list", "expression"]),
    data=st.data(),
)
def test_a_set_has_no_order_and_a_tuple_has_one(values: list[int], answer_type: str, data: st.DataObject) -> None:
    items = ", ".join(map(str, values))
    shuffled = data.draw(st.permutations(values))
    other = ", ".join(map(str, shuffled))
    as_set, as_tuple = (GradeSpec(text, answer_type) for text in (f"\\{{{items}\\}}", f"({items})"))  # type: ignore[arg-type]
    for written in (f"\\{{{other}\\}}", other, other.replace(",", ";"), other.replace(", ", " or ")):
        assert grade(f"Answer: {written}", "stop", as_set).correct is True, written
    assert grade(f"Answer: ({other})", "stop", as_tuple).correct is (shuffled == values)
    assert grade(f"Answer: \\{{{items}, 100\\}}", "stop", as_set).correct is False


@given(letters=st.sets(st.sampled_from("ABCD"), min_size=2), mark=st.sampled_from(MARKS[:-1]), data=st.data())
def test_letters_equal_themselves_in_every_form(letters: set[str], mark: str, data: st.DataObject) -> None:
    spec = GradeSpec(", ".join(sorted(letters)), "choices", CITIES)
    order = data.draw(st.permutations(sorted(letters)))
    wrapped = [f"({letter})" for letter in order]
    for form in (", ".join(order), "".join(order), " and ".join(order), "".join(wrapped), ", ".join(wrapped)):
        assert grade(mark.format(form), "stop", spec).correct is True, form
    assert grade(mark.format(order[0]), "stop", spec).correct is False
