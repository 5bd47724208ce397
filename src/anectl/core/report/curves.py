"""Training logs as curves of bounded size: neighbours are averaged as a log grows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_POINTS = 400
_MOST_NAMES = 60
_NOT_VALUES = frozenset({"step", "seconds", "epoch", "alarms", "levels", "rewards"})


def is_log_line(value: Mapping[str, Any]) -> bool:
    """Whether a row without schema is a line of a training log: a step, and numbers that belong to it."""
    step = value.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        return False
    return any(_number(found) is not None for name, found in value.items() if name not in _NOT_VALUES)


@dataclass
class _Bin:
    """The sum of each value over neighbouring steps, and how many there are."""

    first: int
    last: int
    sums: dict[str, tuple[float, int]]

    def absorb(self, other: _Bin) -> None:
        self.last = other.last
        for name, (total, count) in other.sums.items():
            mine, so_far = self.sums.get(name, (0.0, 0))
            self.sums[name] = (mine + total, so_far + count)


@dataclass
class Curve:
    """One training log. `add` lines in the order of the file; then read `values`.

    It holds at most 2 x 400 bins of steps: when there are more, neighbours are put together, so that a value shown is
    the mean over `width` lines. `alarms` are the steps at which the run raised one, `last_step` where it ended.
    """

    width: int = 1
    last_step: int = 0
    num_lines: int = 0
    alarms: list[tuple[int, str]] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    _bins: list[_Bin] = field(default_factory=list)
    _filling: int = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Count one line for which `is_log_line` holds. Steps that a resumed run logs again count again."""
        step = int(line["step"])
        sums = {}
        for name, found in self._values(line):
            if name in self.names or len(self.names) < _MOST_NAMES:
                self.names[name] = None
                sums[name] = (found, 1)
        self.num_lines += 1
        self.last_step = max(self.last_step, step)
        raised = line.get("alarms")
        if isinstance(raised, list) and len(self.alarms) < _MOST_NAMES:
            self.alarms += [(step, str(name)) for name in raised]
        fresh = _Bin(step, step, sums)
        if self._bins and self._filling < self.width:
            self._bins[-1].absorb(fresh)
            self._filling += 1
            return
        if len(self._bins) >= 2 * _MOST_POINTS:
            for left, right in zip(self._bins[::2], self._bins[1::2], strict=True):
                left.absorb(right)
            self._bins = self._bins[::2]
            self.width *= 2
        self._bins.append(fresh)
        self._filling = 1

    def _values(self, line: Mapping[str, Any]) -> list[tuple[str, float]]:
        found = [(name, _number(value)) for name, value in line.items() if name not in _NOT_VALUES]
        for group in ("levels", "rewards"):
            inner = line.get(group)
            if isinstance(inner, dict):
                found += [(f"{group}/{name}", _number(value)) for name, value in inner.items()]
        return [(str(name), value) for name, value in found if value is not None]

    def values(self, name: str) -> list[tuple[float, float]]:
        """The mean of a value over each bin, at the middle of its steps; bins without it are left out."""
        points = []
        for one in self._bins:
            total, count = one.sums.get(name, (0.0, 0))
            if count:
                points.append(((one.first + one.last) / 2, total / count))
        return points


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
