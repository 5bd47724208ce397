"""Train a vision-language model to read steps: a process reward model, by the Trainer of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import torch
from datasets import Dataset
from peft import get_peft_model
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import Trainer, TrainingArguments

from anectl.core.errors import RowError
from anectl.core.output import write_atomic
from anectl.core.prm import LABELS_FILE, PrmFile
from anectl.core.protocols import PromptRequest, TrainOutcome
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines.step_reading import StepBatch, StepReader
from anectl.engines.train_run import Report, TrainLog, mean_of_last, run_training
from anectl.engines.train_saving import leaves_others
from anectl.engines.training import (
    configure,
    load_trainable,
    lora_config,
    refusals,
)

_UNKNOWN = -100.0
_LOGGED = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm", "epoch": "epoch"}


def prm_config(settings: TrainSettings, folder: TrainFolder) -> TrainingArguments:
    """The config of this run. Raises AnectlError for a `trl` key or value that is not taken."""
    values = {"per_device_train_batch_size": settings.batch_size, "label_names": ["labels"]}
    return configure(TrainingArguments, settings, folder.partial, values)


@leaves_others
def train_prm(
    rows: list[TrainingRow], settings: TrainSettings, folder: TrainFolder, *, labels: tuple[str, str], report: Report
) -> TrainOutcome:
    """Train, or go on from the folder's last complete checkpoint, and save the model into the folder."""
    config = prm_config(settings, folder)
    checkpoint = folder.last_checkpoint()
    seconds = folder.rewind_log(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    model, processor = load_trainable(settings, checkpoint)
    reader = StepReader(model, processor, labels)
    adapters = lora_config(settings)
    network = model if adapters is None else get_peft_model(model, adapters)
    with refusals():
        trainer = StepTrainer(
            network, config, StepCollator(rows, reader, model, config.world_size), processor, len(rows)
        )
    steps = run_training(trainer, TrainLog(folder, _shape, report, seconds), settings, checkpoint)
    if folder.leads:
        write_atomic(folder.partial / LABELS_FILE, msgspec.json.encode(PrmFile(*labels)))
    loss = mean_of_last(folder.logged(), "loss")
    return TrainOutcome(steps, {} if loss is None else {"loss": loss})


def _shape(logs: dict[str, float]) -> dict[str, Any]:
    return {ours: logs[theirs] for theirs, ours in _LOGGED.items() if theirs in logs}


def _shortest(rows: Sequence[TrainingRow], with_images: bool) -> list[TrainingRow]:
    """The shortest row with images, or without, its labels taken away; none where there is no such row."""
    alike = [row for row in rows if bool(row.images) == with_images]
    return [replace(row, labels=(None,) * len(row.labels)) for row in sorted(alike, key=lambda row: row.tokens)[:1]]


class StepCollator:
    """From row numbers to model inputs and labels; images are opened here and dropped after the step.

    Each of several processes makes the same passes, or one would wait for the others for ever: where its rows are all
    of one kind, it reads the shortest row of the other kind too, which has no labels then. Rows with images come last,
    since the last pass is what tells DistributedDataParallel which weights have a gradient. A vision tower that is
    trained then has a gradient of zero in a step without any image, where one process has none: momentum moves it.
    """

    def __init__(self, rows: Sequence[TrainingRow], reader: StepReader, model: Any, num_processes: int) -> None:
        self.rows = rows
        self.reader = reader
        self._model = model
        self._fillers = {} if num_processes == 1 else {kind: _shortest(rows, kind) for kind in (False, True)}

    def __call__(self, numbers: list[dict[str, int]]) -> dict[str, Any]:
        """`parts` are the rows with images and those without, which cannot pass the model together.

        `labels` are those of all parts, from which the Trainer counts what the loss is a mean of.
        """
        chosen = [self.rows[one["row"]] for one in numbers]
        parts = []
        for with_images in (False, True):
            alike = [row for row in chosen if bool(row.images) == with_images] or self._fillers.get(with_images, [])
            if alike:
                parts.append(self._part(alike))
        # The Trainer counts labels of next tokens, which the first of a sequence is not.
        labels = torch.cat([torch.tensor([_UNKNOWN]), *(part["labels"].flatten() for part in parts)])
        return {"parts": parts, "labels": labels}

    def _part(self, rows: list[TrainingRow]) -> dict[str, Any]:
        requests = [
            (PromptRequest(row.example.problem_id, row.example.prompt, row.images, ()), row.steps) for row in rows
        ]
        batch = self.reader.batch(self._model, requests)
        for place, error in batch.errors.items():
            raise RowError(f"{rows[place].example.problem_id!r} cannot be read: {error}")
        labels = torch.full(batch.where.shape, _UNKNOWN)
        for place, row in enumerate(rows):
            known = [_UNKNOWN if label is None else label for label in row.labels]
            labels[place, : len(known)] = torch.tensor(known)
        return {"inputs": batch.inputs, "columns": batch.columns, "where": batch.where, "labels": labels}


class StepTrainer(Trainer):  # type: ignore[misc]
    """Binary cross-entropy between the read-out and the label of each step, a mean over all labelled steps."""

    def __init__(
        self, model: Any, args: TrainingArguments, collator: StepCollator, processor: Any, num_rows: int
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=collator,
            train_dataset=Dataset.from_dict({"row": range(num_rows)}),
            processing_class=processor,
        )
        self._reader = collator.reader
        # The loss is divided by the number of labelled steps of the whole batch here, not by that of its parts.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The loss of one batch."""
        total = torch.zeros((), device=self.args.device)
        for part in inputs["parts"]:
            batch = StepBatch(part["inputs"], part["columns"], part["where"], [], {})
            labels = part["labels"]
            losses = binary_cross_entropy_with_logits(
                self._reader.read(model, batch), labels.clamp_min(0), reduction="none"
            )
            total = total + (losses * (labels != _UNKNOWN)).sum()
        if num_items_in_batch is None:
            num_items_in_batch = (inputs["labels"] != _UNKNOWN).sum()
        scale = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        loss: torch.Tensor = total / num_items_in_batch * scale
        return loss
