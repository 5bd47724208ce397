"""Kill the M-STaR example at random moments and let make go on: the ledgers must be those of a run left alone.

    python -m tests.faults_mstar [--kills 10] [--seed 0] [--arms iterative tuned joint]

Three arms that have all stages between them, with small sizes; about ten minutes on two cores. Not a part of `make
test`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.test_qwen_example import without_make

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ARMS = ("iterative", "tuned", "joint")
SIZES = [
    "WORLD=--school 320 --slice-rows 4 --valid 12 --judged 6 --truth 240 --bench 4",
    *("START_STEPS=20", "WARM_UP_STEPS=10", "PRM_STEPS=20", "STEPS=16", "SEEDS=0", "JOBS=2"),
]


def start(folder: Path, arms: list[str]) -> subprocess.Popen[bytes]:
    """`make` for the ledgers of the arms, in a process group of its own."""
    ledgers = [f"runs/seed-0/{arm}/ledger.jsonl" for arm in arms]
    program = ["make", "warm", f"BIN={Path(sys.executable).parent}", *SIZES, f"WHAT={' '.join(ledgers)}"]
    log = (folder / "log").open("ab")
    return subprocess.Popen(program, cwd=folder, env=without_make(), stdout=log, stderr=log, start_new_session=True)


def copy(to: Path) -> Path:
    """A copy of the example, with the tiny world beside it."""
    made = shutil.ignore_patterns("data", "runs", "__pycache__")
    shutil.copytree(EXAMPLES / "tinyworld", to / "tinyworld", ignore=made)
    return Path(shutil.copytree(EXAMPLES / "mstar", to / "mstar", ignore=made))


def ledgers(folder: Path, arms: list[str]) -> dict[str, bytes]:
    """The bytes of each arm's ledger."""
    return {arm: (folder / f"runs/seed-0/{arm}/ledger.jsonl").read_bytes() for arm in arms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), metavar="ARM")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        alone, killed = copy(Path(name) / "alone"), copy(Path(name) / "killed")
        began = time.monotonic()
        if start(alone, options.arms).wait():
            raise SystemExit((alone / "log").read_text("utf-8")[-3000:])
        whole = time.monotonic() - began
        print(f"left alone: {whole:.0f} s", flush=True)
        for number in range(1, options.kills + 1):
            run = start(killed, options.arms)
            # Long enough now and then to get some commands further, else all kills would fall on the first of them.
            time.sleep(rng.uniform(0.02, 0.35) * whole)
            if run.poll() is not None:
                print(f"kill {number}: the run was done", flush=True)
                break
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            last = (killed / "log").read_text("utf-8", "replace").rstrip().splitlines()[-1]
            print(f"kill {number}: {last[:100]}", flush=True)
        if start(killed, options.arms).wait():
            raise SystemExit((killed / "log").read_text("utf-8")[-3000:])
        found = ledgers(killed, options.arms)
        same = {arm: ledger == found[arm] for arm, ledger in ledgers(alone, options.arms).items()}
        print(same)
        raise SystemExit(0 if all(same.values()) else 1)


if __name__ == "__main__":
    main()
