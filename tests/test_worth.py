"""A row is given up where more completions are not worth it, and what that saves is spent better on other rows."""

from __future__ import annotations

import math
import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.adaptive import Budget
from anectl.core.posterior import JEFFREYS, log_beta, zone_masses
from anectl.core.prior import expected_error
from anectl.core.worth import Terms, is_worth_more

TERMS = Terms(price=0.1 / 64, low=0.1, high=0.7, most=32, growth=2.0)


def doubt(n: int, c: int) -> float:
    return 1 - max(zone_masses(n, c, 0.1, 0.7).values())


def chance(further: int, right: int, n: int, c: int) -> float:
    """Of so many right among `further` more, after c of n."""
    logs = log_beta(0.5 + c + right, 0.5 + n - c + further - right) - log_beta(0.5 + c, 0.5 + n - c)
    return math.comb(further, right) * math.exp(logs)


@cache
def loss(n: int, c: int) -> float:
    """As `worth` has it, every branch followed to its end."""
    if n == TERMS.most:
        return doubt(n, c)
    further = min(n, TERMS.most - n)
    drawn = sum(chance(further, right, n, c) * loss(n + further, c + right) for right in range(further + 1))
    return min(doubt(n, c), TERMS.price * further + drawn)


@pytest.mark.parametrize("n", [1, 3, 8, 12, 16, 32])
def test_it_is_worth_it_where_looking_at_every_branch_says_so(n: int) -> None:
    for c in range(n + 1):
        assert is_worth_more(n, n, c, TERMS) == (loss(n, c) < doubt(n, c) - 1e-12), c


@given(st.integers(1, 64), st.data())
def test_only_open_rows_are_given_up_and_none_where_nothing_is_known(n: int, data: st.DataObject) -> None:
    judged = data.draw(st.integers(0, n))
    correct = data.draw(st.integers(0, judged))
    budget = Budget(data.draw(st.sampled_from((0.8, 0.9, 0.99))), data.draw(st.sampled_from((64, 128))))
    if budget.is_given_up(n, judged, correct):
        assert judged
        assert n < budget.max_n
        assert not budget.is_sure(judged, correct)
        assert budget.more(n, judged, correct) == 0
    else:
        assert (budget.more(n, judged, correct) == 0) == (n >= budget.max_n or budget.is_sure(judged, correct))


def test_rows_that_lie_near_what_is_wanted_or_far_from_it_are_given_up_late_ones_first() -> None:
    given_up = {n: [c for c in range(n + 1) if Budget(0.9).is_given_up(n, n, c)] for n in (8, 16, 32, 64)}
    assert given_up == {8: [], 16: [3, 9], 32: [5, 20, 25], 64: []}
    patient = Budget(0.9, gives_up=False)
    assert not any(patient.is_given_up(n, n, c) for n in given_up for c in range(n + 1))


def test_growth_says_how_many_there_are_next() -> None:
    assert [Budget(0.9, 64, growth=1.5).more(n, 0, 0) for n in (1, 8, 12, 18, 27, 41, 62)] == [1, 4, 6, 9, 14, 21, 2]
    assert [Budget(0.9).more(n, 0, 0) for n in (8, 48, 64)] == [8, 16, 0]


def outcome(budget: Budget) -> tuple[float, float]:
    """Completions and wrong zones of a problem, where pass rates are spread as the Jeffreys prior says."""
    reached = {(8, c): chance(8, c, 0, 0) for c in range(9)}
    drawn = wrong = 0.0
    while reached:
        n, c = min(reached)
        share = reached.pop((n, c))
        more = budget.more(n, n, c)
        if not more:
            drawn, wrong = drawn + share * n, wrong + share * doubt(n, c)
        for right in range(more + 1) if more else ():
            place = (n + more, c + right)
            reached[place] = reached.get(place, 0) + share * chance(more, right, n, c)
    return drawn, wrong


def test_half_the_completions_place_as_many_problems_right() -> None:
    uniform = expected_error(JEFFREYS, 64, 0.1, 0.7)
    drawn, wrong = outcome(Budget(0.91, 128))
    assert wrong <= uniform
    assert drawn < 0.45 * 64
    assert outcome(Budget(0.91, 128, growth=1.5))[0] < 0.41 * 64
    patient, less_wrong = outcome(Budget(0.91, 128, gives_up=False))
    assert patient > 1.2 * drawn
    assert less_wrong < wrong


def test_a_large_budget_is_thought_through_in_time() -> None:
    began = time.process_time()
    budget = Budget(0.99, 20_000)
    for n in (8, 64, 512, 4096):
        budget.more(n, n, n // 10)
        budget.more(n, n // 2, n // 3)
    assert time.process_time() - began < 5
