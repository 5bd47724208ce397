"""check: are these files sound, before a long run finds out that they are not.

reads:   any records; the schema field of a row says what it is, a row without one is taken for a problem
writes:  reject/1, one line per bad row; exit 1 when there is any
example: anectl check problems.jsonl train.jsonl --image-root images/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer

from anectl import console, options
from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import STDIN, Line, decode, parse_object, schema_tag
from anectl.core.records import RECORDS, Anchored, Example, Frontier, Problem, Record, Rollout, Score
from anectl.core.run import Run, rejected

ImageCheck: TypeAlias = Callable[[str, str | None], None]
"""Takes an image reference and the file whose row names it. Raises RowError when the image is of no use."""


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    images: Annotated[bool, typer.Option(help="Find and decode the images too.")] = True,
    image_root: options.Root = None,
    output: options.OutputFile = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Check every row of any files: types, versions, doubled rows, images. Exit 1 when a row is bad.

    All bad rows are reported, on stderr as file:line and on stdout as reject rows.

    Example: anectl check problems.jsonl train.jsonl --image-root images/
    """
    log = console.log("check")
    files: dict[str, Counter[str]] = {}
    with Run("check", context.params, inputs=inputs or (), output=output, limit=limit, log=log) as run:
        check = RowCheck(image_check(image_root) if images else None)
        for line in run.lines():
            counts = files.setdefault(line.path, Counter())
            try:
                counts[schema_tag(type(check(line)))] += 1
                run.keep()
            except RowError as error:
                counts["bad"] += 1
                log(f"{line.path}:{line.number}: {error.problem}" + (f" ({error.hint})" if error.hint else ""))
                run.write(rejected(line, error))
        for path, counts in files.items():
            log(f"{path}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    if run.num_written:
        raise AnectlError(f"{run.num_written} of {run.num_read} rows are bad")


class RowCheck:
    """Checks rows one by one, and remembers what may come once only in a file."""

    def __init__(self, image: ImageCheck | None = None) -> None:
        """`image` is called for each image of a problem or example; None leaves images alone."""
        self._image = image
        self._seen: dict[Hashable, int] = {}

    def __call__(self, line: Line) -> Record:
        """The record of a sound line. Raises RowError: unreadable, of wrong types, doubled, or with a bad image."""
        tag = parse_object(line.data).get("schema")
        record = decode(line.data, RECORDS.get(str(tag).partition("/")[0], Problem))
        identity = identity_of(record)
        if identity is not None:
            first = self._seen.setdefault((line.path, identity), line.number)
            if first != line.number:
                raise RowError(f"duplicate of line {first}: {', '.join(map(str, identity))}")
        if self._image is not None:
            for ref in _images(record):
                self._image(ref, None if line.path == STDIN else line.path)
        return record


def identity_of(record: Record) -> tuple[Hashable, ...] | None:
    """What tells a row from every other of its file; None where rows may repeat (examples, results).

    Lines of one problem merge in locate-frontier, so a rollout repeats only when its seed does: the same draws would
    count twice.
    """
    if isinstance(record, Problem):
        return ("id", record.id)
    if isinstance(record, Frontier):
        return ("problem.id", record.problem.id, record.policy)
    if isinstance(record, Rollout):
        sampling = msgspec.json.encode(record.sampling).decode()
        return ("problem.id", record.problem.id, record.policy, sampling)
    if isinstance(record, Score):
        return ("problem_id", record.problem_id, record.benchmark, record.policy, record.scaffold_level)
    return None


def _images(record: Record) -> Iterator[str]:
    if isinstance(record, (Problem, Example)):
        yield from record.images
    if isinstance(record, Rollout):
        yield from record.problem.images
    if isinstance(record, Anchored):
        for anchor in record.anchors:
            yield from anchor.problem.images


def image_check(root: Path | None) -> ImageCheck:
    """A check that finds an image and decodes it whole; each file is decoded once."""
    images = ImageRoot(root)
    sound: set[str] = set()

    def check(ref: str, source: str | None) -> None:
        image = images.resolve(ref, source)
        if image.location not in sound:
            image.open()
            sound.add(image.location)

    return check
