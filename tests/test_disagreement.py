"""Disagreements are counted as a brute-force count over all rows has them, in memory that does not grow with rows."""

from __future__ import annotations

import tracemalloc
from itertools import permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.disagreement import Disagreements, Pair
from anectl.core.grading.spec import Grade
from anectl.core.jsonl import decode, encode
from anectl.core.records import Disagreement, ProfileGrade

GRADES = {
    True: Grade("A", True, "exact"),
    False: Grade("B", False, "mismatch"),
    None: Grade(None, None, "needs_judge"),
}
PROFILES = ("strict", "lmms-eval", "vlmevalkit")
Row = tuple[str, int, tuple[bool | None, ...]]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["mathvista", "mmmu"]),
        st.integers(0, 3),
        st.tuples(*[st.sampled_from([True, False, None])] * 3),
    ),
    max_size=60,
)


def gathered(rows: list[Row], keep: int = 20) -> tuple[Disagreements, list[bool]]:
    found = Disagreements(keep)
    told = [
        found.add(benchmark, f"p{number}", sample, {name: GRADES[one] for name, one in zip(PROFILES, row, strict=True)})
        for number, (benchmark, sample, row) in enumerate(rows)
    ]
    return found, told


@settings(max_examples=200, deadline=None)
@given(rows=ROWS)
def test_the_counts_are_those_of_a_brute_force_count(rows: list[Row]) -> None:
    found, told = gathered(rows)
    assert told == [len(set(row)) > 1 for _, _, row in rows]
    assert found.num_disagreements == sum(told)
    expected = []
    for benchmark in dict.fromkeys(row[0] for row in rows):
        verdicts = [dict(zip(PROFILES, row, strict=True)) for name, _, row in rows if name == benchmark]
        for one, other in permutations(PROFILES, 2):
            by_one = [verdict[other] for verdict in verdicts if verdict[one] is True]
            expected.append(Pair(benchmark, one, other, len(verdicts), by_one.count(False), by_one.count(None)))
    assert list(found.pairs()) == expected


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, keep=st.integers(0, 5))
def test_the_first_disagreements_are_kept_as_examples(rows: list[Row], keep: int) -> None:
    found, told = gathered(rows, keep)
    examples = [
        (benchmark, f"p{number}", sample, dict(zip(PROFILES, row, strict=True)))
        for number, (benchmark, sample, row) in enumerate(rows)
        if told[number]
    ]
    assert [tuple(example) for example in found.examples] == examples[:keep]


def test_the_table_has_a_row_for_every_ordered_pair_and_text_in_every_cell() -> None:
    found, _ = gathered([("mmmu", 0, outcomes) for outcomes in product((True, False, None), repeat=3)])
    columns, rows = found.as_table()
    assert columns == ["benchmark", "right by", "not by", "completions", "differ", "wrong", "null"]
    assert len(rows) == 6
    # Of the 27 combinations a profile is right in 9; another is wrong in 3 of them and null in 3.
    assert rows[0] == ["mmmu", "strict", "lmms-eval", "27", "6", "3", "3"]
    facts = found.facts()
    assert facts["num_disagreements"] == 24
    assert facts["pairs"][0] == {
        "benchmark": "mmmu",
        "right": "strict",
        "other": "lmms-eval",
        "num_completions": 27,
        "num_wrong": 3,
        "num_null": 3,
    }


def test_without_rows_there_is_an_empty_table() -> None:
    assert Disagreements().as_table()[1] == []


def test_a_single_profile_never_disagrees() -> None:
    found = Disagreements()
    assert not found.add("mmmu", "1", 0, {"strict": GRADES[True]})
    assert list(found.pairs()) == []


def test_memory_does_not_grow_with_rows() -> None:
    def peak(num_rows: int) -> int:
        found = Disagreements()
        grades = [dict(zip(PROFILES, map(GRADES.get, row), strict=True)) for row in product(GRADES, repeat=3)]
        tracemalloc.start()
        for number in range(num_rows):
            found.add("mmmu", f"problem-{number}", number % 8, grades[number % len(grades)])  # type: ignore[arg-type]
        _, size = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    peak(1_000)
    assert peak(20_000) < 1.2 * peak(2_000) + 10_000


def test_a_disagreement_record_keeps_its_verdicts_through_a_file() -> None:
    record = Disagreement(
        problem_id="17",
        benchmark="mmmu",
        sample=3,
        text="It is not A",
        grades=(
            ProfileGrade(profile="strict", reason="unparsed"),
            ProfileGrade(profile="vlmevalkit", extracted="A", correct=True),
        ),
    )
    assert decode(encode(record), Disagreement) == record
