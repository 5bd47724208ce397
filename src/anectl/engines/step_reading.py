"""Read a vision-language model as a process reward model: behind each step, how much rather "+" than "-" comes next.

The steps stand in the assistant's turn as the policy wrote them, with nothing put between them, and one pass reads them
all. VisualPRM (arXiv 2503.10291) reads two label tokens as well, in a conversation with one turn for each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from anectl.core.errors import AnectlError
from anectl.core.protocols import PromptRequest
from anectl.engines.checkpoints import vision_token_ids
from anectl.engines.decoding import decode_shared, decoder_for, prompt_positions
from anectl.engines.prompt_encoding import PromptEncoder, followed_by


@dataclass(frozen=True, slots=True)
class StepBatch:
    """Model inputs of rows with their steps, and where each step is read.

    `columns` are the places in the sequence that are looked at, (C,); `where` the number among them of each step of
    each row, (B, S), with -1 behind a row's last step; `rows` are the indices of the rows given that are in it, the
    others are in `errors`.
    """

    inputs: dict[str, torch.Tensor]
    columns: torch.Tensor
    where: torch.Tensor
    rows: list[int]
    errors: dict[int, str]


class StepReader:
    """Encodes prompts with their steps, and turns the model's logits into one number per step."""

    def __init__(self, model: Any, processor: Any, labels: tuple[str, str]) -> None:
        """`labels` are the texts of a good and of a bad step. Raises AnectlError for one that is not one token."""
        self.processor = processor
        self._encoder = PromptEncoder(model, processor, banned := vision_token_ids(model, processor))
        self._three_axes = decoder_for(model, banned) is decode_shared
        self.good, self.bad = (self._token(label) for label in labels)

    def _token(self, label: str) -> int:
        ids = self.processor.tokenizer.encode(label, add_special_tokens=False)
        if len(ids) != 1:
            raise AnectlError(
                f"the label {label!r} is {len(ids)} tokens", hint="--labels of one token each, such as +,-"
            )
        return int(ids[0])

    def batch(self, model: Any, rows: Sequence[tuple[PromptRequest, tuple[str, ...]]]) -> StepBatch:
        """The inputs of rows that all have images or all have none; each has a step at least."""
        encoded = self._encoder.encode([request for request, _ in rows])
        found = [self._tokens(rows[row][1]) for row in encoded.rows]
        if not found:
            nothing = torch.zeros(0, dtype=torch.long)
            return StepBatch({}, nothing, nothing, [], encoded.errors)
        inputs = followed_by(encoded.inputs, [ids for ids, _ in found])
        if self._three_axes:
            inputs["position_ids"], _ = prompt_positions(model, inputs)
        begin = encoded.inputs["input_ids"].shape[1]
        places = sorted({begin + end for _, ends in found for end in ends})
        most = max(len(ends) for _, ends in found)
        number = {place: column for column, place in enumerate(places)}
        where = [[number[begin + end] for end in ends] + [-1] * (most - len(ends)) for _, ends in found]
        device = encoded.inputs["input_ids"].device
        return StepBatch(
            inputs,
            torch.tensor(places, device=device),
            torch.tensor(where, device=device),
            encoded.rows,
            encoded.errors,
        )

    def _tokens(self, steps: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """The tokens of the joined steps, and for each step the place of the last token that begins in it."""
        encoded = self.processor.tokenizer(
            "".join(steps), add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        begins = [begin for begin, _ in encoded["offset_mapping"]]
        ends, length, token = [], 0, 0
        for step in steps:
            length += len(step)
            while token + 1 < len(begins) and begins[token + 1] < length:
                token += 1
            ends.append(token)
        return encoded["input_ids"], ends

    def read(self, model: Any, batch: StepBatch) -> torch.Tensor:
        """By how much the good label's logit is over the bad one's, (B, S); anything behind a row's last step."""
        logits = model(**batch.inputs, logits_to_keep=batch.columns).logits
        lead: torch.Tensor = (logits[..., self.good] - logits[..., self.bad]).float()
        return lead.gather(1, batch.where.clamp_min(0))
