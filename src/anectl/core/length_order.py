"""The order of training rows in which the rows of a batch are nearly equally long: little of a batch is padding."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Rows are sorted among so many batches at a time, as transformers' own sampler does: all at once, the same rows would
# meet in every epoch.
_POOL = 50


def by_length(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[int]:
    """The numbers of all rows, to be cut into batches of `batch`; drawn anew for each epoch.

    `lengths` are tokens. Which rows meet and which batch comes when are random, so that no length trains first or
    last; but the batch with the longest row opens the epoch, so that one too large for the memory is known at once,
    and the batch that is not full closes it. The same seed and epoch give the same order.
    """
    draw = random.Random(f"{seed}/{epoch}")
    rows = list(range(len(lengths)))
    draw.shuffle(rows)
    whole = len(rows) - len(rows) % batch
    batches = []
    for start in range(0, whole, _POOL * batch):
        pool = sorted(rows[start : min(start + _POOL * batch, whole)], key=lambda row: lengths[row], reverse=True)
        batches += [pool[place : place + batch] for place in range(0, len(pool), batch)]
    draw.shuffle(batches)
    if batches:
        longest = max(range(len(batches)), key=lambda place: lengths[batches[place][0]])
        batches[0], batches[longest] = batches[longest], batches[0]
    return [row for one in batches for row in one] + rows[whole:]


def padding(lengths: Sequence[int], order: Sequence[int], batch: int) -> float:
    """The share of all tokens that is padding, where each batch of that order is filled up to its longest row."""
    filled = 0
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        filled += len(rows) * max(lengths[row] for row in rows)
    return 1 - sum(lengths) / filled if filled else 0.0
