"""Which worked solutions lead to their answer: what contradicts it is refuted, and nothing is guessed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.records import Problem
from anectl.core.verified import verify


def worked(answer: str, kind: str, solution: str | None, **fields: Any) -> Problem:
    if kind in ("choice", "choices"):
        fields["choices"] = ("3 cm", "5 cm", "7 cm")
    return Problem(id="p", question="?", answer=answer, answer_type=kind, solution=solution, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "kind", "solution", "verdict"),
    [
        # marked answers go the grader's way
        ("5", "number", "So we get \\boxed{5}.", "verified"),
        ("5", "number", "So we get \\boxed{6}.", "refuted"),
        ("72", "number", "48/2 = 24 and 48+24 = 72\n#### 72", "verified"),
        ("72", "number", "48/2 = 24 and 48+24 = 72\n#### 24", "refuted"),
        ("B", "choice", "Answer: B", "verified"),
        ("B", "choice", "Answer: C", "refuted"),
        ("yes", "boolean", "Therefore the answer is no.", "refuted"),
        # the end of an unmarked solution
        ("5", "number", "6-1=5", "verified"),
        ("5", "number", "6-2=4", "refuted"),
        ("1", "number", "Over 7: no no no yes.\nThat makes 1.", "verified"),
        ("33", "number", "7+8+9+9=33", "verified"),
        ("12", "number", "The area is $12$ square units.", "verified"),
        ("1200", "number", "It costs 1,200 in all.", "verified"),
        ("second", "text", "max 8: second", "verified"),
        ("second", "text", "It stands third.", "unknown"),
        ("1, 3, 4, 8", "list", "In order: 1 3 4 8.", "verified"),
        ("1, 3, 4, 8", "list", "1<3<4<8", "unknown"),
        ("yes", "boolean", "9 against 3: yes.", "verified"),
        ("yes", "boolean", "3 against 9: no.", "refuted"),
        ("yes", "boolean", "9>3", "unknown"),
        ("B", "choice", "A has 3. B has 7. B is larger.", "verified"),
        ("A", "choice", "A has 3. B has 7. B is larger.", "refuted"),
        ("B", "choice", "So the side is 5 cm.", "verified"),
        ("A", "choice", "A line of this length is as long as B.", "refuted"),
        ("B", "choice", "Both A and B fit.", "unknown"),
        # nothing to go by
        ("5", "number", "Count them one by one.", "unknown"),
        ("5", "number", None, "unknown"),
        ("5", "number", "   ", "unknown"),
    ],
)
def test_a_solution_is_judged_by_what_it_ends_in(answer: str, kind: str, solution: str, verdict: str) -> None:
    assert verify(worked(answer, kind, solution)) == verdict


def test_either_solution_or_steps_may_show_it() -> None:
    steps = ("A has 3.", "B has 7.", "B is larger.")
    assert verify(worked("B", "choice", "3<7", steps=steps)) == "verified"
    assert verify(worked("B", "choice", None, steps=steps)) == "verified"


def test_a_contradiction_in_either_refutes() -> None:
    assert verify(worked("5", "number", "6-1=5", steps=("6 - 1 = 4.",))) == "refuted"


def test_expressions_are_verified_by_the_grader_and_never_refuted_without_a_mark() -> None:
    assert verify(worked("2x+1", "expression", "Hence f(x) = 2x+1.")) == "verified"
    assert verify(worked("2x+1", "expression", "Hence f(x) = 3x.")) == "unknown"


def test_a_number_in_the_right_answers_place_only_counts() -> None:
    # The truth stands in the sentence, but not at its end: neither shown nor contradicted.
    assert verify(worked("5", "number", "With 5 apples he pays 20 euros")) == "unknown"


@given(st.text(max_size=400), st.sampled_from(["number", "text", "list", "boolean", "expression", "choice"]))
def test_no_text_makes_it_fail(text: str, kind: str) -> None:
    answer = {"choice": "B", "boolean": "yes"}.get(kind, "5")
    assert verify(worked(answer, kind, text)) in ("verified", "refuted", "unknown")


@pytest.mark.parametrize(
    "text", ["a " * 500_000, "= " * 500_000, "1," * 500_000, "\n" * 1_000_000 + "x", "A" * 1_000_000]
)
def test_long_solutions_are_read_quickly(text: str) -> None:
    started = time.perf_counter()
    for kind in ("number", "list", "choice"):
        verify(worked("B" if kind == "choice" else "5", kind, text))
    assert time.perf_counter() - started < 3
