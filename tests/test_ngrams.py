"""Questions as tokens: what counts as the same words, and how much two texts share."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.ngrams import gram_keys, masked, shared_share, text_key, tokens
from anectl.core.planted_leaks import in_words, respelled

WORDS = st.lists(st.sampled_from(["row", "of", "the", "3", "7", "a", "digit"]), max_size=30)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many DOGS are there?", "how many dogs are there"),
        ("Row 3 of 12", "row three of twelve"),
        ("twenty-one apples", "21 apples"),
        ("1,000 and 3.50", "a thousand and 3.5"),
        ("two thirds", "2/3"),
        ("x\u00b2 \u2212 4", "x^2 - 4"),
        ("right-angled", "right angled"),
        ("\\left( x + 1 \\right)", "(x+1)"),
        ("the \uff13rd", "the 3rd"),
    ],
)
def test_another_spelling_gives_the_same_tokens(one: str, other: str) -> None:
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(("one", "other"), [("x + 3", "x - 3"), ("1.5", "15"), ("row 3", "row 4"), ("the third", "3")])
def test_another_meaning_gives_other_tokens(one: str, other: str) -> None:
    assert tokens(one) != tokens(other)


@given(st.integers(0, 99))
def test_a_number_in_words_is_the_number(number: int) -> None:
    assert tokens(f"there are {in_words(number)} tiles") == tokens(f"there are {number} tiles")


@given(st.text(max_size=200))
def test_any_text_has_tokens_and_respelling_keeps_them(text: str) -> None:
    assert all(tokens(text))
    plain = f"{text} has 3 of 14"
    if text.isascii() and text.isalpha():
        assert tokens(respelled(plain)) == tokens(plain)


def test_templates_are_equal_when_masked() -> None:
    assert masked(tokens("What is 3 + x of row two?")) == masked(tokens("What is 41 + y of row 9?"))
    assert masked(tokens("the span of row 1")) != masked(tokens("the total of row 1"))


@given(WORDS, st.integers(2, 8))
def test_n_grams_are_those_of_the_runs(words: list[str], size: int) -> None:
    runs = {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}
    assert gram_keys(words, size) == {text_key(run) for run in runs}
    assert len(gram_keys(words, size)) == len(runs)


@given(WORDS, WORDS)
def test_shared_share_is_symmetric_and_one_for_the_same_words(one: list[str], other: list[str]) -> None:
    assert shared_share(one, other) == shared_share(other, one)
    assert 0 <= shared_share(one, other) <= 1
    assert shared_share(one, sorted(one)) == 1


@pytest.mark.parametrize("part", ["one ", "hundred thousand ", "1,", "a ", "\\left"])
def test_tokens_take_linear_time(part: str) -> None:
    started = time.process_time()
    tokens(part * (200_000 // len(part)))
    assert time.process_time() - started < 4
