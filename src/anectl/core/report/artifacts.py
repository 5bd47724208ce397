"""The files of a run: which of them can be records, and their lines, whatever they are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anectl.core.errors import AnectlError, RowError
from anectl.core.jsonl import Line, parse_object, read_lines

_ENDINGS = (".jsonl", ".json")
_UNFINISHED = ".partial"
# A JSON file is read whole; one that is longer is no result, no manifest and no ledger.
_MOST_JSON = 8 * 1024 * 1024
# Of a checkpoint's many JSON files these two are anectl's; the others are the model's.
_OF_CHECKPOINT = ("log.jsonl", "result.json")


@dataclass(eq=False)
class Artifact:
    """One file of a run; `shown` is its path inside the run's folder, `counts` what was found in it.

    `order` is its place in the run, from its manifest or its age.
    """

    number: int
    run: int
    path: str
    shown: str
    counts: Counter[str] = field(default_factory=Counter)
    order: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """A file, or a row of one, that could not be used."""

    path: str
    problem: str


def find_files(folder: Path) -> tuple[list[Path], list[Fault]]:
    """The files of a folder that may be records, sorted, and those that an interrupted run has left behind.

    Hidden folders, folders behind links and the model's own files of a checkpoint are left alone.
    """
    found, unfinished = [], []
    for name, folders, files in os.walk(folder):
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        place = Path(name)
        for inner in folders:
            if inner.endswith(_UNFINISHED):
                unfinished.append(Fault(str(place / inner), "an interrupted training run; --resume goes on with it"))
        folders[:] = [inner for inner in folders if not inner.endswith(_UNFINISHED)]
        of_model = "config.json" in files
        for file in sorted(files):
            if file.endswith(_UNFINISHED):
                unfinished.append(Fault(str(place / file), "rows of an interrupted run; --resume goes on with it"))
            elif file.endswith(_ENDINGS) and not file.startswith(".") and (not of_model or file in _OF_CHECKPOINT):
                found.append(place / file)
    return found, unfinished


def lines_of(path: str) -> Iterator[Line]:
    """The lines of a file; a JSON object that goes over many lines is one.

    Raises AnectlError: unreadable, empty, or no file of JSON objects at all.
    """
    if path.endswith(".json"):
        if os.path.getsize(path) > _MOST_JSON:
            raise AnectlError(f"a JSON file of over {_MOST_JSON >> 20} MiB", path=path)
        data = Path(path).read_bytes()
        if _is_object(data):
            yield Line(path, 1, data)
            return
    first = True
    for line in read_lines(path):
        if first and not _is_object(line.data):
            raise AnectlError("not JSON Lines: its first line is no JSON object", path=path)
        first = False
        yield line


def _is_object(data: bytes) -> bool:
    try:
        parse_object(data)
    except RowError:
        return False
    return True


def read_again(path: str, offset: int, size: int) -> bytes:
    """A row that was read before, by its place. Raises AnectlError when the file cannot be read any more."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=path) from None
