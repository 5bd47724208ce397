"""Decode many samples of each prompt, where the prompt and its images pass the model once.

A completion that is finished leaves the batch. Shapes: P prompts of L tokens, n samples each, B = P n completions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, islice
from typing import Any, TypeAlias

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList

from anectl.engines.seeded_sampling import SeededSampling
from anectl.engines.shared_cache import Prompts, SharedCache, attending

Inputs = dict[str, torch.Tensor]
Batches: TypeAlias = Iterable[tuple[Inputs, int]]
"""Prompts that passed the processor together, and how many samples each of them gets; made when they are asked for."""
Decoder: TypeAlias = Callable[[Any, Batches, SeededSampling, int], torch.Tensor]
# Families whose positions have three axes, counted by their `get_rope_index`; checked against `generate`.
_THREE_AXES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"})
# Copying the cache costs about as much as the step of as many rows.
COMPACT_BELOW = 0.9
# How often to look who has finished: to ask a GPU is to wait for it.
_LOOK_EVERY = {"cpu": 1, "cuda": 4}


def decoder_for(model: Any, banned: Sequence[int] = ()) -> Decoder:
    """The decoder for this family: `decode_shared` where a trial with no `banned` tokens is right, else `decode_plain`.

    Both take (model, batches, sampling, max tokens) and give tokens (B, max tokens), batch after batch.
    """
    text = model.config.get_text_config(decoder=True).to_dict()
    attention = set(text.get("layer_types") or ["full_attention"])
    has_axes = "mrope_section" in (text.get("rope_parameters") or {})
    unknown_axes = has_axes and model.config.model_type not in _THREE_AXES
    if attention != {"full_attention"} or unknown_axes or "cross_attention_layers" in text:
        return decode_plain
    return decode_shared if _shares_rightly(model, banned) else decode_plain


@torch.inference_mode()
def decode_shared(model: Any, batches: Batches, sampling: SeededSampling, max_tokens: int) -> torch.Tensor:
    """Prompts pass once, and the cache holds them once for all their samples."""
    prompts, logits, last = _prefill(model, batches)
    tokens = torch.zeros(len(sampling.rows), max_tokens, dtype=torch.long, device=model.device)
    if not prompts:
        return tokens
    cache = SharedCache(prompts)
    look_every = _LOOK_EVERY.get(model.device.type, 1)
    with attending(model, cache):
        for step in range(max_tokens):
            chosen = sampling.choose(logits)
            tokens[sampling.rows, step] = chosen
            if step % look_every == look_every - 1:
                active = sampling.active().nonzero()[:, 0]
                if not len(active):
                    break
                if len(active) < COMPACT_BELOW * len(chosen):
                    sampling.keep(active)
                    cache.keep(active)
                    chosen, last = chosen[active], last[active]
            last = last + 1
            if step + 1 < max_tokens:
                logits = _step(model, chosen, last, cache)
    return tokens


@torch.inference_mode()
def decode_plain(model: Any, batches: Batches, sampling: SeededSampling, max_tokens: int) -> torch.Tensor:
    """By the family's own `generate`, which passes the prompt once for every sample."""
    # Nothing of the checkpoint's taste (repetition penalty, top-k) may come on top of what `sampling` has chosen.
    model.generation_config = GenerationConfig(
        do_sample=True, top_k=0, eos_token_id=sampling.stops, pad_token_id=sampling.stops[0]
    )
    tokens: list[torch.Tensor] = []
    for inputs, num_samples in batches:
        start = sum(map(len, tokens))
        sampling.begin(start, start + len(inputs["input_ids"]) * num_samples)
        output = model.generate(
            **inputs,
            num_return_sequences=num_samples,
            max_new_tokens=max_tokens,
            logits_processor=LogitsProcessorList([sampling]),
        )
        drawn = output[:, inputs["input_ids"].shape[1] :]
        tokens.append(torch.nn.functional.pad(drawn, (0, max_tokens - drawn.shape[1])))
    return torch.cat(tokens) if tokens else torch.zeros(0, max_tokens, dtype=torch.long, device=model.device)


def _prefill(model: Any, batches: Batches) -> tuple[list[Prompts], torch.Tensor, torch.Tensor]:
    """The prompts' caches, the logits (B, V) after each and the position (B) of its last token."""
    prompts: list[Prompts] = []
    logits, lasts = [torch.empty(0, device=model.device)], [torch.empty(0, dtype=torch.long, device=model.device)]
    for inputs, num_samples in batches:
        positions, last = prompt_positions(model, inputs)
        cache = DynamicCache(config=model.config.get_text_config(decoder=True))
        known = {**inputs, "position_ids": positions, "past_key_values": cache, "use_cache": True}
        found = model(**known, logits_to_keep=1).logits[:, -1]
        prompts.append(Prompts.of(cache, inputs["attention_mask"], num_samples))
        logits.append(found.repeat_interleave(num_samples, dim=0))
        lasts.append(last[:, 0].repeat_interleave(num_samples))
    return prompts, torch.cat(logits[1:] or logits), torch.cat(lasts)


def _step(model: Any, chosen: torch.Tensor, last: torch.Tensor, cache: SharedCache) -> torch.Tensor:
    """Logits (B, V) after the tokens (B) at these positions (B)."""
    place = last[:, None]
    if model.config.model_type in _THREE_AXES:
        place = place.expand(3, -1, -1)
    output = model(input_ids=chosen[:, None], position_ids=place, past_key_values=cache, use_cache=True)
    return output.logits[:, -1]  # type: ignore[no-any-return]


@torch.inference_mode()
def _shares_rightly(model: Any, banned: Sequence[int]) -> bool:
    """Whether two steps over a shared cache give what one pass over whole texts gives; a few tokens are tried."""
    plain_ids = islice((number for number in count() if number not in set(banned)), 2, 6)
    first, second, third, fourth = plain_ids
    begun = torch.tensor([[first, second]], device=model.device)
    more = torch.tensor([[third, fourth], [fourth, third]], device=model.device)
    prompts, _, last = _prefill(model, [({"input_ids": begun, "attention_mask": torch.ones_like(begun)}, 2)])
    cache = SharedCache(prompts)
    try:
        with attending(model, cache):
            _step(model, more[:, 0], last + 1, cache)
            shared = _step(model, more[:, 1], last + 2, cache).float()
    except (NotImplementedError, AttributeError, TypeError, KeyError):
        return False
    whole = torch.cat([begun.expand(2, -1), more], dim=1)
    plain = model(input_ids=whole, attention_mask=torch.ones_like(whole)).logits[:, -1].float()
    # Far over the rounding of any precision, far under what another kind of attention makes.
    return bool((shared - plain).abs().max() <= 0.05 * plain.abs().max())


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
