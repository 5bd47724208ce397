"""decontaminate: leave out what a benchmark holds too, and say which of its rows each one matches.

reads:   problem/1, rollout/1, frontier/1, anchored/1 or example/1, and benchmarks of problem/1
writes:  the rows without a leak, as they came in; the leaks as reject/1 in the rejects file
example: anectl decontaminate train.jsonl --against 'bench/*.jsonl' -o clean.jsonl

Of anchored rows only the leaking anchors go, unless the problem itself leaks. Rows stream through; memory grows by
some 30 bytes a benchmark row and 600 an image of it; the rest of the benchmarks lies on the disk (in TMPDIR).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import msgspec
import typer

from anectl import console, engines, options
from anectl.core.benchmark_rows import benchmark_files, refuse_stray_inputs
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.jsonl import Line, decode, parse_object
from anectl.core.leak_search import LeakFinder, Subject, subject_of
from anectl.core.leak_trial import Trial, try_planted
from anectl.core.leaks import KINDS, Leak, Limits, Side
from anectl.core.pace import expected_rows
from anectl.core.records import Anchored, Example, Match, Problem, Reject, Rollout
from anectl.core.run import Run, rejected
from anectl.core.seen import Seen

_WINDOW = 64
_STRICT_SIZE = 8
_EVERYTHING = ",".join(KINDS)


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    against: Annotated[
        list[str], typer.Option(help="Benchmark file, folder or quoted pattern; may be given again.")
    ] = ...,  # type: ignore[assignment]
    checks: Annotated[str, typer.Option(help="What counts as a leak, of " + ", ".join(KINDS) + ".")] = _EVERYTHING,
    ngram: Annotated[int, typer.Option(min=2, help="Tokens of an n-gram; shorter questions are compared whole.")] = 13,
    strict: Annotated[bool, typer.Option("--strict", help="n-grams of 8 tokens.")] = False,
    min_overlap: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a benchmark question's n-grams that is a leak.")
    ] = 0.5,
    near_question: Annotated[
        float, typer.Option(min=0, max=1, help="Share of common tokens that makes questions near.")
    ] = 0.7,
    image_distance: Annotated[int, typer.Option(min=0, max=32, help="Hash bits, of 64, that may differ.")] = 12,
    image_similarity: Annotated[
        float, typer.Option(min=0, max=1, help="Correlation in brightness of the same picture.")
    ] = 0.85,
    structure_similarity: Annotated[
        float, typer.Option(min=0, max=1, help="The same in structure, colours apart.")
    ] = 0.65,
    image_margin: Annotated[float, typer.Option(min=0, help="So much less, in Fisher's z, is a near picture.")] = 0.3,
    embedder: Annotated[
        str | None, typer.Option(help="policy:MODEL or sentence-transformers:NAME, for neighbours and near pictures.")
    ] = None,
    text_cosine: Annotated[float, typer.Option(min=0, max=1, help="Cosine of questions that are the same.")] = 0.99,
    image_cosine: Annotated[float, typer.Option(min=0, max=1, help="Cosine that confirms a near picture.")] = 0.95,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions embedded at a time.")] = 32,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Plant known leaks and report how many are found; write no rows.")
    ] = False,
    plants: Annotated[int, typer.Option(min=1, help="Leaks of each kind that --self-test plants.")] = 200,
    seed: options.Seed = 0,
    image_root: options.Root = None,
    output: options.OutputFile = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Drop rows that a benchmark holds too, each with the row it matches.

    The same picture is a leak, however it was compressed, cropped by a little or recoloured. The same words are one
    where there is no picture, or where they are long and the answer is the same: questions of one template about other
    pictures stay. Leaks go to the rejects file with file, line and id of the benchmark row and what they rest on.

    Example: anectl decontaminate train.jsonl --against 'bench/*.jsonl' -o clean.jsonl
    """
    if self_test and output is not None:
        raise UsageError("--self-test writes no rows", hint="leave out -o")
    limits = Limits(
        checks=_checks(checks),
        size=_STRICT_SIZE if strict else ngram,
        overlap=min_overlap,
        question=near_question,
        picture=image_similarity,
        structure=structure_similarity,
        margin=image_margin,
        reach=image_distance,
        text_cosine=text_cosine,
        image_cosine=image_cosine,
    )
    if limits.checks == {"embedding"} and embedder is None:
        raise UsageError("--checks embedding finds nothing by itself", hint="name an --embedder")
    files = benchmark_files(against)
    refuse_stray_inputs(inputs or [], files)
    log = console.log("decontaminate")
    console.quiet_libraries()
    root = ImageRoot(image_root)
    with (
        Run(
            "decontaminate",
            context.params,
            inputs=inputs or (),
            output=output,
            on_error=on_error.value,
            rejects=rejects,
            limit=limit,
            log=log,
        ) as run,
        _load_finder(root, limits, embedder, batch_size) as finder,
    ):
        finder.load(files)
        log(f"{finder.num_rows} benchmark rows of {len(files)} files")
        run.notes["against"] = dict(finder.files)
        trial = Trial() if self_test else None
        if trial is not None:
            try_planted(finder, trial, per_kind=plants, seed=seed)
        _work(run, finder, root, trial, log)


def _work(run: Run, finder: LeakFinder, root: ImageRoot, trial: Trial | None, log: Callable[[str], None]) -> None:
    """Search all rows, and say what was found."""
    tally = Tally()
    with console.progress("decontaminate", expected_rows(run.inputs, run.limit)) as advance:
        for found in search(run, finder, root):
            _settle(run, found, tally, trial)
            advance()
    run.notes["leaks"] = tally.notes() | {"near_images": finder.num_flagged}
    if finder.num_flagged:
        log(f"{finder.num_flagged} pictures merely like one of a benchmark, which is no leak by itself")
    if trial is not None:
        columns = ("self-test", "rows", "found", "own row", "share", "95% interval")
        console.table("Leaks planted and found", columns, trial.table())
    elif tally.leaks:
        console.table("Leaks", ("kind", "rows", "anchors"), tally.table())


@dataclass(frozen=True, slots=True)
class Row:
    """An input row with its images found: what is searched of it, the problem or example itself first."""

    line: Line
    record: Problem | Rollout | Example
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A row with the leak of each of its subjects."""

    row: Row
    leaks: tuple[Leak | None, ...]


class Tally:
    """Leaks by kind, of rows and of anchors, and the benchmark rows that they match."""

    def __init__(self) -> None:
        self.leaks: Counter[tuple[str, bool]] = Counter()
        self._matched: set[tuple[str, int]] = set()

    def add(self, leak: Leak, *, is_anchor: bool) -> None:
        """Count one leak."""
        self.leaks[leak.kind, is_anchor] += 1
        self._matched.add((leak.path, leak.line))

    def notes(self) -> dict[str, object]:
        """For the manifest."""
        rows = {kind: self.leaks[kind, False] for kind in KINDS}
        anchors = {kind: self.leaks[kind, True] for kind in KINDS}
        return {"rows": rows, "anchors": anchors, "benchmark_rows": len(self._matched)}

    def table(self) -> Iterator[tuple[str, ...]]:
        """For people: kind, rows, anchors."""
        for kind in KINDS:
            if self.leaks[kind, False] or self.leaks[kind, True]:
                yield kind, str(self.leaks[kind, False]), str(self.leaks[kind, True])


def search(run: Run, finder: LeakFinder, root: ImageRoot) -> Iterator[Found]:
    """Every good row of the run with its leaks; bad rows end the run or are rejected."""
    rows = _rows(run, root)
    while window := list(islice(rows, _WINDOW)):
        cosines = finder.cosines([subject for row in window for subject in row.subjects])
        for row in window:
            nearest, cosines = cosines[: len(row.subjects)], cosines[len(row.subjects) :]
            try:
                leaks = tuple(map(finder.find, row.subjects, nearest))
            except RowError as error:
                run.reject(row.line, error)
                continue
            yield Found(row, leaks)


def _rows(run: Run, root: ImageRoot) -> Iterator[Row]:
    with Seen() as seen:
        for line in run.lines():
            try:
                row = _row(line, root, run.source)
                if isinstance(row.record, (Problem, Rollout)):
                    key = row.record.id if isinstance(row.record, Problem) else row.record.problem.id
                    if first := seen.add(key, line.path, line.number):
                        raise RowError(f"duplicate id {key!r}, first seen at {first}")
            except RowError as error:
                run.reject(line, error)
                continue
            yield row


def _row(line: Line, root: ImageRoot, source: str | None) -> Row:
    schema = str(parse_object(line.data).get("schema", "problem/1")).partition("/")[0]
    replace = msgspec.structs.replace
    if schema == "example":
        example = decode(line.data, Example)
        subject = subject_of(Side.of_example(example), root, source)
        return Row(line, replace(example, images=_refs(subject.images)), (subject,))
    if schema not in ("rollout", "frontier", "anchored"):
        problem, subject = _found(decode(line.data, Problem), root, source)
        return Row(line, problem, (subject,))
    rollout = decode(line.data, Rollout)
    problem, subject = _found(rollout.problem, root, source)
    rollout = replace(rollout, problem=problem)
    if not isinstance(rollout, Anchored):
        return Row(line, rollout, (subject,))
    found = [_found(anchor.problem, root, source) for anchor in rollout.anchors]
    anchors = tuple(replace(anchor, problem=one) for anchor, (one, _) in zip(rollout.anchors, found, strict=True))
    return Row(line, replace(rollout, anchors=anchors), (subject, *(one for _, one in found)))


def _found(problem: Problem, root: ImageRoot, source: str | None) -> tuple[Problem, Subject]:
    subject = subject_of(Side.of_problem(problem), root, source)
    return msgspec.structs.replace(problem, images=_refs(subject.images)), subject


def _refs(images: tuple[ImageRef, ...]) -> tuple[str, ...]:
    return tuple(image.ref for image in images)


def _settle(run: Run, found: Found, tally: Tally, trial: Trial | None) -> None:
    """Write a row or drop it, listing its leaks; of a self-test only count it."""
    row, (leak, *of_anchors) = found.row, found.leaks
    if trial is not None:
        trial.add_clean(None if leak is None else leak.kind)
        run.keep()
        return
    if leak is not None:
        tally.add(leak, is_anchor=False)
        run.list_reject(_listed(row.line, str(leak), leak))
        run.drop(f"leak: {leak.kind}")
        return
    record = row.record
    if isinstance(record, Anchored) and any(of_anchors):
        kept = [anchor for anchor, leaks in zip(record.anchors, of_anchors, strict=True) if leaks is None]
        for anchor, one in zip(record.anchors, of_anchors, strict=True):
            if one is not None:
                tally.add(one, is_anchor=True)
                run.list_reject(_listed(row.line, f"anchor {anchor.id}: {one}", one))
        ranked = tuple(msgspec.structs.replace(anchor, rank=rank) for rank, anchor in enumerate(kept, 1))
        record = msgspec.structs.replace(record, anchors=ranked)
    run.write(record)


def _listed(line: Line, problem: str, leak: Leak) -> Reject:
    match = Match(path=leak.path, line=leak.line, id=leak.id)
    return msgspec.structs.replace(rejected(line, RowError(problem)), reason=leak.kind, match=match)


def _checks(given: str) -> frozenset[str]:
    checks = frozenset(part.strip() for part in given.split(",") if part.strip())
    if not checks or (unknown := checks - set(KINDS)):
        names = ", ".join(sorted(unknown)) if checks else given
        raise UsageError(f"--checks {names!r}: must be of {', '.join(KINDS)}")
    return checks


def _load_finder(root: ImageRoot, limits: Limits, embedder: str | None, batch_size: int) -> LeakFinder:
    matcher = meaning = None
    if limits.checks & {"image", "pair"}:
        matcher = engines.load_engine("image_matcher", "index").ImageMatcher(limits)
    if embedder is not None:
        model = engines.load_embedder(embedder, batch_size=batch_size)
        if "text" not in model.signals:
            raise AnectlError(f"{embedder} cannot embed text")
        meaning = engines.load_engine("neighbours", "index").Neighbours(model)
    return LeakFinder(root, limits, matcher, meaning)
