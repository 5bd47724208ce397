"""DynaMath, as published at kcz358/DynaMath and DynaMath/DynaMath_Sample (and as `dataset.json` of its repository).

The variants of a question are rows of their own (`question_id`, `varid`, or one split each). The official script takes
a number within 0.001 as right, which is three decimals here.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answers import read_choice
from anectl.core.formats.rows import image_values, make_problem, one_of, optional_text, tags_of, text
from anectl.core.records import AnswerType, Problem

_TYPES: dict[str, AnswerType] = {"float": "number", "text": "text", "multiple choice": "choice"}
_DECIMALS = 3


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of one variant; the options stand in the question. Raises RowError."""
    question = text(row, "question")
    answer = text(row, "ground_truth" if "ground_truth" in row else "answer")
    answer_type = _TYPES[one_of(row, "answer_type", _TYPES)]
    choices: tuple[str, ...] | None = None
    if answer_type == "choice":
        question, answer, choices = read_choice(question, answer)
    own_id = optional_text(row, "id")
    if "question_id" in row and "varid" in row:
        own_id = f"{text(row, 'question_id')}-{text(row, 'varid')}"
    return make_problem(
        "dynamath",
        row,
        sink,
        own_id=own_id,
        question=question,
        images=image_values(row, "decoded_image", "image"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        precision=_DECIMALS if answer_type == "number" else None,
        tags=tags_of(row, "subject", "level" if "level" in row else "knowledge_level"),
    )


# DynaMath_Sample numbers the questions anew in each of its ten splits.
FORMAT = Format("dynamath", frozenset({"question", "answer_type", "subject"}), to_record, ids_repeat=True)
