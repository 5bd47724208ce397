"""The program behind `math_verifier`: alone in importing math-verify, it answers questions in a child it may kill.

It reads one JSON line per question from stdin (`[truth, given]`) and writes one JSON string per answer to stdout. The
process that reads stdin never looks at a question itself: it forks a child for that, keeps the time and forks another
one when the child is stuck or dead. So a replacement costs milliseconds instead of the start of a symbolic engine, and
nothing a question does can stop this process from seeing that its caller has gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import resource
import select
import signal
import sys
import time

from math_verify import parse, verify

_GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_CHUNK = 65_536


class _Child:
    """A forked process that answers questions, with a limit on its memory."""

    def __init__(self, timeout_s: float, memory_mb: int, caller: tuple[int, int]) -> None:
        self._timeout_s = timeout_s
        questions, self._to = os.pipe()
        self._from, answers = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            for fd in (*caller, self._to, self._from):
                os.close(fd)
            _end_with_parent(parent)
            _limit_memory(memory_mb)
            _answer_questions(questions, answers, timeout_s)
            os._exit(0)
        os.close(questions)
        os.close(answers)

    def answer(self, question: bytes, caller: int) -> str | None:
        """The answer, `timeout`, or `died`; null when the caller went away while the child was at work."""
        deadline = time.monotonic() + self._timeout_s
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        poll.register(caller, 0)  # hang-ups are reported without being asked for
        try:
            _write(self._to, question)
            while (left := deadline - time.monotonic()) > 0:
                ready = dict(poll.poll(left * 1000))
                if self._from in ready:
                    line = _read_line(self._from)
                    return "died" if line is None else str(json.loads(line))
                if caller in ready:
                    return None
        except OSError:
            return "died"
        return "timeout"

    def end(self) -> None:
        """Kill the child and collect what is left of it."""
        os.close(self._to)
        os.close(self._from)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def main() -> None:
    """Answer questions until stdin ends; arguments: seconds per question, MiB of memory."""
    timeout_s, memory_mb = float(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    questions, answers = os.dup(0), os.dup(1)
    _quieten()
    _judge("\\frac{x}{2}+1", "\\sqrt{8}(x-1)")  # what is loaded and cached now is there in every child
    gc.freeze()
    serve(questions, answers, timeout_s, memory_mb)


def serve(questions: int, answers: int, timeout_s: float, memory_mb: int) -> None:
    """Answer the questions read from one file descriptor on the other until the first is closed."""
    child = _Child(timeout_s, memory_mb, (questions, answers))
    _write(answers, b'"ready"\n')
    while (question := _read_line(questions)) is not None:
        answer = child.answer(question, questions)
        if answer is None:
            break
        _write(answers, json.dumps(answer).encode() + b"\n")
        # Libraries swallow errors of memory: after anything but a plain verdict the next question gets a new child.
        if answer not in ("true", "false"):
            child.end()
            child = _Child(timeout_s, memory_mb, (questions, answers))
    child.end()


def _answer_questions(questions: int, answers: int, timeout_s: float) -> None:
    while (line := _read_line(questions)) is not None:
        truth, given = json.loads(line)
        # No handler is set: a symbolic engine stuck in C code could not run one, but the signal still ends it. This is
        # for systems on which a child is not told of the death of its parent.
        signal.setitimer(signal.ITIMER_REAL, timeout_s + _GRACE_S)
        answer = _judge(truth, given)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(answers, json.dumps(answer).encode() + b"\n")


def _judge(truth: str, given: str) -> str:
    try:
        # Truth comes first: math-verify's comparison is not symmetric. Its own timeouts are off (they need the main
        # thread's alarm and cost up to 5 s each); the parent keeps the time.
        gold = parse(f"${truth}$", fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)
        answer = parse(f"${given}$", fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)
        if not gold or not answer:
            return "undecided"
        return "true" if verify(gold, answer, timeout_seconds=None, raise_on_error=True) else "false"
    except MemoryError:
        return "memory"
    except Exception:  # whatever a symbolic engine raises on hostile input: no verdict
        return "undecided"


def _read_line(fd: int) -> bytes | None:
    """One line; null at the end of the pipe. One question has one answer, so nothing is read beyond the line."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            return None
        line += chunk
    return line


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _quieten() -> None:
    """Nothing but answers goes out: stdin, stdout and stderr of this process lead nowhere."""
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)


def _end_with_parent(parent: int) -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)


def _limit_memory(memory_mb: int) -> None:
    limit = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if sys.platform == "linux":  # elsewhere the address space of a bare interpreter may exceed any sane limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
