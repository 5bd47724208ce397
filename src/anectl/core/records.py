"""The records that flow between commands: one JSON object a line, frozen and typed.

Unknown fields are kept on the way through (`extra`), unknown versions are refused, and facts are stored while
derived values (pass rate, advantage) are computed where they are needed. `docs/records.md` is generated from here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

AnswerType = Literal["choice", "choices", "number", "expression", "text", "list", "boolean"]
Carrier = Literal["prompt", "prefix"]
FinishReason = Literal["stop", "length", "error"]
Zone = Literal["solved", "learnable", "failing", "unsure"]
Name = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]

EXTRA = "unknown fields"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records; `extra` holds the fields of the line that this version does not know."""

    extra: dict[str, Any] = msgspec.field(default_factory=dict, name=EXTRA)


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
    """How completions were drawn; a part of the key by which finished rows are known."""

    n: Annotated[int, msgspec.Meta(ge=1)] = 8
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 512
    seed: int = 0
    instruction: str = ""


class Completion(Record, frozen=True, kw_only=True):
    """One attempt at a problem. `correct` is null when it could not be judged; `reason` says why in every case."""

    text: str
    finish_reason: FinishReason
    num_tokens: Count = 0
    logprob: float | None = None
    extracted: str | None = None
    correct: bool | None = None
    reason: str = ""
    error: str | None = None
    steps: tuple[str, ...] | None = None


class Rollout(Record, frozen=True, kw_only=True):
    """A problem with its group of completions. Written by rollout; read by locate-frontier, scaffold and select.

    `key` is the content key of the problem (question, image bytes, answer): lines of one problem merge by it.
    """

    schema: Literal["rollout/1"] = "rollout/1"
    key: str = ""
    problem: Problem
    policy: str
    sampling: Sampling
    completions: tuple[Completion, ...]


class Posterior(Record, frozen=True, kw_only=True):
    """Beta(a, b) posterior of the pass rate, its central 95% interval, and the mass of the chosen zone."""

    a: float
    b: float
    low: float
    high: float
    confidence: float


class Frontier(Rollout, frozen=True, kw_only=True):
    """A rollout with its zone. Written by locate-frontier; read by anchor. `failures` index into `completions`."""

    schema: Literal["frontier/1"] = "frontier/1"  # type: ignore[assignment]
    zone: Zone
    posterior: Posterior
    failures: tuple[Count, ...] = ()
    first_error: int | None = None


class Why(Record, frozen=True, kw_only=True):
    """The part each signal had in choosing an anchor; null where it was not used.

    `joint` is the cosine of vectors that hold image and text together, where the two cannot be told apart.
    """

    text: float | None = None
    image: float | None = None
    joint: float | None = None
    bm25: float | None = None
    skill: float | None = None


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


class Message(Record, frozen=True, kw_only=True):
    """One turn of a conversation; `content` is plain text, images are listed beside the messages."""

    role: Literal["system", "user", "assistant"]
    content: str


class Scaffold(Record, frozen=True, kw_only=True):
    """The help given with an example: `text` at `level` (0 bare ... 5 worked without the answer).

    `ladder` has the text of every level (`ladder[0]` is empty), `question` the bare user text and `frame` the
    pattern that joins them, so that strip-rl can build the prompt of any level. `leak` is true when the final
    answer was found in `text`.
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


class Example(Record, frozen=True, kw_only=True):
    """A training row in TRL's conversational prompt/completion shape. Written by scaffold; read by sft and strip-rl.

    `origin` says where the target came from: frontier, anchor or replay, then the kind of target.
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


class Score(Record, frozen=True, kw_only=True):
    """One problem of a benchmark under one policy. Written by eval; read by compare.

    `cluster` is the content key of the images: problems that share an image are not independent.
    """

    schema: Literal["score/1"] = "score/1"
    problem_id: Name
    benchmark: Name
    cluster: str
    policy: str
    profile: str = "strict"
    sampling: Sampling
    scaffold_level: int = 0
    completions: tuple[Completion, ...]


class Comparison(Record, frozen=True, kw_only=True):
    """Paired test of two policies on one benchmark (or on all, `benchmark` is `mean`). Written by compare.

    `path_a` (the baseline) and `path_b` are the score files. `difference` is b - a, `low` and `high` its 95% interval;
    `gained` and `lost` are the ids of the problems that flipped.
    """

    schema: Literal["comparison/1"] = "comparison/1"
    path_a: str = ""
    path_b: str = ""
    benchmark: str
    num_problems: Count
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    p_value: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]


class Result(Record, frozen=True, kw_only=True):
    """What a training command did. Written by sft and strip-rl on stdout."""

    schema: Literal["result/1"] = "result/1"
    command: str
    base: str
    checkpoint: str
    num_examples: Count
    steps: Count
    seconds: float
    metrics: dict[str, float]


class Reject(Record, frozen=True, kw_only=True):
    """A row that `--on-error skip` left out: its place, what is wrong, and the row itself, unchanged."""

    schema: Literal["reject/1"] = "reject/1"
    path: str
    line: Count
    problem: str
    hint: str | None
    row: str


RECORDS: dict[str, type[Record]] = {
    "problem": Problem,
    "rollout": Rollout,
    "frontier": Frontier,
    "anchored": Anchored,
    "example": Example,
    "score": Score,
    "comparison": Comparison,
    "result": Result,
    "reject": Reject,
}
