"""decontaminate against planted leaks: how many are found, per kind, and how many clean rows are taken for leaks.

Usage: python benchmarks/bench_decontaminate.py [--seeds 1 2] [--plants 200] [--sets tiles photos plots words]
       python benchmarks/bench_decontaminate.py --scale 100000

Four sets, each a benchmark and clean rows of the same templates drawn apart: the tiny world's tiles; photo-like
pictures (gradients, noise, shapes); bar charts of one style; and word problems without pictures. Beside it stands a
plain 64-bit perceptual hash of brightness at Hamming distances of 2 and of 6. `--scale` measures time and memory of a
benchmark of that many rows.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from anectl.core.images import ImageRoot
from anectl.core.leak_search import LeakFinder, subject_of
from anectl.core.leak_trial import Trial, try_planted
from anectl.core.leaks import Limits, Side
from anectl.core.metrics import wilson
from anectl.core.planted_leaks import PLANTS, plant
from anectl.core.records import Problem
from anectl.engines.image_matcher import ImageMatcher
from anectl.engines.image_sketch import sketch

WORLD = Path(__file__).parents[1] / "examples/tinyworld/world.py"
COUNT = 1024
COLUMNS = ("set", "seed", "planted", "rows", "found", "share", "95% interval", "pHash<=2", "pHash<=6")
Rows = list[dict[str, Any]]


def tiles(folder: Path, seed: int) -> tuple[list[Path], Path]:
    """The tiny world: its benchmark files, and its pool."""
    counts = ("--truth", "8", "--pool", str(COUNT), "--valid", "8", "--bench", str(COUNT // 8))
    command = [sys.executable, str(WORLD), str(folder), "--seed", str(seed), *counts]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return sorted((folder / "bench").glob("*.jsonl")), folder / "pool.jsonl"


def photo(rng: random.Random) -> Image.Image:
    """A gradient with noise of three scales, a few shapes and grain, 120 to 320 pixels a side."""
    width, height = rng.randint(120, 320), rng.randint(120, 320)
    noise = np.random.default_rng(rng.getrandbits(32))
    rows, columns = np.mgrid[0:height, 0:width] / max(width, height)
    slopes = noise.normal(size=(2, 3)) * 90
    pixels = 128 + (columns - 0.5)[..., None] * slopes[0] + (rows - 0.5)[..., None] * slopes[1]
    for cells, strength in ((4, 40), (9, 25), (20, 12)):
        for channel in range(3):
            waves = Image.fromarray(noise.normal(size=(cells, cells)).astype(np.float32) * strength)
            pixels[..., channel] += np.asarray(waves.resize((width, height), Image.Resampling.BICUBIC))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(2, 7)):
        left, top = rng.randint(-20, width), rng.randint(-20, height)
        box = (left, top, left + rng.randint(8, width // 2), top + rng.randint(8, height // 2))
        rng.choice([pen.ellipse, pen.rectangle])(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    grain = np.asarray(image, np.float32) + noise.normal(size=(height, width, 1)) * 6
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def plot(rng: random.Random) -> Image.Image:
    """A bar chart, always of the same size, colours and axes: only the heights of its six bars differ."""
    image = Image.new("RGB", (300, 200), "white")
    pen = ImageDraw.Draw(image)
    pen.line([(30, 10), (30, 180), (290, 180)], fill="black", width=2)
    for line in range(1, 5):
        pen.line([(30, 180 - 35 * line), (290, 180 - 35 * line)], fill=(220, 220, 220))
    for bar in range(6):
        left, height = 42 + 41 * bar, rng.randint(5, 165)
        pen.rectangle((left, 180 - height, left + 26, 179), fill=(70, 120, 180))
        pen.text((left + 8, 184), str(bar + 1), fill="black")
    return image


def pictures(draw: Callable[[random.Random], Image.Image]) -> Callable[[Path, int], tuple[list[Path], Path]]:
    """A set of questions of two templates, one with choices, about drawn pictures."""

    def make(folder: Path, seed: int) -> tuple[list[Path], Path]:
        rng = random.Random(seed)
        paths = []
        for split in ("bench", "pool"):
            (folder / split).mkdir(parents=True)
            rows: Rows = []
            for number in range(COUNT):
                draw(rng).save(folder / split / f"{number}.png", compress_level=1)
                rows.append(_question(f"{split}-{number}", f"{number}.png", rng))
            paths.append(_write(folder / split / "rows.jsonl", rows))
        return paths[:1], paths[1]

    return make


def _question(name: str, image: str, rng: random.Random) -> dict[str, Any]:
    row = {"schema": "problem/1", "id": name, "images": [image]}
    if rng.random() < 0.5:
        text = f"How many shapes are larger than {rng.randint(2, 30)} units?"
        return row | {"question": text, "answer": str(rng.randint(0, 6)), "answer_type": "number"}
    choices = rng.sample(["left", "right", "above", "below", "centre"], 4)
    text = f"Where is shape {rng.randint(1, 5)}?"
    return row | {"question": text, "answer": rng.choice("ABCD"), "answer_type": "choice", "choices": choices}


def words(folder: Path, seed: int) -> tuple[list[Path], Path]:
    """Word problems of four templates without pictures, their numbers and names drawn; no two are equal."""
    rng = random.Random(seed)
    seen: set[tuple[str, frozenset[str]]] = set()
    paths = []
    folder.mkdir(parents=True)
    for split in ("bench", "pool"):
        rows: Rows = []
        while len(rows) < COUNT:
            row = _word_problem(f"{split}-{len(rows)}", rng)
            key = row["question"], frozenset(row.get("choices", ()))
            if key not in seen:
                seen.add(key)
                rows.append(row)
        paths.append(_write(folder / f"{split}.jsonl", rows))
    return paths[:1], paths[1]


def _word_problem(name: str, rng: random.Random) -> dict[str, Any]:
    who = rng.choice(["Ana", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana"])
    what = rng.choice(["apples", "marbles", "stamps", "coins", "shells", "pencils"])
    a, b, c = (rng.randint(2, 60) for _ in range(3))
    row = {"schema": "problem/1", "id": name, "answer_type": "number"}
    match rng.randrange(4):
        case 0:
            text = f"{who} has {a} {what}, buys {b} more and gives {c} away. How many {what} does {who} have now?"
            return row | {"question": text, "answer": str(a + b - c)}
        case 1:
            text = f"What is {a} + {b} - {c}?"
            return row | {"question": text, "answer": str(a + b - c)}
        case 2:
            text = f"A box holds {a} {what}. {who} fills {b} boxes and has {c} {what} left over. How many are there?"
            return row | {"question": text, "answer": str(a * b + c)}
        case _:
            choices = [str(number) for number in rng.sample(range(100, 999), 4)]
            best = "ABCD"[choices.index(max(choices, key=int))]
            row |= {"answer_type": "choice", "choices": choices}
            return row | {"question": "Which of these numbers is the largest?", "answer": best}


def _write(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SETS = {"tiles": tiles, "photos": pictures(photo), "plots": pictures(plot), "words": words}


def measure(name: str, seed: int, per_kind: int) -> None:
    """Print the table of one set and seed."""
    with tempfile.TemporaryDirectory() as folder:
        benchmarks, pool = SETS[name](Path(folder) / "set", seed)
        limits, trial = Limits(), Trial()
        with LeakFinder(ImageRoot(), limits, ImageMatcher(limits)) as finder:
            finder.load(map(str, benchmarks))
            try_planted(finder, trial, per_kind=per_kind, seed=seed)
            hashes, started = PlainHash(finder), time.monotonic()
            for line in pool.read_bytes().splitlines():
                subject = subject_of(Side.of_problem(json_problem(line)), ImageRoot(), str(pool))
                leak = finder.find(subject)
                trial.add_clean(leak and leak.kind)
                hashes.add("clean", None, subject.images)
            seconds = time.monotonic() - started
            hashes.plant(finder, per_kind, seed)
        report = trial.report()
        for kind in PLANTS:
            one = report["kinds"][kind]
            if one["planted"]:
                show(name, seed, kind, one["planted"], one["found"], hashes)
        show(name, seed, "all", report["all"]["planted"], report["all"]["found"], hashes)
        show(name, seed, "clean", report["rest"]["rows"], report["rest"]["found"], hashes)
        print(f"  {COUNT / seconds:.0f} clean rows a second; alarms {report['rest']['by']}", flush=True)


def json_problem(line: bytes) -> Problem:
    """A row without its unknown fields."""
    return Problem(
        **{key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(line).items() if key != "schema"}
    )


class PlainHash:
    """What the hash of brightness alone, as it is commonly used, says of the same rows."""

    def __init__(self, finder: LeakFinder) -> None:
        rows = [finder.row(number) for number in range(finder.num_rows)]
        self._theirs = np.array([self._hash(row.images) for row in rows if row.images], np.uint64)
        self.counts: dict[str, list[int]] = {}

    def _hash(self, images: Any) -> Any:
        return sketch(images[0].open()).hashes[0, 0]

    def add(self, kind: str, own: int | None, images: Any) -> None:
        if not images or not len(self._theirs):
            return
        distances = np.bitwise_count(self._theirs ^ self._hash(images))
        nearest = int(distances.min())
        for name in {kind, "clean" if kind == "clean" else "all"}:
            counts = self.counts.setdefault(name, [0, 0, 0])
            for place, reach in enumerate((2, 6), 1):
                counts[place] += nearest <= reach
            counts[0] += 1

    def plant(self, finder: LeakFinder, per_kind: int, seed: int) -> None:
        for kind in PLANTS:
            rng, left = random.Random(f"{seed}/{kind}"), per_kind
            for number in rng.sample(range(finder.num_rows), finder.num_rows):
                subject = plant(finder.row(number), kind, rng) if left else None
                if subject is not None:
                    left -= 1
                    self.add(kind, number, subject.images)


def show(name: str, seed: int, kind: str, rows: int, found: int, hashes: PlainHash) -> None:
    """Print one line of the table."""
    low, high = wilson(found, rows)
    counts = hashes.counts.get(kind, [0, 0, 0])
    plain = [f"{count / counts[0]:8.1%}" if counts[0] else "       -" for count in counts[1:]]
    share = f"{found / rows:7.1%}  {low:6.1%} to {high:6.1%}"
    print(f"{name:7s} {seed:4d}  {kind:11s} {rows:6d} {found:6d} {share}  {plain[0]} {plain[1]}", flush=True)


def scale(count: int) -> None:
    """Time and memory of a benchmark of `count` rows, with and without pictures, as noise in memory."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.jsonl"
        with path.open("w") as file:
            for number in range(count):
                text = " ".join(f"w{rng.randrange(30_000)}x" for _ in range(40))
                row = {"schema": "problem/1", "id": f"b{number}", "question": text, "answer": "1"}
                file.write(json.dumps(row | {"answer_type": "number"}) + "\n")
        before, started = resident(), time.monotonic()
        with LeakFinder(ImageRoot(), Limits()) as finder:
            finder.load([str(path)])
            loaded = time.monotonic()
            for number in rng.sample(range(count), 2000):
                finder.find(subject_of(finder.row(number).side, ImageRoot(), None))
            asked = time.monotonic() - loaded
        print(f"words: {count} rows loaded in {loaded - started:.0f} s, {2000 / asked:.0f} rows searched a second")
        print(f"words: {resident() - before} MiB")
    before, started = resident(), time.monotonic()
    matcher, noise = ImageMatcher(Limits()), np.random.default_rng(0)
    images = [Image.fromarray(noise.integers(0, 256, (9, 9, 3), np.uint8)).resize((96, 96)) for _ in range(64)]
    for number in range(count):
        changed = images[number % 64].copy()
        changed.paste(
            tuple(noise.integers(0, 256, 3).tolist()), (number % 60, number % 50, number % 60 + 30, number % 50 + 30)
        )
        matcher.add(changed, 0)
    loaded = time.monotonic()
    for _ in range(100):
        matcher.search(Image.fromarray(noise.integers(0, 256, (9, 9, 3), np.uint8)).resize((96, 96)))
    asked = time.monotonic() - loaded
    print(f"pictures: {count} loaded in {loaded - started:.0f} s, {100 / asked:.0f} searched a second")
    print(f"pictures: {resident() - before} MiB")
    matcher.close()


def resident() -> int:
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--plants", type=int, default=200, help="leaks of each kind")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--scale", type=int, help="measure time and memory at this many benchmark rows instead")
    options = parser.parse_args()
    if options.scale:
        scale(options.scale)
        return
    print(*COLUMNS, sep="  ")
    for name in options.sets:
        for seed in options.seeds:
            measure(name, seed, options.plants)


if __name__ == "__main__":
    main()
