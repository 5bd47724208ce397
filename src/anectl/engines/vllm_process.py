"""One vLLM worker seen from the caller: a program in a process group of its own, with pipes to it.

A program instead of a `multiprocessing.Process`, so that vLLM may live in another Python environment, and so that the
caller's threads, locks and GPU state are not inherited. The end of its stdin is the end of the worker.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator

import msgspec

import anectl
from anectl.core.errors import AnectlError
from anectl.engines.vllm_messages import (
    HOW_TO_INSTALL,
    PYTHON,
    FromWorker,
    Ready,
    Refused,
    Start,
    ToWorker,
    decode_from_worker,
    encode,
)

STOP_S = 8.0
_POLL_S = 0.02
_TAIL_LINES = 25
_LINE_CHARS = 300
_LINE_BYTES = 65_536
_NO_VLLM = "has no module "
# The caller's own anectl, and nothing else of its environment, is what the worker imports.
_BOOT = """
import importlib.util, os, sys
place, safe = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("anectl", place, submodule_search_locations=[os.path.dirname(place)])
sys.modules["anectl"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
try:
    from anectl.engines.vllm_worker import main
except ModuleNotFoundError as error:
    sys.exit(f"{sys.executable} has no module {error.name}")
main(end_with_parent=safe == "1")
"""


class WorkerLost(Exception):
    """The worker is dead or stuck; the text says how it ended."""


class WorkerProcess:
    """A running worker. Raises AnectlError when it cannot be started or does not come up."""

    def __init__(self, start: Start, start_s: float) -> None:
        python = os.environ.get(PYTHON) or sys.executable
        # A child is told of the death of the thread that made it: only the main thread is as good as the process.
        is_main = threading.current_thread() is threading.main_thread()
        try:
            self._process = subprocess.Popen(
                [python, "-c", _BOOT, str(anectl.__file__), "1" if is_main else "0"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a group to kill, and no Ctrl-C from the terminal
                env=_environment(),
            )
        except OSError as error:
            raise AnectlError(f"{python} cannot be started: {error}", hint=f"{PYTHON} names an interpreter") from None
        assert self._process.stdin is not None
        self._to = self._process.stdin.fileno()
        os.set_blocking(self._to, False)
        self._inbox: queue.SimpleQueue[FromWorker | None] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._receive, self._listen)]
        for reader in self._readers:
            reader.start()
        try:
            self.ready = self._come_up(start, start_s)
        except BaseException:
            self.end(grace_s=0)
            raise

    @property
    def pid(self) -> int:
        """The worker's process and process group."""
        return self._process.pid

    def send(self, message: ToWorker, timeout_s: float) -> None:
        """Raises WorkerLost when the worker does not take it in time or at all."""
        line = memoryview(encode(message) + b"\n")
        deadline = time.monotonic() + timeout_s
        poll = select.poll()  # not select(): a trainer may have more than 1024 files open
        poll.register(self._to, select.POLLOUT)
        while line:
            try:
                line = line[os.write(self._to, line) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    raise WorkerLost(f"took no request for {timeout_s:.0f} s") from None
            except OSError:
                raise WorkerLost(self._how_it_ended()) from None

    def receive(self, timeout_s: float) -> FromWorker:
        """The next message. Raises WorkerLost when none comes in time or ever."""
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            raise WorkerLost(f"made no step for {timeout_s:.0f} s") from None
        if message is None:
            self._inbox.put(None)
            raise WorkerLost(self._how_it_ended())
        return message

    def last_words(self) -> Iterator[FromWorker]:
        """What it had said and nobody has read, of a worker that was ended."""
        while True:
            try:
                message = self._inbox.get(timeout=STOP_S)
            except queue.Empty:
                return
            if message is None:
                self._inbox.put(None)
                return
            yield message

    def tail(self) -> str:
        """The last lines that it wrote to stderr."""
        return "\n".join(self._tail)

    def end(self, grace_s: float = STOP_S) -> None:
        """Close its stdin, wait for it, kill what is left of its group and leave no zombie."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._exit_status(grace_s)
        finally:
            # Before the zombie is collected: until then no other group can have its number.
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel has yet to let go of it
                    self._process.wait(STOP_S)

    def _come_up(self, start: Start, start_s: float) -> Ready:
        try:
            self.send(start, start_s)
            message = self.receive(start_s)
        except WorkerLost as lost:
            self._readers[1].join(1)
            if _NO_VLLM in self.tail():
                raise AnectlError(self.tail().splitlines()[-1], hint=HOW_TO_INSTALL) from None
            raise AnectlError(f"vLLM did not start: its process {lost}", hint=self.tail() or None) from None
        if isinstance(message, Refused):
            raise AnectlError(message.problem, hint=message.hint, path=message.path)
        assert isinstance(message, Ready)
        return message

    def _how_it_ended(self) -> str:
        status = self._exit_status(STOP_S)
        if status is None:
            return "closed its stdout"
        if status.si_code == os.CLD_EXITED:
            return f"ended with status {status.si_status}"
        return f"was ended by {signal.Signals(status.si_status).name}"

    def _exit_status(self, timeout_s: float) -> os.waitid_result | None:
        """How it ended, without collecting the zombie; None while it runs."""
        deadline = time.monotonic() + timeout_s
        while self._process.returncode is None:
            status = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if status is not None or time.monotonic() >= deadline:
                return status
            time.sleep(_POLL_S)
        return None

    def _receive(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, msgspec.DecodeError):  # closed, or torn by the worker's end
            for line in self._process.stdout:
                self._inbox.put(decode_from_worker(line))
        self._inbox.put(None)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):  # closed
            for line in iter(lambda: self._process.stderr.readline(_LINE_BYTES), b""):  # type: ignore[union-attr]
                self._tail.append(line.decode("utf8", "replace").rstrip()[:_LINE_CHARS])


def _environment() -> dict[str, str]:
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "TOKENIZERS_PARALLELISM": "false"}
    private = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    # A module in the working directory must not stand in for one of the libraries.
    return {**quiet, **os.environ, **private, "PYTHONSAFEPATH": "1"}
