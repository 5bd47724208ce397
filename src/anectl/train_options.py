"""Options and manners that sft and strip-rl share: their rows, their settings, their output folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Protocol

import typer

from anectl import completion
from anectl.console import log
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import Line, decode, encode
from anectl.core.protocols import TrainOutcome
from anectl.core.ranks import leads, num_processes
from anectl.core.records import Example, Result
from anectl.core.run import Run
from anectl.core.trackers import trackers
from anectl.core.train_estimate import Memory
from anectl.core.train_sizes import RowSizes, TrainPreflight
from anectl.core.training import Precision, SavePrecision, SchedulerName, TrainFolder, TrainingRow, TrainSettings
from anectl.options import trl_overrides
from anectl.train_card import Aftermath, deciding

# A dry run names so many bad rows.
_MOST_FAULTS = 20

OutputFolder = Annotated[
    str, typer.Option("--output", "-o", help="Folder of the trained model; it appears when the run is complete.")
]
ResumeRun = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run of the same settings.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output folder when the run is complete.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check rows and settings, say tokens, steps and memory; load no weights.")
]
LearningRate = Annotated[float | None, typer.Option(min=0, help="Peak learning rate; the default depends on --lora.")]
GradientAccumulation = Annotated[int, typer.Option(min=1, help="Batches per optimizer step.")]
MaxSteps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps; instead of --epochs.")]
WarmupSteps = Annotated[int, typer.Option(min=0, help="Steps over which the learning rate rises.")]
Scheduler = Annotated[SchedulerName, typer.Option(help="Course of the learning rate after the warm-up.")]
Dtype = Annotated[Precision, typer.Option(help="Arithmetic; auto is bfloat16 where a GPU has it, else float32.")]
SaveSteps = Annotated[int, typer.Option(min=1, help="Steps between two checkpoints to resume from.")]
ReportTo = Annotated[
    str,
    typer.Option(
        autocompletion=completion.trackers,
        help="Also log to these trackers: wandb, tensorboard, trackio, ...; with commas for several.",
    ),
]
TrainVision = Annotated[
    bool, typer.Option("--train-vision", help="Train the vision tower and the connector too; frozen otherwise.")
]
Lora = Annotated[bool, typer.Option("--lora", help="Train adapters on the text decoder instead of its weights.")]
LoraRank = Annotated[int, typer.Option(min=1, help="Rank of the adapters.")]
LoraAlpha = Annotated[int, typer.Option(min=1, help="Scale of the adapters: they are weighted by alpha / rank.")]
LoraTargets = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Layers that get adapters: plain names (q_proj,v_proj) are those of the text decoder, anything else is a "
        "regular expression for whole names. Default: all linear layers of the text decoder.",
    ),
]
LoadIn4bit = Annotated[
    bool,
    typer.Option("--load-in-4bit", help="Keep the frozen decoder in 4 bits (QLoRA); needs --lora and bitsandbytes."),
]
Merge = Annotated[bool, typer.Option("--merge", help="Save the model with the adapters merged into its weights.")]
SaveDtype = Annotated[
    SavePrecision,
    typer.Option(
        help="Precision of the saved weights: that of --model, or float32. A model in bfloat16 loses on saving what "
        "moved a weight by less than 1/512 of it: with full training at small rates, most of a round."
    ),
]
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
    if options["save_dtype"] != "model" and options["lora"] and not options["merge"]:
        raise UsageError("--save-dtype has no effect on adapters", hint="--merge saves them in a whole model")
    if options.get("load_in_4bit") and not options["lora"]:
        raise UsageError("--load-in-4bit needs --lora", hint="weights in 4 bits cannot be trained themselves")
    if options.get("load_in_4bit") and options["merge"]:
        raise UsageError(
            "--merge cannot merge into weights in 4 bits",
            hint="every command takes the adapter folder, and merges it into the whole base as it loads it",
        )
    trackers(options["report_to"])
    names = [field.name for field in fields(TrainSettings) if field.name in options]
    return TrainSettings(**{name: options[name] for name in names})


def read_training_rows(
    run: Run, work: TrainingWork, root: ImageRoot, preflight: TrainPreflight, sizes: RowSizes, *, dry_run: bool
) -> None:
    """Add all rows of the run's input to `sizes`, checked and measured. No weights are needed for it.

    Each image is decoded once and dropped again: a broken one should be told of now, not hours into the training.
    Of the bad rows that end a run, a dry run names the first few rather than only the first.
    """
    faults: list[tuple[Line, RowError]] = []
    for line in run.lines():
        try:
            rows = [_with_images(row, root, run.source) for row in work.rows_of(line.data)]
            for row, size in [(row, preflight.measure(row)) for row in rows]:
                sizes.add(replace(row, tokens=size.total), size, line)
            if not rows:
                run.drop("nothing in it to train on")
        except RowError as error:
            if run.on_error == "skip" and not leads():
                run.drop("bad row, listed by the first process")
            elif not dry_run or run.on_error == "skip":
                run.reject(line, error)
            else:
                faults.append((line, error))
    for line, fault in faults[1:_MOST_FAULTS]:
        run.log(f"{line.path}:{line.number}: {fault.problem}")
    if faults:
        if len(faults) > 1:
            run.log(f"{len(faults)} bad rows; the first is told of last")
        run.reject(*faults[0])


def example_row(data: bytes) -> list[TrainingRow]:
    """The row of one line, an example. Raises RowError: it is none, or cannot be trained on."""
    example = decode(data, Example)
    if "user" not in [message.role for message in example.prompt]:
        raise RowError("prompt has no user turn")
    if [message.role for message in example.completion] != ["assistant"] or not example.completion[0].content:
        raise RowError("completion must be one assistant turn with text in it")
    return [TrainingRow(example, ())]


def _with_images(row: TrainingRow, root: ImageRoot, source: str | None) -> TrainingRow:
    return replace(row, images=root.resolve_all(row.example.images, source))


class TrainingWork(Protocol):
    """What a training command does with its rows."""

    max_length: int | None

    def configure(self, folder: TrainFolder) -> Mapping[str, Any]:
        """Check the settings and give them as they came to: ours, and TRL's. Raises AnectlError: TRL refuses them.

        Comes first; nothing is loaded.
        """
        ...

    def rows_of(self, data: bytes) -> list[TrainingRow]:
        """The rows that one input line gives, their images not yet found. Raises RowError: it cannot be trained on."""
        ...

    def preflight(self) -> TrainPreflight:
        """What measures rows: configuration and processor of the model, no weights."""
        ...

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """The rows to train on; drops the others with a reason. Raises AnectlError for rows it cannot train on."""
        ...

    def plan(self, sizes: RowSizes) -> list[str]:
        """What will be done, in sentences."""
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

    With --resume a finished run only tells its result again. Of several processes (torchrun, accelerate) each one does
    all of this, but only the first says and writes anything. No process changes the folder before all of them have
    looked at it: they meet when the settings become TRL's.
    """
    say = log(command) if leads() else _say_nothing
    options = _of_all_processes(options)
    folder = TrainFolder(
        command, options["output"], deciding(options), resume=options["resume"], overwrite=options["overwrite"]
    )
    aftermath = Aftermath(options, say)
    finished = folder.finished(options["inputs"] or ())
    if finished is not None:
        say(f"{folder.path} is complete already")
        if leads():
            sys.stdout.buffer.write(encode(finished))
            aftermath.renew(folder.path)
            aftermath.push(folder.path)
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
        rows = _planned_rows(run, options, folder, work)
        if options["dry_run"]:
            return
        with folder.open(rows):
            outcome = work.train(rows, folder)
            if not leads():
                return
            seconds = round(time.monotonic() - started, 3)
            result = _result(command, settings, folder, len(rows), outcome, seconds)
            aftermath.describe(folder, rows, result)
            folder.commit(result, run)
        run.write(result, rows=0)
    aftermath.push(folder.path)


def _result(
    command: str, settings: TrainSettings, folder: TrainFolder, num_rows: int, outcome: TrainOutcome, seconds: float
) -> Result:
    return Result(
        command=command,
        base=settings.model,
        checkpoint=str(folder.path),
        num_examples=num_rows,
        steps=outcome.steps,
        seconds=seconds,
        metrics=dict(outcome.metrics),
        budget=outcome.budget,
        drift=outcome.drift,
    )


def _of_all_processes(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options with the number of processes, which decides the order of the rows and so may not change."""
    if num_processes() == 1:
        return options
    if "-" in (options["inputs"] or ["-"]):
        raise UsageError("several processes cannot share stdin", hint="give the rows as files")
    return {**options, "processes": num_processes()}


def _planned_rows(run: Run, options: Mapping[str, Any], folder: TrainFolder, work: TrainingWork) -> list[TrainingRow]:
    """The rows to train on, after the preflight; says what will be done, in a dry run all that is known of it."""
    resolved = work.configure(folder)
    preflight = work.preflight()
    sizes = RowSizes(preflight.window, work.max_length)
    read_training_rows(run, work, ImageRoot(options["image_root"]), preflight, sizes, dry_run=options["dry_run"])
    rows = work.select([sized.row for sized in sizes.rows], run)
    run.keep(sum(row.lines for row in rows))
    if not rows:
        raise AnectlError("no rows to train on")
    sizes = sizes.only(rows)
    for sentence in (sizes.summary(), *work.plan(sizes)):
        run.log(sentence)
    if options["dry_run"]:
        _tell(run.log, resolved, preflight.memory(sizes))
    return rows


def _say_nothing(message: str) -> None:
    pass


def _tell(say: Callable[[str], None], resolved: Mapping[str, Any], memory: Memory) -> None:
    """What a dry run says beyond a real one: the settings as they came to, and what memory they will take."""
    import yaml  # only here: it would slow every start

    told = yaml.safe_dump(resolved, sort_keys=False).rstrip()
    say(f"settings, of TRL's those that differ from its defaults:\n{told}")
    say("memory of each device, if every row were as long as the longest; not counted: the framework itself, holes")
    for line in memory.lines():
        say(line)
