"""Which requests a worker has, which it must get again when it dies, and which one it may have died of."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from anectl.engines.vllm_messages import Ask

# A request that was at work in two deaths is alone with the worker from then on; the third is its own.
_ALONE, _GUILTY = 2, 3


@dataclass(slots=True)
class _Pending:
    index: int
    ask: Ask
    has_begun: bool = False
    num_deaths: int = 0


class Outstanding:
    """Requests without an answer, each under a number that is used once, and their order of sending."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._backlog: deque[int] = deque()
        self._with_worker: set[int] = set()
        self._next = 0

    def __len__(self) -> int:
        return len(self._pending)

    def next_number(self) -> int:
        """A number that no request has had."""
        self._next += 1
        return self._next

    def add(self, index: int, ask: Ask) -> None:
        """A request to be sent; `index` is its place in the run."""
        self._pending[ask.number] = _Pending(index, ask)
        self._backlog.append(ask.number)

    def to_send(self) -> Ask | None:
        """The request to be sent now, if any: none beside one that may kill the worker."""
        if not self._backlog:
            return None
        first = self._pending[self._backlog[0]]
        is_alone = first.num_deaths >= _ALONE or any(self._pending[n].num_deaths >= _ALONE for n in self._with_worker)
        return None if is_alone and self._with_worker else first.ask

    def sent(self, number: int) -> None:
        """The worker has this request, which was the one to be sent."""
        self._backlog.popleft()
        self._with_worker.add(number)

    def begun(self, number: int) -> None:
        """The worker is at work on this request."""
        if number in self._pending:
            self._pending[number].has_begun = True

    def answered(self, number: int) -> int | None:
        """The place of a request that has its answer now; None for one that nobody waits for."""
        self._with_worker.discard(number)
        pending = self._pending.pop(number, None)
        return None if pending is None else pending.index

    def lost(self) -> list[tuple[int, int]]:
        """The worker is dead: all it had must be sent again, suspects first.

        But not those that are given up; their places and their numbers of samples come back.
        """
        for number in self._with_worker:
            pending = self._pending[number]
            pending.num_deaths += pending.has_begun
            pending.has_begun = False
        guilty = [number for number in self._with_worker if self._pending[number].num_deaths >= _GUILTY]
        given_up = [(pending.index, len(pending.ask.seeds)) for pending in map(self._pending.pop, guilty)]
        order = sorted(self._pending, key=lambda number: (-self._pending[number].num_deaths, number))
        self._backlog = deque(order)
        self._with_worker.clear()
        return given_up

    def clear(self) -> None:
        """Nobody waits for any answer."""
        self._pending.clear()
        self._backlog.clear()
        self._with_worker.clear()
