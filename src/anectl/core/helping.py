"""What a helper model does for the drafts of a row: it writes their scaffolds, reads them for the answer, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anectl.core.drafts import Draft, Drafter
from anectl.core.helper_prompt import help_of_reply, helper_conversation
from anectl.core.keys import sample_seed
from anectl.core.leak_reading import LeakReader
from anectl.core.lockstep import together
from anectl.core.model_prompts import ModelPrompt
from anectl.core.probing import Probe, Work
from anectl.core.protocols import PromptRequest, SamplingParams


@dataclass(frozen=True, slots=True)
class Helper:
    """`prompt` is null where it writes nothing, `reader` where it reads nothing."""

    prompt: ModelPrompt | None
    reader: LeakReader | None
    params: SamplingParams
    drafter: Drafter
    seed: int

    def help(self, drafts: Sequence[Draft]) -> Work[list[Draft]]:
        """All drafts of a row, side by side; what is written is read too."""
        helped = list(drafts)
        if self.prompt is not None and helped:
            helped = yield from self._write(self.prompt, helped)
        if self.reader is not None:
            helped = yield from together([self.reader.read(draft) for draft in helped])
        return helped

    def _write(self, prompt: ModelPrompt, drafts: Sequence[Draft]) -> Work[list[Draft]]:
        keys = [f"{draft.problem.id}/helper" for draft in drafts]
        draws = yield [
            Probe(
                PromptRequest(
                    key, helper_conversation(prompt, draft.problem), draft.images, (sample_seed(self.seed, key, 0),)
                ),
                self.params,
            )
            for key, draft in zip(keys, drafts, strict=True)
        ]
        return [
            self.drafter.helped(
                draft, help_of_reply(None if drawn.error else drawn.text, draft.problem, drawn.error or "")
            )
            for draft, (drawn,) in zip(drafts, draws, strict=True)
        ]
