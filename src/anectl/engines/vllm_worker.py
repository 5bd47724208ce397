"""The program behind `vllm_sampler`: owns a vLLM engine, takes requests from stdin and answers them on stdout.

The engine runs in the main thread. A second thread reads stdin; when that ends, so does this process with its whole
process group, at the latest some seconds later and whatever the engine is doing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from anectl import engines
from anectl.core.errors import AnectlError
from anectl.engines.vllm_messages import (
    HOW_TO_INSTALL,
    Answer,
    Ask,
    Beat,
    Begun,
    Forget,
    FromWorker,
    Ready,
    Refused,
    Start,
    ToWorker,
    decode_for_worker,
    encode,
)

if TYPE_CHECKING:
    from anectl.engines.vllm_engine import VllmEngine

Inbox = queue.SimpleQueue[ToWorker | None]

_PR_SET_PDEATHSIG = 1
_GRACE_S = 5.0
_BEAT_S = 1.0


def main(*, end_with_parent: bool) -> None:
    """Load the engine of the first message, answer the others until stdin ends, and end this process group."""
    asks, answers = _own_pipes()
    if end_with_parent:
        _end_with_parent()
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(asks, inbox), daemon=True).start()
    start = inbox.get()

    def send(message: FromWorker) -> None:
        _write(answers, encode(message) + b"\n")

    if isinstance(start, Start):
        try:
            _work(start, inbox, send)
        except Exception:  # the end of this process: its caller reads the rest
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # not through the exit handlers of libraries, which may wait for each other
    _end_group()


def _work(start: Start, inbox: Inbox, send: Callable[[FromWorker], None]) -> None:
    try:
        if importlib.util.find_spec("vllm") is None:
            raise AnectlError(f"vllm is not installed for {sys.executable}", hint=HOW_TO_INSTALL)
        engine: VllmEngine = engines.load_engine("vllm_engine", "vllm").VllmEngine(start)
    except AnectlError as error:
        send(Refused(error.problem, error.hint, error.path))
        return
    send(Ready(engine.max_num_seqs))
    with contextlib.suppress(BrokenPipeError):  # the caller has gone
        serve(engine, inbox, send)
    engine.close()


def serve(engine: VllmEngine, inbox: Inbox, send: Callable[[FromWorker], None]) -> None:
    """Answer requests, each when its last completion is done, until None comes.

    A request is taken up, its images opened, only when the engine will soon have room for it.
    """
    waiting: deque[Ask] = deque()
    last = time.monotonic()
    while _take(inbox, waiting, engine):
        while waiting and engine.has_room():
            ask = waiting.popleft()
            send(Begun(ask.number))
            if (draws := engine.add(ask)) is not None:
                send(Answer(ask.number, draws))
        for number, draws in engine.step():
            send(Answer(number, draws))
        if time.monotonic() - last > _BEAT_S:
            send(Beat())
            last = time.monotonic()


def _take(inbox: Inbox, waiting: deque[Ask], engine: VllmEngine) -> bool:
    """Move what has come to `waiting`; without anything to do, sleep until something comes. False at the end."""
    while True:
        try:
            message = inbox.get(block=not waiting and not engine.is_busy())
        except queue.Empty:
            return True
        if message is None:
            return False
        if isinstance(message, Ask):
            waiting.append(message)
        elif isinstance(message, Forget):
            waiting.clear()
            engine.forget()


def _receive(asks: int, inbox: Inbox) -> None:
    with open(asks, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):  # torn by the death of the caller
                break
            inbox.put(decode_for_worker(line))
    inbox.put(None)
    time.sleep(_GRACE_S)
    _end_group()


def _own_pipes() -> tuple[int, int]:
    """The pipes to the caller; what libraries print goes to stderr, and they have nothing to read."""
    asks, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return asks, answers


def _end_with_parent() -> None:
    signal.signal(signal.SIGTERM, lambda *_: _end_group())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_group() -> None:
    """End this process and all it has started; alone when the group is another's."""
    sys.stderr.flush()
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
