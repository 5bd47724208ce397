"""The leak check of scaffolds: planted leaks are found in every form, chance mentions of small integers are none.

All tables but `development` were met blind once, then opened and the rules mended. Blind, the check found 97.4, 90.9
and 93.1% of `held_out`, `final` and `last`, and raised an alarm on 0, 7.7 and 4.8% of their clean texts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.giveaways import LONGEST, giveaway, leaks
from anectl.core.records import Problem
from anectl.core.scaffolds import ladder, load_template, mask_result, steps_of
from tests.leak_cases import ROW_SETS, SETS, LeakCase, read_cases, read_rows

WORLD = Path(__file__).parents[1] / "examples/tinyworld/world.py"
FORMS = {
    "verbatim", "spelled", "expression", "latex", "choice-text", "letter", "table", "list-row", "boxed", "units",
    "percent", "elimination", "split", "script",
}  # fmt: skip
TYPES = {"number", "choice", "choices", "text", "list", "boolean", "expression"}


def problem(answer: str = "7", answer_type: str = "number", **fields: object) -> Problem:
    question = fields.pop("question", "How many apples are left?")
    return Problem(id="a", question=question, answer=answer, answer_type=answer_type, **fields)  # type: ignore[arg-type]


def all_leaks() -> list[LeakCase]:
    return [case for name in SETS for case in read_cases("leaks", name)]


def test_the_planted_leaks_are_of_every_form_and_answer_type() -> None:
    cases = all_leaks()
    assert len(cases) >= 300
    assert {case.form for case in cases} == FORMS
    assert {case.problem.answer_type for case in cases} == TYPES


@pytest.mark.parametrize("behind_a_scaffold", [False, True])
def test_99_percent_of_planted_leaks_are_found(behind_a_scaffold: bool) -> None:
    cases = all_leaks()
    missed = [
        case.text
        for case in cases
        if not leaks(f"{case.before}\n{case.text}" if behind_a_scaffold else case.text, case.problem)
    ]
    assert len(missed) <= 0.01 * len(cases), missed


def test_2_percent_of_clean_scaffolds_of_small_integers_at_most_raise_an_alarm() -> None:
    cases = [case for name in SETS for case in read_cases("clean", name)]
    assert len(cases) >= 150
    alarms = [(case.text, giveaway(case.text, case.problem)) for case in cases if leaks(case.text, case.problem)]
    assert len(alarms) <= 0.02 * len(cases), alarms


@pytest.mark.parametrize(
    ("name", "most_missed", "most_alarms"),
    [
        ("blind", 0, 0),
        ("blind_rest", 0, 3),
        ("wordings", 8, 1),
        ("teachers", 25, 11),
        ("hints", 12, 15),
        ("everyday", 29, 15),
        ("planted_mathematics", 8, 18),
        ("planted_lists", 11, 2),
        ("planted_documents", 6, 7),
        ("planted_science", 20, 5),
        ("planted_mixed", 18, 6),
        ("sealed", 42, 11),
    ],
)
def test_wordings_of_others_are_judged_as_when_they_were_measured(
    name: str, most_missed: int, most_alarms: int
) -> None:
    """When the rules met them first, after those above had been mended on, they missed, and took for leaks:

    33 and 14 of `blind`, 15 and 12 of `blind_rest`, 48 and 7 of `wordings`; 47 and 25 of `everyday`, 48 and 18 of
    `teachers`, 39 and 21 of `hints`; 48 and 17, 40 and 23, 43 and 10, 49 and 15, 41 and 11 of the planted ones, in the
    order `documents`, `mathematics`, `lists`, `science`, `mixed`; 42 and 11 of `sealed`. A strange text is judged as
    `sealed` is, not as those that are mended on.
    """
    missed = [case.text for case in read_rows("leaks", name) if not leaks(case.text, case.problem)]
    alarms = [case.text for case in read_rows("clean", name) if leaks(case.text, case.problem)]
    assert len(missed) <= most_missed, missed
    assert len(alarms) <= most_alarms, alarms


def test_the_documentation_says_how_far_to_trust_the_check() -> None:
    made = all_leaks()
    spared = [case for name in SETS for case in read_cases("clean", name)]
    unmet, unmet_clean = read_rows("leaks", "sealed"), read_rows("clean", "sealed")
    small = [case for case in unmet_clean if case.form == "small_int"]
    found, found_unmet, alarms, small_alarms = (
        sum(leaks(case.text, case.problem) for case in cases) for cases in (made, unmet, unmet_clean, small)
    )
    page = " ".join((Path(__file__).parent.parent / "docs/how-it-decides.md").read_text("utf8").split())
    assert not any(leaks(case.text, case.problem) for case in spared)
    assert (
        f"of {len(made)} planted leaks in the tables that its rules were made and mended on it finds {found}, "
        f"and of {len(spared)} clean texts none is taken for one."
    ) in page
    assert (
        f"it finds {found_unmet} of {len(unmet)}, and takes {alarms} of {len(unmet_clean)} clean ones for leaks, "
        f"{small_alarms} of them among {len(small)} whose answer is a small integer."
    ) in page


def test_every_table_of_rows_has_leaks_and_clean_texts() -> None:
    assert all(len(read_rows(kind, name)) >= 100 for name in ROW_SETS for kind in ("leaks", "clean"))


def test_what_stands_before_a_planted_leak_is_clean_by_itself() -> None:
    assert [case.before for case in all_leaks() if leaks(case.before, case.problem)] == []


def test_worked_steps_of_the_tiny_world_raise_no_alarm_before_the_last_one(tmp_path: Path) -> None:
    """Values on the way often equal the answer: the largest of 5 0 3 2 is 5. A line is not what it is when sorted."""
    sizes = ["--pool", "600", "--truth", "8", "--valid", "8", "--bench", "8"]
    subprocess.run([sys.executable, WORLD, tmp_path, "--seed", "0", *sizes], check=True, capture_output=True)
    template = load_template(None)
    counts: Counter[bool] = Counter()
    for line in (tmp_path / "pool.jsonl").read_bytes().splitlines():
        row = msgspec.json.decode(line, type=Problem)
        steps = steps_of(row)
        texts = {" ".join(steps[:number]) for number in range(1, len(steps))}
        texts |= {" ".join([*steps[:-1], mask_result(steps[-1], row)]), *ladder(row, template)}
        counts.update(leaks(text, row) for text in texts)
    assert counts[False] > 1000
    assert counts[True] <= 0.02 * counts[False]


@pytest.mark.parametrize(
    ("text", "answer", "answer_type"),
    [
        ("5 + 2 = ?.", "7", "number"),
        ("46 / 2 = ?", "23", "number"),
        ("Look at (7, 2) and at row 7.", "7", "number"),
        ("7 · 3 = ?", "7", "number"),
        ("The largest is 7. The smallest is 0. 7 - 0 = ?.", "7", "number"),
        ("Compare red, green and blue.", "C", "choice"),
        ("Compare (A), (B) and (C).", "C", "choice"),
        ("Find out whether the red bar is taller.", "yes", "boolean"),
    ],
)
def test_what_is_left_to_be_done_tells_no_answer(text: str, answer: str, answer_type: str) -> None:
    choices = ("red", "green", "blue") if answer_type == "choice" else None
    assert giveaway(text, problem(answer, answer_type, choices=choices)) is None


def test_a_giveaway_says_how_and_where() -> None:
    found = giveaway("Five were eaten. That leaves 7 apples.", problem())
    assert found is not None
    assert found.kind == "number"
    assert "7 apples" in found.quote


def test_a_text_that_is_too_long_to_be_a_scaffold_counts_as_a_leak() -> None:
    start = time.perf_counter()
    assert leaks("nothing here " * 80_000, problem())
    assert time.perf_counter() - start < 1
    assert not leaks("nothing here " * (LONGEST // 20), problem())


HOSTILE = ["a", "1", "1,", " ", "= 3 ", "(", "\\frac{", "\\boxed{", "| 3 ", "3+", "not A, ", "one ", "一", "**a", "$"]
HOSTILE += [
    "a 1, ",
    "a, ",
    "a-",
    "x: 1\n",
    '"a": "1", ',
    "(ab cd ef ",
    "A: no; ",
    "1 & ",
    "the first, ",
    "does not hold ",
]
SPECS = [
    problem(),
    problem("0.5", unit="A"),
    problem("B", "choice", choices=("red one", "3", "x")),
    problem("A, C", "choices", choices=("red", "green", "blue")),
    problem("yes", "boolean", question="Is the red bar taller?"),
    problem("3, 9", "list"),
    problem("2a+1", "expression"),
    problem("Lima", "text"),
]


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_texts_take_no_more_than_their_length(part: str) -> None:
    text = (part * LONGEST)[: LONGEST // 4]
    start = time.perf_counter()
    for spec in SPECS:
        leaks(text, spec)
    assert time.perf_counter() - start < 8


PARTS = st.sampled_from(
    [
        "7",
        "seven",
        "=",
        " is ",
        "\\frac{14}{2}",
        "(B)",
        "not ",
        ". ",
        "\n",
        "| ",
        "\\boxed{",
        "}",
        "?",
        "７",
        "七",
        " half of ",
    ]
)


@pytest.mark.parametrize("text", ["Look." + "\n" * 15_000 + "7", "Amelia, " + ", ".join(["the cat"] * 2000)])
def test_blank_lines_and_long_lists_take_no_longer_than_other_texts(text: str) -> None:
    start = time.perf_counter()
    for spec in (*SPECS, problem("Amelia", "text")):
        leaks(text, spec)
    assert time.perf_counter() - start < 8


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("7 m\u0131llion, it is a tr\u0131angle, the f\u0131rst and second options", problem("71")),
        ("9" * 400 + " dollars and 50 cents, " + "9" * 5000 + " m 50 cm", problem("71")),
        ("the remainder of " + "9" * 5000 + " when divided by 3. 3 + 4", problem("71")),
        ("It is so.", problem("yes", "boolean", question="Is \u25b3 \u2245 \u25a1?")),
        ("3, 4", problem("[]", "list")),
        ("Look.", problem("C", "choice", choices=tuple(f"choice {number}" for number in range(30)))),
    ],
)
def test_odd_letters_numbers_and_problems_are_no_error(text: str, spec: Problem) -> None:
    assert leaks(text, spec) is leaks(text, spec)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(PARTS, max_size=20).map("".join)), st.sampled_from(SPECS))
def test_no_text_is_an_error(text: str, spec: Problem) -> None:
    assert leaks(text, spec) == leaks(text, spec)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(13, 5000),
    st.sampled_from(["So it is {}.", "total | {}", "{}", "\\boxed{{{}}}", "about {} of them"]),
)
def test_a_number_that_is_rare_may_stand_nowhere(number: int, shape: str) -> None:
    assert leaks("Count first. " + shape.format(number), problem(str(number)))


@pytest.mark.parametrize(
    ("question", "unit", "is_leak"),
    [
        ("How large is angle x?", None, False),
        ("Find x.", "°", False),
        ("Find x.", None, True),
        ("How many apples are left?", None, True),
    ],
)
def test_a_right_angle_is_no_rare_number_only_where_it_is_about_angles(
    question: str, unit: str | None, is_leak: bool
) -> None:
    row = problem("90", question=question, unit=unit)
    assert leaks("Compare it with 90 degrees.", row) is is_leak
    assert leaks("Look at it. So it is 90 degrees.", row)


@pytest.mark.parametrize(
    ("text", "answer"), [("There are 0 and 100 101 + 0 = ?.", "100"), ("So: 1 101 + 0 = ?", "101")]
)
def test_two_numbers_side_by_side_are_not_only_read_as_one_with_spaced_thousands(text: str, answer: str) -> None:
    assert leaks(text, problem(answer))
    assert not leaks(text, problem("55"))
