"""locate-frontier against a bare `orjson.loads` + `orjson.dumps` loop over the same file.

Usage: python benchmarks/bench_locate_frontier.py [--rows 200000] [--pairs 5]

Prints, for completions of 200 and of 2000 characters, the ratio of the median throughputs (bytes of input per
second) over runs taken in turn, by the clock and by processor time, which a busy machine disturbs less; and the peak
memory of the locate-frontier process. Both programs write to a file through stdout; their start-up is counted.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import orjson

BASELINE = """
import sys
import orjson
with open(sys.argv[1], "rb") as source:
    for line in source:
        sys.stdout.buffer.write(orjson.dumps(orjson.loads(line)) + b"\\n")
"""
# What a user's shell has: byte code cached, stdout buffered.
_UNUSUAL = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in _UNUSUAL}
ZONES = "failing,learnable,solved,unsure"


def write_rollouts(path: Path, num_rows: int, num_chars: int) -> None:
    """A rollout file: 8 completions of `num_chars` characters a row, pass rates spread over 0..1."""
    rng = random.Random(0)
    text = ("Count the red tiles. 3 + 9 = 12.\n" * (num_chars // 32 + 1))[:num_chars]
    with path.open("wb") as file:
        for row in range(num_rows):
            pass_rate = rng.random()
            completions = [_completion(text, rng.random() < pass_rate) for _ in range(8)]
            file.write(orjson.dumps(_rollout(row, completions)) + b"\n")


def _completion(text: str, correct: bool) -> dict[str, object]:
    return {
        "text": text,
        "finish_reason": "stop",
        "num_tokens": len(text) // 4,
        "logprob": -12.625,
        "extracted": "12" if correct else "13",
        "correct": correct,
        "reason": "number",
        "error": None,
        "steps": None,
    }


def _rollout(row: int, completions: list[dict[str, object]]) -> dict[str, object]:
    problem = {
        "schema": "problem/1",
        "id": f"tiles-{row}",
        "question": "How many tiles are red?",
        "images": [f"images/{row}.png"],
        "answer": "12",
        "answer_type": "number",
        "solution": "There are 3 red tiles above and 9 below: 3 + 9 = 12.",
        "tags": ["count"],
        "source": {},
    }
    sampling = {"n": 8, "temperature": 1.0, "top_p": 1.0, "max_tokens": 512, "seed": 0, "instruction": ""}
    return {
        "schema": "rollout/1",
        "key": f"{row:032x}",
        "problem": problem,
        "policy": "base",
        "sampling": sampling,
        "completions": completions,
    }


class Timing(NamedTuple):
    """One run of a program: by the clock, of the processor, and its peak resident memory in bytes."""

    wall_s: float
    cpu_s: float
    peak: int


def timed(command: list[str], target: Path) -> Timing:
    """Run a program to its end, its stdout into a file."""
    started = time.perf_counter()
    with target.open("wb") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} failed")
    return Timing(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def measure(folder: Path, num_rows: int, num_chars: int, num_pairs: int) -> None:
    """Time both programs in turn and print one line."""
    source, target = folder / "rollouts.jsonl", folder / "out.jsonl"
    write_rollouts(source, num_rows, num_chars)
    command = [sys.executable, "-m", "anectl", "locate-frontier", str(source), "--zones", ZONES]
    baseline = [sys.executable, "-c", BASELINE, str(source)]
    # The first pair fills the page cache and is not counted.
    pairs = [(timed(command, target), timed(baseline, target)) for _ in range(num_pairs + 1)][1:]
    wall, cpu, baseline_wall, baseline_cpu = (
        statistics.median(pair[side][field] for pair in pairs) for side in (0, 1) for field in (0, 1)
    )
    size = source.stat().st_size / 1e6
    print(
        f"{num_rows} rows, 8 x {num_chars} chars, {size:.0f} MB: locate-frontier {size / wall:.0f} MB/s, "
        f"orjson {size / baseline_wall:.0f} MB/s, ratio {baseline_wall / wall:.2f} (processor time "
        f"{baseline_cpu / cpu:.2f}); peak {max(ours.peak for ours, _ in pairs) / 1e6:.0f} MB",
        flush=True,
    )


def main() -> None:
    """Measure both completion lengths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for num_chars in (200, 2000):
            measure(Path(folder), arguments.rows, num_chars, arguments.pairs)


if __name__ == "__main__":
    main()
