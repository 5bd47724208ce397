"""OpenAI chat rows: `messages` whose content is text or parts, images as `image_url`. Import only.

Shape: the OpenAI chat completions API; NeMo-RL's message log and fine-tuning files have it too.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.rows import text
from anectl.core.formats.turns import read_turns
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one row; the answer is a column `answer` or in the assistant's turn.

    Raises RowError: no messages, wrong roles, a part that is neither text nor image, no answer.
    """
    answer = text(row, "answer") if row.get("answer") is not None else None
    return record_of("openai", row, read_turns(field(row, "messages"), "messages"), sink, answer=answer)


FORMAT = Format("openai", frozenset({"messages"}), to_record, ids_repeat=True)
