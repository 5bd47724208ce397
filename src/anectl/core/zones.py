"""The zone of a problem by the verdicts on its completions, and what the zones of all problems amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

from anectl.core.metrics import mean_pass_at_k
from anectl.core.posterior import JEFFREYS, Prior, zone_of
from anectl.core.records import Completion, Posterior, Zone

_VERDICTS = {True: ord("+"), False: ord("-"), None: ord("?")}


class Borders(NamedTuple):
    """The zones' borders as pass rates, the posterior mass that a zone needs, and the prior of the pass rate."""

    low: float = 0.1
    high: float = 0.7
    min_confidence: float = 0.8
    prior: Prior = JEFFREYS


class Location(NamedTuple):
    """What becomes known of a problem; `failures` are the indices of its wrong completions."""

    zone: Zone
    posterior: Posterior
    failures: tuple[int, ...]


class Tally(NamedTuple):
    """How many completions of a problem were correct, wrong, and not judged, and the zone that follows."""

    correct: int
    wrong: int
    unjudged: int
    zone: Zone


def verdicts_of(completions: Iterable[Completion]) -> bytes:
    """One character per completion: `+` correct, `-` wrong, `?` not judged."""
    return bytes([_VERDICTS[completion.correct] for completion in completions])


def locate(verdicts: bytes, borders: Borders) -> Location:
    """Place a problem by the verdicts on its completions; those not judged are no evidence."""
    correct, wrong = verdicts.count(b"+"), verdicts.count(b"-")
    failures = tuple(index for index, verdict in enumerate(verdicts) if verdict == _VERDICTS[False])
    return Location(*zone_of(correct + wrong, correct, *borders), failures)


def summarise(tallies: Mapping[Tally, int]) -> dict[str, int | float]:
    """Problems per zone, mean pass@k as far as every judged problem allows it, and the share of null verdicts.

    `tallies` maps each tally to its number of problems; pass@1 is the mean pass rate.
    """
    summary: dict[str, int | float] = dict.fromkeys(get_args(Zone), 0)
    judged: Counter[tuple[int, int]] = Counter()
    num_completions = num_unjudged = 0
    for tally, problems in tallies.items():
        summary[tally.zone] += problems
        num_completions += problems * (tally.correct + tally.wrong + tally.unjudged)
        num_unjudged += problems * tally.unjudged
        if tally.correct + tally.wrong:
            judged[tally.correct + tally.wrong, tally.correct] += problems
    for k in (1, 2, 4, 8):
        estimate = mean_pass_at_k(judged, k)
        if estimate is not None:
            summary[f"pass@{k}"] = estimate
    if num_completions:
        summary["null_rate"] = num_unjudged / num_completions
    return summary
