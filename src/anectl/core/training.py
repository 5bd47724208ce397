"""A training run on disk: what it was asked to do, and the folder it works in.

All is made in `DIR.partial/`: the trainer's checkpoints, `log.jsonl` and at last the model; then the folder becomes
`DIR`. A checkpoint counts as complete when `complete.json`, written after everything else, names its files and their
sizes: a process killed while saving leaves a torn checkpoint, which a resumed run skips and removes.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from anectl.core import manifest as sidecar
from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRef
from anectl.core.jsonl import decode, encode
from anectl.core.keys import digest
from anectl.core.output import write_atomic
from anectl.core.ranks import leads
from anectl.core.records import Example, Result
from anectl.core.run import Run

Precision = Literal["auto", "float32", "bfloat16"]
SavePrecision = Literal["model", "float32"]
SchedulerName = Literal["cosine", "linear", "constant"]

RESULT_FILE = "result.json"
LOG_FILE = "log.jsonl"
SCRATCH = "scratch"
_MARKER = "complete.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
# Options that say how to report and where to find things; all others decide the weights.
_FREE_OPTIONS = frozenset(
    {"resume", "overwrite", "output", "config", "rejects", "on_error", "image_root", "dry_run", "on_alarm"}
)


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A training example with its images found; for a process reward model also its steps, each with its label.

    `lines` is the number of input lines it stands for: 0 for a further row of the same line. `tokens` is its length,
    images included, as the preflight has measured it.
    """

    example: Example
    images: tuple[ImageRef, ...]
    steps: tuple[str, ...] = ()
    labels: tuple[float | None, ...] = ()
    lines: int = 1
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """What sft and strip-rl have in common; `trl` goes to TRL's own config unread.

    `lora_targets` names the layers that get adapters: all linear ones of the text decoder where it is empty.
    """

    model: str
    seed: int
    learning_rate: float
    batch_size: int
    gradient_accumulation: int
    max_steps: int | None
    epochs: float
    warmup_steps: int
    scheduler: SchedulerName
    dtype: Precision
    save_steps: int
    report_to: str
    train_vision: bool
    lora: bool
    lora_rank: int
    lora_alpha: int
    merge: bool
    save_dtype: SavePrecision = "model"
    lora_targets: str = ""
    load_in_4bit: bool = False
    trl: Mapping[str, Any] = field(default_factory=dict)


class TrainFolder:
    """The output folder of one run. Use as a context manager; `commit` puts the folder in its place.

    Of several processes that train together the first one makes, locks, writes and commits the folder; the others only
    look for checkpoints in it.

    Raises AnectlError when the folder exists and is not asked to be replaced or resumed, when settings or rows
    changed since the interrupted run, or when another run holds it.
    """

    def __init__(self, command: str, output: str, options: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.path = Path(output)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.overwrite = overwrite
        self.resume = resume
        self.leads = leads()
        self._options = dict(options)
        self._manifest = sidecar.describe(command, self._options)
        self._refuse_what_is_there()

    def _refuse_what_is_there(self) -> None:
        if self.partial.exists() and not self.resume:
            raise AnectlError(
                f"{self.partial} holds an interrupted run",
                hint="--resume goes on with it; remove the folder to start anew",
            )
        if not self.path.exists() or (self.resume and not self.partial.exists()):
            return
        if not (self.path / RESULT_FILE).exists():
            raise AnectlError("exists and is not the output of a training run", path=str(self.path))
        if not self.overwrite:
            raise AnectlError(
                "exists", path=str(self.path), hint="--overwrite replaces it when the new run ends; or name another"
            )

    def finished(self, inputs: Sequence[str]) -> Result | None:
        """The result of a run that is already complete (resume), else null: then there is work to do.

        A complete run on other inputs or settings is replaced with --overwrite, else an AnectlError.
        """
        if not self.resume or not (self.path.exists() or self.partial.exists()):
            return None
        try:
            sidecar.refuse_changed_settings(self.path, self._options, free=_FREE_OPTIONS)
            if self.partial.exists():
                return None
            if sidecar.inputs_changed(self.path, inputs):
                raise AnectlError(
                    "the inputs changed since this run", path=str(self.path), hint="--overwrite trains anew"
                )
        except AnectlError:
            if self.overwrite and not self.partial.exists():
                return None
            raise
        try:
            result = decode((self.path / RESULT_FILE).read_bytes(), Result)
            if self.leads:
                _remove_steps(self.path)  # of a run that was killed while it removed them
            return result
        except (OSError, RowError) as error:
            raise AnectlError(f"is not the output of a training run: {error}", path=str(self.path)) from None

    def open(self, rows: Iterable[TrainingRow]) -> Self:
        """Make the folder, or take up the interrupted one, and lock it. Call it once, before `with`."""
        if not self.leads:
            return self
        data = digest(
            encode(row.example) + (repr((row.steps, row.labels)).encode() if row.labels else b"") for row in rows
        )
        path = sidecar.manifest_path(self.path)
        if self.resume and self.partial.exists() and path.exists():
            before = msgspec.json.decode(path.read_bytes()).get("data")
            if before != data:
                raise AnectlError("the training rows changed since the interrupted run", path=str(self.path))
        self._manifest["data"] = data
        try:
            self.partial.mkdir(parents=True, exist_ok=True)
            self._log = open(self.partial / LOG_FILE, "a+b")  # noqa: SIM115 (held for the whole run)
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnectlError("another anectl is training into this folder", path=str(self.path)) from None
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self.partial)) from None
        sidecar.write_manifest(self.path, self._manifest)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.leads:
            self._log.close()

    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint; torn ones are removed."""
        complete: dict[int, Path] = {}
        for path in self.partial.iterdir() if self.partial.exists() else ():
            name = _CHECKPOINT.fullmatch(path.name)
            if name and is_complete(path):
                complete[int(name[1])] = path
            elif name and self.leads:
                shutil.rmtree(path)
        return complete[max(complete)] if complete else None

    def rewind_log(self, step: int) -> float:
        """Drop the log lines after `step` (and a torn last one). Returns the seconds trained up to there."""
        kept, seconds = [], 0.0
        if not self.leads:
            return seconds
        self._log.seek(0)
        for line in self._log:
            try:
                values = msgspec.json.decode(line)
            except msgspec.DecodeError:
                break
            if values["step"] > step:
                break
            kept.append(line)
            seconds = float(values["seconds"])
        self._log.truncate(sum(map(len, kept)))
        return seconds

    def log(self, values: Mapping[str, Any]) -> None:
        """Append one line to the training log."""
        self._log.write(msgspec.json.encode(values) + b"\n")
        self._log.flush()

    def logged(self) -> list[dict[str, Any]]:
        """All lines of the training log, oldest first; none where another process writes it."""
        if not self.leads:
            return []
        self._log.seek(0)
        return [msgspec.json.decode(line) for line in self._log]

    def commit(self, result: Result, run: Run) -> None:
        """Put the finished folder in its place, and then remove checkpoints and what was only needed on the way.

        Removing them can take minutes: a run that is killed meanwhile is whole, and one that is killed before goes on
        from its last checkpoint, with no step left to do.
        """
        write_atomic(self.partial / RESULT_FILE, encode(result))
        self._manifest |= {
            "status": "complete",
            "inputs": [sidecar.input_entry(path) for path in run.inputs if path != "-"],
            "counts": {"read": run.num_read, "kept": run.num_kept, "dropped": dict(run.dropped)}
            | {"rejected": run.num_rejected},
            "seconds": result.seconds,
        }
        sidecar.write_manifest(self.path, self._manifest)
        old = self.path.with_name(self.path.name + ".replaced")
        if self.path.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(self.path, old)
        os.replace(self.partial, self.path)
        shutil.rmtree(old, ignore_errors=True)
        _remove_steps(self.path)


def _remove_steps(folder: Path) -> None:
    for path in folder.iterdir():
        if _CHECKPOINT.fullmatch(path.name) or path.name == SCRATCH:
            shutil.rmtree(path)


def mark_complete(checkpoint: Path) -> None:
    """Declare a checkpoint complete, after all its files have reached the disk."""
    sizes = {}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and path.name != _MARKER:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            sizes[str(path.relative_to(checkpoint))] = path.stat().st_size
    write_atomic(checkpoint / _MARKER, msgspec.json.encode(sizes))


def is_complete(checkpoint: Path) -> bool:
    """Whether every file that the marker names is there in its full size."""
    try:
        sizes = msgspec.json.decode((checkpoint / _MARKER).read_bytes())
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, msgspec.DecodeError):
        return False
