"""backtrack on tiny-world failures with planted first errors: is the step found, and with how many continuations?

Usage: python benchmarks/bench_backtrack.py [--model DIR] [--per-family 30] [--seeds 0 1] [--kinds ...]
           [--reference 32] [--keep DIR]

The model is one that solves all eight families: examples/tinyworld/runs/seed-0/ane, which `make demo` in
examples/tinyworld makes (or `make runs/seed-0/ane/result.json` alone). For each seed, errors are planted
(`examples/tinyworld/planted.py`), searched with the default settings, and every step of them is scored with as many
continuations (`--all-steps`), which is what the cost is compared with.

`failures` are plants that the policy carries on itself, to a wrong end, in problems it solves in at least half of 8
other completions; the first lines say how many of the plants that were tried are such. Of `chains` the generator
writes the steps behind the error too, whatever the policy would make of it: it sees the picture and may take a
misreading back, or it may be unable to solve the problem at all. `slips` are either kind with a wrong value that the
chain takes back before the one that stays.

32 other continuations of every step, and 32 completions of every problem, say which errors are decisive: success is
likely (over the threshold) before the planted step and unlikely behind it. The tables show all plants and the decisive
ones, and how often the search agrees with what those 32 say. Intervals are Wilson's, 95%.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anectl.core.backtracking import Rule
from anectl.core.metrics import wilson

ROOT = Path(__file__).resolve().parents[1]
TINYWORLD = ROOT / "examples" / "tinyworld"
REFERENCE_SEED = 1000
RULE = Rule()
KINDS = ("failures", "failures-slips", "chains", "chains-slips")


@dataclass(frozen=True)
class Case:
    """One planted failure: where it was planted, where the search and full scoring put it, and what they took.

    `start` and `values` are the reference rates before the first step and behind each; `start` is null without any.
    """

    family: str
    planted: int
    found: int | None
    scored: int | None
    num_drawn: int
    num_every: int
    start: float | None
    values: tuple[float, ...]

    @property
    def is_decisive(self) -> bool:
        if self.start is None:
            return False
        before = self.values[self.planted - 1] if self.planted else self.start
        return before >= RULE.threshold > self.values[self.planted]

    @property
    def reference(self) -> int | None:
        """The first step behind the last likely one by the reference; None where success is never likely."""
        if self.start is None:
            return None
        likely = [step for step, value in enumerate(self.values) if value >= RULE.threshold]
        if not likely and self.start < RULE.threshold:
            return None
        return max(likely, default=-1) + 1


def anectl(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "anectl", *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def measure(folder: Path, model: Path, per_family: int, seed: int, kind: str, reference: int) -> list[Case]:
    """Plant errors, search them, score every step of them, and find the reference rates from `reference` draws."""
    planting = [sys.executable, TINYWORLD / "planted.py", folder, "--per-family", per_family, "--seed", seed]
    planting += ["--model", model] if kind.startswith("failures") else []
    planting += ["--slips"] if kind.endswith("slips") else []
    subprocess.run([*map(str, planting)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    source = folder / "planted.jsonl"
    problems = folder / "problems.jsonl"
    problems.write_text("".join(json.dumps(row["problem"]) + "\n" for row in read(source)))
    common = ("--model", model, "--batch-size", 32)
    anectl("backtrack", source, *common, "--seed", seed, "-o", folder / "found.jsonl")
    anectl("backtrack", source, *common, "--seed", seed, "--all-steps", "-o", folder / "scored.jsonl")
    if not reference:
        files = [read(folder / f"{name}.jsonl") for name in ("found", "scored", "scored")]
        return [case_of(*rows, None) for rows in zip(*files, strict=True)]
    other = ("-n", reference, "--seed", REFERENCE_SEED)
    anectl("backtrack", source, *common, *other, "--all-steps", "-o", folder / "reference.jsonl")
    drawing = ("--instruction", "", "--max-tokens", 96, "-o", folder / "rollouts.jsonl")
    anectl("rollout", problems, *common, *other, *drawing)
    files = [read(folder / f"{name}.jsonl") for name in ("found", "scored", "reference", "rollouts")]
    return [case_of(*rows) for rows in zip(*files, strict=True)]


def print_fates(folders: Iterable[Path]) -> None:
    """How many of the plants that were tried the policy failed of."""
    fates: dict[str, Counter[str]] = {}
    for folder in folders:
        for family, counts in json.loads((folder / "candidates.json").read_text()).items():
            fates.setdefault(family, Counter()).update(counts)
    total = sum(fates.values(), Counter[str]())
    for family, counts in {**fates, "all": total}.items():
        others = ", ".join(f"{number} {name}" for name, number in counts.most_common() if name != "kept")
        print(f"  {family:20} {counts['kept']} of {counts.total()} tried are failures; {others}")


def case_of(found: Any, scored: Any, reference: Any, rollouts: Any) -> Case:
    origin = found["problem"]["source"]
    values = [value["correct"] / max(value["judged"], 1) for value in reference["completions"][-1]["values"]]
    verdicts = [one["correct"] is True for one in rollouts["completions"]] if rollouts else None
    return Case(
        family=origin["family"],
        planted=origin["planted"]["step"],
        found=found["first_errors"][0]["step"],
        scored=scored["first_errors"][0]["step"],
        num_drawn=found["first_errors"][0]["num_continuations"],
        num_every=RULE.most * (len(values) - 1),
        start=None if verdicts is None else sum(verdicts) / len(verdicts),
        values=tuple(values),
    )


def is_near(step: int | None, truth: int | None, distance: int) -> bool:
    return step == truth if step is None or truth is None else abs(step - truth) <= distance


def share(cases: Sequence[Case], test: Callable[[Case], bool]) -> str:
    count = sum(map(test, cases))
    low, high = wilson(count, len(cases))
    return f"{count / len(cases):5.1%} [{low:5.1%}, {high:6.1%}]"


def line(name: str, cases: Sequence[Case]) -> None:
    if not cases:
        print(f"{name:22} none")
        return
    cost = sum(case.num_drawn for case in cases) / sum(case.num_every for case in cases)
    columns = (
        share(cases, lambda case: is_near(case.found, case.planted, 0)),
        share(cases, lambda case: is_near(case.found, case.planted, 1)),
        f"{cost:5.1%}",
        share(cases, lambda case: is_near(case.scored, case.planted, 0)),
        "" if cases[0].start is None else share(cases, lambda case: is_near(case.found, case.reference, 0)),
    )
    print(f"{name:22} {len(cases):4d}  " + "  ".join(columns))


def table(title: str, cases: Sequence[Case], seeds: Iterable[int]) -> None:
    print(f"\n{title} (seeds {', '.join(map(str, seeds))})")
    heads = ("exact", "within one step", "cost", "exact by every step", "as the reference")
    widths = (23, 23, 5, 23, 23)
    print(" " * 22 + "    n  " + "  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)))
    decisive = [case for case in cases if case.is_decisive]
    if cases[0].start is not None:
        line("decisive errors", decisive)
        for family in dict.fromkeys(case.family for case in cases):
            line(f"  {family}", [case for case in decisive if case.family == family])
    line("all planted errors", cases)
    for family in dict.fromkeys(case.family for case in cases):
        line(f"  {family}", [case for case in cases if case.family == family])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=TINYWORLD / "runs" / "seed-0" / "ane")
    parser.add_argument("--per-family", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=KINDS)
    parser.add_argument("--reference", type=int, default=32, help="draws of the reference; 0 for none, which is quick")
    parser.add_argument("--keep", type=Path, help="folder for the files; default a temporary one")
    options = parser.parse_args()
    if not options.model.is_dir():
        parser.error(f"no model at {options.model}: run `make runs/seed-0/ane/result.json` in examples/tinyworld")
    with tempfile.TemporaryDirectory() as temporary:
        for kind in options.kinds:
            folders = {seed: (options.keep or Path(temporary)) / f"{seed}-{kind}" for seed in options.seeds}
            cases = [
                case
                for seed, folder in folders.items()
                for case in measure(folder, options.model, options.per_family, seed, kind, options.reference)
            ]
            table(kind, cases, options.seeds)
            if kind.startswith("failures"):
                print_fates(folders.values())


if __name__ == "__main__":
    main()
