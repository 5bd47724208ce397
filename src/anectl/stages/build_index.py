"""Build the database of ground truth that anchors are retrieved from.

reads:   problem/1 with a worked solution
writes:  an index folder: records.sqlite, vectors.npy, vectors.hnsw for large tables, manifest.json (index/1)
example: anectl build-index truth.jsonl --embedder policy:./base -o truth.idx
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from anectl import console, engines, options, sampling_options
from anectl.core import index_files
from anectl.core.errors import AnectlError
from anectl.core.images import ImageRoot
from anectl.core.keys import digest, image_key, problem_key
from anectl.core.manifest import describe
from anectl.core.prompts import user_text
from anectl.core.protocols import Embedder, EmbedItem
from anectl.core.records import Problem
from anectl.core.run import Run
from anectl.core.store import RecordWriter, StoredProblem

EXACT_BELOW = 100_000
_WINDOW = 512
_GOOD_RECALL = 0.95


class Search(StrEnum):
    """How neighbours are found: `auto` compares with every row below 100,000 rows, and walks a graph from there."""

    auto = "auto"
    exact = "exact"
    hnsw = "hnsw"


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Index folder, written whole or not at all.")] = ...,  # type: ignore[assignment]
    embedder: Annotated[str, typer.Option(help="policy:MODEL or sentence-transformers:NAME.")] = ...,  # type: ignore[assignment]
    search: Annotated[Search, typer.Option(help="exact, hnsw, or auto: exact below 100,000 rows.")] = Search.auto,
    batch_size: Annotated[int, typer.Option(min=1, help="Problems embedded at a time.")] = 32,
    ray: sampling_options.Ray = None,
    replicas: sampling_options.Replicas = 1,
    replica_gpus: sampling_options.ReplicaGpus = 0.0,
    image_root: options.Root = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Embed problems that have a worked solution, for `anchor` to search.

    Rows without a solution are left out, and of rows with the same content one is kept. An index that is there
    already is replaced when the new one is whole.

    Example: anectl build-index truth.jsonl --embedder policy:./base -o truth.idx
    """
    log = console.log("build-index")
    console.quiet_libraries()
    settings = dict(context.params)
    with index_files.new_index(output) as partial, ExitStack() as stack:
        engine = stack.enter_context(
            closing(
                engines.load_embedder(
                    embedder, batch_size=batch_size, ray=ray, replicas=replicas, replica_gpus=replica_gpus
                )
            )
        )
        run = Run(
            "build-index",
            settings,
            inputs=inputs or (),
            on_error=on_error.value,
            rejects=rejects or f"{output}.rejects.jsonl",
            limit=limit,
            log=log,
        )
        with run, console.progress("build-index") as advance:
            summary = _write_rows(entries(run, ImageRoot(image_root)), run, engine, partial, advance)
        hnsw = _write_graph(search, summary.count, engine.dimension, partial, log)
        about = describe("build-index", settings)
        names = [index_files.RECORDS, index_files.VECTORS, *([index_files.GRAPH] if hnsw else [])]
        manifest = index_files.IndexManifest(
            embedder=embedder,
            embedder_name=engine.name,
            signal=engine.signal,
            dimension=engine.dimension,
            count=summary.count,
            hnsw=hnsw,
            rows=summary.rows,
            files={name: index_files.file_entry(partial / name) for name in names},
            versions=about["versions"],
            options=about["options"],
        )
        index_files.write_index_manifest(partial, manifest)
    log(f"{summary.count} problems in {output}, {'HNSW' if hnsw else 'exact'} search, {engine.name}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A problem as it is stored, and what the embedder sees of it."""

    stored: StoredProblem
    item: EmbedItem


@dataclass(frozen=True, slots=True)
class Summary:
    """How many problems were written, and the digest of their content keys in order."""

    count: int
    rows: str


def entries(run: Run, root: ImageRoot) -> Iterator[Entry]:
    """The problems that can become anchors; image paths as they are found from the working folder."""

    def check(problem: Problem, source: str | None) -> Problem:
        # Decoded here once more than needed, so that a bad image is this row's error and not its batch's.
        for image in root.resolve_all(problem.images, source):
            image.open()
        return problem

    for problem in run.read(Problem, unique=lambda problem: problem.id, check=check):
        if not (problem.solution or problem.steps):
            run.drop("no solution")
            continue
        images = root.resolve_all(problem.images, run.source)
        contents = [image.read() for image in images]
        found = msgspec.structs.replace(problem, images=tuple(image.ref for image in images))
        stored = StoredProblem(found, problem_key(found, contents), image_key(contents))
        yield Entry(stored, EmbedItem(user_text(found, ""), images))


def _write_rows(rows: Iterator[Entry], run: Run, embedder: Embedder, directory: Path, advance: Any) -> Summary:
    vector_index = engines.load_engine("vector_index", "index")
    keys: list[bytes] = []
    with (
        RecordWriter(directory / index_files.RECORDS) as records,
        vector_index.VectorWriter(directory, embedder.dimension) as vectors,
    ):

        def items() -> Iterator[EmbedItem]:
            for entry in rows:
                advance("")
                if not records.add(entry.stored):
                    run.drop("duplicate content")
                    continue
                run.keep()
                run.num_written += 1
                keys.append(bytes.fromhex(entry.stored.key))
                yield entry.item

        for block in embedder.embed_all(_windows(items())):
            vectors.append(block)
        if not keys:
            raise AnectlError("no row can become an anchor", hint="anchors need `solution` or `steps`")
        records.commit()
        vectors.commit()
    return Summary(len(keys), digest(keys))


def _windows(items: Iterator[EmbedItem]) -> Iterator[list[EmbedItem]]:
    while window := list(islice(items, _WINDOW)):
        yield window


def _write_graph(
    search: Search, count: int, dimension: int, directory: Path, log: Any
) -> index_files.HnswSettings | None:
    if search == Search.exact or (search == Search.auto and count < EXACT_BELOW):
        return None
    vectors = engines.load_engine("vector_index", "index").open_vectors(directory, count, dimension)
    with console.progress("build-index: graph", count) as advance:
        settings: index_files.HnswSettings = engines.load_engine("hnsw_index", "index").build_graph(
            vectors, directory, lambda rows: [advance("") for _ in range(rows)]
        )
    log(f"recall@10 of the graph against exact search: {settings.recall:.3f}")
    if settings.recall < _GOOD_RECALL:
        log("the graph misses many neighbours; --search exact misses none")
    return settings
