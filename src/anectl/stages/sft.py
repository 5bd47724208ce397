"""Supervised fine-tuning on training rows, with the loss on the completion only.

reads:   example/1 rows
writes:  a checkpoint folder, and one result/1 record on stdout
example: anectl sft train.jsonl --model ./base -o m1
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from anectl.console import log, quiet_libraries
from anectl.core.errors import UsageError
from anectl.core.images import ImageRoot
from anectl.core.length_order import by_length, padding
from anectl.core.policy_drift import HeldOut, mastered, within
from anectl.core.protocols import TrainOutcome
from anectl.core.ranks import leads
from anectl.core.records import Budget
from anectl.core.rounds import Round, inherit, read_round, refuse_excess
from anectl.core.run import Run
from anectl.core.sft_settings import LossName, SftSettings
from anectl.core.train_sizes import RowSizes, TrainPreflight, sft_extent
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines import load_engine
from anectl.options import Config, Inputs, Limit, OnError, OnErrorChoice, Rejects, Root, Seed
from anectl.train_card import CardScores, HubPublic, PushToHub
from anectl.train_options import (
    DryRun,
    Dtype,
    GradientAccumulation,
    LearningRate,
    LoadIn4bit,
    Lora,
    LoraAlpha,
    LoraRank,
    LoraTargets,
    MaxSteps,
    Merge,
    OutputFolder,
    Overwrite,
    ReportTo,
    ResumeRun,
    SaveDtype,
    SaveSteps,
    Scheduler,
    TrainVision,
    Trl,
    WarmupSteps,
    example_row,
    resolved_options,
    train_into_folder,
    train_settings,
)

FULL_LEARNING_RATE, LORA_LEARNING_RATE = 1e-5, 1e-4


def command(
    context: typer.Context,
    output: OutputFolder,
    inputs: Inputs = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Checkpoint folder or Hugging Face name; that of --continue-from there."),
    ] = None,
    continue_from: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on from a finished run with new rows: its weights, optimizer, schedule and random numbers. "
            "Settings that are not given are those of that run.",
        ),
    ] = None,
    total_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of a learning-rate schedule that spans rounds; keeps the optimizer for --continue-from."
        ),
    ] = None,
    loss: Annotated[
        LossName, typer.Option(help="nll: mean over tokens; dft: each token weighted by its own probability.")
    ] = "nll",
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
    group_by_length: Annotated[
        bool,
        typer.Option(
            "--group-by-length", help="Fill each batch with rows of nearly the same length: less of it is padding."
        ),
    ] = False,
    dtype: Dtype = "auto",
    train_vision: TrainVision = False,
    lora: Lora = False,
    lora_rank: LoraRank = 16,
    lora_alpha: LoraAlpha = 32,
    lora_targets: LoraTargets = "",
    load_in_4bit: LoadIn4bit = False,
    merge: Merge = False,
    save_dtype: SaveDtype = "model",
    drift_rows: Annotated[
        int, typer.Option(min=0, help="Most rows whose targets are measured under the policy before training.")
    ] = 256,
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Rollouts of the policy: what training does to problems it masters is measured on them.",
        ),
    ] = None,
    held_out_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens of completions of --held-out; each is kept as its whole vocabulary.")
    ] = 16_384,
    save_steps: SaveSteps = 100,
    report_to: ReportTo = "none",
    card_scores: CardScores = None,
    push_to_hub: PushToHub = None,
    hub_public: HubPublic = False,
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

    Rounds: with --total-steps the learning rate follows a schedule of that many steps, of which this run does its own
    (--max-steps or --epochs), and the optimizer is kept beside the model. --continue-from goes on with it on new rows.

    Drift: before the training the NLL of the targets is measured under the bare prompt, and with --held-out the NLL,
    the KL divergence and what greedy decoding reproduces, before and after. The result record has it.

    Example: anectl sft train.jsonl --model ./base -o m1 --max-steps 240
    """
    if max_steps is not None and epochs is not None:
        raise UsageError("--max-steps and --epochs say the same thing", hint="give one of them")
    options = resolved_options(context, epochs=1.0 if epochs is None else epochs)
    before = read_round(continue_from) if continue_from is not None else None
    if before is not None:
        options = inherit(options, _given(context), before)
    if options["model"] is None:
        raise UsageError("no model to train", hint="--model, or --continue-from a finished run")
    if options["learning_rate"] is None:
        options["learning_rate"] = LORA_LEARNING_RATE if options["lora"] else FULL_LEARNING_RATE
    settings = train_settings(options)
    quiet_libraries()
    train_into_folder("sft", options, settings, Sft(settings, sft_settings(options, settings, before), options))


def sft_settings(options: Mapping[str, Any], settings: TrainSettings, before: Round | None) -> SftSettings:
    """What sft adds to the settings of training, from the resolved options and the round it goes on from."""
    total = options["total_steps"]
    first = Budget(total_steps=total) if total is not None else None
    own = {name: options[name] for name in ("loss", "max_length", "group_by_length", "drift_rows", "held_out_tokens")}
    return SftSettings(
        **own,
        budget=before.budget if before is not None else first,
        state=before.state if before is not None else None,
        shared={
            **asdict(settings),
            "total_steps": total,
            "loss": options["loss"],
            "max_length": options["max_length"],
            "group_by_length": options["group_by_length"],
        },
    )


def _given(context: typer.Context) -> set[str]:
    """The options that the user gave, on the command line or in a config file."""
    defaults = ("DEFAULT", None)
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if getattr(source, "name", None) not in defaults}


class Sft:
    """What sft does with its rows: it trains on every one of them."""

    def __init__(self, settings: TrainSettings, sft: SftSettings, options: Mapping[str, Any]) -> None:
        self.settings = settings
        self.sft = sft
        self.max_length = sft.max_length
        self.held_out_file: str | None = options["held_out"]
        self.root = ImageRoot(options["image_root"])
        self.held_out: list[HeldOut] = []
        self.engine = load_engine("trl_sft", "train")

    def configure(self, folder: TrainFolder) -> Mapping[str, Any]:
        """The settings as they came to. Raises AnectlError for settings that TRL refuses."""
        self.trl = self.engine.sft_config(self.settings, folder, self.max_length, self.sft)
        self.measuring = load_engine("train_preflight", "train")
        ours = {name: value for name, value in asdict(self.settings).items() if name != "trl"}
        ours |= {"loss": self.sft.loss, "max_length": self.max_length, "group_by_length": self.sft.group_by_length}
        if self.sft.budget is not None:
            ours["steps_before"] = self.sft.budget.steps_before
            ours["total_steps"] = self.sft.budget.total_steps
        return {"sft": ours, "trl": self.measuring.resolved(self.trl)}

    def rows_of(self, data: bytes) -> list[TrainingRow]:
        """The example of one line. Raises RowError: it is none, or cannot be trained on."""
        return example_row(data)

    def preflight(self) -> TrainPreflight:
        """Measures rows by the model's processor."""
        self.ruler = self.measuring.SftPreflight(self.settings, self.trl, self.engine.render)
        return self.ruler  # type: ignore[no-any-return]

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """All rows. Looks for held-out ones on the way."""
        if self.held_out_file is not None:
            found = mastered(self.held_out_file, self.root)
            self.held_out = within(found, self.ruler, self.sft.held_out_tokens, self.settings.seed)
        return rows

    def plan(self, sizes: RowSizes) -> list[str]:
        """What is trained, and how long it goes on. Raises UsageError for more steps than a budget has left."""
        extent = sft_extent(
            sizes,
            batch_size=self.trl.per_device_train_batch_size,
            accumulation=self.trl.gradient_accumulation_steps,
            devices=self.trl.world_size,
            max_steps=self.trl.max_steps if self.trl.max_steps > 0 else None,
            epochs=self.trl.num_train_epochs,
        )
        kind = f"LoRA of rank {self.settings.lora_rank}" if self.settings.lora else "full parameters"
        said = [f"{kind}, learning rate {self.trl.learning_rate:g}, {extent}"]
        said.append(self._padding(sizes))
        if self.sft.budget is not None:
            refuse_excess(self.sft.budget, extent.steps)
            first = self.sft.budget.steps_before
            said.append(f"steps {first + 1} to {first + extent.steps} of a schedule of {self.sft.budget.total_steps}")
        if self.held_out:
            said.append(f"drift is measured on {len(self.held_out)} held-out rows")
        return said

    def _padding(self, sizes: RowSizes) -> str:
        """How much of the batches is padding, and how much by length."""
        tokens, batch = [sized.size.total for sized in sizes.rows], self.trl.per_device_train_batch_size
        seed = self.trl.data_seed
        grouped = padding(tokens, by_length(tokens, batch * self.trl.world_size, seed, 0), batch)
        if self.trl.train_sampling_strategy == "group_by_length":
            return f"batches by length, {grouped:.0%} of their tokens padding"
        order = list(range(len(tokens)))
        if self.trl.train_sampling_strategy == "random":
            random.Random(seed).shuffle(order)
        return f"{padding(tokens, order, batch):.0%} of the tokens are padding (by --group-by-length {grouped:.0%})"

    def train(self, rows: list[TrainingRow], folder: TrainFolder) -> TrainOutcome:
        """Train into the folder."""
        return self.engine.train_sft(  # type: ignore[no-any-return]
            rows,
            self.settings,
            folder,
            max_length=self.max_length,
            report=log("sft") if leads() else _say_nothing,
            sft=self.sft,
            held_out=self.held_out,
        )


def _say_nothing(message: str) -> None:
    pass
