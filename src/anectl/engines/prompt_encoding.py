"""Turn prompt requests into model inputs, and find the ones that no model should see.

A request that cannot be encoded becomes an error text for itself alone; the others are encoded without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2.meta
import torch

from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRef
from anectl.core.protocols import PromptRequest

PLACEHOLDER = "<image>"
# What every rendering passes to a template, beside the special tokens.
_GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "pad_token"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Inputs for the requests `rows` (indices into those given), left-padded; `errors` for all others."""

    inputs: dict[str, torch.Tensor]
    rows: list[int]
    errors: dict[int, str]


class PromptRenderer:
    """Chat template of one checkpoint: the text of a prompt, with one placeholder where each image belongs."""

    def __init__(
        self, processor: Any, vision_ids: Sequence[int], template_arguments: Mapping[str, Any] | None = None
    ) -> None:
        """`template_arguments` are variables of the template, such as `enable_thinking`.

        Raises AnectlError for one that the template does not read.
        """
        self.processor = processor
        self._arguments = dict(template_arguments or {})
        self._vision_tokens = processor.tokenizer.convert_ids_to_tokens(list(vision_ids))
        self._control_tokens = [*self._vision_tokens, *_turn_tokens(processor)]
        for name in self._arguments.keys() - _variables(processor.chat_template):
            own = ", ".join(sorted(_variables(processor.chat_template) - _GIVEN)) or "none"
            raise AnectlError(f"the chat template reads no {name!r}", hint=f"its own variables: {own}")

    def render(self, request: PromptRequest) -> str:
        """The prompt as the template writes it, ready to be continued. Raises RowError for text or images of no use."""
        messages = self._messages(request)
        if request.prefix:
            turn = {"role": "assistant", "content": [{"type": "text", "text": request.prefix}]}
            text = self._template([*messages, turn], continue_final_message=True)
        else:
            text = self._template(messages, add_generation_prompt=True)
        placed = text.count(self.processor.image_token)
        if placed != len(request.images):
            raise RowError(
                f"the chat template places {placed} images of {len(request.images)}",
                hint="a template for text only? copy the one of the vision-language model",
            )
        return text

    def _template(self, messages: list[dict[str, Any]], **how: bool) -> str:
        return str(self.processor.apply_chat_template(messages, tokenize=False, **how, **self._arguments))

    def _messages(self, request: PromptRequest) -> list[dict[str, Any]]:
        """Messages with one image part per image: where the text says `<image>`, else before the first user text."""
        num_marks = sum(message.content.count(PLACEHOLDER) for message in request.messages)
        if num_marks not in (0, len(request.images)):
            raise RowError(f"the text says {PLACEHOLDER} {num_marks} times, but there are {len(request.images)} images")
        self._refuse_control_tokens([*(message.content for message in request.messages), request.prefix])
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

    def _refuse_control_tokens(self, texts: list[str]) -> None:
        """A text that spells an image token would shift every image after it; one that ends a turn would split it."""
        for text in texts:
            for token in self._control_tokens:
                if token != PLACEHOLDER and token in text:
                    kind = "image" if token in self._vision_tokens else "control"
                    raise RowError(f"the text contains the {kind} token {token!r}")
        if PLACEHOLDER in texts[-1]:
            raise RowError(f"the prefix contains the image token {PLACEHOLDER!r}")


def _variables(template: str) -> set[str]:
    """The variables a template reads. The marks of what training learns from are unknown to jinja itself."""
    plain = re.sub(r"{%-?\s*(?:end)?generation\s*-?%}", "", template)
    return jinja2.meta.find_undeclared_variables(
        jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    )


def _turn_tokens(processor: Any) -> list[str]:
    """The special tokens that order a conversation: those the template writes, and the end of a text."""
    tokenizer = processor.tokenizer
    special = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    named = {tokenizer.bos_token, tokenizer.eos_token}
    return [token for token in special if token in named or token in processor.chat_template]


class PromptEncoder:
    """Chat template, images and tokenizer of one checkpoint."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        vision_ids: Sequence[int],
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.processor = processor
        self.device, self.dtype = model.device, model.dtype
        self.context_length: int = model.config.get_text_config(decoder=True).max_position_embeddings
        self._renderer = PromptRenderer(processor, vision_ids, template_arguments)

    def encode(self, requests: Sequence[PromptRequest]) -> Encoded:
        """Encode requests that all have images or all have none. Images are opened here and dropped again."""
        texts: dict[int, str] = {}
        images: dict[int, list[Any]] = {}
        opened: dict[ImageRef, Any] = {}
        errors: dict[int, str] = {}
        for number, request in enumerate(requests):
            try:
                texts[number] = self._renderer.render(request)
                opened |= {image: image.open() for image in request.images if image not in opened}
                images[number] = [opened[image] for image in request.images]
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


def followed_by(inputs: dict[str, torch.Tensor], targets: list[list[int]]) -> dict[str, torch.Tensor]:
    """Left-padded prompts with their targets behind them, padded on the right: tokens 0 under a mask of 0."""
    prompt = inputs["input_ids"]
    length = max(map(len, targets))
    ids = torch.tensor([target + [0] * (length - len(target)) for target in targets], device=prompt.device)
    mask = torch.tensor([[1] * len(t) + [0] * (length - len(t)) for t in targets], device=prompt.device)
    behind = {"input_ids": ids, "attention_mask": mask}
    # What else a family keeps per token (kinds of tokens) is 0 for text.
    return {
        name: torch.cat([value, behind.get(name, torch.zeros_like(ids)).to(value.dtype)], dim=1)
        if value.shape == prompt.shape
        else value
        for name, value in inputs.items()
    }
