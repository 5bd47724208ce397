"""The policy as its own embedder: what it makes of image and question together, pooled into one vector.

RDS+ (Ivison et al. 2025, arXiv 2503.01807): the last hidden states, averaged with weights that grow with position,
w_i = i / sum_j j over the tokens that are no padding, since a causal model has seen more at later positions. Of a
turn with images only the text's positions count: they have seen the image, and among hundreds of image tokens a
question of twenty would not be heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch

from anectl.core.errors import AnectlError
from anectl.core.protocols import EmbedItem
from anectl.core.records import Signal
from anectl.engines.checkpoints import load_vlm, vision_token_ids
from anectl.engines.fingerprint import fingerprint
from anectl.engines.prompt_encoding import PLACEHOLDER


class PolicyEmbedder:
    """Embeds the user's turn of a problem; `name` tells the weights apart, wherever they lie."""

    signals: tuple[Signal, ...] = ("text", "image", "joint")

    def __init__(self, model: str, *, batch_size: int = 32) -> None:
        """Raises AnectlError when `model` is no vision-language checkpoint."""
        network, self._processor = load_vlm(model, "auto")
        self.name = f"policy:{network.config.model_type}:{fingerprint(network)}"
        self.dimension: int = network.config.get_text_config().hidden_size
        # Without the language-model head: it would cost more than all else and is not looked at.
        self._network = network.base_model
        self._batch_size = batch_size
        self._vision_ids = torch.tensor(vision_token_ids(network, self._processor), device=network.device)
        added = self._processor.tokenizer.added_tokens_decoder.values()
        special = sorted((token.content for token in added if token.special), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")

    def embed_all(self, windows: Iterable[Sequence[EmbedItem]]) -> Iterator[Any]:
        """The array of each window, in order."""
        return map(self.embed, windows)

    def close(self) -> None:
        """The model is given back with the object."""

    def embed(self, items: Sequence[EmbedItem]) -> Any:
        """Array of shape (len(items), dimension), rows of length 1. Raises AnectlError for a non-finite vector."""
        vectors = torch.empty(len(items), self.dimension)
        for places in self._batches(items):
            vectors[places] = self._embed_batch([items[place] for place in places])
        if not torch.isfinite(vectors).all():
            raise AnectlError("the policy gave hidden states that are not finite", hint="its weights may be damaged")
        return vectors.numpy()

    def _batches(self, items: Sequence[EmbedItem]) -> Iterator[list[int]]:
        """Places of items of equally many images, in order of length, so that little is padded."""
        order = sorted(range(len(items)), key=lambda place: (len(items[place].images), len(items[place].text), place))
        for _, group in groupby(order, key=lambda place: len(items[place].images)):
            places = list(group)
            for start in range(0, len(places), self._batch_size):
                yield places[start : start + self._batch_size]

    @torch.inference_mode()
    def _embed_batch(self, items: Sequence[EmbedItem]) -> torch.Tensor:
        images = [[image.open() for image in item.images] for item in items]
        inputs = self._processor(
            text=[self._user_turn(item) for item in items],
            images=images if images[0] else None,
            padding=True,
            return_tensors="pt",
            add_special_tokens=False,
        ).to(self._network.device, self._network.dtype)
        hidden_BTD = self._network(**inputs, use_cache=False).last_hidden_state.float()
        mask_BT = inputs["attention_mask"] * ~torch.isin(inputs["input_ids"], self._vision_ids)
        weights_BT = (mask_BT.cumsum(dim=1) * mask_BT).float()
        weights_BT /= weights_BT.sum(dim=1, keepdim=True)
        pooled_BD = torch.einsum("bt,btd->bd", weights_BT, hidden_BTD)
        return torch.nn.functional.normalize(pooled_BD, dim=1).cpu()

    def _user_turn(self, item: EmbedItem) -> str:
        """The turn through the chat template; each image where the text says `<image>`, else before the text."""
        pieces = item.text.split(PLACEHOLDER)
        if len(pieces) != len(item.images) + 1:
            pieces = [*[""] * len(item.images), item.text]
        content: list[dict[str, str]] = []
        for number, piece in enumerate(pieces):
            content += [{"type": "image"}] if number else []
            # A question that spells a special token is text: with a space inside it is none any more.
            text = self._special.sub(lambda match: f"{match.group()[0]} {match.group()[1:]}", piece)
            content += [{"type": "text", "text": text}] if text else []
        return str(self._processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False))
