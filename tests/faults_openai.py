"""SIGKILL a vLLM server at random moments of a run, start it again, many times: each run must come out whole.

    .venv/bin/python -m tests.faults_openai --kills 20

Every draw is compared with that of an undisturbed run; the server dies with its whole process group. The short version
is in tests/test_openai_vllm.py.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from anectl.core.images import ImageRoot
from anectl.core.keys import sample_seed
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Problem
from anectl.engines.openai_sampler import OpenAISampler
from tests.vllm_server import MODEL, ROOT, VllmServer

PARAMS = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=96)
NUM_SAMPLES = 8


def requests(folder: Path, copies: int) -> list[PromptRequest]:
    """The pool, several times over with other seeds."""
    found = []
    for copy in range(copies):
        for row in (folder / "data/pool.jsonl").read_bytes().splitlines():
            problem = msgspec.json.decode(row, type=Problem)
            images = ImageRoot(folder / "data").resolve_all(problem.images)
            seeds = tuple(sample_seed(copy, problem.id, number) for number in range(NUM_SAMPLES))
            found.append(PromptRequest(problem.id, conversation(user_text(problem, "")), images, seeds))
    return found


def disturbed(server: VllmServer, rows: list[PromptRequest], moment: float) -> tuple[list[tuple[Draw, ...]], int]:
    """The draws of a run whose server was killed `moment` seconds after the first draw, and how many were out then."""
    draws: list[tuple[Draw, ...]] = []
    out_at_kill = [len(rows)]

    def restart() -> None:
        time.sleep(moment)
        out_at_kill[0] = len(draws)
        server.kill()
        server.start()

    restarting = threading.Thread(target=restart)
    for group in OpenAISampler(MODEL, url=server.url, concurrency=16).sample(rows, PARAMS):
        if not draws:
            restarting.start()
        draws.append(group)
    restarting.join()
    return draws, out_at_kill[0]


def main() -> None:
    """Print a line per kill and one for all."""
    parser = argparse.ArgumentParser(description="Kill and restart a vLLM server in the middle of runs.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--copies", type=int, default=2, help="how many times the pool of 96 problems is run over")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = ["--truth", "8", "--pool", "96", "--valid", "8", "--bench", "8"]
        program = ROOT / "examples/tinyworld/world.py"
        subprocess.run([sys.executable, program, folder / "data", *sizes], check=True, stdout=subprocess.DEVNULL)
        rows = requests(folder, arguments.copies)
        with VllmServer(folder / "log") as server:
            list(OpenAISampler(MODEL, url=server.url, concurrency=16).sample(rows[:64], PARAMS))
            started = time.monotonic()
            whole = list(OpenAISampler(MODEL, url=server.url, concurrency=16).sample(rows, PARAMS))
            seconds = time.monotonic() - started
            hit = different = 0
            while hit < arguments.kills:
                draws, out_at_kill = disturbed(server, rows, rng.uniform(0, 0.8 * seconds))
                if len(draws) != len(rows) or any(draw.error for group in draws for draw in group):
                    raise RuntimeError(f"draws were lost: {len(draws)} of {len(rows)} rows")
                other = sum(
                    a.text != b.text for x, y in zip(draws, whole, strict=True) for a, b in zip(x, y, strict=True)
                )
                different += other
                hit += out_at_kill < len(rows)
                print(f"kill {hit} with {out_at_kill} of {len(rows)} rows out; {other} draws differ", flush=True)
    total = hit * len(rows) * NUM_SAMPLES
    print(f"openai: {hit} kills of a vLLM server amid runs, no draw lost, {different} of {total} differ")


if __name__ == "__main__":
    main()
