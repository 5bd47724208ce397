"""LogicVista, as published at lscpku/LogicVista (and as `dataset.json` of its repository).

Most options stand in the picture, and the answer may be several letters (`A, C`) or the number of an option.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answer_form import answer_form
from anectl.core.formats.options import drawn_choices, letter, letters_in, split_options
from anectl.core.formats.rows import image_values, make_problem, optional_text, tags_of, text
from anectl.core.records import AnswerType, Problem

_IMAGES = ("image", "image_path", "imagename")


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row: one letter is a choice, several are choices, else the form of the answer decides."""
    question, answer = text(row, "question"), text(row, "answer")
    choices: tuple[str, ...] | None = None
    answer_type: AnswerType
    named = letters_in(answer)
    if named:
        split = split_options(question)
        if split is not None and named[-1] <= letter(len(split[1]) - 1):
            question, choices = split[0] or question, split[1]
        else:
            choices = drawn_choices(question, named)
        answer, answer_type = ", ".join(named), "choice" if len(named) == 1 else "choices"
    else:
        answer, answer_type = answer_form(answer)
    return make_problem(
        "logicvista",
        row,
        sink,
        own_id=optional_text(row, "id"),
        question=question,
        images=image_values(row, *_IMAGES),
        image_fields=_IMAGES,
        answer=answer,
        answer_type=answer_type,
        choices=choices,
        solution=optional_text(row, "reasoning"),
        tags=tags_of(row, "skill", "capability"),
    )


FORMAT = Format("logicvista", frozenset({"question", "answer", "skill", "capability"}), to_record, ids_repeat=True)
