"""The baseline of bench_vllm.py: `vllm.LLM.generate`, given all prompts and decoded images at once.

Usage: python vllm_direct.py SPEC.json, in an environment with vLLM. Prints one JSON object; only `generate` is timed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from vllm import LLM, SamplingParams


def main() -> None:
    """Load the engine, generate, print tokens and seconds."""
    spec = json.loads(Path(sys.argv[1]).read_text("utf8"))
    llm = LLM(model=spec["model"], **spec["engine_args"])
    print(json.dumps(generate(llm, spec, spec["prompts"])))


def generate(llm: LLM, spec: dict[str, Any], prompts: list[dict[str, Any]]) -> dict[str, float]:
    """Tokens and seconds of one call."""
    inputs = []
    for prompt in prompts:
        images = [Image.open(path).convert("RGB") for path in prompt["images"]]
        inputs.append({"prompt": prompt["text"], "multi_modal_data": {"image": images}})
    bias = {int(token): value for token, value in spec["logit_bias"].items()}
    params = [SamplingParams(seed=prompt["seed"], logit_bias=bias, **spec["sampling"]) for prompt in prompts]
    clock = time.monotonic()
    # The prompts hold their special tokens already.
    outputs = llm.generate(inputs, params, use_tqdm=False, tokenization_kwargs={"add_special_tokens": False})
    seconds = time.monotonic() - clock
    tokens = sum(len(completion.token_ids) for output in outputs for completion in output.outputs)
    return {"tokens": tokens, "seconds": seconds}


if __name__ == "__main__":
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
