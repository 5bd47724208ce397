"""From training rows to the items of strip-rl: which levels a problem can be shown at, and the prompt of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from anectl.core.alarms import OnAlarm
from anectl.core.algorithms import AlgorithmName, algorithm_settings
from anectl.core.controller import Controller, new_item
from anectl.core.errors import AnectlError, UsageError
from anectl.core.hinting import EXEMPT_SHARE, HintName
from anectl.core.images import ImageRef
from anectl.core.prompts import framed
from anectl.core.records import Example, Message
from anectl.core.schedules import MOST_HINTED, Course, ScheduleName
from anectl.core.training import TrainingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StripSettings:
    """What strip-rl adds to the settings of training. `batch_size` there counts prompts, each a group here."""

    schedule: ScheduleName
    top_level: int
    hinted_share: float
    exempt_share: float | None
    hint: HintName
    bare_share: float
    bare_in_group: int
    num_generations: int
    max_tokens: int
    temperature: float
    algorithm: AlgorithmName
    epsilon: float | None
    epsilon_high: float | None
    beta: float | None
    scale_rewards: str | None
    hint_tax: float
    repetition_penalty: float
    reward: Sequence[str] | None
    reward_weight: Sequence[float] | None
    refill: int
    on_alarm: OnAlarm

    def course(self, total_steps: int) -> Course:
        """The schedule over a run of so many steps."""
        exempt = self.exempt_share
        if exempt is None:
            exempt = EXEMPT_SHARE if self.hint == "failing" else 0.0
        return Course(self.schedule, total_steps, self.top_level, self.hinted_share, exempt)

    def algorithm_settings(self) -> dict[str, Any]:
        """TRL's settings of the algorithm, with what was given in their place."""
        names = ("epsilon", "epsilon_high", "beta", "scale_rewards")
        return algorithm_settings(self.algorithm, {name: getattr(self, name) for name in names})

    def refuse_contradictions(self) -> None:
        """Raise UsageError for options that cannot go together."""
        course = self.course(1)
        if self.hinted_share > MOST_HINTED and self.schedule != "never":
            raise UsageError(
                f"--hinted-share {self.hinted_share:g} leaves less than the last fifth of the steps bare",
                hint="--schedule never keeps the hints to the end, as the control of an ablation",
            )
        if course.exempt_share >= self.hinted_share:
            raise UsageError("--exempt-share leaves no steps for hints: it has to be below --hinted-share")
        if self.bare_in_group >= self.num_generations:
            raise UsageError("--bare-in-group has to be below --num-generations")
        if self.hint_tax and not self.bare_in_group:
            raise UsageError(
                "--hint-tax takes the same from every completion of a group, so the advantages stay as they are",
                hint="--bare-in-group 1 or more puts bare completions beside the hinted ones",
            )
        if len(self.reward_weight or ()) not in (0, len(self.reward or ())):
            raise UsageError("give --reward-weight once for each --reward, in the same order, or not at all")


@dataclass(frozen=True, slots=True)
class StripItem:
    """One problem with its prompt at each of its rungs (levels that differ, ascending from 0)."""

    example: Example
    images: tuple[ImageRef, ...]
    prompts: dict[int, tuple[Message, ...]]


def one_row_per_problem(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """Of the rows of each problem the one with the most scaffold, in the order of their first rows."""
    best: dict[str, TrainingRow] = {}
    for row in rows:
        known = best.setdefault(row.example.problem_id, row)
        if row.example.scaffold.level > known.example.scaffold.level:
            best[row.example.problem_id] = row
    return list(best.values())


def refuse_unusable(rows: Sequence[TrainingRow]) -> None:
    """Raise AnectlError for rows that TRL cannot put into one batch, or whose scaffold cannot be taken away."""
    with_images = sum(bool(row.images) for row in rows)
    if with_images not in (0, len(rows)):
        raise AnectlError(
            f"{with_images} rows have images and {len(rows) - with_images} have none: they cannot share a batch",
            hint="train on the two kinds one after the other",
        )
    for row in rows:
        scaffold = row.example.scaffold
        if scaffold.level and not scaffold.question:
            raise AnectlError(
                f"{row.example.problem_id!r} has a scaffold of level {scaffold.level} but no scaffold.question",
                hint="without the bare question the scaffold cannot be taken away",
            )


def to_item(row: TrainingRow, top_level: int) -> StripItem:
    """The item of a row: levels up to `top_level` whose text is new and does not give the answer away."""
    from anectl.core.giveaways import leaks  # only here: its patterns would slow every start

    example, scaffold = row.example, row.example.scaffold
    prompts = {0: _with_text(example, scaffold.question) if scaffold.question else example.prompt}
    opens = scaffold.carrier == "prefix"
    seen = {""}
    for level, text in enumerate(scaffold.ladder[: top_level + 1]):
        if scaffold.question and text not in seen and not leaks(text, example):
            seen.add(text)
            prompts[level] = (
                (*prompts[0], Message(role="assistant", content=text))
                if opens
                else _with_text(example, framed(scaffold.question, scaffold.frame, text))
            )
    return StripItem(example, row.images, prompts)


def opening(prompt: Sequence[Message]) -> str:
    """What the prompt has the answer begin with (carrier `prefix`); nothing where the last turn is not the answer's."""
    return prompt[-1].content if prompt[-1].role == "assistant" else ""


def _with_text(example: Example, text: str) -> tuple[Message, ...]:
    """The prompt with another text in its last user turn, and without what the answer begins with."""
    last = max(place for place, message in enumerate(example.prompt) if message.role == "user")
    return (*example.prompt[:last], msgspec.structs.replace(example.prompt[last], content=text))


def first_controller(items: Sequence[StripItem]) -> Controller:
    """The controller before the first step: each item begins at the level of its row."""
    return Controller(tuple(new_item(tuple(item.prompts), item.example.scaffold.level) for item in items))
