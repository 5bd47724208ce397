"""Build the database of ground truth that anchors are retrieved from, add to it, or delete from it.

reads:   problem/1 with a worked solution, as JSON Lines or parquet
writes:  an index folder: manifest.json (index/2) and one generation of files (`core/index_files.py`)
example: anectl build-index truth.jsonl --embedder policy:./base -o truth.idx
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from anectl import console, engines, options, sampling_options
from anectl.core.completion_grades import LazyVerifier
from anectl.core.errors import AnectlError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.index_files import RECORDS, Draft, IndexManifest, SignalManifest, next_generation
from anectl.core.manifest import describe
from anectl.core.pace import expected_rows
from anectl.core.pending import Pending
from anectl.core.problem_tables import problem_lines
from anectl.core.protocols import Embedder, EmbedItem, Vectors
from anectl.core.record_writer import RecordWriter
from anectl.core.records import Signal
from anectl.core.run import Run
from anectl.core.truths import put_all, truths

_SIGNALS: tuple[Signal, ...] = ("text", "image", "joint")


class Backend(StrEnum):
    """How neighbours are found: every row compared, a graph in memory, or a table on disk."""

    auto = "auto"
    exact = "exact"
    hnsw = "hnsw"
    lancedb = "lancedb"


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Index folder, written whole or not at all.")] = ...,  # type: ignore[assignment]
    embedder: Annotated[
        str | None, typer.Option(help="policy:MODEL or sentence-transformers:NAME; with --add default the index's.")
    ] = None,
    signals: Annotated[
        str | None, typer.Option(help="What to embed, of text,image,joint; default all that the embedder can.")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Add the rows to the index that is there.")] = False,
    delete: Annotated[
        list[str], typer.Option("--delete", metavar="ID", help="Delete the row of this id; as often as wanted.")
    ] = [],  # noqa: B006 - typer wants the default itself
    delete_where: Annotated[
        str | None, typer.Option(metavar="CONDITION", help="Delete the rows that this is true of.")
    ] = None,
    keep_unverified: Annotated[
        bool, typer.Option("--keep-unverified", help="Keep rows whose solution cannot be seen to give the answer.")
    ] = False,
    backend: Annotated[
        Backend, typer.Option(help="exact, hnsw, lancedb, or auto: exact below 100,000 rows, hnsw from there.")
    ] = Backend.auto,
    recall: Annotated[
        float, typer.Option(min=0.5, max=1, help="Share of the exact ten nearest that a search is to find.")
    ] = 0.98,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads that build a graph; with more than 1 no two are quite the same.")
    ] = 1,
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
    """Embed problems whose worked solution leads to their answer, for `anchor` to search.

    Rows without a solution, or with one that leads elsewhere, are left out, and of rows with the same content one is
    kept. --add embeds only what is new; a row of a known id takes the place of the one that was there. --delete and
    --delete-where take rows out ("licence='CC-BY-NC-4.0'", "subject='geometry' and not tag:sum"). An index that is
    there stays as it was until the new one is whole, and then is it, in one step.

    Example: anectl build-index truth.jsonl --embedder policy:./base -o truth.idx
    """
    log = console.log("build-index")
    console.quiet_libraries()
    is_deleting = bool(delete) or delete_where is not None
    _refuse_odd_options(context, is_deleting=is_deleting)
    about = describe("build-index", context.params)
    with next_generation(output, change=add or is_deleting) as draft, ExitStack() as stack:
        records = stack.enter_context(_open_records(draft))
        pending = stack.enter_context(Pending())
        engine = None
        if is_deleting:
            _delete(records, delete, delete_where)
        else:
            engine = _load_embedder(context, draft, stack)
            run = Run(
                "build-index",
                context.params,
                inputs=inputs or (),
                on_error=on_error.value,
                rejects=rejects or f"{output}.rejects.jsonl",
                limit=limit,
                log=log,
                open_lines=_lines,
            )
            with run, console.progress("build-index", expected_rows(run.inputs, limit)) as advance:
                rows = truths(run, ImageRoot(image_root), LazyVerifier(engines.load_verifier), keep_unverified)
                put_all(rows, records, pending, run, advance)
        manifest = _write(draft, records, pending, engine, context.params, about)
    _say(log, output, manifest)


def _refuse_odd_options(context: typer.Context, *, is_deleting: bool) -> None:
    given = context.params
    if is_deleting and (given["add"] or given["inputs"]):
        raise UsageError("--delete and --delete-where go without rows to add", hint="run build-index twice")
    if not (is_deleting or given["add"]):
        if given["embedder"] is None:
            raise UsageError("--embedder is missing", hint="policy:MODEL or sentence-transformers:NAME")
        return
    for name in ("signals", "backend", "recall", *(("embedder",) if is_deleting else ())):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name} belongs to the index that is there", hint="build it anew to change it")


def _lines(path: str) -> Iterator[Any]:
    return problem_lines(path, lambda name: engines.load_engine("tables", "data").read_parquet(name))


def _open_records(draft: Draft) -> RecordWriter:
    path = draft.folder / RECORDS
    if draft.before is None:
        return RecordWriter(path)
    try:
        shutil.copyfile(draft.folder_before / RECORDS, path)
    except OSError as error:
        raise AnectlError(f"cannot write: {error.strerror}", path=str(path)) from None
    return RecordWriter(path, draft.before.next_row)


def _delete(records: RecordWriter, ids: list[str], condition: str | None) -> None:
    rows = set(records.rows_of(ids))
    if condition is not None:
        rows.update(records.rows_where(condition))
    if not rows:
        raise AnectlError(f"no row to delete: {condition} is true of none")
    records.remove(sorted(rows))


def _load_embedder(context: typer.Context, draft: Draft, stack: ExitStack) -> Embedder:
    """The embedder of the command line, or of the index that is added to, which it must be equal to."""
    given = context.params
    entries_before = list(draft.before.signals.values()) if draft.before else []
    spec = given["embedder"] or entries_before[0].embedder
    engine = engines.load_embedder(
        spec,
        batch_size=given["batch_size"],
        ray=given["ray"],
        replicas=given["replicas"],
        replica_gpus=given["replica_gpus"],
    )
    stack.enter_context(closing(engine))
    for entry in entries_before:
        if (engine.name, engine.dimension) != (entry.embedder_name, entry.dimension):
            raise AnectlError(
                f"the index was built with {entry.embedder_name} of dimension {entry.dimension}, "
                f"but {spec} is {engine.name} of dimension {engine.dimension}",
                hint="--embedder says where the embedder that built it lies now; or build the index again",
            )
    return engine


def signals_of(wanted: str | None, embedder: Embedder) -> tuple[Signal, ...]:
    """The signals of `--signals`; without it all that the embedder can. Raises UsageError for what it cannot."""
    names = [name.strip() for name in wanted.split(",")] if wanted is not None else list(embedder.signals)
    for name in names:
        if name not in _SIGNALS:
            raise UsageError(f"--signals {name!r} is none of {', '.join(_SIGNALS)}")
        if name not in embedder.signals:
            raise UsageError(f"{embedder.name} cannot embed {name!r}", hint=f"it can {', '.join(embedder.signals)}")
    return tuple(signal for signal in _SIGNALS if signal in names)


def _write(
    draft: Draft,
    records: RecordWriter,
    pending: Pending,
    engine: Embedder | None,
    given: Mapping[str, Any],
    about: Mapping[str, Any],
) -> IndexManifest:
    """Write the vectors of every signal, and make the generation the index."""
    facts = records.facts()
    if not facts.count:
        hint = "--keep-unverified keeps solutions that cannot be checked" if engine else "remove the folder instead"
        raise AnectlError("no row can become an anchor" if engine else "no row would be left", hint=hint)
    records.commit()
    before = draft.before
    backend = before.backend if before else given["backend"].value
    recall = before.recall_target if before else given["recall"]
    if before is not None:
        bases = before.signals
    else:
        assert engine is not None
        bases = {
            signal: SignalManifest(
                embedder=given["embedder"],
                embedder_name=engine.name,
                dimension=engine.dimension,
                count=0,
                backend="exact",
            )
            for signal in signals_of(given["signals"], engine)
        }
    write = partial(_write_signal, draft, records.removed, pending, engine, (backend, recall, given["threads"]))
    return draft.seal(
        IndexManifest(
            generation=draft.generation,
            count=facts.count,
            next_row=records.next_row,
            rows=facts.rows,
            backend=backend,
            recall_target=recall,
            num_unverified=facts.num_unverified,
            licences=dict(facts.licences),
            signals={signal: write(signal, base) for signal, base in bases.items()},
            files={},
            versions=about["versions"],
            options=about["options"],
        )
    )


def _write_signal(
    draft: Draft,
    removed: list[int],
    pending: Pending,
    engine: Embedder | None,
    tuning: tuple[str, float, int],
    signal: Signal,
    base: SignalManifest,
) -> SignalManifest:
    writer = engines.load_engine("index_writer", "index")
    entry: SignalManifest = writer.write_signal(
        draft.folder,
        signal,
        base,
        _embedded(pending, engine, signal) if engine else iter(()),
        writer.Tuning(*tuning),
        before=writer.Before(draft.folder_before, base) if draft.before else None,
        gone=removed,
        progress=partial(console.progress, f"build-index: {signal} graph"),
    )
    return entry


def _embedded(pending: Pending, engine: Embedder, signal: Signal) -> Iterator[tuple[list[int], Vectors]]:
    """The new rows window by window with their vectors; windows may be embedded side by side."""
    asked: deque[list[int]] = deque()

    def windows() -> Iterator[list[EmbedItem]]:
        for rows, items in pending.windows(signal):
            asked.append(rows)
            yield items

    with console.progress(f"build-index: {signal}", pending.count(signal)) as advance:
        for vectors in engine.embed_all(windows()):
            rows = asked.popleft()
            for _ in rows:
                advance("")
            yield rows, vectors


def _say(log: Callable[[str], None], output: Path, manifest: IndexManifest) -> None:
    for signal, entry in manifest.signals.items():
        settings = entry.hnsw or entry.lancedb
        found = settings.recall if settings else None
        log(f"{signal}: {entry.count} vectors of {entry.embedder_name}, {entry.backend} search")
        if found:
            measured = f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}] over {found.num_queries} held-out queries"
            log(f"{signal}: recall@{found.at} against exact search {measured}")
            if found.low < found.target:
                log(f"{signal}: warning: recall {found.target} is not reached; --backend exact misses nothing")
    log(f"{manifest.count} problems in {output}")
