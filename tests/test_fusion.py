"""Fusing rankings, tiers and picking anchors: pure parts against their definitions, written out."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.anchoring import Candidate, Coverage, Floor, Rules, Shortlist, pick
from anectl.core.content_words import content_words
from anectl.core.errors import UsageError
from anectl.core.fusion import default_weights, fuse, marginal, per_signal, ranks
from anectl.core.jsonl import decode, encode
from anectl.core.records import Anchored, Problem
from anectl.core.tiers import TIERS, is_near, note, template, tier_of


def problem(question: str, **fields: Any) -> Problem:
    return Problem(id="p", question=question, answer="1", answer_type="number", **fields)


def candidate(row: int, score: float = 0.5, tier: str = "fact") -> Candidate:
    return Candidate(row, score, tier, {}, {})  # type: ignore[arg-type]


def rows(chosen: list[list[Candidate]]) -> list[list[int]]:
    return [[one.row for one in anchors] for anchors in chosen]


SCORES = st.dictionaries(st.integers(0, 30), st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=20)


@given(SCORES)
def test_a_rank_is_one_more_than_the_number_of_better_rows(scores: dict[int, float]) -> None:
    expected = {row: 1 + sum(other > score for other in scores.values()) for row, score in scores.items()}
    assert ranks(scores) == expected


@given(st.dictionaries(st.sampled_from(["text", "image", "bm25"]), SCORES), st.floats(0, 3))
def test_fusion_is_the_sum_of_weighted_reciprocal_ranks(found: dict[str, dict[int, float]], weight: float) -> None:
    rankings = {signal: ranks(scores) for signal, scores in found.items()}
    fused = fuse(rankings, {"text": weight})
    for row in {row for scores in found.values() for row in scores}:
        parts = [
            (weight if signal == "text" else 1.0) / (60 + places[row])
            for signal, places in rankings.items()
            if row in places
        ]
        assert fused[row] == pytest.approx(sum(parts), abs=1e-12)


def test_all_vectors_have_one_vote() -> None:
    assert default_weights(["text", "joint", "bm25", "skill"]) == {"text": 0.5, "joint": 0.5, "bm25": 1, "skill": 1}
    assert default_weights(["image"]) == {"image": 1}


def test_function_words_are_left_out_unless_nothing_else_is_there() -> None:
    assert content_words("Which SPAN does it have in row 2 of the row?") == ["span", "row", "2"]
    assert content_words("What is it?") == ["what", "is", "it"]
    assert content_words("?!") == []


def test_agreement_of_signals_beats_the_first_place_of_one() -> None:
    fused = fuse({"text": {1: 1, 2: 2}, "image": {3: 1, 2: 2}}, {})
    assert max(fused, key=lambda row: fused[row]) == 2


def test_marginal_worth_falls_with_likeness() -> None:
    assert marginal(0.8, 0.0, [1.0]) == 0.8
    assert marginal(0.8, 0.5, []) == pytest.approx(0.4)
    assert marginal(0.8, 0.5, [0.2, 0.6]) == pytest.approx(0.1)


def test_values_by_signal_are_read_and_bad_ones_named() -> None:
    assert per_signal("--weight", " text=2, image = 0.5", ["text", "image"]) == {"text": 2.0, "image": 0.5}
    assert per_signal("--weight", None, ["text"]) == {}
    for bad in ("text", "sound=1", "text=much", "text=nan", "text=inf", ","):
        with pytest.raises(UsageError):
            per_signal("--weight", bad, ["text"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What is the span of row 2?", "What is the span of row 4?", True),
        ("What is the span of row 2?", "What is the span of column 2?", False),
        ("What is the span of row 2?", "What is the total of row 2?", False),
        ("How far does Anna walk in 3 hours?", "How far does Boris walk in 12.5 hours?", True),
        ("In triangle ABC, find AB.", "In triangle PQR, find PQ.", True),
        ("Find x when x + 3 = 8.", "Find y when y + 4 = 10.", True),
        ("Find x when x + 3 = 8.", "Find x when x - 3 = 8.", False),
        ("Find $\\frac{1}{2}$ of a cake.", "Find $\\frac{3}{4}$ of a cake.", True),
    ],
)
def test_templates_are_questions_with_numbers_names_and_letters_masked(one: str, other: str, same: bool) -> None:
    assert is_near(template(one), template(other)) is same
    assert is_near(template(other), template(one)) is same


def test_of_a_long_question_one_word_may_differ() -> None:
    words = [f"word{chr(97 + i)}" for i in range(14)]
    assert is_near(template(" ".join(words)), template(" ".join(["other", *words[1:]])))
    assert not is_near(template(" ".join(words)), template(" ".join(["other", "words", *words[2:]])))


def test_the_nearest_tier_that_holds_is_given() -> None:
    asked = problem("What is the span of row 2?", tags=("span",))
    assert tier_of(asked, True, problem("what is  the span of row 2?")) == "item"
    assert tier_of(asked, False, problem("What is the span of row 2?")) == "template"
    assert tier_of(asked, True, problem("What is the span of row 3?")) == "template"
    assert tier_of(asked, False, problem("Largest less smallest of row 3?", tags=("span",))) == "skill"
    assert tier_of(asked, False, problem("Which tile is red?", tags=("colour",))) == "fact"


def test_the_note_says_tier_ranks_and_what_is_shared() -> None:
    asked = problem("Q?", tags=("sum", "line"))
    other = problem("R?", tags=("line", "sum"), solution="The largest is 5.", steps=("The smallest is 2.",))
    said = note("template", {"text": 1, "bm25": 2}, asked, "The largest is 7, is it?", other)
    expected = "same template; ranks: text 1, bm25 2; shares `sum`, `line`; "
    assert said == expected + "its solution has `largest` of the failing step"
    assert note("fact", {}, problem("Q?"), "", problem("R?")) == "a fact: neither template nor skill in common"


def test_near_tiers_come_first_and_may_be_switched_off() -> None:
    shortlist = Shortlist([candidate(1, 0.9, "fact"), candidate(2, 0.5, "skill"), candidate(3, 0.1, "item")])
    assert rows(pick([shortlist], Rules(3), Counter())) == [[3, 2, 1]]
    assert rows(pick([shortlist], Rules(3, tiers_first=False), Counter())) == [[1, 2, 3]]


def test_diversity_puts_a_copy_behind_something_else() -> None:
    likeness = {(0, 1): 0.99, (0, 2): 0.1, (1, 2): 0.1}
    shortlist = Shortlist(
        [candidate(1, 1.0), candidate(2, 0.9), candidate(3, 0.6)],
        lambda one, other: likeness[min(one, other), max(one, other)],
    )
    assert rows(pick([shortlist], Rules(3), Counter())) == [[1, 2, 3]]
    assert rows(pick([shortlist], Rules(3, diversity=0.5), Counter())) == [[1, 3, 2]]


def test_more_anchors_than_there_are_candidates_take_no_longer() -> None:
    shortlists = [Shortlist([candidate(1), candidate(2)]), Shortlist([])]
    assert rows(pick(shortlists, Rules(10**12), Counter())) == [[1, 2], []]


def test_a_blank_tag_is_no_skill() -> None:
    asked, other = problem("Q?", tags=("", " ", "sum")), problem("R and more?", tags=("", " "))
    assert tier_of(asked, False, other) == "fact"
    assert note("fact", {}, asked, "", other) == "a fact: neither template nor skill in common"


def test_equal_candidates_come_in_the_order_of_the_list() -> None:
    assert rows(pick([Shortlist([candidate(5), candidate(2), candidate(9)])], Rules(2), Counter())) == [[5, 2]]


def test_queries_take_turns_under_a_cap() -> None:
    wanted = [candidate(row, 1 - row / 10) for row in range(4)]
    chosen = rows(pick([Shortlist(wanted), Shortlist(wanted)], Rules(2, max_uses=1), Counter()))
    assert chosen == [[0, 3], [1, 2]]  # the second query picks first in the second turn


def test_uses_go_on_from_window_to_window() -> None:
    uses: Counter[int] = Counter()
    shortlist = Shortlist([candidate(1, 0.9), candidate(2, 0.8)])
    assert rows(pick([shortlist], Rules(1, max_uses=1), uses)) == [[1]]
    assert rows(pick([shortlist], Rules(2, max_uses=1), uses)) == [[2]]


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 12), st.floats(0, 1)), max_size=8), max_size=6),
    st.integers(1, 4),
    st.none() | st.integers(1, 3),
    st.sampled_from([0.0, 0.4, 1.0]),
)
def test_picking_keeps_to_the_cap_and_never_repeats(
    drawn: list[list[tuple[int, float]]], top_k: int, max_uses: int | None, diversity: float
) -> None:
    shortlists = [
        Shortlist([candidate(row, score, TIERS[row % 4]) for row, score in dict(pairs).items()], lambda *_: 0.5)
        for pairs in drawn
    ]
    uses: Counter[int] = Counter()
    chosen = rows(pick(shortlists, Rules(top_k, max_uses, diversity), uses))
    assert uses == Counter(row for anchors in chosen for row in anchors)
    assert max_uses is None or all(number <= max_uses for number in uses.values())
    for anchors, shortlist in zip(chosen, shortlists, strict=True):
        assert len(set(anchors)) == len(anchors) <= top_k
        left = {one.row for one in shortlist.candidates} - set(anchors)
        # Who has fewer than asked found nothing more that was to be had.
        assert len(anchors) == top_k or all(max_uses is not None and uses[row] >= max_uses for row in left)


def test_a_floor_is_of_the_best_cosine_or_of_signals_by_name() -> None:
    assert Floor(best=0.5).admits({"text": 0.2, "image": 0.6, "bm25": 9.0}, ["text", "image", "bm25"])
    assert not Floor(best=0.7).admits({"text": 0.2, "image": 0.6, "bm25": 9.0}, ["text", "image", "bm25"])
    assert not Floor(best=0.0).admits({"bm25": 9.0}, ["text", "bm25"])
    assert Floor(by={"text": 0.2}).admits({"text": 0.2}, ["text"])
    assert not Floor(by={"text": 0.2, "bm25": 1.0}).admits({"text": 0.9}, ["text", "bm25"])
    assert Floor(by={"image": 0.9}).admits({"text": 0.2}, ["text"])  # the query has no image


def test_coverage_counts_bare_rows_tiers_and_uses() -> None:
    row = {
        "schema": "anchored/1",
        "problem": {"id": "a", "question": "?", "answer": "1", "answer_type": "number"},
        "policy": "base",
        "sampling": {},
        "completions": [],
        "zone": "failing",
        "posterior": {"a": 1, "b": 1, "low": 0, "high": 1, "confidence": 0},
        "anchors": [],
    }
    bare = decode(json.dumps(row).encode(), Anchored)
    anchor = {"id": "t1", "rank": 1, "score": 1.0, "why": {"tier": "skill"}, "problem": {**row["problem"], "id": "t1"}}
    full = decode(json.dumps({**row, "anchors": [anchor]}).encode(), Anchored)
    assert encode(full) != encode(bare)
    coverage = Coverage(1)
    for one in (bare, full, full):
        coverage.add(one)
    assert coverage.summary() == {
        "rows": 3,
        "without_anchor": 1,
        "share_without_anchor": pytest.approx(1 / 3),
        "fewer_than_asked": 1,
        "tier_of_first": {"skill": 2},
        "anchors": 1,
        "uses": {"mean": 2.0, "max": 2},
    }
    report = coverage.report()
    assert (report["rows_without_anchor"], report["most_used"], report["anchors_by_uses"]) == (
        ["a"],
        {"t1": 2},
        {"2": 1},
    )
    assert "1 of 3 rows without an anchor" in coverage.sentence()
    assert Coverage(1).summary()["share_without_anchor"] == 0.0
