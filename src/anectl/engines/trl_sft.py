"""Supervised fine-tuning by TRL: loss on the completion only, images decoded when a batch needs them."""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from anectl.core.protocols import TrainOutcome
from anectl.core.records import Message
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines.training import (
    Report,
    TrainLog,
    configure,
    image_token_texts,
    load_trainable,
    lora_config,
    mean_of_last,
    refusals,
    refuse_image_tokens,
    run_training,
    structured,
)

_LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "accuracy",
    "entropy": "entropy",
    "epoch": "epoch",
}


def sft_config(settings: TrainSettings, folder: TrainFolder, max_length: int | None) -> SFTConfig:
    """TRL's config of this run. Raises AnectlError for a `trl` key or value that TRL does not take."""
    values = {"per_device_train_batch_size": settings.batch_size, "max_length": max_length}
    return configure(SFTConfig, settings, folder.partial, values)


def train_sft(
    rows: list[TrainingRow], settings: TrainSettings, folder: TrainFolder, *, max_length: int | None, report: Report
) -> TrainOutcome:
    """Train, or go on from the folder's last complete checkpoint, and save the model into the folder."""
    config = sft_config(settings, folder, max_length)
    checkpoint = folder.last_checkpoint()
    seconds = folder.rewind_log(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    model, processor = load_trainable(settings, checkpoint)
    refuse_image_tokens(rows, image_token_texts(model, processor))
    dataset = _LazyRows(rows, processor).dataset()
    with refusals():
        trainer = SFTTrainer(
            model, config, None, dataset, processing_class=processor, peft_config=lora_config(settings)
        )
    steps = run_training(trainer, TrainLog(folder, _shape, report, seconds), settings, checkpoint)
    lines = folder.logged()
    metrics = {name: mean_of_last(lines, name) for name in ("loss", "accuracy", "entropy")}
    return TrainOutcome(steps, {name: value for name, value in metrics.items() if value is not None})


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


def render(row: TrainingRow, processor: Any) -> tuple[str, str]:
    """The prompt up to where the loss begins, and the rest, through the model's chat template."""
    given, target = list(row.example.prompt), row.example.completion[0].content
    prefix = given.pop().content if given[-1].role == "assistant" else ""
    answer = [Message(role="assistant", content=prefix + target)]
    prompt = _apply(given, row, processor, add_generation_prompt=True)
    whole = _apply(given + answer, row, processor, add_generation_prompt=False)
    # A template may add text to the generation prompt that a finished turn lacks (an opened thought).
    start = len(prompt)
    while not whole.startswith(prompt[:start]):
        start -= 1
    begin = start + len(prefix) if whole.startswith(prefix, start) else start
    return whole[:begin], whole[begin:]


def _apply(messages: list[Message], row: TrainingRow, processor: Any, *, add_generation_prompt: bool) -> str:
    shaped = structured(messages, len(row.images))
    return str(processor.apply_chat_template(shaped, tokenize=False, add_generation_prompt=add_generation_prompt))
