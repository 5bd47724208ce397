"""A label for a problem without one: the answer that its completions vote for.

Majority vote after self-consistency (arXiv 2203.11171, section 2); weighted, each vote counts as much as the process
reward model trusts the completion (M-STaR, arXiv 2412.17451, section 3.4). Answers are one where the grader says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from anectl.core.records import Completion, Problem
from anectl.core.suspects import is_same_answer


@dataclass(frozen=True, slots=True)
class Vote:
    """The winning answer in its commonest spelling, its share of all votes (0..1), and who voted for it."""

    answer: str
    share: float
    voters: tuple[Completion, ...]


def vote(problem: Problem, completions: Sequence[Completion], weights: Sequence[float] | None) -> Vote | None:
    """The vote of the completions that give an answer; without weights each counts one.

    The problem's own answer plays no part. None where there is no vote, or two answers have the same share: a label
    drawn by lot would be none. `weights` has one number from 0 up per completion.
    """
    voters = [
        (completion, 1.0 if weights is None else weights[place])
        for place, completion in enumerate(completions)
        if completion.extracted is not None
    ]
    groups: list[list[tuple[Completion, float]]] = []
    for voter in voters:
        for group in groups:
            if is_same_answer(problem, _answer(group[0]), _answer(voter)):
                group.append(voter)
                break
        else:
            groups.append([voter])
    sums = sorted((_sum(group) for group in groups), reverse=True)
    if not sums or sums[0] <= 0 or (len(sums) > 1 and math.isclose(sums[0], sums[1])):
        return None
    winners = max(groups, key=_sum)
    spellings = [_answer(voter) for voter in winners]
    answer = max(spellings, key=spellings.count)
    return Vote(answer, sums[0] / math.fsum(sums), tuple(completion for completion, _ in winners))


def _answer(voter: tuple[Completion, float]) -> str:
    return voter[0].extracted or ""


def _sum(group: Sequence[tuple[Completion, float]]) -> float:
    return math.fsum(weight for _, weight in group)
