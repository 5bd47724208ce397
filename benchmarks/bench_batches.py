"""sft --group-by-length against itself with batches as they are drawn: time of an epoch on the tiny world's rows.

Usage: python benchmarks/bench_batches.py [--pairs 4] [--batch-size 16]

Both sides train on the same rows, worked steps of all eight families, for the same epochs; they take turns, each a
process of its own on one thread. The first steps are not counted. How much of the batches is padding is what the
command says itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_training import BASE, NUM_ROWS, make_data

EPOCHS, WARM_STEPS = 3, 8


def train(folder: Path, batch_size: int, *options: str) -> tuple[float, str]:
    """Seconds of the counted steps, and what the plan says of padding."""
    command = [sys.executable, "-m", "anectl", "sft", "train.jsonl", "--model", str(BASE), "-o", "out", "--overwrite"]
    command += ["--batch-size", str(batch_size), "--epochs", str(EPOCHS), "--drift-rows", "0", *options]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    logged = [json.loads(line) for line in (folder / "out/log.jsonl").read_text().splitlines()]
    steps = {line["step"]: line["seconds"] for line in logged if "step" in line}
    padding = re.search(r"\d+% of (their|the) tokens (are )?padding", done.stderr)
    return steps[max(steps)] - steps[WARM_STEPS], padding[0] if padding else ""


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder)
        train(folder, options.batch_size)  # fills the page cache
        ratios, said = [], {}
        for number in range(options.pairs):
            sides: list[tuple[str, ...]] = [(), ("--group-by-length",)]
            found = {side: train(folder, options.batch_size, *side) for side in sides[:: 1 if number % 2 else -1]}
            said = {side: padding for side, (_, padding) in found.items()}
            ratios.append(found[sides[1]][0] / found[sides[0]][0])
    ratios.sort()
    print(
        f"sft --group-by-length, {NUM_ROWS} rows in batches of {options.batch_size}: "
        f"ratio {statistics.median(ratios):.3f} (pairs {ratios[0]:.3f} to {ratios[-1]:.3f}); "
        f"{said[sides[1]]}, as drawn {said[sides[0]]}"
    )


if __name__ == "__main__":
    main()
