"""What the options of scaffold come to: the run, what makes drafts and examples, and what a helper model does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import typer

from anectl import engines
from anectl.core.calibration import Calibration, Findings, parse_band
from anectl.core.drafts import Drafter
from anectl.core.grading import grade
from anectl.core.helper_prompt import HELPER
from anectl.core.helping import Helper
from anectl.core.leak_reading import READER, LeakReader, Readings
from anectl.core.making import Maker
from anectl.core.model_prompts import load_prompt
from anectl.core.protocols import SamplingParams, Verifier
from anectl.core.records import Problem
from anectl.core.rewriting import Rewriter
from anectl.core.run import Run
from anectl.core.targets import Judge, raw_target, template_target
from anectl.core.templates import Template
from anectl.options import key_values
from anectl.sampling_options import engine_settings
from anectl.scaffold_options import DEFAULT_LEVELS, Origins, Sources, Targets, Unreached, parse_levels


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


def the_judge(verifier: Verifier) -> Judge:
    """Says whether a text answers a problem."""

    def judge(problem: Problem, text: str) -> bool:
        return grade(text, "stop", problem, verifier).correct is True

    return judge


def the_helper(context: typer.Context, drafter: Drafter, judge: Judge) -> Helper | None:
    """What a helper model does; null without one."""
    given = context.params
    if given["helper_model"] is None:
        return None
    params, seed = SamplingParams(0.0, 1.0, given["helper_max_tokens"]), given["seed"]
    writes, reads = given["scaffold_from"] == Sources.model, given["read_scaffolds"]
    prompt = load_prompt(given["helper_prompt"], HELPER) if writes else None
    reader = LeakReader(load_prompt(given["reader_prompt"], READER), params, judge, drafter, seed) if reads else None
    return Helper(prompt, reader, params, drafter, seed)


def findings_of(maker: Maker, helper: Helper | None) -> list[tuple[str, Findings | Readings]]:
    """The totals of what was drawn to find something out, by their names in the manifest."""
    found: list[tuple[str, Findings | Readings]] = []
    if helper is not None and helper.reader is not None:
        found.append(("scaffolds_read", helper.reader.readings))
    if maker.calibration is not None:
        found.append(("calibrated", maker.calibration.findings))
    return found


def the_maker(context: typer.Context, words: Template, judge: Judge) -> Maker:
    """What makes examples of drafts."""
    given = context.params
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
