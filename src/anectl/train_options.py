"""Options and manners that sft and strip-rl share: their rows, their settings, their output folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Protocol

import typer

from anectl.console import log
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import encode
from anectl.core.protocols import TrainOutcome
from anectl.core.records import Example, Result
from anectl.core.run import Run
from anectl.core.training import Precision, SchedulerName, TrainFolder, TrainingRow, TrainSettings
from anectl.options import trl_overrides

OutputFolder = Annotated[
    str, typer.Option("--output", "-o", help="Folder of the trained model; it appears when the run is complete.")
]
ResumeRun = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run of the same settings.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output folder when the run is complete.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the rows and settings, say the plan, train nothing.")]
LearningRate = Annotated[float | None, typer.Option(min=0, help="Peak learning rate; the default depends on --lora.")]
GradientAccumulation = Annotated[int, typer.Option(min=1, help="Batches per optimizer step.")]
MaxSteps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps; instead of --epochs.")]
WarmupSteps = Annotated[int, typer.Option(min=0, help="Steps over which the learning rate rises.")]
Scheduler = Annotated[SchedulerName, typer.Option(help="Course of the learning rate after the warm-up.")]
Dtype = Annotated[Precision, typer.Option(help="Arithmetic; auto is bfloat16 where a GPU has it, else float32.")]
SaveSteps = Annotated[int, typer.Option(min=1, help="Steps between two checkpoints to resume from.")]
ReportTo = Annotated[str, typer.Option(help="Also log to this tracker of transformers, such as wandb.")]
TrainVision = Annotated[
    bool, typer.Option("--train-vision", help="Train the vision tower and the connector too; frozen otherwise.")
]
Lora = Annotated[bool, typer.Option("--lora", help="Train adapters on the text decoder instead of its weights.")]
LoraRank = Annotated[int, typer.Option(min=1, help="Rank of the adapters.")]
LoraAlpha = Annotated[int, typer.Option(min=1, help="Scale of the adapters: they are weighted by alpha / rank.")]
Merge = Annotated[bool, typer.Option("--merge", help="Save the model with the adapters merged into its weights.")]
Trl = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set a field of TRL's own config; may be repeated.")
]


def resolved_options(context: typer.Context, **resolved: Any) -> dict[str, Any]:
    """All options of the command with what defaults and config sections came to: what the manifest records."""
    return {**context.params, "trl": trl_overrides(context, context.params["trl"] or []), **resolved}


def train_settings(options: Mapping[str, Any]) -> TrainSettings:
    """The settings that both trainers read, from the resolved options. Raises UsageError: they contradict."""
    if options["lora"] and options["train_vision"]:
        raise UsageError("--train-vision has no effect with --lora", hint="adapters are on the text decoder only")
    if options["merge"] and not options["lora"]:
        raise UsageError("--merge needs --lora", hint="without adapters there is nothing to merge")
    return TrainSettings(**{field.name: options[field.name] for field in fields(TrainSettings)})


def read_training_rows(run: Run, root: ImageRoot) -> list[TrainingRow]:
    """All rows of the run's input, checked, with their images found.

    Each image is decoded once and dropped again: a broken one should be told of now, not hours into the training.
    """
    rows: list[TrainingRow] = []
    sound: set[str] = set()

    def check(example: Example, source: str | None) -> Example:
        roles = [message.role for message in example.prompt]
        if "user" not in roles:
            raise RowError("prompt has no user turn")
        if [message.role for message in example.completion] != ["assistant"] or not example.completion[0].content:
            raise RowError("completion must be one assistant turn with text in it")
        images = root.resolve_all(example.images, source)
        for image in images:
            if image.location not in sound:
                image.open()
                sound.add(image.location)
        rows.append(TrainingRow(example, images))
        return example

    for _ in run.read(Example, check=check):
        pass
    return rows


class TrainingWork(Protocol):
    """What a training command does with its rows."""

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """The rows to train on; drops the others with a reason. Raises AnectlError for rows it cannot train on."""
        ...

    def plan(self, rows: list[TrainingRow], folder: TrainFolder) -> str:
        """Check the settings and say what will be done; loads no weights."""
        ...

    def train(self, rows: list[TrainingRow], folder: TrainFolder) -> TrainOutcome:
        """Train, or go on from the folder's last complete checkpoint, and leave the model in the folder."""
        ...


def train_into_folder(
    command: str,
    options: Mapping[str, Any],
    settings: TrainSettings,
    work: TrainingWork,
) -> None:
    """Read the rows, train inside the output folder, put it in its place and write the result record.

    With --resume a finished run only tells its result again.
    """
    say = log(command)
    folder = TrainFolder(command, options["output"], options, resume=options["resume"], overwrite=options["overwrite"])
    finished = folder.finished(options["inputs"] or ())
    if finished is not None:
        say(f"{folder.path} is complete already")
        sys.stdout.buffer.write(encode(finished))
        return
    started = time.monotonic()
    with Run(
        command,
        options,
        inputs=options["inputs"] or (),
        on_error=options["on_error"].value,
        rejects=options["rejects"] or f"{folder.path}.rejects.jsonl",
        limit=options["limit"],
        log=say,
    ) as run:
        rows = work.select(read_training_rows(run, ImageRoot(options["image_root"])), run)
        run.keep(len(rows))
        if not rows:
            raise AnectlError("no rows to train on")
        say(work.plan(rows, folder))
        if options["dry_run"]:
            return
        with folder.open(rows):
            outcome = work.train(rows, folder)
            result = Result(
                command=command,
                base=settings.model,
                checkpoint=str(folder.path),
                num_examples=len(rows),
                steps=outcome.steps,
                seconds=round(time.monotonic() - started, 3),
                metrics=dict(outcome.metrics),
            )
            folder.commit(result, run)
        run.write(result, rows=0)
