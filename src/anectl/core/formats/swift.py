"""ms-swift's standard rows: `messages` with `<image>` in the text, `images` beside, `solution` for the rewards.

A problem is its user turn, an example the whole conversation; `solution` is the answer in a box, as the accuracy
rewards read it. Shape: ms-swift, docs/source_en/Customization/Custom-dataset.md.
"""

from __future__ import annotations

from typing import Any

from anectl.core.formats import ExportOptions, Format, ImageSink, ImageSource, Row
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.outgoing import boxed, conversation_of, prompt_of
from anectl.core.formats.rows import text
from anectl.core.formats.turns import marked, read_turns
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one row. Raises RowError: no messages, wrong roles, `<image>` that do not match `images`.

    ms-swift itself puts images without a placeholder in front; so do we.
    """
    answer = text(row, "solution") if row.get("solution") is not None else None
    return record_of("swift", row, read_turns(field(row, "messages"), "messages"), sink, answer=answer, may_lack=True)


def from_record(record: Problem | Example, source: ImageSource, options: ExportOptions) -> dict[str, Any]:
    """One row. The prefix of an answer becomes a part of the assistant's turn, and is learnt like the rest."""
    build = prompt_of if isinstance(record, Problem) else conversation_of
    out = build(record, source, options)
    messages = [{"role": turn.role, "content": turn.text} for turn in marked(out.turns, len(out.images))]
    return {"messages": messages, "images": out.images, "solution": boxed(record.answer), **out.carried}


FORMAT = Format("swift", frozenset({"messages"}), to_record, from_record, ids_repeat=True)
