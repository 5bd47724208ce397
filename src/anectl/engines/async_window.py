"""Run coroutines on an event loop in a thread of its own, a bounded number of them ahead of the consumer."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOP_S = 10.0


class AsyncWindow(Generic[Item, Result]):
    """`work(item)` for a stream of items; at most `size` of them are begun and not yet given back.

    The items are taken in the consumer's thread. The first exception of any of them cancels the others and is raised
    as soon as the results that were ready before it are out. `resource` is open on the loop as long as the window is;
    leaving the window, by Ctrl-C too, cancels what is under way.
    """

    def __init__(
        self,
        work: Callable[[Item], Coroutine[Any, Any, Result]],
        *,
        size: int,
        resource: AbstractAsyncContextManager[Any],
    ) -> None:
        self._work, self._size, self._resource = work, size, resource
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="anectl-requests", daemon=True)
        self._going: set[Future[Result]] = set()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def __enter__(self) -> AsyncWindow[Item, Result]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_S)

    def in_order(self, items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items."""
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(self._begin(item))
            while begun and (len(begun) >= self._size or begun[0].done()):
                yield self._result(begun.popleft())
        while begun:
            yield self._result(begun.popleft())

    def as_finished(self, items: Iterable[Item]) -> Iterator[tuple[int, Result]]:
        """The results with the numbers of their items, as they come."""
        finished: queue.SimpleQueue[tuple[int, Future[Result]]] = queue.SimpleQueue()
        num_going = 0
        for number, item in enumerate(items):
            future = self._begin(item)
            future.add_done_callback(lambda done, number=number: finished.put((number, done)))  # type: ignore[misc]
            num_going += 1
            while num_going >= self._size or not finished.empty():
                place, done = finished.get()
                num_going -= 1
                yield place, self._result(done)
        for _ in range(num_going):
            place, done = finished.get()
            yield place, self._result(done)

    def _begin(self, item: Item) -> Future[Result]:
        future = asyncio.run_coroutine_threadsafe(self._work(item), self._loop)
        with self._lock:
            self._going.add(future)
        future.add_done_callback(self._ended)
        if self._failure is not None:
            future.cancel()
        return future

    def _ended(self, future: Future[Result]) -> None:
        with self._lock:
            self._going.discard(future)
            if future.cancelled() or future.exception() is None or self._failure is not None:
                return
            self._failure = future.exception()
            others = tuple(self._going)
        for other in others:
            other.cancel()

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except CancelledError:
            if self._failure is None:
                raise
            raise self._failure from None

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with self._resource:
            await self._stop.wait()
            going = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in going:
                task.cancel()
            await asyncio.gather(*going, return_exceptions=True)
