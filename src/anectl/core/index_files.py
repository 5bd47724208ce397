"""An index on disk: a folder that is whole or not there, and the manifest by which damage is found.

records.sqlite   the problems (`core/store.py`)
vectors.npy      float32, shape (count, dimension), rows of length 1
vectors.hnsw     the HNSW graph over them, where the index has one
manifest.json    `index/1`: what made it, and size and SHA-256 of each file

Native readers crash on damaged files, so everything is checked against the manifest before any of them runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.manifest import file_hash
from anectl.core.output import write_atomic
from anectl.core.store import REBUILD

RECORDS, VECTORS, GRAPH, MANIFEST = "records.sqlite", "vectors.npy", "vectors.hnsw", "manifest.json"
SCHEMA = "index/1"


class FileEntry(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 of one file of the index."""

    bytes: int
    sha256: str


class HnswSettings(msgspec.Struct, frozen=True):
    """Links per node, candidates while building and while searching, and the recall@10 measured after building."""

    m: int
    ef_construction: int
    ef: int
    recall: float


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`embedder` is the spec it was built with; `rows` digests the content keys in row order."""

    schema: Literal["index/1"] = "index/1"
    embedder: str
    embedder_name: str
    signal: Literal["text", "joint"]
    dimension: int
    metric: Literal["cosine"] = "cosine"
    count: int
    hnsw: HnswSettings | None
    rows: str
    files: dict[str, FileEntry]
    versions: dict[str, str]
    options: dict[str, Any]
    checksum: str = ""


def write_index_manifest(directory: Path, manifest: IndexManifest) -> None:
    """Write the manifest with the checksum of its own content."""
    sealed = msgspec.structs.replace(manifest, checksum=_checksum(manifest))
    write_atomic(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n")


def _checksum(manifest: IndexManifest) -> str:
    bare = msgspec.structs.replace(manifest, checksum="")
    return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()


def read_index_manifest(directory: Path) -> IndexManifest:
    """The manifest of an index, its files checked against it.

    Raises AnectlError: no index, an unknown version, a changed manifest, or a file that is missing, of another size
    or of other content than was written.
    """
    path = directory / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = f"build one with anectl build-index -o {directory}"
        raise AnectlError(f"not an index: {error.strerror}", path=str(path), hint=hint) from None
    try:
        tag = msgspec.json.decode(data)["schema"]
        if tag != SCHEMA:
            raise AnectlError(f"expected {SCHEMA}, found {tag!r}", path=str(path), hint="use the anectl that wrote it")
        manifest = msgspec.json.decode(data, type=IndexManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise AnectlError(f"not an index manifest: {error}", path=str(path), hint=REBUILD) from None
    if manifest.checksum != _checksum(manifest):
        raise AnectlError("changed since it was written", path=str(path), hint=REBUILD)
    for name, entry in manifest.files.items():
        _check_file(directory / name, entry)
    return manifest


def file_entry(path: Path) -> FileEntry:
    """Size and hash of a file as they are now."""
    return FileEntry(path.stat().st_size, file_hash(str(path)))


def _check_file(path: Path, entry: FileEntry) -> None:
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise AnectlError(f"has {size} bytes where {entry.bytes} were written", path=str(path), hint=REBUILD)
        if file_hash(str(path)) != entry.sha256:
            raise AnectlError("is not what was written (SHA-256 differs)", path=str(path), hint=REBUILD)
    except OSError as error:
        raise AnectlError(f"cannot read: {error.strerror}", path=str(path), hint=REBUILD) from None


@contextmanager
def new_index(directory: Path) -> Iterator[Path]:
    """A folder to build an index in; takes the place of `directory` when the block ends normally.

    Raises AnectlError: something that is no index is in the way, another build is running, or it cannot be written.
    """
    _refuse_strangers(directory)
    partial = directory.with_name(directory.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY)
    except OSError as error:
        raise AnectlError(f"cannot write: {error.strerror}", path=str(partial)) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnectlError("another build-index is writing this index", path=str(directory)) from None
        try:
            _empty(partial)  # what a killed build left
            yield partial
            os.fsync(lock)
            _replace(partial, directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(lock)


def _refuse_strangers(directory: Path) -> None:
    if directory.is_dir() and (not any(directory.iterdir()) or (directory / MANIFEST).is_file()):
        return
    if directory.exists():
        raise AnectlError("exists and is no index", path=str(directory), hint="name another folder")


def _empty(partial: Path) -> None:
    for path in partial.iterdir():
        path.unlink()


def _replace(partial: Path, directory: Path) -> None:
    """Two renames: at every moment the folder is a whole index or not there."""
    old = directory.with_name(directory.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.rename(directory, old)
    os.rename(partial, directory)
    shutil.rmtree(old, ignore_errors=True)
