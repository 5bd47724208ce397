"""Choose the next tokens of many completions, each from a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from anectl.core.protocols import SamplingParams

_SMALLEST = torch.finfo(torch.float32).tiny


class SeededSampling(LogitsProcessor):  # type: ignore[misc]
    """Draws the next token of every completion from its own seed, and keeps count of the completions.

    Gumbel-max trick (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030): with G_i = -log E_i, E_i ~ Exp(1), the
    argmax over i of log p_i + G_i is distributed as p. The noise of a completion comes from its own generator, one
    vector a token, so neither its neighbours nor the size of the batch change what it draws; and a logit that is
    off by a rounding error changes the choice only where two scores all but tie.

    Shapes: B completions in all, A <= B of them still active, V tokens of vocabulary. `logprob` (B) is under the
    policy as it is: temperature 1, the whole vocabulary. The token that ends a completion counts as one of its own.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        params: SamplingParams,
        *,
        banned: Sequence[int],
        stops: Sequence[int],
        budgets: torch.Tensor,
    ) -> None:
        """`budgets` (B) is the most tokens each completion may have."""
        device = budgets.device
        self.params = params
        self.rows = torch.arange(len(seeds), device=device)
        self.logprob = torch.zeros(len(seeds), device=device, dtype=torch.float64)
        self.num_tokens = torch.zeros(len(seeds), device=device, dtype=torch.long)
        self.stopped = torch.zeros(len(seeds), device=device, dtype=torch.bool)
        self._budgets = budgets
        self._banned = torch.tensor(list(banned), device=device, dtype=torch.long)
        self.stops = list(stops)
        self._stop_ids = torch.tensor(list(stops), device=device, dtype=torch.long)
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._noise: torch.Tensor | None = None

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        """The next token (A) of every current row, from raw logits (A, V)."""
        logits = logits.float()
        scores = logits.index_fill(1, self._banned, -torch.inf)
        if self.params.temperature > 0:
            scores = nucleus(scores / self.params.temperature, self.params.top_p)
            scores = scores + self._gumbel(scores)
        tokens = scores.argmax(dim=-1)
        self._count(logits, tokens)
        return tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """For `generate`: -inf everywhere but at the chosen token, so that whatever it draws is that one."""
        tokens = self.choose(scores)[:, None]
        return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)

    def active(self) -> torch.Tensor:
        """Which of the current rows (A) go on."""
        return ~self.stopped[self.rows] & (self.num_tokens[self.rows] < self._budgets[self.rows])

    def keep(self, mask: torch.Tensor) -> None:
        """Go on with the rows where `mask` (A) is true; their generators go on where they are."""
        self.rows = self.rows[mask]
        self._generators = [generator for generator, kept in zip(self._generators, mask.tolist(), strict=True) if kept]
        self._noise = None

    def _gumbel(self, like: torch.Tensor) -> torch.Tensor:
        if self._noise is None or self._noise.shape != like.shape:
            self._noise = torch.empty_like(like)
        for row, generator in zip(self._noise.unbind(), self._generators, strict=True):
            row.exponential_(generator=generator)
        return -self._noise.clamp_min(_SMALLEST).log()

    def _count(self, logits: torch.Tensor, tokens: torch.Tensor) -> None:
        going = self.active()
        rows = self.rows[going]
        chosen = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=-1)
        self.logprob[rows] += chosen[going].double()
        self.num_tokens[rows] += 1
        self.stopped[rows] = torch.isin(tokens[going], self._stop_ids)


def nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Logits (A, V) with all but the smallest set of tokens of probability `top_p` or more at -inf.

    Nucleus sampling, Holtzman et al. 2020 (arXiv 1904.09751). The likeliest token always stays.
    """
    if top_p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    shares = ordered.softmax(dim=-1)
    outside = shares.cumsum(dim=-1) - shares >= top_p
    return logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)
