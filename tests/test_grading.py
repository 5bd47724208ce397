from __future__ import annotations

from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.grading import Explanation, Grade, GradeSpec, Reason, explain, grade
from anectl.core.grading.intervals import parse_region
from anectl.core.grading.words import leading_number
from anectl.core.records import Example, Message, Problem, Scaffold
from tests.grading_cases import CITIES, CUT, TABLE
from tests.grading_hedge_cases import DECEIVED, HEDGES
from tests.grading_specs import MARKS, SPECS, Verdict

CASES = [(spec, *row) for spec, rows in [*TABLE, *HEDGES] for row in rows]
CUT_CASES = [(spec, *row) for spec, rows in CUT for row in rows]


def test_the_table_is_large_enough() -> None:
    assert len(CASES) + len(CUT_CASES) >= 900
    assert all(why for *_, why in CASES + CUT_CASES)


@pytest.mark.parametrize(("spec", "text", "correct", "reason", "why"), CASES)
def test_table(spec: GradeSpec, text: str, correct: bool | None, reason: str, why: str) -> None:
    judged = grade(text, "stop", spec)
    assert (judged.correct, judged.reason) == (correct, reason), f"{why}: {judged}"


@pytest.mark.parametrize(("spec", "text", "correct", "reason", "why"), CUT_CASES)
def test_cut_completions(spec: GradeSpec, text: str, correct: bool | None, reason: str, why: str) -> None:
    judged = grade(text, "length", spec)
    assert (judged.correct, judged.reason) == (correct, reason), f"{why}: {judged}"


def test_reason_and_verdict_go_together() -> None:
    for spec, text, *_ in CASES:
        judged = grade(text, "stop", spec)
        right = judged.reason in ("exact", "numeric", "choice_text", "algebra", "verified")
        assert judged.correct is (True if right else False if judged.reason == "mismatch" else None)
        assert judged.reason in get_args(Reason)


def test_a_failed_completion_is_not_graded() -> None:
    assert grade("Answer: 13", "error", SPECS[0]) == Grade(None, None, "error")


def test_equal_answers_are_extracted_in_one_form() -> None:
    forms = ["Answer: 1,000", "\\boxed{1000.0}", "Answer: 10^3 apples", "Answer: 2000/2"]
    assert {grade(text, "stop", GradeSpec("7", "number")).extracted for text in forms} == {"1000"}
    assert grade("Answer: 1/3", "stop", SPECS[0]).extracted == "1/3"
    assert grade("Answer: Rome", "stop", SPECS[2]).extracted == "C"
    assert grade("Answer: C and A", "stop", SPECS[3]).extracted == "A, C"


def test_problems_and_examples_are_graded_alike() -> None:
    problem = Problem(id="p", question="q", answer="C", answer_type="choice", choices=CITIES)
    example = Example(
        problem_id="p",
        prompt=(Message(role="user", content="q"),),
        completion=(Message(role="assistant", content="C"),),
        answer="C",
        answer_type="choice",
        choices=CITIES,
        scaffold=Scaffold(),
        origin="frontier/raw",
    )
    assert GradeSpec.of(problem) == GradeSpec.of(example) == SPECS[2]
    assert grade("Answer: C", "stop", problem).correct is True


@pytest.mark.parametrize(
    ("verdict", "correct", "reason"), [(True, True, "verified"), (False, False, "mismatch"), (None, None, "undecided")]
)
def test_expressions_are_left_to_the_verifier(verdict: bool | None, correct: bool | None, reason: str) -> None:
    verifier = Verdict(verdict)
    judged = grade("\\boxed{(n+1)!/(n+1)}", "stop", GradeSpec("n!", "expression"), verifier)
    assert (judged.correct, judged.reason) == (correct, reason)
    assert verifier.asked == [("n!", "(n+1)!/(n+1)")]


def test_what_verifiers_misread_never_reaches_them() -> None:
    verifier = Verdict(True)
    for text in (
        "+".join("1" * 1001),
        "\\frac{1}{" * 100 + "2" + "}" * 100,
        "2^{9} \\bmod 7",
        "1+",
        "any prose at all",
    ):
        assert grade(f"\\boxed{{{text}}}", "stop", GradeSpec("y", "expression"), verifier).correct is None
    assert grade("\\boxed{y}", "stop", GradeSpec("+".join("1" * 1001), "expression"), verifier).reason == "too_long"
    assert verifier.asked == []


@pytest.mark.parametrize(("truth", "stated"), DECEIVED)
def test_a_yes_that_verifiers_give_too_easily_does_not_count(truth: str, stated: str) -> None:
    judged = grade(f"\\boxed{{{stated}}}", "stop", GradeSpec(truth, "expression"), Verdict(True))
    assert judged.correct is None
    assert judged.reason in ("undecided", "unsupported")


@given(
    text=st.one_of(st.text(max_size=80), st.sampled_from([text for _, text, *_ in CASES])),
    mark=st.sampled_from(MARKS),
    reason=st.sampled_from(["stop", "length", "error"]),
)
def test_an_explanation_is_of_the_same_grade(text: str, mark: str, reason: str) -> None:
    for spec in SPECS:
        for completion in (text, mark.format(text)):
            told = explain(completion, reason, spec, Verdict(None))
            assert told.grade == grade(completion, reason, spec, Verdict(None))
            assert told.steps
            assert all(step.endswith(".") for step in told.steps)


def test_an_explanation_tells_the_whole_path() -> None:
    told = explain("<think>hm</think>So 1,300 cm is the answer.", "stop", GradeSpec("13", "number", unit="m"))
    assert told == Explanation(
        Grade("13", True, "numeric"),
        (
            "Thoughts are left out: 27 of 43 characters remain.",
            "The answer is marked by `is the answer` at character 1: `1,300 cm`.",
            "Read as number, it is 1300 in cm.",
            "The truth `13` is 13, unit m.",
            "Correct (numeric): it is the value of the truth in another notation.",
        ),
    )
    cut = explain("Answer: 1", "length", SPECS[0]).steps
    assert cut[0] == "The answer is marked by `Answer:` at character 0: `1`, where the text may have gone on."
    assert explain("no idea", "stop", SPECS[0]).steps[0] == "No marker of a final answer was found."
    assert explain("", "error", SPECS[0]).steps == (
        "Not judged (error): the engine failed, so there is nothing to grade.",
    )


def test_every_reason_is_explained_in_words() -> None:
    for spec, text, *_ in CASES:
        told = explain(text, "stop", spec)
        assert f"({told.grade.reason}): {told.grade.reason}." not in told.steps[-1]


def test_number_words_end_where_the_number_ends() -> None:
    assert leading_number("five apples") == (Fraction(5), 1, 4)
    assert leading_number("two dozen eggs") == (Fraction(24), 12, 9)
    assert leading_number("seven and a half") == (Fraction(15, 2), 1, 16)
    assert leading_number("and five") is None
    assert leading_number("") is None


def test_what_is_no_region_is_not_read_as_one() -> None:
    for text in ("(3, 1]", "[1, 2, 3]", "x", "x < y < z < 3", "(1, 2", "|x| < 3", "[0, \\infty]", "x = 3", "1 < 2"):
        assert parse_region(text) is None, text
