"""`VllmSampler` against `vllm.LLM.generate` with all prompts and decoded images at once, in the same environment.

Usage: ANECTL_VLLM_PYTHON=.venv-vllm/bin/python python benchmarks/bench_vllm.py [--rows 400] [--samples 8] [--runs 3]
       [--model DIR | --larger] [--tokens-only]

Problems of the tiny world. Each run starts both engines afresh, one after the other in turn, warms them up on other
problems and then draws from all rows; the start is not counted. The sampler's time runs from handing over the first
request to the last draw, so it includes rendering the prompts and opening the images, which the baseline has done
before. Processor time is that of the process that owns the engine. `--larger` takes a random model of 12 million
parameters, `--tokens-only` spares the baseline the making of text from tokens, which the sampler does once per
completion and vLLM after every token.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import AutoProcessor, GenerationConfig, Idefics3ForConditionalGeneration

from anectl.core.images import ImageRef
from anectl.core.keys import sample_seed
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines.processors import load_config, load_processor
from anectl.engines.prompt_encoding import PromptRenderer
from anectl.engines.token_roles import stop_token_ids, vision_token_ids
from anectl.engines.vllm_messages import PYTHON
from anectl.engines.vllm_sampler import VllmSampler

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples/tinyworld/data"
BASE = ROOT / "examples/tinyworld/base"
WARM_UP = 32
ENGINE_ARGS = {
    "dtype": "float32",
    "enforce_eager": True,
    "enable_chunked_prefill": False,
    "block_size": 32,
    "kv_cache_memory_bytes": 1 << 29,
    "generation_config": "vllm",
    "limit_mm_per_prompt": {"video": 0},
}


def main() -> None:
    """Run the pairs and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--model", default=str(BASE))
    parser.add_argument("--larger", action="store_true")
    parser.add_argument("--tokens-only", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.larger:
            options.model = larger_model(Path(folder) / "model")
        requests = list(problems(options.rows + WARM_UP, options.samples))
        spec = Path(folder) / "spec.json"
        spec.write_text(json.dumps(direct_spec(requests, options)))
        pairs = []
        for run in range(options.runs):
            sides = [lambda: sampled(requests, options), lambda: direct(spec)]
            found = [side() for side in (sides if run % 2 else sides[::-1])]
            ours, theirs = found if run % 2 else found[::-1]
            pairs.append((ours, theirs))
            print(describe(ours, theirs), flush=True)
    for name in ("tokens per second", "tokens per processor second"):
        key = "seconds" if name == "tokens per second" else "cpu_seconds"
        ratios = [(a["tokens"] / a[key]) / (b["tokens"] / b[key]) for a, b in pairs]
        print(f"{name}: median ratio {statistics.median(ratios):.3f} of {sorted(round(r, 3) for r in ratios)}")


def describe(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """Both sides of a pair."""
    return "   ".join(
        f"{name} {side['tokens'] / side['seconds']:.0f} tok/s ({side['tokens']:.0f} in {side['seconds']:.1f} s, "
        f"{side['cpu_seconds']:.1f} s of processor)"
        for name, side in (("sampler", ours), ("generate", theirs))
    )


def sampled(requests: list[PromptRequest], options: argparse.Namespace) -> dict[str, float]:
    """Tokens, seconds, and processor seconds of the worker, through the sampler."""
    params = SamplingParams(1.0, 1.0, options.max_tokens)
    with VllmSampler(options.model, dtype="float32", engine_args=ENGINE_ARGS) as sampler:
        list(sampler.sample(requests[:WARM_UP], params))
        clock, cpu = time.monotonic(), processor_seconds(sampler.worker_pid)
        draws = [draw for group in sampler.sample(requests[WARM_UP:], params) for draw in group]
        seconds, cpu_seconds = time.monotonic() - clock, processor_seconds(sampler.worker_pid) - cpu
    errors = [draw.error for draw in draws if draw.error]
    if errors:
        sys.exit(f"{len(errors)} draws failed: {errors[0]}")
    return {"tokens": sum(draw.num_tokens for draw in draws), "seconds": seconds, "cpu_seconds": cpu_seconds}


def direct(spec: Path) -> dict[str, float]:
    """The same of `LLM.generate`."""
    program = [os.environ.get(PYTHON) or sys.executable, str(Path(__file__).with_name("vllm_direct.py")), str(spec)]
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def processor_seconds(pid: int | None) -> float:
    """User and system time of a process so far (Linux)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def problems(count: int, num_samples: int) -> Iterator[PromptRequest]:
    """Questions of the tiny world, each with its picture."""
    with (DATA / "pool.jsonl").open(encoding="utf8") as lines:
        for row, _ in zip(map(json.loads, lines), range(count), strict=False):
            choices = (f"\n({letter}) {text}" for letter, text in zip("ABCD", row.get("choices", ()), strict=False))
            messages = (Message(role="user", content=row["question"] + "".join(choices)),)
            images = tuple(ImageRef(name, str(DATA / name)) for name in row["images"])
            seeds = tuple(sample_seed(0, row["id"], number) for number in range(num_samples))
            yield PromptRequest(row["id"], messages, images, seeds)


def direct_spec(requests: list[PromptRequest], options: argparse.Namespace) -> dict[str, Any]:
    """The same prompts and settings for the baseline."""
    processor = load_processor(options.model)
    about = SimpleNamespace(
        config=load_config(options.model), generation_config=GenerationConfig.from_pretrained(options.model)
    )
    banned = vision_token_ids(about, processor)
    renderer = PromptRenderer(processor, banned)
    prompts = [
        {
            "text": renderer.render(request),
            "images": [image.location for image in request.images],
            "seed": request.seeds[0] % (1 << 62),
        }
        for request in requests
    ]
    sampling = {
        "n": options.samples,
        "temperature": 1.0,
        "max_tokens": options.max_tokens,
        "logprobs": 0,
        "ignore_eos": True,
        "stop_token_ids": stop_token_ids(about, processor),
        "detokenize": not options.tokens_only,
    }
    return {
        "model": options.model,
        "engine_args": ENGINE_ARGS,
        "warm_up": prompts[:WARM_UP],
        "prompts": prompts[WARM_UP:],
        "sampling": sampling,
        "logit_bias": dict.fromkeys(banned, -100.0),
    }


def larger_model(folder: Path) -> str:
    """The base model's family and processor with random weights: hidden size 384, six layers."""
    config = load_config(str(BASE))
    config.text_config.hidden_size, config.text_config.intermediate_size = 384, 1024
    config.text_config.num_hidden_layers = 6
    config.text_config.num_attention_heads = config.text_config.num_key_value_heads = 12
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = config.eos_token_id
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(BASE).save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
