"""Turn prompt requests into model inputs, and find the ones that no model should see.

A request that cannot be encoded becomes an error text for itself alone; the others are encoded without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from anectl.core.errors import RowError
from anectl.core.protocols import PromptRequest

PLACEHOLDER = "<image>"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Inputs for the requests `rows` (indices into those given), left-padded; `errors` for all others."""

    inputs: dict[str, torch.Tensor]
    rows: list[int]
    errors: dict[int, str]


class PromptEncoder:
    """Chat template, images and tokenizer of one checkpoint."""

    def __init__(self, model: Any, processor: Any, vision_ids: Sequence[int]) -> None:
        self.processor = processor
        self.device, self.dtype = model.device, model.dtype
        self.context_length: int = model.config.get_text_config(decoder=True).max_position_embeddings
        self._vision_tokens = processor.tokenizer.convert_ids_to_tokens(list(vision_ids))

    def encode(self, requests: Sequence[PromptRequest]) -> Encoded:
        """Encode requests that all have images or all have none. Images are opened here and dropped again."""
        texts: dict[int, str] = {}
        images: dict[int, list[Any]] = {}
        errors: dict[int, str] = {}
        for number, request in enumerate(requests):
            try:
                texts[number] = self._render(request)
                images[number] = [image.open() for image in request.images]
            except RowError as error:
                errors[number] = error.problem
        inputs, rows = self._tokenize({row: (texts[row], images[row]) for row in images}, errors)
        too_long = inputs["attention_mask"].sum(dim=1) >= self.context_length if rows else torch.empty(0)
        if too_long.any():
            for row, long in zip(rows, too_long.tolist(), strict=True):
                if long:
                    errors[row] = f"the prompt does not fit into the context of {self.context_length} tokens"
            inputs, rows = self._tokenize({row: (texts[row], images[row]) for row in rows if row not in errors}, errors)
        return Encoded({name: self._placed(value) for name, value in inputs.items()}, rows, errors)

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)

    def _tokenize(
        self, good: dict[int, tuple[str, list[Any]]], errors: dict[int, str]
    ) -> tuple[dict[str, torch.Tensor], list[int]]:
        """Encode together what can be encoded; when that fails, what fails alone goes into `errors`."""
        if not good:
            return {}, []
        try:
            return self._call(list(good.values())), list(good)
        except (ValueError, TypeError, RuntimeError, IndexError) as error:
            if len(good) == 1:
                (row,) = good
                errors[row] = f"the processor refuses the prompt: {error}"
                return {}, []
        for row, prompt in good.items():
            self._tokenize({row: prompt}, errors)
        fit = {row: prompt for row, prompt in good.items() if row not in errors}
        if len(fit) < len(good):
            return self._tokenize(fit, errors)
        raise RuntimeError("the processor refuses a batch of prompts, each of which it takes alone")

    def _call(self, prompts: list[tuple[str, list[Any]]]) -> dict[str, torch.Tensor]:
        texts = [text for text, _ in prompts]
        images = [pictures for _, pictures in prompts]
        pictures = {"images": images} if any(images) else {}
        # The template has written the special tokens already; a second begin-of-text would shift every prompt.
        return dict(self.processor(text=texts, **pictures, padding=True, add_special_tokens=False, return_tensors="pt"))

    def _render(self, request: PromptRequest) -> str:
        messages = self._messages(request)
        if request.prefix:
            turn = {"role": "assistant", "content": [{"type": "text", "text": request.prefix}]}
            return str(
                self.processor.apply_chat_template([*messages, turn], tokenize=False, continue_final_message=True)
            )
        return str(self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _messages(self, request: PromptRequest) -> list[dict[str, Any]]:
        """Messages with one image part per image: where the text says `<image>`, else before the first user text."""
        num_marks = sum(message.content.count(PLACEHOLDER) for message in request.messages)
        if num_marks not in (0, len(request.images)):
            raise RowError(f"the text says {PLACEHOLDER} {num_marks} times, but there are {len(request.images)} images")
        self._refuse_vision_tokens([*(message.content for message in request.messages), request.prefix])
        unplaced = len(request.images) if num_marks == 0 else 0
        messages = []
        for message in request.messages:
            parts: list[dict[str, str]] = []
            if message.role == "user":
                parts += [{"type": "image"}] * unplaced
                unplaced = 0
            for piece in re.split(f"({PLACEHOLDER})", message.content):
                if piece:
                    parts.append({"type": "image"} if piece == PLACEHOLDER else {"type": "text", "text": piece})
            messages.append({"role": message.role, "content": parts})
        return messages

    def _refuse_vision_tokens(self, texts: list[str]) -> None:
        """A text that spells an image token would shift every image after it, in its neighbours too."""
        for text in texts:
            for token in self._vision_tokens:
                if token != PLACEHOLDER and token in text:
                    raise RowError(f"the text contains the image token {token!r}")
        if PLACEHOLDER in texts[-1]:
            raise RowError(f"the prefix contains the image token {PLACEHOLDER!r}")
