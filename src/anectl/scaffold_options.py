"""Options of scaffold: the words of its command line, and which of them go together."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from anectl.core.errors import UsageError
from anectl.core.templates import NUM_LEVELS

DEFAULT_LEVELS = "0,1,2,3"


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


class Sources(StrEnum):
    """What scaffolds are made of."""

    auto = "auto"
    gold = "gold"
    anchor = "anchor"
    model = "model"


class Unreached(StrEnum):
    """What becomes of a problem that the policy fails with all help."""

    keep = "keep"
    drop = "drop"


TargetKind = Annotated[Targets, typer.Option(help="raw, template, or rewrite (needs --model).")]
Levels = Annotated[
    str | None,
    typer.Option(
        help=f"Levels to draw from, 0 (bare) to 5, default {DEFAULT_LEVELS}; one named twice counts twice.",
        show_default=False,
    ),
]
CarrierKind = Annotated[Carriers, typer.Option(help="prompt: in the question; prefix: opens the answer.")]
TemplateFile = Annotated[Path | None, typer.Option(help="YAML file with the scaffold's words.")]
ScaffoldFrom = Annotated[
    Sources,
    typer.Option(
        "--scaffold-from",
        help="gold: the problem's own steps; anchor: the best anchor's knowledge and plan; auto: gold, else anchor; "
        "model: what --helper-model writes, else as auto.",
    ),
]
OriginKind = Annotated[Origins, typer.Option("--from", help="anchors, frontier or both: whose problems.")]
AnswerFormat = Annotated[
    str | None, typer.Option(help="How a target states {answer}; default as the instruction asks.")
]
PerAnchorCap = Annotated[int, typer.Option(min=1, help="Examples that one anchor may become.")]
MaxExamples = Annotated[int | None, typer.Option(min=1, help="Stop after this many, replay included.")]
Replay = Annotated[list[str] | None, typer.Option(help="Rollout file with problems the policy has solved.")]
ReplayShare = Annotated[float, typer.Option(min=0, max=0.95, help="Replay's share of all examples.")]
ReplayMin = Annotated[float, typer.Option(min=0, max=1, help="Pass rate from which a problem is replayed.")]
Policy = Annotated[
    str | None, typer.Option("--model", "-m", help="Policy that rewrites, is calibrated, and scores targets.")
]
NumCandidates = Annotated[int, typer.Option(min=1, help="Rewrites drawn per problem and level.")]
Temperature = Annotated[float, typer.Option(min=0, help="Temperature of --model; its answer probes are greedy.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of one completion of --model.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Prompts the policy takes at a time.")]
AnswerProbe = Annotated[
    bool, typer.Option(help="Keep a rewrite only if its work leads the policy, without help, to the answer.")
]
Calibrate = Annotated[
    bool, typer.Option("--calibrate", help="Find each problem's smallest level at which --model succeeds often enough.")
]
BandEdges = Annotated[str, typer.Option(metavar="LOW,HIGH", help="Pass rates from which --model learns.")]
CalibrateSamples = Annotated[
    int, typer.Option(min=1, help="Completions per level that --calibrate tries: of 6 levels at most 3.")
]
OutOfReach = Annotated[
    Unreached, typer.Option("--unreached", help="A problem failed with all help: keep at its top level, or drop.")
]
HelperModel = Annotated[
    str | None, typer.Option(help="Model that writes scaffolds, seeing question, images and solution, or reads them.")
]
HelperEngine = Annotated[
    Literal["transformers", "vllm", "openai", "fake"], typer.Option(help="As --engine, for the helper.")
]
HelperUrl = Annotated[str | None, typer.Option(help="As --url, for the helper.")]
HelperArguments = Annotated[list[str], typer.Option("--helper-arg", help="As --engine-arg, for the helper.")]
HelperPromptFile = Annotated[
    Path | None, typer.Option("--helper-prompt", help="YAML file with what the helper is told.")
]
HelperMaxTokens = Annotated[int, typer.Option(min=1, help="Longest reply of the helper, in tokens.")]
ReadScaffolds = Annotated[
    bool,
    typer.Option(
        help="Let --helper-model read every scaffold, without the picture; those that tell it the answer are not used.",
    ),
]
ReaderPromptFile = Annotated[
    Path | None, typer.Option("--reader-prompt", help="YAML file with what the helper is told when it reads.")
]


def parse_levels(text: str) -> tuple[int, ...]:
    """Levels from a list like `0,2,2`. Raises UsageError."""
    levels = [part.strip() for part in text.split(",")]
    if not all(level in map(str, range(NUM_LEVELS)) for level in levels):
        raise UsageError(f"--levels {text!r} is no list of levels", hint=f"0 to {NUM_LEVELS - 1}, such as 0,1,2,3")
    return tuple(map(int, levels))


def refuse_odd_options(context: typer.Context) -> None:
    """Raises UsageError for options that do not go together."""
    given = context.params
    for name, is_asked in (
        ("--targets rewrite", given["targets"] == Targets.rewrite),
        ("--calibrate", given["calibrate"]),
    ):
        if is_asked and given["model"] is None:
            raise UsageError(f"{name} needs --model", hint="the policy that is to be trained")
    is_written, is_read = given["scaffold_from"] == Sources.model, given["read_scaffolds"]
    if (is_written or is_read) != (given["helper_model"] is not None):
        raise UsageError("--scaffold-from model or --read-scaffolds, and --helper-model, go together")
    if is_read and given["targets"] == Targets.raw:
        raise UsageError("--read-scaffolds with --targets raw: raw solutions have no scaffold")
    if given["calibrate"] and given["targets"] == Targets.raw:
        raise UsageError("--calibrate with --targets raw: raw solutions have no scaffold")
    if given["calibrate"] and given["levels"] is not None:
        raise UsageError("--calibrate finds the level of each problem, --levels draws it", hint="give one of them")
    if not math.isfinite(given["temperature"]):
        raise UsageError(f"--temperature {given['temperature']}: must be a number from 0 up")
    if "-" in (given["replay"] or ()) and "-" in (given["inputs"] or ["-"]):
        raise UsageError("--replay - and the input are both stdin", hint="name a file for one of them")
    _refuse_options_without_effect(context)
    if given["answer_format"] is not None and "{answer}" not in given["answer_format"]:
        raise UsageError(f"--answer-format {given['answer_format']!r} has no {{answer}}")


def _refuse_options_without_effect(context: typer.Context) -> None:
    given = context.params
    needs = (
        ("--targets rewrite", given["targets"] == Targets.rewrite, ("num_candidates", "answer_probe")),
        ("--calibrate", given["calibrate"], ("band", "calibrate_samples", "unreached")),
        ("--targets template or rewrite", given["targets"] != Targets.raw, ("levels",)),
        ("--replay", bool(given["replay"]), ("replay_share", "replay_min")),
        (
            "--helper-model",
            given["helper_model"] is not None,
            ("helper_engine", "helper_url", "helper_arg", "helper_max_tokens"),
        ),
        ("--scaffold-from model", given["scaffold_from"] == Sources.model, ("helper_prompt",)),
        ("--read-scaffolds", given["read_scaffolds"], ("reader_prompt",)),
    )
    for wanted, is_there, names in needs:
        for name in names:
            # What a shared --config says is for other commands too.
            if not is_there and getattr(context.get_parameter_source(name), "name", None) == "COMMANDLINE":
                raise UsageError(f"--{name.replace('_', '-')} has no effect without {wanted}")
