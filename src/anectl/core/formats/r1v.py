"""R1-V's rows: `image`, `problem`, and `solution` with the answer in `<answer>` tags. Import only.

Shape: R1-V, README.md.
"""

from __future__ import annotations

from anectl.core.formats import Format, ImageSink, Row
from anectl.core.formats.incoming import record_of
from anectl.core.formats.rows import text
from anectl.core.formats.turns import Conversation, Turn
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A problem of one row. Raises RowError: a missing field, `<image>` that do not match the images."""
    conversation = Conversation((Turn("user", text(row, "problem")),))
    return record_of("r1v", row, conversation, sink, answer=text(row, "solution"), may_lack=True)


FORMAT = Format("r1v", frozenset({"problem", "solution"}), to_record, ids_repeat=True)
