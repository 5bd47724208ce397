"""MMBench, as published at lmms-lab-encoder/MMBench and as the TSV of its authors (images in base64).

Rows without an answer are of the test split, whose answers only its server has. A row of the TSV may hold the index
of an earlier row, whose image it shares.
"""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.options import letter_of
from anectl.core.formats.rows import image_values, joined, make_problem, optional_text, tags_of, text
from anectl.core.records import Problem

# The parquet files write a missing value as the text `nan`.
_NOTHING = "nan"


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; the hint stands before the question. Raises RowError."""
    answer = _value(row, "answer")
    if answer is None:
        raise RowError("field 'answer' is empty", hint="the answers of the test split are not published")
    options = [_value(row, name) for name in "ABCD"]
    choices = tuple(option for option in options if option is not None)
    if options[: len(choices)] != list(choices):
        raise RowError("fields 'A' to 'D': an option is missing before the last")
    return make_problem(
        "mmbench",
        row,
        sink,
        own_id=text(row, "index"),
        question=joined(_value(row, "hint"), text(row, "question")),
        images=image_values(row, "image"),
        answer=letter_of(answer, choices),
        answer_type="choice",
        choices=choices,
        tags=tags_of(row, "category", "l2-category", "L2-category"),
    )


def _value(row: Row, name: str) -> str | None:
    value = optional_text(row, name)
    return None if value is None or value.strip() == _NOTHING else value


FORMAT = Format("mmbench", frozenset({"index", "question", "A", "B"}), to_record, index_field="index")
