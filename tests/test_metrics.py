"""Estimators and posteriors against their definitions, scipy and statsmodels."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from anectl.core.metrics import (
    cluster_bootstrap,
    mcnemar_exact,
    mean,
    paired_bootstrap,
    pass_at_k,
    stratified_bootstrap,
    wilson,
)
from anectl.core.posterior import beta_cdf, beta_quantile, zone_of


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_k_subsets_with_a_correct_one(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


def test_pass_at_k_is_undefined_with_fewer_completions_than_k() -> None:
    assert pass_at_k(3, 3, 4) is None
    assert pass_at_k(0, 0, 1) is None


@pytest.mark.parametrize(("n", "c", "k"), [(2, 3, 1), (2, -1, 1), (2, 1, 0)])
def test_pass_at_k_refuses_impossible_counts(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


@given(st.integers(1, 5000), st.data())
def test_wilson_agrees_with_statsmodels(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    assert wilson(c, n) == pytest.approx(proportion_confint(c, n, method="wilson"), abs=1e-7)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_statsmodels(gained: int, lost: int) -> None:
    expected = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue
    assert mcnemar_exact(gained, lost) == pytest.approx(min(1.0, expected), abs=1e-12)
    assert mcnemar_exact(gained, lost) == mcnemar_exact(lost, gained)


def test_mcnemar_holds_for_thousands_of_flips() -> None:
    assert 0 < mcnemar_exact(2600, 2400) < 0.01


def test_mean_of_nothing_is_an_error() -> None:
    assert mean([0.0, 1.0]) == 0.5
    with pytest.raises(ValueError, match="no values"):
        mean([])


def test_bootstrap_of_independent_problems_is_close_to_the_wilson_interval() -> None:
    pairs = [(str(i), float(i % 4 == 0)) for i in range(400)]
    assert cluster_bootstrap(pairs, seed=1) == pytest.approx(wilson(100, 400), abs=0.01)


def test_bootstrap_is_wider_when_problems_share_an_image() -> None:
    values = [float(i % 40 < 10) for i in range(400)]
    alone = cluster_bootstrap([(str(i), value) for i, value in enumerate(values)], seed=1)
    shared = cluster_bootstrap([(str(i // 10), value) for i, value in enumerate(values)], seed=1)
    assert shared[1] - shared[0] > 2 * (alone[1] - alone[0])


def test_bootstrap_depends_on_the_seed_alone() -> None:
    rng = random.Random(0)
    pairs = [(str(i % 30), rng.random()) for i in range(100)]
    assert cluster_bootstrap(pairs, seed=7) == cluster_bootstrap(pairs, seed=7)
    assert cluster_bootstrap(pairs, seed=7) != cluster_bootstrap(pairs, seed=8)


def test_paired_bootstrap_of_a_constant_gain_has_no_width() -> None:
    assert paired_bootstrap([(str(i), 0.25, 0.75) for i in range(9)], seed=0) == (0.5, 0.5)


def test_strata_weigh_equally_whatever_their_size() -> None:
    small, large = [("s", 1.0)], [(str(i), 0.0) for i in range(99)]
    assert stratified_bootstrap([small, large], seed=0) == (0.5, 0.5)


def test_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(5)
    hits = 0
    for trial in range(200):
        pairs = [(str(i), float(rng.random() < 0.3)) for i in range(100)]
        low, high = cluster_bootstrap(pairs, seed=trial, resamples=300)
        hits += low <= 0.3 <= high
    assert hits >= 180


@given(st.integers(0, 300), st.data())
@settings(max_examples=200)
def test_posterior_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    x = data.draw(st.floats(0, 1))
    a, b = 0.5 + c, 0.5 + n - c
    assert beta_cdf(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-9)
    for share in (0.025, 0.5, 0.975):
        assert beta_quantile(share, a, b) == pytest.approx(beta.ppf(share, a, b), abs=1e-9)


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
