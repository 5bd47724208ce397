"""The vectors of one signal written into a generation of an index, by the backend that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from anectl.core.index_files import Backend, SignalManifest
from anectl.core.records import Signal
from anectl.engines import load_engine
from anectl.engines.vector_index import Block, kept_blocks, open_vectors, write_vectors

EXACT_BELOW = 100_000


@dataclass(frozen=True, slots=True)
class Before:
    """A signal of the index as it is, in the folder of its generation."""

    folder: Path
    entry: SignalManifest


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a signal is to be searched: the backend asked for, the recall it is to reach, threads that build."""

    backend: Literal["auto", "exact", "hnsw", "lancedb"]
    recall: float
    threads: int = 1

    def backend_of(self, count: int) -> Backend:
        """The backend for so many vectors."""
        if self.backend == "auto":
            return "exact" if count < EXACT_BELOW else "hnsw"
        return "exact" if self.backend == "hnsw" and not count else self.backend


def _ignore(note: str) -> None:
    """No progress is shown."""


def write_signal(
    folder: Path,
    signal: Signal,
    entry: SignalManifest,
    blocks: Iterator[Block],
    tuning: Tuning,
    *,
    before: Before | None = None,
    gone: list[int],
    progress: Callable[[int], AbstractContextManager[Callable[[str], None]]] = lambda total: nullcontext(_ignore),
) -> SignalManifest:
    """Write new vectors, with those of `before` that are not `gone`; the entry with its count and its backend.

    `entry` says whose vectors they are. `progress(total)` opens what is called for each vector put into a graph.
    """
    if tuning.backend == "lancedb":
        lance_index = load_engine("lance_index", "lancedb")
        count, settings = lance_index.write_table(
            folder, signal, entry.dimension, blocks, tuning.recall, before=before and before.folder, gone=gone
        )
        return msgspec.structs.replace(entry, count=count, backend="lancedb", lancedb=settings, hnsw=None)
    rows_before = None
    if before is not None:
        vectors, rows_before = open_vectors(before.folder, signal, before.entry.count, before.entry.dimension)
        blocks = chain(kept_blocks(vectors, rows_before, gone), blocks)
    count = write_vectors(folder, signal, entry.dimension, blocks)
    backend = tuning.backend_of(count)
    hnsw = None
    if backend == "hnsw":
        hnsw_index = load_engine("hnsw_index", "index")
        graph = None
        if before is not None and before.entry.hnsw is not None:
            graph = hnsw_index.Before(before.folder, before.entry.hnsw, np.asarray(rows_before))
        vectors, rows = open_vectors(folder, signal, count, entry.dimension)
        with progress(count) as step:
            hnsw = hnsw_index.write_graph(
                folder,
                signal,
                vectors,
                rows,
                target=tuning.recall,
                num_threads=tuning.threads,
                before=graph,
                advance=step,
            )
    return msgspec.structs.replace(entry, count=count, backend=backend, hnsw=hnsw, lancedb=None)
