"""Approximate nearest neighbours by an HNSW graph (hnswlib), for tables too large to compare one by one.

Malkov and Yashunin, arXiv 1603.09320. hnswlib crashes on damaged files, takes a wrong dimension without a word, says
nothing of a full disk and forgets `ef`: the folder is verified before it sees it (`core/index_files.py`), what it
saved is measured, and `ef` is set for every search.

How many candidates a search keeps (`ef`) is found by measuring: of the rows to be added some are held out till the
end, and are asked for their ten nearest before they go in. They are queries that the graph has never seen, so its
recall on them is what a search can expect.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hnswlib
import msgspec
import numpy as np
import numpy.typing as npt

from anectl.core.errors import AnectlError
from anectl.core.index_files import HnswSettings
from anectl.core.protocols import Hit
from anectl.core.store import REBUILD
from anectl.engines.recall import RECALL_AT, measured, spread
from anectl.engines.vector_index import Array, ExactIndex, Rows, check_queries

# Links per node and candidates while building; the second pair only where the first misses the target.
SHAPES = ((16, 200), (32, 400))
_EFS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_BLOCK = 4096
_MOST_CHANGED = 0.1  # share of the rows that may come or go before the graph is built anew


class HnswIndex:
    """Searches a graph whose labels are the record rows."""

    def __init__(self, graph: Any, ef: int, exact: ExactIndex, count: int) -> None:
        """`exact` searches the same `count` live vectors one by one."""
        self._graph = graph
        self._ef = ef
        self._exact = exact
        self._count = count

    def search(self, queries: Any, num_neighbors: int, among: Collection[int] | None = None) -> list[list[Hit]]:
        """For each query at most `num_neighbors` hits, best first; of equal ones the lower row comes first.

        `among` is searched exactly: a graph finds few of the rows that a filter leaves.
        """
        if among is not None:
            return self._exact.search(queries, num_neighbors, among)
        queries_QD = check_queries(queries, self._graph.dim)
        num_neighbors = min(num_neighbors, self._count)
        if num_neighbors < 1 or not len(queries_QD):
            return [[] for _ in queries_QD]
        self._graph.set_ef(max(self._ef, num_neighbors))
        try:
            rows_QK, distances_QK = self._graph.knn_query(queries_QD, k=num_neighbors, num_threads=1)
        except RuntimeError:  # fewer than that many can be reached in the graph
            return self._exact.search(queries_QD, num_neighbors)
        similarities_QK = 1 - distances_QK
        order_QK = np.lexsort((rows_QK, -similarities_QK))
        rows = np.take_along_axis(rows_QK, order_QK, 1).tolist()
        similarities = np.take_along_axis(similarities_QK, order_QK, 1).tolist()
        return [list(map(Hit, *pair)) for pair in zip(rows, similarities, strict=True)]

    def vectors(self, rows: Sequence[int]) -> Array:
        """The vectors of these record rows; zeros for a row that has none."""
        return self._exact.vectors(rows)


@dataclass(frozen=True, slots=True)
class Before:
    """The graph of the index as it was, with the rows in it."""

    folder: Path
    settings: HnswSettings
    rows: Rows


def write_graph(
    folder: Path,
    signal: str,
    vectors: Array,
    rows: Rows,
    *,
    target: float,
    num_threads: int = 1,
    before: Before | None = None,
    advance: Callable[[str], None] = lambda note: None,
) -> HnswSettings:
    """Write `SIGNAL.hnsw` over these vectors. `advance` is called for each vector put in.

    A graph from before is kept and changed, unless much has changed since it was measured. With one thread the same
    vectors give the same graph.
    """
    insert = _Inserter(vectors, rows, num_threads, advance)
    if before is not None and not _is_outgrown(before, rows):
        graph, settings = _changed(signal, before, rows, insert)
    else:
        graph, settings = _built(vectors, rows, target, insert)
    _save(graph, folder / f"{signal}.hnsw")
    return settings


@dataclass(frozen=True, slots=True)
class _Inserter:
    vectors: Array
    rows: Rows
    num_threads: int
    advance: Callable[[str], None]

    def __call__(self, graph: Any, places: npt.NDArray[np.int64]) -> None:
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            graph.add_items(self.vectors[block], self.rows[block], num_threads=self.num_threads)
            for _ in block:
                self.advance("")


def _built(vectors: Array, rows: Rows, target: float, insert: _Inserter) -> tuple[Any, HnswSettings]:
    exact = ExactIndex(vectors, rows)
    held_out = spread(len(rows))
    first = np.setdiff1d(np.arange(len(rows)), held_out, assume_unique=True)
    queries = np.ascontiguousarray(vectors[held_out])
    wanted = exact.search(queries, RECALL_AT, rows[first])
    for m, ef_construction in SHAPES:
        graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
        graph.init_index(max_elements=len(rows), M=m, ef_construction=ef_construction, random_seed=0)
        insert(graph, first)
        for ef in _EFS if len(held_out) else _EFS[-1:]:
            found = HnswIndex(graph, ef, exact, len(first)).search(queries, RECALL_AT)
            recall = measured(found, wanted, target=target, count=len(rows)) if found else None
            if recall is None or recall.low >= target:
                break
        if recall is None or recall.low >= target:
            break
    insert(graph, held_out)
    return graph, HnswSettings(m=m, ef_construction=ef_construction, ef=ef, recall=recall)


def _is_outgrown(before: Before, rows: Rows) -> bool:
    """Whether so many rows came or went since the recall was measured that it says little any more."""
    recall, num_deleted = before.settings.recall, before.settings.num_deleted
    if recall is None:
        return True
    num_stay = len(np.intersect1d(before.rows, rows, assume_unique=True))
    came = len(before.rows) + num_deleted - recall.count + len(rows) - num_stay
    went = num_deleted + len(before.rows) - num_stay
    return came + went > _MOST_CHANGED * recall.count


def _changed(signal: str, before: Before, rows: Rows, insert: _Inserter) -> tuple[Any, HnswSettings]:
    new = np.flatnonzero(~np.isin(rows, before.rows))
    gone = np.setdiff1d(before.rows, rows, assume_unique=True)
    num_nodes = len(before.rows) + before.settings.num_deleted
    graph = _loaded(before.folder / f"{signal}.hnsw", num_nodes, insert.vectors.shape[1], num_nodes + len(new))
    for row in gone.tolist():
        graph.mark_deleted(row)
    insert(graph, new)
    num_deleted = before.settings.num_deleted + len(gone)
    return graph, msgspec.structs.replace(before.settings, num_deleted=num_deleted)


def _save(graph: Any, path: Path) -> None:
    graph.save_index(str(path))
    # hnswlib reports neither a bad path nor a full disk.
    if not path.exists() or path.stat().st_size != graph.index_file_size():
        raise AnectlError("cannot write: the HNSW graph is not whole on disk", path=str(path), hint="free some space")


def _loaded(path: Path, num_nodes: int, dimension: int, max_nodes: int) -> Any:
    """A graph whose file is verified. Raises AnectlError: not readable, or not of so many nodes."""
    graph = hnswlib.Index(space="ip", dim=dimension)
    try:
        graph.load_index(str(path), max_elements=max_nodes)
    except RuntimeError as error:
        raise AnectlError(f"not readable as an HNSW graph: {error}", path=str(path), hint=REBUILD) from None
    if graph.get_current_count() != num_nodes:
        found = graph.get_current_count()
        raise AnectlError(f"holds {found} rows, not {num_nodes}", path=str(path), hint=REBUILD)
    return graph


def load_graph(folder: Path, signal: str, vectors: Array, rows: Rows, settings: HnswSettings) -> HnswIndex:
    """Load the graph over these vectors; its file is verified. Raises AnectlError: not readable, or not of them."""
    num_nodes = len(rows) + settings.num_deleted
    graph = _loaded(folder / f"{signal}.hnsw", num_nodes, vectors.shape[1], num_nodes)
    return HnswIndex(graph, settings.ef, ExactIndex(vectors, rows), len(rows))
