"""Supervised fine-tuning by TRL: loss on the completion only, images decoded when a batch needs them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch.utils.data import Sampler
from trl import SFTConfig, SFTTrainer

from anectl.core.length_order import by_length
from anectl.core.policy_drift import HeldOut, bare, chosen_rows
from anectl.core.protocols import TrainOutcome
from anectl.core.records import Message
from anectl.core.rounds import keep_state
from anectl.core.sft_settings import SftSettings
from anectl.core.training import SCRATCH, TrainFolder, TrainingRow, TrainSettings
from anectl.engines.drift_meter import DriftMeter
from anectl.engines.prompt_text import prompt_text
from anectl.engines.sharding import refuse_mixed_rows
from anectl.engines.train_run import Report, TrainLog, mean_of_last, run_training
from anectl.engines.train_saving import leaves_others
from anectl.engines.training import (
    configure,
    image_token_texts,
    load_trainable,
    lora_config,
    refusals,
    refuse_image_tokens,
    structured,
)

BY_LENGTH = "group_by_length"
_LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "accuracy",
    "entropy": "entropy",
    "epoch": "epoch",
}


def sft_config(
    settings: TrainSettings, folder: TrainFolder, max_length: int | None, sft: SftSettings | None = None
) -> SFTConfig:
    """TRL's config of this run. Raises AnectlError for a `trl` key or value that TRL does not take."""
    sft = sft or SftSettings()
    passes = sft.budget.passes_before if sft.budget is not None else 0
    values = {
        "per_device_train_batch_size": settings.batch_size,
        "max_length": max_length,
        "loss_type": sft.loss,
        "train_sampling_strategy": BY_LENGTH if sft.group_by_length else "random",
        # The order of the rows follows from this and the number of the pass, which begins at 0 in each round.
        "data_seed": settings.seed + passes,
    }
    return configure(SFTConfig, settings, folder.partial, values)


@leaves_others
def train_sft(
    rows: list[TrainingRow],
    settings: TrainSettings,
    folder: TrainFolder,
    *,
    max_length: int | None,
    report: Report,
    sft: SftSettings | None = None,
    held_out: Sequence[HeldOut] = (),
) -> TrainOutcome:
    """Train, or go on from the folder's last complete checkpoint, and save the model into the folder."""
    sft = sft or SftSettings()
    interrupted = folder.last_checkpoint()
    seconds = folder.rewind_log(int(interrupted.name.rpartition("-")[2]) if interrupted else 0)
    checkpoint = interrupted or sft.state
    trainer = make_trainer(rows, settings, sft_config(settings, folder, max_length, sft), sft, checkpoint)
    meter = _meter(rows, held_out, settings, sft, folder, trainer, report)
    steps = run_training(trainer, TrainLog(folder, _shape, report, seconds), settings, checkpoint)
    if sft.budget is not None and folder.leads:
        keep_state(folder, sft.shared or {}, sft.budget, steps, trainer.state.epoch or 0.0)
    lines = folder.logged()
    metrics = {name: mean_of_last(lines, name) for name in ("loss", "accuracy", "entropy")}
    found = {name: value for name, value in metrics.items() if value is not None}
    return TrainOutcome(steps, found, budget=sft.budget, drift=meter.result if meter is not None else None)


def make_trainer(
    rows: list[TrainingRow], settings: TrainSettings, config: SFTConfig, sft: SftSettings, checkpoint: Path | None
) -> RoundTrainer:
    """TRL's trainer of these rows, with the weights of the checkpoint where there is one."""
    model, processor = load_trainable(settings, checkpoint)
    refuse_image_tokens(rows, image_token_texts(model, processor))
    with refusals():
        trainer = RoundTrainer(
            model,
            config,
            None,
            _LazyRows(rows, processor).dataset(),
            processing_class=processor,
            peft_config=lora_config(settings),
            schedule_steps=sft.budget.total_steps if sft.budget is not None else None,
            row_tokens=[row.tokens for row in rows],
        )
    refuse_mixed_rows(rows, trainer)
    return trainer


class LengthSampler(Sampler[int]):
    """Rows in batches of nearly equal lengths, an order for each epoch.

    Transformers' own draws from the random numbers that everything else draws from, so that a resumed run would meet
    its rows in another order; and it goes from long rows to short ones over and over.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch, also by one that resumes in the middle of it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(by_length(self.lengths, self.batch, self.seed, self.epoch))


class RoundTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, whose learning rate may follow a schedule that is longer than the run: one of several rounds."""

    def __init__(self, *arguments: Any, schedule_steps: int | None, row_tokens: Sequence[int], **more: Any) -> None:
        self.schedule_steps = schedule_steps
        self.row_tokens = row_tokens
        self.by_length: LengthSampler | None = None
        super().__init__(*arguments, **more)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """As ever, but for batches by length: those that the processes have at one time are equally long too."""
        if self.args.train_sampling_strategy != BY_LENGTH:
            return super()._get_train_sampler(train_dataset)
        together = self.args.train_batch_size * self.args.world_size
        self.by_length = LengthSampler(self.row_tokens, together, self.args.data_seed)
        return self.by_length

    def get_train_dataloader(self) -> Any:
        """As ever; of several processes a resumed one would not tell a sampler its epoch that is not set here."""
        loader = super().get_train_dataloader()
        if self.by_length is not None:
            loader.set_sampler(self.by_length)
        return loader

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """As ever, over the steps of all rounds."""
        return super().create_scheduler(self.schedule_steps or num_training_steps, optimizer)


def _meter(
    rows: list[TrainingRow],
    held_out: Sequence[HeldOut],
    settings: TrainSettings,
    sft: SftSettings,
    folder: TrainFolder,
    trainer: SFTTrainer,
    report: Report,
) -> DriftMeter | None:
    """What measures drift in this run, given to the trainer; null where nothing is to be measured."""
    targets = [bare(row) for row in chosen_rows(rows, sft.drift_rows, settings.seed)]
    if not targets and not held_out:
        return None

    def collate(batch: Sequence[TrainingRow]) -> dict[str, Any]:
        data = _LazyRows(list(batch), trainer.processing_class)
        columns = data.batch({"row": list(range(len(batch)))})
        inputs = trainer.data_collator(
            [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
        )
        return dict(inputs)

    meter = DriftMeter(targets, held_out, folder.partial / SCRATCH, collate, report)
    trainer.add_callback(meter)
    return meter


def _shape(logs: dict[str, float]) -> dict[str, Any]:
    return {ours: logs[theirs] for theirs, ours in _LOGGED.items() if theirs in logs}


class _LazyRows:
    """Rows as TRL wants them, made when a batch asks: texts are rendered once, images decoded each time.

    Prompt and completion are rendered here rather than by TRL, which would end the assistant's turn after a scaffold
    that the turn begins with (carrier `prefix`) instead of going on with it.
    """

    def __init__(self, rows: list[TrainingRow], processor: Any) -> None:
        self.rows = rows
        self.processor = processor
        self.texts: dict[int, tuple[str, str]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Datasets hashes its transforms with a pickler written in Python, which takes a millisecond for each row.
        return _thawed, (pickle.dumps((self.rows, self.processor)),)

    def dataset(self) -> Dataset:
        dataset = Dataset.from_dict({"row": range(len(self.rows))})
        dataset.set_transform(self.batch)
        return dataset

    def batch(self, columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        texts = [self.text(number) for number in columns["row"]]
        return {
            "prompt": [prompt for prompt, _ in texts],
            "completion": [completion for _, completion in texts],
            "images": [[image.open() for image in self.rows[number].images] for number in columns["row"]],
        }

    def text(self, number: int) -> tuple[str, str]:
        if number not in self.texts:
            self.texts[number] = render(self.rows[number], self.processor)
        return self.texts[number]


def _thawed(frozen: bytes) -> _LazyRows:
    return _LazyRows(*pickle.loads(frozen))


def render(row: TrainingRow, processor: Any) -> tuple[str, str]:
    """The prompt up to where the loss begins, and the rest, through the model's chat template."""
    given, target = list(row.example.prompt), row.example.completion[0].content
    prompt = prompt_text(structured(given, len(row.images)), processor)
    prefix = given.pop().content if given[-1].role == "assistant" else ""
    answer = Message(role="assistant", content=prefix + target)
    turns = structured([*given, answer], len(row.images))
    whole = str(processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=False))
    # A template may add text to the generation prompt that a finished turn lacks (an opened thought).
    start = len(prompt)
    while not whole.startswith(prompt[:start]):
        start -= 1
    return whole[:start], whole[start:]
