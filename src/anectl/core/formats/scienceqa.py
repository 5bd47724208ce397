"""ScienceQA, as published at derek-thomas/ScienceQA: the answer is the index of the choice."""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.options import letter
from anectl.core.formats.rows import image_values, joined, make_problem, optional_text, tags_of, text, texts
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; the hint stands before the question, lecture and solution make the solution."""
    choices = texts(row, "choices")
    index = row.get("answer")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(choices):
        raise RowError(f"field 'answer': {str(index)[:60]!r} is no index of the {len(choices)} choices")
    return make_problem(
        "scienceqa",
        row,
        sink,
        own_id=None,
        question=joined(optional_text(row, "hint"), text(row, "question")),
        images=image_values(row, "image"),
        answer=letter(index),
        answer_type="choice",
        choices=choices,
        solution=joined(optional_text(row, "lecture"), optional_text(row, "solution")) or None,
        tags=tags_of(row, "subject", "topic", "category", "skill", "grade"),
    )


FORMAT = Format(
    "scienceqa", frozenset({"question", "choices", "answer", "hint", "lecture"}), to_record, ids_repeat=True
)
