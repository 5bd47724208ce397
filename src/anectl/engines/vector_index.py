"""Vectors on disk, and exact nearest neighbours over them (numpy)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from anectl.core.errors import AnectlError
from anectl.core.index_files import VECTORS
from anectl.core.protocols import Hit
from anectl.core.store import REBUILD

Array = npt.NDArray[np.float32]

_BLOCK = 16_384  # rows compared at a time: 64 MiB for 1024 dimensions
_UNIT_TOLERANCE = 1e-3


class VectorWriter:
    """Writes `vectors.npy` batch by batch; context manager. The file is of use only after `commit`."""

    def __init__(self, directory: Path, dimension: int) -> None:
        self.count = 0
        self.path = directory / VECTORS
        self._dimension = dimension
        self._file = open(self.path, "wb")  # noqa: SIM115  (closed by __exit__)
        self._write_header()

    def _write_header(self) -> None:
        # numpy pads the header for shapes that grow, so the final one takes the place of the first.
        shape = (self.count, self._dimension)
        npy.write_array_header_1_0(self._file, {"descr": "<f4", "fortran_order": False, "shape": shape})

    def append(self, vectors: Array) -> None:
        """Add rows of length 1. Raises AnectlError for a vector that is not finite or not of unit length."""
        if not np.isfinite(vectors).all() or np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > _UNIT_TOLERANCE:
            raise AnectlError("the embedder gave a vector that is not finite or not of unit length")
        try:
            self._file.write(np.ascontiguousarray(vectors, dtype="<f4").data)
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self.path)) from None
        self.count += len(vectors)

    def commit(self) -> None:
        """Make the file whole on disk."""
        try:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise AnectlError(f"cannot write: {error.strerror}", path=str(self.path)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A full disk refuses the last flush too; the first failure is the one to report.
        with contextlib.suppress(OSError):
            self._file.close()


def open_vectors(directory: Path, count: int, dimension: int) -> Array:
    """The vectors of an index, mapped into memory.

    Raises AnectlError: not a float32 array of shape (count, dimension), or a value that is not finite.
    """
    path = directory / VECTORS
    try:
        vectors: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AnectlError(f"not readable as vectors: {error}", path=str(path), hint=REBUILD) from None
    if vectors.shape != (count, dimension) or vectors.dtype != np.dtype("<f4"):
        found = f"{vectors.dtype} of shape {vectors.shape}"
        raise AnectlError(
            f"expected float32 of shape {(count, dimension)}, found {found}", path=str(path), hint=REBUILD
        )
    for start in range(0, count, _BLOCK):
        if not np.isfinite(vectors[start : start + _BLOCK]).all():
            raise AnectlError("holds values that are not finite", path=str(path), hint=REBUILD)
    return vectors


def check_queries(queries: Any, dimension: int) -> Array:
    """The queries as an array of shape (rows, dimension). Raises AnectlError: another dimension, or not finite."""
    array = np.asarray(queries, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != dimension:
        raise AnectlError(f"queries of shape {array.shape} do not fit an index of dimension {dimension}")
    if not np.isfinite(array).all():
        raise AnectlError("a query vector is not finite")
    return array


class ExactIndex:
    """Compares each query with every vector."""

    def __init__(self, vectors: Array) -> None:
        """`vectors` has shape (count, dimension), rows of length 1; it may be mapped from a file."""
        self._vectors = vectors

    def search(self, queries: Any, num_neighbors: int) -> list[list[Hit]]:
        """For each query at most `num_neighbors` hits, best first; of equal ones the lower row comes first."""
        count, dimension = self._vectors.shape
        queries_QD = check_queries(queries, dimension)
        num_neighbors = min(num_neighbors, count)
        best: list[list[Hit]] = [[] for _ in queries_QD]
        for start in range(0, count, _BLOCK):
            similarities_QB = queries_QD @ self._vectors[start : start + _BLOCK].T
            for query, similarities_B in enumerate(similarities_QB):
                best[query] = _merge(best[query], similarities_B, start, num_neighbors)
        return best


def _merge(best: Sequence[Hit], similarities_B: Array, start: int, num_neighbors: int) -> list[Hit]:
    rows = np.arange(len(similarities_B))
    if len(rows) > num_neighbors:
        # All that tie with the last one stay in, so that ties are cut by row number and not by chance.
        floor = np.partition(similarities_B, -num_neighbors)[-num_neighbors]
        rows = np.flatnonzero(similarities_B >= floor)
    found = [Hit(start + int(row), float(similarities_B[row])) for row in rows]
    return sorted([*best, *found], key=lambda hit: (-hit.similarity, hit.row))[:num_neighbors]
