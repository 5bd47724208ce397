"""AI2D, as published at lmms-lab-encoder/ai2d: the answer is the index of the option, as text."""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.options import letter
from anectl.core.formats.rows import image_values, make_problem, text, texts
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    choices = texts(row, "options")
    answer = text(row, "answer").strip()
    if not (answer.isascii() and answer.isdecimal() and len(answer) < 4 and int(answer) < len(choices)):
        raise RowError(f"field 'answer': {answer[:60]!r} is no index of the {len(choices)} options")
    return make_problem(
        "ai2d",
        row,
        sink,
        own_id=None,
        question=text(row, "question"),
        images=image_values(row, "image"),
        answer=letter(int(answer)),
        answer_type="choice",
        choices=choices,
    )


FORMAT = Format("ai2d", frozenset({"question", "options", "answer", "image"}), to_record, ids_repeat=True)
