"""A key-value cache that holds each prompt once, however many completions are drawn of it.

Shapes: P prompts of L tokens, n completions each, B of them still drawn, T tokens drawn so far; H key-value heads,
G query heads for each of these, D numbers a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTENTION = "anectl_shared"
# Room is made for so many more tokens at a time: at least 8, or an eighth of what is there.
_GROWTH = (8, 8)


@dataclass(slots=True)
class Prompts:
    """The cache of P prompts that passed the model: per layer (P, H, L, D), `bias` (P, 1, 1, L) -inf on padding.

    `slots` says for each completion still drawn, in their order, which of the P * n it is.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    bias: torch.Tensor | None
    num_samples: int
    slots: torch.Tensor

    @classmethod
    def of(cls, cache: DynamicCache, mask: torch.Tensor, num_samples: int) -> Prompts:
        """Take over the tensors of a cache that has seen the prompts under this padding mask (P, L)."""
        keys = [layer.keys for layer in cache.layers]
        bias = None
        if not mask.all():
            bias = torch.zeros(mask.shape, dtype=keys[0].dtype, device=mask.device)
            bias = bias.masked_fill_(mask == 0, -torch.inf)[:, None, None]
        slots = torch.arange(len(mask) * num_samples, device=mask.device)
        return cls(keys, [layer.values for layer in cache.layers], bias, num_samples, slots)

    def keep(self, places: torch.Tensor) -> None:
        """Go on with the completions at these places; a prompt that none is drawn of any more is dropped."""
        slots = self.slots[places]
        prompts, owners = torch.unique(slots // self.num_samples, return_inverse=True)
        self.slots = owners * self.num_samples + slots % self.num_samples
        if len(prompts) < len(self.keys[0]):
            # One tensor at a time, so that what is dropped of the last makes room for the next.
            for tensors in (self.keys, self.values):
                for layer, tensor in enumerate(tensors):
                    tensors[layer] = tensor[prompts]
            self.bias = None if self.bias is None else self.bias[prompts]

    def scores(self, queries: torch.Tensor, layer: int) -> torch.Tensor:
        """Scores (B, H, G, L) of scaled queries (B, H, G, D)."""
        spread = self._by_prompt(queries) @ self.keys[layer].transpose(2, 3)
        return self._by_completion(spread if self.bias is None else spread + self.bias, queries.shape[2])

    def mixed(self, weights: torch.Tensor, layer: int) -> torch.Tensor:
        """Values (B, H, G, D) under weights (B, H, G, L)."""
        return self._by_completion(self._by_prompt(weights) @ self.values[layer], weights.shape[2])

    def _by_prompt(self, rows: torch.Tensor) -> torch.Tensor:
        """(B, H, G, X) to (P, H, n G, X)."""
        count = len(self.keys[0]) * self.num_samples
        if len(rows) < count:
            rows = rows.new_zeros(count, *rows.shape[1:]).index_copy_(0, self.slots, rows)
        grouped = rows.view(-1, self.num_samples, *rows.shape[1:]).transpose(1, 2)
        return grouped.reshape(len(grouped), grouped.shape[1], -1, rows.shape[3])

    def _by_completion(self, spread: torch.Tensor, group: int) -> torch.Tensor:
        """(P, H, n G, X) to (B, H, G, X)."""
        prompts, heads, _, width = spread.shape
        rows = spread.view(prompts, heads, self.num_samples, group, width).transpose(1, 2).flatten(0, 1)
        return rows if len(rows) == len(self.slots) else rows[self.slots]


class DrawnLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values (B, H, T, D) of what was drawn, written in place into room made ahead."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is held yet."""
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append one token's (B, H, 1, D); views of all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._length == self.keys.shape[2]:
            # One after the other, so that the old keys are gone before the values are copied.
            self.keys = self._roomy(self.keys)
            self.values = self._roomy(self.values)
        self.keys[:, :, self._length] = key_states[:, :, 0]
        self.values[:, :, self._length] = value_states[:, :, 0]
        self._length += 1
        return self.keys[:, :, : self._length], self.values[:, :, : self._length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of what a mask would cover."""
        return self._length + query_length, 0

    def get_seq_length(self) -> int:
        """How many tokens were drawn."""
        return self._length

    def get_max_length(self) -> int:
        """There is no most."""
        return -1

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows."""
        if self.is_initialized:
            self.keys = self._roomy(self.keys, indices)
            self.values = self._roomy(self.values, indices)

    def _roomy(self, held: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """A copy, of these rows or all, with room for more tokens."""
        room = max(_GROWTH[0], self._length // _GROWTH[1])
        count = len(held) if rows is None else len(rows)
        copy = held.new_empty(count, held.shape[1], self._length + room, held.shape[3])
        drawn, place = held[:, :, : self._length], copy[:, :, : self._length]
        if rows is None:
            place.copy_(drawn)
        else:
            torch.index_select(drawn, 0, rows, out=place)
        return copy


class SharedCache(Cache):  # type: ignore[misc]
    """Prompts, each once, and what was drawn of them; the completions of the first prompts come first."""

    def __init__(self, prompts: Sequence[Prompts]) -> None:
        super().__init__(layers=[DrawnLayer() for _ in prompts[0].keys])
        self.prompts = list(prompts)

    def keep(self, places: torch.Tensor) -> None:
        """Go on with the completions at these places (ascending)."""
        for layer in self.layers:
            layer.batch_select_indices(places)
        start, kept = 0, []
        for prompts in self.prompts:
            end = start + len(prompts.slots)
            own = places[(places >= start) & (places < end)] - start
            if len(own):
                prompts.keep(own)
                kept.append(prompts)
            start = end
        self.prompts = kept

    def attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, layer: int, scaling: float
    ) -> torch.Tensor:
        """Attention of one token's queries (B, H G, 1, D) over prompt and drawn tokens: (B, 1, H G, D)."""
        queries = (queries * scaling).view(len(queries), keys.shape[1], -1, queries.shape[3])
        drawn = queries @ keys.transpose(2, 3)
        mixed = torch.empty_like(queries)
        start = 0
        for prompts in self.prompts:
            rows = slice(start, start + len(prompts.slots))
            scores = torch.cat([prompts.scores(queries[rows], layer), drawn[rows]], dim=-1)
            weights = scores.softmax(dim=-1, dtype=torch.float32).to(queries.dtype)
            length = prompts.keys[layer].shape[2]
            torch.add(
                prompts.mixed(weights[..., :length], layer), weights[..., length:] @ values[rows], out=mixed[rows]
            )
            start = rows.stop
        return mixed.flatten(1, 2)[:, None]


# The attention of a model is chosen by name for the whole process; what it works on is chosen here, for a step.
_in_use: list[SharedCache] = []


@contextmanager
def attending(model: Any, cache: SharedCache) -> Iterator[None]:
    """Let the decoder of the model attend over this cache; nothing else may pass the model meanwhile."""
    text = model.config.get_text_config(decoder=True)
    before = text._attn_implementation
    text._attn_implementation = ATTENTION
    _in_use.append(cache)
    try:
        yield
    finally:
        _in_use.pop()
        text._attn_implementation = before


def shared_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """For transformers' AttentionInterface: one token of each completion over the cache in use.

    Raises NotImplementedError for attention of another kind (sliding window, capped scores, sinks).
    """
    unknown = [name for name in ("sliding_window", "softcap", "s_aux", "position_bias") if others.get(name) is not None]
    if unknown or query.shape[2] != 1:
        raise NotImplementedError(f"attention with {unknown or 'many queries'} over shared prompts")
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    return _in_use[-1].attend(query, key, value, module.layer_idx, scale), None


AttentionInterface.register(ATTENTION, shared_attention)
