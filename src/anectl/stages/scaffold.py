"""Turn anchored problems into training examples: a prompt with a scaffold, and a target to learn.

reads:   anchored/1; with --replay also rollout/1
writes:  example/1, which TRL's trainers load as it is
example: anectl scaffold anchored.jsonl --replay rollouts.jsonl > train.jsonl

What a model draws depends on the seed, the problem, the level and the number of the sample alone. Rows are worked on in
windows formed by position, also when a run is resumed, so that every prompt is drawn in the same company.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TypeAlias, TypeVar, cast

import typer

from anectl import console, engines, options, sampling_options
from anectl import scaffold_options as own
from anectl import scaffold_parts as parts
from anectl.core.completion_grades import LazyVerifier
from anectl.core.drafts import Draft, Drafter
from anectl.core.drawing import refuse_revealed
from anectl.core.errors import AnectlError, RowError
from anectl.core.helping import Helper
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode, read_lines
from anectl.core.making import Made, Maker, choose, to_example
from anectl.core.pace import expected_rows
from anectl.core.probing import Failures, Job, Work, run_jobs
from anectl.core.protocols import Sampler, SamplingParams, Scorer
from anectl.core.records import Anchored, Example, Rollout, Writing
from anectl.core.replay import Mixture, Progress, Solved
from anectl.core.run import Run
from anectl.core.targets import Target
from anectl.core.templates import load_template

_WINDOW = 32

R = TypeVar("R")
LoadSampler: TypeAlias = Callable[[], Sampler]


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    output: options.OutputFile = None,
    targets: own.TargetKind = own.Targets.template,
    levels: own.Levels = None,
    carrier: own.CarrierKind = own.Carriers.prompt,
    template: own.TemplateFile = None,
    scaffold_from: own.ScaffoldFrom = own.Sources.auto,
    origins: own.OriginKind = own.Origins.both,
    answer_format: own.AnswerFormat = None,
    per_anchor_cap: own.PerAnchorCap = 1,
    max_examples: own.MaxExamples = None,
    replay: own.Replay = None,
    replay_share: own.ReplayShare = 0.3,
    replay_min: own.ReplayMin = 0.7,
    model: own.Policy = None,
    engine: sampling_options.Engine = "transformers",
    num_candidates: own.NumCandidates = 4,
    answer_probe: own.AnswerProbe = True,
    calibrate: own.Calibrate = False,
    band: own.BandEdges = "0.3,0.7",
    calibrate_samples: own.CalibrateSamples = 8,
    unreached: own.OutOfReach = own.Unreached.keep,
    temperature: own.Temperature = 1.0,
    max_tokens: own.MaxTokens = 512,
    batch_size: own.BatchSize = 16,
    dtype: options.Dtype = "auto",
    url: sampling_options.Url = None,
    concurrency: sampling_options.Concurrency = 32,
    engine_arg: sampling_options.EngineArguments = [],  # noqa: B006 - typer wants the default itself
    ray: sampling_options.Ray = None,
    replicas: sampling_options.Replicas = 1,
    replica_gpus: sampling_options.ReplicaGpus = 0.0,
    helper_model: own.HelperModel = None,
    helper_engine: own.HelperEngine = "transformers",
    helper_url: own.HelperUrl = None,
    helper_arg: own.HelperArguments = [],  # noqa: B006 - typer wants the default itself
    helper_prompt: own.HelperPromptFile = None,
    helper_max_tokens: own.HelperMaxTokens = 1024,
    read_scaffolds: own.ReadScaffolds = False,
    reader_prompt: own.ReaderPromptFile = None,
    seed: options.Seed = 0,
    image_root: options.Root = None,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Write training examples from anchored problems: with scaffolds of different strength, and with targets.

    A scaffold that tells the final answer gives way to the next source: rules find what they know, and with
    --read-scaffolds a helper model reads each one without the picture. Every target is graded and must be correct. With
    --targets rewrite the policy writes it under the row's level, failing that under each higher one, failing that it is
    the data's worked steps. A rewrite that mentions its help is thrown away. With --model, each target's NLL under the
    bare prompt is kept, and of several rewrites the likeliest is taken (engines that cannot score take the one of
    median length). --calibrate finds, by halving, the smallest level at which the policy's success reaches --band; a
    problem that it solves bare stays bare. Replayed problems are the policy's own correct completions, bare, against
    forgetting. --resume goes on with an interrupted file.

    Example: anectl scaffold anchored.jsonl --replay rollouts.jsonl > train.jsonl
    """
    own.refuse_odd_options(context)
    log = console.log("scaffold")
    console.quiet_libraries()
    root = ImageRoot(image_root)
    words = load_template(template)
    drafter = parts.the_drafter(context, words)
    judge = parts.the_judge(LazyVerifier(engines.load_verifier))
    maker = parts.the_maker(context, words, judge)
    helper = parts.the_helper(context, drafter, judge)
    policy = None if model is None else cache(partial(engines.load_sampler, sampling_options.engine_settings(context)))
    failures = Failures()
    replayed = replays(solved(replay or (), root), drafter, replay_min, seed, is_read=read_scaffolds)
    total = expected_rows(inputs or (), limit)
    with parts.the_run(context, log) as run, console.progress("scaffold", total) as advance:
        progress = Progress.of(run)
        mixture = Mixture(run, replayed, replay_share, max_examples, progress)
        rows = in_windows(_orders(run, drafter, root, mixture, progress, parts.seen_by(context)))
        if helper is not None:
            rows = helped(rows, helper, partial(engines.load_sampler, parts.helper_settings(context)), failures)
        can_score = engine == "transformers" and ray is None
        for order, examples, reason in scaffold(rows, maker, policy, failures, can_score=can_score):
            if order.is_finished:
                mixture.pass_over(order.row_id)
            else:
                mixture.add(examples, reason)
            advance(is_new=not order.is_finished)
        run.notes["examples"] = dict(mixture.counts)
        for name, findings in parts.findings_of(maker, helper):
            run.notes[name] = findings.facts() | {"since_resume": run.resuming}
            log(("since the resume, " if run.resuming else "") + findings.summary())
        if failures.num:
            run.notes["engine_errors"] = failures.num
            log(f"{failures.num} engine errors (the first: {failures.first})")
    log(", ".join(f"{count} {origin}" for origin, count in sorted(mixture.counts.items())) or "no examples")


@dataclass(frozen=True, slots=True)
class Order:
    """The drafts of an input row, or why it has none. `is_last` is the last row of those that it is worked on with.

    `is_finished`: an interrupted run was done with the row. `is_over`: so it was with all of its window.
    """

    row_id: str
    drafts: tuple[Draft, ...]
    reason: str
    is_finished: bool = False
    is_last: bool = False
    is_over: bool = False


def _orders(
    run: Run,
    drafter: Drafter,
    root: ImageRoot,
    mixture: Mixture,
    progress: Progress,
    seen_by: tuple[str, SamplingParams] | None,
) -> Iterator[Order]:
    def check(row: Anchored, source: str | None) -> Anchored:
        for problem in (row.problem, *(anchor.problem for anchor in row.anchors)):
            root.resolve_all(problem.images, source)
        return row

    owed = progress.owed
    for row in run.read(Anchored, unique=lambda row: row.problem.id, check=check):
        if row.problem.id == owed:
            owed = None
        drafts, reason = drafter.drafts(row, lambda refs: root.resolve_all(refs, run.source), seen_by)
        yield Order(row.problem.id, tuple(drafts), reason, is_finished=owed is not None)
        if mixture.is_full:
            return
    if owed is not None:
        raise AnectlError(
            f"holds rows made for {owed!r}, which the input does not have",
            path=str(run.output.path),
            hint="resume with the input that the run began with",
        )


def in_windows(orders: Iterable[Order]) -> Iterator[Order]:
    """The rows, the last of each window marked; those of a window that is all finished are over."""
    iterator = iter(orders)
    while window := list(islice(iterator, _WINDOW)):
        is_over = all(order.is_finished for order in window)
        window[-1] = replace(window[-1], is_last=True)
        yield from (replace(order, is_over=is_over) for order in window)


def helped(orders: Iterable[Order], helper: Helper, load_helper: LoadSampler, failures: Failures) -> Iterator[Order]:
    """The rows with what a helper does for the scaffolds of their problems."""
    for order, drafts in _worked(orders, lambda order: helper.help(order.drafts), load_helper, failures):
        yield order if drafts is None else replace(order, drafts=tuple(drafts))


def _worked(
    orders: Iterable[Order], work: Callable[[Order], Work[R]], load_sampler: LoadSampler, failures: Failures
) -> Iterator[tuple[Order, R | None]]:
    """Each row with what came of its work; null where it is over."""
    waiting: deque[Order] = deque()

    def jobs() -> Iterator[Job[R]]:
        for order in orders:
            waiting.append(order)
            yield Job(lambda order=order: failures.count(work(order)), order.is_over)  # type: ignore[misc]

    for result in run_jobs(jobs(), load_sampler=load_sampler, window=_WINDOW):
        yield waiting.popleft(), result


def scaffold(
    orders: Iterable[Order], maker: Maker, load_policy: LoadSampler | None, failures: Failures, *, can_score: bool
) -> Iterator[tuple[Order, list[Example], str]]:
    """The examples of each row; with none, the reason why. `can_score` says that the policy is a Scorer too.

    A window is given as soon as its last row is made, before the next is begun: a killed run has written it.
    """
    made: Iterable[tuple[Order, list[Made] | None]]
    if load_policy is not None and maker.draws:
        made = _worked(orders, lambda order: maker.make(order.drafts), load_policy, failures)
    else:
        made = ((order, None if order.is_over else [maker.settle(one) for one in order.drafts]) for order in orders)
    rows: list[tuple[Order, list[Made]]] = []
    for made_order, made_found in made:
        rows.append((made_order, made_found or []))
        if not made_order.is_last:
            continue
        every = [one for _, found in rows for one in found]
        scorer = cast(Scorer, load_policy()) if load_policy is not None and can_score and every else None
        targets = iter(choose(every, maker.carrier, scorer, failures))
        for order, found in rows:
            pairs = [(one, next(targets)) for one in found]
            examples = [to_example(one.draft, target, maker.carrier) for one, target in pairs if target is not None]
            yield order, examples, found[0].reason if found else order.reason
        rows = []


def solved(files: Sequence[str], root: ImageRoot) -> list[Solved]:
    """How the policy did on each problem of rollouts; several lines of a problem count together.

    Raises AnectlError, with file and line, for rows drawn with the answer revealed and for images that are missing.
    """
    found: dict[str, Solved] = {}
    for path in files:
        for line in read_lines(path):
            try:
                row = decode(line.data, Rollout)
                refuse_revealed(row)
                name = row.problem.id
                if name not in found:
                    images = root.resolve_all(row.problem.images, None if path == "-" else path)
                    found[name] = Solved(row.problem, images, row.sampling.instruction)
                found[name].add(row.completions)
            except RowError as error:
                raise error.at(line.path, line.number) from None
    return list(found.values())


def replays(
    found: Sequence[Solved], drafter: Drafter, min_rate: float, seed: int, *, is_read: bool = False
) -> Iterator[Example]:
    """One bare example per solved problem, with the correct completion of median length, in seeded order.

    Where scaffolds are read (`is_read`) it has none that it could be given later: it needs none, and it is not read.
    """
    chosen = [(one, text) for one in found if (text := one.typical(min_rate)) is not None]
    random.Random(f"{seed}/replay").shuffle(chosen)
    for one, text in chosen:
        draft = drafter.draft(one.problem, one.images, "replay", one.instruction, None)
        draft = draft.bare() if is_read else draft
        yield to_example(draft, Target(text, "self", Writing(kind="self", level=0)), "prompt")
