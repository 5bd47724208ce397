"""Targets that the policy writes itself, given the scaffold: drawn, graded and screened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from anectl.core.drafts import Draft
from anectl.core.keys import sample_seed
from anectl.core.probing import Probe, Work
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Carrier, Writing
from anectl.core.scaffolds import NUM_LEVELS
from anectl.core.screens import owns_up, quotes, work_before_answer
from anectl.core.targets import Judge


@dataclass(slots=True)
class Attempt:
    """What came of a draft: the texts that passed, the level they were written at, and the counts over all levels.

    Of the correct texts `told` mention their help, and of `asserted` the answer does not follow from their work.
    """

    draft: Draft
    texts: list[str] = field(default_factory=list)
    level: int | None = None
    candidates: int = 0
    correct: int = 0
    clean: int = 0
    told: int = 0
    asserted: int = 0
    failed: int = 0
    error: str = ""

    def note_errors(self, draws: Iterable[Draw]) -> None:
        """Keep what the engine failed to draw, of candidates and probes, and what it said first."""
        for draw in draws:
            if draw.error is not None:
                self.failed += 1
                self.error = self.error or draw.error

    def why_not(self) -> str:
        """Why there is no rewrite."""
        failed = f"; the engine failed {self.failed} times: {self.error}" if self.failed else ""
        if not self.correct:
            return f"none of {self.candidates} rewrites correct{failed}"
        why = f"{self.told} tell of help, {self.asserted} assert"
        return f"{self.correct} of {self.candidates} rewrites correct: {why}{failed}"

    def writing(self, nll: float | None) -> Writing:
        """The record of a rewrite."""
        own = self.draft.level
        fallback = "" if self.level == own else f"no rewrite at level {own}"
        return Writing(
            kind="rewrite",
            level=self.level,
            candidates=self.candidates,
            correct=self.correct,
            clean=self.clean,
            nll=nll,
            fallback=fallback,
        )


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Lets the policy write targets: it is shown the scaffold, and judged without it.

    `wrapping` are the patterns of the template, which no text may quote; with `probe` every text must also pass the
    answer probe: the policy, given its work but no help, comes to the answer.
    """

    judge: Judge
    params: SamplingParams
    num_candidates: int
    seed: int
    carrier: Carrier = "prompt"
    wrapping: tuple[str, ...] = ()
    probe: bool = True

    def write(self, draft: Draft) -> Work[Attempt]:
        """Candidates under the draft's level, then under each higher one, until one passes."""
        attempt = Attempt(draft)
        for level in range(draft.level, NUM_LEVELS):
            if level > draft.level and draft.ladder[level] == draft.ladder[level - 1]:
                continue
            (draws,) = yield [self._ask(draft, level)]
            attempt.candidates += len(draws)
            attempt.note_errors(draws)
            passed = self._screened(attempt, level, draws)
            if self.probe and level and passed:
                passed = yield from self._supported(attempt, level, passed)
            attempt.clean += sum(passed.values())
            if passed:
                attempt.texts, attempt.level = list(passed), level
                break
        return attempt

    def _ask(self, draft: Draft, level: int) -> Probe:
        key = f"{draft.problem.id}/rewrite/{level}"
        seeds = tuple(sample_seed(self.seed, key, number) for number in range(self.num_candidates))
        return Probe(draft.request(level, self.carrier, key, seeds), self.params)

    def _prefix(self, draft: Draft, level: int) -> str:
        return draft.ladder[level] if self.carrier == "prefix" else ""

    def _screened(self, attempt: Attempt, level: int, draws: Sequence[Draw]) -> dict[str, int]:
        """The texts that are complete, correct and tell of no help, each with how often it was drawn, in order."""
        draft, prefix = attempt.draft, self._prefix(attempt.draft, level)
        texts = sorted(draw.text for draw in draws if draw.finish_reason == "stop" and draw.text.strip())
        verdicts = {text: self.judge(draft.problem, prefix + text) for text in set(texts)}
        right = [text for text in texts if verdicts[text]]
        kept: dict[str, int] = {}
        for text in right:
            if owns_up(text, draft.question) or quotes(text, self.wrapping, draft.question):
                attempt.told += 1
            else:
                kept[text] = kept.get(text, 0) + 1
        attempt.correct += len(right)
        return kept

    def _supported(self, attempt: Attempt, level: int, texts: dict[str, int]) -> Work[dict[str, int]]:
        """Of the texts those whose work, up to where the answer is first stated, leads the bare policy to it."""
        draft, prefix = attempt.draft, self._prefix(attempt.draft, level)
        works = {text: work_before_answer(prefix + text) for text in texts}
        asked = sorted(set(works.values()))
        params = replace(self.params, temperature=0.0)
        draws = yield [Probe(self._bare(draft, work), params) for work in asked]
        attempt.note_errors(draw for (draw,) in draws)
        leads = {
            work: draw.finish_reason == "stop" and self.judge(draft.problem, work + draw.text)
            for work, (draw,) in zip(asked, draws, strict=True)
        }
        attempt.asserted += sum(count for text, count in texts.items() if not leads[works[text]])
        return {text: count for text, count in texts.items() if leads[works[text]]}

    def _bare(self, draft: Draft, work: str) -> PromptRequest:
        key = f"{draft.problem.id}/probe"
        return replace(draft.request(0, "prompt", key, (sample_seed(self.seed, key, 0),)), prefix=work)
