"""Work on the rows of a stream in several threads, with results in the order of the rows and bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def ordered_map(
    function: Callable[[T], U], items: Iterable[T], *, threads: int = 4, chunk: int = 32, ahead: int = 8
) -> Iterator[U]:
    """`function` of each item, in order.

    At most `ahead` chunks of `chunk` items are under way. Python code gains nothing from the threads, but waits for
    other processes overlap: an answer on which a verifier works for seconds holds back no others. The first exception,
    of the items or of the function, ends it; what came before it has been given out.
    """
    iterator = iter(items)

    def work(block: list[T]) -> list[U]:
        return [function(item) for item in block]

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[U]]] = deque()
        try:
            while block := list(islice(iterator, chunk)):
                waiting.append(pool.submit(work, block))
                if len(waiting) >= ahead:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
