"""Decode many samples of each prompt, where the prompt and its images pass the model once.

A completion that is finished leaves the batch. Shapes: P prompts of L tokens, n samples each, B = P n completions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList

from anectl.engines.seeded_sampling import SeededSampling

Inputs = dict[str, torch.Tensor]
# Families whose positions have three axes, counted by their `get_rope_index`; checked against `generate`.
_THREE_AXES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"})
# Copying the cache costs about as much as the step of as many rows.
COMPACT_BELOW = 0.9


def decoder_for(model: Any) -> Callable[[Any, Inputs, int, SeededSampling, int], torch.Tensor]:
    """The decoder for this family: `decode_shared` where a copied cache is known to be right, else `decode_plain`.

    Both take (model, inputs, samples per prompt, sampling, max tokens) and give tokens (B, up to max tokens).
    """
    text = model.config.get_text_config(decoder=True).to_dict()
    attention = set(text.get("layer_types") or ["full_attention"])
    has_axes = "mrope_section" in (text.get("rope_parameters") or {})
    if attention != {"full_attention"} or (has_axes and model.config.model_type not in _THREE_AXES):
        return decode_plain
    return decode_shared


@torch.inference_mode()
def decode_shared(
    model: Any, inputs: Inputs, num_samples: int, sampling: SeededSampling, max_tokens: int
) -> torch.Tensor:
    """Prompts pass once; their key-value cache is copied for each sample."""
    mask = inputs["attention_mask"]
    positions, last = prompt_positions(model, inputs)
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    known = {**inputs, "position_ids": positions, "past_key_values": cache, "use_cache": True}
    logits = model(**known, logits_to_keep=1).logits[:, -1].repeat_interleave(num_samples, dim=0)
    cache.batch_repeat_interleave(num_samples)
    mask, last = mask.repeat_interleave(num_samples, dim=0), last.repeat_interleave(num_samples, dim=0)
    tokens = torch.zeros(len(mask), max_tokens, dtype=torch.long, device=mask.device)
    for step in range(max_tokens):
        chosen = sampling.choose(logits)[:, None]
        tokens[sampling.rows, step] = chosen[:, 0]
        active = sampling.active()
        if not active.any():
            break
        if active.sum() < COMPACT_BELOW * len(active):
            sampling.keep(active)
            cache.batch_select_indices(active)
            chosen, mask, last = chosen[active], mask[active], last[active]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        last = last + 1
        place = last if positions.ndim == 2 else last.expand(3, -1, -1)
        logits = model(
            input_ids=chosen, attention_mask=mask, position_ids=place, past_key_values=cache, use_cache=True
        ).logits[:, -1]
    return tokens


@torch.inference_mode()
def decode_plain(
    model: Any, inputs: Inputs, num_samples: int, sampling: SeededSampling, max_tokens: int
) -> torch.Tensor:
    """By the family's own `generate`, which passes the prompt once for every sample."""
    # Nothing of the checkpoint's taste (repetition penalty, top-k) may come on top of what `sampling` has chosen.
    model.generation_config = GenerationConfig(
        do_sample=True, top_k=0, eos_token_id=sampling.stops, pad_token_id=sampling.stops[0]
    )
    output = model.generate(
        **inputs,
        num_return_sequences=num_samples,
        max_new_tokens=max_tokens,
        logits_processor=LogitsProcessorList([sampling]),
    )
    return output[:, inputs["input_ids"].shape[1] :]  # type: ignore[no-any-return]


def prompt_positions(model: Any, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of the prompt, (P, L) or (3, P, L), and the position (P, 1) of its last token."""
    counted = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp_min(0)
    last = counted[:, -1:]
    if model.config.model_type not in _THREE_AXES:
        return counted, last
    if "image_grid_thw" not in inputs:
        return counted.expand(3, -1, -1), last
    names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
    positions, shift = model.model.get_rope_index(**{name: inputs[name] for name in names})
    return positions, last + shift
