"""The harness profiles, and those of AI2D, ScienceQA and Geometry3K, give the outcomes worked out by hand."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.grading.spec import Grade
from anectl.core.profiles import load_profile
from anectl.core.records import Problem

CASES = Path(__file__).parent / "profile_cases"
NAMES = ("lmms-eval", "vlmevalkit", "ai2d", "scienceqa", "geometry3k")
LETTERED = ("mathverse", "wemath", "logicvista", "mmmu-pro", "mmstar", "mmbench", "ai2d", "m3cot", "scienceqa")
MIXED = ("mathvista", "mathvision", "dynamath", "mmmu", "chartqa", "geometry3k", "unheard-of")
LETTERS = {"answer": "B", "answer_type": "choice", "choices": ("cat", "dog", "bird")}
NUMBER = {"answer": "12.5", "answer_type": "number"}
TEXT = {"answer": "isosceles triangle", "answer_type": "text"}
HOSTILE = (
    "9" * 1_000_000,
    "{" * 500_000 + "}" * 500_000,
    '{"short answer": ' * 60_000 + "}",
    "\\boxed{" * 140_000,
    "\\boxed{(" + "1," * 500_000 + ")}",
    "A " * 500_000,
    "answer: (" * 110_000,
    "</answer>" + "<answer>" * 125_000,
    " " * 1_000_000 + "x",
    ("1 " * 200 + "x\n") * 2_500,
    "The answer is " * 70_000,
)


def cases(name: str) -> list[dict[str, Any]]:
    lines = (CASES / f"{name}.jsonl").read_text("utf8").splitlines()
    about, *rows = map(json.loads, lines)
    assert about.keys() == {"about"}
    return rows


def problem_of(row: dict[str, Any]) -> Problem:
    fields = {**row["problem"], "choices": tuple(row["problem"]["choices"]) if "choices" in row["problem"] else None}
    source = {"benchmark": row["benchmark"], "fields": row["fields"]} if row["benchmark"] else {}
    return Problem(id="1", question="?", source=source, **fields)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_agrees_with_every_case_judged_by_hand(name: str) -> None:
    score = load_profile(name).score
    differing = []
    for row in cases(name):
        grade = score(row["prediction"], "stop", problem_of(row), None)
        if (grade.correct, grade.chance) != (row["correct"], row.get("chance")):
            differing.append((row["benchmark"], row["prediction"], row["correct"], grade, row["why"]))
    assert differing == []


@pytest.mark.parametrize(("name", "least"), list(zip(NAMES, (30, 30, 12, 12, 12), strict=True)))
def test_there_are_enough_cases(name: str, least: int) -> None:
    assert len(cases(name)) >= least
    assert len({json.dumps([row["fields"], row["problem"], row["prediction"]]) for row in cases(name)}) >= least


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_error_is_null(name: str) -> None:
    for row in cases(name):
        assert load_profile(name).score(row["prediction"], "error", problem_of(row), None) == Grade(None, None, "error")


@pytest.mark.parametrize("name", NAMES)
def test_null_has_its_reason_and_odds_stand_by_random_picks_alone(name: str) -> None:
    for row in cases(name):
        grade = load_profile(name).score(row["prediction"], "stop", problem_of(row), None)
        assert (grade.chance is not None) == (grade.reason == "random_pick")
        if grade.correct is None:
            assert grade.reason in ("needs_judge", "random_pick", "no_verifier")


def problems(benchmark: str) -> list[Problem]:
    source = {"benchmark": benchmark, "fields": {}}
    return [Problem(id="1", question="?", source=source, **kind) for kind in (LETTERS, NUMBER, TEXT)]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text()
    | st.lists(
        st.sampled_from(["A", "(B)", " ", ".", "answer", "Answer:", "is", "\\boxed{", "}", "{", "12.5", "-", "%", "/"])
    ).map("".join),
    benchmark=st.sampled_from(LETTERED + MIXED),
    name=st.sampled_from(NAMES),
)
def test_no_text_raises(text: str, benchmark: str, name: str) -> None:
    for problem in problems(benchmark):
        load_profile(name).score(text, "stop", problem, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_megabyte_takes_less_than_a_second(name: str) -> None:
    score = load_profile(name).score
    slow = []
    for benchmark in LETTERED + MIXED if name in ("lmms-eval", "vlmevalkit") else (name,):
        for problem in problems(benchmark)[: 2 if benchmark in MIXED else 1]:
            for text in HOSTILE:
                start = time.process_time()
                score(text, "stop", problem, None)
                if (took := time.process_time() - start) > 1:
                    slow.append((benchmark, problem.answer_type, text[:20], took))
    assert slow == []


class Always:
    """A verifier with one verdict."""

    def __init__(self, verdict: bool | None) -> None:
        self.verdict = verdict

    def equal(self, truth: str, given: str) -> bool | None:
        """The one verdict."""
        return self.verdict


@pytest.mark.parametrize(("verdict", "reason"), [(True, "verified"), (False, "mismatch"), (None, "undecided")], ids=str)
def test_a_verifier_decides_where_sympy_would(verdict: bool | None, reason: str) -> None:
    problem = Problem(
        id="1",
        question="?",
        answer="\\tan{x}",
        answer_type="expression",
        source={"benchmark": "geometry3k", "fields": {"answer": "\\tan{x}"}},
    )
    grade = load_profile("geometry3k").score("\\boxed{\\frac{\\sin{x}}{\\cos{x}}}", "stop", problem, Always(verdict))
    assert (grade.correct, grade.reason) == (verdict, reason)
