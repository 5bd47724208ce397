"""From checked problems to completions: what rollout and eval have in common.

For a sampler that works block by block, blocks are formed by position over all rows, also over those an interrupted run
has finished, so that a resumed run draws every block in the same company and gets the same completions to the last bit.

A row may be drawn on when its first completions do not suffice (`Follow`): in a block together with the others of its
block, with a continuous sampler before any new row, so that no more rows wait than a few times what it reads ahead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeAlias

import msgspec

from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.keys import sample_seed
from anectl.core.problem_rows import Row
from anectl.core.prompts import conversation
from anectl.core.protocols import Draw, PromptRequest, Sampler, SamplingParams, UnorderedSampler
from anectl.core.records import Completion, Problem, Rollout, Sampling, Score
from anectl.core.run import Run

Completions: TypeAlias = tuple[Completion, ...]
Judge: TypeAlias = Callable[[Row, Completions], Completions]
"""Grades new completions of a row; they stay ungraded where it gives them back as they are."""
Follow: TypeAlias = Callable[[Completions], int]
"""How many more completions a row needs, by all it has, graded; 0 when they suffice."""


def sampling_of(
    num_samples: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int,
    instruction: str,
    reveal: str | None = None,
) -> Sampling:
    """The settings as a record. Raises UsageError for some that make no sense."""
    if not 0 < top_p <= 1:
        raise UsageError(f"--top-p {top_p}: must be over 0 and at most 1")
    if not 0 <= temperature < math.inf:
        raise UsageError(f"--temperature {temperature}: must be a number from 0 up")
    if temperature == 0 and num_samples > 1:
        raise UsageError(
            f"temperature 0 gives the same completion {num_samples} times",
            hint="set --temperature over 0, or draw one completion",
        )
    if reveal is not None and "{answer}" not in reveal:
        raise UsageError(f"--reveal {reveal!r} has no {{answer}}", hint="such as 'The answer is {answer}. Show why.'")
    return Sampling(
        n=num_samples,
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        seed=seed,
        instruction=instruction,
        reveal=reveal,
    )


def refuse_revealed(row: Rollout) -> None:
    """Raises RowError for completions of a policy that was told the answer: they measure nothing."""
    if row.sampling.reveal is not None:
        raise RowError(
            f"{row.problem.id!r} was drawn with its answer revealed", hint="anectl select takes such rows to learn from"
        )


def refuse_other_settings(policy: str, sampling: Sampling, done: Rollout | Score, path: str) -> None:
    """Raises AnectlError, with the difference, for a finished row that was drawn in another way."""
    now = {"policy": policy} | msgspec.structs.asdict(sampling)
    before = {"policy": done.policy} | (msgspec.structs.asdict(done.sampling) if done.sampling else {})
    changed = [
        f"{name}: {before.get(name)!r} before, {now[name]!r} now" for name in now if before.get(name) != now[name]
    ]
    if changed:
        raise AnectlError(
            "holds rows drawn with other settings: " + "; ".join(changed),
            path=path,
            hint="use the earlier settings, or write to another file",
        )


def refuse_odd_options(engine: str, *, unordered: bool, resume: bool, retry_failed: bool) -> None:
    """Raises UsageError for options that do not go together."""
    if unordered and engine not in ("vllm", "openai"):
        raise UsageError(
            f"--unordered: --engine {engine} works block by block, in order", hint="--engine vllm or openai"
        )
    if retry_failed and not resume:
        raise UsageError("--retry-failed goes with --resume", hint="it draws rows of an existing file again")


def count_only(run: Run, rows: Iterable[Row], policy: str, sampling: Sampling) -> str:
    """Read, and so check, every row; say what would be drawn."""
    num_rows = num_images = 0
    for row in rows:
        run.keep()
        num_rows += 1
        num_images += len(row.images)
    most = f", where they leave a problem unsure up to {sampling.max_n}," if sampling.max_n else ""
    return (
        f"all is well with {num_rows} problems and their {num_images} images; would draw {num_rows} x {sampling.n} "
        f"completions{most} of up to {sampling.max_tokens} tokens from {policy}"
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for each row, and what is done with its answer."""

    sampling: Sampling
    prompt_of: Callable[[Problem], str]
    judge: Judge
    follow: Follow

    def request(self, one: _Drawn) -> PromptRequest:
        prompt = self.prompt_of(one.row.problem)
        return request_of(one.row, self.sampling, prompt, first=len(one.completions), count=one.owed)

    def take(self, one: _Drawn, draws: Iterable[Draw]) -> None:
        one.completions += self.judge(one.row, tuple(map(_completion, draws)))
        one.owed = self.follow(one.completions)


@dataclass(slots=True, eq=False)
class _Drawn:
    """A row, what has been drawn of it, and how many more completions it is owed."""

    row: Row
    owed: int
    completions: Completions = ()

    @property
    def is_settled(self) -> bool:
        return self.row.is_finished or not self.owed

    def result(self) -> tuple[Row, Completions | None]:
        return self.row, None if self.row.is_finished else self.completions


def draw_completions(
    rows: Iterable[Row],
    sampling: Sampling,
    *,
    batch_size: int,
    load_sampler: Callable[[], Sampler],
    prompt_of: Callable[[Problem], str],
    unordered: bool = False,
    judge: Judge = lambda row, completions: completions,
    follow: Follow = lambda completions: 0,
) -> Iterator[tuple[Row, Completions | None]]:
    """Every row with its completions; None for a finished row.

    They come in order, each block or row as it is done; with `unordered`, which a continuous sampler allows, as each is
    done. A block that has any unfinished row is drawn whole. The sampler is loaded for the first unfinished row.
    """
    plan = _Plan(sampling, prompt_of, judge, follow)
    params = SamplingParams(sampling.temperature, sampling.top_p, sampling.max_tokens)
    iterator = iter(rows)
    while block := list(islice(iterator, batch_size)):
        if all(row.is_finished for row in block):
            yield from ((row, None) for row in block)
            continue
        # One call for all that is left: a continuous sampler never waits for the slowest row of a block.
        with closing(load_sampler()) as sampler:
            left = chain(block, iterator)
            if unordered:
                yield from _as_done(left, sampler, params, plan)
            elif sampler.continuous:
                yield from _continuously(left, sampler, params, plan)
            else:
                yield from _by_block(left, sampler, params, plan, batch_size)
        return


def _by_block(
    rows: Iterable[Row], sampler: Sampler, params: SamplingParams, plan: _Plan, size: int
) -> Iterator[tuple[Row, Completions | None]]:
    iterator = iter(rows)
    while block := [_Drawn(row, plan.sampling.n) for row in islice(iterator, size)]:
        # Finished rows are drawn with the others, as they were before the interruption.
        owing = [] if all(one.row.is_finished for one in block) else block
        while owing:
            found = sampler.sample(list(map(plan.request, owing)), params)
            for one, draws in zip(owing, found, strict=True):
                plan.take(one, draws)
            owing = [one for one in owing if one.owed]
        yield from (one.result() for one in block)


class _Stream:
    """The requests of a continuous sampler: rows that are to be drawn on first, then new ones.

    Ends when there are none, though answers under way may make more: who reads it asks again as long as `again` holds.
    """

    def __init__(self, rows: Iterable[Row], plan: _Plan) -> None:
        self._rows, self._plan = iter(rows), plan
        self.again: deque[_Drawn] = deque()
        self.waiting: deque[_Drawn] = deque()
        self.asked: dict[int, _Drawn] = {}

    def requests(self) -> Iterator[PromptRequest]:
        """Each is remembered in `asked` under its number; all new rows, finished ones too, go to `waiting`."""
        number = 0
        while (one := self.again.popleft() if self.again else self._new()) is not None:
            self.asked[number] = one
            number += 1
            yield self._plan.request(one)

    def _new(self) -> _Drawn | None:
        for row in self._rows:
            one = _Drawn(row, self._plan.sampling.n)
            self.waiting.append(one)
            if not row.is_finished:
                return one
        return None

    def answered(self, number: int, draws: Iterable[Draw]) -> _Drawn:
        """The row that asked, with its new completions; put among the next to ask when it is owed more."""
        one = self.asked.pop(number)
        self._plan.take(one, draws)
        if one.owed:
            self.again.append(one)
        return one

    def settled(self) -> Iterator[tuple[Row, Completions | None]]:
        """The rows at the head of `waiting` that are done."""
        while self.waiting and self.waiting[0].is_settled:
            yield self.waiting.popleft().result()


def _continuously(
    rows: Iterable[Row], sampler: Sampler, params: SamplingParams, plan: _Plan
) -> Iterator[tuple[Row, Completions | None]]:
    """In order; rows that are done wait for those before them."""
    stream = _Stream(rows, plan)
    is_first = True
    while is_first or stream.again:
        is_first = False
        for number, draws in enumerate(sampler.sample(stream.requests(), params)):
            stream.answered(number, draws)
            yield from stream.settled()
    yield from stream.settled()


def _as_done(
    rows: Iterable[Row], sampler: Sampler, params: SamplingParams, plan: _Plan
) -> Iterator[tuple[Row, Completions | None]]:
    """In the order in which the sampler is done with them."""
    if not isinstance(sampler, UnorderedSampler):
        raise UsageError("--unordered needs an engine that works on all rows at once", hint="vllm or openai")
    stream = _Stream(rows, plan)
    is_first = True
    while is_first or stream.again:
        is_first = False
        for number, draws in sampler.sample_unordered(stream.requests(), params):
            one = stream.answered(number, draws)
            if one.is_settled:
                yield one.result()
            # The order is free: of those that wait only the finished are of interest.
            finished = [other for other in stream.waiting if other.row.is_finished]
            stream.waiting.clear()
            yield from (other.result() for other in finished)
    yield from (other.result() for other in stream.waiting if other.row.is_finished)


def request_of(row: Row, sampling: Sampling, prompt: str, *, first: int = 0, count: int | None = None) -> PromptRequest:
    """What a sampler is asked for one row: `count` samples from number `first` on, each with a seed of its own."""
    numbers = range(first, first + (sampling.n if count is None else count))
    seeds = tuple(sample_seed(sampling.seed, row.key, number) for number in numbers)
    return PromptRequest(row.key, conversation(prompt), row.images, seeds, first=first)


def _completion(draw: Draw) -> Completion:
    """The completion of a draw, not yet graded; a failed draw is kept with its error."""
    return Completion(
        text=draw.text,
        finish_reason=draw.finish_reason,
        num_tokens=draw.num_tokens,
        logprob=draw.logprob,
        error=draw.error,
    )
