"""`make faults`: SIGKILL at random moments, then resume, many times; the result must equal the uninterrupted one.

Rollouts, by each engine, are compared completion for completion. Training is compared by step count, by the log (each
step once) and by the largest difference of any weight. The short versions are in tests/test_rollout.py, test_sft.py and
test_strip_rl.py; the killing of a server is in tests/faults_openai.py.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.vllm_server import MODEL, VllmServer, vllm_python

ROOT = Path(__file__).resolve().parent.parent
TINYWORLD = ROOT / "examples/tinyworld"
BASE = str(TINYWORLD / "base")


def command(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A running `anectl` in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "anectl", *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(arguments: list[str], folder: Path) -> float:
    """Run to the end; seconds it took. Raises RuntimeError with its stderr when it fails."""
    started = time.monotonic()
    running = command(arguments, folder)
    _, err = running.communicate()
    if running.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {err.decode()}")
    return time.monotonic() - started


def killed(arguments: list[str], folder: Path, seconds: float, rng: random.Random) -> bool:
    """Start a run and kill it at a moment uniform over `seconds`; whether it was still alive then."""
    running = command(arguments, folder)
    try:
        running.communicate(timeout=rng.uniform(0, seconds))
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        running.communicate()
        return True
    return False


def world(folder: Path) -> None:
    """A small world and an examples file for training."""
    sizes = ["--truth", "64", "--pool", "96", "--valid", "8", "--bench", "8"]
    subprocess.run([sys.executable, TINYWORLD / "world.py", folder / "data", "--seed", "5", *sizes], check=True)
    finish(["build-index", "data/truth.jsonl", "--embedder", f"policy:{BASE}", "-o", "truth.idx"], folder)
    sample = ["--model", BASE, "-n", "4", "--instruction", "", "--max-tokens", "64"]
    finish(["rollout", "data/pool.jsonl", *sample, "-o", "r.jsonl"], folder)
    finish(["locate-frontier", "r.jsonl", "--zones", "failing,learnable,solved,unsure", "-o", "f.jsonl"], folder)
    finish(["anchor", "f.jsonl", "--index", "truth.idx", "-o", "a.jsonl"], folder)
    template = ["--template", str(TINYWORLD / "scaffold.yaml"), "--answer-format", "Answer: {answer}"]
    finish(["scaffold", "a.jsonl", *template, "-o", "train.jsonl"], folder)


def rollout_faults(name: str, engine: list[str], folder: Path, kills: int, rng: random.Random) -> str:
    """Rollouts of one engine: whole file against whole file."""
    sample = ["rollout", "data/pool.jsonl", *engine, "-n", "8", "--instruction", "", "--max-tokens", "96", "--resume"]
    output = f"{name}.jsonl"
    seconds = finish([*sample, "-o", f"whole-{output}"], folder)
    whole = (folder / f"whole-{output}").read_bytes()
    hit = finished = num_different = 0
    while hit < kills:
        if killed([*sample, "-o", output], folder, seconds, rng):
            hit += 1
            continue
        finished += 1
        num_different += differences(whole, folder / output)
    finish([*sample, "-o", output], folder)
    num_different += differences(whole, folder / output)
    rows = whole.splitlines()
    return (
        f"rollout by {name}: {hit} kills of live runs over {finished + 1} files, each of the {len(rows)} x 8 samples "
        f"once in each; {num_different} of {(finished + 1) * len(rows) * 8} texts differ from the uninterrupted run's"
    )


def differences(whole: bytes, path: Path) -> int:
    """How many completions of a resumed file are not those of the whole one; removes it for the next.

    Raises RuntimeError unless it has the same problems in the same order, each with as many completions.
    """
    pairs = zip(map(json.loads, whole.splitlines()), map(json.loads, path.read_bytes().splitlines()), strict=True)
    path.unlink()
    count = 0
    for expected, found in pairs:
        lists = expected["completions"], found["completions"]
        if expected["problem"] != found["problem"] or len(lists[0]) != len(lists[1]):
            raise RuntimeError(f"the row of {expected['problem']['id']} is not that of the uninterrupted run")
        count += sum(one["text"] != other["text"] for one, other in zip(*lists, strict=True))
    return count


def training_faults(name: str, options: list[str], folder: Path, kills: int, rng: random.Random) -> str:
    """Training: steps, log and weights against the uninterrupted run."""
    call = [name, "train.jsonl", "--model", BASE, *options, "--resume"]
    seconds = finish([*call, "-o", f"{name}-whole"], folder)
    hit = sum(killed([*call, "-o", f"{name}-killed"], folder, seconds, rng) for _ in range(kills))
    finish([*call, "-o", f"{name}-killed"], folder)
    logs = {}
    for run in ("whole", "killed"):
        lines = (folder / f"{name}-{run}/log.jsonl").read_text().splitlines()
        logs[run] = [json.loads(line)["step"] for line in lines]
    if logs["whole"] != logs["killed"]:
        raise RuntimeError(f"{name}: the logs differ: {logs}")
    whole = load_file(folder / f"{name}-whole/model.safetensors")
    killed = load_file(folder / f"{name}-killed/model.safetensors")
    worst = max(float((whole[key] - killed[key]).abs().max()) for key in whole)
    moved = max(
        float((whole[key] - value).abs().max()) for key, value in load_file(f"{BASE}/model.safetensors").items()
    )
    return (
        f"{name}: {hit} of {kills} kills hit a live run; last step {logs['killed'][-1]} in both, "
        f"largest weight difference {worst:.1e} (training moved weights by up to {moved:.1e})"
    )


def engine_faults(engines: list[str], folder: Path, kills: int, rng: random.Random) -> Iterator[str]:
    """One line for each engine."""
    if "transformers" in engines:
        yield rollout_faults("transformers", ["--model", BASE, "--batch-size", "8"], folder, kills, rng)
    if engines != ["transformers"] and vllm_python() is None:
        yield "no vLLM: `make setup-vllm`, or set ANECTL_VLLM_PYTHON"
        return
    if "vllm" in engines:
        yield rollout_faults("vllm", ["--engine", "vllm", "--model", BASE], folder, kills, rng)
    if "openai" not in engines:
        return
    with VllmServer(folder / "server.log") as server:
        openai = ["--engine", "openai", "--url", server.url, "--model", MODEL, "--concurrency", "8"]
        yield rollout_faults("openai", openai, folder, kills, rng)


def main() -> None:
    """Run all and print one line each."""
    parser = argparse.ArgumentParser(description="Kill and resume rollout, sft and strip-rl at random moments.")
    parser.add_argument("--rollout-kills", type=int, default=34, help="of each engine")
    parser.add_argument("--engines", nargs="*", default=["transformers", "vllm", "openai"])
    parser.add_argument("--training-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world(folder)
        for line in engine_faults(arguments.engines, folder, arguments.rollout_kills, rng):
            print(line, flush=True)
        if not arguments.training_kills:
            return
        steps = ["--max-steps", "60", "--save-steps", "10", "--batch-size", "8", "--learning-rate", "1e-3"]
        print(training_faults("sft", steps, folder, arguments.training_kills, rng), flush=True)
        steps = ["--max-steps", "20", "--save-steps", "5", "--batch-size", "4", "--max-tokens", "64"]
        steps += ["--learning-rate", "1e-4"]
        print(training_faults("strip-rl", steps, folder, arguments.training_kills, rng), flush=True)


if __name__ == "__main__":
    main()
