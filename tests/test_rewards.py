"""The reward: right answers count most, a readable answer a little, and the last fifth of the budget costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.grading import GradeSpec, grade
from anectl.core.rewards import Pricing, overlong_penalty, repetition, reward_parts

SPEC = GradeSpec("5", "number")
PRICING = Pricing(max_tokens=100, buffer=20)


def reward(found, num_tokens, pricing=PRICING, level=0):
    parts = reward_parts(found, range(num_tokens), level, pricing)
    return None if parts is None else sum(parts.values())


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
    parts = reward_parts(grade(text, "stop", SPEC), [1, 2, 3], 0, Pricing(100, 20))
    assert parts is not None
    assert sum(parts.values()) == pytest.approx(expected)


def test_a_completion_the_checker_could_not_judge_is_left_out():
    undecided = grade("\\boxed{1 - \\cos^2 x}", "stop", GradeSpec("\\sin^2 x", "expression"))
    assert undecided.reason == "no_verifier"
    assert reward(undecided, 3) is None


def test_a_completion_cut_off_earns_nothing_and_pays_in_full():
    assert reward(grade("so the", "length", SPEC), 100) == -1.0


def test_the_penalty_is_linear_over_the_buffer():
    assert [overlong_penalty(tokens, 100, 20) for tokens in (0, 80, 85, 90, 100, 120)] == [0, 0, -0.25, -0.5, -1, -1]
    assert overlong_penalty(100, 100, 0) == 0


@given(st.text(max_size=40), st.integers(0, 200), st.sampled_from(["stop", "length"]))
def test_rewards_stay_in_range(text, tokens, finish):
    value = reward(grade(text, finish, SPEC), tokens)
    assert value is not None
    assert -1 <= value <= 1


def test_repeated_trigrams_cost_what_they_are_said_to():
    assert repetition([]) == repetition([1, 2]) == repetition([1, 2, 3]) == repetition(range(50)) == 0
    assert repetition([7] * 10) == 1 - 1 / 8
    assert repetition([1, 2, 3, 1, 2, 3]) == 1 - 3 / 4
    right = grade("\\boxed{5}", "stop", SPEC)
    parts = reward_parts(right, [1, 2, 3, 1, 2, 3], 0, Pricing(100, 20, repetition=0.4))
    assert parts == pytest.approx({"accuracy": 0.9, "format": 0.1, "overlong": 0, "repetition": -0.1, "tax": 0})


def test_the_tax_grows_with_the_level():
    right = grade("\\boxed{5}", "stop", SPEC)
    taxed = Pricing(100, 20, tax=0.3, top_level=3)
    assert [reward(right, 3, taxed, level) for level in range(4)] == pytest.approx([1, 0.9, 0.8, 0.7])


def test_a_wrong_answer_pays_no_tax_or_the_bare_one_would_be_the_best_of_a_failing_group():
    wrong = grade("\\boxed{6}", "stop", SPEC)
    assert {reward(wrong, 3, Pricing(100, 20, tax=0.3, top_level=3), level) for level in range(4)} == {0.1}
