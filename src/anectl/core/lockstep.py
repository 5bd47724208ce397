"""Several pieces of work side by side: what all of them ask for goes to the engine together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from anectl.core.probing import Probe, Work
from anectl.core.protocols import Draw

R = TypeVar("R")


def together(works: Sequence[Work[R]]) -> Work[list[R]]:
    """The results of all works, in their order; each round asks for the probes of all that are not yet done."""
    results: dict[int, R] = {}
    asked: dict[int, list[Probe]] = {}
    answers: dict[int, Sequence[tuple[Draw, ...]] | None] = dict.fromkeys(range(len(works)))
    while True:
        for number, draws in answers.items():
            try:
                asked[number] = next(works[number]) if draws is None else works[number].send(draws)
            except StopIteration as stop:
                results[number] = stop.value
                asked.pop(number, None)
        if not asked:
            return [results[number] for number in range(len(works))]
        found = iter((yield [probe for probes in asked.values() for probe in probes]))
        answers = {number: [next(found) for _ in probes] for number, probes in asked.items()}
