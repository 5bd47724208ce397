"""rollout: sample completions of each problem and grade them.

reads:   problem/1
writes:  rollout/1, one line per problem, in the order of the input
example: anectl rollout problems.jsonl --model ./base -n 8 > rollouts.jsonl

Every sample has a seed of its own, from the run seed, the content of its problem and its number, so that neither the
order of the rows nor the batch size changes what is drawn. With --until-confident only the problems that are still
unsure are drawn on, by further sample numbers: what is drawn of a problem is the beginning of what --max-n would draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Annotated

import typer

from anectl import console, engines, options, sampling_options
from anectl.core import drawing
from anectl.core.adaptive import DEFAULT_GROWTH, DEFAULT_HIGH, DEFAULT_LOW, DEFAULT_MAX_N, Spending, budget_of
from anectl.core.completion_grades import LazyVerifier, regraded
from anectl.core.grading import grade
from anectl.core.images import ImageRoot
from anectl.core.pace import expected_rows
from anectl.core.preflight import PromptSizes
from anectl.core.problem_rows import Row, read_rows
from anectl.core.prompts import DEFAULT_INSTRUCTION, revealing_text
from anectl.core.protocols import Verifier
from anectl.core.records import Completion, Problem, Rollout, Sampling
from anectl.core.run import Run
from anectl.core.tally import Tally, write_each


def command(
    context: typer.Context,
    model: options.Model,
    inputs: options.Inputs = None,
    engine: sampling_options.Engine = "transformers",
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Completions of each problem.")] = 8,
    until_confident: Annotated[
        float | None, typer.Option(help="Draw on, doubling, until a zone has this much of the posterior.")
    ] = None,
    max_n: Annotated[
        int | None,
        typer.Option(min=1, help=f"Most completions of a problem with --until-confident; default {DEFAULT_MAX_N}."),
    ] = None,
    low: Annotated[float, typer.Option(help="For --until-confident: a pass rate under this is failing.")] = DEFAULT_LOW,
    high: Annotated[float, typer.Option(help="For --until-confident: a pass rate over this is solved.")] = DEFAULT_HIGH,
    growth: Annotated[
        float, typer.Option(help="For --until-confident: so many times as many completions each time.")
    ] = DEFAULT_GROWTH,
    give_up: Annotated[
        bool, typer.Option(help="For --until-confident: leave a problem unsure where more are not worth it.")
    ] = True,
    temperature: sampling_options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    instruction: options.Instruction = DEFAULT_INSTRUCTION,
    reveal: Annotated[
        str | None, typer.Option(help="Text with {answer} behind the prompt: the policy explains what it is told.")
    ] = None,
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
    retry_failed: sampling_options.RetryFailed = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    config: options.Config = None,
) -> None:
    """Sample completions of each problem and grade them.

    A line is written when its problem, or its block of problems, is done. A completion that cannot be judged has
    `correct` null and a reason; one that the engine failed to draw has its error as well. --resume goes on with an
    interrupted file, and gives what the uninterrupted run would have given; --retry-failed draws failed rows again.
    --until-confident 0.9 draws -n of each problem and then, doubling up to --max-n, more of those whose zone (failing,
    learnable, solved; see locate-frontier) is not yet so sure; completions that cannot be judged are no evidence, and
    a problem whose zone more would hardly make surer, for what they cost, is given up and stays unsure.
    --reveal "The answer is {answer}. Show how to get it." lets the policy explain known answers (M-STaR's warm-up):
    `select` makes training rows of that under the bare prompt, and what measures a policy refuses it.
    --dry-run checks every row, image and prompt length and loads no weights; with --on-error skip it puts the rejects
    on stdout.

    Example: anectl rollout problems.jsonl --model ./base > rollouts.jsonl
    """
    sampling = drawing.sampling_of(num_samples, temperature, top_p, max_tokens, seed, instruction, reveal)
    settings = sampling_options.engine_settings(context)
    sampling, budget = budget_of(sampling, until_confident, context.params)
    drawing.refuse_odd_options(engine, unordered=unordered, resume=resume, retry_failed=retry_failed)
    log = console.log("rollout")
    with sampling_options.resumable_run("rollout", context, log) as run:
        spending = Spending(budget) if budget else None
        finished = _finished(run, settings.policy, sampling, retry_failed, spending)
        console.quiet_libraries()
        prompt_of = partial(revealing_text, instruction=instruction, reveal=reveal)
        preflight = engines.load_preflight(settings) if dry_run else None
        sizes = None if preflight is None else PromptSizes(preflight, max_tokens)
        rows = read_rows(
            run,
            ImageRoot(image_root, allow_remote=remote_images),
            unique=lambda problem: problem.id,
            mark_of=_mark,
            finished=finished,
            require=partial(_measure, sizes, sampling, prompt_of),
        )
        if dry_run:
            _look_ahead(run, rows, settings.policy, sampling, sizes)
            return
        tally = Tally()
        drawn = drawing.draw_completions(
            rows,
            sampling,
            batch_size=batch_size,
            load_sampler=partial(tally.clocked, partial(engines.load_sampler, settings)),
            prompt_of=prompt_of,
            unordered=unordered,
            judge=partial(_graded, LazyVerifier(engines.load_verifier)),
            follow=budget.further if budget else _enough,
        )
        _write(run, to_rollouts(drawn, settings.policy, sampling), tally, spending)


def _look_ahead(run: Run, rows: Iterable[Row], policy: str, sampling: Sampling, sizes: PromptSizes | None) -> None:
    """Read, and so check, every row; say what would be drawn."""
    run.log(drawing.count_only(run, rows, policy, sampling))
    if sizes is not None:
        run.log(sizes.summary())


def _write(run: Run, rollouts: Iterable[Rollout | None], tally: Tally, spending: Spending | None) -> None:
    """Put each row out as it comes, and say at the end what was drawn."""
    with console.progress("rollout", expected_rows(run.inputs, run.limit)) as advance:
        for rollout in write_each(run, rollouts, tally):
            if spending is not None and rollout is not None:
                spending.add(rollout.completions)
            advance(tally.note(), tally.figures(), is_new=rollout is not None)
    run.notes["sampled"] = tally.facts()
    run.log(tally.summary())
    if spending is not None:
        run.notes["adaptive"] = facts = spending.facts()
        run.log(spending.summary(facts))


def to_rollouts(
    drawn: Iterable[tuple[Row, tuple[Completion, ...] | None]], policy: str, sampling: Sampling
) -> Iterator[Rollout | None]:
    """The record of each row with its graded completions; None for a row that an interrupted run has written."""
    for row, completions in drawn:
        if completions is None:
            yield None
        else:
            yield Rollout(key=row.key, problem=row.problem, policy=policy, sampling=sampling, completions=completions)


def _graded(verifier: Verifier, row: Row, completions: tuple[Completion, ...]) -> tuple[Completion, ...]:
    return tuple(regraded(row.problem, completion, grade, verifier) for completion in completions)


def _enough(completions: tuple[Completion, ...]) -> int:
    return 0


def _measure(sizes: PromptSizes | None, sampling: Sampling, prompt_of: Callable[[Problem], str], row: Row) -> None:
    """Raises RowError, in a dry run, for a prompt that the model would refuse."""
    if sizes is not None:
        sizes.measure(row.problem.id, drawing.request_of(row, sampling, prompt_of(row.problem)))


def _mark(row: Row) -> str:
    return row.key


def _finished(run: Run, policy: str, sampling: Sampling, retry_failed: bool, spending: Spending | None) -> Counter[str]:
    """The content keys of the rows already written; a file with rows of other settings is refused."""
    finished: Counter[str] = Counter()

    def owed(done: Rollout) -> bool:
        return retry_failed and any(completion.error is not None for completion in done.completions)

    for done in run.finished(Rollout, owed=owed):
        drawing.refuse_other_settings(policy, sampling, done, str(run.output.path))
        finished[done.key] += 1
        if spending is not None:
            spending.add(done.completions)
    return finished
