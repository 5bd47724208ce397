"""rollout: sample completions of each problem and grade them.

reads:   problem/1
writes:  rollout/1, one line per problem, in the order of the input
example: anectl rollout problems.jsonl --model ./base -n 8 > rollouts.jsonl

Every sample has a seed of its own, from the run seed, the content of its problem and its number, so that neither the
order of the rows nor the batch size changes what is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated

import typer

from anectl import console, engines, options
from anectl.core import drawing
from anectl.core.drawing import Row, Tally
from anectl.core.images import ImageRoot
from anectl.core.prompts import DEFAULT_INSTRUCTION, user_text
from anectl.core.records import Completion, Rollout, Sampling
from anectl.core.run import Run


def command(
    context: typer.Context,
    model: options.Model,
    inputs: options.Inputs = None,
    engine: options.Engine = "transformers",
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Completions of each problem.")] = 8,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 1.0,
    top_p: options.TopP = 1.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    instruction: options.Instruction = DEFAULT_INSTRUCTION,
    batch_size: options.BatchSize = 16,
    dtype: options.Dtype = "auto",
    image_root: options.Root = None,
    output: options.OutputFile = None,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    config: options.Config = None,
) -> None:
    """Sample completions of each problem and grade them.

    A line is written when its block of problems is done. A completion that cannot be judged has `correct` null and a
    reason; one that the engine failed to draw has its error as well. --resume goes on with an interrupted file, and
    gives what the uninterrupted run would have given. --dry-run checks every row and image and loads no model; with
    --on-error skip it puts the rejects on stdout.

    Example: anectl rollout problems.jsonl --model ./base > rollouts.jsonl
    """
    sampling = drawing.sampling_of(num_samples, temperature, top_p, max_tokens, seed, instruction)
    policy = drawing.policy_name(engine, model)
    log = console.log("rollout")
    with Run(
        "rollout",
        context.params,
        inputs=inputs or (),
        output=None if dry_run else output,
        on_error=on_error.value,
        rejects="-" if dry_run else rejects,
        resume=resume and not dry_run,
        resumable=True,
        limit=limit,
        log=log,
    ) as run:
        finished = _finished(run, policy, sampling)
        rows = drawing.read_rows(
            run, ImageRoot(image_root), unique=lambda problem: problem.id, mark_of=_mark, finished=finished
        )
        if dry_run:
            log(drawing.count_only(run, rows, policy, sampling))
            return
        console.quiet_libraries()
        drawn = drawing.draw_completions(
            rows,
            sampling,
            batch_size=batch_size,
            load_sampler=partial(engines.load_sampler, engine, model, dtype=dtype, batch_size=batch_size),
            verifier=drawing.LazyVerifier(engines.load_verifier),
            prompt_of=partial(user_text, instruction=instruction),
        )
        tally = Tally()
        with console.progress("rollout") as advance:
            for _ in drawing.write_each(run, to_rollouts(drawn, policy, sampling), tally):
                advance(tally.note())
        run.notes["sampled"] = tally.facts()
        log(tally.summary())


def to_rollouts(
    drawn: Iterable[tuple[Row, tuple[Completion, ...] | None]], policy: str, sampling: Sampling
) -> Iterator[Rollout | None]:
    """The record of each row; None for a row that an interrupted run has written."""
    for row, completions in drawn:
        if completions is None:
            yield None
        else:
            yield Rollout(key=row.key, problem=row.problem, policy=policy, sampling=sampling, completions=completions)


def _mark(row: Row) -> str:
    return row.key


def _finished(run: Run, policy: str, sampling: Sampling) -> Counter[str]:
    """The content keys of the rows already written; a file with rows of other settings is refused."""
    finished: Counter[str] = Counter()
    for done in run.finished(Rollout):
        drawing.refuse_other_settings(policy, sampling, done, str(run.output.path))
        finished[done.key] += 1
    return finished
