"""Measure prompts with a checkpoint's own processor; no weights are read."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from anectl.core.errors import RowError
from anectl.core.preflight import PromptSize
from anectl.core.protocols import PromptRequest
from anectl.engines.processors import adapter_base, load_config, load_processor
from anectl.engines.prompt_encoding import PromptEncoder
from anectl.engines.token_roles import vision_token_ids


@dataclass(frozen=True, slots=True)
class _Outline:
    """What prompt encoding asks of a model, without its network."""

    config: Any
    generation_config: GenerationConfig
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


class ProcessorPreflight:
    """`Preflight` of a vision-language checkpoint: the prompt goes through the code that encodes it for sampling."""

    def __init__(self, model: str, *, window: int | None = None) -> None:
        """`window` is smaller than the model's own where a server was started so.

        Raises AnectlError when `model` is no vision-language checkpoint with a processor.
        """
        outline = _Outline(load_config(model), _generation_config(adapter_base(model) or model))
        processor = load_processor(model)
        # The sizes of images count here, not their colours, and these two steps take more than half of the time.
        processor.image_processor.do_rescale = processor.image_processor.do_normalize = False
        self._encoder = PromptEncoder(outline, processor, vision_token_ids(outline, processor))
        self.window = min(window or sys.maxsize, self._encoder.context_length)
        # Nothing is too long to be measured: the error below says by how much a prompt is.
        self._encoder.context_length = sys.maxsize
        self._image_token = _image_token_id(outline.config)

    def measure(self, request: PromptRequest) -> PromptSize:
        """Sizes of the prompt. Raises RowError: images or text of no use, or nothing left of the window."""
        encoded = self._encoder.encode([request])
        if encoded.errors:
            raise RowError(encoded.errors[0])
        ids = encoded.inputs["input_ids"]
        size = PromptSize(int((ids == self._image_token).sum()), ids.shape[1])
        if size.prompt_tokens >= self.window:
            raise RowError(
                f"the prompt of {size.prompt_tokens} tokens ({size.image_tokens} of them for "
                f"{len(request.images)} images) does not fit into the window of {self.window}",
                hint="use smaller or fewer images, or a model with a longer window",
            )
        return size


def _image_token_id(config: Any) -> int:
    """The token that stands for one feature of an image."""
    return int(getattr(config, "image_token_id", None) or config.image_token_index)


def _generation_config(source: str) -> GenerationConfig:
    try:
        return GenerationConfig.from_pretrained(source)
    except OSError:
        return GenerationConfig()
