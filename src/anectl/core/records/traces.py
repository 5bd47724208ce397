"""The life of one problem, gathered from the artifacts of a run."""

from __future__ import annotations

from typing import Any, Literal

from anectl.core.records.base import Count, Name, Record

Role = Literal["itself", "anchor", "match", "flip", "mention"]


class Sighting(Record, frozen=True, kw_only=True):
    """A row that tells of a problem, and where it stands. `kind` is its schema tag.

    `role`: the row is about the problem itself (an example also when it was made for it); the problem is the `anchor`
    of problem `other`; the row of a benchmark that leaking problem `other` matches; a `flip` of a comparison; or
    only a mention in a row that could not be read. `row` is the row as it is; of an anchor and of a flip what concerns
    the problem. `command` and `finished` (UTC) are those of the file by its manifest, null without one.
    """

    kind: str
    role: Role
    path: str
    line: Count
    command: str | None = None
    finished: str | None = None
    other: str | None = None
    row: dict[str, Any]


class Trace(Record, frozen=True, kw_only=True):
    """The life of one problem through the artifacts of a run, in the order of the loop. Written by trace --json."""

    schema: Literal["trace/1"] = "trace/1"
    problem_id: Name
    sightings: tuple[Sighting, ...]
