"""MMK12, as published at FanqingM/MMK12, and the training set of MM-Eureka (`conversations`, `image_urls`)."""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answers import read_question, unboxed
from anectl.core.formats.rows import image_values, make_problem, optional_text, tags_of, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    stated = optional_text(row, "question") or _asked(row)
    question, answer, answer_type, choices = read_question(stated, unboxed(text(row, "answer")))
    return make_problem(
        "mmk12",
        row,
        sink,
        own_id=text(row, "id"),
        question=question,
        images=image_values(row, "image", "image_urls"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        tags=tags_of(row, "subject"),
    )


def _asked(row: Row) -> str:
    turns = row.get("conversations")
    asked = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, (list, tuple)) else []
    asked = [turn for turn in asked if turn.get("role") == "user"]
    if len(asked) != 1:
        raise RowError("neither a field 'question' nor one user turn in 'conversations'")
    return text(asked[0], "content")


FORMAT = Format("mmk12", frozenset({"id", "answer"}), to_record)
