"""Rounds of sft that share one optimizer and one learning-rate schedule (M-STaR's continuous self-evolving).

A finished round keeps, in `DIR/state/`, the trainer's last checkpoint: weights as they were trained, the optimizer with
its moments, the place in the schedule, the states of all random numbers. `round.json` beside them has the settings. The
next round takes the checkpoint up as an interrupted run would, but at the first of its own, new rows.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from anectl.core.errors import AnectlError, UsageError
from anectl.core.output import write_atomic
from anectl.core.records import Budget
from anectl.core.training import TrainFolder, is_complete, mark_complete

STATE = "state"
_FACTS = "round.json"
_TRAINER_STATE = "trainer_state.json"
# What says how the learning rate runs and what the optimizer's moments belong to.
_DECISIVE = (
    "model",
    "total_steps",
    "learning_rate",
    "warmup_steps",
    "scheduler",
    "train_vision",
    "lora",
    "lora_rank",
    "lora_alpha",
    "lora_targets",
    "load_in_4bit",
)
_DECISIVE_TRL = re.compile(r"optim|adam|weight_decay|lr_scheduler|warmup|learning_rate")
# What is said anew for each round.
_OF_ONE_ROUND = frozenset({"max_steps", "epochs", "save_steps", "report_to", "merge", "save_dtype", "trl"})


@dataclass(frozen=True, slots=True)
class Round:
    """A finished round: its settings, the steps and passes done up to its end, and its state."""

    folder: str
    settings: Mapping[str, Any]
    steps: int
    passes: int

    @property
    def state(self) -> Path:
        """The trainer's last checkpoint."""
        return Path(self.folder) / STATE

    @property
    def budget(self) -> Budget:
        """Where the round that follows begins."""
        return Budget(
            total_steps=self.settings["total_steps"],
            steps_before=self.steps,
            passes_before=self.passes,
            continued_from=self.folder,
        )


def read_round(folder: str) -> Round:
    """The round that was finished in a folder. Raises AnectlError: it kept no state, or only a part of it is there."""
    path = Path(folder) / STATE
    if not path.is_dir():
        raise AnectlError(
            "holds no optimizer state to continue from",
            path=folder,
            hint="sft keeps it where --total-steps is given, until those steps are done",
        )
    if not is_complete(path):
        raise AnectlError("is torn: files are missing or short", path=str(path), hint="copy the folder again")
    facts = msgspec.json.decode((path / _FACTS).read_bytes())
    return Round(folder, facts["settings"], facts["steps"], facts["passes"])


def inherit(options: Mapping[str, Any], given: Collection[str], before: Round) -> dict[str, Any]:
    """The options of a round that goes on from `before`: what was not `given` is as it was there.

    Raises UsageError for a given one that would give the schedule or the optimizer another meaning.
    """
    settings = before.settings
    changed = [
        f"--{name.replace('_', '-')}: {settings[name]!r} before, {options[name]!r} now"
        for name in _DECISIVE
        if name in given and options[name] != settings[name]
    ]
    old, new = settings["trl"], options["trl"]
    changed += [
        f"trl {name}: {old.get(name)!r} before, {value!r} now"
        for name, value in new.items()
        if _DECISIVE_TRL.search(name) and value != old.get(name)
    ]
    if changed:
        raise UsageError(
            f"{before.folder} cannot be continued with other settings: " + "; ".join(changed),
            hint="the optimizer and its schedule go on as they began; leave the options out",
        )
    taken = {name: settings[name] for name in settings.keys() - _OF_ONE_ROUND if name not in given}
    return {**options, **taken, "trl": {**old, **new}}


def refuse_excess(budget: Budget, steps: int) -> None:
    """Raise UsageError where a round of so many steps goes beyond the budget."""
    left = budget.total_steps - budget.steps_before
    if steps > left:
        raise UsageError(
            f"{steps} steps are more than the {left} that are left of --total-steps {budget.total_steps}",
            hint=f"--max-steps {left}" if left else "the schedule is at its end: begin a new one from the model",
        )


def _linked(source: str, target: str) -> None:
    """A second name for a file, which takes no room; what is changed later is written anew. A copy where it cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def keep_state(folder: TrainFolder, settings: Mapping[str, Any], budget: Budget, steps: int, passes: float) -> None:
    """Put the last checkpoint of a run that is done where the next round looks for it.

    Its place in the data is wiped out, since the next round has other rows; `passes` over the rows are rounded up, and
    the next round shuffles as if they were done. A budget that is used up needs no state.
    """
    if budget.steps_before + steps >= budget.total_steps:
        return
    checkpoint = folder.last_checkpoint()
    if checkpoint is None:
        raise AnectlError("the last checkpoint is gone", path=str(folder.partial))
    path = folder.partial / STATE
    shutil.rmtree(path, ignore_errors=True)
    # The checkpoint stays as well until the run is in its place: one that is killed before goes on from there.
    shutil.copytree(checkpoint, path, copy_function=_linked)
    place = msgspec.json.decode((path / _TRAINER_STATE).read_bytes())
    place |= {"global_step": 0, "epoch": 0, "log_history": []}
    write_atomic(path / _TRAINER_STATE, msgspec.json.encode(place))
    facts = {
        "settings": settings,
        "steps": budget.steps_before + steps,
        "passes": budget.passes_before + math.ceil(round(passes, 6)),
    }
    write_atomic(path / _FACTS, msgspec.json.encode(facts))
    mark_complete(path)
