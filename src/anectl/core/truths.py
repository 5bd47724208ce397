"""The problems that can become anchors: those whose worked solution leads to their answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from anectl.core.images import ImageRoot
from anectl.core.keys import image_key, problem_key
from anectl.core.pending import Pending
from anectl.core.prompts import user_text
from anectl.core.protocols import EmbedItem, Verifier
from anectl.core.record_writer import RecordWriter
from anectl.core.records import Problem
from anectl.core.run import Run
from anectl.core.store import StoredProblem
from anectl.core.verified import verify


def truths(
    run: Run, root: ImageRoot, verifier: Verifier, keep_unverified: bool
) -> Iterator[tuple[StoredProblem, EmbedItem]]:
    """The problems that can become anchors, image paths as found from the working folder, and what is embedded."""

    def check(problem: Problem, source: str | None) -> Problem:
        # Decoded here once more than needed, so that a bad image is this row's error and not its batch's.
        for image in root.resolve_all(problem.images, source):
            image.open()
        return problem

    for problem in run.read(Problem, unique=lambda problem: problem.id, check=check):
        truth = verify(problem, verifier) if problem.solution or problem.steps else None
        if truth is None:
            run.drop("no solution")
        elif truth == "refuted":
            run.drop("the solution leads to another answer")
        elif truth == "unknown" and not keep_unverified:
            run.drop("the solution is not seen to lead to the answer")
        else:
            images = root.resolve_all(problem.images, run.source)
            contents = [image.read() for image in images]
            found = msgspec.structs.replace(problem, images=tuple(image.ref for image in images))
            stored = StoredProblem(found, problem_key(found, contents), image_key(contents), truth == "verified")
            yield stored, EmbedItem(user_text(found, ""), images)


def put_all(
    rows: Iterator[tuple[StoredProblem, EmbedItem]],
    records: RecordWriter,
    pending: Pending,
    run: Run,
    advance: Callable[[str], None],
) -> None:
    """Put the rows into the records; those with new content wait to be embedded."""
    for stored, item in rows:
        advance("")
        row = records.next_row
        added = records.put(stored)
        if added in ("copy", "same"):
            run.drop("duplicate content" if added == "copy" else "already in the index")
            continue
        if added != "changed":
            pending.add(row, item)
        run.keep()
        run.num_written += 1
