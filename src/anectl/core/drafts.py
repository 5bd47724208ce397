"""Examples before they have a target: which problem, under which scaffold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from anectl.core.images import ImageRef
from anectl.core.keys import sample_seed
from anectl.core.prompts import user_text
from anectl.core.records import Anchor, Anchored, Problem
from anectl.core.scaffolds import Template, ladder, steps_of

Source: TypeAlias = Literal["frontier", "anchor", "replay"]
FindImages: TypeAlias = Callable[[tuple[str, ...]], tuple[ImageRef, ...]]

BOXED, STATED = "\\boxed{{answer}}", "Answer: {answer}"


@dataclass(frozen=True, slots=True)
class Draft:
    """An example without its target. `question` is the bare user text, `level` that of the scaffold it shows.

    `anchor_ids` are the anchors that its problem or its scaffold comes from; `source` says whose problem it is.
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
        seed: int = 0,
    ) -> None:
        """`levels` are drawn from evenly; without `answer_format` the answer is stated as the instruction asks."""
        self.template = template
        self._levels = tuple(levels)
        self._from_frontier = from_frontier
        self._from_anchors = from_anchors
        self._answer_format = answer_format
        self._cap = per_anchor_cap
        self._seed = seed
        self._uses: Counter[tuple[str, str]] = Counter()

    def drafts(self, row: Anchored, find: FindImages) -> tuple[list[Draft], str]:
        """The drafts of one row: its own problem, then its anchors. With none, the reason why."""
        drafts = []
        instruction = row.sampling.instruction
        if self._from_frontier:
            helper = next((anchor for anchor in row.anchors if steps_of(anchor.problem)), None)
            drafts.append(self.draft(row.problem, find(row.problem.images), "frontier", instruction, helper))
        for anchor in row.anchors if self._from_anchors else ():
            name = (anchor.id, anchor.problem.question)
            if self._uses[name] < self._cap:
                drafts.append(self.draft(anchor.problem, find(anchor.problem.images), "anchor", instruction, anchor))
                self._uses[name] += 1
        return drafts, "anchors already used" if row.anchors else "no anchor"

    def draft(
        self, problem: Problem, images: tuple[ImageRef, ...], source: Source, instruction: str, helper: Anchor | None
    ) -> Draft:
        """A draft at a level drawn from the seed and the problem's id; a replayed problem is always bare.

        `helper` is the anchor that the problem is, or whose steps its scaffold borrows when it has none itself.
        """
        texts = ladder(problem, helper.problem if helper else None, self.template)
        use = self._uses[(problem.id, problem.question)]
        drawn = self._levels[sample_seed(self._seed, f"level/{problem.id}", use) % len(self._levels)]
        borrowed = helper is not None and (source == "anchor" or not steps_of(problem))
        return Draft(
            problem=msgspec.structs.replace(problem, images=tuple(image.ref for image in images)),
            images=images,
            question=user_text(problem, instruction),
            answer_format=self._answer_format or (BOXED if "\\boxed" in instruction else STATED),
            template=self.template.name,
            frame=self.template.frame,
            ladder=texts,
            # The lowest level with the text that is shown: a level that could not be built is none.
            level=0 if source == "replay" else texts.index(texts[drawn]),
            anchor_ids=(helper.id,) if helper and borrowed else (),
            source=source,
        )
