"""What sft adds to the settings of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anectl.core.records import Budget

LossName = Literal["nll", "dft"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SftSettings:
    """What sft adds to the settings of training.

    `group_by_length` fills each batch with rows of nearly the same length. `budget` is the schedule that this run is a
    round of, null where the run has one of its own; `state` is the folder with the optimizer that it goes on with.
    `shared` is what the next round takes over. Of `drift_rows` rows the targets are measured before the training, and
    of the held-out rows as many as have `held_out_tokens` tokens.
    """

    loss: LossName = "nll"
    max_length: int | None = None
    group_by_length: bool = False
    budget: Budget | None = None
    state: Path | None = None
    shared: Mapping[str, Any] | None = None
    drift_rows: int = 0
    held_out_tokens: int = 0
