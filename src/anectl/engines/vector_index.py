"""Vectors on disk, and exact nearest neighbours over them (numpy)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from anectl.core.errors import AnectlError
from anectl.core.protocols import Hit
from anectl.core.store import REBUILD

Array: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.int64]
Block: TypeAlias = tuple[Sequence[int], Array]
"""Vectors with the record row of each; rows ascend within a block and from block to block."""

_BLOCK = 16_384  # rows compared at a time: 64 MiB for 1024 dimensions
_UNIT_TOLERANCE = 1e-3


class VectorWriter:
    """Writes `SIGNAL.npy` and `SIGNAL.rows.npy` block by block; context manager. Of use only after `commit`."""

    def __init__(self, folder: Path, signal: str, dimension: int) -> None:
        self.count = 0
        self._dimension = dimension
        self._path = folder / f"{signal}.npy"
        self._last_row = -1
        with contextlib.ExitStack() as stack:
            self._vectors = stack.enter_context(open(self._path, "wb"))
            self._rows = stack.enter_context(open(_rows_path(folder, signal), "wb"))
            self._write_headers()
            self._files = stack.pop_all()

    def _write_headers(self) -> None:
        # numpy pads the header for shapes that grow, so the final one takes the place of the first.
        _write_header(self._vectors, "<f4", (self.count, self._dimension))
        _write_header(self._rows, "<i8", (self.count,))

    def append(self, rows: Sequence[int], vectors: Array) -> None:
        """Add vectors of length 1. Raises AnectlError for one that is not finite or not of unit length."""
        check_vectors(vectors, self._dimension)
        if len(rows) != len(vectors) or any(b <= a for a, b in zip([self._last_row, *rows], rows, strict=False)):
            raise ValueError("rows must ascend, one for each vector")
        try:
            self._vectors.write(np.ascontiguousarray(vectors, dtype="<f4").data)
            self._rows.write(np.asarray(rows, dtype="<i8").data)
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self._path)) from None
        self.count += len(rows)
        self._last_row = rows[-1] if len(rows) else self._last_row

    def commit(self) -> None:
        """Write everything out; the caller makes the files durable."""
        try:
            for file in (self._vectors, self._rows):
                file.seek(0)
            self._write_headers()
            for file in (self._vectors, self._rows):
                file.flush()
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self._path)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A full disk refuses the last flush too; the first failure is the one to report.
        with contextlib.suppress(OSError):
            self._files.close()


def _rows_path(folder: Path, signal: str) -> Path:
    return folder / f"{signal}.rows.npy"


def _write_header(file: BinaryIO, kind: str, shape: tuple[int, ...]) -> None:
    npy.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})


def check_vectors(vectors: Array, dimension: int) -> None:
    """Raises AnectlError for vectors of another dimension, or not finite, or not of unit length."""
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise AnectlError(f"the embedder gave vectors of shape {vectors.shape}, not of dimension {dimension}")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(vectors).all() or (np.abs(lengths - 1) > _UNIT_TOLERANCE).any():
        raise AnectlError("the embedder gave a vector that is not finite or not of unit length")


def kept_blocks(vectors: Array, rows: Rows, gone: Collection[int]) -> Iterator[Block]:
    """The vectors of an index block by block, without the rows that are gone."""
    removed = np.fromiter(gone, np.int64, len(gone))
    for start in range(0, len(rows), _BLOCK):
        kept = ~np.isin(rows[start : start + _BLOCK], removed)
        yield rows[start : start + _BLOCK][kept].tolist(), vectors[start : start + _BLOCK][kept]


def write_vectors(folder: Path, signal: str, dimension: int, blocks: Iterable[Block]) -> int:
    """Write the vectors of a signal and say how many there are."""
    with VectorWriter(folder, signal, dimension) as writer:
        for rows, vectors in blocks:
            writer.append(rows, vectors)
        writer.commit()
    return writer.count


def open_vectors(folder: Path, signal: str, count: int, dimension: int) -> tuple[Array, Rows]:
    """The vectors of a signal, mapped into memory, and the record row of each.

    Raises AnectlError: not arrays of these shapes, a value that is not finite, or rows that do not ascend.
    """
    path = folder / f"{signal}.npy"
    vectors: Array = _mapped(path, (count, dimension), "<f4")
    rows: Rows = np.array(_mapped(_rows_path(folder, signal), (count,), "<i8"))
    for start in range(0, count, _BLOCK):
        if not np.isfinite(vectors[start : start + _BLOCK]).all():
            raise AnectlError("holds values that are not finite", path=str(path), hint=REBUILD)
    if count and (rows[0] < 0 or (np.diff(rows) <= 0).any()):
        raise AnectlError("rows do not ascend", path=str(_rows_path(folder, signal)), hint=REBUILD)
    return vectors, rows


def _mapped(path: Path, shape: tuple[int, ...], kind: str) -> Any:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AnectlError(f"not readable as vectors: {error}", path=str(path), hint=REBUILD) from None
    if array.shape != shape or array.dtype != np.dtype(kind):
        found = f"{array.dtype} of shape {array.shape}"
        raise AnectlError(f"expected {np.dtype(kind)} of shape {shape}, found {found}", path=str(path), hint=REBUILD)
    return array


def check_queries(queries: Any, dimension: int) -> Array:
    """The queries as an array of shape (rows, dimension). Raises AnectlError: another dimension, or not finite."""
    array = np.ascontiguousarray(queries, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != dimension:
        raise AnectlError(f"queries of shape {array.shape} do not fit an index of dimension {dimension}")
    if not np.isfinite(array).all():
        raise AnectlError("a query vector is not finite")
    return array


class ExactIndex:
    """Compares each query with every vector."""

    def __init__(self, vectors: Array, rows: Rows | None = None) -> None:
        """`vectors` has shape (count, dimension), rows of length 1; it may be mapped from a file.

        `rows` is the record row of each vector, ascending; None numbers them from 0.
        """
        self._vectors = vectors
        self._rows: Rows = np.arange(len(vectors)) if rows is None else rows

    def search(self, queries: Any, num_neighbors: int, among: Collection[int] | None = None) -> list[list[Hit]]:
        """For each query at most `num_neighbors` hits, best first; of equal ones the lower row comes first."""
        queries_QD = check_queries(queries, self._vectors.shape[1])
        places = None if among is None else self._places(among)
        count = len(self._rows) if places is None else len(places)
        num_neighbors = min(num_neighbors, count)
        if num_neighbors < 1:
            return [[] for _ in queries_QD]
        best: list[list[Hit]] = [[] for _ in queries_QD]
        for start in range(0, count, _BLOCK):
            block: Any = slice(start, start + _BLOCK) if places is None else places[start : start + _BLOCK]
            rows_B = self._rows[block]
            similarities_QB = queries_QD @ self._vectors[block].T
            for query, similarities_B in enumerate(similarities_QB):
                best[query] = _merge(best[query], similarities_B, rows_B, num_neighbors)
        return best

    def vectors(self, rows: Sequence[int]) -> Array:
        """The vectors of these record rows; zeros for a row that has none."""
        found = np.zeros((len(rows), self._vectors.shape[1]), dtype=np.float32)
        wanted = np.asarray(rows, dtype=np.int64)
        places = np.searchsorted(self._rows, wanted)
        places[places == len(self._rows)] = 0
        has_one = self._rows[places] == wanted if len(self._rows) else np.zeros(len(wanted), dtype=bool)
        found[has_one] = self._vectors[places[has_one]]
        return found

    def _places(self, among: Collection[int]) -> npt.NDArray[np.intp]:
        wanted = np.fromiter(among, np.int64, len(among))
        return np.flatnonzero(np.isin(self._rows, wanted))


def _merge(best: Sequence[Hit], similarities_B: Array, rows_B: Rows, num_neighbors: int) -> list[Hit]:
    places = np.arange(len(similarities_B))
    if len(places) > num_neighbors:
        # All that tie with the last one stay in, so that ties are cut by row number and not by chance.
        floor = np.partition(similarities_B, -num_neighbors)[-num_neighbors]
        places = np.flatnonzero(similarities_B >= floor)
    found = [Hit(int(rows_B[place]), float(similarities_B[place])) for place in places]
    return sorted([*best, *found], key=lambda hit: (-hit.similarity, hit.row))[:num_neighbors]
