"""Any engine on the nodes of a Ray cluster: one actor a worker, blocks of rows handed out, and out again when one dies.

Blocks are formed by position, as on one machine, so the same rows are drawn together wherever they are drawn. Image
files, checkpoints and anectl itself must be found on every node under the same paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from anectl.core.errors import AnectlError
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.engines import EngineSettings, load_sampler

_WAIT_S = 1.0
_CONNECT_S = 5.0

Block = tuple[PromptRequest, ...]
Draws = list[tuple[Draw, ...]]


class _Worker:
    """What runs on a node: one sampler, loaded once."""

    def __init__(self, settings: EngineSettings) -> None:
        self._sampler = load_sampler(settings)

    def ready(self) -> str:
        return self._sampler.name

    def draw(self, block: Block, params: SamplingParams) -> Draws:
        return list(self._sampler.sample(block, params))


class RaySampler:
    """A `Sampler` over `workers` actors, each with `gpus` GPUs.

    A worker that dies (its node, its process) loses nothing: its blocks go to the others, and a new worker is asked
    for. With none left, a new one is waited for `patience_s` seconds. A block that kills three workers ends the run.
    """

    continuous = True

    def __init__(
        self,
        settings: EngineSettings,
        *,
        address: str,
        workers: int = 1,
        gpus: float = 0.0,
        patience_s: float = 300.0,
        ahead: int = 2,
    ) -> None:
        """Raises AnectlError when no cluster answers at `address` (`local` starts one on this machine)."""
        model = Path(settings.model)
        # A worker has a working folder of its own.
        self._settings = dataclasses.replace(settings, model=str(model.resolve()) if model.exists() else settings.model)
        self.name = settings.model
        self._num_workers, self._gpus, self._ahead = workers, gpus, ahead
        self._patience_s = patience_s
        self._began_ray = not ray.is_initialized()
        if self._began_ray:
            where = {"include_dashboard": False} if address == "local" else {"address": address}
            _refuse_silence(address)
            try:
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **where)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise AnectlError(f"no Ray cluster at {address!r}: {error}", hint="ray start --head") from None
        self._actor = ray.remote(max_restarts=0, num_cpus=1, num_gpus=gpus)(_Worker)
        self._idle: deque[Any] = deque()
        self._starting: dict[Any, Any] = {}
        for _ in range(workers):
            self._start()

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """One tuple of draws per request, in order."""
        iterator = iter(requests)
        owed: deque[int] = deque()
        blocks: dict[int, Block] = {}
        deaths: dict[int, int] = {}
        running: dict[Any, tuple[int, Any]] = {}
        done: dict[int, Draws] = {}
        first = following = 0
        is_read = False
        while not is_read or running or owed:
            while self._idle:
                if not owed and not is_read and following - first < self._ahead * self._num_workers:
                    block = tuple(islice(iterator, self._settings.batch_size))
                    is_read = not block
                    if block:
                        blocks[following] = block
                        owed.append(following)
                        following += 1
                if not owed:
                    break
                number, actor = owed.popleft(), self._idle.popleft()
                running[actor.draw.remote(blocks[number], params)] = number, actor
            if running or owed or not self._idle:
                self._collect(running, owed, deaths, done)
            while first in done:
                yield from done.pop(first)
                del blocks[first]
                first += 1

    def close(self) -> None:
        """Release the workers, and the cluster where it was started for them."""
        for actor in [*self._idle, *self._starting.values()]:
            with contextlib.suppress(Exception):  # dead already
                ray.kill(actor)
        self._idle.clear()
        self._starting.clear()
        if self._began_ray:
            ray.shutdown()

    def _start(self) -> None:
        actor: Any = self._actor.remote(self._settings)
        self._starting[actor.ready.remote()] = actor

    def _collect(
        self, running: dict[Any, tuple[int, Any]], owed: deque[int], deaths: dict[int, int], done: dict[int, Draws]
    ) -> None:
        """Wait for a block or a worker to come in; put the block of a dead worker back."""
        started = time.monotonic()
        while True:
            pending = [*running, *self._starting]
            ready, _ = ray.wait(pending, num_returns=1, timeout=_WAIT_S) if pending else ([], [])
            if ready:
                break
            if not running and time.monotonic() - started > self._patience_s:
                raise AnectlError(
                    f"no Ray worker came up within {self._patience_s:.0f} s",
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
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError):
            deaths[number] = deaths.get(number, 0) + 1
            if deaths[number] >= 3:
                raise AnectlError(f"three Ray workers died of the same {self._settings.batch_size} rows") from None
            # Rows that are waited for come first.
            owed.appendleft(number)
            self._start()
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None

    def _take_up(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
            self._idle.append(actor)
        except (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ray.exceptions.RayTaskError):
                raise _cause(cause) from None
            if "The actor died because of an error raised in its creation task" in str(error):
                raise AnectlError(f"a Ray worker cannot load the model: {error}") from None
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
    """The user's error that a worker raised, as if it had been raised here; anything else as it is."""
    cause = error.cause
    return cause if isinstance(cause, AnectlError) else error
