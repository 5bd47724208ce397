"""The verdict over a row and a benchmark row: which evidence condemns alone, and which only together."""

from __future__ import annotations

from typing import Any

import pytest

from anectl.core.leaks import Comparison, Evidence, ImageMatch, Limits, Side
from anectl.core.records import Example, Message, Problem, Scaffold

LONG = "In the figure the line AB is parallel to CD and the angle at A is 50 degrees, so what is the angle at B?"
SAME, NEAR, OTHER = (ImageMatch(0, one, two, 9) for one, two in ((0.95, 0.9), (0.78, 0.2), (0.5, 0.3)))


def side(question: str = "What is the total of row 3?", **fields: Any) -> Side:
    row = {"id": "p", "question": question, "answer": "7", "answer_type": "number", "images": ("a.png",)} | fields
    return Side.of_problem(Problem(**row))


def kind(ours: Side, theirs: Side, limits: Limits = Limits(), **evidence: Any) -> str | None:  # noqa: B008  (frozen)
    verdict = Comparison(ours, theirs, Evidence(**evidence), limits).verdict()
    return verdict and verdict.kind


def test_the_same_picture_is_a_leak_whatever_is_asked() -> None:
    assert kind(side("Another thing?", answer="1"), side(), image=SAME) == "image"
    assert kind(side("Another thing?"), side(), Limits(checks=frozenset({"pair"})), image=SAME) is None


def test_a_near_picture_needs_the_question_and_the_answer() -> None:
    assert kind(side(), side(), image=NEAR) == "pair"
    assert kind(side("What is the total of row three?"), side(), image=NEAR) == "pair"
    assert kind(side(answer="8"), side(), image=NEAR) is None
    assert kind(side("Another thing?"), side(), image=NEAR) is None
    assert kind(side(), side(), image=OTHER) is None


def test_an_embedder_confirms_a_near_picture() -> None:
    ours = side("Another thing?")
    assert kind(ours, side(), image=NEAR, image_cosine=0.96) == "image"
    assert kind(ours, side(), image=NEAR, image_cosine=0.94) is None
    assert kind(ours, side(), image=OTHER, image_cosine=0.99) is None


def test_the_words_of_a_template_are_no_leak_where_pictures_differ() -> None:
    assert kind(side(), side()) is None
    assert kind(side(LONG), side(LONG), is_template=True) is None
    assert kind(side(LONG), side(LONG)) == "exact"
    assert kind(side(LONG), side(LONG, answer="8")) is None


def test_words_alone_condemn_where_there_is_no_picture() -> None:
    ours, theirs = side(images=()), side(images=(), answer="8")
    assert kind(ours, theirs) == "exact"
    assert kind(side("Something else", images=()), theirs, overlap=0.6) == "overlap"
    assert kind(side("Something else", images=()), theirs, overlap=0.4) is None
    assert (
        kind(side("Something else", images=()), theirs, overlap=0.6, limits=Limits(checks=frozenset({"exact"}))) is None
    )


def test_questions_of_signs_only_are_not_the_same() -> None:
    assert kind(side("???", images=()), side("!", images=())) is None
    choices = {"images": (), "choices": ("red", "blue"), "answer_type": "choice", "answer": "A"}
    assert kind(side("?", **choices), side("!", **choices)) == "exact"


def test_an_embedding_neighbour_must_have_the_same_answer() -> None:
    ours = side("Something else", images=())
    assert kind(ours, side(images=()), text_cosine=0.995) == "embedding"
    assert kind(ours, side(images=(), answer="8"), text_cosine=0.995) is None
    assert kind(ours, side(images=()), text_cosine=0.98) is None


def test_blank_pictures_count_as_none_but_ask_for_the_same_answer() -> None:
    assert kind(side(), side(), is_blank=True) == "exact"
    assert kind(side(), side(answer="8"), is_blank=True) is None


def test_swapped_choices_are_the_same_choices() -> None:
    asked = {"answer_type": "choice", "images": ()}
    theirs = side(**asked, choices=("two", "three", "four"), answer="B")
    ours = side(**asked, choices=("4", "2", "3"), answer="C")
    comparison = Comparison(ours, theirs, Evidence())
    assert comparison.same_answer
    assert comparison.choices_agree
    assert kind(ours, theirs) == "exact"
    assert kind(side(**asked, choices=("4", "2", "5"), answer="C"), theirs) is None
    assert not Comparison(side(**asked, choices=("4", "2", "3"), answer="A"), theirs, Evidence()).same_answer


@pytest.mark.parametrize("level", [0, 3])
def test_an_example_is_compared_by_its_question_and_all_it_says(level: int) -> None:
    said = "Which is larger?\n(A) one (B) two\nHint: look"
    example = Example(
        problem_id="p",
        prompt=(Message(role="user", content=said),),
        completion=(Message(role="assistant", content="B has two."),),
        answer="B",
        answer_type="choice",
        choices=("one", "two"),
        scaffold=Scaffold(level=level, question="Which is larger?\n(A) one (B) two" if level else ""),
        origin="anchor/raw",
    )
    ours = Side.of_example(example)
    theirs = side("Which is larger?", choices=("two", "one"), answer="A", answer_type="choice", images=())
    assert (ours.words, ours.answer, ours.choices) == (theirs.words, theirs.answer, theirs.choices)
    assert ours.more == (said, "B has two.")
