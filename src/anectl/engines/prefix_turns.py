"""Prompts that end in a turn the assistant has begun: generation goes on with it, and the loss leaves it out.

TRL 1.16 renders a prompt twice. For the inputs of the log-probabilities it continues a last turn of the assistant; for
generation it ends that turn and opens another one, after which the two no longer have the same tokens. Here
generation gets the same text as the log-probabilities. What the turn begins with is part of the prompt, so no gradient
reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trl import GRPOTrainer

from anectl.engines.prompt_text import prompt_text


class OpenTurnTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO in whose batches some prompts may end in an open turn of the assistant."""

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], list[Any] | None, dict[str, Any]]:
        """Token ids without padding, images and the fields of the images, as TRL's own method gives them."""
        if not any(prompt[-1]["role"] == "assistant" for prompt in prompts):
            return super()._tokenize_prompts(prompts)  # type: ignore[no-any-return]
        texts = [prompt_text(prompt, self.processing_class, **self.chat_template_kwargs) for prompt in prompts]
        images = [_images(prompt) for prompt in prompts]
        pictures = {"images": images} if any(images) else {}
        # The template has written the special tokens already, as it has for sft.
        encoded = dict(self.processing_class(text=texts, **pictures, add_special_tokens=False))
        ids = encoded.pop("input_ids")
        encoded.pop("attention_mask")
        return ids, [found or None for found in images] if pictures else None, encoded


def _images(prompt: Sequence[Mapping[str, Any]]) -> list[Any]:
    parts = (part for message in prompt for part in message["content"])
    return [part["image"] for part in parts if part["type"] == "image"]
