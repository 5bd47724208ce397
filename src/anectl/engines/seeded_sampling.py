"""Choose the next tokens of many completions, each from a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from anectl.core.protocols import SamplingParams

_HALF = 0x7FFFFFFF
# Logits looked at together, on a GPU and on a CPU: a vocabulary of 150,000 for many rows takes gigabytes.
_AT_ONCE = (2**24, 2**19)


class SeededSampling(LogitsProcessor):  # type: ignore[misc]
    """Draws the next token of every completion from its own seed, and keeps count of the completions.

    Exponential race (Gumbel-max trick; Maddison et al. 2014, arXiv 1411.0030): with E_i ~ Exp(1), the argmin over i of
    E_i / p_i is distributed as p. E_i is a hash of the seed, the number of the token in the completion and i, so
    neither the neighbours, the size of the batch nor the device change what is drawn; and a logit that is off by a
    rounding error changes the choice only where two candidates all but tie.

    Shapes: B completions in all, A <= B of them still in the batch, V tokens of vocabulary. `logprob` (B) is under the
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
        """`budgets` (B) is the most tokens each completion may have; `seeds` (B) count modulo 2^64."""
        device = budgets.device
        self.params = params
        self.logprob = torch.zeros(0, device=device, dtype=torch.float64)
        self.num_tokens = torch.zeros(0, device=device, dtype=torch.long)
        self.stopped = torch.zeros(0, device=device, dtype=torch.bool)
        self.stops = list(stops)
        self._stop_ids = torch.tensor(self.stops, device=device, dtype=torch.long)
        self._banned = torch.tensor(list(banned), device=device, dtype=torch.long)
        self._budgets = budgets[:0]
        self._all_seeds = torch.zeros(0, device=device, dtype=torch.long)
        self.add(seeds, budgets)

    def add(self, seeds: Sequence[int], budgets: torch.Tensor) -> None:
        """More completions behind those there are."""
        numbers = torch.tensor([_signed(seed, 64) for seed in seeds], device=budgets.device, dtype=torch.long)
        self._all_seeds = torch.cat([self._all_seeds, numbers])
        self._budgets = torch.cat([self._budgets, budgets])
        self.logprob = torch.cat([self.logprob, self.logprob.new_zeros(len(seeds))])
        self.num_tokens = torch.cat([self.num_tokens, self.num_tokens.new_zeros(len(seeds))])
        self.stopped = torch.cat([self.stopped, self.stopped.new_zeros(len(seeds))])
        self.begin(0, len(self._all_seeds))

    def begin(self, start: int, end: int) -> None:
        """Draw the completions from `start` up to `end` next, each from its first token on."""
        self.rows = torch.arange(start, end, device=self._all_seeds.device)
        self._seeds = self._all_seeds[start:end]
        self._num_steps = 0

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        """The next token (A) of every current row, from raw logits (A, V)."""
        size = max(1, _AT_ONCE[logits.device.type == "cpu"] // logits.shape[1])
        found = [
            self._choose(part.float(), seeds)
            for part, seeds in zip(torch.split(logits, size), torch.split(self._seeds, size), strict=True)
        ]
        tokens, shares = (torch.cat(part) for part in zip(*found, strict=True))
        self._num_steps += 1
        self._count(shares, tokens)
        return tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """For `generate`: -inf everywhere but at the chosen token, so that whatever it draws is that one."""
        tokens = self.choose(scores)[:, None]
        return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)

    def active(self) -> torch.Tensor:
        """Which of the current rows (A) go on."""
        return ~self.stopped[self.rows] & (self.num_tokens[self.rows] < self._budgets[self.rows])

    def keep(self, places: torch.Tensor) -> None:
        """Go on with the rows at these places of the current ones."""
        self.rows, self._seeds = self.rows[places], self._seeds[places]

    def _choose(self, logits: torch.Tensor, seeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (A) and the share of each under the policy, of some of the rows."""
        shares = logits.softmax(dim=-1)
        if self.params.temperature == 0:
            tokens = logits.index_fill(1, self._banned, -torch.inf).argmax(dim=-1)
        else:
            weights = self._weights(logits, shares)
            tokens = negative_exponentials(seeds, self._num_steps, logits.shape[1]).div_(weights).argmax(dim=-1)
        return tokens, shares.gather(1, tokens[:, None])[:, 0]

    def _weights(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """What the draw is in proportion to (A, V): shares at the temperature, without banned tokens and the tail."""
        if self.params.temperature == 1 and self.params.top_p >= 1:
            # In place: no share of a banned token is asked for afterwards.
            return shares.index_fill_(1, self._banned, 0.0)
        scores = logits.index_fill(1, self._banned, -torch.inf) / self.params.temperature
        return nucleus(scores, self.params.top_p).softmax(dim=-1)

    def _count(self, shares: torch.Tensor, tokens: torch.Tensor) -> None:
        going = self.active()
        self.logprob[self.rows] += torch.where(going, shares.log().double(), 0.0)
        self.num_tokens[self.rows] += going
        self.stopped[self.rows] |= going & torch.isin(tokens, self._stop_ids)


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


def negative_exponentials(seeds: torch.Tensor, step: int, size: int) -> torch.Tensor:
    """-E (A, size) with E ~ Exp(1), a pure function of each seed (A, int64), the step and the column.

    The seed and the step make two 32-bit keys (SplitMix64; Steele, Lea and Flood 2014), which a 32-bit hash mixes with
    the column: two rounds of shift, xor and multiply with the constants of lowbias32 (Wellons 2018).
    """
    keys = _mixed64(seeds + _signed((step + 1) * 0x9E3779B97F4A7C15, 64))
    first, second = keys.to(torch.int32)[:, None], (keys >> 32).to(torch.int32)[:, None]
    columns = _rounds(torch.arange(size, dtype=torch.int32, device=seeds.device), torch.zeros_like(first[:1, 0]))
    bits = _rounds(columns ^ first, second).bitwise_and_(_HALF).float()
    # Over 0 and under 1 in float32, and fine near 0, where an unlikely token wins.
    return bits.add_(0.5).mul_((1 - 2**-23) / 2**31).neg_().log1p_()


def _rounds(bits: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Mix int32 numbers in place; torch shifts the sign in, hence the masks."""
    shifted = (bits >> 16).bitwise_and_(0xFFFF)
    bits.bitwise_xor_(shifted).mul_(_signed(0x7FEB352D, 32)).add_(key)
    torch.bitwise_right_shift(bits, 15, out=shifted)
    bits.bitwise_xor_(shifted.bitwise_and_(0x1FFFF)).mul_(_signed(0x846CA68B, 32))
    torch.bitwise_right_shift(bits, 16, out=shifted)
    return bits.bitwise_xor_(shifted.bitwise_and_(0xFFFF))


def _mixed64(bits: torch.Tensor) -> torch.Tensor:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ ((bits >> shift) & ((1 << (64 - shift)) - 1))) * _signed(factor, 64)
    return bits ^ ((bits >> 31) & ((1 << 33) - 1))


def _signed(number: int, width: int) -> int:
    """The two's complement number with the same lowest `width` bits."""
    return (number + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
