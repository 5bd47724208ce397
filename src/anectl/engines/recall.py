"""How much an approximate search finds of what an exact one does, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anectl.core.index_files import Recall
from anectl.core.protocols import Hit

NUM_QUERIES, RECALL_AT = 400, 10
_HELD_OUT_SHARE = 10  # at most every tenth row is held out as a query
_SAME = 1e-6
_Z = 1.959964  # of a central 95% interval


def spread(count: int, most: int = NUM_QUERIES) -> npt.NDArray[np.int64]:
    """At most `most` evenly spaced places among `count`, to be used as queries."""
    return np.unique(np.linspace(0, count - 1, min(most, count // _HELD_OUT_SHARE)).astype(np.int64))


def measured(found: Sequence[Sequence[Hit]], wanted: Sequence[Sequence[Hit]], *, target: float, count: int) -> Recall:
    """The mean over the queries of the share of `wanted` that is in `found`, with its normal 95% interval.

    By similarity, not by row: rows of equal vectors are equally right. `count` is how many vectors were searched.
    """
    shares = np.array(
        [
            sum(hit.similarity >= exact[-1].similarity - _SAME for hit in near[: len(exact)]) / len(exact)
            for near, exact in zip(found, wanted, strict=True)
        ]
    )
    mean = float(shares.mean())
    half = _Z * float(shares.std(ddof=1)) / len(shares) ** 0.5 if len(shares) > 1 else 1.0
    return Recall(
        at=RECALL_AT,
        target=target,
        mean=round(mean, 6),
        low=round(max(0.0, mean - half), 6),
        high=round(min(1.0, mean + half), 6),
        num_queries=len(shares),
        count=count,
    )
