"""tune-temperature: at which temperature the next rollouts teach most.

reads:   rollout/1 of the same problems at three temperatures or more, with step scores or log-probabilities
writes:  one temperature/1 record, which `rollout --temperature @FILE` reads
example: anectl tune-temperature valid-*.jsonl > temperature.json
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import typer

from anectl import console, options, sampling_options
from anectl.core.drawing import refuse_revealed
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.metrics import Interval as Bounds
from anectl.core.records import Completion, Interval, Rollout, Temperature, TemperaturePoint
from anectl.core.run import Run
from anectl.core.selection import has_steps, process_reward
from anectl.core.tuning import BANDWIDTH, Graded, Point, Tuned, reward_pass, tune

# Each step of a grid is at least so wide.
_LEAST_STEP = 0.001


class Rewards(StrEnum):
    """By what completions are ranked: the least step score, or the mean log-probability of their tokens."""

    prm = "prm"
    logprob = "logprob"


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    reward: Annotated[Rewards, typer.Option(help="Rank by the least step score, or by mean log-probability.")] = (
        Rewards.prm
    ),
    num_kept: Annotated[int, typer.Option(min=1, help="Completions that selection keeps: the k of Reward-Pass@k.")] = 2,
    num_drawn: Annotated[int, typer.Option(min=1, help="Completions that a round draws of a problem: the K.")] = 16,
    grid: Annotated[str, typer.Option(help="Temperatures to choose from: lowest:highest:step.")] = "0.3:1.6:0.1",
    bandwidth: Annotated[float, typer.Option(min=0.01, help="Width of the smoothing, in temperature.")] = BANDWIDTH,
    seed: options.Seed = 0,
    output: options.OutputFile = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Find the temperature whose best-ranked completions are right most often (M-STaR's Reward-Pass@k).

    Draw the validation problems at some temperatures (every third of the grid will do), at least --num-drawn
    completions each, twice as many for steadier figures; score their steps, unless --reward logprob; and give all files
    here. Temperatures of the grid that were not drawn are read off the smoothed curve.

    Example: anectl tune-temperature valid-*.jsonl > temperature.json
    """
    if num_kept > num_drawn:
        raise UsageError(f"--num-kept {num_kept} of --num-drawn {num_drawn}: cannot keep more than are drawn")
    temperatures = parse_grid(grid)
    log = console.log("tune-temperature")
    with sampling_options.whole_run("tune-temperature", context, log) as run:
        table = Table(reward, num_drawn, num_kept)
        table.read(run)
        values = table.complete(run)
        tuned = tune(values, temperatures, seed=seed, bandwidth=bandwidth)
        record = to_record(tuned, table, num_problems=len(next(iter(values.values()))))
        run.write(record, rows=0)
    console.table("temperature", *as_table(tuned, num_drawn, num_kept))
    log(
        f"temperature {tuned.temperature:g} [{tuned.interval[0]:g}, {tuned.interval[1]:g}], {table.num_samples} samples"
    )


def parse_grid(text: str) -> list[float]:
    """The temperatures of `lowest:highest:step`, both ends included. Raises UsageError."""
    try:
        low, high, step = map(float, text.split(":"))
    except ValueError:
        low, high, step = 0.0, 0.0, 0.0
    if not (0 < low < high < 100 and step >= _LEAST_STEP):
        raise UsageError(f"--grid {text!r} is not lowest:highest:step", hint="such as 0.3:1.6:0.1")
    return [round(low + place * step, 6) for place in range(int((high - low) / step + 1e-6) + 1)]


@dataclass
class Table:
    """(Pass@K, Reward-Pass@k) of each problem at each temperature."""

    reward: Rewards
    num_drawn: int
    num_kept: int
    policy: str | None = None
    num_samples: int = 0
    values: dict[float, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def read(self, run: Run) -> None:
        """Add every row of the input."""

        def check(row: Rollout, source: str | None) -> Rollout:
            self._add(row)
            return row

        for _ in run.read(Rollout, unique=lambda row: (row.problem.id, row.sampling.temperature), check=check):
            run.keep()

    def _add(self, row: Rollout) -> None:
        refuse_revealed(row)
        if self.policy not in (None, row.policy):
            raise RowError(f"drawn from {row.policy!r}, the rows before from {self.policy!r}")
        if len(row.completions) < self.num_drawn:
            raise RowError(
                f"{len(row.completions)} completions, which cannot tell of {self.num_drawn}",
                hint="draw as many, or set --num-drawn to what a round draws",
            )
        graded = [Graded(one.correct is True, self._reward(one)) for one in row.completions]
        column = self.values.setdefault(row.sampling.temperature, {})
        column[row.problem.id] = (
            reward_pass(graded, self.num_drawn, self.num_drawn),
            reward_pass(graded, self.num_drawn, self.num_kept),
        )
        self.policy = row.policy
        self.num_samples += len(row.completions)

    def _reward(self, completion: Completion) -> float:
        if not has_steps(completion):
            return float("-inf")
        if self.reward == Rewards.prm:
            return process_reward(completion, "min")
        if completion.logprob is None:
            raise RowError("a completion has no log-probability", hint="this engine gives none; --reward prm")
        return completion.logprob / max(completion.num_tokens, 1)

    def complete(self, run: Run) -> dict[float, list[tuple[float, float]]]:
        """The columns of the problems that were drawn at every temperature. Raises AnectlError: there are none."""
        shared = set.intersection(*(set(column) for column in self.values.values())) if self.values else set()
        if not shared:
            raise AnectlError("no problem that was drawn at every temperature", hint="draw the same problems at each")
        left_out = {name for column in self.values.values() for name in column} - shared
        if left_out:
            run.log(f"{len(left_out)} problems were not drawn at every temperature and do not count")
        order = sorted(shared)
        return {temperature: [column[name] for name in order] for temperature, column in self.values.items()}


def to_record(tuned: Tuned, table: Table, num_problems: int) -> Temperature:
    """The record of what was found."""
    low, high = tuned.interval
    return Temperature(
        temperature=tuned.temperature,
        low=low,
        high=high,
        policy=table.policy or "",
        reward=table.reward.value,
        num_drawn=table.num_drawn,
        num_kept=table.num_kept,
        num_problems=num_problems,
        num_samples=table.num_samples,
        points=tuple(
            TemperaturePoint(
                temperature=point.temperature,
                pass_at_k=_interval(point.pass_at_k, point.pass_interval),
                reward_pass=_interval(point.reward_pass, point.reward_interval),
                smoothed=point.smoothed,
            )
            for point in tuned.points
        ),
    )


def _interval(value: float | None, bounds: Bounds | None) -> Interval | None:
    return None if value is None or bounds is None else Interval(value=value, low=bounds[0], high=bounds[1])


def as_table(tuned: Tuned, num_drawn: int, num_kept: int) -> tuple[list[str], Iterator[list[str]]]:
    """Columns and rows for people, the chosen temperature marked."""
    columns = ["temperature", f"Pass@{num_drawn}", f"Reward-Pass@{num_kept}", "smoothed"]

    def row(point: Point) -> list[str]:
        mark = " <" if point.temperature == tuned.temperature else ""
        measured = [
            _percent(_interval(point.pass_at_k, point.pass_interval)),
            _percent(_interval(point.reward_pass, point.reward_interval)),
        ]
        return [f"{point.temperature:g}{mark}", *measured, f"{100 * point.smoothed:.1f}"]

    return columns, map(row, tuned.points)


def _percent(figure: Interval | None) -> str:
    if figure is None:
        return ""
    return f"{100 * figure.value:.1f} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
