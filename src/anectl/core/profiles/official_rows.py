"""What the profiles of benchmarks have in common: a published field as text, and mean shares by name."""

from __future__ import annotations

from anectl.core.profiles import official
from anectl.core.records import Problem


def field_text(problem: Problem, name: str, fallback: str) -> str:
    """The published field as text; `fallback` where the row has none."""
    value = official(problem).get(name)
    return fallback if value is None else str(value)


class Shares:
    """Mean share of each name; two numbers a name are kept."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, name: str, share: float) -> None:
        """Count one share (0..1) under `name`."""
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = total + share, count + 1

    def means(self) -> dict[str, float]:
        """The mean of each name, in the order in which the names first came."""
        return {name: total / count for name, (total, count) in self._sums.items()}
