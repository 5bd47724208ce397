"""Sample from a checkpoint, and score completions under it, with transformers.

A block of prompts runs as one batch; see `decoding` for how, and `seeded_sampling` for what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import torch

from anectl.core.errors import AnectlError
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.engines.checkpoints import load_vlm, stop_token_ids, vision_token_ids
from anectl.engines.decoding import decode_shared, decoder_for, prompt_positions
from anectl.engines.prompt_encoding import PromptEncoder
from anectl.engines.seeded_sampling import SeededSampling

T = TypeVar("T")
Inputs = dict[str, torch.Tensor]


class TransformersSampler:
    """`Sampler` and `Scorer` over a vision-language checkpoint or adapter.

    Requests are taken in blocks of `batch_size` by their position. What a sample draws depends on its seed and its
    prompt; the block plays a part only through the rounding of batched arithmetic.
    """

    continuous = False

    def __init__(self, model: str, *, dtype: str = "auto", batch_size: int = 16) -> None:
        """Raises AnectlError when `model` is no vision-language checkpoint that can be loaded."""
        self.name = model
        self.batch_size = batch_size
        self.model, self.processor = load_vlm(model, dtype)
        self._decode = decoder_for(self.model)
        self._banned = vision_token_ids(self.model, self.processor)
        self._stops = stop_token_ids(self.model, self.processor)
        self._encoder = PromptEncoder(self.model, self.processor, self._banned)

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in order; a request that cannot be encoded gets draws with an error."""
        for block in _blocks(requests, self.batch_size):
            draws: dict[int, tuple[Draw, ...]] = {}
            for rows in _alike(block):
                found = self._sample_alike([block[row] for row in rows], params)
                draws |= dict(zip(rows, found, strict=True))
            yield from (draws[row] for row in range(len(block)))

    def mean_nll(self, requests: Sequence[tuple[PromptRequest, str]]) -> list[float]:
        """Mean negative log-likelihood (nats) per token of each completion and the token that ends it.

        The completion is tokenized by itself. Raises AnectlError for a prompt that cannot be encoded.
        """
        losses: list[float] = []
        for block in _blocks(requests, self.batch_size):
            found: dict[int, float] = {}
            for rows in _alike([request for request, _ in block]):
                values = self._mean_nll_alike([block[row] for row in rows])
                found |= dict(zip(rows, values, strict=True))
            losses += [found[row] for row in range(len(block))]
        return losses

    @torch.inference_mode()
    def _sample_alike(self, requests: Sequence[PromptRequest], params: SamplingParams) -> list[tuple[Draw, ...]]:
        """Draws for requests that have the same number of samples and all have images or all have none."""
        encoded = self._encoder.encode(requests)
        num_samples = len(requests[0].seeds)
        draws = {row: (_failed(error),) * num_samples for row, error in encoded.errors.items()}
        if encoded.rows and num_samples:
            seeds = [seed for row in encoded.rows for seed in requests[row].seeds]
            found = self._draw(encoded.inputs, seeds, params)
            for place, row in enumerate(encoded.rows):
                draws[row] = tuple(found[place * num_samples : (place + 1) * num_samples])
        return [draws.get(row, ()) for row in range(len(requests))]

    def _draw(self, inputs: Inputs, seeds: list[int], params: SamplingParams) -> list[Draw]:
        num_samples = len(seeds) // len(inputs["input_ids"])
        room = self._encoder.context_length - inputs["attention_mask"].sum(dim=1).repeat_interleave(num_samples)
        sampling = SeededSampling(
            seeds, params, banned=self._banned, stops=self._stops, budgets=room.clamp_max(params.max_tokens)
        )
        tokens = self._decode(self.model, inputs, num_samples, sampling, params.max_tokens)
        return self._to_draws(tokens, sampling)

    def _to_draws(self, tokens: torch.Tensor, sampling: SeededSampling) -> list[Draw]:
        draws = []
        columns = (tokens.tolist(), sampling.num_tokens.tolist(), sampling.logprob.tolist(), sampling.stopped.tolist())
        for ids, num_tokens, logprob, stopped in zip(*columns, strict=True):
            text = self.processor.tokenizer.decode(ids[: num_tokens - stopped], skip_special_tokens=True)
            draws.append(Draw(text, "stop" if stopped else "length", num_tokens, logprob))
        return draws

    @torch.inference_mode()
    def _mean_nll_alike(self, pairs: Sequence[tuple[PromptRequest, str]]) -> list[float]:
        encoded = self._encoder.encode([request for request, _ in pairs])
        for row, error in encoded.errors.items():
            raise AnectlError(f"completion of problem {pairs[row][0].key} cannot be scored: {error}")
        tokenizer = self.processor.tokenizer
        targets = [[*tokenizer.encode(text, add_special_tokens=False), self._stops[0]] for _, text in pairs]
        inputs = _followed_by(encoded.inputs, targets)
        if self._decode is decode_shared:
            inputs["position_ids"], _ = prompt_positions(self.model, inputs)
        length = max(map(len, targets))
        logits = self.model(**inputs, logits_to_keep=length + 1).logits[:, :-1].float()
        wanted = inputs["input_ids"][:, -length:]
        losses = logits.logsumexp(dim=-1) - logits.gather(2, wanted[:, :, None])[:, :, 0]
        mask = inputs["attention_mask"][:, -length:]
        means: list[float] = ((losses * mask).sum(dim=1) / mask.sum(dim=1)).tolist()
        return means


def _blocks(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Runs of `size` items, the last one shorter."""
    iterator = iter(items)
    while block := tuple(islice(iterator, size)):
        yield block


def _alike(requests: Sequence[PromptRequest]) -> list[list[int]]:
    """Positions of the requests that can share a batch: with or without images, and equally many samples."""
    groups: dict[tuple[bool, int], list[int]] = {}
    for position, request in enumerate(requests):
        groups.setdefault((bool(request.images), len(request.seeds)), []).append(position)
    return list(groups.values())


def _failed(error: str) -> Draw:
    return Draw("", "error", 0, error=error)


def _followed_by(inputs: Inputs, targets: list[list[int]]) -> Inputs:
    """Left-padded prompts with their targets behind them, padded on the right."""
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
