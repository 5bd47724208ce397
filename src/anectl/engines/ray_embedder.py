"""Any embedder on the nodes of a Ray cluster, window by window as on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from anectl.core.protocols import EmbedItem
from anectl.core.records import Signal
from anectl.engines import load_embedder
from anectl.engines.ray_pool import RayPool, found_anywhere

About: TypeAlias = tuple[str, int, tuple[Signal, ...]]


class RayEmbedder:
    """An `Embedder` over the replicas of a RayPool."""

    def __init__(self, spec: str, *, batch_size: int, address: str, replicas: int = 1, gpus: float = 0.0) -> None:
        """Raises AnectlError when no cluster answers at `address`, or the embedder cannot be loaded there."""
        kind, _, name = spec.partition(":")
        there = f"{kind}:{found_anywhere(name)}"
        self._pool: RayPool[Sequence[EmbedItem], Any] = RayPool(
            partial(_load, there, batch_size), address=address, replicas=replicas, gpus=gpus
        )
        (about,) = self._pool.map([()])
        self.name, self.dimension, self.signals = about

    def embed(self, items: Sequence[EmbedItem]) -> Any:
        """As the embedder it loads."""
        (vectors,) = self._pool.map([items])
        return vectors

    def embed_all(self, windows: Iterable[Sequence[EmbedItem]]) -> Iterator[Any]:
        """The vectors of each window, in order; windows are embedded side by side."""
        return self._pool.map(windows)

    def close(self) -> None:
        """Release the replicas."""
        self._pool.close()


def _load(spec: str, batch_size: int) -> Callable[[Sequence[EmbedItem]], Any]:
    embedder = load_embedder(spec, batch_size=batch_size)

    def work(items: Sequence[EmbedItem]) -> Any:
        # No item is the question what the embedder is: what it says must come from where it runs.
        about: About = embedder.name, embedder.dimension, embedder.signals
        return embedder.embed(items) if items else about

    return work
