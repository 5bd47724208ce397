"""From training rows to the items of strip-rl: which levels a problem can be shown at, and the prompt of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from anectl.core.controller import Controller, new_item
from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.prompts import framed
from anectl.core.records import Example, Message
from anectl.core.scaffolds import leaks
from anectl.core.schedules import ScheduleName
from anectl.core.training import TrainingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StripSettings:
    """What strip-rl adds to the settings of training. `batch_size` there counts prompts, each a group here."""

    schedule: ScheduleName
    top_level: int
    bare_share: float
    num_generations: int
    max_tokens: int
    temperature: float
    loss_type: str
    epsilon: float
    epsilon_high: float
    beta: float
    scale_rewards: str


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
        if scaffold.level and scaffold.carrier == "prefix":
            raise AnectlError(
                f"{row.example.problem_id!r} carries its scaffold as a prefix of the answer, which TRL cannot sample",
                hint="anectl scaffold --carrier prompt",
            )
        if scaffold.level and not scaffold.question:
            raise AnectlError(
                f"{row.example.problem_id!r} has a scaffold of level {scaffold.level} but no scaffold.question",
                hint="without the bare question the scaffold cannot be taken away",
            )


def to_item(row: TrainingRow, top_level: int) -> StripItem:
    """The item of a row: levels up to `top_level` whose text is new and does not give the answer away."""
    example, scaffold = row.example, row.example.scaffold
    prompts = {0: _with_text(example, scaffold.question) if scaffold.question else example.prompt}
    seen = {""}
    for level, text in enumerate(scaffold.ladder[: top_level + 1]):
        if scaffold.question and text not in seen and not leaks(text, example):
            seen.add(text)
            prompts[level] = _with_text(example, framed(scaffold.question, scaffold.frame, text))
    return StripItem(example, row.images, prompts)


def _with_text(example: Example, text: str) -> tuple[Message, ...]:
    last = max(place for place, message in enumerate(example.prompt) if message.role == "user")
    return (*example.prompt[:last], msgspec.structs.replace(example.prompt[last], content=text))


def first_controller(items: Sequence[StripItem]) -> Controller:
    """The controller before the first step: each item begins at the level of its row."""
    return Controller(tuple(new_item(tuple(item.prompts), item.example.scaffold.level) for item in items))
