"""MathVerse, as published at AI4Math/MathVerse.

A problem comes in versions that move text into the picture; in the `Vision Only` one `question` is empty and nothing
but `query_wo` is asked. Its options stay in the picture, so its choices are known by their letters.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answer_form import answer_form
from anectl.core.formats.answers import read_choice
from anectl.core.formats.options import drawn_choices, letter_of, letters, letters_in, split_options
from anectl.core.formats.rows import image_values, make_problem, one_of, optional_text, tags_of, text
from anectl.core.records import AnswerType, Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of one version of a question. Raises RowError."""
    shown = optional_text(row, "question")
    question, answer = shown or text(row, "query_wo"), text(row, "answer")
    choices: tuple[str, ...] | None = None
    answer_type: AnswerType = "choice"
    if one_of(row, "question_type", ("multi-choice", "free-form")) == "free-form":
        answer, answer_type = answer_form(answer)
    elif shown:
        question, answer, choices = read_choice(question, answer)
    else:
        choices = _in_picture(row, answer)
        answer = letter_of(answer, choices)
    metadata = row.get("metadata")
    tags = tags_of(metadata, "source", "subject", "subfield") if isinstance(metadata, dict) else ()
    return make_problem(
        "mathverse",
        row,
        sink,
        own_id=text(row, "sample_index"),
        question=question,
        images=image_values(row, "image"),
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        tags=(*tags, *tags_of(row, "problem_version")),
    )


def _in_picture(row: Row, answer: str) -> tuple[str, ...]:
    """As many letters as the full question, which the row keeps for its judge, has options."""
    full = split_options(optional_text(row, "question_for_eval") or "")
    return letters(len(full[1])) if full else drawn_choices("", letters_in(answer) or ())


FORMAT = Format(
    "mathverse",
    frozenset({"sample_index", "problem_index", "problem_version", "question", "answer", "question_type"}),
    to_record,
)
