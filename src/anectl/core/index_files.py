"""An index on disk: generations of files that never change, and the manifest that says which one is the index.

manifest.json       `index/2`: what made it, and size and SHA-256 of each file
generation-N/       all files of the index; N grows with every build, add and delete
  records.sqlite    the problems and their words (`core/store.py`)
  SIGNAL.npy        vectors of a signal (text, image, joint): float32, shape (count, dimension), rows of length 1
  SIGNAL.rows.npy   the record row of each vector, ascending: a problem without images has no image vector
  SIGNAL.hnsw       the HNSW graph over them, where the index has one
  SIGNAL.lance/     vectors and rows in place of the first two, where LanceDB keeps them

A writer fills the next generation, makes it durable, puts the manifest in place in one rename, and then removes the
generations before: whenever it is killed, the index is whole, as it was or as it is to be. Native readers crash on
damaged files, so everything is checked against the manifest before any of them runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.manifest import file_hash
from anectl.core.output import write_atomic
from anectl.core.store import REBUILD, RecordReader

MANIFEST = "manifest.json"
SCHEMA = "index/2"
RECORDS = "records.sqlite"
_GENERATION = re.compile(r"generation-([0-9]{1,9})")
Backend: TypeAlias = Literal["exact", "hnsw", "lancedb"]


class FileEntry(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 of one file of the index."""

    bytes: int
    sha256: str


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the exact `at` nearest that the search finds, its 95% interval, and over how many held-out queries.

    `count` is how many vectors there were when it was measured.
    """

    at: int = 10
    target: float
    mean: float
    low: float
    high: float
    num_queries: int
    count: int


class HnswSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Links per node, candidates while building and while searching; `num_deleted` nodes are only passed through."""

    m: int
    ef_construction: int
    ef: int
    num_deleted: int = 0
    recall: Recall | None


class LanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The version of the table; its partitions and how many are searched, null where all rows are compared."""

    version: int
    num_partitions: int | None = None
    num_probes: int | None = None
    recall: Recall | None = None


class SignalManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The vectors of one signal: the embedder as the user named it and by its own name, and how they are searched."""

    embedder: str
    embedder_name: str
    dimension: int
    count: int
    backend: Backend
    hnsw: HnswSettings | None = None
    lancedb: LanceSettings | None = None


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`count` live rows out of `next_row` numbers given so far; `rows` digests the content keys in row order.

    `backend` and `recall_target` are what was asked for, and hold for later additions too.
    """

    schema: Literal["index/2"] = "index/2"
    generation: int
    count: int
    next_row: int
    rows: str
    backend: Literal["auto", "exact", "hnsw", "lancedb"]
    recall_target: float
    num_unverified: int
    licences: dict[str, int]
    metric: Literal["cosine"] = "cosine"
    signals: dict[Literal["text", "image", "joint"], SignalManifest]
    files: dict[str, FileEntry]
    versions: dict[str, str]
    options: dict[str, Any]
    checksum: str = ""

    def folder(self, directory: Path) -> Path:
        """Where the files of this state of the index lie."""
        return directory / f"generation-{self.generation}"


def open_records(directory: Path, manifest: IndexManifest) -> RecordReader:
    """The records of an index whose files `read_index_manifest` has checked."""
    return RecordReader(manifest.folder(directory) / RECORDS, manifest.count)


def _checksum(manifest: IndexManifest) -> str:
    bare = msgspec.structs.replace(manifest, checksum="")
    return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()


def read_index_manifest(directory: Path) -> IndexManifest:
    """The manifest of an index, its files checked against it.

    Raises AnectlError: no index, an unknown version, a changed manifest, or a file that is missing, of another size
    or of other content than was written.
    """
    manifest = _manifest(directory)
    folder = manifest.folder(directory)
    for name, entry in manifest.files.items():
        _check_file(folder / name, entry)
    extra = _names(folder) - manifest.files.keys()
    if extra:
        raise AnectlError(f"holds a file of no index: {sorted(extra)[0]}", path=str(folder), hint=REBUILD)
    return manifest


def _manifest(directory: Path) -> IndexManifest:
    path = directory / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = f"build one with anectl build-index -o {directory}"
        raise AnectlError(f"not an index: {error.strerror}", path=str(path), hint=hint) from None
    try:
        tag = msgspec.json.decode(data)["schema"]
        if tag != SCHEMA:
            raise AnectlError(f"expected {SCHEMA}, found {tag!r}", path=str(path), hint="build it again")
        manifest = msgspec.json.decode(data, type=IndexManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError) as error:
        raise AnectlError(f"not an index manifest: {error}", path=str(path), hint=REBUILD) from None
    if manifest.checksum != _checksum(manifest):
        raise AnectlError("changed since it was written", path=str(path), hint=REBUILD)
    return manifest


def _check_file(path: Path, entry: FileEntry) -> None:
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise AnectlError(f"has {size} bytes where {entry.bytes} were written", path=str(path), hint=REBUILD)
        if file_hash(str(path)) != entry.sha256:
            raise AnectlError("is not what was written (SHA-256 differs)", path=str(path), hint=REBUILD)
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=str(path), hint=REBUILD) from None


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@dataclass(frozen=True, slots=True)
class Draft:
    """The next generation of an index while it is written: its number, its folder, and the index as it is now."""

    directory: Path
    generation: int
    folder: Path
    before: IndexManifest | None

    @property
    def folder_before(self) -> Path:
        """Where the files of the index as it is now lie."""
        assert self.before is not None
        return self.before.folder(self.directory)

    def seal(self, manifest: IndexManifest) -> IndexManifest:
        """Make the generation durable and the index: `files` and `checksum` of the manifest are filled in."""
        try:
            files = {name: _durable(self.folder / name) for name in sorted(_names(self.folder))}
            for folder in (*(path for path in self.folder.rglob("*") if path.is_dir()), self.folder, self.directory):
                _sync(folder)
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self.folder)) from None
        whole = msgspec.structs.replace(manifest, generation=self.generation, files=files)
        sealed = msgspec.structs.replace(whole, checksum=_checksum(whole))
        write_atomic(self.directory / MANIFEST, msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n")
        _sync(self.directory)
        return sealed


def _durable(path: Path) -> FileEntry:
    _sync(path)
    return FileEntry(path.stat().st_size, file_hash(str(path)))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def next_generation(directory: Path, *, change: bool) -> Iterator[Draft]:
    """The folder of the next generation, which becomes the index by `Draft.seal`; without that nothing has happened.

    With `change` the draft holds the manifest of the index as it is, its files checked. Raises AnectlError: no index
    to change, something that is no index is in the way, another command is writing it, or it cannot be written.
    """
    if change and not (directory / MANIFEST).exists():
        read_index_manifest(directory)  # says what is missing, before anything is made
    _refuse_strangers(directory)
    is_new = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise AnectlError(f"cannot write: {error.strerror}", path=str(directory)) from None
    try:
        _take(lock, directory)
        before = read_index_manifest(directory) if change else None
        current = before.generation if before else _generation_now(directory)
        _remove_all_but(directory, current)  # what a killed writer left
        draft = Draft(directory, current + 1, directory / f"generation-{current + 1}", before)
        try:
            draft.folder.mkdir()
            yield draft
        finally:
            # Read again: the writer may have been stopped on either side of the rename.
            _remove_all_but(directory, _generation_now(directory))
    finally:
        os.close(lock)
        if is_new and not any(directory.iterdir()):
            directory.rmdir()


def _take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AnectlError("another build-index is writing this index", path=str(directory)) from None


def _generation_now(directory: Path) -> int:
    """The generation that the manifest names; 0 without one, or with one that cannot be read (it is built anew)."""
    try:
        return _manifest(directory).generation
    except AnectlError:
        return 0


def _remove_all_but(directory: Path, generation: int) -> None:
    for path in directory.iterdir():
        found = _GENERATION.fullmatch(path.name)
        if found and int(found[1]) != generation:
            shutil.rmtree(path, ignore_errors=True)
        elif path.name == MANIFEST + ".partial":
            path.unlink(missing_ok=True)


def _refuse_strangers(directory: Path) -> None:
    """Only what a build-index made is written to: a folder of generations, with or without its manifest."""
    if not directory.exists():
        return
    own = {MANIFEST, MANIFEST + ".partial"}
    names = {path.name for path in directory.iterdir()} if directory.is_dir() else {"a file"}
    strangers = [name for name in names if name not in own and not _GENERATION.fullmatch(name)]
    if strangers or (names and not any(map(_GENERATION.fullmatch, names))):
        raise AnectlError("exists and is no index", path=str(directory), hint="name another folder")
