"""`anectl rollout --engine vllm` against `vllm.LLM.generate` with all prompts and decoded images at once.

Usage: ANECTL_VLLM_PYTHON=.venv-vllm/bin/python python benchmarks/bench_vllm.py [--rows 400] [--samples 8] [--runs 3]
       [--model DIR | --larger] [--tokens-only]
       python benchmarks/bench_vllm.py --exits 20

Problems of the tiny world, the same seeds. Each run starts both engines afresh, one after the other in turn; the start
is not counted. The time of `rollout` runs from the loaded engine to the last row that is written, so it includes
reading and checking the rows, rendering the prompts, opening the images and grading, of which the baseline does none or
has done it before. `--larger` takes a random model of 12 million parameters, `--tokens-only` spares the baseline the
making of text from tokens, which the engine does once per completion and vLLM after every token.

`--exits` runs `rollout` that many times on few rows and prints how long it took to end after its last row, and how many
processes of the engine were left.
"""

from __future__ import annotations

import argparse
import contextlib
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

from anectl.core.drawing import request_of
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode
from anectl.core.keys import problem_key
from anectl.core.problem_rows import Row
from anectl.core.prompts import DEFAULT_INSTRUCTION, user_text
from anectl.core.protocols import PromptRequest
from anectl.core.records import Problem, Sampling
from anectl.engines.processors import load_config, load_processor
from anectl.engines.prompt_encoding import PromptRenderer
from anectl.engines.token_roles import stop_token_ids, vision_token_ids
from anectl.engines.vllm_messages import PYTHON

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples/tinyworld/data"
BASE = ROOT / "examples/tinyworld/base"
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
    parser.add_argument("--exits", type=int)
    options = parser.parse_args()
    if options.exits:
        print(exits(options.exits))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.larger:
            options.model = larger_model(Path(folder) / "model")
        rows = Path(folder) / "rows.jsonl"
        rows.write_text("".join((DATA / "pool.jsonl").read_text("utf8").splitlines(keepends=True)[: options.rows]))
        spec = Path(folder) / "spec.json"
        spec.write_text(json.dumps(direct_spec(list(requests(rows, options)), options)))
        pairs = []
        for run in range(options.runs):
            sides = [lambda: rolled_out(rows, options), lambda: direct(spec)]
            found = [side() for side in (sides if run % 2 else sides[::-1])]
            ours, theirs = found if run % 2 else found[::-1]
            pairs.append((ours, theirs))
            print(describe(ours, theirs), flush=True)
    ratios = [rate(ours) / rate(theirs) for ours, theirs in pairs]
    print(f"tokens per second: median ratio {statistics.median(ratios):.3f} of {sorted(round(r, 3) for r in ratios)}")


def rate(side: dict[str, float]) -> float:
    """Tokens per second."""
    return side["tokens"] / side["seconds"]


def describe(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """Both sides of a pair."""
    return "   ".join(
        f"{name} {rate(side):.0f} tok/s ({side['tokens']:.0f} in {side['seconds']:.1f} s)"
        for name, side in (("rollout", ours), ("generate", theirs))
    )


def rolled_out(rows: Path, options: argparse.Namespace) -> dict[str, float]:
    """Tokens and seconds by the manifest of `anectl rollout`."""
    output = rows.with_name("rollouts.jsonl")
    arguments = [f"{name}={json.dumps(value)}" for name, value in ENGINE_ARGS.items() if name != "dtype"]
    command = [sys.executable, "-m", "anectl", "rollout", str(rows), "--engine", "vllm", "--model", options.model]
    command += ["-n", str(options.samples), "--max-tokens", str(options.max_tokens), "--dtype", "float32"]
    command += ["--image-root", str(DATA), "-o", str(output)]
    command += [part for argument in arguments for part in ("--engine-arg", argument)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(output.with_name(f"{output.name}.manifest.json").read_text())["notes"][
        "sampled"
    ]
    if found["engine_errors"]:
        sys.exit(f"{found['engine_errors']} draws failed: {done.stderr}")
    return found


def exits(count: int) -> str:
    """How `count` short runs ended."""
    seconds, num_left = [], 0
    for _ in range(count):
        command = [sys.executable, "-m", "anectl", "rollout", str(DATA / "pool.jsonl"), "--limit", "8", "-n", "2"]
        command += ["--engine", "vllm", "--model", str(BASE), "--max-tokens", "32", "--image-root", str(DATA)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
            assert running.stdout
            last, groups = time.monotonic(), set[int]()
            for _ in running.stdout:
                last = time.monotonic()
                children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text("utf8").split()
                groups |= {os.getpgid(int(child)) for child in children} - {os.getpgid(0)}
            if running.wait() or not groups:
                sys.exit("a run failed")
            seconds.append(time.monotonic() - last)
        num_left += sum(group in groups for group in process_groups())
    return (
        f"{count} runs: from the last row to the end {statistics.median(seconds):.2f} s in the median, "
        f"{max(seconds):.2f} s at most; {num_left} processes left"
    )


def process_groups() -> list[int]:
    """The process group of every process that is alive (Linux)."""
    groups = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text("utf8").rpartition(")")[2].split()[:3]
            if state not in "ZX":
                groups.append(int(group))
    return groups


def direct(spec: Path) -> dict[str, float]:
    """The same of `LLM.generate`."""
    program = [os.environ.get(PYTHON) or sys.executable, str(Path(__file__).with_name("vllm_direct.py")), str(spec)]
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def requests(rows: Path, options: argparse.Namespace) -> Iterator[PromptRequest]:
    """What `rollout` asks its engine."""
    root = ImageRoot(str(DATA))
    sampling = Sampling(
        n=options.samples,
        temperature=1.0,
        top_p=1.0,
        max_tokens=options.max_tokens,
        seed=0,
        instruction=DEFAULT_INSTRUCTION,
    )
    for line in rows.read_text("utf8").splitlines():
        problem = decode(line.encode(), Problem)
        images = root.resolve_all(problem.images)
        key = problem_key(problem, [image.read() for image in images])
        row = Row(problem, images, key, key, "rows")
        yield request_of(row, sampling, user_text(problem, DEFAULT_INSTRUCTION))


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
        "prompts": prompts,
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
