"""Several rankings made into one, and one ranking made less alike.

Reciprocal rank fusion: Cormack, Clarke and Buettcher 2009, `score(d) = sum over signals of w / (k + rank(d))`, k = 60.
It needs ranks only, so that cosines and BM25 scores need not be brought to one scale.
Maximal marginal relevance: Carbonell and Goldstein 1998.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from anectl.core.errors import UsageError
from anectl.core.records import Signal

RANK_CONSTANT: Final = 60
BY_VECTOR: Final[tuple[Signal, ...]] = ("text", "image", "joint")
BY_WORD: Final = ("bm25", "skill")


def ranks(scores: Mapping[int, float]) -> dict[int, int]:
    """The place of each row from 1, the highest score first; equal scores share the better place.

    Without shared places, the row number would decide among rows that a signal cannot tell apart.
    """
    places: dict[int, int] = {}
    last, place = None, 0
    for number, (row, score) in enumerate(sorted(scores.items(), key=lambda item: (-item[1], item[0])), 1):
        if score != last:
            last, place = score, number
        places[row] = place
    return places


def fuse(rankings: Mapping[str, Mapping[int, int]], weights: Mapping[str, float]) -> dict[int, float]:
    """The fused score of every row that some signal ranks; a signal without a weight counts as 1."""
    fused: dict[int, float] = {}
    for signal in sorted(rankings):  # in one order, so that sums of floats are the same in every run
        weight = weights.get(signal, 1.0)
        for row, place in rankings[signal].items():
            fused[row] = fused.get(row, 0.0) + weight / (RANK_CONSTANT + place)
    return fused


def marginal(relevance: float, diversity: float, likenesses: Collection[float]) -> float:
    """Relevance less what is already said: `(1 - d) * relevance - d * (greatest likeness to one already chosen)`.

    `relevance` is from 0 to 1 and `likenesses` are cosines; with `diversity` 0 it is the relevance.
    """
    return (1 - diversity) * relevance - diversity * max(likenesses, default=0.0)


def default_weights(signals: Collection[str]) -> dict[str, float]:
    """One vote for each kind of evidence: the vectors share one, `bm25` and `skill` have one each.

    The vectors come from one embedder, so they err together: with a vote each they outvote the words wherever it does
    not know the wording.
    """
    vectors = [signal for signal in signals if signal in BY_VECTOR]
    return {signal: 1 / len(vectors) if signal in vectors else 1.0 for signal in signals}


def per_signal(option: str, text: str | None, known: Collection[str]) -> dict[str, float]:
    """`text=1,image=0.5` by signal; empty for null.

    Raises UsageError: a signal that is not in use, no number, or one that is not finite.
    """
    values: dict[str, float] = {}
    for pair in (text or "").split(",") if text else ():
        name, separator, number = (part.strip() for part in pair.partition("="))
        if not separator or name not in known:
            raise UsageError(f"{option} {pair!r}: expected SIGNAL=NUMBER", hint=f"signals in use: {', '.join(known)}")
        values[name] = finite(option, number)
    return values


def finite(option: str, text: str) -> float:
    """The number an option gives. Raises UsageError when it is none, or not finite."""
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no number") from None
    if not math.isfinite(number):
        raise UsageError(f"{option}: {text!r} is not finite")
    return number
