"""The cap on the scaffold level falls from the top to nothing, and the last fifth of the steps is bare."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.schedules import SCHEDULES, level_cap

names = st.sampled_from(sorted(SCHEDULES))


@given(names, st.integers(1, 500), st.integers(0, 5))
def test_the_cap_never_rises_and_stays_within_the_top_level(name, total, top):
    caps = [level_cap(name, step, total, top) for step in range(total)]
    assert all(0 <= cap <= top for cap in caps)
    assert caps == sorted(caps, reverse=True)


@given(names, st.integers(1, 500), st.integers(0, 5))
def test_the_last_fifth_is_bare(name, total, top):
    bare = math.ceil(total * 0.2)
    assert not any(level_cap(name, step, total, top) for step in range(total - bare, total + 10))


@given(names, st.integers(2, 500), st.integers(0, 5))
def test_the_first_step_has_the_full_scaffold(name, total, top):
    assert level_cap(name, 0, total, top) == top


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosine", [3, 3, 3, 2, 2, 1, 0, 0, 0, 0]),
        ("linear", [3, 3, 2, 2, 2, 1, 1, 0, 0, 0]),
        ("staged", [3, 3, 3, 3, 2, 2, 2, 2, 0, 0]),
    ],
)
def test_the_course_of_ten_steps(name, expected):
    assert [level_cap(name, step, 10, 3) for step in range(10)] == expected
