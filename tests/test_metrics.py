"""Estimators and posteriors against their definitions, scipy and statsmodels."""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from anectl.core.binomial import draw_binomial
from anectl.core.metrics import (
    holm,
    mcnemar_exact,
    mean,
    mean_pass_at_k,
    pass_all_k,
    pass_at_k,
    wilson,
)
from anectl.core.posterior import Part, beta_cdf, mixture_quantile, zone_of
from anectl.core.power import num_problems_needed


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_k_subsets_with_a_correct_one(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


@given(st.integers(1, 8), st.data())
def test_pass_all_k_is_the_share_of_k_subsets_that_are_all_correct(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_all_k(n, c, k) == pytest.approx(sum(map(all, subsets)) / len(subsets), abs=1e-12)


def test_pass_all_k_refuses_and_is_undefined_as_pass_at_k_is() -> None:
    assert pass_all_k(3, 3, 4) is None
    with pytest.raises(ValueError, match="pass"):
        pass_all_k(2, 3, 1)


def test_mean_pass_at_k_leaves_no_problem_out() -> None:
    assert mean_pass_at_k({(4, 1): 1, (4, 4): 3}, 2) == pytest.approx((0.5 + 3) / 4)
    assert mean_pass_at_k({(4, 1): 1, (1, 1): 3}, 2) is None


def test_pass_at_k_is_undefined_with_fewer_completions_than_k() -> None:
    assert pass_at_k(3, 3, 4) is None
    assert pass_at_k(0, 0, 1) is None


@pytest.mark.parametrize(("n", "c", "k"), [(2, 3, 1), (2, -1, 1), (2, 1, 0)])
def test_pass_at_k_refuses_impossible_counts(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


@given(st.integers(1, 100_000), st.data())
@settings(max_examples=300)
def test_wilson_agrees_with_scipy_and_statsmodels(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    assert wilson(c, n) == pytest.approx(proportion_confint(c, n, method="wilson"), abs=1e-9)
    assert wilson(c, n) == pytest.approx(tuple(binomtest(c, n).proportion_ci(method="wilson")), abs=1e-9)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=300)
def test_mcnemar_agrees_with_scipy_and_statsmodels(gained: int, lost: int) -> None:
    p = mcnemar_exact(gained, lost)
    assert p == pytest.approx(min(1.0, mcnemar([[0, gained], [lost, 0]], exact=True).pvalue), abs=1e-9)
    assert p == pytest.approx(binomtest(gained, gained + lost).pvalue if gained + lost else 1.0, abs=1e-9)
    assert p == mcnemar_exact(lost, gained)


@pytest.fixture(scope="module")
def frozen_objects() -> Iterator[None]:
    """statsmodels collects garbage in every call of `multipletests`: 20 ms, unless what there is stays out of it."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen_objects")
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.5, 1.0]), min_size=1, max_size=30))
@settings(max_examples=300)
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-9)


def test_holm_of_nothing_and_of_one() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_mcnemar_holds_for_thousands_of_flips() -> None:
    assert 0 < mcnemar_exact(2600, 2400) < 0.01


def test_mean_of_nothing_is_an_error() -> None:
    assert mean([0.0, 1.0]) == 0.5
    with pytest.raises(ValueError, match="no values"):
        mean([])


@pytest.mark.parametrize(("gain", "flip_rate"), [(0.02, 0.1), (0.02, 0.3), (0.05, 0.2), (0.1, 0.3), (0.01, 0.05)])
def test_the_number_of_problems_needed_gives_the_power_it_promises(gain: float, flip_rate: float) -> None:
    rng = random.Random(2)
    num_problems = num_problems_needed(gain, flip_rate)
    assert num_problems is not None
    found = 0
    for _ in range(2000):
        flips = draw_binomial(num_problems, flip_rate, rng)
        gained = draw_binomial(flips, (flip_rate + gain) / 2 / flip_rate, rng)
        found += mcnemar_exact(gained, flips - gained) < 0.05
    assert 0.77 < found / 2000 < 0.84


def test_problems_needed_is_connors_formula_with_the_continuity_correction() -> None:
    # By hand for a gain of 0.1 with 0.3 flips: K = 1.96 sqrt(0.3) + 0.8416 sqrt(0.29) = 1.5267, K^2 / 0.01 = 233.1
    # without the correction; n = ((1.5267 + sqrt(2.3309 + 0.4)) / 0.2)^2 = 252.7.
    assert num_problems_needed(0.1, 0.3) == 253
    assert num_problems_needed(-0.1, 0.3) == 253


def test_problems_needed_without_a_gain_or_with_fewer_flips_than_it_takes() -> None:
    assert num_problems_needed(0.0, 0.3) is None
    assert num_problems_needed(0.1, 0.0) == num_problems_needed(0.1, 0.1)
    assert (num_problems_needed(1.0, 1.0) or 0) < 10


@given(st.integers(0, 300), st.data())
@settings(max_examples=200)
def test_posterior_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    # Within 1e-15 of 1, scipy itself is off by 3e-9.
    x = data.draw(st.floats(0, 1 - 1e-12))
    a, b = 0.5 + c, 0.5 + n - c
    assert beta_cdf(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-9)
    for share in (0.025, 0.5, 0.975):
        assert mixture_quantile(share, (Part(1.0, a, b),)) == pytest.approx(beta.ppf(share, a, b), abs=1e-9)


@pytest.mark.parametrize(("n", "c"), [(100_000, 0), (100_000, 10_000), (100_000, 50_000), (100_000, 100_000)])
def test_posterior_holds_for_very_many_completions(n: int, c: int) -> None:
    a, b = 0.5 + c, 0.5 + n - c
    for x in (1e-6, 0.0999, 0.1, 0.1001, 0.5, 0.7, 0.999999):
        assert beta_cdf(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-9)


@given(st.integers(0, 64), st.data())
def test_zone_masses_agree_with_scipy(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    zone, posterior = zone_of(n, c, 0.1, 0.7, 0.8)
    edges = beta.cdf([0.0, 0.1, 0.7, 1.0], 0.5 + c, 0.5 + n - c)
    masses = dict(zip(("failing", "learnable", "solved"), edges[1:] - edges[:-1], strict=True))
    assert posterior.confidence == pytest.approx(max(masses.values()), abs=1e-9)
    if zone != "unsure":
        assert masses[zone] == max(masses.values()) >= 0.8


@pytest.mark.parametrize(("n", "c", "low", "high"), [(1, 2, 0.1, 0.7), (1, -1, 0.1, 0.7), (1, 1, 0.7, 0.1)])
def test_zone_refuses_impossible_counts_and_borders(n: int, c: int, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="correct"):
        zone_of(n, c, low, high, 0.8)
