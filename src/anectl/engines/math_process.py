"""One `math_worker` seen from the caller: started as a program of its own, asked one question at a time.

A program instead of a `multiprocessing.Process`: it may be started from any thread, from daemonic children and from
scripts without a main guard, and it inherits none of the caller's locks, threads or GPU state.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 5.0
_GRACE_S = 2.0
"""How much later than the worker the caller gives up: only when the worker itself was stopped or starved."""
_CHUNK = 65_536


class WorkerProcess:
    """A running worker; for one thread at a time. Raises OSError when the program cannot be started."""

    def __init__(self, timeout_s: float, memory_mb: int) -> None:
        self._timeout_s = timeout_s
        self._ready = False
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
        self._process = subprocess.Popen(
            # -P: a module in the working directory must not stand in for one of the libraries.
            [sys.executable, "-P", "-m", "anectl.engines.math_worker", str(timeout_s), str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # a group to kill, and no Ctrl-C from the terminal
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()

    @property
    def pid(self) -> int:
        """The worker's process, whose child does the work."""
        return self._process.pid

    def comes_up(self) -> bool:
        """Wait for the worker to be ready, at most two minutes; false when it is not or has died."""
        if not self._ready:
            self._ready = self._answer(_START_TIMEOUT_S) == "ready"
        return self._ready

    def ask(self, truth: str, given: str) -> str | None:
        """`true`, `false`, `undecided`, `timeout`, `memory` or `died` (its child); null when the worker is gone."""
        line = json.dumps([truth, given]).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._to, line) :]
        except OSError:
            return None
        return self._answer(self._timeout_s + _GRACE_S)

    def end(self) -> None:
        """Kill the worker with its child and leave no zombie."""
        self._close_pipes()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # still there: the kernel has yet to let go of it
                self._process.wait(_STOP_TIMEOUT_S)

    def forget(self) -> None:
        """Let go without ending it: after a fork, in the child, the worker is the parent's."""
        self._close_pipes()  # else the worker would not see the end of its parent while this process lives
        self._process.returncode = 0  # not ours to wait for

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _answer(self, timeout_s: float) -> str | None:
        """The next line of the worker, null when it does not come in time or ever."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()  # not select(): a trainer may have more than 1024 files open
        poll.register(self._from, select.POLLIN)
        line = b""
        try:
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    return None
                chunk = os.read(self._from, _CHUNK)
                if not chunk:
                    return None
                line += chunk
        except OSError:
            return None
        return str(json.loads(line))
