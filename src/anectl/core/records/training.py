"""What training reads and what it reports."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from anectl.core.records.base import AnswerType, Carrier, Count, Name, Record


class Message(Record, frozen=True, kw_only=True):
    """One turn of a conversation; `content` is plain text, images are listed beside the messages."""

    role: Literal["system", "user", "assistant"]
    content: str


class Scaffold(Record, frozen=True, kw_only=True):
    """The help given with an example: `text` at `level` (0 bare ... 5 worked without the answer).

    `ladder` has the text of every level (`ladder[0]` is empty), `question` the bare user text and `frame` the
    pattern that joins them, so that strip-rl can build the prompt of any level. `leak` is true when the final
    answer was found in `text`.
    """

    level: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0
    carrier: Carrier = "prompt"
    text: str = ""
    template: str = ""
    anchor_ids: tuple[str, ...] = ()
    leak: bool = False
    question: str = ""
    frame: str = ""
    ladder: tuple[str, ...] = ("", "", "", "", "", "")


class Example(Record, frozen=True, kw_only=True):
    """A training row in TRL's conversational prompt/completion shape. Written by scaffold; read by sft and strip-rl.

    `origin` says where the target came from: frontier, anchor or replay, then the kind of target.
    """

    schema: Literal["example/1"] = "example/1"
    problem_id: Name
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    images: tuple[str, ...] = ()
    answer: Name
    answer_type: AnswerType
    choices: tuple[str, ...] = ()
    precision: Count | None = None
    unit: str | None = None
    scaffold: Scaffold
    origin: str


class Result(Record, frozen=True, kw_only=True):
    """What a training command did. Written by sft and strip-rl on stdout."""

    schema: Literal["result/1"] = "result/1"
    command: str
    base: str
    checkpoint: str
    num_examples: Count
    steps: Count
    seconds: float
    metrics: dict[str, float]
