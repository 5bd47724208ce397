"""Which file of a run came about before which, by what the manifests say."""

from __future__ import annotations

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MANIFEST = ".manifest.json"
# Options that name another artifact besides the inputs.
_SOURCES = ("model", "index", "replay", "continue_from", "before", "certificates", "result", "greedy", "step_scorer")


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a run: its manifest, and where that lies. `age` is the time of the file, in seconds."""

    path: str
    run: int
    age: float
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The file or folder that the manifest lies beside."""
        return self.path.removesuffix(_MANIFEST)

    @property
    def sources(self) -> list[str]:
        """The paths that the command read, as its own options name them."""
        options = _mapping(self.manifest.get("options"))
        entries = self.manifest.get("inputs")
        named = [_mapping(entry).get("path") for entry in entries] if isinstance(entries, list) else []
        for name in _SOURCES:
            value = options.get(name)
            named += value if isinstance(value, list) else [value]
        return [os.path.normpath(text) for text in named if isinstance(text, str) and text]

    @property
    def made(self) -> str | None:
        """The path of the output as the command's own options name it."""
        found = _mapping(self.manifest.get("options")).get("output")
        return os.path.normpath(found) if isinstance(found, str) and found else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps so that each comes after those whose outputs it read; otherwise the older first.

    A copy of a run has lost the ages of its files, but not what was made from what. A circle is broken at its oldest.
    """
    makers = {(step.run, step.made): place for place, step in enumerate(steps) if step.made is not None}
    needs = [
        {makers[step.run, source] for source in step.sources if (step.run, source) in makers} - {place}
        for place, step in enumerate(steps)
    ]
    feeds: list[list[int]] = [[] for _ in steps]
    for place, needed in enumerate(needs):
        for other in needed:
            feeds[other].append(place)
    left = {place: len(needed) for place, needed in enumerate(needs)}
    ready = [(steps[place].age, place) for place, count in left.items() if not count]
    heapq.heapify(ready)
    found: list[int] = []
    while left:
        if not ready:
            ready = [min((steps[place].age, place) for place in left)]
        _, place = heapq.heappop(ready)
        if place not in left:
            continue
        del left[place]
        found.append(place)
        for other in feeds[place]:
            if other in left:
                left[other] -= 1
                if not left[other]:
                    heapq.heappush(ready, (steps[other].age, other))
    return [steps[place] for place in found]


def place_of(path: str, ordered: Sequence[Step], run: int) -> tuple[int, float]:
    """A key that sorts files of a run: after the step that made it, then by age."""
    for number, step in enumerate(ordered):
        if step.run == run and (path == step.output or path.startswith(step.output + os.sep)):
            return number, 0.0
    try:
        age = os.path.getmtime(path)
    except OSError:
        age = 0.0
    before = [number for number, step in enumerate(ordered) if step.age <= age]
    return (before[-1] if before else -1), age
