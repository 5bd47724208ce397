"""Start-up: `anectl --help` against `python -c "import typer"`, the least that a typer program can take.

Usage: python benchmarks/bench_startup.py [--pairs 20]

Prints the medians over runs taken in turn and their ratio, by the clock and by processor time, which a busy machine
disturbs less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

# What a user's shell has: byte code cached.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
COMMANDS = {
    "anectl --help": [sys.executable, "-m", "anectl", "--help"],
    "import typer": [sys.executable, "-c", "import typer"],
}


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds of one run: by the clock and of the processor."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} failed")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Time both in turn and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    num_pairs = parser.parse_args().pairs
    for command in COMMANDS.values():
        timed(command)  # caches the byte code and the files
    runs = [[timed(command) for command in COMMANDS.values()] for _ in range(num_pairs)]
    wall, cpu, typer_wall, typer_cpu = (
        statistics.median(pair[side][field] for pair in runs) for side in (0, 1) for field in (0, 1)
    )
    print(
        f"anectl --help {wall * 1e3:.0f} ms, import typer {typer_wall * 1e3:.0f} ms, "
        f"ratio {wall / typer_wall:.2f} (processor time {cpu / typer_cpu:.2f})"
    )


if __name__ == "__main__":
    main()
