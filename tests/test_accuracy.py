"""The ledger of scores against a plain calculation over all of them, and the figures by hand."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.accuracy import MEAN, Accuracy, majority_vote
from anectl.core.errors import RowError
from anectl.core.ledger import Ledger
from anectl.core.metrics import cluster_bootstrap, mean, stratified_bootstrap, wilson
from anectl.core.profiles import load_profile
from anectl.core.records import Completion, Problem, Score


def completion(
    answer: str | None, correct: bool | None, *, cut: bool = False, chance: float | None = None
) -> Completion:
    reason = "length" if cut else "stop"
    return Completion(text="", finish_reason=reason, extracted=answer, correct=correct, chance=chance)


RIGHT, WRONG, NULL = completion("1", True), completion("2", False), completion(None, None)


def score(
    name: str, *completions: Completion, benchmark: str = "b", cluster: str = "", profile: str = "strict"
) -> Score:
    return Score(
        problem_id=name, benchmark=benchmark, cluster=cluster, policy="p", profile=profile, completions=completions
    )


def results(scores: Iterable[Score], profile: str = "strict") -> list[Accuracy]:
    with Ledger() as ledger:
        for one in scores:
            ledger.add(one)
        return ledger.results(seed=0)[profile]


def test_null_counts_as_wrong_and_in_the_upper_bound_as_right() -> None:
    (found,) = results([score("1", RIGHT), score("2", RIGHT), score("3", NULL), score("4", WRONG)])
    assert (found.accuracy, found.null_rate, found.upper_bound, found.num_problems) == (0.5, 0.25, 0.75, 4)
    assert found.wilson == pytest.approx((0.150039, 0.849961), abs=1e-6)  # 2 of 4
    assert (found.expected, found.majority, found.pass_at, found.pass_all, found.groups) == (None, None, {}, {}, {})


def test_guesses_count_by_their_odds_in_the_expected_accuracy_alone() -> None:
    guess = completion(None, None, chance=0.25)
    (found,) = results([score("1", RIGHT, guess), score("2", NULL, WRONG)])
    assert found.accuracy == 0.25
    assert found.expected == pytest.approx((1.25 / 2 + 0) / 2)
    assert found.upper_bound == 0.75


def test_k_completions_give_avg_pass_and_majority() -> None:
    # Correct of 4: 1 and 4. pass@2: 1 - C(3,2)/C(4,2) = 1/2; pass^2: 0 of 6 pairs.
    mixed = [RIGHT, WRONG, completion("3", False), completion("4", False, cut=True)]
    (found,) = results([score("1", *mixed), score("2", *[RIGHT] * 4)])
    assert found.accuracy == pytest.approx(0.625)
    assert found.pass_at == pytest.approx({2: 0.75, 4: 1.0})
    assert found.pass_all == pytest.approx({2: 0.5, 4: 0.5})
    assert found.majority == pytest.approx((0.25 + 1) / 2)  # four answers tie
    assert found.truncation_rate == 0.125


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        ([RIGHT, RIGHT, WRONG], 1.0),
        ([RIGHT, WRONG, WRONG], 0.0),
        ([RIGHT, WRONG], 0.5),
        ([RIGHT, NULL, NULL, NULL], 1.0),
        ([RIGHT, completion("2", None), completion("2", None)], 1.0),
        ([NULL, NULL], 0.0),
        ([completion("x", True), completion("x", False), WRONG], 0.5),
        ([completion(None, True), completion(None, True), WRONG], 0.0),
    ],
)
def test_the_majority_is_of_the_judged_and_ties_count_by_their_odds(
    completions: Sequence[Completion], expected: float
) -> None:
    assert majority_vote(completions) == expected


COMPLETIONS = st.builds(
    completion,
    st.sampled_from([None, "1", "2", "3"]),
    st.sampled_from([None, True, False]),
    cut=st.booleans(),
    chance=st.sampled_from([None, None, 0.25, 1 / 3]),
)
SCORES = st.lists(
    st.tuples(
        st.sampled_from(["geo", "chart"]),
        st.sampled_from(["strict", "mmstar"]),
        st.sampled_from(["", "i", "j", "k"]),
        st.lists(COMPLETIONS, min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=30,
)


def share(values: Iterable[bool]) -> float:
    return mean(map(float, values))


def subsets(one: Score, k: int) -> list[tuple[bool, ...]]:
    return list(itertools.combinations([each.correct is True for each in one.completions], k))


def guess(each: Completion) -> float:
    return float(each.correct) if each.correct is not None else each.chance or 0.0


def check(found: Accuracy, scores: Sequence[Score]) -> None:
    """Every figure by its definition, from the scores themselves."""
    values = [share(each.correct is True for each in one.completions) for one in scores]
    fewest = min(len(one.completions) for one in scores)
    assert found.num_problems == len(scores)
    assert found.accuracy == pytest.approx(mean(values))
    assert found.wilson == pytest.approx(wilson(sum(values), len(values)))
    pairs = [(one.cluster or one.problem_id, value) for one, value in zip(scores, values, strict=True)]
    assert found.clustered == pytest.approx(cluster_bootstrap(pairs, seed=0))
    assert found.null_rate == pytest.approx(mean(share(e.correct is None for e in one.completions) for one in scores))
    assert found.upper_bound == pytest.approx(
        mean(share(each.correct is not False for each in one.completions) for one in scores)
    )
    guesses = any(each.correct is None and each.chance is not None for one in scores for each in one.completions)
    expected = mean(mean(guess(each) for each in one.completions) for one in scores) if guesses else None
    assert found.expected == (None if expected is None else pytest.approx(expected))
    assert found.truncation_rate == pytest.approx(
        mean(share(each.finish_reason == "length" for each in one.completions) for one in scores)
    )
    ks = [k for k in (2, 4) if k <= fewest]
    assert found.pass_at == pytest.approx({k: mean(share(map(any, subsets(one, k))) for one in scores) for k in ks})
    assert found.pass_all == pytest.approx({k: mean(share(map(all, subsets(one, k))) for one in scores) for k in ks})
    if all(len(one.completions) == 1 for one in scores):
        assert found.majority is None
    else:
        assert found.majority == pytest.approx(mean(majority_vote(one.completions) for one in scores))


@given(SCORES)
@settings(max_examples=60, deadline=None)
def test_the_ledger_agrees_with_a_plain_calculation(rows: list[tuple[str, str, str, list[Completion]]]) -> None:
    scores = [
        score(str(number), *completions, benchmark=benchmark, profile=profile, cluster=cluster)
        for number, (benchmark, profile, cluster, completions) in enumerate(rows)
    ]
    with Ledger() as ledger:
        for one in scores:
            ledger.add(one)
        found = ledger.results(seed=0)
        assert ledger.results(seed=0) == found
    assert list(found) == list(dict.fromkeys(one.profile for one in scores))
    for profile, accuracies in found.items():
        own = [one for one in scores if one.profile == profile]
        names = list(dict.fromkeys(one.benchmark for one in own))
        assert [one.benchmark for one in accuracies] == (names if len(names) == 1 else [*names, MEAN])
        for accuracy in accuracies[: len(names)]:
            check(accuracy, [one for one in own if one.benchmark == accuracy.benchmark])


def test_the_mean_weighs_benchmarks_equally() -> None:
    large = [score(str(i), RIGHT, RIGHT, benchmark="large") for i in range(9)]
    small = [score("x", completion(None, None, chance=0.5), WRONG, benchmark="small")]
    *_, found = results([*large, *small])
    assert (found.benchmark, found.accuracy, found.num_problems, found.wilson) == (MEAN, 0.5, 10, None)
    assert found.clustered == (0.5, 0.5)
    assert (found.expected, found.upper_bound) == (0.625, 0.75)
    assert (found.pass_at, found.pass_all, found.majority) == ({2: 0.5}, {2: 0.5}, 0.5)


def test_the_mean_has_the_interval_of_the_stratified_bootstrap() -> None:
    rng = random.Random(0)
    rows = [(f"b{i % 3}", str(rng.randrange(20)), rng.random() < 0.4) for i in range(200)]
    found = results(score(str(i), RIGHT if r else WRONG, benchmark=b, cluster=c) for i, (b, c, r) in enumerate(rows))
    strata = [[(c, float(r)) for b, c, r in rows if b == name] for name in ("b0", "b1", "b2")]
    assert found[-1].clustered == pytest.approx(stratified_bootstrap(strata, seed=0))


def test_a_score_without_completions_or_of_an_unknown_profile_is_refused() -> None:
    with pytest.raises(RowError, match="problem '1' has no completion"):
        results([score("1")])
    with pytest.raises(RowError, match="unknown profile") as caught:
        results([score("1", RIGHT, profile="mathvist")])
    assert caught.value.hint == "did you mean mathvista?"


def test_figures_over_groups_need_every_problem() -> None:
    metrics = load_profile("mmstar").metrics
    assert metrics is not None
    problems = [
        Problem(
            id=str(i),
            question="q",
            answer="A",
            answer_type="choice",
            choices=("x", "y"),
            source={"benchmark": "mmstar", "fields": {"category": f"c{i % 2}", "l2_category": f"l{i % 4}"}},
        )
        for i in range(12)
    ]
    expected = metrics()
    with Ledger() as ledger:
        for i, problem in enumerate(problems):
            ledger.add(score(str(i), RIGHT if i % 3 else WRONG, profile="mmstar"), problem)
            expected.add(problem, float(i % 3 > 0))
        (found,) = ledger.results(seed=0)["mmstar"]
        assert found.groups == dict(expected.results()) != {}
        ledger.add(score("without", RIGHT, profile="mmstar"))
        (found,) = ledger.results(seed=0)["mmstar"]
    assert found.groups == {}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_scores() -> None:
    program = """
import resource, sys
from anectl.core.ledger import Ledger
from anectl.core.records import Completion, Score
right, wrong = (
    Completion(text="", finish_reason="stop", extracted=answer, correct=correct)
    for answer, correct in (("1", True), ("2", False))
)
with Ledger() as ledger:
    for number in range(int(sys.argv[1])):
        ledger.add(Score(problem_id=str(number), benchmark="b", cluster=f"{number * 7919 % 1000003:064}", policy="p",
                         completions=(right if number % 3 else wrong, wrong)))
    assert ledger.results(seed=0)["strict"][0].num_problems == int(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    small, large = (
        int(subprocess.run([sys.executable, "-c", program, str(count)], capture_output=True, check=True).stdout)
        for count in (10_000, 100_000)
    )
    assert large < small + 3000
