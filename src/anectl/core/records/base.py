"""What all records have in common, and the words their fields are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

AnswerType = Literal["choice", "choices", "number", "expression", "text", "list", "boolean"]
Carrier = Literal["prompt", "prefix"]
FinishReason = Literal["stop", "length", "error"]
Zone = Literal["solved", "learnable", "failing", "unsure"]
Signal = Literal["text", "image", "joint"]
Fault = Literal["perception", "reasoning", "format"]
Tier = Literal["item", "template", "skill", "fact"]
Name = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

EXTRA = "unknown fields"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records; `extra` holds the fields of the line that this version does not know."""

    extra: dict[str, Any] = msgspec.field(default_factory=dict, name=EXTRA)
