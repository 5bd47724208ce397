"""The transformers engine against `model.generate` for one problem at a time, on the tiny world's base.

Usage: python benchmarks/bench_transformers.py [--problems 256] [--batch-size 64] [--pairs 5]

Both draw 8 completions of up to 96 tokens of each problem at temperature 1, from the same prompts, in the same
precision, on one thread. Prints tokens a second of runs taken in turn and the ratio of their medians, by the clock and
by processor time; then, from a process of its own, the peak memory of one large block against its need: the weights,
the keys and values of its prompts and of what is drawn while most is held, and the activations of one step.

The data: python examples/tinyworld/world.py examples/tinyworld/data --seed 0
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import msgspec
import torch
from transformers import GenerationConfig

from anectl.core.images import ImageRef
from anectl.core.keys import problem_key, sample_seed
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Problem
from anectl.engines.transformers_sampler import TransformersSampler

WORLD = Path(__file__).resolve().parents[1] / "examples/tinyworld"
NUM_SAMPLES = 8
PARAMS = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=96)
MIB = 2**20


def read_requests(count: int) -> list[PromptRequest]:
    """The first problems of the tiny world's pool as the demo's rollouts ask them."""
    requests = []
    for line in (WORLD / "data/pool.jsonl").read_bytes().splitlines()[:count]:
        problem = msgspec.json.decode(line, type=Problem)
        images = tuple(ImageRef(name, str(WORLD / "data" / name)) for name in problem.images)
        key = problem_key(problem, [image.read() for image in images])
        seeds = tuple(sample_seed(0, key, number) for number in range(NUM_SAMPLES))
        requests.append(PromptRequest(key, conversation(user_text(problem, "")), images, seeds))
    return requests


def one_by_one(sampler: TransformersSampler, requests: list[PromptRequest]) -> int:
    """Tokens that `generate` draws, a problem at a time: images, prompt, completions, texts."""
    config = GenerationConfig(
        do_sample=True,
        top_k=0,
        max_new_tokens=PARAMS.max_tokens,
        num_return_sequences=NUM_SAMPLES,
        eos_token_id=sampler._stops,
        pad_token_id=sampler.processor.tokenizer.pad_token_id,
    )
    tokens = 0
    for request in requests:
        parts: list[dict[str, str]] = [{"type": "image"}] * len(request.images)
        parts.append({"type": "text", "text": request.messages[0].content})
        turns = [{"role": "user", "content": parts}]
        text = sampler.processor.apply_chat_template(turns, add_generation_prompt=True)
        images = [image.open() for image in request.images]
        inputs = sampler.processor(text=[text], images=[images], return_tensors="pt")
        with torch.inference_mode():
            found = sampler.model.generate(**inputs, generation_config=config)[:, inputs["input_ids"].shape[1] :]
        sampler.processor.tokenizer.batch_decode(found, skip_special_tokens=True)
        ends = torch.isin(found, torch.tensor(sampler._stops))
        # All up to the first end, which counts.
        tokens += int((ends.cumsum(dim=1) - ends.long() == 0).sum())
    return tokens


def batched(sampler: TransformersSampler, requests: list[PromptRequest]) -> int:
    """Tokens that the engine draws."""
    return sum(draw.num_tokens for draws in sampler.sample(requests, PARAMS) for draw in draws)


def speed(draw: Callable[[], int]) -> tuple[float, float]:
    """Tokens a second: by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    tokens = draw()
    return tokens / (time.perf_counter() - clock), tokens / (time.process_time() - processor)


def resident(name: str) -> int:
    """Bytes of memory that this process has (VmRSS) or had at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def need(sampler: TransformersSampler, lengths: list[int], counts: list[int]) -> dict[str, int]:
    """Bytes of weights, of the cache at its fullest, and of a step with all rows; `counts` tokens drawn per row."""
    text = sampler.model.config.get_text_config(decoder=True)
    size = sampler.model.dtype.itemsize
    per_token = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * size
    fullest = max(step * sum(count >= step for count in counts) for step in range(1, max(counts) + 1))
    # Of a row, the widest that live at once: the three of the gated network and four of the hidden size; and the
    # logits, their shares and the noise in single precision.
    row = (3 * text.intermediate_size + 4 * text.hidden_size) * size + 3 * 4 * text.vocab_size
    return {
        "weights": sum(weight.numel() * size for weight in sampler.model.parameters()),
        "cache": per_token * (sum(lengths) + fullest),
        "step": row * len(counts),
    }


def measure_memory(count: int) -> dict[str, float]:
    """Peak over what the process had before, plus the weights, for one block of `count` problems, against its need."""
    sampler = TransformersSampler(str(WORLD / "base"), dtype="float32", batch_size=count)
    requests = read_requests(count)
    list(sampler.sample(requests[:8], PARAMS))
    lengths = [len(sampler._encoder.encode([one]).inputs["input_ids"][0]) for one in requests]
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    counts = [draw.num_tokens for draws in sampler.sample(requests, PARAMS) for draw in draws]
    parts = need(sampler, lengths, counts)
    peak = resident("VmHWM") - before + parts["weights"]
    total = sum(parts.values())
    return {"ratio": peak / total, "peak": peak / MIB, **{name: value / MIB for name, value in parts.items()}}


def compare(options: argparse.Namespace) -> None:
    """Run both in turn and print their speeds."""
    sampler = TransformersSampler(str(WORLD / "base"), dtype="float32", batch_size=options.batch_size)
    requests = read_requests(options.problems)
    alone = requests[:: max(1, len(requests) // 32)]
    draws: list[Callable[[], Any]] = [lambda: one_by_one(sampler, alone), lambda: batched(sampler, requests)]
    one_by_one(sampler, alone[:4])
    batched(sampler, requests[: options.batch_size])
    runs = [[speed(draw) for draw in draws] for _ in range(options.pairs)]
    for place, clock in enumerate(("clock", "processor")):
        slow, fast = (statistics.median(run[side][place] for run in runs) for side in (0, 1))
        ratios = sorted(run[1][place] / run[0][place] for run in runs)
        print(
            f"by the {clock}: generate {slow:.0f} tokens/s, engine {fast:.0f} tokens/s, ratio {fast / slow:.2f} "
            f"(pairs {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def main() -> None:
    """Print the speeds, then the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--memory-only", action="store_true", help="what the process for the memory is started with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_only:
        print(json.dumps(measure_memory(options.problems)))
        return
    compare(options)
    command = [sys.executable, __file__, "--memory-only", "--problems", str(options.problems)]
    # Freed tensors go back to the system at once, so that the peak is of what is in use and not of the allocator.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**18)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout)
    print(
        f"memory of one block of {options.problems}: peak {found['peak']:.0f} MiB, need {found['weights']:.0f} weights "
        f"+ {found['cache']:.0f} cache + {found['step']:.0f} step, ratio {found['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
