"""Finding every row of a run that tells of one problem, whatever the files are called.

Rows stream by. A line is parsed only if it has the bytes of the id in it, and kept only if it tells of the problem, so
that time grows with the size of the files at the speed of a search for bytes, and memory with the rows of the problem.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from anectl.core.errors import AnectlError, RowError
from anectl.core.jsonl import STDIN, decode, parse_object, schema_tag
from anectl.core.manifest import manifest_path
from anectl.core.records import RECORDS, Problem, Record, Reject, Sighting, Trace
from anectl.core.records.traces import Role

_ENDINGS = (".jsonl", ".ndjson")
_PARTIAL = ".partial"
_BUFFER_BYTES = 1 << 20
_LOOP = ("problem", "rollout", "frontier", "anchored", "example", "score", "disagreement", "comparison", "reject")
# A character may stand in JSON as its number, and a slash behind a backslash.
_NUMBERED = re.compile(rb"\\u[0-9a-fA-F]{4}|\\/")


@dataclass(frozen=True, slots=True)
class Found:
    """A row that tells of the problem; `record` is the whole of it."""

    sighting: Sighting
    record: Record


class Bearing(NamedTuple):
    """What a row has to do with a problem; the fields are those of a Sighting."""

    role: Role
    row: dict[str, Any]
    other: str | None = None


class _Making(NamedTuple):
    """What the manifest of a file says of its making."""

    command: str | None = None
    finished: str | None = None


@dataclass
class Search:
    """What a search found; `unread` are the places of rows that name the problem and could not be read."""

    problem_id: str
    found: list[Found] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    num_lines: int = 0

    def trace(self) -> Trace:
        """The record of what was found, in the order of the loop."""
        return Trace(problem_id=self.problem_id, sightings=tuple(one.sighting for one in self.found))


def files_of(paths: Iterable[str]) -> list[str]:
    """The files to search: those named, and of a folder all JSON Lines files below it, unfinished ones too.

    Raises AnectlError: no such file or folder, or a folder without such files.
    """
    files: dict[str, None] = {}
    for path in paths:
        if path == "-" or os.path.isfile(path):
            files[path] = None
        elif os.path.isdir(path):
            below = list(_below(path))
            if not below:
                raise AnectlError("has no JSON Lines files in it", path=path, hint="name the folder of a run, or files")
            files.update(dict.fromkeys(below))
        else:
            raise AnectlError("no such file or folder", path=path)
    return list(files)


def _below(folder: str) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.removesuffix(_PARTIAL).endswith(_ENDINGS) and not name.startswith("."):
                yield os.path.normpath(os.path.join(place, name))


def search(files: Sequence[str], problem_id: str) -> Search:
    """Every row of the files that tells of the problem, in the order of the loop, then of time.

    Raises AnectlError for a file that cannot be read.
    """
    result = Search(problem_id)
    needle = msgspec.json.encode(problem_id)[1:-1]
    for path in files:
        making = _making(path)
        for number, data in lines_of(path):
            result.num_lines += 1
            if needle in data or ((b"\\u" in data or b"\\/" in data) and _NUMBERED.search(data)):
                _look(result, STDIN if path == "-" else path, number, data, making)
    result.found.sort(key=_place_in_loop)
    return result


def lines_of(path: str) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a file, or of stdin for `-`. Raises AnectlError where it cannot be read."""
    if path == "-":
        yield from enumerate(sys.stdin.buffer, 1)
        return
    try:
        with open(path, "rb", buffering=_BUFFER_BYTES) as file:
            for number, data in enumerate(file, 1):
                yield number, data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=path) from None


def _making(path: str) -> _Making:
    manifest = manifest_path(Path(path.removesuffix(_PARTIAL)))
    try:
        command = msgspec.json.decode(manifest.read_bytes())["command"]
        # Written when the file is: a manifest has no time of its own.
        finished = datetime.fromtimestamp(manifest.stat().st_mtime, UTC)
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return _Making()
    return _Making(str(command), finished.isoformat(timespec="seconds").replace("+00:00", "Z"))


def _look(result: Search, path: str, number: int, data: bytes, making: _Making) -> None:
    """Keep the row if it tells of the problem; take down its place if it cannot be told."""
    wanted = result.problem_id
    try:
        row = parse_object(data)
        tag = row.get("schema")
        kind = RECORDS.get(str(tag).partition("/")[0], Problem) if tag is not None else Problem
        told = about(row, kind, wanted)
        if told is None:
            return
        record = decode(data, kind)
    except RowError:
        # Lines of training logs and the like have no schema, and are no problems.
        if f'"{wanted}"'.encode() in data:
            result.unread.append(f"{path}:{number}")
        return
    sighting = Sighting(
        kind=schema_tag(type(record)),
        role=told.role,
        path=path,
        line=number,
        command=making.command,
        finished=making.finished,
        other=told.other,
        row=told.row,
    )
    result.found.append(Found(sighting, record))


def about(row: Mapping[str, Any], kind: type[Record], wanted: str) -> Bearing | None:
    """What a parsed row has to do with the problem; null where it has nothing."""
    inner = row.get("problem")
    if kind is Reject:
        return _of_reject(row, wanted)
    ids = [row.get("problem_id"), row.get("frontier_id"), row.get("id") if kind is Problem else None]
    if wanted in ids or (isinstance(inner, dict) and inner.get("id") == wanted):
        return Bearing("itself", dict(row))
    for anchor in row.get("anchors") or ():
        if isinstance(anchor, dict) and anchor.get("id") == wanted and isinstance(inner, dict):
            return Bearing("anchor", anchor, str(inner.get("id")))
    for flip in ("gained", "lost"):
        if wanted in (row.get(flip) or ()):
            others = {name: value for name, value in row.items() if name not in ("gained", "lost")}
            return Bearing("flip", {**others, "flip": flip})
    return None


def _of_reject(row: Mapping[str, Any], wanted: str) -> Bearing | None:
    match = row.get("match")
    text = str(row.get("row"))
    try:
        rejected = parse_object(text.encode("utf-8", "replace"))
    except RowError:
        return Bearing("mention", dict(row)) if f'"{wanted}"' in text else None
    names = [rejected.get("id"), rejected.get("problem_id"), rejected.get("frontier_id")]
    inner = rejected.get("problem")
    names.append(inner.get("id") if isinstance(inner, dict) else None)
    if wanted in names:
        return Bearing("itself", dict(row))
    if isinstance(match, dict) and match.get("id") == wanted:
        other = next((str(name) for name in names if name is not None), None)
        return Bearing("match", dict(row), other)
    return None


def _place_in_loop(found: Found) -> tuple[bool, int, str, str, int]:
    sighting = found.sighting
    kind = sighting.kind.partition("/")[0]
    place = _LOOP.index(kind) if kind in _LOOP else len(_LOOP)
    return sighting.role == "anchor", place, sighting.finished or "", sighting.path, sighting.line
