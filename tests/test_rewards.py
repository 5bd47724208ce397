"""The reward: right answers count most, a readable answer a little, and the last fifth of the budget costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.grading import GradeSpec, grade
from anectl.core.rewards import answer_reward, overlong_penalty, reward

SPEC = GradeSpec("5", "number")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so \\boxed{5}", 1.0),
        ("so \\boxed{6}", 0.1),
        ("no idea", 0.0),
        ("\\boxed{5} or \\boxed{6}", 0.0),
    ],
)
def test_accuracy_and_format(text, expected):
    assert answer_reward(grade(text, "stop", SPEC)) == pytest.approx(expected)


def test_a_completion_the_checker_could_not_judge_is_left_out():
    undecided = grade("\\boxed{1 - \\cos^2 x}", "stop", GradeSpec("\\sin^2 x", "expression"))
    assert undecided.reason == "no_verifier"
    assert reward(undecided, 3, 100, 20) is None


def test_a_completion_cut_off_earns_nothing_and_pays_in_full():
    assert reward(grade("so the", "length", SPEC), 100, 100, 20) == -1.0


def test_the_penalty_is_linear_over_the_buffer():
    assert [overlong_penalty(tokens, 100, 20) for tokens in (0, 80, 85, 90, 100, 120)] == [0, 0, -0.25, -0.5, -1, -1]
    assert overlong_penalty(100, 100, 0) == 0


@given(st.text(max_size=40), st.integers(0, 200), st.sampled_from(["stop", "length"]))
def test_rewards_stay_in_range(text, tokens, finish):
    value = reward(grade(text, finish, SPEC), tokens, 100, 20)
    assert value is not None
    assert -1 <= value <= 1
