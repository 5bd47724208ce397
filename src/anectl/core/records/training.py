"""What training reads and what it reports."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from anectl.core.records.base import AnswerType, Carrier, Count, Name, Record


class Message(Record, frozen=True, kw_only=True):
    """One turn of a conversation; `content` is plain text, images are listed beside the messages."""

    role: Literal["system", "user", "assistant"]
    content: str


class LevelTally(Record, frozen=True, kw_only=True):
    """How the policy did when shown one level of a scaffold: `correct` of its `judged` completions were right."""

    level: Annotated[int, msgspec.Meta(ge=0, le=5)]
    correct: Count
    judged: Count


class Scaffold(Record, frozen=True, kw_only=True):
    """The help given with an example: `text` at `level` (0 bare ... 5 worked without the answer).

    `ladder` has the text of every level (`ladder[0]` is empty), `question` the bare user text and `frame` the
    pattern that joins them, so that strip-rl can build the prompt of any level. `leak` is true when the final
    answer was found in `text`. `sources[i]` says where the text of level i comes from (gold, model, `anchor ID`), empty
    where it repeats the one below; `notes` why better sources were passed over. `tried` are the levels at which
    calibration drew completions, in the order of the draws.
    """

    level: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0
    carrier: Carrier = "prompt"
    text: str = ""
    template: str = ""
    anchor_ids: tuple[str, ...] = ()
    leak: bool = False
    question: str = ""
    frame: str = ""
    ladder: tuple[str, ...] = ("", "", "", "", "", "")
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tried: tuple[LevelTally, ...] = ()


class Writing(Record, frozen=True, kw_only=True):
    """How the target of an example came about.

    `kind` is raw, template, rewrite or self (a replayed completion); `level` that of the scaffold it was written
    under, null for a text of the data. Of the `candidates` drawn, `correct` were graded so, and `clean` of these tell
    of no help they had. `nll` is the target's mean NLL per token (nats) under the bare prompt and the policy.
    `fallback` says why it is not what was asked for; empty where it is.
    """

    kind: Literal["raw", "template", "rewrite", "self"]
    level: Annotated[int, msgspec.Meta(ge=0, le=5)] | None = None
    candidates: Count = 0
    correct: Count = 0
    clean: Count = 0
    nll: float | None = None
    fallback: str = ""


class Example(Record, frozen=True, kw_only=True):
    """A training row in TRL's conversational prompt/completion shape. Written by scaffold; read by sft and strip-rl.

    `origin` says where the target came from: frontier, anchor or replay, then the kind of target. `frontier_id` is the
    failing problem that the row was made for, empty for a replayed one; `writing` says how its target came about.
    """

    schema: Literal["example/1"] = "example/1"
    problem_id: Name
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    images: tuple[str, ...] = ()
    answer: Name
    answer_type: AnswerType
    choices: tuple[str, ...] = ()
    precision: Count | None = None
    unit: str | None = None
    scaffold: Scaffold
    origin: str
    frontier_id: str = ""
    writing: Writing | None = None


class Surprise(Record, frozen=True, kw_only=True):
    """How likely a policy finds given texts: `nll` is the mean over their tokens, in nats, with its 95% interval."""

    rows: Count
    tokens: Count
    nll: float
    low: float
    high: float


class Forgetting(Record, frozen=True, kw_only=True):
    """What training did to completions of the policy that were right; `tag` is null for all of them together.

    All means are over tokens, in nats: the NLL before and after, and `kl`, the divergence KL(before || after) of the
    whole vocabulary, with its 95% interval. `greedy_before` and `greedy_after` count the completions that greedy
    decoding reproduces word for word, `lost` those that it no longer does.
    """

    tag: str | None = None
    rows: Count
    tokens: Count
    nll_before: float
    nll_after: float
    kl: float
    kl_low: float
    kl_high: float
    greedy_before: Count
    greedy_after: Count
    lost: Count


class Drift(Record, frozen=True, kw_only=True):
    """How far sft moved the policy: `targets` under the policy it began with, and what it did to held-out rows.

    `tags` has the families of the held-out problems, worst first.
    """

    targets: Surprise | None = None
    held_out: Forgetting | None = None
    tags: tuple[Forgetting, ...] = ()


class Budget(Record, frozen=True, kw_only=True):
    """Where a run of sft stands among rounds that share one learning-rate schedule of `total_steps` steps."""

    total_steps: Count
    steps_before: Count = 0
    passes_before: Count = 0
    continued_from: str | None = None


class Result(Record, frozen=True, kw_only=True):
    """What a training command did. Written by sft and strip-rl on stdout.

    `base` is the checkpoint that the first round began with; `budget` and `drift` are those of sft.
    """

    schema: Literal["result/1"] = "result/1"
    command: str
    base: str
    checkpoint: str
    num_examples: Count
    steps: Count
    seconds: float
    metrics: dict[str, float]
    budget: Budget | None = None
    drift: Drift | None = None
