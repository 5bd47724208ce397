"""The profiles of MathVista, MathVerse, MATH-Vision, MMMU and MMStar against outcomes worked out by hand."""

from __future__ import annotations

import json
import math
import string
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.profiles import load_profile
from anectl.core.profiles.latex_values import latex_value
from anectl.core.records import Problem

NAMES = ("mathvista", "mathverse", "mathvision", "mmmu", "mmstar")
CASES_DIR = Path(__file__).parent / "profile_cases"
MEGABYTE = 1_000_000


def read_cases(name: str) -> list[dict[str, Any]]:
    lines = (CASES_DIR / f"{name}.jsonl").read_text("utf8").splitlines()
    assert list(json.loads(lines[0])) == ["about"]
    return [json.loads(line) for line in lines[1:]]


def problem_of(name: str, case: dict[str, Any]) -> Problem:
    """The problem of a case: its official fields, and of our own what they do not say."""
    own = {"id": "p", "question": "?", "answer": "none", "answer_type": "text"} | case.get("problem", {})
    if "choices" in own:
        own["choices"] = tuple(own["choices"])
    return Problem(**own, source={"benchmark": case.get("benchmark", name), "fields": case["fields"]})


CASES = {name: read_cases(name) for name in NAMES}
ALL = [(name, case) for name in NAMES for case in CASES[name]]
# One problem for each kind of question of a benchmark.
PROBLEMS = {(name, json.dumps([case["fields"], case.get("benchmark")])): problem_of(name, case) for name, case in ALL}


def results(name: str, rows: list[tuple[dict[str, Any], float]]) -> dict[str, float]:
    metrics = load_profile(name).metrics
    assert metrics is not None
    groups = metrics()
    for fields, share in rows:
        groups.add(problem_of(name, {"fields": fields}), share)
    return dict(groups.results())


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_has_enough_cases_of_each_outcome(name: str) -> None:
    assert len(CASES[name]) >= 30
    outcomes = {"mathverse": {True, None}, "mathvision": {True, False}, "mmstar": {True, False}}
    assert {case["correct"] for case in CASES[name]} == outcomes.get(name, {True, False, None})


@pytest.mark.parametrize(("name", "case"), ALL, ids=[f"{name}: {case['why']}" for name, case in ALL])
def test_the_profile_gives_the_outcome_worked_out_by_hand(name: str, case: dict[str, Any]) -> None:
    given = load_profile(name).score(case["prediction"], "stop", problem_of(name, case), None)
    assert given.correct is case["correct"], given
    assert given.extracted == case.get("extracted"), given
    assert given.chance == pytest.approx(case["chance"]) if "chance" in case else given.chance is None


@pytest.mark.parametrize("name", NAMES)
def test_only_an_error_of_the_engine_is_told_from_other_endings(name: str) -> None:
    score = load_profile(name).score
    for case in CASES[name]:
        problem = problem_of(name, case)
        assert score(case["prediction"], "length", problem, None) == score(case["prediction"], "stop", problem, None)
        failed = score(case["prediction"], "error", problem, None)
        assert (failed.extracted, failed.correct, failed.reason) == (None, None, "error")


@pytest.mark.parametrize(("name", "case"), ALL, ids=[f"{name}: {case['why']}" for name, case in ALL])
def test_reasons_go_with_their_outcome(name: str, case: dict[str, Any]) -> None:
    given = load_profile(name).score(case["prediction"], "stop", problem_of(name, case), None)
    reasons = {
        True: {"exact", "numeric", "choice_text", "nearest_choice", "substring", "first_letter"},
        False: {"mismatch", "unparsed"},
        None: {"needs_judge", "random_pick"},
    }
    assert given.reason in reasons[given.correct]
    assert (given.chance is not None) == (given.reason == "random_pick")


PIECES = [
    *string.printable,
    "Answer: ",
    "\\boxed{",
    "The answer is ",
    '"',
    '".',
    "(A)",
    " B ",
    "\\frac",
    "\\sqrt",
    "is ",
    "é",
    "∞",
    "٣",
]


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_no_text_raises(text: str) -> None:
    for (name, _), problem in PROBLEMS.items():
        load_profile(name).score(text, "stop", problem, None)


HOSTILE = {
    "digits": "1" * MEGABYTE,
    "digits behind a marker": "Answer: " + "1" * MEGABYTE,
    "digits and a letter": "1" * MEGABYTE + "x",
    "decimals": "1." * (MEGABYTE // 2),
    "a long decimal": "0." + "1" * MEGABYTE + ",",
    "thousands": "1,000" * (MEGABYTE // 5),
    "signs": "-" * MEGABYTE,
    "boxes": "\\boxed{" * (MEGABYTE // 7),
    "capital boxes": "\\BOXED{" * (MEGABYTE // 7),
    "closed boxes": "\\boxed{1}" * (MEGABYTE // 9),
    "one long box": "\\boxed{" + "x" * MEGABYTE + "}",
    "quotes": 'The answer is "' * (MEGABYTE // 15),
    "one long quote": 'The answer is "' + "x" * MEGABYTE + '".',
    "markers": "the answer is " * (MEGABYTE // 14),
    "lines of key phrases": "\n".join(f"so {i} is {i}" for i in range(MEGABYTE // 16)),
    "lines": "a\n" * (MEGABYTE // 2),
    "letters": "A " * (MEGABYTE // 2),
    "parentheses": "(" * MEGABYTE,
    "roots": "\\boxed{" + "\\sqrt" * (MEGABYTE // 5) + "}",
    "fractions": "\\boxed{" + "\\sqrt\\frac1" * (MEGABYTE // 11) + "}",
    "thoughts": "<think>" * (MEGABYTE // 7),
    "spaces": " " * MEGABYTE,
}


# The kinds of question that take different ways through a profile, by the reason of a case of theirs.
KINDS = (
    ("mathvista", "the reply is a choice, word for word: no extraction"),
    ("mathvista", "the reply is a float"),
    ("mathverse", "the reply is the letter"),
    ("mathvision", "the text of the option"),
    ("mmmu", "a letter in parentheses"),
    ("mmmu", "2 decimals"),
    ("mmmu", "behind the last marker"),
    ("mmstar", "the letter"),
)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_takes_less_than_a_second(text: str) -> None:
    for name, why in KINDS:
        problem = next(problem_of(name, case) for case in CASES[name] if case["why"] == why)
        begin = time.process_time()
        load_profile(name).score(text, "stop", problem, None)
        assert time.process_time() - begin < 1, (name, why)


def test_mmstar_has_the_micro_mean_and_both_macro_means() -> None:
    coarse = {"category": "math", "l2_category": "geometry"}
    rows = [(coarse, 1.0), (coarse, 1.0), ({"category": "math", "l2_category": "statistical reasoning"}, 0.0)]
    rows.append(({"category": "logical reasoning", "l2_category": "diagram reasoning"}, 0.5))
    assert results("mmstar", rows) == {
        "micro": 0.625,  # 2.5 of 4 problems
        "macro category": pytest.approx((2 / 3 + 1 / 2) / 2),
        "macro l2_category": pytest.approx((1 + 0 + 1 / 2) / 3),
        "logical reasoning": 0.5,
        "logical reasoning/diagram reasoning": 0.5,
        "math": pytest.approx(2 / 3),
        "math/geometry": 1.0,
        "math/statistical reasoning": 0.0,
    }


def test_mathverse_has_the_mean_of_each_version() -> None:
    plane = {"metadata": {"subject": "Plane Geometry", "subfield": "Angle"}}
    rows = [({"problem_version": "Text Dominant", **plane}, 1.0), ({"problem_version": "Text Dominant", **plane}, 0.0)]
    rows.append(({"problem_version": "Vision Only"}, 1.0))
    assert results("mathverse", rows) == {
        "all": pytest.approx(2 / 3),
        "problem_version/Text Dominant": 0.5,
        "problem_version/Vision Only": 1.0,
        "subfield/Angle": 0.5,
        "subject/Plane Geometry": 0.5,
    }


def test_mathvista_counts_a_problem_under_each_of_its_skills() -> None:
    first = {"question_type": "free_form", "metadata": {"skills": ["arithmetic reasoning", "geometry reasoning"]}}
    second = {"question_type": "free_form", "metadata": {"skills": ["arithmetic reasoning"]}}
    assert results("mathvista", [(first, 1.0), (second, 0.0)]) == {
        "all": 0.5,
        "question_type/free_form": 0.5,
        "skills/arithmetic reasoning": 0.5,
        "skills/geometry reasoning": 1.0,
    }


def test_mathvision_has_the_mean_of_each_level_and_subject() -> None:
    rows = [({"level": 1, "subject": "logic"}, 1.0), ({"level": 2, "subject": "logic"}, 0.25)]
    assert results("mathvision", rows) == {"all": 0.625, "level/1": 1.0, "level/2": 0.25, "subject/logic": 0.625}


def test_mmmu_weighs_subjects_by_their_problems_in_each_domain() -> None:
    ids = {
        "validation_Accounting_1": 1.0,
        "dev_Accounting_2": 0.0,
        "test_Economics_7": 1.0,
        "validation_Art_Theory_3": 0.5,
    }
    assert results("mmmu", [({"id": name}, share) for name, share in ids.items()]) == {
        "all": 0.625,
        "Art and Design": 0.5,
        "Art and Design/Art_Theory": 0.5,
        "Business": pytest.approx(2 / 3),
        "Business/Accounting": 0.5,
        "Business/Economics": 1.0,
    }


@pytest.mark.parametrize("name", NAMES)
def test_group_metrics_are_empty_before_the_first_problem(name: str) -> None:
    assert results(name, []) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1,234.5", 1234.5),
        ("2+3\\cdot4", 14),
        ("-3^2", -9),
        ("2^{3^2}", 512),
        ("1/2\\pi", 1 / (2 * math.pi)),
        ("2\\frac{1}{2}", 1),
        ("\\sqrt[3]{8}", 2),
        ("3!", 6),
        ("50\\%", 0.5),
        ("\\left(1+2\\right)(3)", 9),
        ("$ 5 $", 5),
        ("", None),
        ("12cm", None),
        ("(1", None),
        ("1/0", None),
        ("\\sqrt{-1}", None),
        ("9^{9^{9^9}}", None),
        ("171!", None),
        ("(" * 30 + "1" + ")" * 30, None),
        ("1+" * 200 + "1", None),
        ("1,2", None),
    ],
)
def test_formulas_without_variables_have_the_value_python_gives_them(text: str, value: float | None) -> None:
    found = latex_value(text)
    assert found == (value if value is None else pytest.approx(value))


def test_a_random_pick_among_options_without_the_truth_is_never_right() -> None:
    fields = {"options": "['red', 'blue']", "answer": "E", "question_type": "multiple-choice"}
    given = load_profile("mmmu").score("none", "stop", problem_of("mmmu", {"fields": fields}), None)
    assert (given.correct, given.reason, given.chance) == (None, "random_pick", 0.0)


def test_an_extraction_of_absurd_length_is_left_open() -> None:
    problem = problem_of("mathvista", CASES["mathvista"][0])
    given = load_profile("mathvista").score('The answer is "' + "x" * 1001 + '".', "stop", problem, None)
    assert (given.correct, given.reason) == (None, "too_long")
