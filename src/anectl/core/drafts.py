"""Examples before they have a target: which problem, under which scaffold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import msgspec

from anectl.core.images import ImageRef
from anectl.core.keys import sample_seed
from anectl.core.prompts import conversation, framed, user_text
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Anchor, Anchored, Carrier, LevelTally, Problem
from anectl.core.scaffolds import Help, Template, anchor_help, build_ladder, gold_help, steps_of

Source: TypeAlias = Literal["frontier", "anchor", "replay"]
ScaffoldFrom: TypeAlias = Literal["auto", "gold", "anchor", "model"]
FindImages: TypeAlias = Callable[[tuple[str, ...]], tuple[ImageRef, ...]]

BOXED, STATED = "\\boxed{{answer}}", "Answer: {answer}"


@dataclass(frozen=True, slots=True)
class Draft:
    """An example without its target. `question` is the bare user text, `level` that of the scaffold it shows.

    `anchor_ids` are the anchors that its problem or its scaffold comes from; `source` says whose problem it is, and
    `frontier_id` for which failing one. `drawn` is the level that it was drawn for: what it shows is the lowest with
    the same text. `helps` are what the ladder was made of. `tried` are the levels at which the policy was seen to
    succeed or fail.
    """

    problem: Problem
    images: tuple[ImageRef, ...]
    question: str
    answer_format: str
    template: str
    frame: str
    ladder: tuple[str, ...]
    level: int
    anchor_ids: tuple[str, ...]
    source: Source
    frontier_id: str = ""
    drawn: int = 0
    helps: tuple[Help, ...] = ()
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tried: tuple[LevelTally, ...] = ()

    def at(self, level: int) -> Draft:
        """The draft with the scaffold of another level."""
        return replace(self, level=level)

    def bare(self) -> Draft:
        """The draft without any scaffold to be shown."""
        none = ("",) * len(self.ladder)
        return replace(self, ladder=none, level=0, sources=none, notes=())

    def request(self, level: int, carrier: Carrier, key: str, seeds: tuple[int, ...]) -> PromptRequest:
        """What a sampler is asked when the policy is shown a level; a prefix is what its answer begins with."""
        text = self.ladder[level]
        if carrier == "prefix":
            return PromptRequest(key, conversation(self.question), self.images, seeds, prefix=text)
        return PromptRequest(key, conversation(framed(self.question, self.frame, text)), self.images, seeds)


class Drafter:
    """Makes drafts, and remembers which anchors are used up."""

    def __init__(
        self,
        template: Template,
        levels: Sequence[int],
        *,
        from_frontier: bool = True,
        from_anchors: bool = True,
        answer_format: str | None = None,
        per_anchor_cap: int = 1,
        scaffold_from: ScaffoldFrom = "auto",
        seed: int = 0,
    ) -> None:
        """`levels` are drawn from evenly; without `answer_format` the answer is stated as the instruction asks.

        `scaffold_from` says what scaffolds are made of: the problem's own steps (gold), the best anchor that has any
        (anchor), or the first where there are any and else the second (auto; a model's go before these, see `helped`).
        """
        self.template = template
        self._levels = tuple(levels)
        self._from_frontier = from_frontier
        self._from_anchors = from_anchors
        self._answer_format = answer_format
        self._cap = per_anchor_cap
        self._scaffold_from = scaffold_from
        self._seed = seed
        self._uses: Counter[tuple[str, str]] = Counter()

    def drafts(
        self, row: Anchored, find: FindImages, seen_by: tuple[str, SamplingParams] | None = None
    ) -> tuple[list[Draft], str]:
        """The drafts of one row: its own problem, then its anchors. With none, the reason why.

        `seen_by` is the policy whose completions of the bare problem, drawn in that way, tell how it does without help.
        """
        drafts = []
        instruction = row.sampling.instruction
        if self._from_frontier:
            helper = next((anchor for anchor in row.anchors if steps_of(anchor.problem)), None)
            own = self.draft(row.problem, find(row.problem.images), "frontier", instruction, helper)
            drafts.append(replace(own, frontier_id=row.problem.id, tried=_seen(row, seen_by)))
        for anchor in row.anchors if self._from_anchors else ():
            name = (anchor.id, anchor.problem.question)
            if self._uses[name] < self._cap:
                made = self.draft(anchor.problem, find(anchor.problem.images), "anchor", instruction, anchor)
                drafts.append(replace(made, frontier_id=row.problem.id))
                self._uses[name] += 1
        return drafts, "anchors already used" if row.anchors else "no anchor"

    def draft(
        self, problem: Problem, images: tuple[ImageRef, ...], source: Source, instruction: str, helper: Anchor | None
    ) -> Draft:
        """A draft at a level drawn from the seed and the problem's id; a replayed problem is always bare.

        `helper` is the anchor that the problem is, or whose steps its scaffold borrows.
        """
        helps = self._helps(problem, source, helper)
        made = build_ladder(problem, helps, self.template)
        use = self._uses[(problem.id, problem.question)]
        drawn = self._levels[sample_seed(self._seed, f"level/{problem.id}", use) % len(self._levels)]
        is_used = helper is not None and (
            source == "anchor" or any(name.startswith("anchor ") for name in made.sources)
        )
        return Draft(
            problem=msgspec.structs.replace(problem, images=tuple(image.ref for image in images)),
            images=images,
            question=user_text(problem, instruction),
            answer_format=self._answer_format or (BOXED if "\\boxed" in instruction else STATED),
            template=self.template.name,
            frame=self.template.frame,
            ladder=made.texts,
            # The lowest level with the text that is shown: a level that could not be built is none.
            level=0 if source == "replay" else made.texts.index(made.texts[drawn]),
            anchor_ids=(helper.id,) if helper and is_used else (),
            source=source,
            drawn=0 if source == "replay" else drawn,
            helps=helps,
            sources=made.sources,
            notes=made.notes,
        )

    def _helps(self, problem: Problem, source: Source, anchor: Anchor | None) -> tuple[Help, ...]:
        """What the ladder is made of. A source that is asked for and has nothing gives no level.

        An anchor that is itself the problem, and a replayed problem, borrow nothing.
        """
        gold = gold_help(problem)
        if source != "frontier" or self._scaffold_from == "gold":
            return (gold,)
        if anchor is None:
            return () if self._scaffold_from == "anchor" else (gold,)
        borrowed = anchor_help(anchor.id, anchor.problem, same_item=anchor.why.tier == "item")
        if self._scaffold_from == "anchor":
            return (borrowed,)
        return (gold,) if steps_of(problem) else (borrowed,)

    def helped(self, draft: Draft, help: Help) -> Draft:
        """The draft with what a helper model wrote for it before its other sources."""
        return self.without(replace(draft, helps=(help, *draft.helps)), frozenset())

    def without(self, draft: Draft, read: Collection[str]) -> Draft:
        """The draft with its ladder made again, of other texts than those that a model `read` the answer from."""
        made = build_ladder(draft.problem, draft.helps, self.template, read)
        is_used = draft.source != "frontier" or any(name.startswith("anchor ") for name in made.sources)
        return replace(
            draft,
            ladder=made.texts,
            level=made.texts.index(made.texts[draft.drawn]),
            anchor_ids=draft.anchor_ids if is_used else (),
            sources=made.sources,
            notes=made.notes,
        )


def _seen(row: Anchored, seen_by: tuple[str, SamplingParams] | None) -> tuple[LevelTally, ...]:
    """How the policy did bare, where the row's completions are its own and drawn in the same way."""
    sampling = row.sampling
    drawn = SamplingParams(sampling.temperature, sampling.top_p, sampling.max_tokens)
    judged = [completion for completion in row.completions if completion.error is None]
    if (row.policy, drawn) != seen_by or not judged:
        return ()
    return (LevelTally(level=0, correct=sum(one.correct is True for one in judged), judged=len(judged)),)
