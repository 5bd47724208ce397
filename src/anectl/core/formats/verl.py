"""verl's rows: `prompt`, `images`, `reward_model`, and `data_source`, by which verl chooses its reward function.

Images are `{"image": "file:///..."}`, which verl hands to its image reader; in parquet they may be in the row. What
verl has no field for travels in `extra_info`. Shape: verl, examples/data_preprocess/geo3k.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anectl.core.errors import RowError
from anectl.core.formats import ExportOptions, Format, ImageSink, ImageSource, Row
from anectl.core.formats.carried import COLUMN
from anectl.core.formats.incoming import field, record_of
from anectl.core.formats.outgoing import prompt_of
from anectl.core.formats.rows import image_values, text
from anectl.core.formats.turns import marked, read_turns
from anectl.core.records import Example, Problem

_FILE = "file://"


def to_record(row: Row, sink: ImageSink) -> Problem | Example:
    """A record of one row. Raises RowError: a missing field, wrong roles, `<image>` that do not match `images`."""
    reward = field(row, "reward_model")
    if not isinstance(reward, Mapping):
        raise RowError("the field 'reward_model' is not an object")
    info = row.get("extra_info")
    known = {"images": [_image(value) for value in image_values(row, "images")]}
    if isinstance(info, Mapping):
        known |= {name: info[name] for name in (COLUMN, "id") if info.get(name) is not None}
    conversation = read_turns(field(row, "prompt"), "prompt")
    return record_of("verl", {**row, **known}, conversation, sink, answer=text(reward, "ground_truth"))


def _image(value: object) -> object:
    if isinstance(value, Mapping) and isinstance(value.get("image"), str):
        value = value["image"]
    return value.removeprefix(_FILE) if isinstance(value, str) else value


def from_record(record: Problem | Example, source: ImageSource, options: ExportOptions) -> dict[str, Any]:
    """One row; of an example its prompt."""
    out = prompt_of(record, source, options)
    images = [image if image.startswith("data:") else _FILE + image for image in out.images]
    return {
        "data_source": options.data_source,
        "prompt": [{"role": turn.role, "content": turn.text} for turn in marked(out.prompt, len(images))],
        "images": [{"image": image} for image in images],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": record.answer},
        "extra_info": {"id": out.record_id, **out.carried},
    }


FORMAT = Format("verl", frozenset({"prompt", "reward_model"}), to_record, from_record, ids_repeat=True)
