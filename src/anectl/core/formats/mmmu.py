"""MMMU, as published at MMMU/MMMU.

The options are the text of a Python list; `<image 1>` to `<image 7>` may stand in the question and in the options.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answer_form import answer_form
from anectl.core.formats.options import letter_of, parse_list
from anectl.core.formats.rows import is_missing, make_problem, one_of, optional_text, tags_of, text
from anectl.core.records import AnswerType, Problem

IMAGE_FIELDS = tuple(f"image_{number}" for number in range(1, 8))


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; of several accepted open answers (a list as text) it takes the first. Raises RowError."""
    answer = text(row, "answer")
    choices: tuple[str, ...] | None = None
    answer_type: AnswerType = "choice"
    if one_of(row, "question_type", ("multiple-choice", "open")) == "multiple-choice":
        choices = parse_list(text(row, "options"), field="options")
        answer = letter_of(answer, choices)
    else:
        accepted = parse_list(answer, field="answer") if answer.strip().startswith("[") else ()
        answer, answer_type = answer_form(accepted[0] if accepted else answer)
    numbers = present_images(row)
    return make_problem(
        "mmmu",
        row,
        sink,
        own_id=text(row, "id"),
        question=text(row, "question"),
        images=[row[f"image_{number}"] for number in numbers],
        image_numbers=numbers,
        image_fields=IMAGE_FIELDS,
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        solution=optional_text(row, "explanation"),
        tags=tags_of(row, "subfield", "topic_difficulty"),
    )


def present_images(row: Row) -> list[int]:
    """The numbers of the images that the row has."""
    return [number for number in range(1, 8) if not is_missing(row.get(f"image_{number}"))]


FORMAT = Format("mmmu", frozenset({"id", "question", "options", "answer", "question_type", "subfield"}), to_record)
