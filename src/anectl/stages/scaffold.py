"""Turn anchored problems into training examples: a prompt with a scaffold, and a target to learn.

reads:   anchored/1; with --replay also rollout/1
writes:  example/1, which TRL's trainers load as it is
example: anectl scaffold anchored.jsonl --replay rollouts.jsonl > train.jsonl
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from anectl import console, engines, options
from anectl.core.errors import RowError, UsageError
from anectl.core.grading import GradeSpec, grade
from anectl.core.images import ImageRoot
from anectl.core.jsonl import read_records
from anectl.core.keys import sample_seed
from anectl.core.prompts import conversation, framed, user_text
from anectl.core.protocols import SamplingParams
from anectl.core.records import Anchored, Carrier, Completion, Example, Message, Problem, Rollout, Scaffold
from anectl.core.run import Run
from anectl.core.scaffolds import NUM_LEVELS, Template, ladder, leaks, load_template, steps_of
from anectl.core.targets import (
    Draft,
    Judge,
    Rewriter,
    Target,
    default_answer_format,
    raw_target,
    template_target,
)

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
        return grade(text, "stop", GradeSpec.of(problem), verifier).correct is True

    writer: Writer = {Targets.raw: raw_targets, Targets.template: template_targets}.get(targets, template_targets)
