"""Indexes over made-up vectors, without any embedder, for the tests of what lies on disk and how it is searched."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anectl.core.errors import AnectlError
from anectl.core.index_files import (
    RECORDS,
    IndexManifest,
    SignalManifest,
    next_generation,
    open_records,
    read_index_manifest,
)
from anectl.core.record_writer import RecordWriter
from anectl.core.records import Problem
from anectl.core.store import StoredProblem
from anectl.engines import load_index
from anectl.engines.index_writer import Before, Tuning, write_signal

DIMENSION = 24


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    """Random vectors of length 1."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def problem(number: int, **fields: Any) -> StoredProblem:
    """A problem with a content key of its own."""
    given = {"id": f"t{number}", "question": f"How much is q{number}?", "answer": "1", "answer_type": "number"}
    return StoredProblem(Problem(**(given | {"solution": f"word{number} gives 1."} | fields)), f"{number:032x}", "0")


def vectors_of(rows: Sequence[int]) -> np.ndarray:
    """The vectors that rows have in these indexes, each a function of its row alone."""
    return np.concatenate([np.empty((0, DIMENSION), np.float32), *(unit_vectors(1, seed=row) for row in rows)])


def empty_signal() -> SignalManifest:
    """A signal before it has any vector."""
    return SignalManifest(embedder="none", embedder_name="none", dimension=DIMENSION, count=0, backend="exact")


def build(folder: Path, count: int, *, backend: str = "hnsw") -> IndexManifest:
    """An index of `count` problems; every third has no image vector."""
    return change(folder, [problem(number) for number in range(count)], (), backend=backend, is_new=True)


def change(
    folder: Path, new: Sequence[StoredProblem], gone: Sequence[str], *, backend: str = "hnsw", is_new: bool = False
) -> IndexManifest:
    """Add problems to an index and take ids out of it, in one generation, as build-index does."""
    with next_generation(folder, change=not is_new) as draft:
        before = draft.before
        if before is not None:
            (draft.folder / RECORDS).write_bytes((draft.folder_before / RECORDS).read_bytes())
        with RecordWriter(draft.folder / RECORDS, before.next_row if before else 0) as records:
            first = records.next_row
            records.remove(records.rows_of(gone))
            for one in new:
                records.put(one)
            rows = list(range(first, records.next_row))
            facts = records.facts()
            records.commit()
        signals = {}
        for signal in ("text", "image"):
            entry = before.signals[signal] if before else empty_signal()
            signals[signal] = write_signal(
                draft.folder,
                signal,
                entry,
                _blocks([row for row in rows if signal == "text" or row % 3]),
                Tuning(backend, 0.9),
                before=Before(draft.folder_before, entry) if before else None,
                gone=records.removed,
            )
        manifest = IndexManifest(
            generation=0,
            count=facts.count,
            next_row=records.next_row,
            rows=facts.rows,
            backend=backend,
            recall_target=0.9,
            num_unverified=0,
            licences={},
            signals=signals,
            files={},
            versions={},
            options={},
        )
        return draft.seal(manifest)


def _blocks(rows: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
    for start in range(0, len(rows), 50):
        yield rows[start : start + 50], vectors_of(rows[start : start + 50])


def answers(folder: Path) -> list[Any]:
    """What an index says to a few questions of every kind."""
    manifest = read_index_manifest(folder)
    records = open_records(folder, manifest)
    rows = records.rows()
    found: list[Any] = [rows, records.match("word3 gives word17", 5), [one.problem.id for one in records.get(rows[:9])]]
    for signal in manifest.signals:
        index = load_index(folder, manifest, signal)
        found.append([[hit.row for hit in hits] for hits in index.search(unit_vectors(5, seed=77), 8)])
        found.append(index.vectors(rows[:20]).tobytes())
    return found


def main() -> None:
    """`answers FOLDER...`, what indexes say, or their error, a line each; `build` or `change FOLDER BACKEND`.

    For a process of its own, which damage may kill, or the test.
    """
    what, *given = sys.argv[1:]
    if what == "build":
        build(Path(given[0]), 600, backend=given[1])
    elif what == "change":
        added = [problem(number) for number in range(600, 700)]
        change(Path(given[0]), added, ["t5", "t7"], backend=given[1])
    else:
        for folder in given:
            try:
                print(repr(answers(Path(folder))), flush=True)
            except AnectlError as error:
                print(f"error: {error}", flush=True)


if __name__ == "__main__":
    main()
