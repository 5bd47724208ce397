"""A policy goes on behind an error that was planted in its completion, and fails of it, or does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from anectl import engines
from anectl.core.completion_grades import LazyVerifier, regraded
from anectl.core.grading import grade
from anectl.core.images import ImageRoot
from anectl.core.keys import problem_key, sample_seed
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Completion, Frontier, Posterior, Problem, Sampling
from anectl.core.steps import split_sentences
from anectl.core.zones import Borders, locate, verdicts_of

OWN = 8
LEAST_PASS_RATE = 0.5
PARAMS = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=96)

Fate = Literal["kept", "came right", "not judged", "steps run together", "fails anyway"]
"""What becomes of a plant. `steps run together`: what follows belongs to the wrong step, or cuts it in two."""


class Policy:
    """A model that writes completions of its own and goes on behind the beginnings of others."""

    def __init__(self, model: Path, seed: int) -> None:
        self.settings = engines.EngineSettings(engine="transformers", model=str(model), batch_size=64)
        self.sampler = engines.load_sampler(self.settings)
        self.verifier = LazyVerifier(engines.load_verifier)
        self.seed = seed

    def carry_on(
        self, rows: Sequence[dict[str, Any]], starts: Sequence[str], folder: Path
    ) -> Iterator[tuple[Frontier, Fate]]:
        """Each problem with the policy's own completions and, last, the one behind its start; and the fate of that."""
        problems = [msgspec.convert(row, Problem) for row in rows]
        own = self._drawn(problems, [""] * len(rows), folder, "", OWN)
        carried = self._drawn(problems, starts, folder, "/planted", 1)
        for problem, start, (key, mine), (_, (last,)) in zip(problems, starts, own, carried, strict=True):
            completions = (*mine, last)
            zone, posterior, _ = locate(verdicts_of(completions), Borders())
            yield self._row(key, problem, completions, zone, posterior), fate_of(mine, start, last)

    def _row(
        self, key: str, problem: Problem, completions: tuple[Completion, ...], zone: Any, posterior: Posterior
    ) -> Frontier:
        return Frontier(
            key=key,
            problem=problem,
            policy=self.settings.policy,
            sampling=Sampling(n=OWN, temperature=PARAMS.temperature, max_tokens=PARAMS.max_tokens, seed=self.seed),
            completions=completions,
            zone=zone,
            posterior=posterior,
            failures=(len(completions) - 1,),
        )

    def _drawn(
        self, problems: Sequence[Problem], starts: Sequence[str], folder: Path, place: str, num: int
    ) -> list[tuple[str, tuple[Completion, ...]]]:
        """For each problem its key and `num` graded completions that begin with its start."""
        requests = []
        for problem, start in zip(problems, starts, strict=True):
            images = ImageRoot(None).resolve_all(problem.images, str(folder / "planted.jsonl"))
            key = problem_key(problem, [image.read() for image in images])
            seeds = tuple(sample_seed(self.seed, key + place, number) for number in range(num))
            requests.append(PromptRequest(key, conversation(user_text(problem, "")), images, seeds, prefix=start))
        found = []
        for problem, request, draws in zip(problems, requests, self.sampler.sample(requests, PARAMS), strict=True):
            texts = [(request.prefix + draw.text, draw) for draw in draws]
            completions = (
                Completion(text=text, finish_reason=draw.finish_reason, num_tokens=draw.num_tokens, error=draw.error)
                for text, draw in texts
            )
            graded = tuple(regraded(problem, completion, grade, self.verifier) for completion in completions)
            found.append((request.key, graded))
        return found


def fate_of(mine: Sequence[Completion], start: str, last: Completion) -> Fate:
    """Whether a completion that goes on behind a planted error is a failure, and of a problem the policy solves."""
    if last.correct is not False:
        return "came right" if last.correct else "not judged"
    cut = split_sentences(start)
    if split_sentences(last.text)[: len(cut)] != cut:
        return "steps run together"
    if sum(one.correct is True for one in mine) < LEAST_PASS_RATE * len(mine):
        return "fails anyway"
    return "kept"
