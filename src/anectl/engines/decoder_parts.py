"""Which parts of a vision-language model are its text decoder, and which of those get adapters."""

from __future__ import annotations

import re

import torch
from transformers import AutoModelForImageTextToText

from anectl.core.errors import AnectlError

_DECODER = re.compile(r"(?<!vision_)(language_model|text_model|lm_head)\.")
_NAMES = re.compile(r"\w+( *, *\w+)*")
_LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"


def in_decoder(name: str) -> bool:
    """Whether a parameter of that name belongs to the text decoder or its head."""
    return bool(_DECODER.search(name))


def adapter_targets(names: str) -> str:
    """The regular expression of the layers that get adapters, from what the user named; all linear ones for nothing.

    Plain names are those of the text decoder only: vLLM drops adapters of vision layers with no more than a warning.
    """
    chosen = names or _LINEAR
    if not _NAMES.fullmatch(chosen):
        return chosen
    return rf".*(language_model|text_model).*\.({'|'.join(re.split(' *, *', chosen))})"


def outline(config: object) -> torch.nn.Module:
    """A network of that configuration without storage for its weights."""
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)  # type: ignore[no-any-return]


def refuse_targets(config: object, names: str) -> None:
    """Raise AnectlError where no linear layer has such a name, or the regular expression is none."""
    linear = [name for name, part in outline(config).named_modules() if isinstance(part, torch.nn.Linear)]
    try:
        found = any(re.fullmatch(adapter_targets(names), name) for name in linear)
    except re.error as error:
        raise AnectlError(f"--lora-targets {names!r} is no regular expression: {error}") from None
    if not found:
        known = ", ".join(sorted({name.rpartition(".")[2] for name in linear if in_decoder(name)}))
        raise AnectlError(f"--lora-targets {names!r} names no linear layer", hint=f"the text decoder has {known}")


def linear_outside_decoder(config: object) -> list[str]:
    """Names of the linear layers of vision tower and connector, and of the head."""
    named = outline(config).named_modules()
    return [name for name, part in named if isinstance(part, torch.nn.Linear) and not in_decoder(name)]
