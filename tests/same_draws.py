"""anectl with a strip-rl that draws the same completions however many processes share the groups of a step.

TRL samples by the random numbers of each process. Here each token is drawn by a number of its own, made from the step,
the place of its row among all rows of the step, and its place in the completion. Run as `python -m tests.same_draws`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def same_draws() -> Iterator[None]:
    """While this holds, sampling depends on steps and rows only."""
    from anectl.engines.trl_strip import StripTrainer

    place = {"step": 0, "first": 0, "token": 0}
    choose = StripTrainer.rows_of_step

    def rows_of_step(self: Any, num_groups: int) -> list[dict[str, Any]]:
        rows = choose(self, num_groups)
        place.update(step=self.state.global_step, first=self.accelerator.process_index * len(rows), token=0)
        return rows

    def drawn(probabilities: torch.Tensor, num_samples: int, **rest: Any) -> torch.Tensor:
        rows = range(place["first"], place["first"] + len(probabilities))
        points = [random.Random(f"{place['step']}/{row}/{place['token']}").random() for row in rows]
        place["token"] += 1
        edges = probabilities.double().cumsum(dim=-1)
        found = torch.searchsorted(edges, torch.tensor(points, dtype=edges.dtype)[:, None] * edges[:, -1:])
        return found.clamp(max=probabilities.shape[-1] - 1)

    with _replaced(StripTrainer, "rows_of_step", rows_of_step), _replaced(torch, "multinomial", drawn):
        yield


@contextmanager
def _replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, before)


if __name__ == "__main__":
    from tests.ends_alone import main

    with same_draws():
        main()
