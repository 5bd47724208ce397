"""What a process reward model is trained on and how it is judged; no torch.

Labels are Math-Shepherd's (arXiv 2312.08935, section 3.3.2): hard, 1 where any continuation from the step was right;
soft, the share of continuations that were. The last step of a completion needs no continuation: it is as right as the
completion. VisualPRM (arXiv 2503.10291) supervises every step, and so does this.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.records import Completion

LABELS_FILE = "prm.json"
DEFAULT_LABELS = ("+", "-")
LabelKind: TypeAlias = Literal["hard", "soft"]

_ONE_TOKEN = msgspec.Meta(min_length=1)


class PrmFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process reward model's folder says beside its weights: the texts it reads a good and a bad step by."""

    good: Annotated[str, _ONE_TOKEN]
    bad: Annotated[str, _ONE_TOKEN]


def read_labels(folder: Path) -> tuple[str, str]:
    """The labels (good, bad) of a trained process reward model. Raises AnectlError: the folder is none."""
    path = folder / LABELS_FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=PrmFile)
    except OSError:
        raise AnectlError(
            f"is no process reward model: it has no {LABELS_FILE}", path=str(folder), hint="anectl train-prm makes one"
        ) from None
    except msgspec.DecodeError as error:
        raise AnectlError(f"is no {LABELS_FILE}: {error}", path=str(path)) from None
    return found.good, found.bad


def step_labels(completion: Completion, kind: LabelKind) -> tuple[float | None, ...]:
    """The label of every step, 0..1; null where nothing is known of it. Empty for a completion without steps."""
    steps, values = completion.steps or (), completion.values or ()
    labels: list[float | None] = [None] * len(steps)
    for place, value in enumerate(values[: len(steps)]):
        if value is not None and value.judged:
            labels[place] = float(value.correct > 0) if kind == "hard" else value.correct / value.judged
    if labels and completion.correct is not None:
        labels[-1] = float(completion.correct)
    return tuple(labels)


def auc(pairs: Iterable[tuple[float, bool]]) -> float | None:
    """Chance that a good step has the higher score than a bad one, ties counted half (Mann and Whitney 1947).

    From (score, is good) pairs; null where there are not both kinds.
    """
    ranked = sorted(pairs)
    num_good = sum(good for _, good in ranked)
    num_bad = len(ranked) - num_good
    if not num_good or not num_bad:
        return None
    rank_sum, place = 0.0, 0
    while place < len(ranked):
        tied = place
        while tied < len(ranked) and ranked[tied][0] == ranked[place][0]:
            tied += 1
        rank_sum += (place + 1 + tied) / 2 * sum(good for _, good in ranked[place:tied])
        place = tied
    return (rank_sum - num_good * (num_good + 1) / 2) / (num_good * num_bad)


@dataclass(frozen=True, slots=True)
class Bin:
    """Steps whose scores lie in one tenth of 0..1: their number, mean score and mean label."""

    count: int
    score: float
    label: float


def calibration(pairs: Iterable[tuple[float, float]]) -> tuple[list[Bin], float | None]:
    """The bins that hold a step, and the mean distance of score and label in them, weighted by steps (ECE).

    From (score, label) pairs. ECE after Guo et al. 2017 (arXiv 1706.04599, section 2) with ten bins.
    """
    binned: dict[int, list[tuple[float, float]]] = {}
    for score, label in pairs:
        binned.setdefault(min(int(score * 10), 9), []).append((score, label))
    bins = []
    for _, members in sorted(binned.items()):
        count = len(members)
        bins.append(
            Bin(
                count,
                math.fsum(score for score, _ in members) / count,
                math.fsum(label for _, label in members) / count,
            )
        )
    total = sum(one.count for one in bins)
    return bins, math.fsum(one.count * abs(one.score - one.label) for one in bins) / total if total else None


def best_of(rewards: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """Chance that of k of these completions, drawn without replacement, the one with the highest reward is right.

    Equal rewards rank in the order given. Raises ValueError unless 1 <= k <= their number.
    """
    total = len(rewards)
    if not 1 <= k <= total:
        raise ValueError(f"best of {k} among {total}")
    ranked = sorted(range(total), key=lambda place: -rewards[place])
    ways = math.comb(total, k)
    return math.fsum(math.comb(total - rank - 1, k - 1) / ways for rank, place in enumerate(ranked) if correct[place])
