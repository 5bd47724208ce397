"""backtrack: find the step at which each failure begins.

reads:   frontier/1 or anchored/1 (their chosen failures), rollout/1 (every wrong completion is a failure)
writes:  the same rows; `steps` and `values` on the completions that were looked into, and on the row `first_errors`,
         which a rollout/1 row does not have
example: anectl backtrack frontier.jsonl --model ./base > located.jsonl

A failing completion is cut into steps, and the model goes on from where a step ends: the share of continuations that
come out right is the value of that step. The first step after which success is unlikely is found by halving.

As training labels of a process reward model use the values of --all-steps: each has the same number of continuations,
so that `correct > 0` is the hard label and `correct / judged` the soft one; with --max-right, of right completions too,
since a model that has only seen failures takes every ending for one. The values of a search are few, lie near
the border, and stop when they are decided: as soft labels they would be biased.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Annotated

import msgspec
import typer

from anectl import console, engines, options, sampling_options
from anectl.core.backtracked import Account, Plan, Traced, backtrack
from anectl.core.backtracking import Rule
from anectl.core.completion_grades import LazyVerifier
from anectl.core.drawing import refuse_odd_options
from anectl.core.errors import RowError, UsageError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.keys import digest, problem_key
from anectl.core.pace import expected_rows
from anectl.core.probing import Job, run_jobs
from anectl.core.profiles import load_profile
from anectl.core.protocols import SamplingParams
from anectl.core.records import Frontier, Rollout
from anectl.core.run import Run
from anectl.core.steps import splitter

_WINDOWS_OF_BLOCKS = 4


def command(
    context: typer.Context,
    model: options.Model,
    inputs: options.Inputs = None,
    engine: sampling_options.Engine = "transformers",
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Most continuations of a step.")] = 8,
    all_steps: Annotated[
        bool, typer.Option("--all-steps", help="Draw -n continuations of every step: labels for a reward model.")
    ] = False,
    max_failures: Annotated[int, typer.Option(min=1, help="Failing completions to look into, of each row.")] = 1,
    max_right: Annotated[
        int, typer.Option(min=0, help="With --all-steps: right completions of each row to value as well.")
    ] = 0,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Most continuations of a row, shared by its failures.")
    ] = None,
    split: Annotated[str, typer.Option(help="What is a step: sentences, lines, or regex:PATTERN.")] = "sentences",
    confirm: Annotated[int, typer.Option(min=0, help="Steps on either side of the border to probe as well.")] = 1,
    threshold: Annotated[float, typer.Option(help="Success is unlikely when its chance is under this.")] = 0.3,
    min_confidence: Annotated[float, typer.Option(help="Posterior mass that decides before -n are drawn.")] = 0.9,
    temperature: Annotated[float | None, typer.Option(min=0, help="Default that of the row.")] = None,
    seed: options.Seed = 0,
    batch_size: options.BatchSize = 16,
    dtype: options.Dtype = "auto",
    url: sampling_options.Url = None,
    concurrency: sampling_options.Concurrency = 32,
    engine_arg: sampling_options.EngineArguments = [],  # noqa: B006 - typer wants the default itself
    ray: sampling_options.Ray = None,
    replicas: sampling_options.Replicas = 1,
    replica_gpus: sampling_options.ReplicaGpus = 0.0,
    unordered: sampling_options.Unordered = False,
    image_root: options.Root = None,
    remote_images: options.RemoteImages = False,
    output: options.OutputFile = None,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    config: options.Config = None,
) -> None:
    """Find the step at which each failure begins.

    Success is unlikely after a step when the posterior of its chance lies under --threshold; continuations are drawn
    until that is sure, or -n are drawn. Steps beside the border are probed too, as models correct themselves. Where
    success was as unlikely before the first step, no step is named: another --model, one that can solve the problem,
    may find it. Set --threshold well over the chance of a guess where there are few choices. Every row is kept, and
    drawn with its own sampling settings. --resume goes on with an interrupted file.

    Example: anectl backtrack frontier.jsonl --model ./base > located.jsonl
    """
    rule = _rule(threshold, min_confidence, num_samples, confirm, budget)
    if temperature is not None and not temperature < math.inf:
        raise UsageError(f"--temperature {temperature}: must be a number from 0 up")
    settings = sampling_options.engine_settings(context)
    if max_right and not all_steps:
        raise UsageError(
            "--max-right goes with --all-steps", hint="a right completion has no first error to search for"
        )
    plan = Plan(settings.policy, rule, splitter(split), all_steps, max_failures, max_right, temperature, seed)
    refuse_odd_options(engine, unordered=unordered, resume=resume, retry_failed=False)
    log = console.log("backtrack")
    with sampling_options.resumable_run("backtrack", context, log) as run:
        finished = Counter(map(_mark, run.finished(Rollout)))
        console.quiet_libraries()
        account = Account()
        rows = read(run, ImageRoot(image_root, allow_remote=remote_images), plan, finished)
        if dry_run:
            for traced in rows:
                run.keep()
                account.plan(traced, rule)
            log(account.outlook())
            return
        verifier = LazyVerifier(engines.load_verifier)
        done = run_jobs(
            (Job(partial(backtrack, traced, plan, verifier, account), traced.is_finished) for traced in rows),
            load_sampler=partial(account.drawn.clocked, partial(engines.load_sampler, settings)),
            window=_WINDOWS_OF_BLOCKS * batch_size * replicas,
            unordered=unordered,
        )
        with console.progress("backtrack", expected_rows(run.inputs, run.limit)) as advance:
            for row in done:
                if row is None:
                    run.keep()
                else:
                    run.write(row)
                advance(account.drawn.note(), account.drawn.figures(), is_new=row is not None)
        run.notes["backtracked"] = account.facts()
        log(account.summary())


def read(run: Run, root: ImageRoot, plan: Plan, finished: Counter[str]) -> Iterator[Traced]:
    """The rows of the run, checked; `finished` counts the marks of those an interrupted run has written."""
    latest: list[Traced] = []

    def check(row: Rollout, source: str | None) -> Rollout:
        traced = _traced(row, root.resolve_all(row.problem.images, source), plan, finished)
        latest[:] = [traced]
        return traced.row

    for row in run.read(Rollout, unique=_name, check=check):
        traced = latest[0]
        if traced.is_finished:
            finished[_mark(row)] -= 1
        yield traced


def _traced(row: Rollout, images: tuple[ImageRef, ...], plan: Plan, finished: Counter[str]) -> Traced:
    """The row with its images found and its failures cut. Raises RowError for one that cannot be continued."""
    row = msgspec.structs.replace(
        row, problem=msgspec.structs.replace(row.problem, images=tuple(image.ref for image in images))
    )
    is_finished = finished[_mark(row)] > 0
    right = [number for number, completion in enumerate(row.completions) if completion.correct is True]
    chosen = _failures(row)[: plan.max_failures] + right[: plan.max_right]
    sampling = row.sampling
    temperature = sampling.temperature if plan.temperature is None else plan.temperature
    if chosen and temperature == 0 and plan.rule.most > 1:
        raise RowError("drawn greedily: all continuations would be equal", hint="--temperature 1.0")
    try:
        load_profile(row.profile)
    except UsageError as error:
        raise RowError(error.problem, hint=error.hint) from None
    if chosen and not is_finished:
        for image in images:
            image.open()
    return Traced(
        row=row,
        images=images,
        key=row.key or problem_key(row.problem, [image.read() for image in images]),
        steps={number: plan.split(row.completions[number].text) for number in chosen},
        params=SamplingParams(temperature, sampling.top_p, sampling.max_tokens),
        is_finished=is_finished,
    )


def _failures(row: Rollout) -> list[int]:
    """The completions that failed: those that locate-frontier chose, or all wrong ones."""
    if not isinstance(row, Frontier):
        return [number for number, completion in enumerate(row.completions) if completion.correct is False]
    for number in row.failures:
        if number >= len(row.completions):
            raise RowError(f"failures name completion {number}, but there are {len(row.completions)}")
        if row.completions[number].correct is not False:
            raise RowError(
                f"failures name completion {number}, which is not wrong", hint="graded anew? run locate-frontier again"
            )
    return list(row.failures)


def _name(row: Rollout) -> str:
    """What may come once only; rollouts of one problem may be several lines, drawn with several seeds."""
    return row.problem.id if isinstance(row, Frontier) else f"{row.problem.id} (seed {row.sampling.seed})"


def _mark(row: Rollout) -> str:
    """What tells a row of the input from all others, and stays as it is in the output."""
    parts = (row.problem.id, row.key, row.policy, str(row.sampling.seed), *(one.text for one in row.completions))
    return digest(part.encode() for part in parts)


def _rule(threshold: float, min_confidence: float, most: int, confirm: int, budget: int | None) -> Rule:
    """Raises UsageError for settings that make no sense."""
    if not 0 < threshold < 1:
        raise UsageError(f"--threshold {threshold}: must be over 0 and under 1")
    if not 0.5 <= min_confidence <= 1:
        raise UsageError(f"--min-confidence {min_confidence}: must be from 0.5 to 1")
    return Rule(threshold, min_confidence, most, confirm, budget)
