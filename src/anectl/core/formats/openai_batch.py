"""Batch requests, as OpenAI's batch API and `vllm run-batch` read them: `custom_id`, `method`, `url`, `body`.

Images are data URIs. The answer is never in `body`, which the model sees; it travels in a column `anectl` beside
`custom_id`, which vLLM passes over. A hosted API may refuse unknown keys: exporting without the column leaves it out.
Shape: vLLM, vllm/entrypoints/openai/run_batch.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anectl.core.errors import RowError
from anectl.core.formats import ExportOptions, Format, ImageSink, ImageSource, Row
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.outgoing import prompt_of
from anectl.core.formats.placeholders import escape
from anectl.core.formats.turns import read_turns
from anectl.core.keys import digest
from anectl.core.records import Example, Problem


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one request. Raises RowError: no body or messages, wrong roles, no answer carried or given."""
    body = field(row, "body")
    if not isinstance(body, Mapping):
        raise RowError("the field 'body' is not an object")
    return record_of("openai-batch", row, read_turns(field(body, "messages"), "body.messages"), sink)


def from_record(record: Problem | Example, source: ImageSource, options: ExportOptions) -> dict[str, Any]:
    """One request; of an example its prompt, known by its problem's id and a hash of the prompt."""
    out = prompt_of(record, source, replace(options, inline=True))
    at = next(i for i, turn in enumerate(out.prompt) if turn.role == "user")
    messages: list[dict[str, Any]] = []
    for i, turn in enumerate(out.prompt):
        images = out.images if i == at else ()
        parts = [{"type": "image_url", "image_url": {"url": image}} for image in images]
        text = escape(turn.text)
        messages.append({"role": turn.role, "content": [*parts, {"type": "text", "text": text}] if parts else text})
    mark = "" if isinstance(record, Problem) else "-" + digest(turn.text.encode() for turn in out.prompt)[:8]
    return {
        "custom_id": out.record_id + mark,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": options.model, "messages": messages},
        **out.carried,
    }


FORMAT = Format("openai-batch", frozenset({"body"}), to_record, from_record, ids_repeat=True)
