"""Sample from a checkpoint, and score completions under it, with transformers.

A block of prompts runs as one batch; see `decoding` for how, and `seeded_sampling` for what is drawn.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

import torch

from anectl.core.errors import AnectlError
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.engines.checkpoints import load_vlm, stop_token_ids, vision_token_ids
from anectl.engines.decoding import decode_shared, decoder_for, prompt_positions
from anectl.engines.prompt_encoding import PromptEncoder, followed_by
from anectl.engines.seeded_sampling import SeededSampling

T = TypeVar("T")
Inputs = dict[str, torch.Tensor]
# So many prompts pass the model at a time: enough to keep it busy, few enough that its activations stay small.
PREFILL_ROWS = 32


class TransformersSampler:
    """`Sampler` and `Scorer` over a vision-language checkpoint or adapter.

    Requests are taken in blocks of `batch_size` by their position. What a sample draws depends on its seed and its
    prompt; the block plays a part only through the rounding of batched arithmetic.
    """

    continuous = False

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        batch_size: int = 16,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """`chat_template_kwargs` are variables of the chat template, such as `enable_thinking`.

        Raises AnectlError when `model` is no vision-language checkpoint that can be loaded.
        """
        self.name = model
        self.batch_size = batch_size
        self.num_halvings = 0
        self.model, self.processor = load_vlm(model, dtype)
        self._banned = vision_token_ids(self.model, self.processor)
        self._decode = decoder_for(self.model, self._banned)
        self._stops = stop_token_ids(self.model, self.processor)
        self._encoder = PromptEncoder(self.model, self.processor, self._banned, chat_template_kwargs)

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in order; a request that cannot be encoded gets draws with an error.

        Where memory runs out the block is drawn in halves, and those in halves, and the next block whole again.
        Raises AnectlError when there is not enough for one completion.
        """
        for block in _blocks(requests, self.batch_size):
            yield from self._sample_fitting(block, params)

    def close(self) -> None:
        """The model is given back with the object."""

    def mean_nll(self, requests: Sequence[tuple[PromptRequest, str]]) -> list[float | str]:
        """Mean negative log-likelihood (nats) per token of each completion and the token that ends it.

        The completion is tokenized by itself. For a prompt that cannot be encoded, the reason instead. Where memory
        runs out rows are scored in halves. Raises AnectlError when there is not enough for one.
        """
        losses: list[float | str] = []
        for block in _blocks(requests, self.batch_size):
            found: dict[int, float | str] = {}
            for rows in _alike([request for request, _ in block]):
                values = self._mean_nll_fitting([block[row] for row in rows])
                found |= dict(zip(rows, values, strict=True))
            losses += [found[row] for row in range(len(block))]
        return losses

    def _sample_fitting(self, requests: Sequence[PromptRequest], params: SamplingParams) -> list[tuple[Draw, ...]]:
        """Draws for all requests, in as few batches as there is memory for."""
        try:
            return self._sample_together(requests, params)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        self._make_room()
        half = (len(requests) + 1) // 2
        if len(requests) > 1:
            parts = [self._sample_fitting(part, params) for part in (requests[:half], requests[half:])]
            return [*parts[0], *parts[1]]
        (request,) = requests
        half = len(request.seeds) // 2
        if not half:
            raise AnectlError(
                f"not enough memory for one completion of problem {request.key}",
                hint="free some, or use fewer --max-tokens or a smaller --dtype",
            )
        halves = [replace(request, seeds=seeds) for seeds in (request.seeds[:half], request.seeds[half:])]
        ((first,), (second,)) = (self._sample_fitting([part], params) for part in halves)
        return [(*first, *second)]

    def _mean_nll_fitting(self, pairs: Sequence[tuple[PromptRequest, str]]) -> list[float | str]:
        try:
            return self._mean_nll_alike(pairs)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        self._make_room()
        if len(pairs) == 1:
            raise AnectlError(f"not enough memory to score a completion of problem {pairs[0][0].key}")
        half = len(pairs) // 2
        return [*self._mean_nll_fitting(pairs[:half]), *self._mean_nll_fitting(pairs[half:])]

    def _make_room(self) -> None:
        """Call it only where the error holds its frames no more, or their memory is not free again."""
        gc.collect()
        torch.cuda.empty_cache()
        self.num_halvings += 1

    @torch.inference_mode()
    def _sample_together(self, requests: Sequence[PromptRequest], params: SamplingParams) -> list[tuple[Draw, ...]]:
        """Draws for a block: the prompts pass in runs of their kind and length, then all are decoded together."""
        none = torch.zeros(0, dtype=torch.long, device=self.model.device)
        sampling = SeededSampling([], params, banned=self._banned, stops=self._stops, budgets=none)
        draws: dict[int, tuple[Draw, ...]] = {}
        drawn: list[int] = []
        batches = self._encoded(requests, sampling, draws, drawn)
        found = iter(self._to_draws(self._decode(self.model, batches, sampling, params.max_tokens), sampling))
        draws |= {row: tuple(islice(found, len(requests[row].seeds))) for row in drawn}
        return [draws.get(row, ()) for row in range(len(requests))]

    def _encoded(
        self,
        requests: Sequence[PromptRequest],
        sampling: SeededSampling,
        draws: dict[int, tuple[Draw, ...]],
        drawn: list[int],
    ) -> Iterator[tuple[Inputs, int]]:
        """Model inputs run by run, made when they are asked for: pixels are the larger part of what a prompt takes.

        On the way `draws` gets what cannot be encoded, `drawn` the rows that can, and `sampling` their completions.
        """
        for run in _alike(requests):
            encoded = self._encoder.encode([requests[row] for row in run])
            num_samples = len(requests[run[0]].seeds)
            draws |= {run[place]: (_failed(error),) * num_samples for place, error in encoded.errors.items()}
            if encoded.rows and num_samples:
                rows = [run[place] for place in encoded.rows]
                drawn += rows
                lengths = encoded.inputs["attention_mask"].sum(dim=1).repeat_interleave(num_samples)
                room = (self._encoder.context_length - lengths).clamp_max(sampling.params.max_tokens)
                sampling.add([seed for row in rows for seed in requests[row].seeds], room)
                yield encoded.inputs, num_samples

    def _to_draws(self, tokens: torch.Tensor, sampling: SeededSampling) -> list[Draw]:
        draws = []
        columns = (tokens.tolist(), sampling.num_tokens.tolist(), sampling.logprob.tolist(), sampling.stopped.tolist())
        for ids, num_tokens, logprob, stopped in zip(*columns, strict=True):
            text = self.processor.tokenizer.decode(ids[: num_tokens - stopped], skip_special_tokens=True)
            draws.append(Draw(text, "stop" if stopped else "length", num_tokens, logprob))
        return draws

    @torch.inference_mode()
    def _mean_nll_alike(self, pairs: Sequence[tuple[PromptRequest, str]]) -> list[float | str]:
        encoded = self._encoder.encode([request for request, _ in pairs])
        found: dict[int, float | str] = dict(encoded.errors)
        if not encoded.rows:
            return [found[row] for row in range(len(pairs))]
        tokenizer = self.processor.tokenizer
        targets = [
            [*tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True), self._stops[0]]
            for _, text in (pairs[row] for row in encoded.rows)
        ]
        inputs = followed_by(encoded.inputs, targets)
        if self._decode is decode_shared:
            inputs["position_ids"], _ = prompt_positions(self.model, inputs)
        length = max(map(len, targets))
        logits = self.model(**inputs, logits_to_keep=length + 1).logits[:, :-1].float()
        wanted = inputs["input_ids"][:, -length:]
        losses = logits.logsumexp(dim=-1) - logits.gather(2, wanted[:, :, None])[:, :, 0]
        mask = inputs["attention_mask"][:, -length:]
        found |= zip(encoded.rows, ((losses * mask).sum(dim=1) / mask.sum(dim=1)).tolist(), strict=True)
        return [found[row] for row in range(len(pairs))]


def _blocks(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Runs of `size` items, the last one shorter."""
    iterator = iter(items)
    while block := tuple(islice(iterator, size)):
        yield block


def _alike(requests: Sequence[PromptRequest]) -> list[list[int]]:
    """Positions of the requests in runs that can pass the model together with little padding.

    All of a run have images or none has, they have equally many samples, and about the same length.
    """
    groups: dict[tuple[bool, int], list[int]] = {}
    for position, request in enumerate(requests):
        groups.setdefault((bool(request.images), len(request.seeds)), []).append(position)
    for group in groups.values():
        group.sort(key=lambda position: _size(requests[position]))
    return [list(run) for group in groups.values() for run in _blocks(group, PREFILL_ROWS)]


def _size(request: PromptRequest) -> tuple[int, int]:
    return len(request.images), sum(len(message.content) for message in request.messages) + len(request.prefix)


def _is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Of a GPU (torch and its libraries) or of the host, whose allocator raises a bare RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error) for words in ("can't allocate memory", "not enough memory", "ALLOC_FAILED"))


def _failed(error: str) -> Draw:
    return Draw("", "error", 0, error=error)
