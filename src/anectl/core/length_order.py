"""The order of training rows in which the rows of a batch are nearly equally long: little of a batch is padding."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Rows are sorted within pools of at most so many batches, and of a quarter of all: sorted all at once, the same rows
# would meet in every epoch.
_POOL = 50
_FEWEST_POOLS = 4


def by_length(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[int]:
    """The numbers of all rows, to be cut into batches of `batch`; drawn anew for each epoch.

    `lengths` are tokens. Which rows share a pool and which batch comes when are random, so that no length trains first
    or last; only the batch that is not full closes the epoch. The order follows from the sum of `seed` and `epoch`, so
    that a round that begins at a later epoch has the one it would have had.
    """
    draw = random.Random(seed + epoch)
    rows = list(range(len(lengths)))
    draw.shuffle(rows)
    count = len(rows) // batch
    whole, rest = rows[: count * batch], rows[count * batch :]
    batches = []
    for first, end in _pools(count):
        pool = sorted(whole[first * batch : end * batch], key=lambda row: lengths[row], reverse=True)
        batches += [pool[place : place + batch] for place in range(0, len(pool), batch)]
    draw.shuffle(batches)
    rest.sort(key=lambda row: lengths[row], reverse=True)
    return [row for one in batches for row in one] + rest


def _pools(count: int) -> list[tuple[int, int]]:
    """The first and the end of each pool of batches, all nearly equally large."""
    pools = max(-(-count // _POOL), min(_FEWEST_POOLS, count))
    return [(count * pool // pools, count * (pool + 1) // pools) for pool in range(pools)]


def padding(lengths: Sequence[int], order: Sequence[int], batch: int) -> float:
    """The share of all tokens that is padding, where each batch of that order is filled up to its longest row."""
    filled = 0
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        filled += len(rows) * max(lengths[row] for row in rows)
    return 1 - sum(lengths) / filled if filled else 0.0
