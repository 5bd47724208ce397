"""Symbolic equality by math-verify, in a process that can be killed: no input can hang, crash or bloat the caller.

The worker starts with the first question (about a second) and is kept. It is replaced when it exceeds its time or
dies, and ends with its parent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import threading
from collections import OrderedDict
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType

from anectl.core.errors import AnectlError

MAX_LENGTH = 20_000
"""Characters of truth and answer together; a bound on what is sent, `core.grading` caps answers far below it."""

_START_TIMEOUT_S = 120.0
_JOIN_TIMEOUT_S = 1.0


class MathVerifier:
    """A `Verifier`; may be called from any thread, one question is worked on at a time.

    `timeout_s` is the wall clock allowed per question in seconds, `memory_mb` the worker's address space in MiB, and
    `cache_size` the number of verdicts kept. Raises AnectlError when math-verify is not installed.
    """

    def __init__(self, timeout_s: float = 2.0, memory_mb: int = 1024, cache_size: int = 65_536) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise AnectlError(
                "answers of type 'expression' need math-verify, which is not installed",
                hint="pip install 'anectl[train]'",
            )
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._cache_size = cache_size
        self._cache: OrderedDict[tuple[str, str], bool | None] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._lock = threading.Lock()
        self._worker: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._ready = False
        self._ever_ready = False
        self._owner_pid = os.getpid()

    def equal(self, truth: str, given: str) -> bool | None:
        """Whether the expressions are equal; null when that was not decided within the limits.

        Raises AnectlError only if the very first worker does not start, which is a broken installation: a verifier
        that answers null to everything would hide it.
        """
        if len(truth) + len(given) > MAX_LENGTH:
            return None
        key = (truth, given)
        with self._cache_lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        with self._lock:
            decided, verdict = self._ask(truth, given)
        if decided:
            with self._cache_lock:
                self._cache[key] = verdict
                while len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return verdict

    def close(self) -> None:
        """End the worker; the next question starts another one."""
        with self._lock:
            self._kill()

    def __enter__(self) -> MathVerifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, truth: str, given: str) -> tuple[bool, bool | None]:
        """Whether the outcome is one to keep, and the verdict; that of a dead worker is not kept, it may be chance."""
        self._leave_parents_worker()
        answered = False
        try:
            connection = self._running()
            if connection is None:
                return False, None
            connection.send((truth, given))
            if not connection.poll(self._timeout_s):
                return True, None
            verdict: bool | None = connection.recv()
            answered = True
            return True, verdict
        except (EOFError, OSError):  # the worker died: of its memory limit, a fault in C code, or a kill from outside
            return False, None
        finally:
            # Also after Ctrl-C between question and answer: the next question would read this one's answer.
            if not answered:
                self._kill()

    def _running(self) -> Connection | None:
        """The connection to a worker that is ready; null when one that worked before cannot be started again."""
        if self._worker is None or not self._worker.is_alive():
            self._kill()
            self._start()
        connection = self._connection
        if connection is not None and not self._ready:
            self._ready = self._comes_up(connection)
            self._ever_ready = self._ever_ready or self._ready
        if not self._ready and not self._ever_ready:
            raise AnectlError(
                "the math-verify worker process did not start",
                hint="check that `python -c 'import math_verify'` works, and that the calling script runs its work "
                "under `if __name__ == '__main__':`",
            )
        return connection if self._ready else None

    def _comes_up(self, connection: Connection) -> bool:
        try:
            return connection.poll(_START_TIMEOUT_S) and connection.recv() == "ready"
        except (EOFError, OSError):
            return False

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the caller's threads, locks and GPU state
        ours, theirs = context.Pipe()
        worker = context.Process(
            target=_run_worker, args=(theirs, self._timeout_s, self._memory_mb), name="math-verify", daemon=True
        )
        worker.start()
        theirs.close()  # else the end of the worker would not end the connection
        self._worker, self._connection, self._ready = worker, ours, False

    def _kill(self) -> None:
        worker, connection = self._worker, self._connection
        self._worker, self._connection, self._ready = None, None, False
        if connection is not None:
            connection.close()
        if worker is not None:
            worker.kill()
            worker.join(_JOIN_TIMEOUT_S)
            with contextlib.suppress(ValueError):  # still running: the kernel has yet to reap it
                worker.close()

    def _leave_parents_worker(self) -> None:
        """After a fork, the worker and its pipe belong to the parent: two askers would read each other's answers."""
        if self._owner_pid != os.getpid():
            self._worker, self._connection, self._ready = None, None, False
            self._owner_pid = os.getpid()


def _run_worker(connection: Connection, timeout_s: float, memory_mb: int) -> None:
    # Imported here, in the worker, so that the parent never pays for the symbolic engine.
    from anectl.engines.math_worker import serve

    serve(connection, timeout_s, memory_mb)
