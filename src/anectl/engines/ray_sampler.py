"""Any engine on the nodes of a Ray cluster.

Blocks are formed by position, as on one machine, so the same rows are drawn together wherever they are drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeAlias

from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.engines import EngineSettings, load_sampler
from anectl.engines.ray_pool import RayPool, found_anywhere

Task: TypeAlias = tuple[tuple[PromptRequest, ...], SamplingParams]
Draws: TypeAlias = list[tuple[Draw, ...]]


class RaySampler:
    """A `Sampler` over the replicas of a RayPool."""

    continuous = True

    def __init__(self, settings: EngineSettings, *, address: str, replicas: int = 1, gpus: float = 0.0) -> None:
        """Raises AnectlError when no cluster answers at `address`."""
        self.name = settings.model
        self._batch_size = settings.batch_size
        there = dataclasses.replace(settings, model=found_anywhere(settings.model))
        self._pool: RayPool[Task, Draws] = RayPool(partial(_load, there), address=address, replicas=replicas, gpus=gpus)

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in order."""
        for draws in self._pool.map((block, params) for block in _blocks(requests, self._batch_size)):
            yield from draws

    def close(self) -> None:
        """Release the replicas."""
        self._pool.close()


def _load(settings: EngineSettings) -> Callable[[Task], Draws]:
    sampler = load_sampler(settings)
    return lambda task: list(sampler.sample(*task))


def _blocks(requests: Iterable[PromptRequest], size: int) -> Iterator[tuple[PromptRequest, ...]]:
    iterator = iter(requests)
    while block := tuple(islice(iterator, size)):
        yield block
