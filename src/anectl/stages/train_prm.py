"""train-prm: a process reward model from step values.

reads:   frontier/1 or rollout/1 with `steps` and `values` (by backtrack --all-steps)
writes:  a checkpoint folder for score-steps, and one result/1 record on stdout
example: anectl train-prm valued.jsonl --model ./base -o prm
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from anectl.console import log, quiet_libraries
from anectl.core.errors import RowError, UsageError
from anectl.core.jsonl import decode
from anectl.core.prm import DEFAULT_LABELS, LabelKind, step_labels
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import TrainOutcome
from anectl.core.records import Completion, Example, Message, Rollout, Scaffold
from anectl.core.run import Run
from anectl.core.train_sizes import RowSizes, TrainPreflight, sft_extent
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines import load_engine
from anectl.options import Config, Inputs, Limit, Model, OnError, OnErrorChoice, Rejects, Root, Seed
from anectl.train_card import CardScores, HubPublic, PushToHub
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
    SaveDtype,
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
    targets: Annotated[
        LabelKind, typer.Option(help="hard: 1 where any continuation was right; soft: the share that was.")
    ] = "hard",
    labels: Annotated[str, typer.Option(help="Texts, a token each, that a good and a bad step are read by.")] = (
        ",".join(DEFAULT_LABELS)
    ),
    learning_rate: LearningRate = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Completions per batch and device.")] = 16,
    gradient_accumulation: GradientAccumulation = 1,
    max_steps: MaxSteps = None,
    epochs: Annotated[float | None, typer.Option(min=0, help="Passes over the completions; default 1.")] = None,
    warmup_steps: WarmupSteps = 0,
    scheduler: Scheduler = "cosine",
    dtype: Dtype = "auto",
    train_vision: TrainVision = False,
    lora: Lora = False,
    lora_rank: LoraRank = 16,
    lora_alpha: LoraAlpha = 32,
    merge: Merge = False,
    save_dtype: SaveDtype = "model",
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
    """Train a vision-language model to tell, behind each step of a completion, whether the step is good.

    Steps are labelled by what became of the continuations from them: draw these with `backtrack --all-steps`, of right
    completions too, or the model never sees a good end. The last step is as right as its completion. The loss is the
    binary cross-entropy of the two label tokens' logits, a mean over all labelled steps. --trl sets fields of
    transformers' TrainingArguments here. torchrun and accelerate start it on several devices.

    Example: anectl train-prm valued.jsonl --model ./base -o prm
    """
    if max_steps is not None and epochs is not None:
        raise UsageError("--max-steps and --epochs say the same thing", hint="give one of them")
    good, _, bad = labels.partition(",")
    if not good or not bad or good == bad:
        raise UsageError(f"--labels {labels!r} are not two texts", hint="such as +,-")
    rate = learning_rate if learning_rate is not None else LORA_LEARNING_RATE if lora else FULL_LEARNING_RATE
    options = resolved_options(context, learning_rate=rate, epochs=1.0 if epochs is None else epochs)
    settings = train_settings(options)
    quiet_libraries()
    train_into_folder("train-prm", options, settings, TrainPrm(settings, targets, (good, bad)))


class TrainPrm:
    """What train-prm does with its rows: each labelled completion is one to train on."""

    max_length: int | None = None

    def __init__(self, settings: TrainSettings, targets: LabelKind, labels: tuple[str, str]) -> None:
        self.settings = settings
        self.targets = targets
        self.labels = labels
        self.engine = load_engine("prm_trainer", "train")

    def configure(self, folder: TrainFolder) -> Mapping[str, Any]:
        """The settings as they came to. Raises AnectlError for settings that are refused."""
        self.config = self.engine.prm_config(self.settings, folder)
        self.measuring = load_engine("train_preflight", "train")
        ours = {name: value for name, value in asdict(self.settings).items() if name != "trl"}
        ours |= {"targets": self.targets, "labels": list(self.labels)}
        return {"train-prm": ours, "trl": self.measuring.resolved(self.config)}

    def rows_of(self, data: bytes) -> list[TrainingRow]:
        """The labelled completions of one rollout. Raises RowError: it is none, or its steps do not fit its values."""
        row = decode(data, Rollout)
        found: list[TrainingRow] = []
        for completion in row.completions:
            labels = step_labels(completion, self.targets)
            # A completion without values has but the label of its end, which is no news of its steps.
            if not completion.values or not any(label is not None for label in labels):
                continue
            if "".join(completion.steps or ()) != completion.text:
                raise RowError("the steps of a completion do not join to its text")
            example = _example(row, completion)
            found.append(TrainingRow(example, (), completion.steps or (), labels, lines=int(not found)))
        return found

    def preflight(self) -> TrainPreflight:
        """Measures rows by the model's processor."""
        render = load_engine("trl_sft", "train").render
        return self.measuring.SftPreflight(self.settings, self.config, render)  # type: ignore[no-any-return]

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """All rows."""
        return rows

    def plan(self, sizes: RowSizes) -> list[str]:
        """What is trained on, and how long it goes on."""
        extent = sft_extent(
            sizes,
            batch_size=self.config.per_device_train_batch_size,
            accumulation=self.config.gradient_accumulation_steps,
            devices=self.config.world_size,
            max_steps=self.settings.max_steps,
            epochs=self.settings.epochs,
        )
        known = [label for sized in sizes.rows for label in sized.row.labels if label is not None]
        kind = f"LoRA of rank {self.settings.lora_rank}" if self.settings.lora else "full parameters"
        return [
            f"{len(known)} labelled steps of {len(sizes.rows)} completions, {sum(known) / len(known):.1%} of them good",
            f"{kind}, learning rate {self.settings.learning_rate:g}, {extent}",
        ]

    def train(self, rows: list[TrainingRow], folder: TrainFolder) -> TrainOutcome:
        """Train into the folder."""
        return self.engine.train_prm(  # type: ignore[no-any-return]
            rows, self.settings, folder, labels=self.labels, report=log("train-prm")
        )


def _example(row: Rollout, completion: Completion) -> Example:
    """The completion as training measures and renders it."""
    problem = row.problem
    question = user_text(problem, row.sampling.instruction)
    return Example(
        problem_id=problem.id,
        prompt=conversation(question),
        completion=(Message(role="assistant", content=completion.text),),
        images=problem.images,
        answer=problem.answer,
        answer_type=problem.answer_type,
        choices=problem.choices or (),
        precision=problem.precision,
        unit=problem.unit,
        scaffold=Scaffold(question=question),
        origin="steps",
    )
