"""Tasks in order over actors of a Ray cluster, none lost when an actor dies.

Image files, checkpoints and anectl itself must be found on every node under the same paths.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import ray

from anectl.core.errors import AnectlError

_WAIT_S = 1.0
_CONNECT_S = 5.0
_MOST_DEATHS = 3

T = TypeVar("T")
U = TypeVar("U")


def found_anywhere(path: str) -> str:
    """A local path as an actor finds it, whose working folder is another; a name that is no path as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else path


class _Replica:
    """What runs on a node: `load()` once, then its result for each task."""

    def __init__(self, load: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = load()

    def ready(self) -> bool:
        return True

    def work(self, task: Any) -> Any:
        return self._work(task)


class RayPool(Generic[T, U]):
    """`replicas` actors, each with `gpus` GPUs, that all do what `load` gives them.

    An actor that dies (its node, its process) loses nothing: its task goes to another, before any new one, and a new
    actor is asked for. With none left, one is waited for `patience_s` seconds. A task that kills three ends the run.
    """

    def __init__(
        self,
        load: Callable[[], Callable[[T], U]],
        *,
        address: str,
        replicas: int = 1,
        gpus: float = 0.0,
        patience_s: float = 300.0,
        ahead: int = 2,
    ) -> None:
        """Raises AnectlError when no cluster answers at `address` (`local` starts one on this machine)."""
        self._load, self._replicas, self._ahead, self._patience_s = load, replicas, ahead, patience_s
        self._began_ray = not ray.is_initialized()
        if self._began_ray:
            _refuse_silence(address)
            # Without an address Ray would join a cluster that somebody else has running on this machine.
            where: dict[str, Any] = {"address": address}
            if address == "local":
                where["include_dashboard"] = False
            try:
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **where)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise AnectlError(f"no Ray cluster at {address!r}: {error}", hint="ray start --head") from None
        self._actor = ray.remote(max_restarts=0, num_cpus=1, num_gpus=gpus)(_Replica)
        self._idle: deque[Any] = deque()
        self._starting: dict[Any, Any] = {}
        for _ in range(replicas):
            self._start()

    def map(self, tasks: Iterable[T]) -> Iterator[U]:
        """The result of each task, in order; at most `ahead` tasks for each replica are under way or waiting."""
        iterator = iter(tasks)
        owed: deque[int] = deque()
        given: dict[int, T] = {}
        deaths: dict[int, int] = {}
        running: dict[Any, tuple[int, Any]] = {}
        done: dict[int, U] = {}
        first = following = 0
        is_read = False
        while not is_read or running or owed:
            while self._idle:
                if not owed and not is_read and following - first < self._ahead * self._replicas:
                    try:
                        given[following] = next(iterator)
                    except StopIteration:
                        is_read = True
                    else:
                        owed.append(following)
                        following += 1
                if not owed:
                    break
                number, actor = owed.popleft(), self._idle.popleft()
                running[actor.work.remote(given[number])] = number, actor
            if running or owed or not self._idle:
                self._collect(running, owed, deaths, done)
            while first in done:
                yield done.pop(first)
                del given[first]
                first += 1

    def close(self) -> None:
        """Release the actors, and the cluster where it was started for them."""
        for actor in [*self._idle, *self._starting.values()]:
            with contextlib.suppress(ray.exceptions.RayError):  # dead already
                ray.kill(actor)
        self._idle.clear()
        self._starting.clear()
        if self._began_ray:
            ray.shutdown()

    def _start(self) -> None:
        actor: Any = self._actor.remote(self._load)
        self._starting[actor.ready.remote()] = actor

    def _collect(
        self, running: dict[Any, tuple[int, Any]], owed: deque[int], deaths: dict[int, int], done: dict[int, U]
    ) -> None:
        """Wait for a task or an actor to come in; put the task of a dead actor back."""
        started = time.monotonic()
        ready: list[Any] = []
        while not ready:
            pending = [*running, *self._starting]
            ready, _ = ray.wait(pending, num_returns=1, timeout=_WAIT_S)
            if not ready and not running and time.monotonic() - started > self._patience_s:
                raise AnectlError(
                    f"no Ray actor came up within {self._patience_s:.0f} s",
                    hint="`ray status` shows what the cluster has to give",
                )
        (reference,) = ready
        if reference in self._starting:
            self._take_up(reference)
            return
        number, actor = running.pop(reference)
        try:
            done[number] = ray.get(reference)
            self._idle.append(actor)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError):
            deaths[number] = deaths.get(number, 0) + 1
            if deaths[number] >= _MOST_DEATHS:
                raise AnectlError(f"{_MOST_DEATHS} Ray actors died of the same rows") from None
            # Rows that others wait for come first.
            owed.appendleft(number)
            self._start()

    def _take_up(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
            self._idle.append(actor)
        except (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ray.exceptions.RayTaskError):
                raise _cause(cause) from None
            if "creation task" in str(error):
                raise AnectlError(f"a Ray actor cannot load the model: {error}") from None
            self._start()


def _refuse_silence(address: str) -> None:
    """Raises AnectlError when nothing listens at HOST:PORT, which Ray itself would find out after five minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise AnectlError(f"no Ray cluster at {address!r}: {error}", hint="ray start --head") from None


def _cause(error: ray.exceptions.RayTaskError) -> BaseException:
    """The user's error that an actor raised, as if it had been raised here; anything else as it is."""
    cause = error.cause
    return cause if isinstance(cause, AnectlError) else error
