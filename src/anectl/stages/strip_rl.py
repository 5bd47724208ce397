"""Reinforcement learning that takes the scaffold away: GRPO on prompts whose scaffold shrinks to nothing.

reads:   example/1 rows (one item per problem)
writes:  a checkpoint folder, and one result/1 record on stdout
example: anectl strip-rl train.jsonl --model m1 -o m2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

import typer

from anectl.console import log, quiet_libraries
from anectl.core.alarms import OnAlarm
from anectl.core.algorithms import AlgorithmName
from anectl.core.hinting import HintName
from anectl.core.protocols import TrainOutcome
from anectl.core.reward_functions import load_reward
from anectl.core.run import Run
from anectl.core.schedules import ScheduleName
from anectl.core.stripping import StripSettings, one_row_per_problem, refuse_unusable, to_item
from anectl.core.train_sizes import RowSizes, TrainPreflight
from anectl.core.training import TrainFolder, TrainingRow, TrainSettings
from anectl.engines import load_engine, load_verifier
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

ScaleRewards = Annotated[
    Literal["group", "batch", "none"] | None,
    typer.Option(help="Whose standard deviation advantages are divided by; default: the algorithm's."),
]
HintedShare = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the steps until the last hint; at most 0.8, save for `never`.")
]
ExemptShare = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="Share of the steps before the first hint; default 0.15 with --hint failing, else 0."
    ),
]
Hint = Annotated[
    HintName,
    typer.Option(
        help="Level of an item: the lower one of its own and the schedule's (controller), the schedule's (cap), or as "
        "controller where its last visit was a bare group that failed, else bare (failing)."
    ),
]
Reward = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:FUNCTION", help="Add a reward function of yours, with TRL's signature; may be repeated."
    ),
]
FULL_LEARNING_RATE, LORA_LEARNING_RATE = 1e-6, 1e-5


def command(
    context: typer.Context,
    model: Model,
    output: OutputFolder,
    inputs: Inputs = None,
    schedule: Annotated[
        ScheduleName,
        typer.Option(help="Course of the highest level allowed; `never` keeps it: a control, not a method."),
    ] = "cosine",
    top_level: Annotated[int, typer.Option(min=0, max=5, help="The highest level to begin with.")] = 3,
    hinted_share: HintedShare = 0.8,
    exempt_share: ExemptShare = None,
    hint: Hint = "controller",
    bare_share: Annotated[float, typer.Option(min=0, max=1, help="Least share of bare groups in a step.")] = 0.25,
    bare_in_group: Annotated[int, typer.Option(min=0, help="Bare completions within each hinted group.")] = 0,
    num_generations: Annotated[int, typer.Option(min=2, help="Completions per prompt: the group.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a completion.")] = 512,
    temperature: Annotated[float, typer.Option(min=0.01, help="Sampling temperature.")] = 1.0,
    algorithm: Annotated[AlgorithmName, typer.Option(help="Named set of loss, clip, KL and scaling.")] = "dapo",
    epsilon: Annotated[
        float | None, typer.Option(min=0, help="Clip of the probability ratio, downwards; default: the algorithm's.")
    ] = None,
    epsilon_high: Annotated[
        float | None, typer.Option(min=0, help="Clip of the probability ratio, upwards; default: the algorithm's.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(min=0, help="Weight of the KL term against the base; default: the algorithm's.")
    ] = None,
    scale_rewards: ScaleRewards = None,
    hint_tax: Annotated[
        float,
        typer.Option(
            min=0, help="Reward a right completion at the top level loses, less below; needs --bare-in-group."
        ),
    ] = 0.0,
    repetition_penalty: Annotated[
        float, typer.Option(min=0, help="Reward lost where all 3-grams of tokens are repeated ones.")
    ] = 0.0,
    reward: Reward = None,
    reward_weight: Annotated[
        list[float] | None, typer.Option(help="Weight of each --reward, in their order; 1 by default.")
    ] = None,
    refill: Annotated[
        int, typer.Option(min=0, help="Draw groups that came out all right or all wrong again, so many times at most.")
    ] = 0,
    on_alarm: Annotated[
        OnAlarm, typer.Option(help="On a sign of collapse only say so, or save a checkpoint and stop.")
    ] = "warn",
    learning_rate: LearningRate = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts per step and device.")] = 8,
    gradient_accumulation: GradientAccumulation = 1,
    max_steps: Annotated[int, typer.Option(min=1, help="Optimizer steps; the last fifth is bare.")] = 100,
    warmup_steps: WarmupSteps = 0,
    scheduler: Scheduler = "constant",
    dtype: Dtype = "auto",
    train_vision: TrainVision = False,
    lora: Lora = False,
    lora_rank: LoraRank = 64,
    lora_alpha: LoraAlpha = 64,
    merge: Merge = False,
    save_dtype: SaveDtype = "model",
    save_steps: SaveSteps = 20,
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
    """Train by GRPO while the scaffold in the prompt is withdrawn, item by item and for all by a schedule.

    Before weights are loaded every row is measured by the model's own processor: one that does not fit, or whose images
    do not match its placeholders, is an error with its file and line, or with --on-error skip a reject. --dry-run stops
    there, and says tokens, steps, settings and the memory of each device. torchrun and accelerate start it on several.

    Example: anectl strip-rl train.jsonl --model m1 -o m2 --max-steps 80
    """
    rate = learning_rate if learning_rate is not None else LORA_LEARNING_RATE if lora else FULL_LEARNING_RATE
    options = resolved_options(context, learning_rate=rate, epochs=1.0)
    settings = train_settings(options)
    strip = StripSettings(**{field.name: options[field.name] for field in fields(StripSettings)})
    strip.refuse_contradictions()
    quiet_libraries()
    train_into_folder("strip-rl", options, settings, StripRl(settings, strip))


class StripRl:
    """What strip-rl does with its rows: one item per problem, each at every level it can be shown at."""

    max_length: int | None = None  # a prompt has only the model's window to fit into

    def __init__(self, settings: TrainSettings, strip: StripSettings) -> None:
        self.settings = settings
        self.strip = strip
        self.engine = load_engine("trl_strip", "train")

    def configure(self, folder: TrainFolder) -> Mapping[str, Any]:
        """The settings as they came to. Raises AnectlError for settings that TRL refuses."""
        for dotted in self.strip.reward or ():
            load_reward(dotted)
        self.trl = self.engine.strip_config(self.settings, self.strip, folder)
        self.measuring = load_engine("train_preflight", "train")
        ours = {name: value for name, value in asdict(self.settings).items() if name != "trl"}
        strip = {**asdict(self.strip), **self.strip.algorithm_settings()}
        return {"strip-rl": {**ours, **strip}, "trl": self.measuring.resolved(self.trl)}

    def rows_of(self, data: bytes) -> list[TrainingRow]:
        """The example of one line. Raises RowError: it is none, or cannot be trained on."""
        return example_row(data)

    def preflight(self) -> TrainPreflight:
        """Measures rows by the model's processor."""
        return self.measuring.StripPreflight(self.settings, self.trl, self.strip)  # type: ignore[no-any-return]

    def select(self, rows: list[TrainingRow], run: Run) -> list[TrainingRow]:
        """One row per problem. Raises AnectlError for rows whose scaffold cannot be taken away."""
        chosen = one_row_per_problem(rows)
        refuse_unusable(chosen)
        if len(chosen) < len(rows):
            run.drop("another row of the same problem", len(rows) - len(chosen))
        return chosen

    def plan(self, sizes: RowSizes) -> list[str]:
        """How many items have a scaffold, and how long the training goes on."""
        items = [to_item(sized.row, self.strip.top_level) for sized in sizes.rows]
        hinted = sum(len(item.prompts) > 1 for item in items)
        steps, group, most = self.trl.max_steps, self.trl.num_generations, self.trl.max_completion_length
        rows = self.trl.per_device_train_batch_size * self.trl.gradient_accumulation_steps * self.trl.world_size
        prompts = rows // group
        drawn = steps * prompts * group
        before_bare = int(steps * self.strip.hinted_share) * prompts
        said = [
            f"{len(items)} problems, {hinted} with a scaffold, {steps} steps of {prompts} x "
            f"{group} completions, {steps * prompts / len(items):.3g} epochs, "
            f"learning rate {self.trl.learning_rate:g}",
            f"{drawn:,} completions of at most {most} tokens, with their prompts at most "
            f"{round(drawn * sizes.mean_total):,} tokens",
        ]
        if self.strip.schedule == "never":
            said.append(
                "CONTROL: --schedule never keeps every hint to the end and leaves no step bare, whatever --hint and "
                "--bare-share say; it teaches the policy to lean on hints, and serves to compare other schedules with"
            )
        elif hinted and self.strip.hint != "cap" and before_bare <= len(items):
            effect = "no hint is ever shown" if self.strip.hint == "failing" else "no level follows from what it saw"
            said.append(
                f"WARNING: no problem is met twice before the bare steps, so that with --hint {self.strip.hint} "
                f"{effect}: raise --max-steps, or take fewer problems (--limit)"
            )
        if self.strip.algorithm == "gspo" and not self._off_policy():
            said.append(
                "gspo differs from a plain gradient only where a generation is trained on more than once: "
                "--trl num_iterations=2, or --trl steps_per_generation with a multiple of --gradient-accumulation"
            )
        cramped = [sized for sized in sizes.rows if sized.size.completion < most]
        if cramped:
            said.append(
                f"{len(cramped)} prompts leave fewer than {most} tokens of the model's window for a "
                f"completion, the first is {cramped[0].place}"
            )
        return said

    def _off_policy(self) -> bool:
        reuse = self.trl.steps_per_generation * self.trl.num_iterations
        return bool(self.trl.gradient_accumulation_steps % reuse)

    def train(self, rows: list[TrainingRow], folder: TrainFolder) -> TrainOutcome:
        """Train into the folder."""
        needs_verifier = any(row.example.answer_type == "expression" for row in rows)
        return self.engine.train_strip(  # type: ignore[no-any-return]
            [to_item(row, self.strip.top_level) for row in rows],
            self.settings,
            self.strip,
            folder,
            verifier=load_verifier() if needs_verifier else None,
            report=log("strip-rl"),
        )
