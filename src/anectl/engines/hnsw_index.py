"""Approximate nearest neighbours by an HNSW graph (hnswlib), for tables too large to compare one by one.

Malkov and Yashunin, arXiv 1603.09320. hnswlib crashes on damaged files, takes a wrong dimension without a word and
forgets `ef`: the folder is verified before it sees it (`core/index_files.py`), and `ef` is set on every load.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np

from anectl.core.errors import AnectlError
from anectl.core.index_files import GRAPH, HnswSettings
from anectl.core.protocols import Hit
from anectl.core.store import REBUILD
from anectl.engines.vector_index import Array, ExactIndex, check_queries

M, EF_CONSTRUCTION, EF_SEARCH = 16, 200, 128
_BLOCK = 4096
_RECALL_QUERIES, _RECALL_AT = 200, 10


class HnswIndex:
    """Searches a graph that `build_graph` or `load_graph` made."""

    def __init__(self, graph: Any, ef: int) -> None:
        self._graph = graph
        self._ef = ef

    def search(self, queries: Any, num_neighbors: int) -> list[list[Hit]]:
        """For each query at most `num_neighbors` hits, best first; of equal ones the lower row comes first."""
        queries_QD = check_queries(queries, self._graph.dim)
        num_neighbors = min(num_neighbors, self._graph.get_current_count())
        if not num_neighbors or not len(queries_QD):
            return [[] for _ in queries_QD]
        self._graph.set_ef(max(self._ef, num_neighbors))
        try:
            rows_QK, distances_QK = self._graph.knn_query(queries_QD, k=num_neighbors, num_threads=1)
        except RuntimeError as error:  # fewer than k are reachable in the graph
            raise AnectlError(f"the HNSW graph gave too few neighbours: {error}", hint=REBUILD) from None
        return [
            sorted(
                (Hit(int(row), 1 - float(distance)) for row, distance in zip(rows, distances, strict=True)),
                key=lambda hit: (-hit.similarity, hit.row),
            )
            for rows, distances in zip(rows_QK, distances_QK, strict=True)
        ]


def build_graph(vectors: Array, directory: Path, advance: Callable[[int], None]) -> HnswSettings:
    """Build the graph, write `vectors.hnsw` and measure its recall against exact search.

    One thread, so that the same vectors give the same graph. `advance(rows)` reports progress.
    """
    count, dimension = vectors.shape
    graph = hnswlib.Index(space="ip", dim=dimension)
    graph.init_index(max_elements=count, M=M, ef_construction=EF_CONSTRUCTION, random_seed=0)
    for start in range(0, count, _BLOCK):
        block = vectors[start : start + _BLOCK]
        graph.add_items(block, np.arange(start, start + len(block)), num_threads=1)
        advance(len(block))
    path = directory / GRAPH
    graph.save_index(str(path))
    # hnswlib reports neither a bad path nor a full disk.
    if not path.exists() or path.stat().st_size != graph.index_file_size():
        raise AnectlError("cannot write: the HNSW graph is not whole on disk", path=str(path), hint="free some space")
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return HnswSettings(M, EF_CONSTRUCTION, EF_SEARCH, _recall(HnswIndex(graph, EF_SEARCH), vectors))


def _recall(index: HnswIndex, vectors: Array) -> float:
    """Share of the exact ten nearest that the graph finds too, over evenly spaced rows."""
    rows = np.linspace(0, len(vectors) - 1, min(_RECALL_QUERIES, len(vectors))).astype(int)
    queries = np.asarray(vectors[rows])
    found = expected = 0
    pairs = zip(index.search(queries, _RECALL_AT), ExactIndex(vectors).search(queries, _RECALL_AT), strict=True)
    for near, exact in pairs:
        # By similarity, not by row: rows of equal vectors are equally right.
        floor = exact[-1].similarity - 1e-6
        found += sum(hit.similarity >= floor for hit in near)
        expected += len(exact)
    return found / expected


def load_graph(directory: Path, count: int, dimension: int, settings: HnswSettings) -> HnswIndex:
    """Load a graph whose file is verified. Raises AnectlError: not readable, or not of `count` rows."""
    path = directory / GRAPH
    graph = hnswlib.Index(space="ip", dim=dimension)
    try:
        graph.load_index(str(path), max_elements=count)
    except RuntimeError as error:
        raise AnectlError(f"not readable as an HNSW graph: {error}", path=str(path), hint=REBUILD) from None
    if graph.get_current_count() != count:
        raise AnectlError(f"holds {graph.get_current_count()} rows, not {count}", path=str(path), hint=REBUILD)
    return HnswIndex(graph, settings.ef)
