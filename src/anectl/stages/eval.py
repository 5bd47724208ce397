"""eval: how often a policy is right on benchmarks, with intervals.

reads:   problem/1; each file is a benchmark, named by its stem
writes:  score/1, one line per problem, in the order of the input; a table on stderr
example: anectl eval bench/*.jsonl --model ./base > scores.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from anectl import console, engines, options
from anectl.core import drawing
from anectl.core.accuracy import Accuracy, Outcome, accuracy_of, mean_accuracy
from anectl.core.drawing import Row, Tally
from anectl.core.errors import AnectlError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.metrics import Interval
from anectl.core.prompts import DEFAULT_INSTRUCTION, framed, user_text
from anectl.core.records import Completion, Problem, Sampling, Score
from anectl.core.run import Run
from anectl.core.scaffolds import Template, ladder, load_template

TemplateFile = Annotated[Path | None, typer.Option(help="YAML file with the words of the scaffold levels.")]
HintLevel = Annotated[int, typer.Option(min=0, max=5, help="Show each problem its own scaffold of this level.")]


def command(
    context: typer.Context,
    model: options.Model,
    inputs: options.Inputs = None,
    engine: options.Engine = "transformers",
    num_samples: Annotated[int, typer.Option("--num-samples", "-k", min=1, help="Completions of each problem.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    top_p: options.TopP = 1.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    instruction: options.Instruction = DEFAULT_INSTRUCTION,
    hint_level: HintLevel = 0,
    template: TemplateFile = None,
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
    """Score a policy on benchmarks: one file is one benchmark, named by its stem.

    Greedy by default; with -k K --temperature T the accuracy is the mean over K completions, and pass@k is estimated
    without bias. Two intervals of 95% are given: Wilson's, and a bootstrap that keeps problems with the same image
    together. A completion that cannot be judged counts as wrong, and the upper bound shows what it could have been.
    --hint-level shows each problem the scaffold made from its own worked steps.

    Example: anectl eval bench/*.jsonl --model ./base > scores.jsonl
    """
    sampling = drawing.sampling_of(num_samples, temperature, top_p, max_tokens, seed, instruction)
    policy = drawing.policy_name(engine, model)
    prompts = Prompts(instruction, hint_level, load_template(template))
    _refuse_same_names(inputs or [])
    log = console.log("eval")
    with Run(
        "eval",
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
        finished, outcomes = _finished(run, policy, sampling, hint_level)
        rows = drawing.read_rows(
            run, ImageRoot(image_root), unique=partial(_name, run), mark_of=_mark, finished=finished
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
            prompt_of=prompts,
        )
        tally = _write(run, to_scores(drawn, policy, sampling, hint_level), outcomes)
        log(tally.summary())
        accuracies = summarise(outcomes, seed)
        run.notes |= {"sampled": tally.facts(), "accuracy": [accuracy.facts() for accuracy in accuracies]}
    if prompts.num_bare:
        log(f"{prompts.num_bare} problems have no scaffold of level {hint_level} and were asked bare")
    if accuracies:
        console.table(f"{policy}, scaffold level {hint_level}", *as_table(accuracies))


def to_scores(
    drawn: Iterable[tuple[Row, tuple[Completion, ...] | None]], policy: str, sampling: Sampling, hint_level: int
) -> Iterator[Score | None]:
    """The record of each row; None for a row that an interrupted run has written."""
    for row, completions in drawn:
        if completions is None:
            yield None
        else:
            yield Score(
                problem_id=row.problem.id,
                benchmark=row.benchmark,
                cluster=row.cluster,
                policy=policy,
                sampling=sampling,
                scaffold_level=hint_level,
                completions=completions,
            )


class Prompts:
    """The user turn of each problem with its scaffold of one level; counts the problems that have none."""

    def __init__(self, instruction: str, level: int, template: Template) -> None:
        self.num_bare = 0
        self._instruction, self._level, self._template = instruction, level, template

    def __call__(self, problem: Problem) -> str:
        question = user_text(problem, self._instruction)
        scaffold = ladder(problem, None, self._template)[self._level]
        self.num_bare += bool(self._level and not scaffold)
        return framed(question, self._template.frame, scaffold)


def summarise(outcomes: Mapping[str, Sequence[Outcome]], seed: int) -> list[Accuracy]:
    """The accuracy on each benchmark, and their mean where there are several."""
    accuracies = [accuracy_of(benchmark, found, seed=seed) for benchmark, found in outcomes.items()]
    if len(accuracies) > 1:
        accuracies.append(mean_accuracy(outcomes, accuracies, seed=seed))
    return accuracies


def as_table(accuracies: Sequence[Accuracy]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; percentages. The upper bound stands only where something could not be judged."""
    ks = sorted({k for accuracy in accuracies for k in accuracy.pass_at})
    columns = ["benchmark", "problems", "accuracy", "Wilson 95%", "clustered 95%", *(f"pass@{k}" for k in ks)]
    rows = [
        [
            accuracy.benchmark,
            str(accuracy.num_problems),
            _percent(accuracy.accuracy),
            _range(accuracy.wilson),
            _range(accuracy.clustered),
            *(_percent(accuracy.pass_at.get(k)) for k in ks),
            _percent(accuracy.null_rate),
            _percent(accuracy.upper_bound if accuracy.null_rate else None),
            _percent(accuracy.truncation_rate),
        ]
        for accuracy in accuracies
    ]
    return [*columns, "null", "at most", "truncated"], rows


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _range(interval: Interval | None) -> str:
    return "" if interval is None else f"{_percent(interval[0])} to {_percent(interval[1])}"


def _write(run: Run, scores: Iterable[Score | None], outcomes: dict[str, list[Outcome]]) -> Tally:
    """Write each score as it comes, and add its outcome to those of its benchmark."""
    tally = Tally()
    with console.progress("eval") as advance:
        for score in drawing.write_each(run, scores, tally):
            if score is not None:
                outcomes.setdefault(score.benchmark, []).append(Outcome.of(score))
            advance(tally.note())
    return tally


def _name(run: Run, problem: Problem) -> str:
    """Ids come once in a benchmark, which is the file just read."""
    return f"{drawing.benchmark_of(run.source)}/{problem.id}"


def _mark(row: Row) -> str:
    return f"{row.benchmark}/{row.problem.id}/{row.cluster}"


def _finished(
    run: Run, policy: str, sampling: Sampling, hint_level: int
) -> tuple[Counter[str], dict[str, list[Outcome]]]:
    """The marks of the rows already written, and their outcomes; a file with rows of other settings is refused."""
    finished: Counter[str] = Counter()
    outcomes: dict[str, list[Outcome]] = {}
    for done in run.finished(Score):
        drawing.refuse_other_settings(policy, sampling, done, str(run.output.path))
        if done.scaffold_level != hint_level:
            raise AnectlError(f"holds rows of scaffold level {done.scaffold_level}", path=str(run.output.path))
        finished[f"{done.benchmark}/{done.problem_id}/{done.cluster}"] += 1
        outcomes.setdefault(done.benchmark, []).append(Outcome.of(done))
    return finished, outcomes


def _refuse_same_names(inputs: Sequence[str]) -> None:
    names = Counter(map(drawing.benchmark_of, inputs))
    for name, count in names.items():
        if count > 1:
            raise UsageError(
                f"{count} files are the benchmark {name!r}", hint="a benchmark is named by its file's stem"
            )
