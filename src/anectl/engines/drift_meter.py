"""Measure a policy when its training begins and when it ends, on texts that are given: NLL, KL, greedy decoding.

The measuring is a callback of the trainer, so that it has the model as it is trained: with adapters or without,
whole or spread over several processes. Each process measures its share of the batches; all of them make equally many
passes, and at a time batches of the same kind, since the weights of a spread model come together in each pass. The
probabilities of before stay on disk until the end, in 16 bits a number, so that no second model is held in memory.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from anectl.core.errors import AnectlError
from anectl.core.jsonl import encode
from anectl.core.keys import digest
from anectl.core.output import write_atomic
from anectl.core.policy_drift import HeldOut, Measure, drift, sentences, surprise
from anectl.core.records import Drift
from anectl.core.training import TrainingRow

Collate = Callable[[Sequence[TrainingRow]], dict[str, Any]]
# Far below what counts, and still a number in 16 bits.
_LEAST_LOG = -6e4
_BEFORE = "before.json"
ROWS_AT_ONCE = 8


class _Batch(NamedTuple):
    """Places of rows that pass the model together; a batch that only fills up a round of passes does not count."""

    places: tuple[int, ...]
    counts: bool


class DriftMeter(TrainerCallback):  # type: ignore[misc]
    """Measures targets before the training, and held-out rows before and after it. `result` is there at the end.

    `scratch` is a folder for what must outlast an interrupted run; `collate` makes the inputs of the model with its
    labels, as for training.
    """

    def __init__(
        self,
        targets: Sequence[TrainingRow],
        held_out: Sequence[HeldOut],
        scratch: Path,
        collate: Collate,
        report: Callable[[str], None],
        rows_at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self.targets = list(targets)
        self.held_out = list(held_out)
        self.scratch = scratch
        self.collate = collate
        self.report = report
        self.rows_at_once = rows_at_once
        self.result: Drift | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **rest: Any
    ) -> None:
        """Measure the policy that the run begins with, unless an interrupted run has done it."""
        if self._before() is not None:
            return
        if state.global_step:
            raise AnectlError(
                "the interrupted run did not measure the policy it began with", path=str(self.scratch.parent)
            )
        if PartialState().is_main_process:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(parents=True)
        PartialState().wait_for_everyone()
        targets = _gathered(self._measured(model, self.targets, keep=None))
        held = _gathered(self._measured(model, [one.row for one in self.held_out], keep=_write))
        if PartialState().is_main_process:
            facts = {
                "data": self._digest(),
                "targets": {place: asdict(one) for place, one in targets.items()},
                "held_out": {place: asdict(one) for place, one in held.items()},
            }
            write_atomic(self.scratch / _BEFORE, msgspec.json.encode(facts))
        PartialState().wait_for_everyone()
        self._tell_targets(targets)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **rest: Any
    ) -> None:
        """Measure the held-out rows again and make up the account."""
        before = self._before()
        if before is None:  # the first measuring failed, and so did the run
            return
        targets, held = before
        after = _gathered(self._measured(model, [one.row for one in self.held_out], keep=_compare))
        self.result = drift(surprise(self.targets, targets) if targets else None, self.held_out, held, after)
        for sentence in sentences(self.result):
            self.report(sentence)

    def _tell_targets(self, measures: dict[int, Measure]) -> None:
        if measures:
            found = surprise(self.targets, measures)
            self.report(
                f"targets of {found.rows} rows: NLL {found.nll:.4g} ({found.low:.4g} to {found.high:.4g}) nats a token "
                "under the bare prompt and the policy before training"
            )

    def _before(self) -> tuple[dict[int, Measure], dict[int, Measure]] | None:
        """The measures of before, where they are there; null means that they are to be taken."""
        path = self.scratch / _BEFORE
        if not path.exists():
            return None
        facts = msgspec.json.decode(path.read_bytes())
        if facts["data"] != self._digest():
            raise AnectlError("the held-out rows changed since the interrupted run", path=str(self.scratch.parent))
        return _measures(facts["targets"]), _measures(facts["held_out"])

    def _digest(self) -> str:
        rows = [*self.targets, *(one.row for one in self.held_out)]
        return digest(encode(row.example) for row in rows)

    def _measured(self, model: Any, rows: Sequence[TrainingRow], keep: Any) -> Iterator[tuple[int, Measure]]:
        """The measures of this process's share of the rows, by their places."""
        was_training = model.training
        model.eval()
        for part in model.modules():
            # In eval mode on a CPU bitsandbytes packs the weights anew, and lets no gradient through from then on.
            if type(part).__name__ == "Linear4bit":
                part.train()
        try:
            for number, batch in enumerate(
                _share(rows, self.rows_at_once, PartialState().num_processes, PartialState().process_index)
            ):
                file = self.scratch / f"{PartialState().process_index}-{number}.safetensors"
                found = self._pass(model, [rows[place] for place in batch.places], keep, file)
                if batch.counts:
                    yield from zip(batch.places, found, strict=True)
        finally:
            model.train(was_training)

    @torch.no_grad()
    def _pass(self, model: Any, rows: Sequence[TrainingRow], keep: Any, file: Path) -> list[Measure]:
        inputs = {name: value.to(model.device) for name, value in self.collate(rows).items()}
        labels = inputs.pop("labels")[:, 1:]
        is_target = labels != -100
        wanted = is_target.any(dim=0).nonzero()[:, 0]
        logits = model(**inputs, use_cache=False, logits_to_keep=wanted).logits
        logs = [torch.log_softmax(logits[row][is_target[row, wanted]].float(), dim=-1) for row in range(len(rows))]
        sums = keep(file, logs) if keep is not None else [0.0] * len(rows)
        found = []
        for row, log in enumerate(logs):
            tokens = labels[row][is_target[row]]
            nll = -log.gather(1, tokens[:, None]).sum().item()
            found.append(Measure(len(tokens), nll, bool((log.argmax(dim=-1) == tokens).all()), sums[row]))
        return found


def _write(file: Path, logs: Sequence[torch.Tensor]) -> list[float]:
    """Keep the log-probabilities of each row."""
    halves = {str(row): log.clamp_min(_LEAST_LOG).half().cpu() for row, log in enumerate(logs)}
    save_file(halves, file)
    return [0.0] * len(logs)


def _compare(file: Path, logs: Sequence[torch.Tensor]) -> list[float]:
    """KL(before || after) of each row, summed over its tokens.

    What was kept is made a distribution again, so that its rounding to 16 bits counts in the second order only.
    """
    kept = load_file(file)
    sums = []
    for row, log in enumerate(logs):
        old = torch.log_softmax(kept[str(row)].to(log.device).float(), dim=-1)
        sums.append((old.exp() * (old - log.clamp_min(_LEAST_LOG))).sum().item())
    return sums


def _share(rows: Sequence[TrainingRow], size: int, world: int, rank: int) -> list[_Batch]:
    """The batches of one of `world` processes: equally many for each, and at one place of the same kind."""
    batches = []
    for with_images in (True, False):
        places = [place for place, row in enumerate(rows) if bool(row.images) is with_images]
        cut = [tuple(places[start : start + size]) for start in range(0, len(places), size)]
        for number in range(math.ceil(len(cut) / world)):
            place = number * world + rank
            batches.append(_Batch(cut[place], True) if place < len(cut) else _Batch(cut[-1], False))
    return batches


def _gathered(measures: Iterator[tuple[int, Measure]]) -> dict[int, Measure]:
    """The measures of all processes."""
    return dict(gather_object(list(measures)))


def _measures(facts: dict[str, Any]) -> dict[int, Measure]:
    return {int(place): Measure(**values) for place, values in facts.items()}
