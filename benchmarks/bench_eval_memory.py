"""eval of saved predictions under three profiles: how memory and time grow from 10,000 rows to 100,000.

Usage: python benchmarks/bench_eval_memory.py [--rows 10000 100000]

Each size is a benchmark of as many problems, half numbers and half multiple choice, four of them to a picture, and a
file with a prediction of each. Prints the peak resident memory, rows per second, and the ratios of both between the
sizes: memory that does not grow has a ratio near 1, time that is linear near the ratio of the sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

PROFILES = ("strict", "mathvista", "lmms-eval")
ROWS_PER_IMAGE = 4
WORDS = ("red", "green", "blue", "yellow")


def write_benchmark(folder: Path, num_rows: int) -> None:
    """`bench.jsonl` with its pictures, and `saved.jsonl` with one prediction for each of its problems."""
    rng = random.Random(0)
    for number in range(256):
        Image.new("RGB", (8, 8), (number, 255 - number, 77)).save(folder / f"{number}.png")
    with (folder / "bench.jsonl").open("w") as problems, (folder / "saved.jsonl").open("w") as predictions:
        for number in range(num_rows):
            problem, text = _choice(rng) if number % 2 else _number(rng)
            identity = {"schema": "problem/1", "id": f"p{number}", "images": [f"{number // ROWS_PER_IMAGE % 256}.png"]}
            problems.write(json.dumps(identity | problem) + "\n")
            predictions.write(json.dumps({"id": f"p{number}", "prediction": text}) + "\n")


def _number(rng: random.Random) -> tuple[dict[str, Any], str]:
    answer = rng.randrange(1000)
    said = answer + (rng.random() < 0.4)
    problem = {"question": "How many tiles are there?", "answer": str(answer), "answer_type": "number"}
    return problem, f"There are some above and some below.\n\\boxed{{{said}}}" if rng.random() < 0.9 else "many"


def _choice(rng: random.Random) -> tuple[dict[str, Any], str]:
    answer, said = rng.choice("ABCD"), rng.choice("ABCD")
    problem = {"question": "Which colour?", "answer": answer, "answer_type": "choice", "choices": list(WORDS)}
    return problem, f"It is {WORDS[ord(said) - ord('A')]}, so the answer is ({said})."


class Cost(NamedTuple):
    """Seconds by the clock and peak resident memory in bytes of one run."""

    wall_s: float
    peak: int


def evaluate(folder: Path) -> Cost:
    """Run `anectl eval` on the folder's files."""
    profiles = [word for name in PROFILES for word in ("--profile", name)]
    files = [str(folder / "bench.jsonl"), "--predictions", str(folder / "saved.jsonl"), "-o", str(folder / "out.jsonl")]
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "anectl", "eval", *files, *profiles], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit("eval failed")
    return Cost(time.perf_counter() - started, usage.ru_maxrss * 1024)


def main() -> None:
    """Measure both sizes and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=(10_000, 100_000))
    arguments = parser.parse_args()
    costs = []
    for num_rows in arguments.rows:
        with tempfile.TemporaryDirectory() as name:
            write_benchmark(Path(name), num_rows)
            cost = evaluate(Path(name))
        costs.append(cost)
        print(
            f"{num_rows} rows x {len(PROFILES)} profiles: peak {cost.peak / 1e6:.1f} MB, "
            f"{num_rows / cost.wall_s:.0f} rows/s",
            flush=True,
        )
    few, many = costs
    sizes = arguments.rows[1] / arguments.rows[0]
    print(f"{sizes:.0f} x the rows: {many.peak / few.peak:.3f} x the memory, {many.wall_s / few.wall_s:.1f} x the time")


if __name__ == "__main__":
    main()
