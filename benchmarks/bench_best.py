"""The ablation's best configuration against the demo's loop: time from the located frontier to the trained model.

Usage: python benchmarks/bench_best.py [--seeds 0 1 2]

Both sides are the commands of examples/tinyworld as its Makefiles have them, retrieval of anchors, rows and drift
included; the frontier and the index are there before. They run at once, each on one thread, once per seed: what else
the machine does, it does to both.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORLD = Path(__file__).parent.parent / "examples/tinyworld"
SHARED = ("runs/truth.idx/manifest.json", "runs/valid.rollouts.jsonl")
LOCATED = ("rollouts.jsonl", "frontier.jsonl")
SIDES = {"demo": "ane/result.json", "best": "ablation/best/result.json"}


def make(*targets: str) -> float:
    """Seconds that make takes for the targets, one recipe at a time, on one thread."""
    command = ["make", "--jobs", "1", f"BIN={Path(sys.executable).parent}", *targets]
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=WORLD, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - began


def train(located: Path, side: str, seed: int) -> float:
    """Seconds of one side in a folder of its own, which begins with the located frontier."""
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / f"seed-{seed}"
        (run / "ablation").mkdir(parents=True)
        for kept in LOCATED:
            for file in (kept, f"{kept}.manifest.json"):
                shutil.copy2(located / file, run / file)
        return make(f"SEED={seed}", f"RUN={run}", f"{run}/{SIDES[side]}")


def main() -> None:
    """Print the seconds of each seed, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds: list[int] = parser.parse_args().seeds
    ratios = []
    for seed in seeds:
        located = WORLD / f"runs/seed-{seed}"
        make(f"SEED={seed}", *SHARED, *(f"runs/seed-{seed}/{name}" for name in LOCATED))
        with ThreadPoolExecutor(len(SIDES)) as pool:
            running = {side: pool.submit(train, located, side, seed) for side in SIDES}
            took = {side: future.result() for side, future in running.items()}
        ratios.append(took["best"] / took["demo"])
        print(f"seed {seed}: best {took['best']:.1f} s, demo {took['demo']:.1f} s, ratio {ratios[-1]:.3f}", flush=True)
    ratios.sort()
    print(f"best against the demo's loop: ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
