"""VLM-R1's rows: `image` (one or a list) and `conversations` of human and gpt, whose turn is the answer. Import only.

Shape: VLM-R1, README.md.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.turns import read_turns
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A problem of one row. Raises RowError: no conversation, wrong roles, `<image>` that do not match, no answer."""
    conversation = read_turns(field(row, "conversations"), "conversations")
    return record_of("vlm-r1", row, conversation, sink, may_lack=True)


FORMAT = Format("vlm-r1", frozenset({"conversations"}), to_record, ids_repeat=True)
