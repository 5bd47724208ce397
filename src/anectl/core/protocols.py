"""The seams between stages and engines: one small Protocol per need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from anectl.core.images import ImageRef
from anectl.core.records import Budget, Drift, FinishReason, Message, Signal

Vectors: TypeAlias = Any
"""A float32 array of shape (rows, dimension); made and read by engines only, so core needs no numpy."""


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """One prompt of which `len(seeds)` completions are drawn; sample i draws from `seeds[i]` alone.

    An engine that takes one seed for all samples of a prompt (vLLM, servers) draws sample i from `seeds[0]` plus i.
    `prefix` is text the assistant's turn already begins with; it is not part of the completion that comes back.
    `first` is the number of the first sample, where earlier ones were asked for before.
    """

    key: str
    messages: tuple[Message, ...]
    images: tuple[ImageRef, ...]
    seeds: tuple[int, ...]
    prefix: str = ""
    first: int = 0


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Temperature 0 is greedy. `max_tokens` counts generated tokens only."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Draw:
    """One completion as the engine gives it; `logprob` is the sum over its tokens where the engine knows it."""

    text: str
    finish_reason: FinishReason
    num_tokens: int
    logprob: float | None = None
    error: str | None = None


class Sampler(Protocol):
    """Draws completions.

    A `continuous` sampler is given all requests of a run in one call, reads ahead by a bounded number of them and keeps
    its engine full; any other is given one block at a time, whose rows it draws together.
    """

    name: str
    continuous: bool

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in the order of the requests, as they finish."""
        ...

    def close(self) -> None:
        """Give back what the engine holds: processes, memory, connections."""
        ...


@runtime_checkable
class UnorderedSampler(Sampler, Protocol):
    """A continuous sampler that can give each row as soon as it is done."""

    def sample_unordered(
        self, requests: Iterable[PromptRequest], params: SamplingParams
    ) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        """The number of each request, from 0, with its draws, in any order."""
        ...


class Scorer(Protocol):
    """Scores given completions under a policy."""

    def mean_nll(self, requests: Sequence[tuple[PromptRequest, str]]) -> list[float | str]:
        """Mean negative log-likelihood per token (nats) of each completion given its prompt, or why it has none."""
        ...


class StepScorer(Protocol):
    """Scores the steps of completions; a process reward model."""

    name: str

    def score(self, rows: Sequence[tuple[PromptRequest, tuple[str, ...]]]) -> list[tuple[float, ...] | str]:
        """For each row the chance of every step to be good, 0..1, or the reason why it could not be scored."""
        ...

    def close(self) -> None:
        """Give back what the scorer holds."""
        ...


@dataclass(frozen=True, slots=True)
class EmbedItem:
    """What an embedder sees of a problem: plain text (never read as a path or URL) and images."""

    text: str
    images: tuple[ImageRef, ...] = ()


class Embedder(Protocol):
    """Turns texts and images into unit vectors of one space.

    A vector holds what the item holds: its text, its images (where the text is empty), or both together. `signals`
    names those that the embedder can tell: a model of text alone cannot see.
    """

    name: str
    dimension: int
    signals: tuple[Signal, ...]

    def embed(self, items: Sequence[EmbedItem]) -> Vectors:
        """Array of shape (len(items), dimension), rows of length 1. Raises AnectlError for a non-finite vector."""
        ...

    def embed_all(self, windows: Iterable[Sequence[EmbedItem]]) -> Iterator[Vectors]:
        """The array of each window, in order."""
        ...

    def close(self) -> None:
        """Give back what the embedder holds."""
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour: its row number in the index and its cosine similarity."""

    row: int
    similarity: float


class Index(Protocol):
    """Nearest neighbours by cosine similarity, in the vectors of one signal."""

    def search(self, queries: Vectors, num_neighbors: int, among: Collection[int] | None = None) -> list[list[Hit]]:
        """For each query at most `num_neighbors` hits, best first, of equal ones the lower row first.

        `among` limits the hits to these rows.
        """
        ...

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """The vectors of these record rows, of length 1; zeros for a row that has none."""
        ...


class Verifier(Protocol):
    """Decides whether two expressions are equal; never hangs and never raises."""

    def equal(self, truth: str, given: str) -> bool | None:
        """True or false, or None when it cannot be decided within its limits."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found; `timed_out` says that null came from its time limit."""

    equal: bool | None
    timed_out: bool = False


@runtime_checkable
class TimedVerifier(Verifier, Protocol):
    """A verifier that tells a question it was stopped at from one it could not decide."""

    def decide(self, truth: str, given: str) -> Verdict:
        """As `equal`, with the reason for null."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """What a judge model said, or why it said nothing; one of the two is null."""

    text: str | None
    error: str | None = None


class Judge(Protocol):
    """Asks a language model about completions that rules could not judge."""

    name: str

    def ask(self, conversations: Sequence[tuple[Message, ...]]) -> list[JudgeReply]:
        """One reply per conversation, in their order. A failure is a reply with its error, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """What a trainer did: steps taken in all (over resumes), its last metrics, and what sft has to tell beside them."""

    steps: int
    metrics: Mapping[str, float]
    budget: Budget | None = None
    drift: Drift | None = None
