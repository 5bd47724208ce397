"""MATH-Vision, as published at MathLLMs/MathVision (and as `test.jsonl` of its repository).

The picture of a row may hold several drawings, `<image1>` to `<image7>`. The answer of a multiple-choice question is a
letter; the official script also takes the value of the option.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answer_form import answer_form
from anectl.core.formats.options import letter_of
from anectl.core.formats.rows import image_values, make_problem, optional_text, tags_of, text, texts
from anectl.core.records import AnswerType, Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; without options the form of the answer says its type. Raises RowError."""
    choices = texts(row, "options")
    answer = text(row, "answer")
    answer_type: AnswerType = "choice"
    if choices:
        answer = letter_of(answer, choices)
    else:
        answer, answer_type = answer_form(answer)
    return make_problem(
        "mathvision",
        row,
        sink,
        own_id=text(row, "id"),
        question=text(row, "question"),
        images=image_values(row, "decoded_image", "image"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        solution=optional_text(row, "solution"),
        tags=tags_of(row, "subject", "level"),
    )


FORMAT = Format("mathvision", frozenset({"id", "question", "options", "answer", "level", "subject"}), to_record)
