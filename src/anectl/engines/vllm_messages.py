"""What the vLLM sampler and its worker say to each other: JSON lines over the worker's stdin and stdout."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from anectl.core.images import ImageRef
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Message

PYTHON = "ANECTL_VLLM_PYTHON"
"""The environment variable that names the interpreter of an environment with vLLM."""

HOW_TO_INSTALL = (
    f"pip install 'anectl[vllm]', or let {PYTHON} name the interpreter of an environment with vLLM (make setup-vllm)"
)


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first message to a worker: what to load, and vLLM's own arguments, which count last."""

    model: str
    dtype: str
    engine_args: dict[str, Any]


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A request and the number that its answer will carry.

    An image is its location, its name where that is another, and the folder it must still be in.
    """

    number: int
    messages: tuple[Message, ...]
    images: tuple[tuple[str, str | None, str | None], ...]
    seeds: tuple[int, ...]
    prefix: str
    temperature: float
    top_p: float
    max_tokens: int

    @classmethod
    def of(cls, number: int, request: PromptRequest, params: SamplingParams) -> Ask:
        """The message for a request."""
        return cls(
            number=number,
            messages=request.messages,
            images=tuple((i.location, i.ref if i.ref != i.location else None, i.root) for i in request.images),
            seeds=request.seeds,
            prefix=request.prefix,
            temperature=params.temperature,
            top_p=params.top_p,
            max_tokens=params.max_tokens,
        )

    def request(self) -> PromptRequest:
        """The request again; its key stays with the asker."""
        images = tuple(ImageRef(name or location, location, root) for location, name, root in self.images)
        return PromptRequest("", self.messages, images, self.seeds, self.prefix)


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """Nobody waits for the answers to what has been asked so far."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The engine is loaded and draws at most `max_num_seqs` completions at a time."""

    max_num_seqs: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The engine cannot be started, for a reason that the user can mend."""

    problem: str
    hint: str | None
    path: str | None


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The worker takes up this request: if it dies, this may be why."""

    number: int


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The draws of one request."""

    number: int
    draws: tuple[Draw, ...]


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The engine has made steps since the last message."""


ToWorker: TypeAlias = Start | Ask | Forget
FromWorker: TypeAlias = Ready | Refused | Begun | Answer | Beat

encode = msgspec.json.Encoder().encode
"""A message as one line of JSON, without the end of the line."""

decode_for_worker = msgspec.json.Decoder(ToWorker).decode
decode_from_worker = msgspec.json.Decoder(FromWorker).decode
