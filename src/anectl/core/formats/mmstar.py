"""MMStar, as published at Lin-Chen/MMStar: the options stand in the question (`Options: A: .., B: ..`)."""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answers import read_choice
from anectl.core.formats.rows import image_values, make_problem, tags_of, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    question, answer, choices = read_choice(text(row, "question"), text(row, "answer"))
    return make_problem(
        "mmstar",
        row,
        sink,
        own_id=text(row, "index"),
        question=question,
        images=image_values(row, "image"),
        answer=answer,
        answer_type="choice",
        choices=choices,
        tags=tags_of(row, "category", "l2_category"),
    )


FORMAT = Format("mmstar", frozenset({"index", "question", "answer", "category", "l2_category"}), to_record)
