"""Turn anchored problems into training examples: a prompt with a scaffold, and a target to learn.

reads:   anchored/1; with --replay also rollout/1
writes:  example/1, which TRL's trainers load as it is
example: anectl scaffold anchored.jsonl --replay rollouts.jsonl > train.jsonl
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from anectl import console, engines, options
from anectl.core.drafts import Draft, Drafter
from anectl.core.errors import RowError, UsageError
from anectl.core.grading import grade
from anectl.core.images import ImageRoot
from anectl.core.jsonl import read_records
from anectl.core.prompts import conversation, framed
from anectl.core.protocols import SamplingParams
from anectl.core.records import Anchored, Carrier, Example, Message, Problem, Rollout, Scaffold
from anectl.core.replay import Mixture, typical_success
from anectl.core.run import Run
from anectl.core.scaffolds import NUM_LEVELS, leaks, load_template
from anectl.core.targets import Judge, Rewriter, Target, raw_target, template_target

_WINDOW = 32


class Targets(StrEnum):
    """What is learnt: the data's solution, its steps in a row, or what the policy writes itself."""

    raw = "raw"
    template = "template"
    rewrite = "rewrite"


class Carriers(StrEnum):
    """Where the scaffold stands: in the user's turn, or as the beginning of the assistant's."""

    prompt = "prompt"
    prefix = "prefix"


class Origins(StrEnum):
    """Whose problems become examples."""

    anchors = "anchors"
    frontier = "frontier"
    both = "both"


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    output: options.OutputFile = None,
    targets: Annotated[Targets, typer.Option(help="raw, template, or rewrite (needs --model).")] = Targets.template,
    levels: Annotated[str, typer.Option(help="Levels to draw from, 0 (bare) to 5; one named twice counts twice.")] = (
        "0,1,2,3"
    ),
    carrier: Annotated[Carriers, typer.Option(help="prompt: in the question; prefix: opens the answer.")] = (
        Carriers.prompt
    ),
    template: Annotated[Path | None, typer.Option(help="YAML file with the scaffold's words.")] = None,
    origins: Annotated[Origins, typer.Option("--from", help="anchors, frontier or both: whose problems.")] = (
        Origins.both
    ),
    answer_format: Annotated[
        str | None, typer.Option(help="How a target states {answer}; default as the instruction asks.")
    ] = None,
    per_anchor_cap: Annotated[int, typer.Option(min=1, help="Examples that one anchor may become.")] = 1,
    max_examples: Annotated[int | None, typer.Option(min=1, help="Stop after this many, replay included.")] = None,
    replay: Annotated[list[str] | None, typer.Option(help="Rollout file with problems the policy has solved.")] = None,
    replay_share: Annotated[float, typer.Option(min=0, max=0.95, help="Replay's share of all examples.")] = 0.3,
    replay_min: Annotated[float, typer.Option(min=0, max=1, help="Pass rate from which a problem is replayed.")] = 0.7,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Policy that rewrites.")] = None,
    num_candidates: Annotated[int, typer.Option(min=1, help="Rewrites drawn per problem and level.")] = 4,
    temperature: Annotated[float, typer.Option(min=0, help="Temperature of the rewrites.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest rewrite, in tokens.")] = 512,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts the policy takes at a time.")] = 16,
    seed: options.Seed = 0,
    image_root: options.Root = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Write training examples from anchored problems: with scaffolds of different strength, and with targets.

    The final answer stands in no scaffold. Every target is graded and must be correct. A rewrite that fails falls
    back to the template. Replayed problems are the policy's own correct completions, bare, against forgetting.

    Example: anectl scaffold anchored.jsonl --replay rollouts.jsonl > train.jsonl
    """
    if (targets == Targets.rewrite) != (model is not None):
        raise UsageError("--targets rewrite and --model go together")
    if answer_format is not None and "{answer}" not in answer_format:
        raise UsageError(f"--answer-format {answer_format!r} has no {{answer}}")
    log = console.log("scaffold")
    console.quiet_libraries()
    root = ImageRoot(image_root)
    verifier = engines.load_verifier()

    def judge(problem: Problem, text: str) -> bool:
        return grade(text, "stop", problem, verifier).correct is True

    params = SamplingParams(temperature=temperature, top_p=1.0, max_tokens=max_tokens)
    write_targets = _target_writer(targets, model, judge, params, num_candidates, seed, batch_size)
    drafter = Drafter(
        load_template(template),
        # A raw solution is learnt as it is, without any scaffold.
        (0,) if targets == Targets.raw else parse_levels(levels),
        from_frontier=origins != Origins.anchors,
        from_anchors=origins != Origins.frontier,
        answer_format=answer_format,
        per_anchor_cap=per_anchor_cap,
        seed=seed,
    )
    replayed = replays(replay or (), drafter, root, replay_min, seed)
    run = Run(
        "scaffold",
        dict(context.params),
        inputs=inputs or (),
        output=output,
        on_error=on_error.value,
        rejects=rejects,
        limit=limit,
        log=log,
    )
    mixture = Mixture(run, replayed, replay_share, max_examples)
    with run, console.progress("scaffold") as advance:
        for examples, reason in scaffold(_drafts(run, drafter, root, mixture), write_targets, carrier.value):
            mixture.add(examples, reason)
            advance("")
        run.notes["examples"] = dict(mixture.counts)
    log(", ".join(f"{count} {origin}" for origin, count in sorted(mixture.counts.items())) or "no examples")


TargetWriter: TypeAlias = Callable[[Sequence[Draft]], list[Target | None]]


def parse_levels(text: str) -> tuple[int, ...]:
    """Levels from a list like `0,2,2`. Raises UsageError."""
    levels = [part.strip() for part in text.split(",")]
    if not all(level in map(str, range(NUM_LEVELS)) for level in levels):
        raise UsageError(f"--levels {text!r} is no list of levels", hint=f"0 to {NUM_LEVELS - 1}, such as 0,1,2,3")
    return tuple(map(int, levels))


def _target_writer(
    targets: Targets,
    model: str | None,
    judge: Judge,
    params: SamplingParams,
    num_candidates: int,
    seed: int,
    batch_size: int,
) -> TargetWriter:
    if targets == Targets.raw:
        return lambda drafts: [raw_target(draft, judge) for draft in drafts]
    if model is None:
        return lambda drafts: [template_target(draft, judge) for draft in drafts]
    policy = engines.load_policy(model, batch_size=batch_size)
    rewriter = Rewriter(policy, policy, judge, params, num_candidates, seed)
    return lambda drafts: [
        found or template_target(draft, judge) for draft, found in zip(drafts, rewriter.write(drafts), strict=True)
    ]


def _drafts(run: Run, drafter: Drafter, root: ImageRoot, mixture: Mixture) -> Iterator[tuple[list[Draft], str]]:
    def check(row: Anchored, source: str | None) -> Anchored:
        for problem in (row.problem, *(anchor.problem for anchor in row.anchors)):
            root.resolve_all(problem.images, source)
        return row

    for row in run.read(Anchored, unique=lambda row: row.problem.id, check=check):
        yield drafter.drafts(row, lambda refs: root.resolve_all(refs, run.source))
        if mixture.is_full:
            return


def scaffold(
    rows: Iterable[tuple[list[Draft], str]], write_targets: TargetWriter, carrier: Carrier
) -> Iterator[tuple[list[Example], str]]:
    """The examples of each row; with none, the reason why."""
    waiting = iter(rows)
    while window := list(islice(waiting, _WINDOW)):
        targets = iter(write_targets([draft for drafts, _ in window for draft in drafts]))
        for drafts, reason in window:
            pairs = [(draft, next(targets)) for draft in drafts]
            examples = [to_example(draft, target, carrier) for draft, target in pairs if target is not None]
            yield examples, "no usable target" if drafts else reason


def to_example(draft: Draft, target: Target, carrier: Carrier) -> Example:
    """The training row. A prefix is the beginning of the assistant's turn, which the completion goes on with."""
    text = draft.ladder[draft.level]
    prefixed = carrier == "prefix" and text != ""
    prompt = conversation(draft.question if prefixed else framed(draft.question, draft.frame, text))
    if prefixed:
        prompt += (Message(role="assistant", content=text),)
    problem = draft.problem
    return Example(
        problem_id=problem.id,
        prompt=prompt,
        completion=(Message(role="assistant", content=f" {target.text}" if prefixed else target.text),),
        images=problem.images,
        answer=problem.answer,
        answer_type=problem.answer_type,
        choices=problem.choices or (),
        precision=problem.precision,
        unit=problem.unit,
        scaffold=Scaffold(
            level=draft.level,
            carrier=carrier,
            text=text,
            template=draft.template,
            anchor_ids=draft.anchor_ids,
            leak=leaks(text, problem),
            question=draft.question,
            frame=draft.frame,
            ladder=draft.ladder,
        ),
        origin=f"{draft.source}/{target.kind}",
    )


def replays(files: Sequence[str], drafter: Drafter, root: ImageRoot, min_rate: float, seed: int) -> list[Example]:
    """One bare example per solved problem, with the correct completion of median length, in seeded order."""
    examples: dict[str, Example] = {}
    for path in files:
        for row in read_records(path, Rollout):
            chosen = typical_success(row.completions, min_rate)
            if chosen is None:
                continue
            try:
                images = root.resolve_all(row.problem.images, None if path == "-" else path)
            except RowError as error:
                raise error.at(path) from None
            draft = drafter.draft(row.problem, images, "replay", row.sampling.instruction, None)
            examples.setdefault(row.problem.id, to_example(draft, Target(chosen.text, "self"), "prompt"))
    shuffled = list(examples.values())
    random.Random(f"{seed}/replay").shuffle(shuffled)
    return shuffled
