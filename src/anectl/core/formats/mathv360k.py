"""MathV360K, as published at Zhiqiang007/MathV360K: one question and one reply, both free text.

The final answer is what the reply states as one, and the schema has no answer type (see `read_question`).
"""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answer_form import stated_answer
from anectl.core.formats.answers import read_question
from anectl.core.formats.rows import image_values, make_problem, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row; a reply that is more than its answer is the solution too. Raises RowError."""
    asked, reply = _turns(row)
    stated = stated_answer(reply)
    if stated is None:
        raise RowError("field 'conversations': the reply states no final answer")
    question, answer, answer_type, choices = read_question(asked, stated.rstrip("."))
    return make_problem(
        "mathv360k",
        row,
        sink,
        own_id=text(row, "id"),
        question=question,
        images=image_values(row, "image"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        solution=reply.strip() if len(reply.strip()) > len(stated) + 1 else None,
    )


def _turns(row: Row) -> tuple[str, str]:
    turns = row.get("conversations")
    if not isinstance(turns, (list, tuple)) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("field 'conversations' is not a list of turns")
    speakers = [turn.get("from") for turn in turns]
    if speakers != ["human", "gpt"]:
        raise RowError(f"field 'conversations': expected one human and one gpt turn, found {len(turns)} turns")
    return text(turns[0], "value"), text(turns[1], "value")


# The parts of the set that were put together number their rows each for itself.
FORMAT = Format("mathv360k", frozenset({"id", "image", "conversations"}), to_record, ids_repeat=True)
