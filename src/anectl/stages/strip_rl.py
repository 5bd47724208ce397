"""Reinforcement learning that takes the scaffold away: GRPO on prompts whose scaffold shrinks to nothing.

reads:   example/1 rows (one item per problem; carrier `prompt`)
writes:  a checkpoint folder, and one result/1 record on stdout
example: anectl strip-rl train.jsonl --model m1 -o m2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

import typer

from anectl.console import log, quiet_libraries
from anectl.core.protocols import TrainOutcome
from anectl.core.run import Run
from anectl.core.schedules import ScheduleName
from anectl.core.stripping import StripSettings, one_row_per_problem, refuse_unusable, to_item
from anectl.core.train_sizes import RowSizes, TrainPreflight
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines import load_engine, load_verifier
from anectl.options import Config, Inputs, Limit, Model, OnError, OnErrorChoice, Rejects, Root, Seed
from anectl.train_options import (
    DryRun,
    Dtype,
    GradientAccumulation,
    LearningRate,
    Lora,
    LoraAlpha,
    LoraRank,
    Merge,
    OutputFolder,
    Overwrite,
    ReportTo,
    ResumeRun,
    SaveSteps,
    Scheduler,
    TrainVision,
    Trl,
    WarmupSteps,
    resolved_options,
    train_into_folder,
    train_settings,
)

ScaleRewards = Annotated[
    Literal["group", "batch", "none"], typer.Option(help="Whose standard deviation advantages are divided by.")
]
FULL_LEARNING_RATE, LORA_LEARNING_RATE = 1e-6, 1e-5


def command(
    context: typer.Context,
    model: Model,
    output: OutputFolder,
    inputs: Inputs = None,
    schedule: Annotated[ScheduleName, typer.Option(help="Course of the highest level allowed.")] = "cosine",
    top_level: Annotated[int, typer.Option(min=0, max=5, help="The highest level to begin with.")] = 3,
    bare_share: Annotated[float, typer.Option(min=0, max=1, help="Least share of bare prompts in a step.")] = 0.25,
    num_generations: Annotated[int, typer.Option(min=2, help="Completions per prompt: the group.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a completion.")] = 512,
    temperature: Annotated[float, typer.Option(min=0.01, help="Sampling temperature.")] = 1.0,
    loss_type: Annotated[str, typer.Option(help="TRL's loss: dapo, grpo, dr_grpo, bnpo, cispo, sapo ...")] = "dapo",
    epsilon: Annotated[float, typer.Option(min=0, help="Clip of the probability ratio, downwards.")] = 0.2,
    epsilon_high: Annotated[float, typer.Option(min=0, help="Clip of the probability ratio, upwards.")] = 0.28,
    beta: Annotated[float, typer.Option(min=0, help="Weight of the KL term against the base.")] = 0.0,
    scale_rewards: ScaleRewards = "group",
    learning_rate: LearningRate = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts per step and device.")] = 8,
    gradient_accumulation: GradientAccumulation = 1,
    max_steps: Annotated[int, typer.Option(min=1, help="Optimizer steps; the last fifth is bare.")] = 100,
    warmup_steps: WarmupSteps = 0,
    scheduler: Scheduler = "constant",
    dtype: Dtype = "auto",
    train_vision: TrainVision = False,
    lora: Lora = False,
    lora_rank: LoraRank = 64,
    lora_alpha: LoraAlpha = 64,
    merge: Merge = False,
    save_steps: SaveSteps = 20,
    report_to: ReportTo = "none",
    trl: Trl = None,
    seed: Seed = 0,
    image_root: Root = None,
    resume: ResumeRun = False,
    overwrite: Overwrite = False,
    limit: Limit = None,
    on_error: OnError = OnErrorChoice.fail,
    rejects: Rejects = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Train by GRPO while the scaffold in the prompt is withdrawn, item by item and for all by a schedule.

    Before weights are loaded every row is measured by the model's own processor: one that does not fit, or whose images
    do not match its placeholders, is an error with its file and line, or with --on-error skip a reject. --dry-run stops
    there, and says tokens, steps, settings and the memory of each device. torchrun and accelerate start it on several.

    Example: anectl strip-rl train.jsonl --model m1 -o m2 --max-steps 80
    """
    rate = learning_rate if learning_rate is not None else LORA_LEARNING_RATE if lora else FULL_LEARNING_RATE
    options = resolved_options(context, learning_rate=rate, epochs=1.0)
    settings = train_settings(options)
    strip = StripSettings(**{field.name: options[field.name] for field in fields(StripSettings)})
    quiet_libraries()
    train_into_folder("strip-rl", options, settings, StripRl(settings, strip))


class StripRl:
    """What strip-rl does with its rows: one item per problem, each at every level it can be shown at."""

    max_length: int | None = None  # a prompt has only the model's window to fit into

    def __init__(self, settings: TrainSettings, strip: StripSettings) -> None:
        self.settings = settings
        self.strip = strip
        self.engine = load_engine("trl_strip", "train")

    def configure(self, folder: TrainFolder) -> Mapping[str, Any]:
        """The settings as they came to. Raises AnectlError for settings that TRL refuses."""
        self.trl = self.engine.strip_config(self.settings, self.strip, folder)
        self.measuring = load_engine("train_preflight", "train")
        ours = {name: value for name, value in asdict(self.settings).items() if name != "trl"}
        return {"strip-rl": {**ours, **asdict(self.strip)}, "trl": self.measuring.resolved(self.trl)}

    def preflight(self) -> TrainPreflight:
        """Measures rows by the model's processor."""
        return self.measuring.StripPreflight(self.settings, self.trl, self.strip)  # type: ignore[no-any-return]

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """One row per problem. Raises AnectlError for rows whose scaffold cannot be taken away."""
        chosen = one_row_per_problem(rows)
        refuse_unusable(chosen)
        if len(chosen) < len(rows):
            run.drop("another row of the same problem", len(rows) - len(chosen))
        return chosen

    def plan(self, sizes: RowSizes) -> list[str]:
        """How many items have a scaffold, and how long the training goes on."""
        items = [to_item(sized.row, self.strip.top_level) for sized in sizes.rows]
        hinted = sum(len(item.prompts) > 1 for item in items)
        steps, prompts = self.trl.max_steps, self.settings.batch_size * self.trl.world_size
        drawn = steps * prompts * self.strip.num_generations
        said = [
            f"{len(items)} problems, {hinted} with a scaffold, {steps} steps of {prompts} x "
            f"{self.strip.num_generations} completions, {steps * prompts / len(items):.3g} epochs, "
            f"learning rate {self.settings.learning_rate:g}",
            f"{drawn:,} completions of at most {self.strip.max_tokens} tokens, with their prompts at most "
            f"{round(drawn * sizes.mean_total):,} tokens",
        ]
        cramped = [sized for sized in sizes.rows if sized.size.completion < self.strip.max_tokens]
        if cramped:
            said.append(
                f"{len(cramped)} prompts leave fewer than {self.strip.max_tokens} tokens of the model's window for a "
                f"completion, the first is {cramped[0].place}"
            )
        return said

    def train(self, rows: list[TrainingRow], folder: TrainFolder) -> TrainOutcome:
        """Train into the folder."""
        needs_verifier = any(row.example.answer_type == "expression" for row in rows)
        return self.engine.train_strip(  # type: ignore[no-any-return]
            [to_item(row, self.strip.top_level) for row in rows],
            self.settings,
            self.strip,
            folder,
            verifier=load_verifier() if needs_verifier else None,
            report=log("strip-rl"),
        )
