"""A model reads every scaffold for the answer, without the picture: what it can repeat, the policy can copy.

A finer sieve than the rules of `giveaways`, which know only the wordings that they were made for; ours, after the
leak test that asks whether the answer changes when the scaffold is dropped. A reader that answers without any scaffold
solves or guesses the question, so its answers say nothing about the scaffolds of that problem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from anectl.core.drafts import Draft, Drafter
from anectl.core.grading.thoughts import without_thoughts
from anectl.core.keys import sample_seed
from anectl.core.model_prompts import ModelPrompt, PromptKind
from anectl.core.probing import Probe, Work
from anectl.core.prompts import lettered
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Problem
from anectl.core.scaffolds import leaks
from anectl.core.targets import Judge

READER = PromptKind(
    name="reader",
    places=("question", "choices", "hint"),
    needed={
        "question": "the reader would not know which answer is meant",
        "hint": "the reader would have nothing to read",
    },
    words=("NOT STATED",),
    replies="a reply that says so has read no answer",
)
NO_HINT = "(there is none)"
SOLVES = "the reader answers without a scaffold"

_NOTHING_READ = re.compile(r"^[*_\s]*(?:answer\b\W*)?not[ _-]?stated\b|\bnot[ _-]?stated\W*$", re.IGNORECASE)
# Engines put a picture where a text says so, and the reader gets none.
_IMAGE_MARK = "<image>"


@dataclass
class Readings:
    """Running totals, for the summary and the manifest; `num_cut` replies ran into their limit."""

    num_problems: int = 0
    num_unjudged: int = 0
    num_texts: int = 0
    num_told: int = 0
    num_cut: int = 0
    num_failed: int = 0

    def facts(self) -> dict[str, object]:
        """The totals for the manifest."""
        return {
            "problems": self.num_problems,
            "answered_without_scaffold": self.num_unjudged,
            "texts": self.num_texts,
            "told": self.num_told,
            "cut": self.num_cut,
            "engine_errors": self.num_failed,
        }

    def summary(self) -> str:
        """One sentence for the end of the run."""
        unjudged = f"; {self.num_unjudged} problems it answers without one and judges not" if self.num_unjudged else ""
        cut = f"; {self.num_cut} replies cut (--helper-max-tokens)" if self.num_cut else ""
        errors = f"; {self.num_failed} engine errors" if self.num_failed else ""
        told = f"{self.num_told} tell the answer"
        return f"read {self.num_texts} scaffolds of {self.num_problems} problems: {told}{unjudged}{cut}{errors}"


@dataclass(frozen=True, slots=True)
class LeakReader:
    """Asks once for each text of a ladder, greedily; a level that tells the answer takes its next source."""

    prompt: ModelPrompt
    params: SamplingParams
    judge: Judge
    drafter: Drafter
    seed: int
    readings: Readings = field(default_factory=Readings)

    def read(self, draft: Draft) -> Work[Draft]:
        """The draft with a ladder that the reader reads no answer from, as far as it could be asked."""
        if not any(draft.ladder):
            return draft
        self.readings.num_problems += 1
        ((bare,),) = yield [self._probe(draft.problem, "bare", NO_HINT)]
        why = self._why_unread(bare)
        if why is None and self._tells(bare.text, draft.problem):
            self.readings.num_unjudged += 1
            why = SOLVES
        if why is not None:
            return replace(draft, notes=(*draft.notes, f"not read for leaks: {why}"))
        told: dict[str, bool] = {}
        unread: list[str] = []
        while texts := [text for text in dict.fromkeys(draft.ladder) if text and text not in told]:
            draws = yield [self._probe(draft.problem, str(len(told) + place), text) for place, text in enumerate(texts)]
            for text, (drawn,) in zip(texts, draws, strict=True):
                why = self._why_unread(drawn)
                unread += [why] if why is not None else []
                told[text] = why is None and self._tells(drawn.text, draft.problem)
                self.readings.num_texts += why is None
                self.readings.num_told += told[text]
            draft = self.drafter.without(draft, [text for text, is_told in told.items() if is_told])
        return replace(draft, notes=(*draft.notes, f"not all read for leaks: {unread[0]}")) if unread else draft

    def _probe(self, problem: Problem, name: str, hint: str) -> Probe:
        key = f"{problem.id}/reader/{name}"
        parts = {"question": problem.question, "choices": lettered(problem), "hint": hint}
        shown = {part: text.replace(_IMAGE_MARK, "[image]") for part, text in parts.items()}
        request = PromptRequest(key, self.prompt.conversation(shown), (), (sample_seed(self.seed, key, 0),))
        return Probe(request, self.params)

    def _why_unread(self, drawn: Draw) -> str | None:
        """Why a reply says nothing, neither that the answer was read nor that it was not; null for one that does."""
        if drawn.error is not None:
            self.readings.num_failed += 1
            return drawn.error
        if drawn.finish_reason != "stop":
            self.readings.num_cut += 1
            return f"the reply was cut at {self.params.max_tokens} tokens"
        return None

    def _tells(self, reply: str, problem: Problem) -> bool:
        """Whether a reply ends in the answer, also where it repeats a calculation that comes to it."""
        text = without_thoughts(reply).strip()
        last = text.rpartition("\n")[2]
        return not _NOTHING_READ.search(last) and (self.judge(problem, text) or leaks(last, problem))
