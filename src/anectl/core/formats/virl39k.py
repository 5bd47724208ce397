"""ViRL39K, as published at TIGER-Lab/ViRL39K; its images are in `images.zip` beside the table.

The schema has no answer type (see `read_question`). The pass rates stay in the published fields, where
`locate-frontier --pass-rate-field PassRate_7BBase` finds them.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answers import read_question, unboxed
from anectl.core.formats.rows import image_values, make_problem, tags_of, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    question, answer, answer_type, choices = read_question(text(row, "question"), unboxed(text(row, "answer")))
    return make_problem(
        "virl39k",
        row,
        sink,
        own_id=text(row, "qid"),
        question=question,
        images=image_values(row, "image"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        tags=tags_of(row, "category", "source"),
    )


FORMAT = Format("virl39k", frozenset({"qid", "question", "answer", "category"}), to_record)
