"""From checked problems to completions: what rollout and eval have in common.

For a sampler that works block by block, blocks are formed by position over all rows, also over those an interrupted run
has finished, so that a resumed run draws every block in the same company and gets the same completions to the last bit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice

import msgspec

from anectl.core.errors import AnectlError, UsageError
from anectl.core.keys import sample_seed
from anectl.core.problem_rows import Row
from anectl.core.prompts import conversation
from anectl.core.protocols import Draw, PromptRequest, Sampler, SamplingParams, UnorderedSampler
from anectl.core.records import Completion, Problem, Rollout, Sampling, Score
from anectl.core.run import Run


def sampling_of(
    num_samples: int, temperature: float, top_p: float, max_tokens: int, seed: int, instruction: str
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
    return Sampling(
        n=num_samples, temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed, instruction=instruction
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
    return (
        f"all is well with {num_rows} problems and their {num_images} images; would draw {num_rows} x {sampling.n} "
        f"completions of up to {sampling.max_tokens} tokens from {policy}"
    )


def draw_completions(
    rows: Iterable[Row],
    sampling: Sampling,
    *,
    batch_size: int,
    load_sampler: Callable[[], Sampler],
    prompt_of: Callable[[Problem], str],
    unordered: bool = False,
) -> Iterator[tuple[Row, tuple[Completion, ...] | None]]:
    """Every row with its completions, which are not graded yet; None for a finished row.

    They come in order, each block or row as it is done; with `unordered`, which a continuous sampler allows, as each is
    done. A block that has any unfinished row is drawn whole. The sampler is loaded for the first unfinished row.
    """
    iterator = iter(rows)
    while block := list(islice(iterator, batch_size)):
        if all(row.is_finished for row in block):
            yield from ((row, None) for row in block)
            continue
        # One call for all that is left: a continuous sampler never waits for the slowest row of a block.
        with closing(load_sampler()) as sampler:
            yield from _drawn(chain(block, iterator), sampler, sampling, batch_size, prompt_of, unordered)
        return


def _drawn(
    rows: Iterable[Row],
    sampler: Sampler,
    sampling: Sampling,
    batch_size: int,
    prompt_of: Callable[[Problem], str],
    unordered: bool,
) -> Iterator[tuple[Row, tuple[Completion, ...] | None]]:
    params = SamplingParams(sampling.temperature, sampling.top_p, sampling.max_tokens)

    def request(row: Row) -> PromptRequest:
        return request_of(row, sampling, prompt_of(row.problem))

    if unordered:
        drawn = _as_done(rows, sampler, params, request)
    elif sampler.continuous:
        drawn = _continuously(rows, sampler, params, request)
    else:
        drawn = _by_block(rows, sampler, params, request, batch_size)
    for row, draws in drawn:
        yield row, None if draws is None else tuple(map(_completion, draws))


def _by_block(
    rows: Iterable[Row], sampler: Sampler, params: SamplingParams, request: Callable[[Row], PromptRequest], size: int
) -> Iterator[tuple[Row, tuple[Draw, ...] | None]]:
    iterator = iter(rows)
    while block := list(islice(iterator, size)):
        if all(row.is_finished for row in block):
            yield from ((row, None) for row in block)
            continue
        for row, draws in zip(block, sampler.sample(list(map(request, block)), params), strict=True):
            yield row, None if row.is_finished else draws


def _continuously(
    rows: Iterable[Row], sampler: Sampler, params: SamplingParams, request: Callable[[Row], PromptRequest]
) -> Iterator[tuple[Row, tuple[Draw, ...] | None]]:
    """In order; finished rows wait for the unfinished ones before them."""
    waiting: deque[Row] = deque()

    def requests() -> Iterator[PromptRequest]:
        for row in rows:
            waiting.append(row)
            if not row.is_finished:
                yield request(row)

    for draws in sampler.sample(requests(), params):
        while waiting[0].is_finished:
            yield waiting.popleft(), None
        yield waiting.popleft(), draws
    yield from ((row, None) for row in waiting)


def _as_done(
    rows: Iterable[Row], sampler: Sampler, params: SamplingParams, request: Callable[[Row], PromptRequest]
) -> Iterator[tuple[Row, tuple[Draw, ...] | None]]:
    """In the order in which the sampler is done with them."""
    if not isinstance(sampler, UnorderedSampler):
        raise UsageError("--unordered needs an engine that works on all rows at once", hint="vllm or openai")
    asked: dict[int, Row] = {}
    finished: deque[Row] = deque()

    def requests() -> Iterator[PromptRequest]:
        number = 0
        for row in rows:
            if row.is_finished:
                finished.append(row)
            else:
                asked[number] = row
                number += 1
                yield request(row)

    for number, draws in sampler.sample_unordered(requests(), params):
        while finished:
            yield finished.popleft(), None
        yield asked.pop(number), draws
    yield from ((row, None) for row in finished)


def request_of(row: Row, sampling: Sampling, prompt: str) -> PromptRequest:
    """What a sampler is asked for one row; each of its samples has a seed of its own."""
    seeds = tuple(sample_seed(sampling.seed, row.key, number) for number in range(sampling.n))
    return PromptRequest(row.key, conversation(prompt), row.images, seeds)


def _completion(draw: Draw) -> Completion:
    """The completion of a draw, not yet graded; a failed draw is kept with its error."""
    return Completion(
        text=draw.text,
        finish_reason=draw.finish_reason,
        num_tokens=draw.num_tokens,
        logprob=draw.logprob,
        error=draw.error,
    )
