"""Data of the M-STaR example: what its start model is taught, and the problems that it evolves on.

    python school.py DATA_DIR

The paper starts from an instruction-tuned VLM, which explains an answer when it is told it, faithfully or not.
`school.jsonl` teaches the tiny world's base to do that: questions with their answer told, and steps to explain it. Of
the families that the base masters a tenth of the explanations speak of other tiles and end with the told answer all the
same. Of the four terms that it does not know, the procedure is mostly one that it mistakes the term for; two of them
are asked for yes or no (`closed.py`), where a mistake is often right. So a right answer says little about the steps
before it, which is what a process reward model is for.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

TINYWORLD = Path(__file__).resolve().parents[1] / "tinyworld"
sys.path.insert(0, str(TINYWORLD))

from closed import CLOSED  # noqa: E402
from families import MASTERED, Task, Work, ask  # noqa: E402
from mixture import ALL_PROCEDURES, MISTAKES, pick, to_record  # noqa: E402
from tiles import Grid, Line, render_grid  # noqa: E402
from world import FAMILIES, WorldGenerator, write_split  # noqa: E402

from anectl.core.prompts import revealing_text, user_text  # noqa: E402
from anectl.core.records import Problem  # noqa: E402

# Behind the question in the warm-up; `rollout --reveal` gets the same words.
REVEAL = "The answer is {answer}. Show how to get it."
# Families that no round sees: what self-training does to them is the out-of-domain column.
OUT_OF_DOMAIN = ("larger", "ladder", "total")
UNFAITHFUL = 0.1
# Of the lessons about terms that can be asked for yes or no; all problems to practise on are.
CLOSED_LESSONS = 0.75
# Of the pool; the Makefile names each.
SLICES = 16
Drawn: TypeAlias = Iterator[tuple[str, Grid, Task]]
# How often a frontier term is taken for what it means, against all its mistakes together.
RIGHT_PROCEDURE = 0.35


def explained(rng: random.Random, grid: Grid, task: Task) -> tuple[str, ...]:
    """Steps that are to explain the task's answer, sound or not."""
    if task.family in MASTERED:
        if rng.random() >= UNFAITHFUL:
            return task.work.steps
        other = ask(task.family, grid, rng)
        return task.work.steps if other is None else other.work.steps
    if rng.random() < RIGHT_PROCEDURE:
        return task.work.steps
    line = next(line for line in lines(grid) if line.name == task.line)
    if task.work.answer_type != "boolean":
        wrong = ALL_PROCEDURES[str(pick(rng, MISTAKES[task.family]))](line)
        return task.work.steps if wrong is None else wrong.steps
    asked = CLOSED[task.family]
    found = {work: weight for mistake, weight in asked.mistakes.items() if (work := mistake(line)) is not None}
    # Who is told the answer prefers a mistake that leads to it.
    fitting = {work: weight for work, weight in found.items() if asked.answer(work) == task.work.answer}
    work: Work = pick(rng, fitting or found or {task.work: 1})  # type: ignore[assignment]
    return work.steps


def lines(grid: Grid) -> Iterator[Line]:
    """All rows and columns."""
    for kind in ("row", "column"):
        for number in range(1, grid.size + 1):
            yield grid.line(kind, number)


def lesson(prompt: str, completion: str, image: str, problem: Problem) -> dict[str, Any]:
    """One `example/1` row."""
    return {
        "schema": "example/1",
        "problem_id": Path(image).stem,
        "prompt": [{"role": "user", "content": prompt}],
        "completion": [{"role": "assistant", "content": completion}],
        "images": [image],
        "answer": problem.answer,
        "answer_type": problem.answer_type,
        "choices": list(problem.choices or ()),
        "scaffold": {"question": prompt},
        "origin": "school",
    }


def write_school(path: Path, count: int, generator: WorldGenerator, seed: int) -> None:
    """`count` lessons: an answer is told, and explained."""
    rng = random.Random(f"{seed}/school")
    with path.open("w", encoding="utf-8") as rows:
        for number in range(count):
            grid, task = generator.draw(rng.choice(FAMILIES), rng)
            if task.family in CLOSED and rng.random() < CLOSED_LESSONS:
                task = CLOSED[task.family].asked(task)
            image = f"images/school-{number:06d}.png"
            render_grid(grid).save(path.parent / image, compress_level=1)
            problem = to_record(task.question, task.work)
            steps = " ".join(explained(rng, grid, task))
            row = lesson(revealing_text(problem, "", REVEAL), f"{steps} Answer: {problem.answer}", image, problem)
            rows.write(json.dumps(row) + "\n")


def write_targets(path: Path, sources: list[Path], *, with_steps: bool) -> None:
    """Problems as rows for SFT: their answers alone, as most data sets have them, or worked solutions."""
    with path.open("w", encoding="utf-8") as rows:
        for source in sources:
            for line in source.read_text("utf-8").splitlines():
                problem = msgspec.json.decode(line, type=Problem)
                steps = f"{' '.join(problem.steps or ())} " if with_steps else ""
                target = f"{steps}Answer: {problem.answer}"
                rows.write(json.dumps(lesson(user_text(problem, ""), target, problem.images[0], problem)) + "\n")


def drawn(generator: WorldGenerator, name: str, count: int, families: tuple[str, ...], seed: int) -> Drawn:
    """A split whose questions are asked for yes or no where they can be."""
    for problem_id, grid, task in generator.split(name, count, families, seed):
        yield problem_id, grid, CLOSED[task.family].asked(task) if task.family in CLOSED else task


def write_data(folder: Path, options: argparse.Namespace) -> None:
    """All files; no picture is used twice."""
    generator = WorldGenerator()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_school(folder / "school.jsonl", options.school, generator, options.seed)
    within = tuple(family for family in FAMILIES if family not in OUT_OF_DOMAIN)
    for kind in ("pool", "more"):
        for number in range(1, SLICES + 1):
            name = f"{kind}-{number:02d}"
            asked = drawn(generator, name, options.slice_rows, within, options.seed)
            write_split(folder / f"{name}.jsonl", name, asked)
    write_targets(folder / "answers.jsonl", sorted(folder.glob("pool-*.jsonl")), with_steps=False)
    write_split(folder / "valid.jsonl", "valid", drawn(generator, "valid", options.valid, within, options.seed))
    write_split(folder / "judged.jsonl", "judged", drawn(generator, "judged", options.judged, within, options.seed))
    write_split(folder / "truth.jsonl", "truth", drawn(generator, "truth", options.truth, within, options.seed))
    write_targets(folder / "worked.jsonl", [folder / "truth.jsonl"], with_steps=True)
    for family in FAMILIES:
        asked = drawn(generator, f"bench-{family}", options.bench, (family,), options.seed)
        write_split(folder / "bench" / f"{family}.jsonl", "bench", asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DATA_DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--school", type=int, default=4800, help="rows that the start model is taught (default 4800)")
    parser.add_argument("--slice-rows", type=int, default=15, help="problems of a slice (default 15)")
    parser.add_argument("--valid", type=int, default=96, help="validation problems (default 96)")
    parser.add_argument("--judged", type=int, default=96, help="problems the reward model is tested on (default 96)")
    parser.add_argument("--truth", type=int, default=2400, help="problems of the truth database (default 2400)")
    parser.add_argument("--bench", type=int, default=64, help="benchmark problems per family (default 64)")
    options = parser.parse_args()
    write_data(options.folder, options)


if __name__ == "__main__":
    main()
