"""The alarms of strip-rl: each goes off on its own sign, once, and none on a course that is only noisy."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.alarms import KINDS, WINDOW, Watch, alarms, watched

HEALTHY = {"mean_length": 100.0, "entropy": 1.0, "repetition": 0.05, "zero_variance": 0.4, "truncated": 0.05}


def course(steps: int, seed: int = 0, **ends: float) -> list[dict[str, Any]]:
    """Log lines that wander by a fifth, and go in a straight line to the values of `ends`."""
    rng = random.Random(seed)
    lines = []
    for step in range(steps):
        done = step / (steps - 1)
        at = {name: first + done * (ends.get(name, first) - first) for name, first in HEALTHY.items()}
        lines.append({"step": step + 1} | {name: value * rng.uniform(0.8, 1.2) for name, value in at.items()})
    return lines


@pytest.mark.parametrize(
    ("quantity", "end", "kind"),
    [
        ("mean_length", 9.0, "length_collapse"),  # as 511 to 46
        ("mean_length", 400.0, "length_jump"),
        ("entropy", 0.01, "entropy_collapse"),
        ("repetition", 0.6, "repetition"),
        ("zero_variance", 1.0, "zero_variance"),
        ("truncated", 0.8, "truncated"),
    ],
)
def test_a_sign_raises_its_alarm_once_before_the_end(quantity: str, end: float, kind: str) -> None:
    lines = course(100, **{quantity: end})
    lines += [{**lines[-1], "step": 101 + more} for more in range(20)]
    watch, found = alarms(lines)
    assert [alarm.kind.name for alarm in found] == [kind]
    assert WINDOW < found[0].step <= 115
    assert watch.told == {kind}
    assert f"alarm at step {found[0].step}: {kind}: {quantity}" in str(found[0])


@pytest.mark.parametrize("seed", range(20))
def test_noise_raises_none(seed: int) -> None:
    assert alarms(course(300, seed))[1] == ()


def test_a_single_odd_line_raises_none() -> None:
    lines = course(60)
    lines[30] |= {"mean_length": 1.0, "repetition": 0.9, "truncated": 1.0, "zero_variance": 1.0, "entropy": 0.0}
    assert alarms(lines)[1] == ()


def test_a_short_run_has_no_reference_to_compare_with() -> None:
    assert alarms(course(WINDOW, mean_length=1.0))[1] == ()


def test_lines_without_a_quantity_are_passed_over() -> None:
    assert alarms([{"step": step, "loss": 0.0} for step in range(50)])[1] == ()


values = st.dictionaries(st.sampled_from([kind.quantity for kind in KINDS]), st.floats(0, 1e4), max_size=5)


@given(st.lists(values, max_size=40), st.integers(0, 40))
def test_a_watch_taken_up_in_the_middle_ends_as_the_whole_one(found: list[dict[str, float]], middle: int) -> None:
    lines = [{"step": step, **line} for step, line in enumerate(found)]
    watch, before = alarms(lines[:middle])
    after = []
    for line in lines[middle:]:
        watch, new = watched(watch, line)
        after += new
    assert (watch, (*before, *after)) == alarms(lines)
    assert Watch() == alarms([])[0]
