"""Alarms of strip-rl: signs in the log that training has gone wrong before the accuracy shows it.

The first WINDOW log lines are the reference. From then on an exponential mean of each quantity (weight 1/WINDOW for
the newest line) is compared with its reference mean:
  length_collapse   mean length below half (a bad reward took it from 511 to 46 tokens before accuracy moved)
  length_jump       mean length above double
  entropy_collapse  entropy below a fifth
  repetition        share of repeated 3-grams up by 0.2
  zero_variance     more than 90% of the groups without any difference between their rewards, whatever they were before
  truncated         completions cut off up by 0.25
The thresholds are our choice. Each kind is told once. Nothing here has a state of its own: it is folded from the log
lines, so a resumed run takes it up by reading its log again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

OnAlarm = Literal["warn", "stop"]
WINDOW = 10

_Test = Callable[[float, float], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """One alarm: which logged quantity, what of (mean now, reference) is wrong, and what to do about it."""

    name: str
    quantity: str
    wrong: _Test
    advice: str


KINDS = (
    Kind(
        "length_collapse",
        "mean_length",
        lambda now, first: now < 0.5 * first,
        "look at completions: a reward may pay for short answers; lower the learning rate or set --beta",
    ),
    Kind(
        "length_jump",
        "mean_length",
        lambda now, first: now > 2 * first,
        "look at completions for padding and loops; set --repetition-penalty or lower --max-tokens",
    ),
    Kind(
        "entropy_collapse",
        "entropy",
        lambda now, first: now < 0.2 * first,
        "the policy hardly explores any more: raise --epsilon-high, lower the learning rate or set --beta",
    ),
    Kind(
        "repetition",
        "repetition",
        lambda now, first: now > first + 0.2,
        "set --repetition-penalty, or lower the learning rate",
    ),
    Kind(
        "zero_variance",
        "zero_variance",
        lambda now, first: now > 0.9,
        "hardly any group teaches: take harder or easier problems, larger groups, or --refill",
    ),
    Kind(
        "truncated",
        "truncated",
        lambda now, first: now > first + 0.25,
        "completions reach the budget: raise --max-tokens, or look for loops",
    ),
)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was noticed at a step: the mean now and the reference mean."""

    kind: Kind
    step: int
    now: float
    reference: float

    def __str__(self) -> str:
        return (
            f"alarm at step {self.step}: {self.kind.name}: {self.kind.quantity} {self.now:.3g}, at first "
            f"{self.reference:.3g}; {self.kind.advice}"
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """What has been seen of the log: the mean of each quantity at first and now, its lines, and the kinds told."""

    reference: Mapping[str, float] = field(default_factory=dict)
    now: Mapping[str, float] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    told: frozenset[str] = frozenset()


def watched(watch: Watch, line: Mapping[str, Any]) -> tuple[Watch, tuple[Alarm, ...]]:
    """The watch after one more log line (`step` and the quantities that it has), and the alarms this line gave."""
    reference, now, lines = dict(watch.reference), dict(watch.now), dict(watch.lines)
    for name in {kind.quantity for kind in KINDS}:
        value = line.get(name)
        if value is None:
            continue
        count = lines[name] = lines.get(name, 0) + 1
        if count <= WINDOW:
            now[name] = reference[name] = reference.get(name, 0.0) + (value - reference.get(name, 0.0)) / count
        else:
            now[name] += (value - now[name]) / WINDOW
    found = tuple(
        Alarm(kind, int(line["step"]), now[kind.quantity], reference[kind.quantity])
        for kind in KINDS
        if kind.name not in watch.told
        and lines.get(kind.quantity, 0) > WINDOW
        and line.get(kind.quantity) is not None
        and kind.wrong(now[kind.quantity], reference[kind.quantity])
    )
    told = watch.told | {alarm.kind.name for alarm in found}
    return replace(watch, reference=reference, now=now, lines=lines, told=told), found


def alarms(lines: Iterable[Mapping[str, Any]]) -> tuple[Watch, tuple[Alarm, ...]]:
    """The watch after all lines of a log, and all alarms they gave."""
    watch = Watch()
    found: list[Alarm] = []
    for line in lines:
        watch, new = watched(watch, line)
        found += new
    return watch, tuple(found)
