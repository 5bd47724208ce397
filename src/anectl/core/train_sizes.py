"""What the rows of a training run are in tokens, and how much a run of so many of them comes to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from anectl.core.errors import RowError
from anectl.core.jsonl import Line
from anectl.core.train_estimate import Memory
from anectl.core.training import TrainingRow


@dataclass(frozen=True, slots=True)
class RowSize:
    """Tokens of one row: those that stand for its images, all of its prompt, and its completion."""

    image_tokens: int
    prompt: int
    completion: int

    @property
    def total(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


class Sized(NamedTuple):
    """A row with its size and its place (file and line)."""

    row: TrainingRow
    size: RowSize
    place: str


class TrainPreflight(Protocol):
    """Measures rows as the trainer will see them; `window` is the most tokens that the model takes."""

    window: int

    def measure(self, row: TrainingRow) -> RowSize:
        """The size of a row. Raises RowError for one that the trainer, or the model, could not use."""
        ...

    def memory(self, sizes: RowSizes) -> Memory:
        """The estimate for one device, if every batch were as long as the longest row."""
        ...


@dataclass
class RowSizes:
    """Sizes of the rows of a run, against the most tokens that a row may have.

    `max_length` is the user's, null where only the model's own window counts.
    """

    window: int
    max_length: int | None
    rows: list[Sized] = field(default_factory=list)

    @property
    def limit(self) -> int:
        """The most tokens of a row."""
        return min(self.window, self.max_length or self.window)

    def add(self, row: TrainingRow, size: RowSize, line: Line) -> None:
        """Count a row. Raises RowError for one that is too long; nothing is ever cut."""
        if size.total > self.limit:
            why = "--max-length" if self.limit == self.max_length else "the model's window"
            raise RowError(
                f"the row has {size.total} tokens ({size.image_tokens} of them for {len(row.images)} images, "
                f"{size.completion} for the completion), more than {why} of {self.limit}",
                hint="rows are never cut: --on-error skip leaves it out; smaller images make it shorter",
            )
        self.rows.append(Sized(row, size, f"{line.path}:{line.number}"))

    def only(self, rows: Sequence[TrainingRow]) -> RowSizes:
        """The sizes of these rows, which must be among those added."""
        chosen = {id(row) for row in rows}
        return RowSizes(self.window, self.max_length, [sized for sized in self.rows if id(sized.row) in chosen])

    @property
    def longest(self) -> RowSize:
        """The size of the row with the most tokens."""
        return max((sized.size for sized in self.rows), key=lambda size: size.total)

    @property
    def mean_total(self) -> float:
        """Tokens of a row on average."""
        return statistics.fmean(sized.size.total for sized in self.rows)

    def summary(self) -> str:
        """One sentence: rows, then median, 95th percentile and maximum of prompts, image tokens and completions."""
        sizes = [sized.size for sized in self.rows]
        prompts, images = spread([size.prompt for size in sizes]), spread([size.image_tokens for size in sizes])
        longest = max(self.rows, key=lambda sized: sized.size.total)
        return (
            f"{len(sizes)} rows; tokens (median/95 %/max): prompts {prompts}, of them for images {images}, "
            f"completions {spread([size.completion for size in sizes])}; the longest row, {longest.place}, "
            f"has {longest.size.total} of at most {self.limit}"
        )


def spread(values: Sequence[int]) -> str:
    """Median, 95th percentile (nearest rank) and maximum."""
    ranked = sorted(values)
    high = ranked[math.ceil(0.95 * len(ranked)) - 1]
    return f"{statistics.median(ranked):g}/{high}/{ranked[-1]}"


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a run is: optimizer steps, rows in each over all devices, passes over the rows, tokens in all."""

    steps: int
    rows_per_step: int
    epochs: float
    tokens: int

    def __str__(self) -> str:
        return (
            f"{self.steps} steps of {self.rows_per_step} rows, {self.epochs:.3g} epochs, "
            f"about {self.tokens:,} tokens without padding"
        )


def sft_extent(
    sizes: RowSizes, *, batch_size: int, accumulation: int, devices: int, max_steps: int | None, epochs: float
) -> Extent:
    """How long sft is: an epoch ends with a smaller step where the rows do not fill the last one."""
    num_rows = len(sizes.rows)
    per_step = batch_size * accumulation * devices
    a_pass = math.ceil(math.ceil(num_rows / (batch_size * devices)) / accumulation)
    steps = max_steps or math.ceil(a_pass * epochs)
    passes = steps / a_pass
    return Extent(steps, per_step, passes, round(passes * num_rows * sizes.mean_total))
