"""The vLLM engine: the same draws as transformers, order and window, bad rows, lost workers, no process left.

What needs vLLM is skipped where no interpreter has it: `make test-vllm` runs it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import wilcoxon

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines.vllm_adapters import adapter_arguments
from anectl.engines.vllm_messages import PYTHON, Ask, decode_for_worker, encode
from anectl.engines.vllm_outstanding import Outstanding
from anectl.engines.vllm_sampler import VllmSampler
from tests.vllm_server import BASE, ROOT, vllm_python

GREEDY = SamplingParams(temperature=0, top_p=1, max_tokens=100)
WARM = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=100)
NUM_ROWS = 64
EXIT_S = 10.0
VLLM = vllm_python()
needs_vllm = pytest.mark.skipif(VLLM is None, reason=f"no vLLM: make setup-vllm, or set {PYTHON}")


@pytest.fixture(scope="module")
def python() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PYTHON, VLLM or "")
        yield


@pytest.fixture(scope="module")
def sampler(python: None) -> Iterator[VllmSampler]:
    with VllmSampler(str(BASE)) as sampler:
        yield sampler


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Problems of the tiny world with the places of their pictures."""
    folder = tmp_path_factory.mktemp("world")
    program = [
        sys.executable,
        str(ROOT / "examples/tinyworld/world.py"),
        str(folder),
        "--seed",
        "7",
        "--pool",
        str(NUM_ROWS),
    ]
    program += ["--truth", "1", "--valid", "1", "--bench", "1"]
    subprocess.run(program, check=True, capture_output=True)
    with (folder / "pool.jsonl").open() as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(NUM_ROWS), strict=False)]
    return [{**row, "images": [str(folder / name) for name in row["images"]]} for row in rows]


def request(
    text: str, images: list[str] | None = None, seeds: tuple[int, ...] = (1,), prefix: str = ""
) -> PromptRequest:
    refs = tuple(ImageRef(Path(image).name, image) for image in images or ())
    return PromptRequest(text, (Message(role="user", content=text),), refs, seeds, prefix)


def requests_of(world: list[dict[str, Any]], num_samples: int = 1) -> list[PromptRequest]:
    """With no, one and three pictures, mixed; every fifth begins the answer."""
    made = []
    for number, row in enumerate(world):
        choices = "".join(f"\n({x}) {text}" for x, text in zip("ABCD", row.get("choices", ()), strict=False))
        images = row["images"] * (0, 1, 1, 3)[number % 4]
        seeds = tuple(range(1000 * number, 1000 * number + num_samples))
        made.append(request(row["question"] + choices, images, seeds, "Row 1" if number % 5 == 4 else ""))
    return made


def texts(draws: list[tuple[Draw, ...]]) -> list[list[str]]:
    return [[draw.text for draw in group] for group in draws]


def ask(number: int) -> Ask:
    return Ask.of(number, request("?", seeds=(1, 2)), GREEDY)


def numbers_sent(outstanding: Outstanding) -> list[int]:
    sent = []
    while (found := outstanding.to_send()) is not None:
        outstanding.sent(found.number)
        sent.append(found.number)
    return sent


def test_an_image_reaches_the_worker_with_its_name_and_the_folder_it_must_be_in() -> None:
    images = (
        ImageRef("a.png", "/data/a.png", "/data"),
        ImageRef("data:image/png;base64,AA", "data:image/png;base64,AA"),
    )
    sent = PromptRequest("", (Message(role="user", content="?"),), images, (1, 2), "Row")
    received = decode_for_worker(encode(Ask.of(3, sent, WARM)))
    assert isinstance(received, Ask)
    assert received.request() == sent
    assert [image.root for image in received.request().images] == ["/data", None]


def test_requests_of_a_dead_worker_are_sent_again_and_one_it_dies_of_is_found() -> None:
    outstanding = Outstanding()
    for number in range(5):
        outstanding.add(index=10 + number, ask=ask(number))
    assert numbers_sent(outstanding) == [0, 1, 2, 3, 4]
    for number in (0, 1, 2):
        outstanding.begun(number)
    assert outstanding.answered(0) == 10
    assert outstanding.answered(0) is None
    assert outstanding.lost() == []
    assert numbers_sent(outstanding) == [1, 2, 3, 4]  # dying once may have any reason
    outstanding.begun(1)
    outstanding.begun(2)
    assert outstanding.lost() == []
    for suspect in (1, 2):  # now each is alone
        assert numbers_sent(outstanding) == [suspect]
        outstanding.begun(suspect)
        if suspect == 1:
            assert outstanding.answered(suspect) == 11
    assert outstanding.lost() == [(12, 2)]
    assert numbers_sent(outstanding) == [3, 4]
    assert [outstanding.answered(number) for number in (3, 4)] == [13, 14]
    assert len(outstanding) == 0


STAND_IN = """#!{python}
import json, os, sys
def send(**message):
    print(json.dumps(message), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        send(type="ready", max_num_seqs=4)
    elif message["type"] == "ask":
        send(type="begun", number=message["number"])
        text = message["messages"][0]["content"]
        if text == "die":
            os._exit(3)
        draw = dict(text=text, finish_reason="stop", num_tokens=1)
        send(type="answer", number=message["number"], draws=[draw] * len(message["seeds"]))
"""


def test_a_request_that_kills_the_worker_is_given_up_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = tmp_path / "worker"
    worker.write_text(STAND_IN.replace("{python}", sys.executable))
    worker.chmod(0o755)
    monkeypatch.setenv(PYTHON, str(worker))
    asked = [str(number) for number in range(60)]
    asked[7] = "die"

    def requests() -> Iterator[PromptRequest]:
        for text in asked:
            yield request(text, seeds=(1, 2))
            if text == "die":
                time.sleep(0.3)  # the next request finds the worker dead, and nobody has read yet what it died of

    with VllmSampler("any", stall_s=20) as sampler:
        found = list(sampler.sample(requests(), WARM))
        assert sampler._num_losses == 3
    assert [group[0].text for group in found] == [text if text != "die" else "" for text in asked]
    assert [draw.finish_reason for draw in found[7]] == ["error"] * 2
    assert "ended with status 3 each time" in (found[7][0].error or "")


def test_without_vllm_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setenv(PYTHON, str(bare / "bin/python"))
    with pytest.raises(AnectlError, match=r"has no module|not installed") as caught:
        VllmSampler(str(BASE))
    assert PYTHON in (caught.value.hint or "")
    monkeypatch.setenv(PYTHON, str(tmp_path / "no-such-python"))
    with pytest.raises(AnectlError, match="cannot be started"):
        VllmSampler(str(BASE))


@needs_vllm
def test_greedy_completions_are_those_of_transformers(sampler: VllmSampler, world: list[dict[str, Any]]) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    requests = requests_of(world)
    expected = list(TransformersSampler(str(BASE), batch_size=16).sample(requests, GREEDY))
    found = list(sampler.sample(requests, GREEDY))
    same = [one == other for one, other in zip(texts(found), texts(expected), strict=True)]
    print(f"{sum(same)} of {NUM_ROWS} greedy completions equal")
    assert sum(same) >= 0.95 * NUM_ROWS
    for (one,), (other,), is_same in zip(found, expected, same, strict=True):
        if is_same:
            assert (one.finish_reason, one.num_tokens) == (other.finish_reason, other.num_tokens)
            assert one.logprob == pytest.approx(other.logprob, abs=1e-2)
    assert {draw.finish_reason for (draw,) in found} <= {"stop", "length"}


@needs_vllm
def test_pass_rates_are_those_of_transformers(sampler: VllmSampler, world: list[dict[str, Any]]) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    requests = [
        request(row["question"], row["images"], tuple(range(n * 99, n * 99 + 16))) for n, row in enumerate(world)
    ]
    rates = []
    for engine in (sampler, TransformersSampler(str(BASE), batch_size=16)):
        draws = engine.sample(requests, WARM)
        rates.append(
            [
                sum(draw.text.endswith(f"Answer: {row['answer']}") for draw in group) / 16
                for row, group in zip(world, draws, strict=True)
            ]
        )
    ours, theirs = rates
    pvalue = wilcoxon(ours, theirs).pvalue
    print(f"pass rates {sum(ours) / NUM_ROWS:.4f} and {sum(theirs) / NUM_ROWS:.4f}, Wilcoxon p = {pvalue:.2f}")
    assert pvalue > 0.01
    assert abs(sum(ours) - sum(theirs)) / NUM_ROWS < 0.05


@needs_vllm
def test_samples_differ_and_come_again_in_any_company(sampler: VllmSampler, world: list[dict[str, Any]]) -> None:
    requests = requests_of(world, num_samples=4)
    together = list(sampler.sample(requests, WARM))
    alone = [next(iter(sampler.sample([requests[number]], WARM))) for number in (1, 30)]
    backwards = list(sampler.sample(requests[::-1], WARM))[::-1]
    assert texts(alone) == texts([together[1], together[30]])
    assert texts(backwards) == texts(together)
    assert any(len(set(group)) > 1 for group in texts(together))
    assert [len(group) for group in together] == [4] * NUM_ROWS
    unordered = dict(sampler.sample_unordered(requests, WARM))
    assert texts([unordered[number] for number in range(NUM_ROWS)]) == texts(together)


@needs_vllm
def test_reads_no_further_ahead_than_its_window(
    sampler: VllmSampler, world: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    num_read = num_done = most = 0

    def source() -> Iterator[PromptRequest]:
        nonlocal num_read, most
        for made in requests_of(world, num_samples=2):
            num_read += 1
            most = max(most, num_read - num_done)
            yield made

    monkeypatch.setattr(sampler, "window", 3)
    for _ in sampler.sample_unordered(source(), WARM):
        num_done += 1
    assert num_done == NUM_ROWS
    assert most <= 4  # one is on its way to the caller
    num_read = num_done = most = 0
    for _ in sampler.sample(source(), WARM):
        num_done += 1
    assert num_done == NUM_ROWS
    assert most <= 2 * 3 + 1


@needs_vllm
def test_a_bad_row_fails_alone(sampler: VllmSampler, world: list[dict[str, Any]], tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(Path(world[0]["images"][0]).read_bytes()[:60])
    good = request(world[1]["question"], world[1]["images"], (5, 6))
    bad = {
        "cannot be decoded": request("Which digit?", [str(torn)], (1, 2)),
        "cannot be read": request("Which digit?", [str(tmp_path / "gone.png")], (1, 2)),
        "does not fit into the context of 512": request("Which digit? " * 600, [], (1, 2)),
        "contains the image token": request("Which digit? <fake_token_around_image>", [], (1, 2)),
        "3 times, but there are 1 images": request("<image><image><image>", world[0]["images"], (1, 2)),
    }
    draws = list(sampler.sample([good, *bad.values(), request("none", seeds=()), good], WARM))
    assert len(draws) == len(bad) + 3
    assert texts([draws[0]]) == texts([draws[-1]])
    assert draws[-2] == ()
    for problem, group in zip(bad, draws[1:], strict=False):
        assert [draw.finish_reason for draw in group] == ["error"] * 2
        assert problem in (group[0].error or "")


@needs_vllm
def test_a_run_that_is_broken_off_leaves_nothing_for_the_next(
    sampler: VllmSampler, world: list[dict[str, Any]]
) -> None:
    requests = requests_of(world, num_samples=4)
    expected = list(sampler.sample(requests[:5], WARM))
    broken = sampler.sample(requests, WARM)
    next(broken)
    broken.close()
    assert texts(list(sampler.sample(requests[:5], WARM))) == texts(expected)


@needs_vllm
def test_image_tokens_are_never_drawn_and_any_stop_token_ends(python: None, tiny_model: Path) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    requests = [request(f"Which digit? ({number})", seeds=tuple(range(number, number + 8))) for number in range(8)]
    with VllmSampler(str(tiny_model), dtype="float32") as sampler:
        draws = [draw for group in sampler.sample(requests, WARM) for draw in group]
        greedy = list(sampler.sample(requests, GREEDY))
    assert not any(mark in draw.text for draw in draws for mark in ("image", "row_"))
    assert {draw.finish_reason for draw in draws} == {"stop"}
    assert all(math.isfinite(draw.logprob or 0) for draw in draws)
    assert texts(greedy) == texts(list(TransformersSampler(str(tiny_model)).sample(requests, GREEDY)))


def adapter(folder: Path, targets: str) -> Path:
    """An adapter of the base model with random weights, large enough to change what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(3)
    model = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(r=6, lora_alpha=12, target_modules=targets))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    adapted.save_pretrained(folder)
    return folder


@needs_vllm
def test_an_adapter_draws_as_in_transformers(
    python: None, sampler: VllmSampler, world: list[dict[str, Any]], tmp_path: Path
) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    folder = adapter(tmp_path / "adapter", r".*text_model.*\.(q_proj|v_proj|down_proj)")
    requests = requests_of(world)
    with VllmSampler(str(folder), engine_args={"max_num_seqs": 32}) as adapted:
        found = texts(list(adapted.sample(requests, GREEDY)))
    expected = texts(list(TransformersSampler(str(folder), batch_size=16).sample(requests, GREEDY)))
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 0.95 * NUM_ROWS
    assert found != texts(list(sampler.sample(requests, GREEDY)))


def test_an_adapter_that_vllm_would_serve_in_part_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", r".*vision_model.*\.(q_proj|v_proj)")
    with pytest.raises(AnectlError, match="vision tower"):
        adapter_arguments(str(folder), {})
    adapter_arguments(str(folder), {"enable_tower_connector_lora": True})
    text = adapter(tmp_path / "text", r".*text_model.*\.q_proj")
    assert adapter_arguments(str(text), {})["max_lora_rank"] == 8
    (text / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(AnectlError, match="cannot be loaded"):
        adapter_arguments(str(text), {})


@needs_vllm
def test_what_vllm_cannot_do_is_refused_at_the_start(python: None, tmp_path: Path) -> None:
    with pytest.raises(AnectlError, match="unknown dtype"):
        VllmSampler(str(BASE), dtype="int3")
    with pytest.raises(AnectlError, match="no engine argument 'max_model_length'") as caught:
        VllmSampler(str(BASE), engine_args={"max_model_length": 100})
    assert "max_model_len" in (caught.value.hint or "")
    broken = tmp_path / "broken"
    shutil.copytree(BASE, broken)
    (broken / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(AnectlError, match="did not start") as caught:
        VllmSampler(str(broken))
    assert "Error" in (caught.value.hint or "")


def alive(pid: int | None) -> bool:
    """Whether any process of the group is there and no zombie."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = entry.read_text().rpartition(")")[2].split()
            if int(words[2]) == pid and words[0] not in "ZX":
                return True
    return False


@needs_vllm
def test_a_worker_that_is_killed_or_stuck_costs_no_row(
    sampler: VllmSampler, world: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = requests_of(world, num_samples=4)
    expected = list(sampler.sample(requests, WARM))
    monkeypatch.setattr(sampler, "window", 16)
    monkeypatch.setattr(sampler, "stall_s", 20)
    found = []
    for number, group in enumerate(sampler.sample(requests, WARM)):
        found.append(group)
        if number in (5, 40):
            assert sampler.worker_pid
            os.kill(sampler.worker_pid, signal.SIGKILL if number == 5 else signal.SIGSTOP)
    assert texts(found) == texts(expected)


RUN = """
import sys
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines.vllm_sampler import VllmSampler
sampler = VllmSampler(sys.argv[1])
request = PromptRequest("k", (Message(role="user", content="Which digit?"),), (), tuple(range(8)))
for draws in sampler.sample([request] * int(sys.argv[2]), SamplingParams(1.0, 1.0, 100)):
    print(len(draws), flush=True)
"""


def worker_of(caller: int) -> int:
    """The process group that a caller has started, once it is there."""
    while True:
        for child in Path(f"/proc/{caller}/task/{caller}/children").read_text().split():
            if os.getpgid(int(child)) == int(child):
                return int(child)
        time.sleep(0.05)


def wait_for_end(worker: int) -> None:
    """No longer than the limit."""
    deadline = time.monotonic() + EXIT_S
    while alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@needs_vllm
@pytest.mark.parametrize("moment", ["at the start", "while loading", "while drawing"])
def test_no_process_outlives_a_killed_caller(python: None, moment: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(BASE), "100000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as caller:
        assert caller.stdout
        worker = worker_of(caller.pid)
        time.sleep(2 if moment == "while loading" else 0)
        if moment == "while drawing":
            assert caller.stdout.readline() == "8\n"
        assert alive(worker)
        caller.kill()
        wait_for_end(worker)


@needs_vllm
@pytest.mark.parametrize("ending", [None, signal.SIGINT])
def test_the_process_ends_with_its_caller(python: None, ending: signal.Signals | None) -> None:
    count = 5 if ending is None else 100_000
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(BASE), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as caller:
        assert caller.stdout
        worker = worker_of(caller.pid)
        assert [caller.stdout.readline() for _ in range(5)] == ["8\n"] * 5
        if ending is not None:
            caller.send_signal(ending)
        wait_for_end(worker)
        assert (caller.wait(EXIT_S) == 0) == (ending is None)
