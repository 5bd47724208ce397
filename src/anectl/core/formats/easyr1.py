"""EasyR1's rows: `problem` with `<image>` in it, `answer`, `images`. Shape: EasyR1, examples/config.yaml."""

from __future__ import annotations

from typing import Any

from anectl.core.errors import RowError
from anectl.core.formats import ExportOptions, Format, ImageSink, ImageSource, Row
from anectl.core.formats.incoming import record_of
from anectl.core.formats.outgoing import prompt_of
from anectl.core.formats.rows import text
from anectl.core.formats.turns import Conversation, Turn, marked
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one row. Raises RowError: a missing field, `<image>` that do not match `images`."""
    conversation = Conversation((Turn("user", text(row, "problem")),))
    return record_of("easyr1", row, conversation, sink, answer=text(row, "answer"))


def from_record(record: Problem | Example, source: ImageSource, options: ExportOptions) -> dict[str, Any]:
    """One row; of an example its prompt, which must be one user turn. Raises RowError for any other."""
    out = prompt_of(record, source, options)
    if len(out.prompt) != 1:
        raise RowError(f"the prompt has {len(out.prompt)} turns, and EasyR1 has room for one")
    (turn,) = marked(out.prompt, len(out.images))
    return {"problem": turn.text, "answer": record.answer, "images": out.images, **out.carried}


FORMAT = Format("easyr1", frozenset({"problem", "answer"}), to_record, from_record, ids_repeat=True)
