"""GRPO by TRL in which each group's prompt carries the scaffold level that its item needs at that step.

The dataset that TRL sees has placeholders only. The rows of a step are chosen when the step begins, in the public
`training_step`: the dataloader fetches ahead, so rows chosen there would be two steps old. TRL then generates, rewards
and computes log-probabilities under the same prompt.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from datasets import Dataset
from trl import GRPOConfig

from anectl.core.controller import (
    Outcome,
    Slot,
    choose,
    from_json,
    group_outcomes,
    level_counts,
    to_json,
    updated,
)
from anectl.core.errors import AnectlError
from anectl.core.grading import Grade, GradeSpec, grade
from anectl.core.output import write_atomic
from anectl.core.protocols import TrainOutcome, Verifier
from anectl.core.reward_functions import called, load_reward, short_names
from anectl.core.rewards import BUFFER_SHARE, Pricing, judged, repetition, reward_parts
from anectl.core.stripping import StripItem, StripSettings, first_controller, opening
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines.checkpoints import vision_token_ids
from anectl.engines.processors import ADAPTER_CONFIG
from anectl.engines.strip_log import REWARD_PART, StripLog, alarm_metrics, level_metrics, outcome_metrics
from anectl.engines.strip_refill import RefillTrainer
from anectl.engines.train_run import Report, mean_of_last, run_training
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

_SUMMED_UP = (
    "loss",
    "reward",
    "accuracy_bare",
    "accuracy_hinted",
    "entropy",
    "mean_length",
    "repetition",
    "zero_variance",
)
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
        "reward_weights": [1.0, *(strip.reward_weight or [1.0] * len(strip.reward or ()))],
        **strip.algorithm_settings(),
    }
    config = configure(GRPOConfig, settings, folder.partial, values)
    if config.beta and not settings.lora and (Path(settings.model) / ADAPTER_CONFIG).is_file():
        raise AnectlError(
            "is an adapter: the KL term of full training compares with a model that is whole",
            path=settings.model,
            hint="merge it first (sft --merge), or train adapters: --lora --merge",
        )
    if config.use_vllm and config.vllm_mode == "server" and strip.bare_in_group:
        raise AnectlError(
            "--bare-in-group: with a server TRL draws a whole group from the prompt of its first row",
            hint="--trl vllm_mode=colocate",
        )
    reuse = config.steps_per_generation * config.num_iterations
    if config.save_steps * config.gradient_accumulation_steps % reuse:
        raise AnectlError(
            f"--save-steps {settings.save_steps} would fall between the {config.num_iterations} uses of a generation",
            hint="choose a multiple, so that a resumed run generates again where the first one did",
        )
    return config


@leaves_others
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
    steps = run_training(trainer, StripLog(folder, trainer, report, seconds, strip.on_alarm), settings, checkpoint)
    lines = folder.logged()
    metrics = {name: mean for name in _SUMMED_UP if (mean := mean_of_last(lines, name)) is not None}
    levels = {f"items_at_level_{level}": count for level, count in level_counts(trainer.controller).items()}
    return TrainOutcome(steps, {**metrics, **levels, **alarm_metrics(lines)})


class StripTrainer(RefillTrainer):
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
        self.refill = strip.refill
        self.course = strip.course(args.max_steps)
        budget = args.max_completion_length
        buffer = round(BUFFER_SHARE * budget)
        self.pricing = Pricing(budget, buffer, strip.repetition_penalty, strip.hint_tax, strip.top_level)
        self.controller = first_controller(items)
        self.outcomes: list[Outcome] = []
        self.ungraded: list[bool] = []
        self.caps: tuple[int, ...] = ()
        self.micro_step = 0
        self.generate_every = args.steps_per_generation * args.num_iterations
        dotted = list(strip.reward or ())
        self.own_rewards = short_names(dotted)
        named = zip(dotted, self.own_rewards, strict=True)
        # One epoch holds every step: at the start of a second one TRL's sampler would not resume where it stopped.
        placeholders = args.max_steps * args.generation_batch_size // args.num_generations
        super().__init__(
            model=model,
            args=args,
            reward_funcs=[self.reward_group, *(self.own_reward(load_reward(one), name) for one, name in named)],
            train_dataset=Dataset.from_dict({"prompt": [""] * placeholders}),
            processing_class=processor,
            peft_config=lora_config(settings),
        )

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Put the chosen rows in the place of the placeholders wherever TRL is about to generate."""
        if self.micro_step % self.generate_every == 0:
            inputs = self.rows_of_step(len(inputs) // self.args.num_generations)
        self.micro_step += 1
        return super().training_step(model, inputs, num_items_in_batch)

    def rows_of_step(self, num_groups: int) -> list[dict[str, Any]]:
        """The rows of this device for the coming generation: each chosen item `num_generations` times over."""
        return [row for slot in self.slots(num_groups) for row in self.group(slot)]

    def rows_instead(self, num_groups: int, bare: Sequence[bool], attempt: int) -> list[dict[str, Any]]:
        """Rows of other groups; those to replace a bare group are bare."""
        slots = zip(self.slots(num_groups, attempt), bare, strict=True)
        return [row for slot, be_bare in slots for row in self.group(Slot(slot.item, 0) if be_bare else slot)]

    def slots(self, num_groups: int, attempt: int = 0) -> tuple[Slot, ...]:
        """The groups of this device, of those chosen for all devices; attempts after the first are refills."""
        step, seed = self.state.global_step, self.args.seed
        rng = random.Random(f"{seed}/{step}/caps/{attempt}")
        caps = self.course.caps(step, num_groups * self.accelerator.num_processes, rng)
        slots, self.controller = choose(
            self.controller,
            step=step,
            caps=caps,
            bare_share=0.0 if self.strip.schedule == "never" else self.strip.bare_share,
            group_size=self.args.num_generations,
            seed=seed,
            hint="cap" if self.strip.schedule == "never" else self.strip.hint,
            attempt=attempt,
        )
        if attempt == 0:
            self.caps = caps
        first = num_groups * self.accelerator.process_index
        return slots[first : first + num_groups]

    def group(self, slot: Slot) -> list[dict[str, Any]]:
        """The rows of one group; the last `bare_in_group` of a hinted one are bare."""
        bare = self.strip.bare_in_group if slot.level else 0
        rows = [self.row(slot)] * (self.args.num_generations - bare)
        return rows + [self.row(Slot(slot.item, 0))] * bare if bare else rows

    def row(self, slot: Slot) -> dict[str, Any]:
        """The row of one completion; images are decoded here and dropped after the step."""
        item = self.items[slot.item]
        row = {
            "prompt": structured(item.prompts[slot.level], len(item.images)),
            "item": slot.item,
            "level": slot.level,
        }
        return row | ({"images": [image.open() for image in item.images]} if item.images else {})

    def cap(self) -> int:
        """The highest level the schedule allows at this step."""
        return self.course.cap(self.state.global_step)

    def graded(self, completions: Any, completion_ids: Any, item: Sequence[int], level: Sequence[int]) -> list[Grade]:
        """The grade of each completion, read with what its prompt has the answer begin with."""
        grades = []
        for turn, ids, number, rung in zip(completions, completion_ids, item, level, strict=True):
            finish = "stop" if ids and ids[-1] in self.eos_token_ids else "length"
            text = opening(self.items[number].prompts[rung]) + (turn[0]["content"] or "")
            grades.append(grade(text, finish, self.specs[number], self.verifier))
        return grades

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
        grades = self.graded(completions, completion_ids, item, level)
        each = zip(grades, completion_ids, level, strict=True)
        parts = [reward_parts(one, ids, rung, self.pricing) for one, ids, rung in each]
        self.ungraded = [one is None for one in parts]
        self.outcomes += group_outcomes(item, level, judged(grades), self.args.num_generations)
        outcomes, self.outcomes = gather_object(self.outcomes), []
        self.controller = updated(self.controller, outcomes)
        metrics = {**outcome_metrics(outcomes), **level_metrics(level, self.strip.top_level)}
        if self.refill:
            metrics["refilled"] = self.num_refilled * self.args.num_generations / len(item)
        metrics["cap"] = sum(self.caps) / len(self.caps)
        metrics["repetition"] = sum(map(repetition, completion_ids)) / len(completion_ids)
        paid = [one for one in parts if one is not None]
        for name in paid[0] if paid else ():
            metrics[REWARD_PART + name] = sum(one[name] for one in paid) / len(paid)
        for name, value in metrics.items():
            log_metric(name, value)
        return [None if one is None else sum(one.values()) for one in parts]

    def own_reward(self, function: Any, name: str) -> Any:
        """A reward function of the user as TRL calls it; it comes after `reward_group`, and has no say without it."""

        def rewarded(item: list[int], **given: Any) -> list[float | None]:
            values = called(function, name, [self.items[number].example for number in item], given)
            return [None if skip else value for value, skip in zip(values, self.ungraded, strict=True)]

        rewarded.__name__ = name
        return rewarded

    def is_dull(self, rows: list[dict[str, Any]], completions: Any, completion_ids: Any) -> bool:
        """Whether a group came out all right or all wrong; then it counts for the controller, and for nothing else."""
        item, level = [row["item"] for row in rows], [row["level"] for row in rows]
        won = judged(self.graded(completions, completion_ids, item, level))
        if {True, False} <= set(won):
            return False
        self.outcomes += group_outcomes(item, level, won, len(rows))
        return True

    def save_state(self, checkpoint: Path) -> None:
        """Put the controller beside the trainer's own state."""
        write_atomic(checkpoint / _STATE, msgspec.json.encode(to_json(self.controller)))

    def load_state(self, checkpoint: Path) -> None:
        """Take the controller up again."""
        self.controller = from_json(msgspec.json.decode((checkpoint / _STATE).read_bytes()))
