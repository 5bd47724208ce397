"""Scaffold levels: what each says, and that none of them says the answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.errors import AnectlError
from anectl.core.records import Problem
from anectl.core.scaffolds import anchor_help, build_ladder, ladder, leaks, load_template, scaffold_text, steps_of

TEMPLATE = load_template(None)
SPAN = ("The line reads 3 5 1 4.", "The largest is 5.", "The smallest is 1.", "5 - 1 = 4.")


def problem(answer: str = "4", answer_type: str = "number", **fields: object) -> Problem:
    return Problem(**{"id": "a", "question": "q", "answer": answer, "answer_type": answer_type, **fields})  # type: ignore[arg-type]


def of_another(row: Problem, anchor: Problem) -> tuple[str, ...]:
    return build_ladder(row, [anchor_help(anchor.id, anchor, same_item=False)], TEMPLATE).texts


def test_the_text_of_one_level_is_that_of_the_ladder() -> None:
    row = problem(steps=SPAN, tags=("span",))
    texts = ladder(row, TEMPLATE)
    assert [scaffold_text(row, level, TEMPLATE) for level in range(6)] == list(texts)
    assert len(set(texts)) > 3


def test_each_level_says_more_than_the_one_below() -> None:
    texts = ladder(problem(steps=SPAN, tags=("span",)), TEMPLATE)
    assert texts[0] == ""
    assert texts[1].endswith("about: span.")
    assert texts[2].endswith("The line reads ? ? ? ?. The largest is ?. The smallest is ?. ? - ? = ?.")
    assert texts[3].endswith("The line reads 3 5 1 4. The largest is ?. The smallest is ?. ? - ? = ?.")
    assert texts[4].endswith("The line reads 3 5 1 4. The largest is 5. The smallest is ?. ? - ? = ?.")
    assert texts[5].endswith("The line reads 3 5 1 4. The largest is 5. The smallest is 1. 5 - 1 = ?.")


def test_a_plan_names_no_choice() -> None:
    row = problem("B", "choice", choices=("red", "blue"), steps=("Row 2 is red blue red.", "Place 2 is blue."))
    assert ladder(row, TEMPLATE)[2].endswith("Row ? is ? ? ?. Place ? is ?.")


def test_letters_drawn_in_the_picture_are_masked_and_articles_are_not() -> None:
    steps = ("Draw a line from B to the side.", "A triangle is left.", "The longest is C.")
    row = problem("C", "choice", choices=("A", "B", "C", "D"), steps=steps)
    assert ladder(row, TEMPLATE)[2].endswith("Draw a line from ? to the side. A triangle is left. The longest is ?.")


def test_empty_choices_mask_nothing() -> None:
    row = problem("B", "choice", choices=("", "", "", ""), steps=("Count a side of each.", "Two are equal."))
    assert ladder(row, TEMPLATE)[2].endswith("Count a side of each. Two are equal.")


def test_of_choices_that_overlap_always_the_same_is_masked() -> None:
    """Python orders a set of texts anew in each process."""
    row = problem("A", "choice", choices=("AB and BC", "BC and CD", "CD and DA"), steps=("We walk AB and BC and CD.",))
    code = f"from anectl.core.scaffolds import mask; from anectl.core.records import Problem; r = {row!r}"
    script = f"{code}; print(mask(r.steps[0], r))"
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert said == {"We walk ? and CD.\n"}


def test_braces_that_are_no_slot_are_words_of_the_template(tmp_path: Path) -> None:
    levels = {1: "About {knowledge}", 2: "{plan}", 3: "{facts}", 4: "n{partial}", 5: "\\\\text{solution}: {worked}"}
    lines = "".join(f'  {level}: "{text}"\n' for level, text in levels.items())
    path = tmp_path / "t.yaml"
    path.write_text(f'name: a\nframe: "{{question}} {{scaffold}}"\nlevels:\n{lines}')
    texts = ladder(problem(steps=SPAN, tags=("span",)), load_template(path))
    assert texts[5] == "\\text{solution}: The line reads 3 5 1 4. The largest is 5. The smallest is 1. 5 - 1 = ?."
    path.write_text(path.read_text().replace("About {knowledge}", "n{worked}"))
    with pytest.raises(AnectlError, match="level 1 shows more"):
        load_template(path)


def test_steps_of_another_problem_give_its_plan_and_no_values() -> None:
    texts = of_another(problem(), problem(steps=SPAN, tags=("span",)))
    assert "? - ? = ?" in texts[2]
    assert texts[3] == texts[4] == texts[5] == texts[2]


def test_a_problem_without_any_steps_is_bare_or_has_its_tags() -> None:
    assert ladder(problem(), TEMPLATE) == ("",) * 6
    assert set(ladder(problem(tags=("span",)), TEMPLATE)[1:]) == {"This is about: span."}


def test_answer_statements_are_no_steps() -> None:
    solved = problem(solution="5 - 1 = 4. The final answer is 4. So \\boxed{4}.")
    assert steps_of(solved) == ("5 - 1 = 4.",)


@pytest.mark.parametrize(
    ("text", "answer", "answer_type"),
    [
        ("5 - 1 = 4.", "4", "number"),
        ("5 - 1 = 4. So the result is ?.", "4", "number"),
        ("the answer: 4", "4", "number"),
        ("\\boxed{ 4}", "4", "number"),
        ("there are 12 in all", "12", "number"),
        ("there are 1,200 in all", "1200", "number"),
        ("about 3.50 metres", "3.5", "number"),
        ("the red one", "red", "text"),
        ("in order 1 3 4", "1, 3, 4", "list"),
        ("That is option C.", "C", "choice"),
        ("So (C) holds.", "C", "choice"),
        ("It is C.", "C", "choice"),
        ("the tile is blue", "C", "choice"),
        ("They are A, C.", "A, C", "choices"),
        ("5 against 3: yes.", "yes", "boolean"),
    ],
)
def test_a_given_away_answer_is_a_leak(text: str, answer: str, answer_type: str) -> None:
    choices = ("red", "green", "blue") if "choice" in answer_type else None
    assert leaks(text, problem(answer, answer_type, choices=choices))


@pytest.mark.parametrize(
    ("text", "answer", "answer_type"),
    [
        ("Row 4 reads 3 4 1 4.", "4", "number"),
        ("there are 120 in all", "12", "number"),
        ("the answer is ?", "4", "number"),
        ("the redder one", "red", "text"),
        ("Consider option A, then C major.", "B", "choice"),
        ("no larger than before", "no", "boolean"),
    ],
)
def test_a_chance_mention_is_no_leak(text: str, answer: str, answer_type: str) -> None:
    choices = ("red", "green", "blue") if answer_type == "choice" else None
    assert not leaks(text, problem(answer, answer_type, choices=choices))


def test_a_result_that_is_stated_twice_is_masked_twice() -> None:
    texts = ladder(problem(steps=("7 - 3 = 4.", "Nothing is added.", "So it is 4.")), TEMPLATE)
    assert "7 - 3 = ?." in texts[5]
    assert "it is ?." in texts[5]


NUMBERS = st.integers(0, 5000)
ANSWERS = st.one_of(
    NUMBERS.map(lambda n: (str(n), "number")),
    st.lists(st.integers(0, 99), min_size=2, max_size=4).map(lambda ns: (", ".join(map(str, ns)), "list")),
    st.sampled_from(["red", "triangle", "north wind"]).map(lambda word: (word, "text")),
    st.sampled_from(["yes", "no"]).map(lambda word: (word, "boolean")),
    st.sampled_from("ABC").map(lambda letter: (letter, "choice")),
)
SHAPES = st.sampled_from(
    [
        "{a} + {b} = {x}.",
        "It is {x}.",
        "So: {x}",
        "There are {a} and {b}",
        "{x} of {a}.",
        "That is option {x}.",
        "= {x}",
    ]
)
STEPS = st.lists(st.tuples(SHAPES, NUMBERS, NUMBERS, st.booleans()), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(ANSWERS, STEPS, st.booleans())
def test_the_final_answer_stands_in_no_level(
    answer: tuple[str, str], parts: list[tuple[str, int, int, bool]], own: bool
) -> None:
    word, answer_type = answer
    steps = tuple(shape.format(a=a, b=b, x=word if final else a) for shape, a, b, final in parts)
    choices = ("red", "green", "blue") if answer_type == "choice" else None
    row = problem(word, answer_type, choices=choices, steps=steps if own else None, tags=("sum",))
    said = word if answer_type != "choice" else {"A": "red", "B": "green", "C": "blue"}[word]
    for text in ladder(row, TEMPLATE) if row.steps else of_another(row, problem(steps=steps)):
        assert not leaks(text, row)
        # The same said without the code under test: no level concludes in the answer, and none names a long one.
        concluding = r"=|:|\bis" + ("|option" if choices else "")
        assert not re.search(rf"(?:{concluding})\s*{re.escape(word)}\s*(?:[.;]|$)", text)
        if len(said) > 2 and answer_type != "boolean":
            assert not re.search(rf"(?<![\w.,]){re.escape(said)}(?![\w]|[.,]\d)", text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- 1", "exactly the keys"),
        ("name: [", "not a scaffold template"),
        ("{name: a, frame: '{question}', levels: {1: a, 2: a, 3: a, 4: a, 5: a}}", "frame must hold"),
        ("{name: a, frame: '{question} {scaffold}', levels: {1: a}}", "levels must be"),
        ("{name: a, frame: '{question} {scaffold}', levels: {1: '{answer}', 2: a, 3: a, 4: a, 5: a}}", "unknown slot"),
        ("{name: a, frame: '{question} {scaffold}', levels: {1: '', 2: a, 3: a, 4: a, 5: a}}", "expected text"),
    ],
)
def test_a_bad_template_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(AnectlError, match=complaint):
        load_template(path)
