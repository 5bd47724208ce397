"""Problems and what becomes of them on the way to the truth: rollouts, the frontier, anchors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from anectl.core.records.base import AnswerType, Count, Fault, FinishReason, Name, Record, Share, Tier, Zone


class Problem(Record, frozen=True, kw_only=True):
    """A question with a checkable answer. Written by people or importers; read by rollout, build-index and eval.

    A `choice` answer is a letter (A is the first of `choices`); `precision` is in decimals; `steps` is the worked
    solution cut into steps where the data has it, `solution` is the solution as the data has it.
    """

    schema: Literal["problem/1"] = "problem/1"
    id: Name
    question: Name
    images: tuple[str, ...] = ()
    answer: Name
    answer_type: AnswerType
    choices: tuple[str, ...] | None = None
    precision: Count | None = None
    unit: str | None = None
    solution: str | None = None
    steps: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
    source: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.answer_type in ("choice", "choices"):
            if not self.choices:
                raise ValueError(f"answer_type is {self.answer_type!r} but there are no choices")
            letters = [chr(ord("A") + i) for i in range(len(self.choices))]
            given = [part for part in self.answer.replace(",", " ").split() if part]
            if any(part not in letters for part in given) or (self.answer_type == "choice" and len(given) != 1):
                raise ValueError(f"answer {self.answer!r} is not a letter of the choices ({', '.join(letters)})")


class Sampling(Record, frozen=True, kw_only=True):
    """How completions were drawn; a part of the key by which finished rows are known.

    With `until_confident`, more than `n` are drawn, each time `growth` times as many as there are, up to `max_n`, until
    a zone (`borders` are the pass rates between them) has that much of the posterior, or with `gives_up` more are not
    worth it. `reveal` is what told the policy the answer: such completions are to be learnt from, and measure nothing.
    """

    n: Annotated[int, msgspec.Meta(ge=1)] = 8
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 512
    seed: int = 0
    instruction: str = ""
    until_confident: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    growth: Annotated[float, msgspec.Meta(ge=1)] | None = None
    borders: tuple[Share, Share] | None = None
    gives_up: bool | None = None
    reveal: str | None = None


class StepValue(Record, frozen=True, kw_only=True):
    """How many continuations of a completion's beginning were correct, of those that could be judged."""

    correct: Count
    judged: Count


class Completion(Record, frozen=True, kw_only=True):
    """One attempt at a problem. `correct` is null when it could not be judged; `reason` says why in every case.

    `chance` is the probability of being counted as right where a benchmark's own script would pick at random; `judge`
    names the model and the prompt that gave the verdict where a judge was asked. `values[i]` tells of the continuations
    drawn after `steps[:i + 1]`, null where none were drawn; `step_scores[i]` is what a process reward model gives
    `steps[i]`, from 0 to 1.
    """

    text: str
    finish_reason: FinishReason
    num_tokens: Count = 0
    logprob: float | None = None
    extracted: str | None = None
    correct: bool | None = None
    reason: str = ""
    chance: float | None = None
    judge: str | None = None
    error: str | None = None
    steps: tuple[str, ...] | None = None
    values: tuple[StepValue | None, ...] | None = None
    step_scores: tuple[Share, ...] | None = None


class Rollout(Record, frozen=True, kw_only=True):
    """A problem with its group of completions. Written by rollout; read by locate-frontier, scaffold and select.

    `key` is the content key of the problem (question, image bytes, answer): lines of one problem merge by it.
    `profile` names the rule the completions were graded by, `step_scorer` the process reward model of the step scores.
    """

    schema: Literal["rollout/1"] = "rollout/1"
    key: str = ""
    problem: Problem
    policy: str
    profile: str = "strict"
    sampling: Sampling
    completions: tuple[Completion, ...]
    step_scorer: str = ""


class Posterior(Record, frozen=True, kw_only=True):
    """Beta(a, b) posterior of the pass rate, its central 95% interval, and the mass of the chosen zone."""

    a: float
    b: float
    low: float
    high: float
    confidence: float


class FirstError(Record, frozen=True, kw_only=True):
    """The first step of a failing completion after which success is unlikely, and its text.

    `completion` and `step` count from 0; `step` is null, and `text` empty, where no step makes the difference.
    """

    completion: Count
    step: Count | None
    text: str = ""
    num_continuations: Count = 0


class Certificate(Record, frozen=True, kw_only=True):
    """Evidence, beyond the policy's own failures, of whether a failing problem can be solved: how another policy did.

    `by` names that policy (or the hinted one); `correct` of its `judged` completions were right.
    """

    solvable: bool
    by: str
    correct: Count
    judged: Count


class Suspect(Record, frozen=True, kw_only=True):
    """Reason to doubt the label: `count` of the `judged` completions of a failing problem agree on one wrong answer."""

    answer: str
    count: Count
    judged: Count


class Frontier(Rollout, frozen=True, kw_only=True):
    """A rollout with its zone. Written by locate-frontier; read by backtrack and anchor.

    `failures` index into `completions`; `fault` says what most of them went wrong in; `before` is the zone in an
    earlier round; `first_errors` are added by backtrack.
    """

    schema: Literal["frontier/1"] = "frontier/1"  # type: ignore[assignment]
    zone: Zone
    posterior: Posterior
    failures: tuple[Count, ...] = ()
    certificate: Certificate | None = None
    suspect: Suspect | None = None
    fault: Fault | None = None
    before: Zone | None = None
    first_errors: tuple[FirstError, ...] = ()


class Why(Record, frozen=True, kw_only=True):
    """The part each signal had in choosing an anchor; null where it was not used.

    `text`, `image` and `joint` (image and text in one vector) are cosines, `bm25` and `skill` BM25 scores; `ranks` is
    the place of the anchor by each signal, from 1. `tier` is how near it is: the same item, the same template, the
    same skill, or a fact; `note` says it in words.
    """

    text: float | None = None
    image: float | None = None
    joint: float | None = None
    bm25: float | None = None
    skill: float | None = None
    ranks: dict[str, Count] = msgspec.field(default_factory=dict)
    tier: Tier | None = None
    note: str = ""


class Anchor(Record, frozen=True, kw_only=True):
    """A ground-truth problem retrieved for a failing one."""

    id: str
    rank: Annotated[int, msgspec.Meta(ge=1)]
    score: float
    why: Why
    problem: Problem


class Anchored(Frontier, frozen=True, kw_only=True):
    """A frontier row with its anchors, best first. Written by anchor; read by scaffold."""

    schema: Literal["anchored/1"] = "anchored/1"  # type: ignore[assignment]
    anchors: tuple[Anchor, ...]
