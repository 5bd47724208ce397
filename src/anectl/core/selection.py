"""Which of a problem's completions are learnt from: M-STaR's reward and the rules beside it.

R(y) = H(1[y is correct] * R_p(y)), R_p(y) = min over the steps of their scores (M-STaR, arXiv 2412.17451, section 3.3);
H keeps the k highest (`prm-top`) or those over a threshold (`prm-above`). `all` and `random` need no step scores.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from anectl.core.errors import RowError
from anectl.core.metrics import mean
from anectl.core.records import Completion

Rule: TypeAlias = Literal["all", "random", "prm-top", "prm-above"]
Aggregate: TypeAlias = Literal["min", "mean"]

_AGGREGATES: Mapping[Aggregate, Callable[[Sequence[float]], float]] = {"min": min, "mean": mean}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How completions are chosen: at most `k` of each problem, null for no limit; `alpha` is for `prm-above` only."""

    rule: Rule
    k: int | None
    alpha: float
    aggregate: Aggregate
    seed: int

    def choose(self, key: str, candidates: Sequence[Completion]) -> list[Completion]:
        """Those of the candidates (right, and different from each other) that are kept, the best first.

        What `random` draws depends on the seed and on `key` alone. Equal rewards keep the order of the samples.
        Raises RowError for a candidate without step scores where the rule needs them.
        """
        if self.rule == "all":
            return list(candidates[: self.k])
        if self.rule == "random":
            order = list(candidates)
            random.Random(f"{self.seed}/select/{key}").shuffle(order)
            return order[: self.k]
        scored = [(process_reward(candidate, self.aggregate), candidate) for candidate in candidates]
        if self.rule == "prm-above":
            scored = [(reward, candidate) for reward, candidate in scored if reward > self.alpha]
        scored.sort(key=lambda pair: pair[0], reverse=True)
        return [candidate for _, candidate in scored[: self.k]]


def process_reward(completion: Completion, aggregate: Aggregate) -> float:
    """R_p: the least, or the mean, of a completion's step scores. Raises RowError: it has none."""
    if not completion.step_scores:
        raise RowError("a completion has no step scores", hint="anectl score-steps adds them; or --rule random")
    return _AGGREGATES[aggregate](completion.step_scores)


def has_steps(completion: Completion) -> bool:
    """Whether there is anything to score: a failed or an empty completion has no step, and is never chosen."""
    return completion.error is None and bool(completion.text.strip())


def different(completions: Sequence[Completion]) -> list[Completion]:
    """The finished completions, of those with one text the first: learning a text twice is not learning more."""
    first: dict[str, Completion] = {}
    for completion in completions:
        if completion.finish_reason == "stop" and completion.error is None and completion.text.strip():
            first.setdefault(completion.text, completion)
    return list(first.values())
