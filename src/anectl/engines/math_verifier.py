"""Symbolic equality by math-verify, in processes that can be killed: no input can hang, crash or bloat the caller.

Workers (`math_process`, about a second to start) are started when questions come in and no other is free, kept, and
end with the process that started them.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from anectl.core.errors import AnectlError
from anectl.core.protocols import Verdict
from anectl.engines.math_process import WorkerProcess

MAX_LENGTH = 4000
"""Characters of truth and answer together: what a pipe takes without a reader. `core.grading` caps far below it."""
MAX_WORKERS = 4

_VERDICTS = {
    "true": Verdict(True),
    "false": Verdict(False),
    "undecided": Verdict(None),
    "memory": Verdict(None),
    "died": Verdict(None),
    "timeout": Verdict(None, timed_out=True),
}


class MathVerifier:
    """A `Verifier` that may be called from any thread; a question waits only while all workers are busy.

    `timeout_s` is the wall clock allowed per question in seconds, `memory_mb` a worker's address space in MiB,
    `cache_size` the number of verdicts kept and `workers` the number of processes, by default one per core up to four.
    A copy sent to another process, or used after a fork, starts workers of its own. Raises AnectlError when math-verify
    is not installed.
    """

    def __init__(
        self, timeout_s: float = 2.0, memory_mb: int = 1024, cache_size: int = 65_536, workers: int | None = None
    ) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise AnectlError(
                "answers of type 'expression' need math-verify, which is not installed",
                hint="pip install 'anectl[train]'",
            )
        self._settings = (timeout_s, memory_mb, cache_size, workers)
        self._timeout_s, self._memory_mb, self._cache_size = timeout_s, memory_mb, cache_size
        self._limit = max(1, workers if workers is not None else min(MAX_WORKERS, os.cpu_count() or 1))
        self._cache: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._ever_ready = False
        self._workers: list[WorkerProcess] = []
        self._idle: list[WorkerProcess] = []
        self._starting = 0
        self._changed = threading.Condition()
        _living.add(self)
        weakref.finalize(self, _end_all, self._workers)

    def equal(self, truth: str, given: str) -> bool | None:
        """Whether the expressions are equal; null when that was not decided within the limits. Raises as `decide`."""
        return self.decide(truth, given).equal

    def equal_many(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """`equal` of every (truth, given), in their order, worked on by all workers at once."""
        if len(pairs) < 2 or self._limit == 1:
            return [self.equal(*pair) for pair in pairs]
        with ThreadPoolExecutor(min(self._limit, len(pairs)), thread_name_prefix="math-verify") as threads:
            return list(threads.map(lambda pair: self.equal(*pair), pairs))

    def decide(self, truth: str, given: str) -> Verdict:
        """As `equal`, and whether the time limit was the reason for null.

        Raises AnectlError only if the very first worker does not start, which is a broken installation: a verifier
        that answers null to everything would hide it.
        """
        key = (truth, given)
        with self._changed:
            self._counts["asked"] += 1
            if (known := self._cache.get(key)) is not None:
                self._counts["cached"] += 1
                self._cache.move_to_end(key)
                return known
        if len(truth) + len(given) > MAX_LENGTH:
            return _VERDICTS["undecided"]
        outcome = self._ask(truth, given)
        verdict = _VERDICTS[outcome]
        with self._changed:
            self._counts["timeouts"] += outcome == "timeout"
            self._counts["deaths"] += outcome in ("died", "memory")
            if outcome != "died":  # that may be chance: a kill from outside
                self._cache[key] = verdict
                while len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return verdict

    def counts(self) -> dict[str, int]:
        """Questions so far: `asked`, of these `cached`, `timeouts`, and `deaths` (by the memory limit, or killed)."""
        with self._changed:
            return {name: self._counts[name] for name in ("asked", "cached", "timeouts", "deaths")}

    def close(self) -> None:
        """End all workers; the next question starts another one."""
        with self._changed:
            self._idle.clear()
            _end_all(self._workers)
            self._changed.notify_all()

    def __enter__(self) -> MathVerifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Frameworks send reward functions to other processes; locks and processes stay here.
        return MathVerifier, self._settings

    def _ask(self, truth: str, given: str) -> str:
        worker = self._take()
        if worker is None:
            return "died"
        outcome = None
        try:
            outcome = worker.ask(truth, given)
        finally:
            # Also after Ctrl-C between question and answer: the next question would read this one's answer.
            self._give_back(worker, usable=outcome is not None)
        return outcome or "died"

    def _take(self) -> WorkerProcess | None:
        """A worker that is ready, for this thread alone; null when one that worked before cannot be started again."""
        with self._changed:
            while not self._idle and len(self._workers) + self._starting >= self._limit:
                self._changed.wait()
            if self._idle:
                return self._idle.pop()
            self._starting += 1
        worker = None
        try:
            worker = self._started()
        finally:
            with self._changed:
                self._starting -= 1
                if worker is not None:
                    self._workers.append(worker)
                self._changed.notify()
        return worker

    def _started(self) -> WorkerProcess | None:
        worker = None
        up = False
        try:
            worker = WorkerProcess(self._timeout_s, self._memory_mb)
            up = worker.comes_up()
        except OSError:
            up = False
        finally:
            if worker is not None and not up:
                worker.end()
        if not up and not self._ever_ready:
            raise AnectlError(
                "the math-verify worker process did not start",
                hint="check that `python -m anectl.engines.math_worker 2 1024` starts and waits for input",
            )
        self._ever_ready = self._ever_ready or up
        return worker if up else None

    def _give_back(self, worker: WorkerProcess, *, usable: bool) -> None:
        with self._changed:
            owned = worker in self._workers  # not after close()
            if usable and owned:
                self._idle.append(worker)
            elif owned:
                self._workers.remove(worker)
            self._changed.notify()
        if not usable:
            worker.end()

    def _after_fork(self) -> None:
        """In the child: the workers are the parent's, and a lock may be held by a thread that is not here."""
        for worker in self._workers:
            worker.forget()
        self._workers.clear()
        self._idle.clear()
        self._starting = 0
        self._changed = threading.Condition()


_living: weakref.WeakSet[MathVerifier] = weakref.WeakSet()


def _end_all(workers: list[WorkerProcess]) -> None:
    while workers:
        workers.pop().end()


def _forget_workers() -> None:
    for verifier in list(_living):
        verifier._after_fork()


os.register_at_fork(after_in_child=_forget_workers)
