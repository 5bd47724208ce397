"""Options of scaffold: the words of its command line, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from anectl import engines
from anectl.core.calibration import Calibration, parse_band
from anectl.core.drafts import Drafter
from anectl.core.errors import UsageError
from anectl.core.grading import grade
from anectl.core.making import Maker
from anectl.core.protocols import SamplingParams, Verifier
from anectl.core.records import Problem
from anectl.core.rewriting import Rewriter
from anectl.core.run import Run
from anectl.core.targets import raw_target, template_target
from anectl.core.templates import NUM_LEVELS, Template
from anectl.options import key_values
from anectl.sampling_options import engine_settings

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
    str | None, typer.Option(help="Model that writes scaffolds; it sees question, images and solution.")
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
    if (given["scaffold_from"] == Sources.model) != (given["helper_model"] is not None):
        raise UsageError("--scaffold-from model and --helper-model go together")
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
            ("helper_engine", "helper_url", "helper_arg", "helper_prompt", "helper_max_tokens"),
        ),
    )
    for wanted, is_there, names in needs:
        for name in names:
            # What a shared --config says is for other commands too.
            if not is_there and getattr(context.get_parameter_source(name), "name", None) == "COMMANDLINE":
                raise UsageError(f"--{name.replace('_', '-')} has no effect without {wanted}")


def the_run(context: typer.Context, log: Callable[[str], None]) -> Run:
    """The run of the command; resumable where a model is asked for anything."""
    given = context.params
    return Run(
        "scaffold",
        dict(given),
        inputs=given["inputs"] or (),
        output=given["output"],
        on_error=given["on_error"].value,
        rejects=given["rejects"],
        resume=given["resume"],
        # What no model writes is made again in a moment.
        resumable=given["resume"] or given["model"] is not None or given["helper_model"] is not None,
        limit=given["limit"],
        log=log,
    )


def the_drafter(context: typer.Context, words: Template) -> Drafter:
    """What makes drafts of rows."""
    given = context.params
    # A raw solution is learnt as it is, without any scaffold; a calibrated level is found, not drawn.
    is_bare = given["targets"] == Targets.raw or given["calibrate"]
    return Drafter(
        words,
        (0,) if is_bare else parse_levels(given["levels"] or DEFAULT_LEVELS),
        from_frontier=given["origins"] != Origins.anchors,
        from_anchors=given["origins"] != Origins.frontier,
        answer_format=given["answer_format"],
        per_anchor_cap=given["per_anchor_cap"],
        scaffold_from=given["scaffold_from"].value,
        seed=given["seed"],
    )


def the_maker(context: typer.Context, words: Template, verifier: Verifier) -> Maker:
    """What makes examples of drafts."""
    given = context.params

    def judge(problem: Problem, text: str) -> bool:
        return grade(text, "stop", problem, verifier).correct is True

    carrier, params, seed = given["carrier"].value, _params(context), given["seed"]
    is_raw = given["targets"] == Targets.raw
    calibration = rewriter = None
    if given["calibrate"]:
        calibration = Calibration(
            parse_band(given["band"]),
            given["calibrate_samples"],
            params,
            judge,
            seed,
            carrier,
            drop_unreached=given["unreached"] == Unreached.drop,
        )
    if given["targets"] == Targets.rewrite:
        wrapping = (words.frame, *words.levels)
        rewriter = Rewriter(judge, params, given["num_candidates"], seed, carrier, wrapping, given["answer_probe"])
    return Maker(partial(raw_target if is_raw else template_target, judge=judge), carrier, calibration, rewriter)


def _params(context: typer.Context) -> SamplingParams:
    return SamplingParams(context.params["temperature"], 1.0, context.params["max_tokens"])


def seen_by(context: typer.Context) -> tuple[str, SamplingParams] | None:
    """The policy whose bare successes need not be asked for again, and how it draws."""
    given = context.params
    return (engine_settings(context).policy, _params(context)) if given["calibrate"] else None


def helper_settings(context: typer.Context) -> engines.EngineSettings:
    """What the options say of the helper's engine."""
    given = context.params
    return engines.EngineSettings(
        engine=given["helper_engine"],
        model=given["helper_model"],
        batch_size=given["batch_size"],
        url=given["helper_url"],
        concurrency=given["concurrency"],
        arguments=key_values("--helper-arg", given["helper_arg"]),
    )
