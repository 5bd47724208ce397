"""Retrieve for each problem of the frontier the ground truth that mends it.

reads:   frontier/1 (or anchored/1, to anchor anew), and an index folder of build-index
writes:  anchored/1; with --coverage a JSON file on how well the frontier is covered
example: anectl anchor frontier.jsonl --index truth.idx > anchored.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from anectl import console, engines, options
from anectl.core import fusion
from anectl.core.anchoring import Candidate, Coverage, Floor, Rules, pick
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.index_files import IndexManifest, SignalManifest, open_records, read_index_manifest
from anectl.core.keys import image_key, problem_key
from anectl.core.output import write_atomic
from anectl.core.pace import expected_rows
from anectl.core.prompts import user_text
from anectl.core.protocols import Embedder, EmbedItem, Index
from anectl.core.records import Anchor, Anchored, Frontier, Signal, Why
from anectl.core.retrieval import Database, Query, Search
from anectl.core.run import Run
from anectl.core.tiers import note

_WINDOW = 128
_FAIR_WINDOW = 512  # rows that take turns when an anchor may be used so many times only


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
    signals: Annotated[
        str | None,
        typer.Option(help="Of text, image, joint, bm25, skill those to rank by; default all that the index has."),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            help="Weights in the fused rank, such as text=1,image=0.5; default 1 for all vectors together, bm25, skill."
        ),
    ] = None,
    floor: Annotated[
        str | None,
        typer.Option(help="Least score of an anchor: 0.6 of its best cosine; text=0.8,bm25=3 of each signal named."),
    ] = None,
    tiers: Annotated[
        bool, typer.Option(help="Rank by tier first: item, template, skill, fact; --no-tiers by the fused rank alone.")
    ] = True,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="Share of unlikeness to the anchors before it in an anchor's worth.")
    ] = 0.0,
    max_uses: Annotated[int | None, typer.Option(min=1, help="Problems that one anchor may serve.")] = None,
    where: Annotated[
        str | None, typer.Option(help="Only anchors of which this is true, such as \"subject='geometry'\".")
    ] = None,
    exclude_same_item: Annotated[
        bool, typer.Option("--exclude-same-item/--keep-same-item", help="Leave out the problem itself and its copies.")
    ] = True,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Also anchors whose solution was not seen to lead to the answer.")
    ] = False,
    depth: Annotated[int, typer.Option(min=1, help="Candidates that each signal names.")] = 100,
    coverage: Annotated[Path | None, typer.Option(help="Write here how well the frontier is covered, as JSON.")] = None,
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
    """Find for each failing problem the ground truth nearest to it.

    Each signal ranks the index: the vectors of text, image and both; BM25 of the question's words; and of the tags
    and the failing step. Reciprocal ranks are summed, and near tiers come first. The problem itself and its copies
    are never its anchors. A problem without any anchor is kept, with an empty list.

    Example: anectl anchor frontier.jsonl --index truth.idx > anchored.jsonl
    """
    log = console.log("anchor")
    console.quiet_libraries()
    root = ImageRoot(image_root)
    manifest = read_index_manifest(index)
    records = open_records(index, manifest)
    weights, least = chosen_signals(signals, weight, manifest), Floor()
    if select == Select.random:
        refuse_floor(floor)
        weights = {}
    else:
        least = parse_floor(floor, weights)
    indexes = open_indexes(index, manifest, weights, embedder, batch_size)
    if diversity and select == Select.nearest and not indexes:
        raise UsageError("--diversity compares vectors", hint="add text, image or joint to --signals")
    search = Search(
        weights,
        needed=top_k,
        depth=max(depth, top_k),
        floor=least,
        among=None if where is None else records.rows(where),
        same_item=not exclude_same_item,
        unverified=unverified,
        diverse=diversity > 0,
    )
    database = Database(records, manifest.count, indexes)
    rules = Rules(top_k, max_uses, diversity, tiers_first=tiers and select == Select.nearest)
    run = _run(context.params, log)
    covered = Coverage(top_k)
    with run, console.progress("anchor", expected_rows(run.inputs, limit)) as advance:
        for row in anchor(queries(run, root), database, search, rules, seed if select == Select.random else None):
            covered.add(row)
            run.write(_with_images(row, root, index))
            advance()
        run.notes["coverage"] = covered.summary()
    if coverage is not None:
        write_atomic(coverage, msgspec.json.format(msgspec.json.encode(covered.report()), indent=2) + b"\n")
    log(covered.sentence())


def chosen_signals(names: str | None, weight: str | None, manifest: IndexManifest) -> dict[str, float]:
    """The weights of the signals in use. Raises UsageError: a signal that there is not, or no weight above 0."""
    known = [*(signal for signal in fusion.BY_VECTOR if signal in manifest.signals), *fusion.BY_WORD]
    asked = known if names is None else list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in asked:
        if name not in known:
            raise UsageError(f"--signals: no signal {name!r}", hint=f"the index has {', '.join(known)}")
    weights = fusion.default_weights(asked) | fusion.per_signal("--weight", weight, asked)
    if min(weights.values()) < 0 or not any(weights.values()):
        raise UsageError("--weight: weights are from 0, and one at least is above")
    return {name: number for name, number in weights.items() if number}


def _run(given: Mapping[str, Any], log: Callable[[str], None]) -> Run:
    return Run(
        "anchor",
        dict(given),
        inputs=given["inputs"] or (),
        output=given["output"],
        on_error=given["on_error"].value,
        rejects=given["rejects"],
        limit=given["limit"],
        log=log,
    )


def refuse_floor(floor: str | None) -> None:
    """Raises UsageError for a floor of anchors drawn at random."""
    if floor is not None:
        raise UsageError("--floor: random anchors have no scores", hint="leave it out")


def parse_floor(text: str | None, weights: Mapping[str, float]) -> Floor:
    """`--floor`. Raises UsageError: no number, or of a signal that is not in use."""
    if text is None:
        return Floor()
    if "=" in text:
        return Floor(by=fusion.per_signal("--floor", text, list(weights)))
    if not set(weights) & set(fusion.BY_VECTOR):
        raise UsageError("--floor NUMBER is of cosines", hint="name the signal, such as --floor bm25=3")
    return Floor(best=fusion.finite("--floor", text))


def open_indexes(
    directory: Path, manifest: IndexManifest, weights: Mapping[str, float], moved_to: str | None, batch_size: int
) -> dict[Signal, tuple[Embedder, Index]]:
    """For each vector signal in use the embedder that made its vectors, and its index.

    Raises AnectlError when an embedder is not the one that the vectors of the index come from.
    """
    used = {signal: manifest.signals[signal] for signal in fusion.BY_VECTOR if signal in weights}
    specs = {entry.embedder for entry in used.values()}
    if moved_to is not None and len(specs) > 1:
        raise UsageError("--embedder: the index was built with several", hint="take one by one with --signals")
    loaded = {spec: engines.load_embedder(moved_to or spec, batch_size=batch_size) for spec in sorted(specs)}
    for entry in used.values():
        refuse_other_embedder(loaded[entry.embedder], entry)
    return {
        signal: (loaded[entry.embedder], engines.load_index(directory, manifest, signal))
        for signal, entry in used.items()
    }


def refuse_other_embedder(embedder: Embedder, entry: SignalManifest) -> None:
    """Raises AnectlError when the embedder is not the one that the vectors of the signal come from."""
    if (embedder.name, embedder.dimension) == (entry.embedder_name, entry.dimension):
        return
    raise AnectlError(
        f"the index was built with {entry.embedder_name} of dimension {entry.dimension}, "
        f"but {entry.embedder} is now {embedder.name} of dimension {embedder.dimension}",
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


def anchor(
    rows: Iterable[Query], database: Database, search: Search, rules: Rules, drawn_by: int | None = None
) -> Iterator[Anchored]:
    """Each row with its anchors, best first; with `drawn_by` (a seed) with random ones.

    Where an anchor has a cap of uses, rows take turns within windows of 512, and each window goes on with what the
    windows before it left.
    """
    uses: Counter[int] = Counter()
    waiting = iter(rows)
    while window := list(islice(waiting, _WINDOW if rules.max_uses is None else _FAIR_WINDOW)):
        if drawn_by is None:
            shortlists = list(database.shortlists(window, search))
        else:
            shortlists = list(database.drawn(window, search, drawn_by))
        for query, chosen in zip(window, pick(shortlists, rules, uses), strict=True):
            yield _anchored(query, chosen, database)


def _anchored(query: Query, chosen: Sequence[Candidate], database: Database) -> Anchored:
    anchors = []
    for rank, candidate in enumerate(chosen, 1):
        problem = database.stored(candidate.row).problem
        words = note(candidate.tier, candidate.ranks, query.row.problem, query.failing_step, problem)
        why = Why(tier=candidate.tier, note=words, ranks=dict(candidate.ranks))
        why = msgspec.structs.replace(why, **candidate.scores)
        anchors.append(Anchor(id=problem.id, rank=rank, score=candidate.score, why=why, problem=problem))
    names = {field.name for field in msgspec.structs.fields(Frontier)} - {"schema"}
    return Anchored(**{name: getattr(query.row, name) for name in names}, anchors=tuple(anchors))


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
