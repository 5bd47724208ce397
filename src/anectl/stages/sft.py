"""Supervised fine-tuning on training rows, with the loss on the completion only.

reads:   example/1 rows
writes:  a checkpoint folder, and one result/1 record on stdout
example: anectl sft train.jsonl --model ./base -o m1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from anectl.console import log, quiet_libraries
from anectl.core.errors import UsageError
from anectl.core.protocols import TrainOutcome
from anectl.core.run import Run
from anectl.core.train_sizes import RowSizes, TrainPreflight, sft_extent
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines import load_engine
from anectl.options import Config, Inputs, Limit, Model, OnError, OnErrorChoice, Rejects, Root, Seed
from anectl.train_options import (
    DryRun,
    Dtype,
    GradientAccumulation,
    LearningRate,
    Lora,
    LoraAlpha,
    LoraRank,
    MaxSteps,
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

FULL_LEARNING_RATE, LORA_LEARNING_RATE = 1e-5, 1e-4


def command(
    context: typer.Context,
    model: Model,
    output: OutputFolder,
    inputs: Inputs = None,
    learning_rate: LearningRate = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch and device.")] = 16,
    gradient_accumulation: GradientAccumulation = 1,
    max_steps: MaxSteps = None,
    epochs: Annotated[float | None, typer.Option(min=0, help="Passes over the rows; default 1.")] = None,
    warmup_steps: WarmupSteps = 0,
    scheduler: Scheduler = "cosine",
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a row; a longer one is a bad row, never cut.")
    ] = None,
    dtype: Dtype = "auto",
    train_vision: TrainVision = False,
    lora: Lora = False,
    lora_rank: LoraRank = 16,
    lora_alpha: LoraAlpha = 32,
    merge: Merge = False,
    save_steps: SaveSteps = 100,
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
    """Fine-tune a vision-language model on training rows; the loss is on the completion only.

    Before weights are loaded every row is measured by the model's own processor: one that does not fit, or whose images
    do not match its placeholders, is an error with its file and line, or with --on-error skip a reject. --dry-run stops
    there, and says tokens, steps, settings and the memory of each device. torchrun and accelerate start it on several.

    Example: anectl sft train.jsonl --model ./base -o m1 --max-steps 240
    """
    if max_steps is not None and epochs is not None:
        raise UsageError("--max-steps and --epochs say the same thing", hint="give one of them")
    rate = learning_rate if learning_rate is not None else LORA_LEARNING_RATE if lora else FULL_LEARNING_RATE
    options = resolved_options(context, learning_rate=rate, epochs=1.0 if epochs is None else epochs)
    settings = train_settings(options)
    quiet_libraries()
    train_into_folder("sft", options, settings, Sft(settings, max_length))


class Sft:
    """What sft does with its rows: it trains on every one of them."""

    def __init__(self, settings: TrainSettings, max_length: int | None) -> None:
        self.settings = settings
        self.max_length = max_length
        self.engine = load_engine("trl_sft", "train")

    def configure(self, folder: TrainFolder) -> Mapping[str, Any]:
        """The settings as they came to. Raises AnectlError for settings that TRL refuses."""
        self.trl = self.engine.sft_config(self.settings, folder, self.max_length)
        self.measuring = load_engine("train_preflight", "train")
        ours = {name: value for name, value in asdict(self.settings).items() if name != "trl"}
        return {"sft": {**ours, "max_length": self.max_length}, "trl": self.measuring.resolved(self.trl)}

    def preflight(self) -> TrainPreflight:
        """Measures rows by the model's processor."""
        return self.measuring.SftPreflight(self.settings, self.trl, self.engine.render)  # type: ignore[no-any-return]

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """All rows."""
        return rows

    def plan(self, sizes: RowSizes) -> list[str]:
        """What is trained, and how long it goes on."""
        extent = sft_extent(
            sizes,
            batch_size=self.trl.per_device_train_batch_size,
            accumulation=self.trl.gradient_accumulation_steps,
            devices=self.trl.world_size,
            max_steps=self.settings.max_steps,
            epochs=self.settings.epochs,
        )
        kind = f"LoRA of rank {self.settings.lora_rank}" if self.settings.lora else "full parameters"
        return [f"{kind}, learning rate {self.settings.learning_rate:g}, {extent}"]

    def train(self, rows: list[TrainingRow], folder: TrainFolder) -> TrainOutcome:
        """Train into the folder."""
        return self.engine.train_sft(  # type: ignore[no-any-return]
            rows, self.settings, folder, max_length=self.max_length, report=log("sft")
        )
