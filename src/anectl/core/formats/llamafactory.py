"""LLaMA-Factory's sharegpt rows: `conversations` of `from` and `value`, `<image>` in the text, `images` beside.

A problem's answer is the assistant's turn: the solution, or the answer in a box. `messages` with `role` and `content`
(its OpenAI form) are read too. Shape: LLaMA-Factory, data/README.md.
"""

from __future__ import annotations

from typing import Any

from anectl.core.formats import ExportOptions, Format, ImageSink, ImageSource, Row
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.outgoing import conversation_of
from anectl.core.formats.turns import Conversation, Turn, marked, read_turns
from anectl.core.records import Example, Problem

_NAMES = {"user": "human", "assistant": "gpt", "system": "system"}


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one row. Raises RowError: no conversation, wrong roles, `<image>` that do not match `images`."""
    where = "messages" if row.get("conversations") is None and "messages" in row else "conversations"
    conversation = read_turns(field(row, where), where)
    if isinstance(row.get("system"), str) and row["system"] and conversation.turns[0].role != "system":
        conversation = Conversation((Turn("system", row["system"]), *conversation.turns), conversation.images)
    return record_of("llamafactory", row, conversation, sink)


def from_record(record: Problem | Example, source: ImageSource, options: ExportOptions) -> dict[str, Any]:
    """One row. The prefix of an answer becomes a part of the assistant's turn, and is learnt like the rest."""
    out = conversation_of(record, source, options)
    turns = marked(out.turns, len(out.images))
    conversations = [{"from": _NAMES[turn.role], "value": turn.text} for turn in turns]
    return {"conversations": conversations, "images": out.images, **out.carried}


def dataset_info(file_name: str) -> dict[str, Any]:
    """The entry of `dataset_info.json` that fits these rows; all tags are LLaMA-Factory's defaults."""
    return {
        "file_name": file_name,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "images"},
    }


FORMAT = Format("llamafactory", frozenset(), to_record, from_record, ids_repeat=True)
