"""Steps join to the text they come from, and nothing that belongs together is cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.errors import UsageError
from anectl.core.steps import split_lines, split_sentences, splitter

SENTENCES = [
    ("", ()),
    ("42", ("42",)),
    ("The line reads 3 5. The smallest is 3. Answer: 3", ("The line reads 3 5.", " The smallest is 3.", " Answer: 3")),
    ("It is 3.14 cm. Done!", ("It is 3.14 cm.", " Done!")),
    ("See Fig. 3 and eq. (4). Then go.", ("See Fig. 3 and eq. (4).", " Then go.")),
    ("Take e.g. five, i.e. all. So be it.", ("Take e.g. five, i.e. all.", " So be it.")),
    ("Use No. 5 here. No. That is wrong.", ("Use No. 5 here.", " No.", " That is wrong.")),
    ("Red, blue, etc. are hues. Etc. Then", ("Red, blue, etc. are hues.", " Etc.", " Then")),
    ("So $x = 1. y = 2. z$ holds. Next.", ("So $x = 1. y = 2. z$ holds.", " Next.")),
    ("So \\(a. b\\) is. \\[ c. d\n e \\]\nEnd.", ("So \\(a. b\\) is.", " \\[ c. d\n e \\]\n", "End.")),
    ("\\begin{align}\na. b\n\\end{align}\nEnd.", ("\\begin{align}\na. b\n\\end{align}\n", "End.")),
    ("$$\na. b\n$$\nEnd. It", ("$$\na. b\n$$\n", "End.", " It")),
    ("It costs $5. I have $6. Enough.", ("It costs $5.", " I have $6.", " Enough.")),
    (
        "Run `a. b` now. Then:\n```py\nx = 1. \ny\n```\nOk.",
        ("Run `a. b` now.", " Then:\n```py\nx = 1. \ny\n```\n", "Ok."),
    ),
    ("1. Count. It is 4.\n2. Add.\n", ("1. Count.", " It is 4.\n", "2. Add.\n")),
    ("Step 1. Look here. Step 2. Add.", ("Step 1. Look here.", " Step 2. Add.")),
    ("## Step 1\nLook.\n\n## Step 2\nAdd.", ("## Step 1\nLook.\n\n", "## Step 2\nAdd.")),
    ("**Step 1:**\n\n- one\n- two\n---\n", ("**Step 1:**\n\n- one\n", "- two\n---\n")),
    ('Wait... what? "No." Yes.', ("Wait...", " what?", ' "No."', " Yes.")),
    ("So \\boxed{3}.\n", ("So \\boxed{3}.\n",)),
    ("先数一数。一共三个。", ("先数一数。", "一共三个。")),
    ("An open $ sign. And \\( too. End", ("An open $ sign.", " And \\( too.", " End")),
    ("  \n\n", ("  \n\n",)),
]


@pytest.mark.parametrize(("text", "steps"), SENTENCES, ids=range(len(SENTENCES)))
def test_sentences(text: str, steps: tuple[str, ...]) -> None:
    assert split_sentences(text) == steps


def test_lines_are_cut_between_formulas_and_code_only() -> None:
    assert split_lines("One. Two.\n\nThree\n") == ("One. Two.\n\n", "Three\n")
    assert split_lines("So\n\\[\na\n\\]\nis\n") == ("So\n", "\\[\na\n\\]\n", "is\n")
    assert split_lines("```\na\n\nb\n```\nc") == ("```\na\n\nb\n```\n", "c")


def test_a_pattern_of_the_users_own() -> None:
    assert splitter(r"regex:;\s*")("a; b;c") == ("a; ", "b;", "c")
    assert splitter(r"regex:(?=Step)")("Step 1 Step 2") == ("Step 1 ", "Step 2")
    assert splitter("regex:x")("") == ()
    for rule, words in (("regex:(", "not a regular expression"), ("regex:", "unknown rule"), ("words", "unknown rule")):
        with pytest.raises(UsageError, match=words):
            splitter(rule)


MARKS = st.sampled_from(
    [*". \n$`\\()[]{}!?*#:1aé。\t\r\"'-_", "```", "\\(", "\\)", "\\[", "\\]", "$$", "e.g.", "\\begin{a}", "\\end{a}"]
)


@given(st.one_of(st.text(), st.lists(MARKS).map("".join)), st.sampled_from(["sentences", "lines", r"regex:\s|(?=a)"]))
def test_steps_join_to_the_text_and_none_is_empty(text: str, rule: str) -> None:
    steps = splitter(rule)(text)
    assert "".join(steps) == text
    assert all(steps)


@given(st.lists(MARKS).map("".join))
def test_every_step_says_something(text: str) -> None:
    steps = split_sentences(text)
    assert len(steps) < 2 or all(any(character.isalnum() for character in step) for step in steps)


HOSTILE = [
    ". ",
    "...",
    "$a ",
    "$a",
    "\\(",
    "`",
    "\n",
    " \n",
    "\\begin{a}",
    "1. ",
    "# a\n",
    '."',
    ":\n",
    "\n\n x ",
    "*_",
    "é. ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_long_text_takes_time_linear_in_its_length(unit: str) -> None:
    text = unit * (250_000 // len(unit)) + "\n\nx$ \\) end."
    started = time.process_time()
    assert "".join(split_sentences(text)) == text
    assert "".join(split_lines(text)) == text
    # A quarter of a megabyte twice; quadratic work would take minutes.
    assert time.process_time() - started < 5
