"""GRPO by TRL in which each group's prompt carries the scaffold level that its item needs at that step.

The dataset that TRL sees has placeholders only. The rows of a step are chosen when the step begins, in the public
`training_step`: the dataloader fetches ahead, so rows chosen there would be two steps old. TRL then generates, rewards
and computes log-probabilities under the same prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from anectl.core.controller import Outcome, Slot, choose, from_json, level_counts, to_json, updated
from anectl.core.errors import AnectlError
from anectl.core.grading import GradeSpec, grade
from anectl.core.output import write_atomic
from anectl.core.protocols import TrainOutcome, Verifier
from anectl.core.rewards import BUFFER_SHARE, is_graded, reward
from anectl.core.schedules import level_cap
from anectl.core.stripping import StripItem, StripSettings, first_controller
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines.checkpoints import vision_token_ids
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
    "reward": "reward",
    "reward_std": "reward_std",
    "accuracy_bare": "accuracy_bare",
    "accuracy_hinted": "accuracy_hinted",
    "level": "level",
    "cap": "cap",
    "entropy": "entropy",
    "kl": "kl",
    "completions/mean_length": "mean_length",
    "completions/clipped_ratio": "truncated",
    "frac_reward_zero_std": "zero_variance",
    "clip_ratio/region_mean": "clip_fraction",
}
_SUMMED_UP = ("loss", "reward", "accuracy_bare", "accuracy_hinted", "entropy", "mean_length", "zero_variance")
_STATE = "controller.json"


def strip_config(settings: TrainSettings, strip: StripSettings, folder: TrainFolder) -> GRPOConfig:
    """TRL's config of this run. Raises AnectlError for settings that TRL, or an exact resume, does not allow."""
    rows, rest = divmod(settings.batch_size * strip.num_generations, settings.gradient_accumulation)
    if rest:
        raise AnectlError(
            f"a step has {settings.batch_size} x {strip.num_generations} completions, which "
            f"--gradient-accumulation {settings.gradient_accumulation} does not divide"
        )
    values = {
        "per_device_train_batch_size": rows,
        "steps_per_generation": settings.gradient_accumulation,
        "num_generations": strip.num_generations,
        "max_completion_length": strip.max_tokens,
        "temperature": strip.temperature,
        "loss_type": strip.loss_type,
        "epsilon": strip.epsilon,
        "epsilon_high": strip.epsilon_high,
        "beta": strip.beta,
        "scale_rewards": strip.scale_rewards,
    }
    config = configure(GRPOConfig, settings, folder.partial, values)
    reuse = config.steps_per_generation * config.num_iterations
    if config.save_steps * config.gradient_accumulation_steps % reuse:
        raise AnectlError(
            f"--save-steps {settings.save_steps} would fall between the {config.num_iterations} uses of a generation",
            hint="choose a multiple, so that a resumed run generates again where the first one did",
        )
    return config


def train_strip(
    items: list[StripItem],
    settings: TrainSettings,
    strip: StripSettings,
    folder: TrainFolder,
    *,
    verifier: Verifier | None,
    report: Report,
) -> TrainOutcome:
    """Train, or go on from the folder's last complete checkpoint, and save the model into the folder."""
    config = strip_config(settings, strip, folder)
    checkpoint = folder.last_checkpoint()
    seconds = folder.rewind_log(int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0)
    model, processor = load_trainable(settings, checkpoint)
    tokens = image_token_texts(model, processor)
    refuse_image_tokens((TrainingRow(item.example, item.images) for item in items), tokens)
    banned = vision_token_ids(model, processor)
    ban = {"logit_bias": dict.fromkeys(banned, -100)} if config.use_vllm else {"suppress_tokens": banned}
    config.generation_kwargs = {**ban, **(config.generation_kwargs or {})}
    with refusals():
        trainer = StripTrainer(items, strip, verifier, model=model, args=config, processor=processor, settings=settings)
    if checkpoint is not None:
        trainer.load_state(checkpoint)
    log = TrainLog(folder, _shape, report, seconds, save=trainer.save_state)
    steps = run_training(trainer, log, settings, checkpoint)
    lines = folder.logged()
    metrics = {name: mean_of_last(lines, name) for name in _SUMMED_UP}
    levels = {f"items_at_level_{level}": count for level, count in level_counts(trainer.controller).items()}
    return TrainOutcome(steps, {**{k: v for k, v in metrics.items() if v is not None}, **levels})


def _shape(logs: dict[str, float]) -> dict[str, Any]:
    return {ours: logs[theirs] for theirs, ours in _LOGGED.items() if theirs in logs}


class StripTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO whose rows are chosen, and given their scaffold, at the start of the step that generates from them."""

    def __init__(
        self,
        items: Sequence[StripItem],
        strip: StripSettings,
        verifier: Verifier | None,
        *,
        model: Any,
        args: GRPOConfig,
        processor: Any,
        settings: TrainSettings,
    ) -> None:
        self.items = items
        self.specs = [GradeSpec.of(item.example) for item in items]
        self.strip = strip
        self.verifier = verifier
        self.controller = first_controller(items)
        self.outcomes: list[Outcome] = []
        self.micro_step = 0
        # One epoch holds every step: at the start of a second one TRL's sampler would not resume where it stopped.
        placeholders = args.max_steps * args.generation_batch_size // args.num_generations
        super().__init__(
            model=model,
            args=args,
            reward_funcs=self.reward_group,
            train_dataset=Dataset.from_dict({"prompt": [""] * placeholders}),
            processing_class=processor,
            peft_config=lora_config(settings),
        )

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Put the chosen rows in the place of the placeholders wherever TRL is about to generate."""
        if self.micro_step % (self.args.steps_per_generation * self.args.num_iterations) == 0:
            inputs = self.rows_of_step(len(inputs) // self.args.num_generations)
        self.micro_step += 1
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.outcomes:
            self.controller = updated(self.controller, gather_object(self.outcomes))
            self.outcomes = []
        return loss

    def rows_of_step(self, num_groups: int) -> list[dict[str, Any]]:
        """The rows of this device for the coming generation: each chosen item `num_generations` times over."""
        slots, self.controller = choose(
            self.controller,
            step=self.state.global_step,
            num_slots=num_groups * self.accelerator.num_processes,
            cap=self.cap(),
            bare_share=self.strip.bare_share,
            group_size=self.args.num_generations,
            seed=self.args.seed,
        )
        first = num_groups * self.accelerator.process_index
        rows = [self.row(slot) for slot in slots[first : first + num_groups]]
        return [row for row in rows for _ in range(self.args.num_generations)]

    def row(self, slot: Slot) -> dict[str, Any]:
        """The row of one group; images are decoded here and dropped after the step."""
        item = self.items[slot.item]
        row = {
            "prompt": structured(item.prompts[slot.level], len(item.images)),
            "item": slot.item,
            "level": slot.level,
        }
        return row | ({"images": [image.open() for image in item.images]} if item.images else {})

    def cap(self) -> int:
        """The highest level the schedule allows at this step."""
        return level_cap(self.strip.schedule, self.state.global_step, self.args.max_steps, self.strip.top_level)

    def reward_group(
        self,
        completions: list[list[dict[str, str]]],
        completion_ids: list[list[int]],
        item: list[int],
        level: list[int],
        log_metric: Any,
        **rest: Any,
    ) -> list[float | None]:
        """Grade and reward each completion, and note how each group went."""
        budget = self.args.max_completion_length
        grades, rewards = [], []
        for turn, ids, number in zip(completions, completion_ids, item, strict=True):
            finish = "stop" if ids and ids[-1] in self.eos_token_ids else "length"
            grades.append(grade(turn[0]["content"] or "", finish, self.specs[number], self.verifier))
            rewards.append(reward(grades[-1], len(ids), budget, round(BUFFER_SHARE * budget)))
        size = self.args.num_generations
        for start in range(0, len(grades), size):
            judged = [one for one in grades[start : start + size] if is_graded(one)]
            won = sum(one.correct is True for one in judged)
            self.outcomes.append(Outcome(item[start], level[start], won, len(judged)))
        self.log_outcomes(log_metric)
        return rewards

    def log_outcomes(self, log_metric: Any) -> None:
        """Tell TRL's log how bare and hinted groups did, and how much scaffold there was."""
        for name, groups in (
            ("accuracy_bare", [one for one in self.outcomes if one.level == 0]),
            ("accuracy_hinted", [one for one in self.outcomes if one.level > 0]),
        ):
            trials = sum(one.trials for one in groups)
            if trials:
                log_metric(name, sum(one.successes for one in groups) / trials)
        log_metric("level", sum(one.level for one in self.outcomes) / len(self.outcomes))
        log_metric("cap", float(self.cap()))

    def save_state(self, checkpoint: Path) -> None:
        """Put the controller beside the trainer's own state."""
        write_atomic(checkpoint / _STATE, msgspec.json.encode(to_json(self.controller)))

    def load_state(self, checkpoint: Path) -> None:
        """Take the controller up again."""
        self.controller = from_json(msgspec.json.decode((checkpoint / _STATE).read_bytes()))
