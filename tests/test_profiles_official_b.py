"""Profiles of ChartQA, DynaMath, LogicVista, M3CoT, We-Math and MMBench against cases judged by hand."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.profiles import GroupMetric, load_profile
from anectl.core.profiles.wemath import Group, dimensions
from anectl.core.records import Problem

NAMES = ("chartqa", "dynamath", "logicvista", "m3cot", "wemath", "mmbench")
CASES = Path(__file__).parent / "profile_cases"


def read_cases(name: str) -> list[dict[str, Any]]:
    lines = (CASES / f"{name}.jsonl").read_text("utf8").splitlines()
    return [json.loads(line) for line in lines]


def problem_of(fields: dict[str, Any], problem: dict[str, Any] | None = None, id: str = "p") -> Problem:
    """A problem as `anectl import` makes it, as far as the profiles look at it."""
    values: dict[str, Any] = {"answer": "see the published row", "answer_type": "text", **(problem or {})}
    if "choices" in values:
        values["choices"] = tuple(values["choices"])
    return Problem(id=id, question="?", source={"benchmark": "b", "fields": fields}, **values)


ALL = [(name, case) for name in NAMES for case in read_cases(name)[1:]]


@pytest.mark.parametrize("name", NAMES)
def test_each_fixture_is_large_enough_and_says_where_it_comes_from(name: str) -> None:
    about, *cases = read_cases(name)
    assert "by hand" in about["about"]
    assert len(cases) >= 30
    assert all(case["why"] for case in cases)
    assert len({json.dumps([case["fields"], case["prediction"]]) for case in cases}) == len(cases)
    assert {True, False} <= {case["correct"] for case in cases}


@pytest.mark.parametrize(("name", "case"), ALL, ids=[f"{name}: {case['why']}" for name, case in ALL])
def test_a_profile_agrees_with_the_official_rule(name: str, case: dict[str, Any]) -> None:
    problem = problem_of(case["fields"], case.get("problem"))
    grade = load_profile(name).score(case["prediction"], "stop", problem, None)
    assert grade.correct is case["correct"]
    assert grade.chance is case.get("chance")
    if "extracted" in case:
        assert grade.extracted == case["extracted"]
    if grade.correct is None:
        assert grade.reason == "needs_judge"


@pytest.mark.parametrize("name", NAMES)
def test_only_an_engine_error_changes_the_grade(name: str) -> None:
    score = load_profile(name).score
    for case in read_cases(name)[1:]:
        problem = problem_of(case["fields"], case.get("problem"))
        assert score(case["prediction"], "length", problem, None) == score(case["prediction"], "stop", problem, None)
        failed = score(case["prediction"], "error", problem, None)
        assert (failed.correct, failed.reason) == (None, "error")


# One published row of each kind that a profile tells apart.
ROWS = [(name, case["fields"], case.get("problem")) for name in NAMES for case in read_cases(name)[1:2]] + [
    ("dynamath", {"ground_truth": "A", "answer_type": "multiple choice"}, None),
    ("dynamath", {"ground_truth": "even", "answer_type": "text"}, None),
    ("chartqa", {"answer": "Yes"}, None),
    *((name, {}, {"answer": "A", "answer_type": "choice", "choices": ("x", "y")}) for name in NAMES),
]
PIECES = st.sampled_from(
    [
        "Answer",
        ": ",
        "A",
        "(b)",
        "[Answer]",
        "\\boxed{",
        "}",
        "{",
        '"short answer":',
        "3.5",
        "%",
        "\n",
        "ASSISTANT:",
        "π",
    ]
)


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=3))).map("".join)))
@settings(max_examples=150, deadline=None)
def test_no_text_raises(text: str) -> None:
    for name, fields, problem in ROWS:
        grade = load_profile(name).score(text, "stop", problem_of(fields, problem), None)
        assert grade.correct is not True or grade.extracted is not None or len(text) > 300


FRAMES = {"dynamath": '{{"short answer": "{}"}}', "logicvista": "Answer: {}", "m3cot": "[Answer] {}"}
HOSTILE = (
    " ",
    "A ",
    "<<",
    '{"a":',
    "[",
    "9",
    "\\boxed{A} ",
    "\\boxed{",
    "Answer: A\n",
    "answer is ",
    "(a",
    "A, ",
    "<think>",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_takes_less_than_a_second(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    for name, fields, problem in ROWS[: len(NAMES)]:
        row, framed = problem_of(fields, problem), FRAMES.get(name, "{}").format(text)
        start = time.process_time()
        load_profile(name).score(framed, "stop", row, None)
        assert time.process_time() - start < 1, name


@pytest.mark.parametrize("value", [None, 3, 2.5, True, [], {}, "", ["A"], "x" * 50])
@pytest.mark.parametrize("name", NAMES)
def test_odd_published_fields_do_no_harm(name: str, value: Any) -> None:
    profile = load_profile(name)
    keys = ("id", "ID", "index", "key", "answer", "ground_truth", "answer_type", "choices", "A", "B", "type", "domain")
    row = problem_of(
        {**dict.fromkeys(keys, value), "skill": value, "capability": value, "topic": value, "l2-category": value},
        {"answer": "A", "answer_type": "choice", "choices": ("x", "y")},
    )
    assert profile.metrics is not None
    metric = profile.metrics()
    for text in ("A", "Answer: A", '{"short answer": "A"}', ""):
        metric.add(row, float(profile.score(text, "stop", row, None).correct or 0))
    assert all(math.isfinite(figure) for figure in metric.results().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_of_no_rows_divides_by_nothing(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.metrics is not None
    assert not any(profile.metrics().results().values())


def gathered(name: str, rows: list[tuple[dict[str, Any], float]]) -> dict[str, float]:
    """The figures of a profile over published rows and the share of each."""
    metrics = load_profile(name).metrics
    assert metrics is not None
    metric: GroupMetric = metrics()
    for i, (fields, share) in enumerate(rows):
        metric.add(problem_of(fields, id=str(i)), share)
    return dict(metric.results())


def test_chartqa_takes_the_mean_of_both_splits() -> None:
    rows = [({"type": "human_test"}, share) for share in (1, 0, 0, 0)] + [({"type": "augmented_test"}, 1)]
    assert gathered("chartqa", rows) == {"human_test": 0.25, "augmented_test": 1, "mean of both": 0.625}
    assert gathered("chartqa", rows[:2]) == {"human_test": 0.5}


def test_dynamath_worst_case_wants_every_variant() -> None:
    # Question 1: right, right, right. Question 2: right, right, wrong.
    rows = [({"id": "1"}, 1.0), ({"id": "2"}, 1.0)] * 2 + [({"id": "1"}, 1.0), ({"id": "2"}, 0.0)]
    assert gathered("dynamath", rows) == {
        "average accuracy": pytest.approx(5 / 6),
        "worst-case accuracy": 0.5,
        "reasoning robustness": pytest.approx(0.5 / (5 / 6)),
        "questions": 2,
        "incomplete questions": 0,
    }


def test_dynamath_takes_the_share_of_the_worst_variant() -> None:
    rows = [({"id": 1}, 0.75), ({"id": 1}, 0.25), ({"id": 2}, 1.0), ({"id": 2}, 0.5)]
    assert gathered("dynamath", rows)["worst-case accuracy"] == 0.375
    assert gathered("dynamath", rows)["average accuracy"] == 0.625


def test_dynamath_leaves_a_question_without_all_variants_out_of_the_worst_case() -> None:
    rows = [({"id": 1}, 1.0), ({"id": 1}, 0.0), ({"id": 2}, 1.0)]
    found = gathered("dynamath", rows)
    assert (found["worst-case accuracy"], found["incomplete questions"]) == (0, 1)
    assert found["average accuracy"] == pytest.approx(2 / 3)
    assert found["reasoning robustness"] == 0
    assert "reasoning robustness" not in gathered("dynamath", rows[1:2]), "nothing is right: 0 / 0"


def group(id: str, *parts: float, whole: float) -> list[tuple[dict[str, Any], float]]:
    """The rows of a We-Math group, whole problem first: the order of the rows does not matter."""
    rows = [({"ID": id, "key": f"{len(parts)}steps_{i}"}, share) for i, share in enumerate(parts, 1)]
    return [({"ID": id, "key": f"{len(parts)}steps_multi"}, whole), *rows]


def test_wemath_has_four_dimensions_strict_and_loose() -> None:
    rows = [
        *group("1", 1, 0, whole=0),  # IK
        *group("2", 1, 1, whole=0),  # IG
        *group("3", 1, 1, 1, whole=1),  # CM
        *group("4", 1, 0, 0, whole=1),  # RM when strict; CM when loose, for one part is right
    ]
    assert gathered("wemath", rows) == {
        "one-step accuracy": pytest.approx(7 / 10),
        "two-step accuracy": 0,
        "three-step accuracy": 1,
        "score (strict)": pytest.approx((4 - 0.5 - 1 - 1) / 4),
        "score (loose)": pytest.approx((4 - 0.5 - 0 - 1) / 4),
        "insufficient knowledge": 0.25,
        "inadequate generalization": 0.25,
        "complete mastery (strict)": 0.25,
        "complete mastery (loose)": 0.5,
        "rote memorization (strict)": 0.5,
        "rote memorization (loose)": 0,
        "groups": 4,
        "incomplete groups": 0,
        "rows outside groups": 0,
    }


def test_wemath_counts_a_problem_solved_without_any_part_as_rote_in_both_readings() -> None:
    found = gathered("wemath", group("1", 0, 0, whole=1) + group("1", 0, 0, 0, whole=1))
    assert (found["rote memorization (strict)"], found["rote memorization (loose)"]) == (1, 1)
    assert (found["score (strict)"], found["score (loose)"], found["groups"]) == (0, 0, 2)


def test_wemath_reports_incomplete_groups_and_does_not_score_them() -> None:
    rows = group("1", 1, 1, whole=1) + group("2", 0, 0, whole=0)[1:] + [({"ID": "3"}, 1.0), ({"key": "2steps_3"}, 1.0)]
    found = gathered("wemath", rows)
    assert (found["groups"], found["incomplete groups"], found["rows outside groups"]) == (1, 1, 2)
    assert found["score (strict)"] == 1
    assert found["one-step accuracy"] == 0.5


@given(st.lists(st.tuples(st.lists(st.floats(0, 1), min_size=2, max_size=3), st.floats(0, 1)), min_size=1))
def test_wemath_dimensions_add_up_to_all_groups(shares: list[tuple[list[float], float]]) -> None:
    found = dimensions([Group(tuple(parts), whole) for parts, whole in shares])
    wrong = found.insufficient + found.inadequate
    assert wrong + found.mastered_strict + found.rote_strict == pytest.approx(len(shares))
    assert wrong + found.mastered_loose + found.rote_loose == pytest.approx(len(shares))
    assert found.mastered_strict <= found.mastered_loose + 1e-9


def mmbench_row(index: object, category: str = "ocr", num_choices: int = 2) -> dict[str, Any]:
    return {
        "index": index,
        "L2-category": category,
        **dict(zip("ABCD", ["w", "x", "y", "z"][:num_choices], strict=False)),
    }


def test_mmbench_wants_all_rotations_right() -> None:
    rows = [
        (mmbench_row(7), 1.0),
        (mmbench_row(1_000_007), 1.0),
        (mmbench_row(8, "scene"), 1.0),
        (mmbench_row("1000008", "scene"), 0.0),
        (mmbench_row(9, "scene", 4), 0.0),
        *((mmbench_row(9 + k * 1_000_000, "scene", 4), 1.0) for k in (1, 2, 3)),
    ]
    assert gathered("mmbench", rows) == {
        "vanilla accuracy": pytest.approx(2 / 3),
        "circular accuracy": pytest.approx(1 / 3),
        "circular accuracy/ocr": 1,
        "circular accuracy/scene": 0,
        "questions": 3,
        "incomplete questions": 0,
        "rows outside groups": 0,
    }


def test_mmbench_reports_questions_without_all_rotations() -> None:
    rows = [(mmbench_row(7), 1.0), (mmbench_row(1_000_008), 1.0), (mmbench_row(2_000_008), 1.0), ({}, 1.0)]
    assert gathered("mmbench", rows) == {
        "vanilla accuracy": 1,
        "questions": 2,
        "incomplete questions": 2,
        "rows outside groups": 1,
    }


def test_m3cot_and_logicvista_give_accuracy_by_group() -> None:
    rows = [({"domain": "science", "topic": "t"}, 1.0), ({"domain": "mathematics", "topic": "u"}, 0.0)]
    assert gathered("m3cot", rows) == {
        "all": 0.5,
        "domain/mathematics": 0,
        "domain/science": 1,
        "topic/t": 1,
        "topic/u": 0,
    }
    rows = [
        ({"skill": "inductive", "capability": "diagram, ocr"}, 1.0),
        ({"skill": "spatial", "capability": "ocr"}, 0.0),
    ]
    assert gathered("logicvista", rows) == {
        "all": 0.5,
        "capability/diagram": 1,
        "capability/diagram and ocr": 1,
        "capability/ocr": 0.5,
        "skill/inductive": 1,
        "skill/spatial": 0,
    }
