"""`make faults`: SIGKILL at random moments, then resume, many times; the result must equal the uninterrupted one.

Rollouts are compared byte for byte. Training is compared by step count, by the log (each step once) and by the largest
difference of any weight. The short versions are in tests/test_rollout.py, test_sft.py and test_strip_rl.py.
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
from pathlib import Path

import torch
from safetensors.torch import load_file

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


def rollout_faults(folder: Path, kills: int, rng: random.Random) -> str:
    """Rollouts: whole file against whole file."""
    sample = ["rollout", "data/pool.jsonl", "--model", BASE, "-n", "8", "--instruction", "", "--max-tokens", "96"]
    sample += ["--batch-size", "8", "--resume"]
    seconds = finish([*sample, "-o", "whole.jsonl"], folder)
    whole = (folder / "whole.jsonl").read_bytes()
    hit = finished = 0
    while hit < kills:
        if killed([*sample, "-o", "killed.jsonl"], folder, seconds, rng):
            hit += 1
            continue
        finished += 1
        compare_rollouts(whole, folder)
    finish([*sample, "-o", "killed.jsonl"], folder)
    compare_rollouts(whole, folder)
    rows = len(whole.splitlines())
    return f"rollout: {hit} kills of live runs over {finished + 1} files of {rows} rows, each equal byte for byte"


def compare_rollouts(whole: bytes, folder: Path) -> None:
    """Raises RuntimeError unless the resumed file equals the uninterrupted one; then removes it for the next."""
    if (folder / "killed.jsonl").read_bytes() != whole:
        raise RuntimeError("the resumed rollouts differ from the uninterrupted ones")
    (folder / "killed.jsonl").unlink()


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


def main() -> None:
    """Run all three and print one line each."""
    parser = argparse.ArgumentParser(description="Kill and resume rollout, sft and strip-rl at random moments.")
    parser.add_argument("--rollout-kills", type=int, default=20)
    parser.add_argument("--training-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world(folder)
        print(rollout_faults(folder, arguments.rollout_kills, rng), flush=True)
        steps = ["--max-steps", "60", "--save-steps", "10", "--batch-size", "8", "--learning-rate", "1e-3"]
        print(training_faults("sft", steps, folder, arguments.training_kills, rng), flush=True)
        steps = ["--max-steps", "20", "--save-steps", "5", "--batch-size", "4", "--max-tokens", "64"]
        steps += ["--learning-rate", "1e-4"]
        print(training_faults("strip-rl", steps, folder, arguments.training_kills, rng), flush=True)


if __name__ == "__main__":
    main()
