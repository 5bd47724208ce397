"""What a training example teaches: completions made from the data, or written by the policy itself.

SFT on raw solutions drifts furthest from what the policy would write; a target of its own words, found with the help
of a scaffold and checked like any completion, drifts least (SDFT, arXiv 2402.13669; AnE, arXiv 2605.25571).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from anectl.core.drafts import Draft
from anectl.core.grading.extract import find_answer
from anectl.core.keys import sample_seed
from anectl.core.prompts import conversation, framed
from anectl.core.protocols import PromptRequest, Sampler, SamplingParams, Scorer
from anectl.core.records import Problem
from anectl.core.scaffolds import NUM_LEVELS, steps_of

Judge: TypeAlias = Callable[[Problem, str], bool]
"""Whether a finished completion is graded correct."""

# A completion that speaks of the help it had would make no sense without it (SDFT screens the same way).
_OWNING_UP = re.compile(
    r"\b(?:hints?|scaffold\w*|(?:the|this|that|your|given) notes?|notes? (?:above|says?|given)"
    r"|reference (?:answer|solution)|(?:given|provided|worked|example) solution|solution (?:above|given|provided))\b",
    re.IGNORECASE,
)
_MASK = re.compile(r"(?<![\w)\]}\"'*?!])\?")


@dataclass(frozen=True, slots=True)
class Target:
    """A completion, and the kind of its making: raw, template, rewrite or self."""

    text: str
    kind: str


def with_answer(text: str, answer_format: str, answer: str) -> str:
    """The text, then the answer in its format (`{answer}` stands for it)."""
    return f"{text} {answer_format.replace('{answer}', answer)}"


def raw_target(draft: Draft, judge: Judge) -> Target | None:
    """The solution as the data has it, with the answer behind it where it does not state it itself."""
    solution = (draft.problem.solution or "").strip()
    if not solution:
        return template_target(draft, judge)
    # A bare result such as `5-1=4` would be graded too, but a target must show how an answer is stated.
    if find_answer(solution) is not None and judge(draft.problem, solution):
        return Target(solution, "raw")
    stated = with_answer(solution, draft.answer_format, draft.problem.answer)
    return Target(stated, "raw") if judge(draft.problem, stated) else None


def template_target(draft: Draft, judge: Judge) -> Target | None:
    """The worked steps in a row, then the answer; None without steps, or when the grader does not accept it."""
    steps = steps_of(draft.problem)
    text = with_answer(" ".join(steps), draft.answer_format, draft.problem.answer)
    return Target(text, "template") if steps and judge(draft.problem, text) else None


def owns_up(text: str, question: str) -> bool:
    """Whether a completion mentions the help it was given, or copies a masked value, and the question does not."""
    said = {match.lower() for match in _OWNING_UP.findall(text)} - {
        match.lower() for match in _OWNING_UP.findall(question)
    }
    return bool(said) or (_MASK.search(text) is not None and _MASK.search(question) is None)


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Lets the policy write targets: it is shown the scaffold, and judged without it."""

    sampler: Sampler
    scorer: Scorer
    judge: Judge
    params: SamplingParams
    num_candidates: int
    seed: int

    def write(self, drafts: Sequence[Draft]) -> list[Target | None]:
        """One target per draft, or None where no candidate of any level is correct and clean.

        Candidates are drawn under the draft's level first, then under each higher one until one passes. Of those
        that pass, the one with the lowest mean NLL under the bare prompt is taken: the least drift.
        """
        passed: dict[int, list[str]] = {}
        for level in range(NUM_LEVELS):
            asked = [place for place, draft in enumerate(drafts) if place not in passed and _has_own(draft, level)]
            requests = (self._request(drafts[place], level) for place in asked)
            for place, draws in zip(asked, self.sampler.sample(requests, self.params), strict=True):
                texts = {draw.text for draw in draws if draw.finish_reason == "stop"}
                good = [text for text in sorted(texts) if self._is_good(drafts[place], text)]
                if good:
                    passed[place] = good
        best = self._least_drift(drafts, passed)
        return [Target(best[place], "rewrite") if place in best else None for place in range(len(drafts))]

    def _request(self, draft: Draft, level: int) -> PromptRequest:
        text = framed(draft.question, draft.frame, draft.ladder[level])
        key = f"{draft.problem.id}/rewrite/{level}"
        seeds = tuple(sample_seed(self.seed, key, number) for number in range(self.num_candidates))
        return PromptRequest(key, conversation(text), draft.images, seeds)

    def _is_good(self, draft: Draft, text: str) -> bool:
        return not owns_up(text, draft.question) and self.judge(draft.problem, text)

    def _least_drift(self, drafts: Sequence[Draft], passed: dict[int, list[str]]) -> dict[int, str]:
        pairs = [(place, text) for place, texts in passed.items() for text in texts]
        losses = self.scorer.mean_nll([(_bare(drafts[place]), text) for place, text in pairs])
        ranked = sorted(zip(losses, pairs, strict=True), reverse=True)
        return {place: text for _, (place, text) in ranked}


def _bare(draft: Draft) -> PromptRequest:
    return PromptRequest(draft.problem.id, conversation(draft.question), draft.images, ())


def _has_own(draft: Draft, level: int) -> bool:
    """Whether the level is the draft's own or a higher one that says something new."""
    if level <= draft.level:
        return level == draft.level
    return draft.ladder[level] != draft.ladder[level - 1]
