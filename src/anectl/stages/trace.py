"""trace: the life of one problem through all artifacts of a run.

reads:   any records, of files or of all JSON Lines files below a folder; a row is known by its schema field
writes:  a page for people on stdout; with --json one trace/1 record
example: anectl trace pool-000004 runs/seed-0 | less

Rows stream by: time grows with the size of the files, memory with the rows of the problem.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from anectl import console, options, pages
from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import STDIN, encode
from anectl.core.nearest_ids import nearest_ids
from anectl.core.trace_parts import ImageFacts
from anectl.core.trace_story import story
from anectl.core.tracing import Search, files_of, search


def command(
    problem_id: Annotated[str, typer.Argument(help="The id of a problem.", metavar="ID")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Folders of a run, or files; default this folder.", metavar="RUN_DIR|FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one trace/1 record instead of a page.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Cut no text short.")] = False,
    image_root: options.Root = None,
    config: options.Config = None,
) -> None:
    """Show the life of one problem through all artifacts of a run.

    In the order of the loop, each with its file and line: the problem; its rollouts with the best and the worst
    completion; its zone, the first wrong step and the step values; its anchors and why they were chosen; the examples
    made of it; its scores, before and after; where profiles disagree; rejects that name it; and the problems that it is
    an anchor of. Of rows of one kind the older come first, by their manifests. The best completion is a right one, if
    there is any, the worst a wrong one; among these step scores decide, then log-probabilities.

    Example: anectl trace pool-000004 runs/seed-0
    """
    log = console.log("trace")
    files = files_of(inputs or ["."])
    result = search(files, problem_id)
    if result.unread:
        log(f"warning: {len(result.unread)} rows that name it cannot be read: {', '.join(result.unread[:5])}")
    if not result.found:
        raise _unknown(result, files)
    if as_json:
        sys.stdout.buffer.write(encode(result.trace()))
        return
    pages.show(f"problem {problem_id}", story(result.found, image_facts(image_root)), full=full)


def image_facts(root: Path | None) -> ImageFacts:
    """Says of an image where it is, and its size; or why it cannot be shown."""
    images = ImageRoot(root)

    def facts(ref: str, path: str) -> str:
        try:
            image = images.resolve(ref, None if path == STDIN else path)
            data = image.read()
            width, height = image.open(data).size
        except RowError as error:
            return error.problem
        name = "data URI" if ref.startswith("data:") else image.ref
        return f"{name}, {width} x {height} pixels, {len(data)} bytes"

    return facts


def _unknown(result: Search, files: list[str]) -> AnectlError:
    near = nearest_ids(files, result.problem_id)
    hint = f"did you mean {' or '.join(near)}?" if near else "ids are those of the problems' rows"
    rows = f"none of the {result.num_lines} rows of {len(files)} files tells of problem {result.problem_id!r}"
    return AnectlError(rows, hint=hint)
