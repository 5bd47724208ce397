"""From problems to graded completions, block by block: what rollout and eval have in common.

Blocks are formed by position over all rows, also over those an interrupted run has finished, so that a resumed run
draws every block in the same company and gets the same completions to the last bit.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

import msgspec

from anectl.core.card import PixelStats
from anectl.core.errors import AnectlError, UsageError
from anectl.core.grading import grade
from anectl.core.grading.formula import decide
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.keys import image_key, problem_key, sample_seed
from anectl.core.profiles import Score as ScoreRule
from anectl.core.prompts import conversation
from anectl.core.protocols import Draw, PromptRequest, Sampler, SamplingParams, Verdict, Verifier
from anectl.core.records import Completion, Problem, Rollout, Sampling, Score
from anectl.core.run import Run

Drawn = TypeVar("Drawn", Rollout, Score)


@dataclass(frozen=True, slots=True)
class Row:
    """A checked problem: its image references are resolved; `key` and `cluster` are the content keys of all and of
    the images alone, `benchmark` the stem of its file."""

    problem: Problem
    images: tuple[ImageRef, ...]
    key: str
    cluster: str
    benchmark: str
    is_finished: bool = False


def read_rows(
    run: Run,
    root: ImageRoot,
    *,
    unique: Callable[[Problem], str],
    mark_of: Callable[[Row], str],
    finished: Counter[str],
    pixels: PixelStats | None = None,
    decode_images: bool = True,
    require: Callable[[Row], None] = lambda row: None,
) -> Iterator[Row]:
    """The problems of a run, each with its images found and decoded once to see that they can be.

    `finished` counts the marks of the rows that an interrupted run has written (two problems may be equal); their
    images are not decoded again. `pixels` takes the sizes of the decoded images, `require` may raise RowError. Bad rows
    end the run or are rejected, as the run was told.
    """
    latest: list[Row] = []

    def check(problem: Problem, source: str | None) -> Problem:
        row = _checked(problem, root, source)
        require(row)
        if decode_images and not finished[mark_of(row)]:
            for image in row.images:
                size = image.open().size
                if pixels is not None:
                    pixels.add(*size)
        latest[:] = [row]
        return row.problem

    for _ in run.read(Problem, unique=unique, check=check):
        row, mark = latest[0], mark_of(latest[0])
        if finished[mark]:
            finished[mark] -= 1
            row = replace(row, is_finished=True)
        yield row


def _checked(problem: Problem, root: ImageRoot, source: str | None) -> Row:
    images = root.resolve_all(problem.images, source)
    contents = [image.read() for image in images]
    return Row(
        problem=msgspec.structs.replace(problem, images=tuple(image.ref for image in images)),
        images=images,
        key=problem_key(problem, contents),
        cluster=image_key(contents) if images else problem_key(problem, ()),
        benchmark=benchmark_of(source),
    )


def benchmark_of(source: str | None) -> str:
    """The name of a problems file as a benchmark: its stem, or `stdin`."""
    return "stdin" if source is None else source.rpartition("/")[2].removesuffix(".jsonl")


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


def policy_name(engine: str, model: str) -> str:
    """How records call the policy: the model as the user named it, or `fake:SCRIPT`."""
    return model if engine == "transformers" else f"{engine}:{model}"


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
    verifier: Verifier | None,
    prompt_of: Callable[[Problem], str],
    score: ScoreRule | None = grade,
) -> Iterator[tuple[Row, tuple[Completion, ...] | None]]:
    """Every row with its completions, in order, each block as it is done; None for a finished row.

    They are graded by `score`, or not yet where it is null. A block that has any unfinished row is drawn whole. The
    sampler is loaded for the first of these.
    """
    params = SamplingParams(sampling.temperature, sampling.top_p, sampling.max_tokens)
    sampler: Sampler | None = None
    iterator = iter(rows)
    while block := list(islice(iterator, batch_size)):
        if all(row.is_finished for row in block):
            yield from ((row, None) for row in block)
            continue
        sampler = sampler or load_sampler()
        requests = [_request(row, sampling, prompt_of(row.problem)) for row in block]
        for row, draws in zip(block, sampler.sample(requests, params), strict=True):
            if row.is_finished:
                yield row, None
            elif score is None:
                yield row, tuple(map(_completion, draws))
            else:
                yield row, tuple(regraded(row.problem, _completion(draw), score, verifier) for draw in draws)


def _request(row: Row, sampling: Sampling, prompt: str) -> PromptRequest:
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


def regraded(problem: Problem, completion: Completion, score: ScoreRule, verifier: Verifier | None) -> Completion:
    """The completion with its grade by this rule instead of any it had."""
    verdict = score(completion.text, completion.finish_reason, problem, verifier)
    return msgspec.structs.replace(
        completion,
        extracted=verdict.extracted,
        correct=verdict.correct,
        reason=verdict.reason,
        chance=verdict.chance,
        judge=None,
    )


class LazyVerifier:
    """A `Verifier` that is loaded for the first pair it is asked about: few problems need one."""

    def __init__(self, load: Callable[[], Verifier]) -> None:
        self._load = load
        self._loaded: Verifier | None = None
        self._lock = threading.Lock()

    def equal(self, truth: str, given: str) -> bool | None:
        """As the verifier it loads."""
        return self._verifier().equal(truth, given)

    def decide(self, truth: str, given: str) -> Verdict:
        """As the verifier it loads."""
        return decide(self._verifier(), truth, given)

    def _verifier(self) -> Verifier:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
        return self._loaded


@dataclass
class Tally:
    """Running totals for the progress line and the summary; `tokens_per_s` counts from the first completion on."""

    num_correct: int = 0
    num_judged: int = 0
    num_null: int = 0
    num_errors: int = 0
    num_tokens: int = 0
    first_error: str | None = None
    started: float = field(default_factory=time.monotonic)

    def add(self, completions: Iterable[Completion]) -> None:
        """Count the completions of one row."""
        for completion in completions:
            self.num_tokens += completion.num_tokens
            self.num_errors += completion.error is not None
            self.first_error = self.first_error or completion.error
            self.num_null += completion.correct is None
            self.num_judged += completion.correct is not None
            self.num_correct += completion.correct is True

    def note(self) -> str:
        """`pass rate 0.412, 5120 tokens/s`."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        rate = f"{self.num_correct / self.num_judged:.3f}" if self.num_judged else "unknown"
        return f"pass rate {rate}, {self.num_tokens / seconds:.0f} tokens/s"

    def facts(self) -> dict[str, int | float]:
        """The totals for the manifest."""
        return {
            "correct": self.num_correct,
            "judged": self.num_judged,
            "null": self.num_null,
            "engine_errors": self.num_errors,
            "tokens": self.num_tokens,
        }

    def summary(self) -> str:
        """One sentence for the end of the run."""
        nulls = f", {self.num_null} completions not judged" if self.num_null else ""
        errors = f", {self.num_errors} engine errors (the first: {self.first_error})" if self.num_errors else ""
        return self.note() + nulls + errors


def write_each(run: Run, records: Iterable[Drawn | None], tally: Tally) -> Iterator[Drawn | None]:
    """Write and count the record of each row as it comes; None is a row that was written before."""
    for record in records:
        if record is None:
            run.keep()
        else:
            tally.add(record.completions)
            run.write(record)
        yield record
