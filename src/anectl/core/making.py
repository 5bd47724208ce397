"""From the drafts of a row to its examples: calibrated, written by the policy where that is asked for, scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from anectl.core.calibration import Calibration
from anectl.core.drafts import Draft
from anectl.core.lockstep import together
from anectl.core.probing import Failures, Work
from anectl.core.prompts import conversation, framed
from anectl.core.protocols import PromptRequest, Scorer
from anectl.core.records import Carrier, Example, Message, Scaffold, Writing
from anectl.core.rewriting import Attempt, Rewriter
from anectl.core.scaffolds import leaks
from anectl.core.targets import Target, why_no_target

FromData: TypeAlias = Callable[[Draft], Target | None]
"""The target that the data gives."""


@dataclass(frozen=True, slots=True)
class Made:
    """A draft and its possible targets, or why it has none."""

    draft: Draft
    targets: tuple[Target, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes what a draft may become; `calibration` and `rewriter` are null where they are not asked for."""

    from_data: FromData
    carrier: Carrier
    calibration: Calibration | None = None
    rewriter: Rewriter | None = None

    @property
    def draws(self) -> bool:
        """Whether the policy is asked for completions."""
        return self.calibration is not None or self.rewriter is not None

    def make(self, drafts: Sequence[Draft]) -> Work[list[Made]]:
        """All drafts of a row, side by side."""
        return together([self._make(draft) for draft in drafts])

    def _make(self, draft: Draft) -> Work[Made]:
        if self.calibration is not None:
            found = yield from self.calibration.level(draft)
            if isinstance(found, str):
                return Made(draft, reason=found)
            draft = found
        attempt = None
        if self.rewriter is not None:
            attempt = yield from self.rewriter.write(draft)
        return self.settle(draft, attempt)

    def settle(self, draft: Draft, attempt: Attempt | None = None) -> Made:
        """The rewrites that passed, or without any what the data gives."""
        if attempt is not None and attempt.level is not None:
            writing = attempt.writing(None)
            # What follows a prefix goes on from its very words, so the row takes the level it was written at.
            shown = draft.at(attempt.level) if self.carrier == "prefix" else draft
            texts = (text.strip() if self.carrier == "prefix" else text for text in attempt.texts)
            return Made(shown, tuple(Target(text, "rewrite", writing) for text in texts))
        target = self.from_data(draft)
        fallback = "" if attempt is None else attempt.why_not()
        if target is None:
            return Made(draft, reason=why_no_target(draft))
        candidates, correct = (0, 0) if attempt is None else (attempt.candidates, attempt.correct)
        writing = Writing(kind=target.kind, candidates=candidates, correct=correct, fallback=fallback)
        return Made(draft, (replace(target, writing=writing),))


def choose(made: Sequence[Made], carrier: Carrier, scorer: Scorer | None, failures: Failures) -> list[Target | None]:
    """One target for each: of several the one with the lowest mean NLL under the bare prompt, the least drift.

    Without a scorer the one of median length, as for replayed completions. All are scored together; one that cannot be
    scored (its image cannot be decoded) comes after those that can, and keeps no NLL.
    """
    if scorer is None:
        return [_median(one.targets) for one in made]
    pairs = [(place, target) for place, one in enumerate(made) for target in one.targets]
    requests = [_scored(made[place].draft, target, carrier) for place, target in pairs]
    losses = scorer.mean_nll(requests) if requests else []
    best: dict[int, tuple[float, str, Target]] = {}
    for loss, (place, target) in zip(losses, pairs, strict=True):
        if isinstance(loss, str):
            failures.note(loss)
        nll = None if isinstance(loss, str) else loss
        scored = replace(target, writing=msgspec.structs.replace(_writing(target), nll=nll))
        rank = (math.inf if nll is None else nll, target.text)
        if place not in best or rank < best[place][:2]:
            best[place] = (*rank, scored)
    return [best[place][2] if place in best else None for place in range(len(made))]


def _writing(target: Target) -> Writing:
    return target.writing or Writing(kind=target.kind)


def _median(targets: Sequence[Target]) -> Target | None:
    ordered = sorted(targets, key=lambda target: (len(target.text), target.text))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def _scored(draft: Draft, target: Target, carrier: Carrier) -> tuple[PromptRequest, str]:
    """What the example will teach, under the question alone; a prefix belongs to the answer and is not scored."""
    request = draft.request(draft.level if carrier == "prefix" else 0, carrier, draft.problem.id, ())
    return request, f" {target.text}" if request.prefix else target.text


def to_example(draft: Draft, target: Target, carrier: Carrier) -> Example:
    """The training row. A prefix is the beginning of the assistant's turn, which the completion goes on with."""
    text = draft.ladder[draft.level]
    prefixed = carrier == "prefix" and text != ""
    prompt = conversation(draft.question if prefixed else framed(draft.question, draft.frame, text))
    if prefixed:
        prompt += (Message(role="assistant", content=text),)
    problem = draft.problem
    return Example(
        problem_id=problem.id,
        prompt=prompt,
        completion=(Message(role="assistant", content=f" {target.text}" if prefixed else target.text),),
        images=problem.images,
        answer=problem.answer,
        answer_type=problem.answer_type,
        choices=problem.choices or (),
        precision=problem.precision,
        unit=problem.unit,
        scaffold=Scaffold(
            level=draft.level,
            carrier=carrier,
            text=text,
            template=draft.template,
            anchor_ids=draft.anchor_ids,
            leak=leaks(text, problem),
            question=draft.question,
            frame=draft.frame,
            ladder=draft.ladder,
            sources=draft.sources,
            notes=draft.notes,
            tried=draft.tried,
        ),
        origin=f"{draft.source}/{target.kind}",
        frontier_id=draft.frontier_id,
        writing=_writing(target),
    )
