"""Work that asks for continuations as it goes, many pieces of it at a time, so that the engine is kept full.

A piece of work is a generator: it gives the probes it wants next and is sent their draws. An engine that can give each
row as it is done is fed as answers come in. Any other is given, round by round, all probes of a window of rows formed
by position, so that a resumed run draws every probe in the same company.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import Generic, TypeAlias, TypeVar

from anectl.core.protocols import Draw, PromptRequest, Sampler, SamplingParams, UnorderedSampler

R = TypeVar("R")

MOST_ACTIVE = 2048
"""Rows that are begun and not yet given back, for an engine that is fed as it goes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked of a sampler, and how it is to draw."""

    request: PromptRequest
    params: SamplingParams


Work: TypeAlias = Generator[list[Probe], Sequence[tuple[Draw, ...]], R]


@dataclass
class Failures:
    """What the engine failed to draw or to score, and what it said of the first."""

    num: int = 0
    first: str = ""

    def note(self, error: str) -> None:
        """Count one."""
        self.num += 1
        self.first = self.first or error

    def count(self, work: Work[R]) -> Work[R]:
        """The same work, with what fails on its way counted."""
        try:
            probes = next(work)
            while True:
                draws = yield probes
                for error in (one.error for row in draws for one in row if one.error is not None):
                    self.note(error)
                probes = work.send(draws)
        except StopIteration as stop:
            result: R = stop.value
            return result


@dataclass(frozen=True, slots=True)
class Job(Generic[R]):
    """A piece of work; one that an earlier run `is_finished` with gives nothing."""

    begin: Callable[[], Work[R]]
    is_finished: bool = False


def run_jobs(
    jobs: Iterable[Job[R]],
    *,
    load_sampler: Callable[[], Sampler],
    window: int,
    unordered: bool = False,
    most_active: int = MOST_ACTIVE,
) -> Iterator[R | None]:
    """The result of each job, in order, or with `unordered` as each is done; None for a finished one.

    The sampler is loaded for the first unfinished job. `window` jobs are done together where the engine works block by
    block; at most `most_active` are in memory where it does not.
    """
    iterator = iter(jobs)
    while block := list(islice(iterator, window)):
        if all(job.is_finished for job in block):
            yield from (None for _ in block)
            continue
        rest = chain(block, iterator)
        with closing(load_sampler()) as sampler:
            if isinstance(sampler, UnorderedSampler):
                yield from _Stream(rest, most_active).results(sampler, unordered)
            else:
                yield from _by_window(rest, sampler, window)
        return


class _Active(Generic[R]):
    """A job under way: the probes it waits for, and in the end its result."""

    def __init__(self, job: Job[R]) -> None:
        self.is_finished = job.is_finished
        self.result: R | None = None
        self.is_done = False
        self.probes: list[Probe] = []
        self._draws: dict[int, tuple[Draw, ...]] = {}
        self._work = job.begin()
        self._go_on(None)

    def answer(self, number: int, draws: tuple[Draw, ...]) -> bool:
        """Take the draws of probe `number`; whether they were the last it waited for."""
        self._draws[number] = draws
        if len(self._draws) < len(self.probes):
            return False
        self._go_on([self._draws[place] for place in range(len(self.probes))])
        return True

    def _go_on(self, draws: Sequence[tuple[Draw, ...]] | None) -> None:
        self._draws = {}
        try:
            self.probes = next(self._work) if draws is None else self._work.send(draws)
        except StopIteration as stop:
            self.probes, self.result, self.is_done = [], stop.value, True


def _by_window(jobs: Iterator[Job[R]], sampler: Sampler, size: int) -> Iterator[R | None]:
    while window := list(islice(jobs, size)):
        if all(job.is_finished for job in window):
            yield from (None for _ in window)
            continue
        # Finished jobs are done again: their probes keep the others company, as they did in the earlier run.
        active = [_Active(job) for job in window]
        while asked := [(one, number) for one in active for number in range(len(one.probes))]:
            for params, group in _by_params(asked):
                requests = [one.probes[number].request for one, number in group]
                for (one, number), draws in zip(group, list(sampler.sample(requests, params)), strict=True):
                    one.answer(number, draws)
        yield from (None if one.is_finished else one.result for one in active)


Asked: TypeAlias = list[tuple[_Active[R], int]]


def _by_params(asked: Asked[R]) -> Iterator[tuple[SamplingParams, Asked[R]]]:
    """The probes in runs that are drawn in the same way."""

    def params(one: tuple[_Active[R], int]) -> SamplingParams:
        return one[0].probes[one[1]].params

    order = list(dict.fromkeys(map(params, asked)))
    for found, group in groupby(sorted(asked, key=lambda one: order.index(params(one))), key=params):
        yield found, list(group)


class _Stream(Generic[R]):
    """Jobs whose probes an engine is fed with as answers come in.

    A call of the engine ends when there is nothing to ask before an answer comes; what then comes goes into the next.
    """

    def __init__(self, jobs: Iterator[Job[R]], most_active: int) -> None:
        self._jobs = jobs
        self._most_active = most_active
        self._is_read = False
        # What is begun, or finished before, in the order of the jobs.
        self._held: deque[_Active[R] | None] = deque()
        self._pending: deque[tuple[_Active[R], int]] = deque()

    def results(self, sampler: UnorderedSampler, unordered: bool) -> Iterator[R | None]:
        """The result of each job; None for a finished one."""
        while not self._is_read or self._held:
            if self._fill():
                params = self._next_params()
                asked: dict[int, tuple[_Active[R], int]] = {}
                for place, draws in sampler.sample_unordered(self._requests(params, asked), params):
                    one, number = asked.pop(place)
                    if one.answer(number, draws):
                        # Before those of later jobs, so that few are under way at a time.
                        self._pending.extendleft((one, new) for new in reversed(range(len(one.probes))))
                        yield from self._done(unordered)
            yield from self._done(unordered)

    def _requests(self, params: SamplingParams, asked: dict[int, tuple[_Active[R], int]]) -> Iterator[PromptRequest]:
        place = 0
        while self._fill() and self._next_params() == params:
            one, number = asked[place] = self._pending.popleft()
            place += 1
            yield one.probes[number].request

    def _next_params(self) -> SamplingParams:
        one, number = self._pending[0]
        return one.probes[number].params

    def _fill(self) -> bool:
        """Begin jobs until there is something to ask; whether there is."""
        while not self._pending and not self._is_read and len(self._held) < self._most_active:
            job = next(self._jobs, None)
            if job is None:
                self._is_read = True
            elif job.is_finished:
                self._held.append(None)
            else:
                active = _Active(job)
                self._held.append(active)
                self._pending.extend((active, number) for number in range(len(active.probes)))
        return bool(self._pending)

    def _done(self, unordered: bool) -> Iterator[R | None]:
        """The results that can be given now."""
        if unordered:
            done = [one for one in self._held if one is None or one.is_done]
            if done:
                self._held = deque(one for one in self._held if one is not None and not one.is_done)
            yield from (one.result if one is not None else None for one in done)
            return
        while self._held and (self._held[0] is None or self._held[0].is_done):
            one = self._held.popleft()
            yield one.result if one is not None else None
