"""Sample from a checkpoint with vLLM, offline: one worker process owns the engine and is fed as it goes.

The worker draws as many completions at a time as its engine takes; this side keeps a bounded number of requests with
it, puts the answers in order and starts another worker when one dies.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any

from anectl.core.errors import AnectlError
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.engines.vllm_messages import Answer, Ask, Begun, Forget, FromWorker, Start
from anectl.engines.vllm_outstanding import Outstanding
from anectl.engines.vllm_process import WorkerLost, WorkerProcess

DTYPES = ("auto", "float32", "bfloat16")
MAX_LOSSES = 20
_BACKOFF_S = (0.2, 2.0, 8.0)
_START_S = 1800.0
_AHEAD = 2
_FORGET_S = 5.0

Draws = tuple[Draw, ...]


class VllmSampler:
    """`Sampler` over a vision-language checkpoint or adapter, by the vLLM of this or another Python environment.

    Completion i of a request draws from its first seed plus i. `dtype` auto: the checkpoint's own on a GPU, float32 on
    a CPU. `engine_args` are arguments of `vllm.LLM` and have the last word. `window` requests at most are with the
    worker (by default so many that its engine is never idle); a worker that makes no step for `stall_s` seconds counts
    as dead. Close it, or leave its `with` block, to end the worker and give its memory back.
    """

    continuous = True

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        engine_args: Mapping[str, Any] | None = None,
        window: int | None = None,
        stall_s: float = 600.0,
    ) -> None:
        """Raises AnectlError: no vLLM, no such checkpoint, an argument or adapter that vLLM does not serve."""
        if dtype not in DTYPES:
            raise AnectlError(f"unknown dtype {dtype!r}", hint=", ".join(DTYPES))
        self.name = model
        self._start = Start(model, dtype, dict(engine_args or {}))
        self.stall_s = stall_s
        self._worker: WorkerProcess | None = None
        self._outstanding = Outstanding()
        self._num_losses = self._losses_in_a_row = 0
        atexit.register(self.close)
        self._worker = WorkerProcess(self._start, _START_S)
        # The engine is full as long as each request has one completion to draw and twice that many have come.
        self.window = window or 2 * self._worker.ready.max_num_seqs

    @property
    def worker_pid(self) -> int | None:
        """The process that owns the engine."""
        return self._worker.pid if self._worker else None

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[Draws]:
        """One tuple of draws per request, in order; a request that cannot be drawn from gets draws with an error.

        Reads at most `window` requests beyond those that are answered, and a few windows beyond the first that is not.
        """
        done: dict[int, Draws] = {}
        first = 0
        with closing(self._run(requests, params, lambda index: index < first + _AHEAD * self.window)) as answers:
            for index, draws in answers:
                done[index] = draws
                while first in done:
                    yield done.pop(first)
                    first += 1

    def sample_unordered(
        self, requests: Iterable[PromptRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Draws]]:
        """The position and the draws of each request, as they finish."""
        return self._run(requests, params, lambda index: True)

    def close(self) -> None:
        """End the worker: it stops by itself, or is killed after some seconds."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()
        atexit.unregister(self.close)

    def __enter__(self) -> VllmSampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self, requests: Iterable[PromptRequest], params: SamplingParams, may_read: Callable[[int], bool]
    ) -> Generator[tuple[int, Draws], None, None]:
        if self._outstanding:
            raise RuntimeError("a sampler draws for one caller at a time")
        source = enumerate(requests)
        num_read = 0
        is_read = False
        try:
            while True:
                while not is_read and len(self._outstanding) < self.window and may_read(num_read):
                    index, request = next(source, (num_read, None))
                    if request is None:
                        is_read = True
                    elif request.seeds:
                        self._outstanding.add(index, Ask.of(self._outstanding.next_number(), request, params))
                        yield from self._watched(self._send)
                    else:
                        yield index, ()
                    num_read = index + 1
                if not self._outstanding:
                    return
                yield from self._watched(self._receive)
        finally:
            self._forget()

    def _watched(self, act: Callable[[WorkerProcess], Iterable[tuple[int, Draws]]]) -> Iterator[tuple[int, Draws]]:
        """What comes of an exchange with the worker; with another one when it is lost."""
        if self._worker is None:
            raise RuntimeError("the sampler is closed")
        try:
            found = act(self._worker)
        except WorkerLost as lost:
            found = self._replace_worker(self._worker, lost)
        yield from found

    def _send(self, worker: WorkerProcess) -> list[tuple[int, Draws]]:
        while (ask := self._outstanding.to_send()) is not None:
            worker.send(ask, self.stall_s)
            self._outstanding.sent(ask.number)
        return []

    def _receive(self, worker: WorkerProcess) -> list[tuple[int, Draws]]:
        self._send(worker)
        return self._taken(worker.receive(self.stall_s))

    def _taken(self, message: FromWorker) -> list[tuple[int, Draws]]:
        """The answer that a message is, if it is one that is waited for."""
        if isinstance(message, Begun):
            self._outstanding.begun(message.number)
        elif isinstance(message, Answer) and (index := self._outstanding.answered(message.number)) is not None:
            self._losses_in_a_row = 0
            return [(index, message.draws)]
        return []

    def _replace_worker(self, worker: WorkerProcess, lost: WorkerLost) -> list[tuple[int, Draws]]:
        """Start another worker; what the lost one had still answered, and errors for what it was lost over again."""
        self._worker = None
        worker.end(grace_s=0)
        # A worker may be found dead by a request it takes no more, before it is read at which one it was at work.
        answered = [found for message in worker.last_words() for found in self._taken(message)]
        given_up = [
            (index, (Draw("", "error", 0, error=f"vLLM's process {lost} each time it was at work on this"),) * count)
            for index, count in self._outstanding.lost()
        ]
        problem: Exception = lost
        while self._worker is None:
            self._count_loss(f"vLLM's process {problem}", worker.tail())
            try:
                self._worker = WorkerProcess(self._start, _START_S)
            except AnectlError as error:  # such as memory that the dead one has not given back yet
                problem = error
        if given_up:
            self._losses_in_a_row = 0
        return answered + given_up

    def _count_loss(self, problem: str, tail: str) -> None:
        """Wait longer from loss to loss. Raises AnectlError after too many."""
        self._num_losses += 1
        self._losses_in_a_row += 1
        if self._losses_in_a_row > len(_BACKOFF_S) or self._num_losses > MAX_LOSSES:
            raise AnectlError(f"{problem}, which is loss number {self._num_losses} of this run", hint=tail or None)
        time.sleep(_BACKOFF_S[self._losses_in_a_row - 1])

    def _forget(self) -> None:
        """After a run that was broken off: the next one must not get its answers."""
        if self._outstanding and self._worker is not None:
            try:
                self._worker.send(Forget(), _FORGET_S)
            except WorkerLost:
                self.close()
        self._outstanding.clear()
