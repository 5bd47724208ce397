"""Whose data a checkpoint was trained on: provenance and licences, found through the manifests of the training files.

Training rows name problems and anchors by their ids alone. The manifest of a file names the files that it was made
from, and one of those holds the problems whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.jsonl import read_lines
from anectl.core.manifest import file_hash, manifest_path
from anectl.core.records import Problem
from anectl.core.store import licence_of, provenance_of

UNKNOWN = "unknown"
_DEEPEST = 8


class SourceTally(msgspec.Struct, frozen=True):
    """How many problems come from each place, under each licence; `unknown` where nothing says it."""

    problems: int = 0
    licences: dict[str, int] = {}
    places: dict[str, int] = {}


class Ancestor(msgspec.Struct, frozen=True):
    """A file that the training rows were made from: the command that wrote it, where a manifest tells."""

    path: str
    sha256: str
    command: str = ""


class _Source(msgspec.Struct):
    id: str
    source: dict[str, Any] = {}


class _AnchorRow(msgspec.Struct):
    problem: _Source | None = None


class _Row(msgspec.Struct):
    problem: _Source | None = None
    anchors: list[_AnchorRow] = []
    id: str | None = None
    source: dict[str, Any] = {}


def ancestors(inputs: Sequence[str]) -> list[Ancestor]:
    """The inputs and all files that their manifests lead to, as far as these are there and have not changed since."""
    found: dict[str, Ancestor] = {}
    waiting = [(path, file_hash(path), 0) for path in inputs if Path(path).is_file()]
    while waiting:
        path, sha256, depth = waiting.pop(0)
        if path in found:
            continue
        manifest = _manifest(path)
        found[path] = Ancestor(path, sha256, str(manifest.get("command", "")))
        for one in manifest.get("inputs", ()) if depth < _DEEPEST else ():
            place = _same_file(str(one.get("path")), Path(path).parent, one.get("sha256"))
            if place is not None:
                waiting.append((place, str(one["sha256"]), depth + 1))
    return list(found.values())


def _same_file(named: str, beside: Path, sha256: object) -> str | None:
    """Where a file that a manifest names is now: as named, or relative to the manifest; null where it has changed."""
    places = (Path(named), beside / named, beside / Path(named).name)
    return next((str(place) for place in places if place.is_file() and file_hash(str(place)) == sha256), None)


def tally(files: Sequence[Ancestor], ids: Collection[str]) -> SourceTally:
    """Where the problems and anchors of these ids come from, by the first of the files that holds each of them."""
    missing = set(ids)
    licences: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for file in files:
        for problem in _problems(file.path) if missing else ():
            if problem.id not in missing:
                continue
            missing.remove(problem.id)
            whole = Problem(id=problem.id, question="-", answer="-", answer_type="text", source=problem.source)
            licences[licence_of(whole) or UNKNOWN] += 1
            places[provenance_of(whole) or UNKNOWN] += 1
    if missing:
        licences[UNKNOWN] += len(missing)
        places[UNKNOWN] += len(missing)
    return SourceTally(len(set(ids)), dict(licences.most_common()), dict(places.most_common()))


def _manifest(path: str) -> dict[str, Any]:
    """The manifest of a file; empty where there is none that can be read."""
    try:
        found = msgspec.json.decode(manifest_path(Path(path)).read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _problems(path: str) -> Iterator[_Source]:
    """All problems that a file of any record names whole; the rest of a row is not looked at, nor are bad rows."""
    decoder = msgspec.json.Decoder(_Row)
    try:
        for line in read_lines(path):
            try:
                row = decoder.decode(line.data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if row.id is not None:
                yield _Source(row.id, row.source)
            if row.problem is not None:
                yield row.problem
            yield from (one.problem for one in row.anchors if one.problem is not None)
    except AnectlError:
        return  # no lines of JSON at all: a table or an index
