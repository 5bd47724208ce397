"""Retrieve for each problem of the frontier the ground-truth problems most like it.

reads:   frontier/1 (or anchored/1, to anchor anew), and an index folder of build-index
writes:  anchored/1
example: anectl anchor frontier.jsonl --index truth.idx > anchored.jsonl
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from anectl import console, engines, options
from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRoot
from anectl.core.index_files import RECORDS, IndexManifest, read_index_manifest
from anectl.core.keys import image_key, problem_key
from anectl.core.prompts import user_text
from anectl.core.protocols import Embedder, EmbedItem, Hit, Index
from anectl.core.records import Anchor, Anchored, Frontier, Problem, Why
from anectl.core.run import Run
from anectl.core.store import RecordReader, StoredProblem

_WINDOW = 128
_SPARE = 4  # hits asked for beyond top_k, since the problem itself may be among them


class Select(StrEnum):
    """How anchors are chosen."""

    nearest = "nearest"
    random = "random"


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    index: Annotated[Path, typer.Option(help="Index folder of build-index.")] = ...,  # type: ignore[assignment]
    output: options.OutputFile = None,
    top_k: Annotated[int, typer.Option(min=1, help="Anchors per problem.")] = 4,
    select: Annotated[
        Select, typer.Option(help="nearest; or random rows, the control that shows what retrieval is worth.")
    ] = Select.nearest,
    floor: Annotated[float | None, typer.Option(help="Leave out anchors of a lower cosine similarity.")] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Where the index's embedder lies now; default where it lay when it was built.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Problems embedded at a time.")] = 32,
    seed: options.Seed = 0,
    image_root: options.Root = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Find the ground truth nearest to each failing problem.

    The problem itself and its copies (same content, or same images and question) are never its anchors. A problem
    without any anchor is kept, with an empty list.

    Example: anectl anchor frontier.jsonl --index truth.idx > anchored.jsonl
    """
    log = console.log("anchor")
    console.quiet_libraries()
    root = ImageRoot(image_root)
    manifest = read_index_manifest(index)
    engine = engines.load_embedder(embedder or manifest.embedder, batch_size=batch_size)
    refuse_other_embedder(engine, manifest)
    database = Database(
        engine, engines.load_index(index, manifest), RecordReader(index / RECORDS, manifest.count), manifest.count
    )
    run = Run(
        "anchor",
        dict(context.params),
        inputs=inputs or (),
        output=output,
        on_error=on_error.value,
        rejects=rejects,
        limit=limit,
        log=log,
    )
    num_bare = 0
    with run, console.progress("anchor") as advance:
        asked = queries(run, root)
        if select == Select.random:
            anchored = anchor_at_random(asked, database, top_k=top_k, seed=seed)
        else:
            anchored = anchor(asked, database, top_k=top_k, floor=floor)
        for row in anchored:
            run.write(_with_images(row, root, index))
            num_bare += not row.anchors
            advance("")
        run.notes["without_anchor"] = num_bare
    if num_bare:
        log(f"{num_bare} rows without an anchor")


@dataclass(frozen=True, slots=True)
class Query:
    """A row with the content keys of its problem and what the embedder sees of it."""

    row: Frontier
    key: str
    image_key: str
    item: EmbedItem


@dataclass(frozen=True, slots=True)
class Database:
    """The ground truth: its embedder, its vectors and its records, `count` of each."""

    embedder: Embedder
    index: Index
    records: RecordReader
    count: int


def refuse_other_embedder(embedder: Embedder, manifest: IndexManifest) -> None:
    """Raises AnectlError when the embedder is not the one that the vectors of the index come from."""
    if (embedder.name, embedder.dimension) == (manifest.embedder_name, manifest.dimension):
        return
    raise AnectlError(
        f"the index was built with {manifest.embedder_name} of dimension {manifest.dimension}, "
        f"but {manifest.embedder} is now {embedder.name} of dimension {embedder.dimension}",
        hint="--embedder says where the embedder that built it lies now; or build the index again",
    )


def queries(run: Run, root: ImageRoot) -> Iterator[Query]:
    """The rows of the run, their images found; a problem may come once only."""

    def check(row: Frontier, source: str | None) -> Frontier:
        for image in root.resolve_all(row.problem.images, source):
            image.open()
        return row

    for row in run.read(Frontier, unique=lambda row: row.problem.id, check=check):
        images = root.resolve_all(row.problem.images, run.source)
        contents = [image.read() for image in images]
        problem = msgspec.structs.replace(row.problem, images=tuple(image.ref for image in images))
        yield Query(
            msgspec.structs.replace(row, problem=problem),
            problem_key(problem, contents),
            image_key(contents),
            EmbedItem(user_text(problem, ""), images),
        )


def anchor(rows: Iterable[Query], database: Database, *, top_k: int, floor: float | None) -> Iterator[Anchored]:
    """Each row with its nearest `top_k` other problems whose cosine similarity is at least `floor`, best first."""
    waiting = iter(rows)
    while window := list(islice(waiting, _WINDOW)):
        vectors = database.embedder.embed([query.item for query in window])
        asked = top_k + _SPARE
        for place, hits in enumerate(database.index.search(vectors, asked)):
            vector = vectors[place : place + 1]
            yield _anchored(window[place].row, _nearest(window[place], vector, hits, asked, database, top_k, floor))


def anchor_at_random(rows: Iterable[Query], database: Database, *, top_k: int, seed: int) -> Iterator[Anchored]:
    """Each row with `top_k` other problems drawn evenly by the seed and its id; their scores are 0."""
    for query in rows:
        size = min(top_k + _SPARE, database.count)
        drawn = random.Random(f"{seed}/{query.row.problem.id}").sample(range(database.count), size)
        others = [stored.problem for stored in database.records.get(drawn) if not is_same(query, stored)][:top_k]
        yield _anchored(
            query.row,
            [
                Anchor(id=problem.id, rank=rank, score=0.0, why=Why(), problem=problem)
                for rank, problem in enumerate(others, 1)
            ],
        )


def _nearest(
    query: Query, vector: object, hits: list[Hit], asked: int, database: Database, top_k: int, floor: float | None
) -> list[Anchor]:
    """The best hits that are not the query itself; asks for more when too many of them are."""
    while True:
        near = [hit for hit in hits if floor is None or hit.similarity >= floor]
        records = database.records.get(hit.row for hit in near)
        others = [(hit, stored) for hit, stored in zip(near, records, strict=True) if not is_same(query, stored)]
        exhausted = asked >= database.count or len(near) < len(hits)
        if len(others) >= top_k or exhausted:
            return _anchors(others[:top_k], database.embedder)
        asked *= 2
        hits = database.index.search(vector, asked)[0]


def is_same(query: Query, stored: StoredProblem) -> bool:
    """Whether a stored problem is the query: same content, or same images and question whatever the answer says."""
    if stored.key == query.key:
        return True
    return stored.image_key == query.image_key and _words(stored.problem) == _words(query.row.problem)


def _words(problem: Problem) -> list[str]:
    return problem.question.casefold().split()


def _anchors(near: Sequence[tuple[Hit, StoredProblem]], embedder: Embedder) -> list[Anchor]:
    anchors = []
    for rank, (hit, stored) in enumerate(near, 1):
        score = max(-1.0, min(1.0, hit.similarity))
        why = Why(joint=score) if embedder.signal == "joint" else Why(text=score)
        anchors.append(Anchor(id=stored.problem.id, rank=rank, score=score, why=why, problem=stored.problem))
    return anchors


def _anchored(row: Frontier, anchors: list[Anchor]) -> Anchored:
    names = {field.name for field in msgspec.structs.fields(Frontier)} - {"schema"}
    return Anchored(**{name: getattr(row, name) for name in names}, anchors=tuple(anchors))


def _with_images(row: Anchored, root: ImageRoot, index: Path) -> Anchored:
    """The row with the images of its anchors found, here and now."""
    found = []
    for chosen in row.anchors:
        try:
            images = tuple(image.ref for image in root.resolve_all(chosen.problem.images))
        except RowError as error:
            raise AnectlError(f"anchor {chosen.id}: {error.problem}", path=str(index), hint=error.hint) from None
        found.append(msgspec.structs.replace(chosen, problem=msgspec.structs.replace(chosen.problem, images=images)))
    return msgspec.structs.replace(row, anchors=tuple(found))
