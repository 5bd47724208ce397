"""log-round: the ledger line of one round of self-evolving training.

reads:   rollout/1 of the round; optionally greedy score/1 of the same policy and the result/1 of the training
writes:  one round/1 record; `cat round-*.json` is the ledger
example: anectl log-round rollouts.jsonl --round 3 --greedy greedy.jsonl --result m3/result.json > round-3.json
"""

from __future__ import annotations

from typing import Annotated

import typer

from anectl import console, options, sampling_options
from anectl.core.errors import AnectlError
from anectl.core.jsonl import read_records
from anectl.core.records import Result, Rollout, Round, Score
from anectl.core.round_figures import RoundFigures


def command(
    context: typer.Context,
    number: Annotated[int, typer.Option("--round", min=0, help="Number of the round.")],
    inputs: options.Inputs = None,
    greedy: Annotated[list[str] | None, typer.Option(help="Greedy scores of the same policy, by eval.")] = None,
    result: Annotated[str | None, typer.Option(help="The result record of the round's training.")] = None,
    num_kept: Annotated[int, typer.Option(min=1, help="Completions that selection keeps: the k of Reward-Pass@k.")] = 2,
    seed: options.Seed = 0,
    output: options.OutputFile = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Say in one record how a round went: what the policy could find, what it gives greedily, how long and how sure.

    When pass@K comes down to the greedy accuracy there is nothing left to learn from the policy's own completions:
    draw at another temperature (`tune-temperature`), or bring in ground truth (`anchor`).

    Example: anectl log-round rollouts.jsonl --round 3 --result m3/result.json > round-3.json
    """
    log = console.log("log-round")
    with sampling_options.whole_run("log-round", context, log) as run:
        figures = RoundFigures(num_kept, seed)

        def check(row: Rollout, source: str | None) -> Rollout:
            figures.add(row)
            return row

        for _ in run.read(Rollout, unique=lambda row: row.problem.id, check=check):
            run.keep()
        for path in greedy or ():
            for score in read_records(path, Score):
                figures.add_greedy(score)
        record = to_round(number, figures, _result(result))
        run.write(record, rows=0)
    log(summary(record))


def _result(path: str | None) -> Result | None:
    if path is None:
        return None
    found = list(read_records(path, Result))
    if len(found) != 1:
        raise AnectlError(f"{len(found)} results, not one", path=path)
    return found[0]


def to_round(number: int, figures: RoundFigures, result: Result | None) -> Round:
    """The record. Raises AnectlError without rows."""
    if figures.policy is None:
        raise AnectlError("no rollouts of the round")
    passes = figures.interval(figures.passes)
    greedy = figures.interval(figures.greedy) if figures.greedy else None
    scored = len(figures.reward_passes) == len(figures.rates)
    return Round(
        number=number,
        policy=figures.policy,
        temperature=figures.temperature,
        num_problems=len(figures.rates),
        num_drawn=figures.num_drawn,
        num_kept=figures.num_kept,
        pass_rate=figures.interval(figures.rates),
        pass_at_k=passes,
        greedy=greedy,
        exploration=None if greedy is None else passes.value - greedy.value,
        # A figure over some of the problems only would not compare with the others.
        reward_pass=figures.interval(figures.reward_passes) if scored else None,
        surprisal=figures.surprisal(),
        mean_tokens=figures.tokens / max(figures.completions, 1),
        truncated=figures.truncated / max(figures.completions, 1),
        num_examples=None if result is None else result.num_examples,
        steps=None if result is None else result.steps,
        total_steps=None if result is None or result.budget is None else result.budget.total_steps,
        metrics={} if result is None else dict(result.metrics),
    )


def summary(record: Round) -> str:
    """One sentence for people."""
    greedy = "" if record.greedy is None else f", greedy {100 * record.greedy.value:.1f}"
    kept = "" if record.reward_pass is None else f", Reward-Pass@{record.num_kept} {100 * record.reward_pass.value:.1f}"
    return (
        f"round {record.number}: pass rate {100 * record.pass_rate.value:.1f}, "
        f"pass@{record.num_drawn} {100 * record.pass_at_k.value:.1f}{greedy}{kept}, "
        f"{record.mean_tokens:.1f} tokens at temperature {record.temperature:g}"
    )
