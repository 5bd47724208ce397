"""Turn problems or examples into the rows of another tool, such that they can come back as they were.

reads:   problem/1 or example/1, one kind at a time
writes:  rows of LLaMA-Factory, ms-swift, EasyR1, verl, TRL or a batch API, one per input row, as JSON Lines or parquet
example: anectl export --to llamafactory train.jsonl -o data/train.jsonl --dataset-info data/dataset_info.json

What the other tool has no field for travels in a column `anectl`, which `anectl import` reads; `--plain` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import typer

from anectl import console, engines, options
from anectl.core.errors import RowError, UsageError
from anectl.core.export_hints import add_dataset_info, next_step
from anectl.core.formats import ExportOptions, Format, load_format
from anectl.core.image_links import ImageLinks
from anectl.core.images import ImageRoot
from anectl.core.jsonl import Line, decode, parse_object, schema_tag
from anectl.core.prompts import DEFAULT_INSTRUCTION
from anectl.core.records import Example, Problem
from anectl.core.run import Run
from anectl.core.seen import Seen

Exportable: TypeAlias = Problem | Example


class Targets(StrEnum):
    """The tools whose rows can be written."""

    llamafactory = "llamafactory"
    swift = "swift"
    easyr1 = "easyr1"
    verl = "verl"
    trl = "trl"
    openai_batch = "openai-batch"


# These open image files by path alone, at least from JSON Lines.
_PATHS_ONLY = {Targets.llamafactory, Targets.easyr1}
# These have one assistant's turn, which holds what the prompt of an example may open the answer with.
_ONE_TURN = {Targets.llamafactory, Targets.swift}
OPENED = "prompts_that_open_the_answer"


def command(
    context: typer.Context,
    to: Annotated[Targets, typer.Option(help="The tool the rows are for.")],
    inputs: options.Inputs = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Output file, written whole or not at all; .parquet or JSON Lines; default stdout."
        ),
    ] = None,
    instruction: options.Instruction = DEFAULT_INSTRUCTION,
    model: Annotated[str, typer.Option("--model", "-m", help="openai-batch: the model the requests name.")] = "",
    data_source: Annotated[
        str, typer.Option(help="verl: what its rows are called; verl chooses its reward function by it.")
    ] = "hiyouga/geometry3k",
    inline_images: Annotated[
        bool, typer.Option("--inline-images", help="Put the images into the rows (openai-batch always does).")
    ] = False,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Full image paths (verl always); default from OUTPUT's folder.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Leave out the column that brings our other fields back on import.")
    ] = False,
    dataset_info: Annotated[
        Path | None, typer.Option(help="llamafactory: the dataset_info.json to add the entry to.")
    ] = None,
    image_root: options.Root = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Turn problems or examples into rows of LLaMA-Factory, ms-swift, EasyR1, verl, TRL or a batch API.

    The user's turn is what rollout shows: the question, its choices, the instruction. `anectl import` of the same
    format gives every record back. Says on stderr how the tool is told of the file.

    Example: anectl export --to llamafactory train.jsonl -o data/train.jsonl
    """
    is_parquet = output is not None and output.endswith(".parquet")
    _refuse_what_does_not_fit(to, output, model, inline_images, dataset_info)
    log = console.log("export")
    console.quiet_libraries()
    wording = ExportOptions(instruction, not plain, inline_images, model, data_source)
    folder = Path(output).parent if output not in (None, "-") else Path()
    links = ImageLinks(ImageRoot(image_root), None if absolute or to == Targets.verl else folder)
    with Run(
        "export",
        context.params,
        inputs=inputs or (),
        output=output,
        on_error=on_error.value,
        rejects=rejects,
        limit=limit,
        log=log,
    ) as run:
        rows = export(run, load_format(to.value), links, wording)
        if is_parquet:
            _write_parquet(run, rows, inline=inline_images)
        else:
            for row in rows:
                run.write_bytes(msgspec.json.encode(row) + b"\n")
    if OPENED in run.notes and to in _ONE_TURN:
        log(f"{run.notes[OPENED]} prompts open the answer; {to.value} learns that part of the turn like the rest")
    if dataset_info is not None and output is not None:
        add_dataset_info(dataset_info, output)
        log(f"{dataset_info} has the entry {Path(output).stem!r}")
    log(next_step(to.value, output))


def export(run: Run, form: Format, links: ImageLinks, wording: ExportOptions) -> Iterator[dict[str, Any]]:
    """The other tool's row of each input row; what has none is rejected. All rows must be of the first one's kind."""
    if form.from_record is None:
        raise UsageError(f"{form.name} can be imported but not exported")
    kind: type[Exportable] | None = None
    with Seen() as seen:
        for line in run.lines():
            try:
                record = _read(line, kind)
                kind = type(record)
                links.source = run.source
                row = form.from_record(record, links, wording)
                _refuse_doubled(row, seen, line)
                if isinstance(record, Example) and record.prompt[-1:] and record.prompt[-1].role == "assistant":
                    run.notes[OPENED] = run.notes.get(OPENED, 0) + 1
            except RowError as error:
                run.reject(line, error)
                continue
            yield row


def _read(line: Line, kind: type[Exportable] | None) -> Exportable:
    tag = parse_object(line.data).get("schema")
    found: type[Exportable] = Example if str(tag).startswith("example/") else Problem
    if kind is not None and found is not kind:
        raise RowError(
            f"{schema_tag(found)} among rows of {schema_tag(kind)}", hint="export problems and examples apart"
        )
    return decode(line.data, found)


def _refuse_doubled(row: dict[str, Any], seen: Seen, line: Line) -> None:
    name = row.get("custom_id")
    if name is not None and (first := seen.add(name, line.path, line.number)):
        raise RowError(f"duplicate id {name!r}, first seen at {first}", hint="a batch needs a name per request")


def _write_parquet(run: Run, rows: Iterator[dict[str, Any]], *, inline: bool) -> None:
    writer = engines.load_engine("parquet_writer", "data").ParquetWriter(run.output.write, inline=inline)
    for row in rows:
        writer.add(row)
        # Its bytes follow with its batch.
        run.write_bytes(b"")
    writer.close()


def _refuse_what_does_not_fit(
    to: Targets, output: str | None, model: str, inline_images: bool, dataset_info: Path | None
) -> None:
    is_parquet = output is not None and output.endswith(".parquet")
    if (to == Targets.openai_batch) != bool(model):
        raise UsageError("--to openai-batch and --model go together")
    if is_parquet and to == Targets.openai_batch:
        raise UsageError("a batch is JSON Lines, not parquet")
    if inline_images and to in _PATHS_ONLY and not is_parquet:
        raise UsageError(f"{to.value} opens image files by path", hint="-o FILE.parquet can hold the images")
    if dataset_info is not None and (to != Targets.llamafactory or output in (None, "-")):
        raise UsageError("--dataset-info is for --to llamafactory with -o FILE")
