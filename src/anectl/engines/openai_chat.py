"""Prompts and completions as the chat completions interface has them."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Collection
from typing import Any

import msgspec
from PIL import Image

from anectl.core.errors import RowError
from anectl.core.images import MAX_PIXELS, ImageRef
from anectl.core.protocols import Draw, PromptRequest

PLACEHOLDER = "<image>"
VISION_TOKENS = (
    *("<image>", "<video>", "<|image|>", "<|video|>", "<|image_pad|>", "<|video_pad|>", "<|vision_pad|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_start|>", "<|image_end|>", "<|begin_of_image|>"),
    *("<|end_of_image|>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<fake_token_around_image>"),
    *("<global-img>", "<IMG_CONTEXT>", "<VIDEO_CONTEXT>", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
"""How families spell the tokens that stand for parts of images: none of them is ever text of a completion."""

_VISION_TOKEN = re.compile("|".join(map(re.escape, VISION_TOKENS)))
# What every server reads; all else travels as PNG.
_MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_ORIENTATION = 0x0112
_FINISH = {"stop": "stop", "eos": "stop", "stop_sequence": "stop", "length": "length", "max_tokens": "length"}


class TokenLogprob(msgspec.Struct):
    """One token of a completion."""

    logprob: float


class Logprobs(msgspec.Struct):
    """The tokens of a completion, where the server was asked for them."""

    content: list[TokenLogprob] | None = None


class Said(msgspec.Struct):
    """What the model said; some servers keep its thoughts apart."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct):
    """One completion; `token_ids` comes from vLLM, when asked for."""

    message: Said
    finish_reason: str | None = None
    index: int = 0
    logprobs: Logprobs | None = None
    token_ids: list[int] | None = None


class Usage(msgspec.Struct):
    """Tokens of all choices together."""

    completion_tokens: int = 0


class Reply(msgspec.Struct):
    """A chat completion, as far as it is of use here."""

    choices: list[Choice]
    usage: Usage | None = None


def chat_messages(request: PromptRequest, vision_tokens: Collection[str] = ()) -> list[dict[str, Any]]:
    """The messages with the images in them: where the text says `<image>`, else before the first user text.

    Reads the images. Raises RowError: one cannot be read, they and the marks are not equally many, or the text spells
    one of the model's `vision_tokens`, which would shift every image after it.
    """
    texts = [message.content for message in request.messages]
    num_marks = sum(text.count(PLACEHOLDER) for text in texts)
    if num_marks not in (0, len(request.images)):
        raise RowError(f"the text says {PLACEHOLDER} {num_marks} times, but there are {len(request.images)} images")
    if PLACEHOLDER in request.prefix:
        raise RowError(f"the prefix contains the image token {PLACEHOLDER!r}")
    for token in vision_tokens:
        if token != PLACEHOLDER and any(token in text for text in (*texts, request.prefix)):
            raise RowError(f"the text contains the image token {token!r}")
    pictures = [{"type": "image_url", "image_url": {"url": data_uri(image)}} for image in request.images]
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        parts: list[dict[str, Any]] = []
        if message.role == "user" and num_marks == 0:
            parts, pictures = pictures, []
        for piece in re.split(f"({PLACEHOLDER})", message.content):
            if piece:
                parts.append(pictures.pop(0) if piece == PLACEHOLDER else {"type": "text", "text": piece})
        # A plain string is what every server takes, also those of text models.
        plain = all(part["type"] == "text" for part in parts)
        messages.append({"role": message.role, "content": message.content if plain else parts})
    if pictures:
        raise RowError("there are images, but no user turn to show them in")
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
    return messages


def data_uri(image: ImageRef) -> str:
    """The image as a data URI: its own bytes where every server sees in them what `ImageRef.open` sees, else a PNG.

    Raises RowError when it cannot be read, or has to be decoded and cannot.
    """
    data = image.read()
    mime = _plain_mime(data)
    if mime is None:
        buffer = io.BytesIO()
        image.open().save(buffer, "PNG", compress_level=1)
        data, mime = buffer.getvalue(), "image/png"
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _plain_mime(data: bytes) -> str | None:
    """The MIME type of a still, upright, opaque grey or RGB image of a common format, from its header; else null."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            header = Image.open(io.BytesIO(data))
            plain = (
                header.mode in ("L", "RGB")
                and not header.has_transparency_data
                and getattr(header, "n_frames", 1) == 1
                and header.getexif().get(_ORIENTATION, 1) == 1
                and header.width * header.height <= MAX_PIXELS
            )
    except Exception:  # Pillow raises many kinds on hostile files; decoding will say what is wrong
        return None
    return _MIME.get(header.format or "") if plain else None


def draws_of(reply: Reply) -> list[Draw]:
    """The completions in the order of their numbers.

    The number of tokens is 0 where the server does not say it: for several choices without logprobs or token ids.
    """
    alone = reply.usage.completion_tokens if reply.usage and len(reply.choices) == 1 else 0
    return [_draw(choice, alone) for choice in sorted(reply.choices, key=lambda choice: choice.index)]


def _draw(choice: Choice, usage_tokens: int) -> Draw:
    tokens = choice.logprobs.content if choice.logprobs else None
    num_tokens = len(choice.token_ids or tokens or ()) or usage_tokens
    logprob = sum(token.logprob for token in tokens) if tokens else None
    text = without_vision_tokens(_text(choice.message))
    reason = choice.finish_reason or "none"
    if reason == "content_filter":
        return Draw(text, "error", num_tokens, logprob, "the server's content filter stopped it")
    if reason not in _FINISH:
        return Draw(text, "error", num_tokens, logprob, f"the server ended it with finish_reason {reason!r}")
    return Draw(text, "stop" if _FINISH[reason] == "stop" else "length", num_tokens, logprob)


def _text(said: Said) -> str:
    """What was said, behind the thoughts in the tags that models write around them."""
    text = said.content or said.refusal or ""
    thoughts = said.reasoning or said.reasoning_content
    if not thoughts:
        return text
    return f"<think>{thoughts}</think>{text}" if text else f"<think>{thoughts}"


def without_vision_tokens(text: str) -> str:
    """The text without spelled image tokens, and without those that taking them out makes up."""
    return _VISION_TOKEN.sub(" ", _VISION_TOKEN.sub("", text))
