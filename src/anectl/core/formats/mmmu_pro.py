"""MMMU-Pro, as published at MMMU/MMMU_Pro: the standard subsets (4 or 10 options) and `vision`.

In `vision` question and options are in the picture: its choices are known by their letters, their texts stay in the
published fields.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.mmmu import IMAGE_FIELDS, present_images
from anectl.core.formats.options import letter_of, letters, parse_list
from anectl.core.formats.rows import image_values, make_problem, optional_text, tags_of, text
from anectl.core.records import Problem

_IN_PICTURE = "Answer the question that is written in the image."


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    choices = parse_list(text(row, "options"), field="options")
    answer = letter_of(text(row, "answer"), choices)
    question = optional_text(row, "question")
    numbers = present_images(row)
    if question is None:
        images, numbers = image_values(row, "image"), [1]
        choices = letters(len(choices))
    else:
        images = [row[f"image_{number}"] for number in numbers]
    return make_problem(
        "mmmu-pro",
        row,
        sink,
        own_id=text(row, "id"),
        question=question or _IN_PICTURE,
        images=images,
        image_numbers=numbers,
        image_fields=("image", *IMAGE_FIELDS),
        answer=answer,
        answer_type="choice",
        choices=choices,
        solution=optional_text(row, "explanation"),
        tags=tags_of(row, "subject", "topic_difficulty"),
    )


FORMAT = Format("mmmu-pro", frozenset({"id", "options", "answer", "subject"}), to_record)
