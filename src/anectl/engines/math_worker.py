"""The worker's side of `math_verifier`: alone in importing math-verify, in a process that may be killed."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection

from math_verify import parse, verify

_GRACE_S = 1.0
"""How long after the deadline an orphan lives: the kernel ends it even when its parent can no longer do so."""


def serve(connection: Connection, timeout_s: float, memory_mb: int) -> None:
    """Answer (truth, given) pairs with true, false or null until the parent closes the connection."""
    _quieten()
    _limit_memory(memory_mb)
    connection.send("ready")
    while True:
        try:
            truth, given = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        # No handler is set: a symbolic engine stuck in C code could not run one, but the signal still ends it.
        signal.setitimer(signal.ITIMER_REAL, timeout_s + _GRACE_S)
        verdict = _judge(truth, given)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(verdict)


def _judge(truth: str, given: str) -> bool | None:
    try:
        # Truth comes first: math-verify's comparison is not symmetric. Its own timeouts are off (they need the main
        # thread's alarm and cost up to 5 s each); the parent keeps the time.
        gold = parse(f"${truth}$", fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)
        answer = parse(f"${given}$", fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)
        if not gold or not answer:
            return None
        return bool(verify(gold, answer, timeout_seconds=None, raise_on_error=True))
    except Exception:  # whatever a symbolic engine raises on hostile input, MemoryError included: no verdict
        return None


def _quieten() -> None:
    """Keep stdout and stderr for the parent, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def _limit_memory(memory_mb: int) -> None:
    limit = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if sys.platform == "linux":  # elsewhere the address space of a bare interpreter may exceed any sane limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
