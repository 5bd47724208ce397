"""Failures of the tiny world whose first wrong step is known, because it was planted.

    python planted.py OUT_DIR --per-family 30 --seed 0
    python planted.py OUT_DIR --per-family 30 --seed 0 --model runs/seed-0/ane

writes OUT_DIR/planted.jsonl (`frontier/1` rows, the failing completion last) with images/. A completion begins as a
worked chain in the style the base writes; at one step, any from the first to the answer, a wrong value stands that
makes the answer wrong when it is carried on. `problem.source.planted` says the step. With `slipped`, an earlier step
shows a wrong value too, but the steps behind it go on from the right one: the chain has taken that error back.

Without --model the chain itself writes the steps behind the error, whatever a model would make of it: it may look at
the picture again and come out right, or it may fail the problem anyway.

With --model the plants are failures of that policy, which the error caused. It goes on behind the wrong step, once, at
temperature 1, as it writes all its completions, and the plant is kept
- where that completion is wrong, as one that `rollout` calls a failure is, and
- where at least half of 8 completions that the policy draws of the problem by itself are right; those come first in
  the row, as `rollout` leaves them there.
OUT_DIR/candidates.json says of each family how many were planted and what became of them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from chains import chain_of, worked
from tiles import Grid, render_grid
from world import FAMILIES, WorldGenerator, to_problem

POLICY = "planted"
MAX_DRAWS = 200
# Chains long enough for an error that is taken back before the one that stays.
SLIPPING = ("count", "span", "total", "champion")
# Plants that a policy goes on from at a time, and how many are tried for each that is wanted.
BLOCK = 64
MOST_TRIED = 6


@dataclass(frozen=True)
class Plant:
    """A problem, its picture, a chain with an error, and where the error is."""

    grid: Grid
    problem: dict[str, Any]
    steps: list[str]
    place: dict[str, int]

    @property
    def start(self) -> str:
        """The chain up to the end of the wrong step."""
        return " ".join(self.steps[: self.place["step"] + 1])


def plant(family: str, generator: WorldGenerator, rng: random.Random, slips: bool) -> Plant | None:
    """None where this problem's error changes no answer."""
    grid, task = generator.draw(family, rng)
    problem = to_problem("-", task, "planted")
    choices = " ".join(problem.get("choices", ()))
    asked = choices or task.question
    right = worked(chain_of(family, grid, asked), rng, None)
    assert right[:-1] == list(task.work.steps), (right, task.work.steps)
    wrong = rng.randrange(2, len(right)) if slips else rng.randrange(len(right))
    slipped = rng.randrange(wrong - 1) if slips else None
    for _ in range(MAX_DRAWS):
        steps = worked(chain_of(family, grid, asked), rng, wrong, slipped)
        if steps[-1] != right[-1]:
            return Plant(grid, problem, steps, {"step": wrong} | ({} if slipped is None else {"slipped": slipped}))
    return None


def to_row(problem: dict[str, Any], steps: list[str]) -> dict[str, Any]:
    completion = {"text": " ".join(steps), "finish_reason": "stop", "correct": False, "reason": "planted"}
    return {
        "schema": "frontier/1",
        "problem": problem,
        "policy": POLICY,
        "sampling": {"n": 1, "temperature": 1.0, "max_tokens": 96, "instruction": ""},
        "completions": [completion],
        "zone": "learnable",
        "posterior": {"a": 0.5, "b": 1.5, "low": 0.0, "high": 0.85, "confidence": 0.5},
        "failures": [0],
    }


def planted(families: list[str], rng: random.Random, folder: Path, *, slips: bool) -> Iterator[Plant]:
    """Plants of these families in turn, without end; their pictures are written."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    generator = WorldGenerator()
    number = 0
    while True:
        found = plant(families[number % len(families)], generator, rng, slips)
        if found is None:
            continue
        name = f"planted-{number:05d}"
        found.problem.update({"id": name, "images": [f"images/{name}.png"]})
        found.problem["source"] |= {"planted": found.place}
        render_grid(found.grid).save(folder / "images" / f"{name}.png", compress_level=1)
        yield found
        number += 1


def failures_of(model: Path, plants: Iterator[Plant], wanted: Counter[str], seed: int, folder: Path) -> list[bytes]:
    """Plants that are failures of a policy, so many of each family, or fewer where most plants are none."""
    from carried import Policy

    from anectl.core.jsonl import encode

    policy = Policy(model, seed)
    fates: dict[str, Counter[str]] = {family: Counter() for family in wanted}
    lines = []
    most = MOST_TRIED * wanted.total()
    for _ in range(0, most, BLOCK):
        block = list(islice(plants, BLOCK))
        found = policy.carry_on([one.problem for one in block], [one.start for one in block], folder)
        for row, fate in found:
            family = row.problem.source["family"]
            fates[family][fate] += 1
            if fate == "kept" and wanted[family]:
                wanted[family] -= 1
                lines.append(encode(row))
        if not wanted.total():
            break
    (folder / "candidates.json").write_text(json.dumps(fates, indent=2) + "\n", encoding="utf-8")
    return lines


def write_planted(folder: Path, per_family: int, seed: int, *, slips: bool, model: Path | None = None) -> int:
    """Write the rows of every family (with `slips` of those whose chains are long enough)."""
    families = [family for family in FAMILIES if not slips or family in SLIPPING]
    plants = planted(families, random.Random(f"{seed}/planted"), folder, slips=slips)
    if model is None:
        few = islice(plants, per_family * len(families))
        lines = [json.dumps(to_row(one.problem, one.steps)).encode() + b"\n" for one in few]
    else:
        lines = failures_of(model, plants, Counter(dict.fromkeys(families, per_family)), seed, folder)
    (folder / "planted.jsonl").write_bytes(b"".join(lines))
    return len(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--per-family", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="plant failures of this policy")
    parser.add_argument(
        "--slips", action="store_true", help="plant an error that is taken back before the one that stays"
    )
    options = parser.parse_args(argv)
    num_rows = write_planted(options.folder, options.per_family, options.seed, slips=options.slips, model=options.model)
    print(num_rows, "rows")


if __name__ == "__main__":
    main()
