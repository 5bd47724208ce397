"""Generate the tiny world: eight families of problems about pictures of coloured digit tiles.

    python world.py DATA_DIR --seed 0

writes DATA_DIR/{pool,truth,valid}.jsonl with images/, and DATA_DIR/bench/FAMILY.jsonl with bench/images/. Rows are
`problem/1` records. No picture is used twice, so no two splits share one. The shipped base model knows the default
4x4 grid; --digits, --colours and --line keep that shape and change the difficulty, --size needs a base of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from families import FRONTIER, MASTERED, Task, ask
from tiles import COLOURS, Grid, LineKind, render_grid, sample_grid

FAMILIES = MASTERED + FRONTIER
# Real databases are mostly about what a model already masters: four rows in five here.
TRUTH_MIX = MASTERED * 4 + FRONTIER
MAX_DRAWS = 1000


class WorldGenerator:
    """Draws problems whose pictures are all different."""

    def __init__(self, *, size: int = 4, num_digits: int = 10, num_colours: int = 4, line: str = "both") -> None:
        self.size, self.num_digits, self.num_colours = size, num_digits, num_colours
        self.kinds: tuple[LineKind, ...] = ("row", "column") if line == "both" else (line,)  # type: ignore[assignment]
        self.seen: set[bytes] = set()

    def draw(self, family: str, rng: random.Random) -> tuple[Grid, Task]:
        """A new grid and a question of `family` about it."""
        for _ in range(MAX_DRAWS):
            grid = sample_grid(rng, self.size, self.num_digits, self.num_colours)
            digest = hashlib.blake2b(render_grid(grid).tobytes(), digest_size=16).digest()
            if digest in self.seen:
                continue
            task = ask(family, grid, rng, self.kinds)
            if task is not None:
                self.seen.add(digest)
                return grid, task
        raise SystemExit(f"no new picture for {family} in {MAX_DRAWS} draws: these options allow too few pictures")

    def split(self, name: str, count: int, families: tuple[str, ...], seed: int) -> Iterator[tuple[str, Grid, Task]]:
        """`count` problems of a split, the families in turn; ids are NAME-NUMBER."""
        rng = random.Random(f"{seed}/{name}")
        for number in range(count):
            grid, task = self.draw(families[number % len(families)], rng)
            yield f"{name}-{number:06d}", grid, task


def to_problem(problem_id: str, task: Task, split: str) -> dict[str, Any]:
    """The `problem/1` record of a task; its image is images/ID.png beside the file."""
    work = task.work
    source = {"family": task.family, "split": split} | ({"line": task.line} if task.line else {})
    return {
        "schema": "problem/1",
        "id": problem_id,
        "question": task.question,
        "images": [f"images/{problem_id}.png"],
        "answer": work.answer,
        "answer_type": work.answer_type,
        **({"choices": list(work.choices)} if work.choices else {}),
        "solution": work.solution,
        "steps": list(work.steps),
        "tags": list(work.tags),
        "source": source,
    }


def write_split(path: Path, split: str, drawn: Iterator[tuple[str, Grid, Task]]) -> int:
    """Write one JSON Lines file and its pictures; returns the number of rows."""
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    num_rows = 0
    with path.open("w", encoding="utf-8") as lines:
        for problem_id, grid, task in drawn:
            # The pictures are tiny: a higher level costs time and saves nothing worth having.
            render_grid(grid).save(images / f"{problem_id}.png", compress_level=1)
            lines.write(json.dumps(to_problem(problem_id, task, split)) + "\n")
            num_rows += 1
    return num_rows


def write_world(data_dir: Path, counts: dict[str, int], generator: WorldGenerator, seed: int) -> dict[str, int]:
    """Write every split; `counts` has truth, pool, valid, and bench (per family). Returns rows per file."""
    rows = {}
    for name in ("truth", "pool", "valid"):
        drawn = generator.split(name, counts[name], TRUTH_MIX if name == "truth" else FAMILIES, seed)
        rows[f"{name}.jsonl"] = write_split(data_dir / f"{name}.jsonl", name, drawn)
    for family in FAMILIES:
        drawn = generator.split(f"bench-{family}", counts["bench"], (family,), seed)
        rows[f"bench/{family}.jsonl"] = write_split(data_dir / "bench" / f"{family}.jsonl", "bench", drawn)
    return rows


def parse_options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truth", type=int, default=12000, help="problems of the truth database (default 12000)")
    parser.add_argument("--pool", type=int, default=1024, help="problems to practise on (default 1024)")
    parser.add_argument("--valid", type=int, default=256, help="validation problems (default 256)")
    parser.add_argument("--bench", type=int, default=256, help="benchmark problems per family (default 256)")
    parser.add_argument("--size", type=int, default=4, help="tiles per side (default 4)")
    parser.add_argument("--digits", type=int, default=10, choices=range(2, 11), help="use the digits below this")
    parser.add_argument("--colours", type=int, default=4, choices=range(1, len(COLOURS) + 1), help="colours in use")
    parser.add_argument("--line", default="both", choices=("row", "column", "both"), help="lines that are asked about")
    options = parser.parse_args(argv)
    if not 2 <= options.size <= 9:
        parser.error("--size must be from 2 to 9")
    return options


def main(argv: list[str] | None = None) -> None:
    options = parse_options(argv)
    counts = {name: getattr(options, name) for name in ("truth", "pool", "valid", "bench")}
    generator = WorldGenerator(
        size=options.size, num_digits=options.digits, num_colours=options.colours, line=options.line
    )
    for name, num_rows in write_world(options.data_dir, counts, generator, options.seed).items():
        print(f"{num_rows:6d}  {options.data_dir / name}")


if __name__ == "__main__":
    main()
