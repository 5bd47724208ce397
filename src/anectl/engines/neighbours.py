"""Nearest benchmark questions by an embedder, and how alike two images are to it (numpy).

The vectors of the benchmark questions lie in a temporary file (in TMPDIR), and every one of them is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import islice

import numpy as np

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.protocols import Embedder, EmbedItem
from anectl.engines.vector_index import ExactIndex

_NEIGHBOURS = 8
_WINDOW = 128


class Neighbours:
    """Benchmark questions by their numbers, as an embedder sees them."""

    def __init__(self, embedder: Embedder) -> None:
        """`embedder` must know the signal `text`."""
        self._embedder = embedder
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self._rows: list[int] = []
        self._waiting: list[tuple[int, str]] = []
        self._index: ExactIndex | None = None

    def add(self, number: int, question: str) -> None:
        """Remember a question under a number that rises. Raises AnectlError when the disk is full."""
        self._waiting.append((number, question))
        if len(self._waiting) == _WINDOW:
            self._embed()

    def _embed(self) -> None:
        if not self._waiting:
            return
        vectors = self._embedder.embed([EmbedItem(question) for _, question in self._waiting])
        try:
            self._file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
            self._file.flush()
        except OSError as error:
            raise AnectlError(
                f"no room for temporary data: {error.strerror}", hint="TMPDIR says where it goes"
            ) from None
        self._rows += [number for number, _ in self._waiting]
        self._waiting.clear()

    def search(self, questions: Sequence[str]) -> list[dict[int, float]]:
        """For each question the numbers of the 8 nearest benchmark questions, with their cosines."""
        self._embed()
        if not questions or not self._rows:
            return [{} for _ in questions]
        if self._index is None:
            shape = len(self._rows), self._embedder.dimension
            vectors = np.memmap(self._file, dtype="<f4", mode="r", shape=shape)
            self._index = ExactIndex(vectors, np.asarray(self._rows, dtype=np.int64))
        found: list[dict[int, float]] = []
        waiting = iter(questions)
        while window := list(islice(waiting, _WINDOW)):
            hits = self._index.search(self._embedder.embed([EmbedItem(text) for text in window]), _NEIGHBOURS)
            found += [{hit.row: hit.similarity for hit in row} for row in hits]
        return found

    def image_cosine(self, one: ImageRef, other: ImageRef) -> float | None:
        """How alike two images are to the embedder; null where it cannot see."""
        if "image" not in self._embedder.signals:
            return None
        vectors = self._embedder.embed([EmbedItem("", (one,)), EmbedItem("", (other,))])
        return float(vectors[0] @ vectors[1])

    def close(self) -> None:
        """Give the temporary disk back."""
        self._file.close()
