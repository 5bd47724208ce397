"""The problems of a run as checked rows: their images are found, and their content keys known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec

from anectl.core.card import PixelStats
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.keys import image_key, problem_key
from anectl.core.records import Problem
from anectl.core.run import Run


@dataclass(frozen=True, slots=True)
class Row:
    """A checked problem: its image references are resolved; `key` and `cluster` are the content keys of all and of
    the images alone, `benchmark` the stem of its file."""

    problem: Problem
    images: tuple[ImageRef, ...]
    key: str
    cluster: str
    benchmark: str
    is_finished: bool = False


def read_rows(
    run: Run,
    root: ImageRoot,
    *,
    unique: Callable[[Problem], str],
    mark_of: Callable[[Row], str],
    finished: Counter[str],
    pixels: PixelStats | None = None,
    decode_images: bool = True,
    require: Callable[[Row], None] = lambda row: None,
) -> Iterator[Row]:
    """The problems of a run, each with its images found and decoded once to see that they can be.

    `finished` counts the marks of the rows that an interrupted run has written (two problems may be equal); their
    images are not decoded again. `pixels` takes the sizes of the decoded images, `require` may raise RowError. Bad rows
    end the run or are rejected, as the run was told.
    """
    latest: list[Row] = []

    def check(problem: Problem, source: str | None) -> Problem:
        row = _checked(problem, root, source)
        if decode_images and not finished[mark_of(row)]:
            for image in row.images:
                size = image.open().size
                if pixels is not None:
                    pixels.add(*size)
        require(row)
        latest[:] = [row]
        return row.problem

    for _ in run.read(Problem, unique=unique, check=check):
        row, mark = latest[0], mark_of(latest[0])
        if finished[mark]:
            finished[mark] -= 1
            row = replace(row, is_finished=True)
        yield row


def _checked(problem: Problem, root: ImageRoot, source: str | None) -> Row:
    images = root.resolve_all(problem.images, source)
    contents = [image.read() for image in images]
    return Row(
        problem=msgspec.structs.replace(problem, images=tuple(image.ref for image in images)),
        images=images,
        key=problem_key(problem, contents),
        cluster=image_key(contents) if images else problem_key(problem, ()),
        benchmark=benchmark_of(source),
    )


def benchmark_of(source: str | None) -> str:
    """The name of a problems file as a benchmark: its stem, or `stdin`."""
    return "stdin" if source is None else source.rpartition("/")[2].removesuffix(".jsonl")
