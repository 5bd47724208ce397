"""A table of one's own: a problem a row, in columns with plain names. Import only.

`question` and `answer` must be there; as wanted `id`, `image` or `images`, `choices`, `answer_type`, `unit`,
`precision`, `solution`, `steps`, `tags`. Where a table has no lists, several values stand in one field with `;` between
them, or as a JSON list. Without `answer_type` a row with choices is multiple choice, and any other goes by the form of
its answer. Other columns are kept in `source`.
"""

from __future__ import annotations

from typing import get_args

import msgspec

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.answers import read_question
from anectl.core.formats.options import letter_of, letters_in
from anectl.core.formats.rows import decimals, image_values, is_missing, make_problem, one_of, optional_text, text
from anectl.core.records import AnswerType, Problem

_SEPARATOR = ";"


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError: no question, no answer, or a field of the wrong kind."""
    question, answer, choices = text(row, "question"), text(row, "answer").strip(), several(row, "choices")
    answer_type: AnswerType
    if choices:
        named = letters_in(answer)
        many = named is not None and len(named) > 1
        answer_type = "choices" if many else "choice"
        answer = ", ".join(named) if named and many else letter_of(answer, choices)
    else:
        question, answer, answer_type, read = read_question(question, answer)
        choices = read or ()
    if not is_missing(row.get("answer_type")):
        answer_type = one_of(row, "answer_type", get_args(AnswerType))  # type: ignore[assignment]
    own_id = optional_text(row, "id")
    problem = make_problem(
        "table",
        row,
        sink,
        own_id=own_id,
        question=question,
        images=images_of(row),
        answer=answer,
        answer_type=answer_type,
        choices=choices or None,
        precision=decimals(row, "precision"),
        unit=optional_text(row, "unit"),
        solution=optional_text(row, "solution"),
        tags=several(row, "tags"),
    )
    steps = several(row, "steps") or None
    # One's own ids are kept as they are: there is no other set that they could be mixed up with.
    return msgspec.structs.replace(problem, id=problem.id if own_id is None else own_id.strip(), steps=steps)


def images_of(row: Row) -> list[object]:
    """The images of a row: paths, several of them in one text too, or the images themselves as tables hold them."""
    found = image_values(row, "images", "image")
    if len(found) == 1 and isinstance(path := found[0], str) and not path.startswith("data:"):
        return list(_listed(path))
    return found


def several(row: Row, name: str) -> tuple[str, ...]:
    """The texts of a field: a list, the text of a JSON list, or texts with `;` between; empty where there is nothing.

    Raises RowError for anything else.
    """
    value = row.get(name)
    if is_missing(value):
        return ()
    items = _listed(value) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(item, (str, int, float)) for item in items):
        raise RowError(f"field {name!r} is no list of texts")
    return tuple(str(item).strip() for item in items if str(item).strip())


def _listed(value: str) -> list[str]:
    if value.lstrip().startswith("["):
        try:
            return msgspec.json.decode(value, type=list[str])
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # brackets that are a part of the text
    return [part.strip() for part in value.split(_SEPARATOR) if part.strip()]


FORMAT = Format("table", frozenset({"question", "answer"}), to_record)
