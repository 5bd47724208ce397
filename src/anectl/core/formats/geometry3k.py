"""Geometry3K, as published at hiyouga/geometry3k."""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answers import read_question
from anectl.core.formats.rows import image_values, make_problem, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    question, answer, answer_type, choices = read_question(text(row, "problem"), text(row, "answer"))
    return make_problem(
        "geometry3k",
        row,
        sink,
        own_id=None,
        question=question,
        images=image_values(row, "images"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
    )


FORMAT = Format("geometry3k", frozenset({"images", "problem", "answer"}), to_record, ids_repeat=True)
