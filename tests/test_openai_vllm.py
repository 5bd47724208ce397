"""The openai engine against a real vLLM server: what it draws is what the transformers engine draws."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy.stats import wilcoxon

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.keys import sample_seed
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Message, Problem
from anectl.engines.openai_sampler import OpenAISampler
from tests.vllm_server import BASE, MODEL, ROOT, VllmServer, vllm_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(vllm_python() is None, reason="no vLLM: `make setup-vllm`, or set ANECTL_VLLM_PYTHON"),
]
GREEDY = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=96)
SAMPLED = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=96)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with VllmServer(tmp_path_factory.mktemp("vllm") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small tiny world."""
    folder = tmp_path_factory.mktemp("world")
    sizes = ["--truth", "8", "--pool", "80", "--valid", "8", "--bench", "8"]
    subprocess.run([sys.executable, ROOT / "examples/tinyworld/world.py", folder, "--seed", "5", *sizes], check=True)
    return folder


def requests(world: Path, count: int, num_samples: int = 1) -> list[PromptRequest]:
    """The first problems of the pool."""
    rows = (world / "pool.jsonl").read_bytes().splitlines()[:count]
    found = []
    for problem in (msgspec.json.decode(row, type=Problem) for row in rows):
        images = ImageRoot(world).resolve_all(problem.images)
        seeds = tuple(sample_seed(0, problem.id, number) for number in range(num_samples))
        found.append(PromptRequest(problem.id, conversation(user_text(problem, "")), images, seeds))
    return found


def sampler(server: VllmServer, **options: Any) -> OpenAISampler:
    return OpenAISampler(MODEL, url=server.url, **options)


def texts(draws: Sequence[tuple[Draw, ...]]) -> list[str]:
    return [draw.text for group in draws for draw in group]


def test_greedy_completions_are_those_of_the_transformers_engine(server: VllmServer, world: Path) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    rows = requests(world, 64)
    first, second = rows[0], rows[1]
    rows += [
        replace(first, images=(*first.images, *second.images)),
        replace(first, images=()),
        replace(first, messages=conversation("Look: <image> " + first.messages[0].content)),
        replace(first, messages=(Message(role="system", content="Be brief."), *first.messages)),
        replace(first, prefix="Row 2 reads"),
    ]
    local = list(TransformersSampler(str(BASE), dtype="float32").sample(rows, GREEDY))
    remote = list(sampler(server).sample(rows, GREEDY))
    assert not any(draw.error for (draw,) in remote)
    equal = [ours == theirs for ours, theirs in zip(texts(remote), texts(local), strict=True)]
    print(f"{sum(equal)} of {len(equal)} greedy completions equal")
    assert sum(equal) >= 0.95 * len(equal), list(zip(texts(remote), texts(local), strict=True))
    for (ours,), (theirs,) in zip(remote, local, strict=True):
        if ours.text == theirs.text:
            assert (ours.finish_reason, ours.num_tokens) == (theirs.finish_reason, theirs.num_tokens)
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-3)


def test_pass_rates_are_those_of_the_transformers_engine(server: VllmServer, world: Path) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    rows = requests(world, 64, 16)
    answers = [msgspec.json.decode(row)["answer"] for row in (world / "pool.jsonl").read_bytes().splitlines()[:64]]
    local = TransformersSampler(str(BASE), dtype="float32").sample(rows, SAMPLED)
    rates = [
        [
            sum(draw.text.endswith(f"Answer: {answer}") for draw in group) / 16
            for answer, group in zip(answers, draws, strict=True)
        ]
        for draws in (sampler(server).sample(rows, SAMPLED), local)
    ]
    means = [sum(each) / 64 for each in rates]
    pvalue = wilcoxon(*rates).pvalue
    print(f"pass rates {means[0]:.4f} and {means[1]:.4f}, Wilcoxon p = {pvalue:.2f}")
    assert pvalue > 0.01
    assert abs(means[0] - means[1]) < 0.05


def test_samples_hang_on_their_seeds_alone(server: VllmServer, world: Path) -> None:
    rows = requests(world, 16, 8)
    draws = list(sampler(server).sample(rows, SAMPLED))
    again: list[tuple[Draw, ...]] = [()] * len(rows)
    for number, group in sampler(server, concurrency=3).sample_unordered(reversed(rows), SAMPLED):
        again[len(rows) - 1 - number] = group
    assert sum(a == b for a, b in zip(texts(draws), texts(again), strict=True)) >= 0.95 * 128
    assert sum(len({draw.text for draw in group}) > 1 for group in draws) >= 4
    others = [replace(row, seeds=tuple(seed + 12345 for seed in row.seeds)) for row in rows]
    assert texts(list(sampler(server).sample(others, SAMPLED))) != texts(draws)


def test_tokens_are_counted_without_logprobs(server: VllmServer, world: Path) -> None:
    rows = requests(world, 4, 4)
    full = list(sampler(server).sample(rows, SAMPLED))
    bare = list(sampler(server, logprobs=False).sample(rows, SAMPLED))
    assert [draw.num_tokens for group in bare for draw in group] == [
        draw.num_tokens for group in full for draw in group
    ]
    assert {draw.logprob for group in bare for draw in group} == {None}


def test_a_bad_row_fails_alone(server: VllmServer, world: Path, tmp_path: Path) -> None:
    rows = requests(world, 8, 2)
    torn = tmp_path / "torn.png"
    torn.write_bytes(Path(rows[2].images[0].location).read_bytes()[:60])
    rows[2] = replace(rows[2], images=(ImageRef("torn.png", str(torn)),))
    rows[4] = replace(rows[4], messages=conversation("Which digit? " * 400))
    rows[6] = replace(rows[6], images=rows[6].images * 4)
    rows[7] = replace(rows[7], messages=conversation("What is <global-img>?"))
    draws = list(sampler(server).sample(rows, GREEDY))
    assert [number for number, group in enumerate(draws) if any(draw.error for draw in group)] == [2, 4, 6, 7]
    assert "context length" in str(draws[4][0].error)


def test_a_model_that_is_not_served_ends_the_run(server: VllmServer, world: Path) -> None:
    with pytest.raises(AnectlError, match="no model 'base'"):
        list(OpenAISampler("base", url=server.url).sample(requests(world, 1), GREEDY))


def test_a_server_that_is_killed_and_started_again_loses_nothing(server: VllmServer, world: Path) -> None:
    rows = requests(world, 80, 8)
    whole = texts(list(sampler(server).sample(rows, SAMPLED)))
    draws: list[tuple[Draw, ...]] = []
    restarting = threading.Thread(target=lambda: (server.kill(), time.sleep(0.5), server.start()))
    for group in sampler(server, concurrency=8).sample(rows, SAMPLED):
        draws.append(group)
        if len(draws) == 20:
            restarting.start()
    restarting.join()
    assert not any(draw.error for group in draws for draw in group)
    assert sum(a == b for a, b in zip(texts(draws), whole, strict=True)) >= 0.95 * len(whole)
