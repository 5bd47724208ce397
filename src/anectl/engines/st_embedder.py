"""Embedders from sentence-transformers: text only, or CLIP-like with images in the same space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from anectl.core.errors import AnectlError
from anectl.core.protocols import EmbedItem
from anectl.core.records import Signal
from anectl.engines.fingerprint import fingerprint


class SentenceEmbedder:
    """Embeds texts; with a CLIP-like model also images, and for both the mean of the two unit vectors."""

    def __init__(self, name: str, *, batch_size: int = 32) -> None:
        """Raises AnectlError when `name` is no sentence-transformers model."""
        try:
            self._model = SentenceTransformer(name, trust_remote_code=False)
        except (OSError, ValueError, ImportError) as error:
            raise AnectlError(f"cannot be loaded by sentence-transformers: {error}", path=name) from None
        _cap_text_length(self._model)
        self.name = f"sentence-transformers:{fingerprint(self._model)}"
        self.dimension = int(self._model.get_embedding_dimension())
        self.signals: tuple[Signal, ...] = ("text", "image", "joint") if self._model.supports("image") else ("text",)
        self._batch_size = batch_size

    def embed_all(self, windows: Iterable[Sequence[EmbedItem]]) -> Iterator[Any]:
        """The array of each window, in order."""
        return map(self.embed, windows)

    def close(self) -> None:
        """The model is given back with the object."""

    def embed(self, items: Sequence[EmbedItem]) -> Any:
        """Array of shape (len(items), dimension), rows of length 1. Raises AnectlError for a non-finite vector."""
        vectors = np.zeros((len(items), self.dimension), dtype=np.float32)
        written = [place for place, item in enumerate(items) if item.text or not self._sees(item)]
        if written:
            vectors[written] = self._encode([as_plain_text(items[place].text) for place in written])
        vectors = self._with_images(vectors, items)
        if not np.isfinite(vectors).all():
            raise AnectlError("the embedder gave a vector that is not finite", hint="its weights may be damaged")
        return vectors

    def _sees(self, item: EmbedItem) -> bool:
        return bool(item.images) and "image" in self.signals

    def _with_images(self, vectors: Any, items: Sequence[EmbedItem]) -> Any:
        # One batch of images at a time: decoded, they take a thousand times the room of their vectors.
        shown = [place for place, item in enumerate(items) if self._sees(item)]
        owners = [place for place in shown for _ in items[place].images]
        images = [image for place in shown for image in items[place].images]
        sums = np.zeros_like(vectors)
        for start in range(0, len(images), self._batch_size):
            decoded = [image.open() for image in images[start : start + self._batch_size]]
            np.add.at(sums, owners[start : start + self._batch_size], self._encode(decoded))
        vectors[shown] = unit(vectors[shown] + unit(sums[shown]))
        return vectors

    def _encode(self, inputs: Sequence[Any]) -> Any:
        vectors = self._model.encode(
            list(inputs), batch_size=self._batch_size, convert_to_numpy=True, show_progress_bar=False
        )
        return unit(np.asarray(vectors, dtype=np.float32))


def _cap_text_length(model: SentenceTransformer) -> None:
    """Let the tokenizer cut texts at what the model has positions for; some tokenizers name no limit of their own."""
    config = getattr(model[0], "config", None) or getattr(getattr(model[0], "auto_model", None), "config", None)
    positions = getattr(getattr(config, "text_config", config), "max_position_embeddings", None)
    tokenizer = getattr(model.tokenizer, "tokenizer", model.tokenizer)  # a CLIP processor holds its tokenizer
    if positions and tokenizer.model_max_length > positions:
        tokenizer.model_max_length = positions


def as_plain_text(text: str) -> str:
    """The text so that sentence-transformers takes it for nothing else.

    It reads a file where a text is the path of an image, a sound or a film, fetches one where it is such a URL, and
    decodes data URIs; it looks at the first and last characters, so a space at either end makes it plain.
    """
    return f" {text} "


def unit(vectors: Any) -> Any:
    """Each row (last axis) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
