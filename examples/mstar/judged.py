"""How well step scores tell sound steps from unsound ones, on failures that no reward model was trained on.

Here the truth is known: a step of the tiny world is sound while it and all before it are the worked ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from anectl.core.jsonl import read_records
from anectl.core.metrics import mean
from anectl.core.prm import auc
from anectl.core.records import Completion, Problem, Rollout

VALUED_BY = {"own": "the policy itself", "solver": "a policy that was shown worked solutions"}
Pair = tuple[float, bool]


def sound_steps(problem: Problem, completion: Completion) -> list[bool]:
    """Of each step, whether it and all before it are the worked ones; the last states the answer."""
    worked = [*(problem.steps or ()), f"Answer: {problem.answer}"]
    sound, all_sound = [], True
    for number, step in enumerate(completion.steps or ()):
        all_sound = all_sound and number < len(worked) and step.strip() == worked[number]
        sound.append(all_sound)
    return sound


def failures(path: Path) -> Iterator[tuple[str, list[Pair]]]:
    """Family, and score and soundness of every step, of each scored failure."""
    for row in read_records(str(path), Rollout):
        for completion in row.completions:
            if completion.correct is False and completion.step_scores:
                sound = sound_steps(row.problem, completion)
                yield str(row.problem.source["family"]), list(zip(completion.step_scores, sound, strict=True))


def interval(groups: list[list[Pair]], resamples: int = 500) -> tuple[float, float]:
    """The bootstrap interval of the AUC, over completions."""
    rng = random.Random(0)
    drawn = []
    for _ in range(resamples):
        found = auc(pair for group in rng.choices(groups, k=len(groups)) for pair in group)
        drawn += [] if found is None else [found]
    drawn.sort()
    return drawn[int(0.025 * len(drawn))], drawn[int(0.975 * len(drawn)) - 1]


def judged_table(root: Path) -> str:
    """AUC over all steps, and the mean over families of the AUC within each."""
    lines = ["| steps valued by | AUC of sound steps | within families, mean | steps |", "|---|---:|---:|---:|"]
    for kind, title in VALUED_BY.items():
        found = list(failures(root / f"judged.{kind}.jsonl"))
        families: dict[str, list[Pair]] = {}
        for family, pairs in found:
            families.setdefault(family, []).extend(pairs)
        pooled = auc(pair for pairs in families.values() for pair in pairs) or 0.0
        low, high = interval([pairs for _, pairs in found])
        within = mean(value for pairs in families.values() if (value := auc(pairs)) is not None)
        steps = sum(map(len, families.values()))
        lines.append(f"| {title} | {pooled:.3f} [{low:.3f}, {high:.3f}] | {within:.3f} | {steps} |")
    return "\n".join(lines)
