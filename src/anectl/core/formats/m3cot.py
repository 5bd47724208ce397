"""M3CoT, as published at LightChen2333/M3CoT; the rationale is the solution."""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.options import letter_of
from anectl.core.formats.rows import image_values, joined, make_problem, optional_text, tags_of, text, texts
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; the context stands before the question. Raises RowError."""
    choices = texts(row, "choices")
    return make_problem(
        "m3cot",
        row,
        sink,
        own_id=text(row, "id"),
        question=joined(optional_text(row, "context"), text(row, "question")),
        images=image_values(row, "image"),
        answer=letter_of(text(row, "answer"), choices),
        answer_type="choice",
        choices=choices,
        solution=optional_text(row, "rationale"),
        tags=tags_of(row, "domain", "topic", "category"),
    )


FORMAT = Format("m3cot", frozenset({"id", "question", "choices", "answer", "domain", "topic"}), to_record)
