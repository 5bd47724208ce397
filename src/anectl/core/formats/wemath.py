"""We-Math, as published at We-Math/We-Math (and as `testmini.json` of its repository).

A problem and its steps share their `ID` and differ in `key`; the options are one text, `A. 3; B. 4; C. No answer`.
"""

from __future__ import annotations

from anectl.core.errors import RowError
from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.options import letter_of, split_options
from anectl.core.formats.rows import image_values, make_problem, tags_of, text
from anectl.core.records import Problem


def to_record(row: Row, sink: ImageSink) -> Problem:
    """The problem of a row. Raises RowError."""
    options = split_options(text(row, "option"))
    if options is None or options[0]:
        raise RowError(f"field 'option' is no list of options: {text(row, 'option')[:60]!r}")
    return make_problem(
        "wemath",
        row,
        sink,
        own_id=f"{text(row, 'ID')}-{text(row, 'key')}",
        question=text(row, "question"),
        images=image_values(row, "image_path"),
        image_fields=("image_path",),
        answer=letter_of(text(row, "answer"), options[1]),
        answer_type="choice",
        choices=options[1],
        tags=tags_of(row, "knowledge concept", "key"),
    )


FORMAT = Format("wemath", frozenset({"ID", "question", "option", "answer", "key", "image_path"}), to_record)
