"""ChartQA, as published at lmms-lab-encoder/ChartQA: numbers, words, and yes or no."""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answer_form import answer_form
from anectl.core.formats.rows import image_values, make_problem, tags_of, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; the tolerance of 5% is the official rule's, not the problem's. Raises RowError."""
    answer, answer_type = answer_form(text(row, "answer"))
    return make_problem(
        "chartqa",
        row,
        sink,
        own_id=None,
        question=text(row, "question"),
        images=image_values(row, "image"),
        answer=answer,
        # A label such as `2010-2015` looks like a formula and is none.
        answer_type="text" if answer_type == "expression" else answer_type,
        tags=tags_of(row, "type"),
    )


FORMAT = Format("chartqa", frozenset({"type", "question", "answer", "image"}), to_record, ids_repeat=True)
