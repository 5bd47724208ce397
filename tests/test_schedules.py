"""The cap on the scaffold level falls from the top to nothing, and the last fifth of the steps is bare."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.schedules import SCHEDULES, Course

falling = st.sampled_from(sorted(SCHEDULES.keys() - {"never"}))


@given(falling, st.integers(1, 500), st.integers(0, 5), st.floats(0, 0.8))
def test_the_cap_never_rises_and_stays_within_the_top_level(name, total, top, share):
    course = Course(name, total, top, share)
    caps = [course.cap(step) for step in range(total)]
    assert all(0 <= cap <= top for cap in caps)
    assert caps == sorted(caps, reverse=True)
    for step in range(total):
        assert all(0 <= cap <= course.cap(step) for cap in course.caps(step, 3, random.Random(step)))


@given(falling, st.integers(1, 500), st.integers(0, 5), st.floats(0, 0.8), st.floats(0, 0.8))
def test_the_last_fifth_is_bare(name, total, top, share, exempt):
    course = Course(name, total, top, share, exempt)
    bare = math.ceil(total * 0.2 - 1e-9)
    assert not any(course.cap(step) for step in range(total - bare, total + 10))
    assert not any(course.caps(total - 1, 8, random.Random(0)))


@given(falling, st.integers(2, 500), st.integers(0, 5))
def test_the_first_step_has_the_full_scaffold(name, total, top):
    course = Course(name, total, top)
    assert course.cap(0) == top
    assert course.caps(0, 4, random.Random(1)) == (top,) * 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosine", [3, 3, 3, 2, 2, 1, 0, 0, 0, 0]),
        ("linear", [3, 3, 2, 2, 2, 1, 1, 0, 0, 0]),
        ("exponential", [3, 2, 1, 1, 1, 0, 0, 0, 0, 0]),
        ("staged", [3, 3, 3, 3, 2, 2, 2, 2, 0, 0]),
        ("constant", [3, 3, 3, 3, 3, 3, 3, 3, 0, 0]),
        ("binomial", [3, 3, 3, 3, 3, 3, 3, 3, 0, 0]),
        ("never", [3, 3, 3, 3, 3, 3, 3, 3, 3, 3]),
    ],
)
def test_the_course_of_ten_steps(name, expected):
    assert [Course(name, 10, 3).cap(step) for step in range(10)] == expected


def test_the_share_of_hinted_steps_ends_the_course_earlier_and_the_exemption_begins_it_later():
    assert [Course("linear", 10, 3, 0.5).cap(step) for step in range(10)] == [3, 2, 2, 1, 1, 0, 0, 0, 0, 0]
    assert [Course("linear", 10, 3, 0.8, 0.3).cap(step) for step in range(10)] == [0, 0, 0, 3, 2, 2, 1, 1, 0, 0]


def test_binomial_levels_are_mixed_and_have_the_mean_of_the_cosine():
    course, cosine = Course("binomial", 100, 4), Course("cosine", 100, 4)
    for step in (10, 40, 70):
        drawn = course.caps(step, 4000, random.Random(step))
        mean = 4 * cosine.fraction(step)
        assert sum(drawn) / 4000 == pytest.approx(mean, abs=0.06)
        variance = sum((level - mean) ** 2 for level in drawn) / 4000
        assert variance == pytest.approx(mean * (1 - cosine.fraction(step)), abs=0.06)
    assert len(set(course.caps(40, 4000, random.Random(0)))) == 5
