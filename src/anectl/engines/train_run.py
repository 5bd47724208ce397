"""A trainer's run to its end: the log, checkpoints that count as complete, and the final save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import PartialState  # type: ignore[import-untyped]
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from anectl.core.errors import AnectlError
from anectl.core.pace import spoken
from anectl.core.training import TrainFolder, TrainSettings, mark_complete
from anectl.engines.sharding import WholeHead, is_sharded
from anectl.engines.train_saving import diverged, lost_processes, sampling_errors, save_final, storage_errors

Report = Callable[[str], None]
_REPORT_EVERY_S = 30.0


class _Finished(Exception):
    """The run that is resumed had done all of its steps."""


class TrainLog(TrainerCallback):  # type: ignore[misc]
    """Writes `log.jsonl`, marks checkpoints complete, and says now and then how far the run is.

    `shape` turns TRL's metrics of one step into the line's values; `save` puts more state into a checkpoint.
    """

    def __init__(
        self,
        folder: TrainFolder,
        shape: Callable[[dict[str, float]], dict[str, Any]],
        report: Report,
        seconds: float,
        save: Callable[[Path], None] = lambda checkpoint: None,
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.report = report
        self.save = save
        self.started = time.monotonic() - seconds
        self.reported = self.began = time.monotonic()
        self.first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        if state.global_step >= state.max_steps:  # the Trainer would do one step more
            raise _Finished
        self.began, self.first_step = time.monotonic(), state.global_step

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **rest: Any
    ) -> None:
        if "loss" not in logs:
            return
        self._refuse_diverged(state.global_step, logs)  # by all processes, so that none waits for the others
        if not state.is_world_process_zero:
            return
        now = time.monotonic()
        finite = {k: v for k, v in logs.items() if isinstance(v, (int, float)) and math.isfinite(v)}
        self.folder.log({"step": state.global_step, **self.shape(finite), "seconds": round(now - self.started, 3)})
        if now - self.reported >= _REPORT_EVERY_S:
            self.reported = now
            left = (state.max_steps - state.global_step) * (now - self.began) / (state.global_step - self.first_step)
            loss = finite.get("loss", math.nan)
            self.report(f"step {state.global_step} of {state.max_steps}, loss {loss:.4f}, {spoken(left)} to go")

    def _refuse_diverged(self, step: int, logs: dict[str, Any]) -> None:
        for name in ("loss", "grad_norm"):
            value = logs.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                raise diverged(f"{name} is {value} in step {step}", str(self.folder.partial))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes the state of its own random numbers
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self.save(checkpoint)
            mark_complete(checkpoint)


def run_training(trainer: Trainer, log: TrainLog, settings: TrainSettings, checkpoint: Path | None) -> int:
    """Train to the end and save the model into the run's folder. Returns the number of steps done in all.

    Raises AnectlError for adapters to be merged into weights that no process has whole.
    """
    if settings.merge and is_sharded(trainer):
        raise AnectlError("--merge cannot merge into weights that are spread", hint="train adapters without sharding")
    for talker in (PrinterCallback, ProgressCallback):  # they print to stdout
        trainer.remove_callback(talker)
    trainer.add_callback(WholeHead())
    trainer.add_callback(log)
    if settings.load_in_4bit:
        # TRL makes them bfloat16, in which small updates are lost, and a resumed run float32 again.
        for parameter in trainer.model.parameters():
            parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    folder = trainer.args.output_dir
    with storage_errors(folder), sampling_errors(folder), lost_processes():
        try:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except _Finished:
            trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
        save_final(trainer, settings)
        PartialState().wait_for_everyone()
    return int(trainer.state.global_step)


def mean_of_last(lines: list[dict[str, Any]], name: str, share: float = 0.1) -> float | None:
    """The mean of a logged value over the last tenth of the lines; single steps are noisy."""
    values = [line[name] for line in lines if line.get(name) is not None]
    tail = values[-max(1, round(len(values) * share)) :]
    return sum(tail) / len(tail) if tail else None
