"""The long fault runs of an index: `python -m tests.faults_index kills|damage [--count N]`.

The short version is in test_index_faults.py.

kills: the real `anectl build-index` on the tiny world's truth (all three signals, a graph), killed with SIGKILL at
moments spread over its run from the making of its folder on; then `--add` likewise. After every kill the index must be
what it was before or what it is to be; run again, its files must equal those of the uninterrupted run byte for byte.
damage: an index of every kind of file, mutated; each copy is opened and asked in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from anectl.core.errors import AnectlError
from anectl.core.index_files import read_index_manifest
from tests.index_damage import damaged
from tests.index_rows import answers, build

ROOT = Path(__file__).resolve().parent.parent
TINYWORLD = ROOT / "examples/tinyworld"


def start(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A running build-index."""
    command = [sys.executable, "-m", "anectl", "build-index", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(arguments: list[str], folder: Path, made: Path) -> float:
    """Run to the end; seconds from the making of its folder. Raises RuntimeError with its stderr when it fails."""
    running = start(arguments, folder)
    _await(made, running)
    started = time.monotonic()
    _, err = running.communicate()
    if running.returncode:
        raise RuntimeError(err.decode())
    return time.monotonic() - started


def _await(made: Path, running: subprocess.Popen[bytes]) -> None:
    while not made.exists() and running.poll() is None:
        time.sleep(0.005)


def contents(index: Path) -> dict[str, str] | None:
    """Hashes of all files of an index, verified; None where there is none."""
    try:
        return {name: entry.sha256 for name, entry in read_index_manifest(index).files.items()}
    except AnectlError as error:
        if "not an index" not in str(error):
            raise
        return None


def kills(arguments: list[str], folder: Path, before: Path | None, count: int, rng: random.Random) -> str:
    """Kill a command `count` times, each from the same state, then run it to the end."""
    whole, index = folder / "whole", folder / "i"
    made = f"generation-{2 if before else 1}"

    def reset(target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        if before is not None:
            shutil.copytree(before, target)

    reset(whole)
    seconds = finish([*arguments, "-o", "whole"], folder, whole / made)
    after, earlier = contents(whole), contents(before) if before else None
    seen: Counter[str] = Counter()
    different: Counter[str] = Counter()
    while seen.total() < count:
        reset(index)
        running = start([*arguments, "-o", "i"], folder)
        _await(index / made, running)
        time.sleep(rng.uniform(0, seconds))
        was_alive = running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.communicate()
        if not was_alive:
            continue
        found = contents(index)
        seen["before" if found == earlier else "after" if found == after else "ELSE"] += 1
        if found != after:  # run again over what the kill left
            finish([*arguments, "-o", "i"], folder, index / "manifest.json")
            different["left over"] += len(list(index.iterdir())) != 2
        different["files"] += contents(index) != after
    return f"{count} kills in {seconds:.1f} s runs: {dict(seen)}; different after running again: {dict(different)}"


def all_kills(count: int, folder: Path) -> None:
    """Build, then add."""
    lines = list(itertools.islice((TINYWORLD / "data/truth.jsonl").open(), 400))
    for name, part in (("old.jsonl", lines[:300]), ("new.jsonl", lines[280:])):
        (folder / name).write_text("".join(part))
    options = ["--embedder", f"policy:{TINYWORLD / 'base'}", "--image-root", str(TINYWORLD / "data")]
    rng = random.Random(0)
    print("build:", kills(["old.jsonl", *options, "--backend", "hnsw"], folder, None, count, rng), flush=True)
    before = folder / "before"
    shutil.copytree(folder / "whole", before)
    add = ["--add", "new.jsonl", "--image-root", str(TINYWORLD / "data")]
    print("add:", kills(add, folder, before, count, rng), flush=True)


def damage(count: int, folder: Path) -> None:
    """Each mutated copy in a process of its own."""
    rng, seen = random.Random(0), Counter[str]()
    for backend, share in (("hnsw", count - count // 4), ("lancedb", count // 4)):
        index = folder / backend
        build(index, 60, backend=backend)
        whole = repr(answers(index))
        for _ in range(share):
            copy = folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            kind = damaged(index, copy, rng)
            command = [sys.executable, "-m", "tests.index_rows", "answers", str(copy)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
            said = done.stdout.strip()
            outcome = (
                "CRASH"
                if done.returncode
                else "error"
                if said.startswith("error: ")
                else "right"
                if said == whole
                else "WRONG"
            )
            seen[outcome] += 1
            if outcome not in ("error",):
                print(outcome, backend, kind, done.returncode, done.stderr[-300:], flush=True)
    print(f"{count} mutations: {dict(seen)}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "damage"])
    parser.add_argument("--count", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "kills":
            all_kills(given.count or 20, Path(folder))
        else:
            damage(given.count or 200, Path(folder))


if __name__ == "__main__":
    main()
