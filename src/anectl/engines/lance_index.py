"""Vectors in a LanceDB table on disk, for tables beyond memory.

From 100,000 vectors on they are grouped into partitions (k-means) and kept once more as 8-bit integers; a search looks
through the partitions nearest to the query and compares the best with the vectors themselves. Below that all are
compared. LanceDB keeps 6 GiB of caches unless told otherwise; here it is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import BTree, IvfSq

from anectl.core.errors import AnectlError
from anectl.core.index_files import LanceSettings, Recall, SignalManifest
from anectl.core.protocols import Hit
from anectl.core.store import REBUILD
from anectl.engines.recall import RECALL_AT, measured, spread
from anectl.engines.vector_index import Array, Block, ExactIndex, Rows, check_queries, check_vectors

PARTITIONED_FROM = 100_000
_REFINE = 4  # times as many candidates are compared with the vectors themselves as hits are asked for
_QUERIES = 200
_SAMPLE_RATE = 64  # vectors for each partition that k-means looks at: they are what lies in memory while it works
_INDEX_CACHE_BYTES, _METADATA_CACHE_BYTES = 64 << 20, 64 << 20
_M_ARENA_MAX = -8  # of malloc.h
_TAKEN = 4096
"""Rows that are named in one filter."""


class LanceIndex:
    """Searches a table whose files are verified."""

    def __init__(self, table: Any, dimension: int, count: int, settings: LanceSettings, path: Path) -> None:
        self._table = table
        self._path = path
        self._dimension = dimension
        self._count = count
        self._settings = settings

    def search(self, queries: Any, num_neighbors: int, among: Collection[int] | None = None) -> list[list[Hit]]:
        """For each query at most `num_neighbors` hits, best first; of equal ones the lower row comes first.

        `among` is searched exactly, for all queries at once.
        """
        queries_QD = check_queries(queries, self._dimension)
        if among is not None:
            return self._search_among(queries_QD, num_neighbors, among)
        num_neighbors = min(num_neighbors, self._count)
        if num_neighbors < 1:
            return [[] for _ in queries_QD]
        return [self._hits(query, num_neighbors) for query in queries_QD]

    def _hits(self, query: Array, num_neighbors: int) -> list[Hit]:
        asked = self._table.search(query, vector_column_name="vector").distance_type("dot").limit(num_neighbors)
        if self._settings.num_probes is None:
            asked = asked.bypass_vector_index()
        else:
            asked = asked.nprobes(self._settings.num_probes).refine_factor(_REFINE)
        with _readable(self._path):
            found = asked.select(["row", "_distance"]).to_arrow()
        pairs = zip(found["row"].to_pylist(), found["_distance"].to_pylist(), strict=True)
        return _best((Hit(row, 1 - distance) for row, distance in pairs), num_neighbors)

    def _search_among(self, queries: Array, num_neighbors: int, among: Collection[int]) -> list[list[Hit]]:
        best: list[list[Hit]] = [[] for _ in queries]
        for rows, vectors in self._fetch(among):
            found = ExactIndex(vectors, rows).search(queries, num_neighbors)
            best = [_best([*old, *new], num_neighbors) for old, new in zip(best, found, strict=True)]
        return best

    def vectors(self, rows: Sequence[int]) -> Array:
        """The vectors of these record rows; zeros for a row that has none."""
        found = np.zeros((len(rows), self._dimension), dtype=np.float32)
        asked = np.asarray(rows, dtype=np.int64)
        for held, vectors in self._fetch(rows):
            places = np.flatnonzero(np.isin(asked, held))
            found[places] = vectors[np.searchsorted(held, asked[places])]
        return found

    def _fetch(self, rows: Collection[int]) -> Iterator[tuple[Rows, Array]]:
        """Those of the rows that have a vector, ascending, and their vectors, block by block."""
        names = sorted({int(row) for row in rows})
        for start in range(0, len(names), _TAKEN):
            condition = _is_one_of(names[start : start + _TAKEN])
            with _readable(self._path):
                block = self._table.search().where(condition).select(["row", "vector"]).limit(_TAKEN).to_arrow()
            held: Rows = block["row"].to_numpy()
            order = np.argsort(held)
            yield held[order], _array(block["vector"], self._dimension)[order]


def _best(hits: Iterable[Hit], num: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit.similarity, hit.row))[:num]


def write_table(
    folder: Path,
    signal: str,
    dimension: int,
    blocks: Iterable[Block],
    target: float,
    *,
    before: Path | None = None,
    gone: Collection[int] = (),
) -> tuple[int, LanceSettings]:
    """Write `SIGNAL.lance`, or the one in the folder `before` with rows gone and added; its count and its settings."""
    schema = pa.schema([pa.field("row", pa.int64()), pa.field("vector", pa.list_(pa.float32(), dimension))])
    if before is not None:
        _link(before / f"{signal}.lance", folder / f"{signal}.lance")
    failures: list[BaseException] = []
    batches = pa.RecordBatchReader.from_batches(schema, _kept(failures, _batches(blocks, schema, dimension)))
    with _writable(folder, failures):
        database = _connect(folder)
        if before is None:
            table = database.create_table(signal, data=batches, schema=schema)
        else:
            table = database.open_table(signal)
            for start in range(0, len(gone), _TAKEN):
                table.delete(_is_one_of(list(gone)[start : start + _TAKEN]))
            table.add(batches)
            _compact(table)
        table.create_index("row", config=BTree(), replace=True)
        settings = _indexed(table, dimension, target)
    return table.count_rows(), LanceSettings(
        version=table.version,
        num_partitions=settings.num_partitions,
        num_probes=settings.num_probes,
        recall=settings.recall,
    )


def open_table(folder: Path, signal: str, entry: SignalManifest) -> LanceIndex:
    """The search of a signal whose files are verified. Raises AnectlError: not readable, or not what was written."""
    assert entry.lancedb is not None
    path = folder / f"{signal}.lance"
    with _readable(path):
        table = _connect(folder).open_table(signal)
        found = table.count_rows(), table.version, table.schema.field("vector").type.list_size
    expected = entry.count, entry.lancedb.version, entry.dimension
    if found != expected:
        raise AnectlError(f"rows, version and dimension are {found}, not {expected}", path=str(path), hint=REBUILD)
    return LanceIndex(table, entry.dimension, entry.count, entry.lancedb, path)


def _compact(table: Any) -> None:
    """Write what was added and deleted into the files, and drop the versions before. Partitions are made anew later."""
    for index in table.list_indices():
        table.drop_index(index.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nobody else has this generation open yet
        table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)


def _use_few_arenas() -> None:
    """Let glibc's malloc use one arena: with one for each of LanceDB's threads, half of the memory is gaps."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _connect(folder: Path) -> Any:
    _use_few_arenas()
    session = lancedb.Session(
        index_cache_size_bytes=_INDEX_CACHE_BYTES, metadata_cache_size_bytes=_METADATA_CACHE_BYTES
    )
    return lancedb.connect(str(folder), session=session)


def _batches(blocks: Iterable[Block], schema: Any, dimension: int) -> Iterator[Any]:
    for rows, vectors in blocks:
        check_vectors(vectors, dimension)
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
        columns = [pa.array(rows, pa.int64()), pa.FixedSizeListArray.from_arrays(flat, dimension)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _indexed(table: Any, dimension: int, target: float) -> LanceSettings:
    """Group a large table into partitions, and find how many of them a search must look through."""
    count = table.count_rows()
    if count < PARTITIONED_FROM:
        return LanceSettings(version=0)
    num_partitions = round(count**0.5)
    partitions = IvfSq(distance_type="dot", num_partitions=num_partitions, sample_rate=_SAMPLE_RATE)
    table.create_index("vector", config=partitions, replace=True)
    num_probes, recall = _tuned(table, dimension, count, num_partitions, target)
    return LanceSettings(version=0, num_partitions=num_partitions, num_probes=num_probes, recall=recall)


def _tuned(table: Any, dimension: int, count: int, num_partitions: int, target: float) -> tuple[int, Recall]:
    """The fewest probes at which the recall surely reaches the target, else all partitions.

    The queries are rows of the table, each asked for its neighbours other than itself.
    """
    own = table.take_offsets(spread(count, _QUERIES).tolist()).select(["row", "vector"]).to_arrow()
    queries, rows = _array(own["vector"], dimension), own["row"].to_pylist()

    def searched(settings: LanceSettings, among: Collection[int] | None) -> list[list[Hit]]:
        index = LanceIndex(table, dimension, count, settings, Path(table.uri))
        found = index.search(queries, RECALL_AT + 1, among)
        return [[hit for hit in hits if hit.row != row][:RECALL_AT] for hits, row in zip(found, rows, strict=True)]

    everything = table.search().select(["row"]).limit(count).to_arrow()["row"].to_pylist()
    wanted = searched(LanceSettings(version=0), everything)
    num_probes = 8
    while True:
        num_probes = min(num_probes, num_partitions)
        found = searched(LanceSettings(version=0, num_probes=num_probes), None)
        recall = measured(found, wanted, target=target, count=count)
        if recall.low >= target or num_probes == num_partitions:
            return num_probes, recall
        num_probes = num_probes * 3 // 2


def _kept(failures: list[BaseException], batches: Iterator[Any]) -> Iterator[Any]:
    """The batches; what is raised while they are made is kept, for on its way through LanceDB only its text is left."""
    try:
        yield from batches
    except BaseException as error:
        failures.append(error)
        raise


def _array(column: Any, dimension: int) -> Array:
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined: Array = np.concatenate([np.empty(0, dtype=np.float32), *flat]).reshape(-1, dimension)
    return joined


def _is_one_of(rows: Collection[int]) -> str:
    # Whole numbers only: nothing else can come into the filter.
    return f"row IN ({', '.join(str(int(row)) for row in rows)})"


def _link(source: Path, target: Path) -> None:
    """The same table at another place: its large files never change, so they are linked where the disk can do that."""

    def copy(old: str, new: str) -> None:
        if old.endswith((".lance", ".idx")):
            with contextlib.suppress(OSError):
                os.link(old, new)
                return
        shutil.copyfile(old, new)

    try:
        shutil.copytree(source, target, copy_function=copy)
    except (OSError, shutil.Error) as error:
        raise AnectlError(f"cannot write: {error}", path=str(target)) from None


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
        raise AnectlError(
            f"not readable as a LanceDB table: {_first_line(error)}", path=str(path), hint=REBUILD
        ) from None


@contextlib.contextmanager
def _writable(folder: Path, failures: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
        if failures:
            raise failures[0] from None
        raise AnectlError(f"cannot write: {_first_line(error)}", path=str(folder)) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
