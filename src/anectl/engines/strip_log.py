"""The log of strip-rl: TRL's metrics under our names, and the alarms that watch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]
from transformers import TrainerControl, TrainerState, TrainingArguments

from anectl.core.alarms import Alarm, OnAlarm, alarms, watched
from anectl.core.controller import Outcome
from anectl.core.errors import AnectlError
from anectl.core.training import TrainFolder
from anectl.engines.train_run import Report, TrainLog

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
    "repetition": "repetition",
    "refilled": "refilled",
    "completions/mean_length": "mean_length",
    "completions/clipped_ratio": "truncated",
    "frac_reward_zero_std": "zero_variance",
    "clip_ratio/region_mean": "clip_fraction",
}
LEVEL_SHARE = "level_share/"
REWARD_PART = "reward_part/"


def shaped(logs: Mapping[str, float], functions: Sequence[str]) -> dict[str, Any]:
    """The values of a log line; `functions` are the names of the user's reward functions.

    `levels` has the share of the completions at each level, `rewards` the mean of each summand of the reward, before
    weights, `gap` is bare minus hinted accuracy. A step that uses a generation again has no values of its completions.
    """
    line: dict[str, Any] = {ours: logs[theirs] for theirs, ours in _LOGGED.items() if theirs in logs}
    if "accuracy_bare" in line and "accuracy_hinted" in line:
        line["gap"] = line["accuracy_bare"] - line["accuracy_hinted"]
    theirs = {name: logs[f"rewards/{name}/mean"] for name in functions if f"rewards/{name}/mean" in logs}
    levels = {level: share for level, share in _under(LEVEL_SHARE, logs).items() if share}
    by_name = {"levels": levels, "rewards": _under(REWARD_PART, logs) | theirs}
    return line | {name: values for name, values in by_name.items() if values}


def outcome_metrics(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """How bare and hinted groups did, and how much scaffold there was."""
    metrics = {}
    for name, groups in (
        ("accuracy_bare", [one for one in outcomes if one.level == 0]),
        ("accuracy_hinted", [one for one in outcomes if one.level > 0]),
    ):
        trials = sum(one.trials for one in groups)
        if trials:
            metrics[name] = sum(one.successes for one in groups) / trials
    return metrics


def level_metrics(levels: Sequence[int], top_level: int) -> dict[str, float]:
    """The mean level of completions, and the share of each level; 0 is a share too, where another process has more."""
    shares = {f"{LEVEL_SHARE}{level}": levels.count(level) / len(levels) for level in range(top_level + 1)}
    return {"level": sum(levels) / len(levels), **shares}


def _under(prefix: str, logs: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in sorted(logs.items()) if name.startswith(prefix)}


class StripLog(TrainLog):
    """`TrainLog` with alarms: the first process watches, and where it is asked to, all of them stop after a save."""

    def __init__(self, folder: TrainFolder, trainer: Any, report: Report, seconds: float, on_alarm: OnAlarm) -> None:
        super().__init__(folder, self._shape, report, seconds, save=trainer.save_state)
        self.trainer = trainer
        self.on_alarm = on_alarm
        self.watch, _ = alarms(folder.logged() if folder.leads else ())
        self.raised: tuple[Alarm, ...] = ()
        self.reason = ""

    def _shape(self, logs: dict[str, float]) -> dict[str, Any]:
        line = shaped(logs, self.trainer.own_rewards)
        self.watch, self.raised = watched(self.watch, {"step": self.trainer.state.global_step, **line})
        for alarm in self.raised:
            self.report(str(alarm))
        return line | ({"alarms": [alarm.kind.name for alarm in self.raised]} if self.raised else {})

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **rest: Any
    ) -> None:
        super().on_log(args, state, control, logs=logs, **rest)
        if self.on_alarm == "warn" or "loss" not in logs:
            return
        raised, self.raised = [alarm.kind.name for alarm in self.raised], ()
        (reason,) = broadcast_object_list([", ".join(raised)])
        self.reason = self.reason or reason
        # Not between two uses of one generation: a run resumed there would not go on as this one would have.
        if self.reason and self.trainer.micro_step % self.trainer.generate_every == 0:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        super().on_save(args, state, control, **rest)
        if self.reason:
            raise AnectlError(
                f"stopped at step {state.global_step} by an alarm: {self.reason}",
                path=str(self.folder.partial / f"checkpoint-{state.global_step}"),
                hint="mend it and start anew, or go on with --resume; this alarm is not raised again",
            )


def alarm_metrics(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The step of each alarm of a log."""
    return {f"alarm_{name}": float(line["step"]) for line in lines for name in line.get("alarms", ())}
