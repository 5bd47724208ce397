"""TRL's conversational rows: `prompt` and `completion` with content parts, `images` beside, `answer` for rewards.

A problem's completion is its solution, or the answer in a box. `messages`, plain text and a single `image` are read
too. Shape: TRL, docs/source/dataset_formats.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anectl.core.errors import RowError
from anectl.core.formats import ExportOptions, Format, ImageSink, ImageSource, Row
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.outgoing import conversation_of
from anectl.core.formats.placeholders import escape
from anectl.core.formats.rows import text
from anectl.core.formats.turns import Conversation, Role, Turn, read_turns
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one row. Raises RowError: no prompt or messages, wrong roles, image parts that do not match."""
    if row.get("prompt") is None and row.get("messages") is not None:
        conversation = read_turns(row["messages"], "messages")
    else:
        prompt = _side(field(row, "prompt"), "prompt", "user")
        completion = _side(row.get("completion"), "completion", "assistant")
        conversation = Conversation(prompt.turns + completion.turns, prompt.images + completion.images)
    name = next((name for name in ("answer", "solution") if row.get(name) is not None), None)
    answer = None if name is None else text(row, name)
    return record_of("trl", row, conversation, sink, answer=answer, may_lack=True)


def _side(value: object, where: str, role: Role) -> Conversation:
    if value is None or value == []:
        return Conversation(())
    return Conversation((Turn(role, value),)) if isinstance(value, str) else read_turns(value, where)


def from_record(record: Problem | Example, source: ImageSource, options: ExportOptions) -> dict[str, Any]:
    """One row. Raises RowError when there are images and no user turn to show them in."""
    out = conversation_of(record, source, options, apart=True)
    return {
        "prompt": _messages(out.prompt, len(out.images)),
        "completion": _messages(out.completion, 0),
        "images": out.images,
        "answer": record.answer,
        **out.carried,
    }


def _messages(turns: Sequence[Turn], num_images: int) -> list[dict[str, Any]]:
    at = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
    if at is None and num_images:
        raise RowError("there are images but no user turn to show them in")
    return [
        {
            "role": turn.role,
            "content": [
                *({"type": "image"} for _ in range(num_images if i == at else 0)),
                {"type": "text", "text": escape(turn.text)},
            ],
        }
        for i, turn in enumerate(turns)
    ]


FORMAT = Format("trl", frozenset(), to_record, from_record, ids_repeat=True)
