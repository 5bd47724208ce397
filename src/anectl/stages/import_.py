"""import: a benchmark or a training set, in the shape it is published in, becomes problems (or training examples).

reads:   rows of parquet, Arrow, JSON Lines, JSON, CSV or TSV files, of a folder of them, or of a named data set
writes:  problem/1 (example/1 where the shape holds whole conversations), and the images, each once
example: anectl import mathvista MathVista/ --split testmini -o mathvista.jsonl

Rows are read a few at a time. Images keep their bytes and are named by their digest; those that lie as files or in a
zip archive beside the output stay where they are.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from anectl import console, engines, options
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.formats import BENCHMARKS, SHAPES, Format, ImageSink, load_format
from anectl.core.formats.nearest import refuse_other_shape
from anectl.core.formats.rows import published
from anectl.core.image_store import ImageStore
from anectl.core.jsonl import Line
from anectl.core.pace import expected_rows
from anectl.core.records import AnswerType, Example, Problem
from anectl.core.run import Run
from anectl.core.seen import Seen
from anectl.core.shared_images import SharedImages
from anectl.core.table_files import KINDS, files_of
from anectl.core.table_rows import TableRow, read_delimited, read_json, read_json_lines

_FORMATS = f"A benchmark ({', '.join(BENCHMARKS)}) or a training shape ({', '.join(SHAPES)})."
_IMAGE_FIELDS = ("image", "images", "decoded_image", "image_path")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=_FORMATS, metavar="FORMAT")],
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or data set names; `-` is JSON Lines.", metavar="SOURCE")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of a folder or a named data set.")] = None,
    subset: Annotated[str | None, typer.Option(help="Subset (configuration) of a folder or a named data set.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder for images; default OUTPUT's stem + -images.")] = None,
    image_root: Annotated[
        Path | None, typer.Option(help="Folder that paths of images are relative to; default the source's.")
    ] = None,
    answer_type: Annotated[
        AnswerType | None, typer.Option(help="Answer type of every problem that is not multiple choice.")
    ] = None,
    output: options.OutputFile = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Turn a benchmark or training set into problems.

    The published fields of a row, images left out, stay in its problem's `source`, where the scoring profiles read
    them. Images go to a folder beside the output; problems name them relative to it. Answer types come from the
    set's own schema.

    Example: anectl import mathvista MathVista/ --split testmini -o mathvista.jsonl
    """
    form = load_format(name)
    if form.to_record is None:
        raise UsageError(f"{name} can be written but not read", hint="anectl export makes it")
    target = None if output in (None, "-") else Path(str(output))
    folder = images or (target.with_name(f"{target.stem}-images") if target else None)
    sources = [source for given in inputs or ["-"] for source in open_source(given, split, subset)]
    log = console.log("import")
    with (
        ImageStore(folder, target) as store,
        Run(
            "import",
            context.params,
            inputs=[source.path for source in sources if Path(source.path).is_file()],
            output=output,
            on_error=on_error.value,
            rejects=rejects,
            limit=limit,
            log=log,
        ) as run,
        console.progress("import", expected_rows([source.path for source in sources], limit)) as advance,
    ):
        for record in _records(run, sources, Importer(form, store, answer_type), store, image_root):
            run.write(record)
            advance()
        run.notes["images_stored"] = store.num_stored
        if store.num_stored:
            log(f"{store.num_stored} images stored in {folder}")


class Source(NamedTuple):
    """A file or named set of rows; `roots` are the folders that its image paths may be relative to."""

    path: str
    roots: tuple[Path, ...]
    rows: Callable[[], Iterator[TableRow]]


class Importer:
    """Turns rows of one format into records, one at a time."""

    def __init__(self, form: Format, sink: ImageSink, answer_type: AnswerType | None = None) -> None:
        self._form, self._answer_type = form, answer_type
        self._shared = SharedImages(sink) if form.index_field else None
        self._sink = self._shared or sink
        self._ids_repeat = form.ids_repeat
        self._repeats: Counter[str] = Counter()

    def record(self, row: TableRow) -> Problem | Example:
        """The record of a row. Raises RowError for a row of another shape, or one that makes no sense."""
        assert self._form.to_record is not None  # refused before any row was read
        fields = row.fields()
        refuse_other_shape(self._form, fields)
        record = self._form.to_record(fields, self._sink)
        if self._shared is not None and record.images:
            self._shared.remember(fields[str(self._form.index_field)], record.images[0])
        if self._answer_type is None or not isinstance(record, Problem) or record.choices:
            return record
        try:
            return msgspec.structs.replace(record, answer_type=self._answer_type)
        except ValueError as error:
            raise RowError(f"--answer-type: {error}") from None

    def with_own_id(self, record: Problem | Example, row: TableRow, seen: Seen) -> Problem | Example:
        """The problem under an id that no earlier one has. Raises RowError for a repeated id that should not repeat.

        Where ids of the set repeat, the second one gets `-2` behind its id and so on. Examples of one problem share it.
        """
        if not isinstance(record, Problem):
            return record
        name = record.id
        while first := seen.add(name, row.path, row.number):
            if not self._ids_repeat:
                raise RowError(f"duplicate id {name!r}, first seen at {first}", hint="--split, --subset or fewer files")
            self._repeats[record.id] += 1
            name = f"{record.id}-{self._repeats[record.id] + 1}"
        return record if name == record.id else msgspec.structs.replace(record, id=name)


def open_source(given: str, split: str | None, subset: str | None) -> list[Source]:
    """The files that an argument means, a folder's by split and subset, or a named data set. Nothing is read yet.

    Raises AnectlError when there is no such thing, UsageError when a file is to have splits.
    """
    path = Path(given)
    if given == "-" or path.is_file():
        if split is not None or subset is not None:
            raise UsageError(f"--split and --subset choose from a folder or a named data set, and {given} is a file")
        return [_file(given, (path.parent,))]
    if path.is_dir():
        return [_file(str(file), (file.parent, path)) for file in files_of(path, split, subset)]
    if not _HUB_NAME.fullmatch(given) or path.suffix[1:].lower() in KINDS:
        raise AnectlError("no such file or folder", path=given)
    read = engines.load_engine("hub_tables", "data").read_named
    return [Source(given, (), functools.partial(read, given, split, subset))]


def _file(name: str, roots: tuple[Path, ...]) -> Source:
    kind = "jsonl" if name == "-" else Path(name).suffix[1:].lower()
    rows: Callable[[], Iterator[TableRow]]
    if kind in ("parquet", "arrow"):
        tables = engines.load_engine("tables", "data")
        rows = functools.partial(tables.read_parquet if kind == "parquet" else tables.read_arrow, name)
    elif kind in ("tsv", "csv"):
        rows = functools.partial(read_delimited, name, "\t" if kind == "tsv" else ",")
    elif kind in ("json", "jsonl", "ndjson"):
        rows = functools.partial(read_json if kind == "json" else read_json_lines, name)
    else:
        raise AnectlError("is of no kind that can be read", path=name, hint="kinds: " + ", ".join(KINDS))
    return Source(name, tuple(dict.fromkeys(roots)), rows)


def _records(
    run: Run, sources: Sequence[Source], importer: Importer, store: ImageStore, image_root: Path | None
) -> Iterator[Problem | Example]:
    with Seen() as seen:
        for source in sources:
            store.roots = (image_root,) if image_root else source.roots
            store.folders = source.roots if image_root else ()
            for row in run.counted(source.rows()):
                try:
                    record = importer.with_own_id(importer.record(row), row, seen)
                except RowError as error:
                    run.reject(*_bad(row, error))
                else:
                    yield record


def _bad(row: TableRow, error: RowError) -> tuple[Line, RowError]:
    """A bad row as its line, or as JSON without its images, and what is wrong with it; tables have rows, not lines."""
    if isinstance(row.content, bytes):
        return Line(row.path, row.number, row.content), error
    error.problem = f"row {row.number}: {error.problem}"
    shown = row.content if isinstance(row.content, str) else published(row.content, _IMAGE_FIELDS)
    return Line(row.path, row.number, msgspec.json.encode(shown)), error
