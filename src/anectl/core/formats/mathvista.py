"""MathVista, as published at AI4Math/MathVista (and as `testmini.json` of its repository).

The answer of a multiple-choice question is published as the text of the choice.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.options import letter_of_text
from anectl.core.formats.rows import decimals, image_values, make_problem, one_of, optional_text, tags_of, text, texts
from anectl.core.records import AnswerType, Problem

_TYPES: dict[str, AnswerType] = {"text": "text", "integer": "number", "float": "number", "list": "list"}


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; `precision` and `unit` as published. Raises RowError."""
    answer = text(row, "answer")
    choices: tuple[str, ...] | None = None
    answer_type: AnswerType = "choice"
    if one_of(row, "question_type", ("multi_choice", "free_form")) == "multi_choice":
        choices = texts(row, "choices")
        answer = letter_of_text(answer, choices)
    else:
        answer_type = _TYPES[one_of(row, "answer_type", _TYPES)]
    metadata = row.get("metadata")
    return make_problem(
        "mathvista",
        row,
        sink,
        own_id=text(row, "pid"),
        question=text(row, "question"),
        images=image_values(row, "decoded_image", "image"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        precision=decimals(row, "precision"),
        unit=optional_text(row, "unit") if answer_type == "number" else None,
        tags=tags_of(metadata, "source", "task", "context", "grade", "skills") if isinstance(metadata, dict) else (),
    )


FORMAT = Format("mathvista", frozenset({"pid", "question", "answer", "question_type", "answer_type"}), to_record)
