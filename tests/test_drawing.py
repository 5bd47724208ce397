"""Rows keep their order, their company and their completions, whatever kind of sampler draws them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anectl.core.drawing import draw_completions
from anectl.core.errors import UsageError
from anectl.core.problem_rows import Row
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Problem, Sampling
from tests.conftest import Cli, problem_rows, write_rows


def rows(finished: set[int], count: int = 10) -> list[Row]:
    return [
        Row(
            problem=Problem(id=f"p{number}", question="?", answer="1", answer_type="number"),
            images=(),
            key=f"key{number}",
            cluster="c",
            benchmark="b",
            is_finished=number in finished,
        )
        for number in range(count)
    ]


class Echo:
    """Says the key of each request; reads two ahead, and gives odd ones before even ones when order is free."""

    name = "echo"
    continuous = True

    def __init__(self) -> None:
        self.closed = False
        self.calls = 0

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """In order."""
        for _, draws in self._drawn(requests):
            yield draws

    def sample_unordered(
        self, requests: Iterable[PromptRequest], params: SamplingParams
    ) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        """Pairs of neighbours change places."""
        iterator = self._drawn(requests)
        for first in iterator:
            second = next(iterator, None)
            if second is not None:
                yield second
            yield first

    def close(self) -> None:
        """Remember it."""
        self.closed = True

    def _drawn(self, requests: Iterable[PromptRequest]) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        self.calls += 1
        ahead: list[tuple[int, tuple[Draw, ...]]] = []
        for number, request in enumerate(requests):
            ahead.append((number, (Draw(request.key, "stop", 1),)))
            if len(ahead) > 2:
                yield ahead.pop(0)
        yield from ahead


def drawn(sampler: Echo, finished: set[int], *, unordered: bool = False) -> list[tuple[str, str | None]]:
    found = draw_completions(
        rows(finished),
        Sampling(n=1),
        batch_size=3,
        load_sampler=lambda: sampler,
        prompt_of=lambda problem: problem.question,
        unordered=unordered,
    )
    return [(row.problem.id, completions[0].text if completions else None) for row, completions in found]


@pytest.mark.parametrize("finished", [set(), {0}, {9}, {0, 1, 2}, {0, 1, 2, 3, 4, 8}, {1, 3, 5, 7, 9}, set(range(10))])
@pytest.mark.parametrize("continuous", [True, False])
def test_every_row_has_its_own_completion_in_order(finished: set[int], continuous: bool) -> None:
    sampler = Echo()
    sampler.continuous = continuous
    expected = [(f"p{number}", None if number in finished else f"key{number}") for number in range(10)]
    assert drawn(sampler, finished) == expected
    assert sampler.closed is (len(finished) < 10)


def test_a_continuous_sampler_gets_all_rows_in_one_call_and_a_finished_run_loads_none() -> None:
    sampler = Echo()
    drawn(sampler, {0, 1, 2})
    assert sampler.calls == 1
    idle = Echo()
    drawn(idle, set(range(10)))
    assert idle.calls == 0


@pytest.mark.parametrize("finished", [set(), {0, 5}, {9}])
def test_unordered_rows_keep_their_completions(finished: set[int]) -> None:
    found = drawn(Echo(), finished, unordered=True)
    assert [name for name, _ in found] != [f"p{number}" for number in range(10)]
    assert sorted(found) == [(f"p{number}", None if number in finished else f"key{number}") for number in range(10)]


def test_unordered_needs_a_sampler_that_can() -> None:
    class Plain(Echo):
        sample_unordered = None  # type: ignore[assignment]

    with pytest.raises(UsageError, match="--unordered"):
        drawn(Plain(), set(), unordered=True)


FAKE = ["--engine", "fake", "-m", "script.jsonl", "-n", 2]


def test_failed_rows_are_drawn_again_when_asked(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "p.jsonl", problem_rows(tmp_path, 4))
    fails = {"match": r"\(1\)", "error": "out of luck"}
    write_rows(tmp_path / "script.jsonl", [fails, {"texts": ["Answer: 1"]}])
    anectl("rollout", "p.jsonl", *FAKE, "-o", "r.jsonl")
    write_rows(tmp_path / "script.jsonl", [{"texts": ["Answer: 1"]}])
    anectl("rollout", "p.jsonl", *FAKE, "-o", "r.jsonl", "--resume")
    assert errors(tmp_path) == {"p0": 0, "p1": 2, "p2": 0, "p3": 0}
    anectl("rollout", "p.jsonl", *FAKE, "-o", "r.jsonl", "--resume", "--retry-failed")
    assert errors(tmp_path) == {"p0": 0, "p2": 0, "p3": 0, "p1": 0}
    failed = anectl("rollout", "p.jsonl", *FAKE, "-o", "r.jsonl", "--retry-failed", ok=False)
    assert failed.returncode == 2


def errors(folder: Path) -> dict[str, int]:
    found: list[dict[str, Any]] = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    return {row["problem"]["id"]: sum(one["error"] is not None for one in row["completions"]) for row in found}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine-arg", "speed=9"], "takes no such --engine-arg"),
        (["--engine-arg", "speed"], "is not KEY=VALUE"),
        (["--unordered"], "works block by block"),
        (["--url", "http://localhost:1/v1"], "--url and --engine openai go together"),
    ],
)
def test_options_for_another_engine_are_refused(anectl: Cli, tmp_path: Path, options: list[str], message: str) -> None:
    write_rows(tmp_path / "p.jsonl", problem_rows(tmp_path, 1))
    write_rows(tmp_path / "script.jsonl", [{"texts": ["Answer: 1"]}])
    failed = anectl("rollout", "p.jsonl", *FAKE, *options, ok=False)
    assert message in failed.stderr
