"""The records of an index: rows that keep their numbers, full text, and conditions that are never pasted into SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anectl.core import where
from anectl.core.errors import AnectlError, UsageError
from anectl.core.record_writer import RecordWriter
from anectl.core.store import RecordReader, licence_of, provenance_of
from tests.index_rows import problem

SHAPES = {"subject": "geometry", "level": 3, "licence": "CC-BY-4.0", "is_drawn": True, "meta": {"grade": "7"}}
SUMS = {"subject": "alge'bra", "level": "3", "license": "MIT"}


@pytest.fixture
def reader(tmp_path: Path) -> RecordReader:
    """Four problems: two of geometry, one of alge'bra, one without a source."""
    with RecordWriter(tmp_path / "r.sqlite") as writer:
        writer.put(problem(0, source=SHAPES, tags=("angle", "sum"), question="What is the angle in the triangle?"))
        writer.put(problem(1, source=SHAPES | {"level": 5}, tags=("area",), question="What is the area?"))
        writer.put(problem(2, source=SUMS, tags=("sum",), solution="The triangle sum is 1."))
        writer.put(problem(3, answer_type="text"))
        writer.commit()
    return RecordReader(tmp_path / "r.sqlite", 4)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("subject='geometry'", [0, 1]),
        ("subject = 'alge''bra'", [2]),
        ("ID='t3'", [3]),
        ("level>=3", [0, 1]),
        ("level > 3 and tag:area", [1]),
        ("level='3'", [2]),
        ("level != 3", [1, 2, 3]),
        ("not tag:sum", [1, 3]),
        ("tag:sum or tag:area and level=5", [0, 1, 2]),
        ("(tag:sum or tag:area) and level in (5, '3')", [1, 2]),
        ("licence is null", [3]),
        ("licence is not null and not license='MIT'", [0, 1]),
        ("is_drawn=true", [0, 1]),
        ("meta.grade='7' and source.level<4", [0]),
        ("answer_type='text' or tag:'angle'", [0, 3]),
        ("subject='x'' OR 1=1 --'", []),
    ],
)
def test_a_condition_picks_its_rows(reader: RecordReader, condition: str, rows: list[int]) -> None:
    assert reader.rows(condition) == rows


@pytest.mark.parametrize(
    "condition",
    ["", "subject", "subject=", "subject=geometry", "='x'", "subject='x' and", "(level=1", "level=1)", "tag:", "x;y",
     "subject='x", "level>>1", "level in ()", "level is 3", "id='t0'; DROP TABLE records", "not " * 60 + "level=1",
     "(" * 60 + "level=1" + ")" * 60, " or ".join(["level=1"] * 400)],
)  # fmt: skip
def test_a_bad_condition_is_a_usage_error(reader: RecordReader, condition: str) -> None:
    with pytest.raises(UsageError) as caught:
        reader.rows(condition)
    assert caught.value.hint


def test_a_field_that_no_row_has_is_named_with_its_nearest(reader: RecordReader) -> None:
    with pytest.raises(UsageError, match="no row has a field 'subjct'") as caught:
        reader.rows("subjct='geometry'")
    assert caught.value.hint == "did you mean subject?"


def words_of_conditions() -> Iterator[str]:
    yield from ("subject", "level", "tag:", "and", "or", "not", "in", "is", "null", "=", "!=", "<", "(", ")", ",")
    yield from ("'a'", "3", "-1.5e3", "'", '"', ";", "--", "true", "99999999999999999999", "a.b", "é", "\0")


@given(st.lists(st.sampled_from(list(words_of_conditions())), max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_condition_that_sqlite_takes_or_a_usage_error(text: str) -> None:
    try:
        parsed = where.parse(text)
    except UsageError:
        return
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE records (id, answer_type, licence, provenance, tags, source)")
    database.execute("INSERT INTO records VALUES ('a', 'b', NULL, NULL, '[]', '{\"level\": 3}')")
    found = database.execute(f"SELECT {parsed.sql} FROM records", parsed.parameters).fetchone()
    assert found[0] in (0, 1)


def test_full_text_ranks_the_rarer_word_higher_and_knows_its_columns(reader: RecordReader) -> None:
    assert {row for row, _ in reader.match("the", 4)} == {0, 1, 2}
    assert {row for row, _ in reader.match("the triangle", 4)} == {0, 2}  # `the` is in most rows, and says nothing
    both, *one_of_them = [row for row, _ in reader.match("triangle what", 4)]
    assert (both, sorted(one_of_them)) == (0, [1, 2])
    assert [row for row, _ in reader.match("triangle", 4, ("question",))] == [0]
    assert [row for row, _ in reader.match("sum", 4, ("skills",))] == [2, 0]
    scores = [score for _, score in reader.match("what is the triangle", 4)]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)
    assert [row for row, _ in reader.match("triangle area", 4, among={1, 2})] in ([1, 2], [2, 1])
    assert [row for row, _ in reader.match("triangle", 4, among=[0])] == [0]
    assert reader.match("triangle", 4, among=()) == []
    assert reader.match("nowhere", 4) == reader.match("", 4) == reader.match("triangle", 0) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the reader is only read
@given(text=st.text(max_size=60))
def test_a_query_is_plain_words_whatever_it_says(reader: RecordReader, text: str) -> None:
    for query in (text, f'"{text}" OR NEAR(a b) * ^ -x {{question}} : ', "word " * 5000):
        assert isinstance(reader.match(query, 3), list)
    assert len(reader.match(f"{text} angle", 9)) >= 1


def test_rows_keep_their_numbers_and_none_is_given_twice(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "r.sqlite") as writer:
        assert [writer.put(problem(number)) for number in range(4)] == ["new"] * 4
        assert writer.put(problem(2)) == "same"
        assert writer.put(problem(9, id="t2")) == "replaced"
        assert writer.put(problem(1, id="other")) == "copy"
        assert writer.put(problem(1, solution="Another way gives 1.")) == "changed"
        writer.remove(writer.rows_of(["t3"]))
        assert writer.put(problem(3)) == "new"
        assert writer.put(problem(0, id="t1")) == "copy"
        with pytest.raises(AnectlError, match="no such id: 'x', 'y'"):
            writer.rows_of(["x", "t0", "y"])
        facts, removed, next_row = writer.facts(), writer.removed, writer.next_row
        writer.commit()
    assert (facts.count, removed, next_row) == (3, [2, 3, 1], 6)
    reader = RecordReader(tmp_path / "r.sqlite", 3)
    assert reader.rows() == [0, 4, 5]
    assert [one.problem.id for one in reader.get([5, 0])] == ["t3", "t0"]
    assert reader.match("another", 5) == []
    assert [row for row, _ in reader.match("word9 word2 word3", 5)] in ([4, 5], [5, 4])
    with pytest.raises(AnectlError, match="holds 3 records where the manifest says 4"):
        RecordReader(tmp_path / "r.sqlite", 4)


def test_licence_and_provenance_come_from_the_source() -> None:
    assert licence_of(problem(0, source={"licence": "MIT"}).problem) == "MIT"
    assert licence_of(problem(0, source={"license": {"name": "CC0"}}).problem) == "CC0"
    published = {"benchmark": "mathvista", "fields": {"license": "CC-BY-SA-4.0", "dataset": "x"}}
    assert licence_of(problem(0, source=published).problem) == "CC-BY-SA-4.0"
    assert provenance_of(problem(0, source=published).problem) == "mathvista"
    assert licence_of(problem(0, source={"licence": 4}).problem) is None
    assert provenance_of(problem(0).problem) is None
