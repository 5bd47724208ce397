"""sft and strip-rl against TRL's own trainers run plainly, on the tiny world's base: time of a step and peak memory.

Usage: python benchmarks/bench_training.py [--pairs 4] [--only sft|strip-rl]

The plain side is written as TRL's documentation has it: `SFTTrainer` or `GRPOTrainer` on conversational rows that hold
their decoded images, with the settings that anectl's run came to, the vision tower frozen as there, and for the reward
a comparison of texts. Each run is a process of its own on one thread; the two sides take turns. Both train on the same
rows in the same order: sft's losses must be equal, and strip-rl's rows are bare, its prompts noted and given to the
plain side step by step, its completions all of the same length. A step lasts from the end of the one before, so it has
its rows, images, logging and, for strip-rl, drawing and grading in it. The first steps are not counted, nor are start
and end. The peak is of the whole process to the end of the last step.

It makes its own data with examples/tinyworld/world.py.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

WORLD = Path(__file__).resolve().parents[1] / "examples/tinyworld"
BASE = WORLD / "base"
NUM_ROWS = 512
COMPLETION = 32
STEPS = {"sft": 40, "strip-rl": 12}
WARM = {"sft": 10, "strip-rl": 4}
OPTIONS: dict[str, list[object]] = {
    "sft": ["--batch-size", 16, "--max-steps", STEPS["sft"]],
    "strip-rl": [
        *("--batch-size", 8, "--num-generations", 8, "--max-steps", STEPS["strip-rl"], "--max-tokens", COMPLETION),
        *("--trl", f"generation_kwargs={{min_new_tokens: {COMPLETION}}}"),
    ],
}
KINDS = {"sft": "SFT", "strip-rl": "GRPO"}
FROZEN = ("vision_model", "connector")
# Where the run is; what anectl needs for rows of its own making; its ban of image tokens.
NOT_SHARED = ("output_dir", "logging_dir", "run_name", "remove_unused_columns", "generation_kwargs")


def make_data(folder: Path) -> None:
    """Bare training rows of the tiny world: steps and answer as the target."""
    program = [sys.executable, WORLD / "world.py", folder, "--seed", 3, "--pool", NUM_ROWS]
    program += ["--truth", 1, "--valid", 1, "--bench", 1]
    subprocess.run([str(part) for part in program], check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "pool.jsonl").read_text().splitlines()[:NUM_ROWS]
    (folder / "train.jsonl").write_text("".join(json.dumps(example(json.loads(line))) + "\n" for line in lines))


def example(problem: dict[str, Any]) -> dict[str, Any]:
    """A row of anectl; the plain side reads the same file."""
    choices = "".join(f" ({letter}) {text}" for letter, text in zip("ABCD", problem.get("choices", ()), strict=False))
    target = f"{' '.join(problem['steps'])} \\boxed{{{problem['answer']}}}"
    kept = {name: problem[name] for name in ("images", "answer", "answer_type", "choices") if name in problem}
    return {
        "schema": "example/1",
        "problem_id": problem["id"],
        "prompt": [{"role": "user", "content": problem["question"] + choices}],
        "completion": [{"role": "assistant", "content": target}],
        "scaffold": {"question": problem["question"] + choices},
        "origin": "frontier/raw",
        **kept,
    }


def clock(facts: Path, kind: str) -> None:
    """Have every trainer of this process note the time of each step, the losses, the peak and its own settings."""
    import dataclasses

    from transformers import TrainerCallback, trainer

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.ends: list[tuple[float, float]] = []
            self.losses: list[float] = []

        def on_step_end(self, *given: Any, **rest: Any) -> None:
            self.ends.append((time.perf_counter(), time.process_time()))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            if "loss" in logs:
                self.losses.append(float(logs["loss"]))

        def on_train_end(self, args: Any, *given: Any, **rest: Any) -> None:
            plain = type(args)(output_dir=args.output_dir, use_cpu=True, bf16=False)
            names = [field.name for field in dataclasses.fields(args) if field.init and field.name not in NOT_SHARED]
            chosen = {name: getattr(args, name) for name in names if getattr(args, name) != getattr(plain, name)}
            chosen |= {"use_cpu": True, "bf16": False}
            found = {"ends": self.ends[WARM[kind] - 1 :], "losses": self.losses, "settings": chosen}
            found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            facts.write_text(json.dumps(found, default=str))

    trainer.DEFAULT_CALLBACKS.append(Clock)


def run_anectl(kind: str, folder: Path) -> None:
    """The command, through its command line; strip-rl's choice of rows is noted."""
    from anectl.cli import app

    if kind == "strip-rl":
        from anectl.engines.trl_strip import StripTrainer

        chosen, choose = [], StripTrainer.rows_of_step

        def noting(self: Any, num_groups: int) -> Any:
            rows = choose(self, num_groups)
            chosen.append([row["item"] for row in rows][:: self.args.num_generations])
            (folder / "order.json").write_text(json.dumps(chosen))
            return rows

        StripTrainer.rows_of_step = noting  # type: ignore[method-assign]
    command = [kind, folder / "train.jsonl", "--model", BASE, "-o", folder / "out", "--overwrite", *OPTIONS[kind]]
    app([str(part) for part in command], standalone_mode=False)


def plain_model() -> tuple[Any, Any]:
    """The base with its vision tower frozen, and its processor."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(BASE, dtype="float32")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in FROZEN))
    return model, AutoProcessor.from_pretrained(BASE, padding_side="left")


def plain_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows as conversations that hold their images."""
    from PIL import Image

    rows = []
    for line in (folder / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        images = [Image.open(folder / name).convert("RGB") for name in row["images"]]
        rows.append({"images": images, **{name: row[name] for name in ("prompt", "completion", "answer")}})
    return rows


def run_plain_sft(folder: Path, settings: dict[str, Any]) -> None:
    """TRL's SFTTrainer."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, processor = plain_model()
    rows = [{name: row[name] for name in ("images", "prompt", "completion")} for row in plain_rows(folder)]
    config = SFTConfig(output_dir=str(folder / "plain"), **settings)
    SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=processor).train()


def run_plain_grpo(folder: Path, settings: dict[str, Any]) -> None:
    """TRL's GRPOTrainer on the prompts that strip-rl chose, in their order."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def says_answer(completions: list[Any], answer: list[str], **rest: Any) -> list[float]:
        texts = [turn[0]["content"] for turn in completions]
        return [
            0.9 * (f"\\boxed{{{truth}}}" in text) + 0.1 * ("\\boxed" in text)
            for text, truth in zip(texts, answer, strict=True)
        ]

    model, processor = plain_model()
    rows = plain_rows(folder)
    order = [number for step in json.loads((folder / "order.json").read_text()) for number in step]
    chosen = [{name: rows[number][name] for name in ("images", "prompt", "answer")} for number in order]
    fixed = {"generation_kwargs": {"min_new_tokens": COMPLETION}, "shuffle_dataset": False}
    config = GRPOConfig(output_dir=str(folder / "plain"), **settings | fixed)
    GRPOTrainer(
        model=model,
        args=config,
        reward_funcs=says_answer,
        train_dataset=Dataset.from_list(chosen),
        processing_class=processor,
    ).train()


def measure(kind: str, side: str, folder: Path) -> dict[str, Any]:
    """One run in a process of its own: seconds of a step by the clock and of the processor, peak, losses, settings."""
    command = [sys.executable, __file__, "--side", side, "--only", kind, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{side} {kind} failed:\n{done.stderr[-3000:]}")
    facts: dict[str, Any] = json.loads((folder / f"{side}-{kind}.json").read_text())
    for place, name in enumerate(("clock", "processor")):
        times = [end[place] for end in facts["ends"]]
        facts[name] = statistics.median(after - before for before, after in pairwise(times))
    return facts


def compare(kind: str, pairs: int, folder: Path) -> None:
    """Run both in turn, each first in every other pair, and print the ratios."""
    measure(kind, "anectl", folder)  # fills the page cache, and leaves settings and order for the plain side
    runs = []
    for number in range(pairs):
        sides = ("anectl", "plain") if number % 2 else ("plain", "anectl")
        run = {side: measure(kind, side, folder) for side in sides}
        if kind == "sft":
            gaps = [abs(a - b) for a, b in zip(run["anectl"]["losses"], run["plain"]["losses"], strict=True)]
            if max(gaps) > 1e-4:
                raise SystemExit(f"the two do not do the same work: losses differ by {max(gaps):.2g}")
        runs.append(run)
    for name, unit, scale in (("clock", "ms", 1e3), ("processor", "ms", 1e3), ("peak", "MiB", 2**-20)):
        ratios = sorted(run["anectl"][name] / run["plain"][name] for run in runs)
        ours, theirs = (statistics.median(run[side][name] for run in runs) * scale for side in ("anectl", "plain"))
        print(
            f"{kind}, {name}: {KINDS[kind]}Trainer {theirs:.1f} {unit}, anectl {ours:.1f} {unit}, "
            f"ratio {statistics.median(ratios):.3f} (pairs {ratios[0]:.3f} to {ratios[-1]:.3f})",
            flush=True,
        )


def main() -> None:
    """Print the ratios; or with --side, be one of the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--only", choices=list(KINDS))
    parser.add_argument("--side", choices=("anectl", "plain"), help="what a process of its own is started with")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side is None:
        with tempfile.TemporaryDirectory() as name:
            make_data(Path(name))
            for kind in [options.only] if options.only else KINDS:
                compare(kind, options.pairs, Path(name))
        return
    clock(options.folder / f"{options.side}-{options.only}.json", options.only)
    if options.side == "anectl":
        run_anectl(options.only, options.folder)
        return
    settings = json.loads((options.folder / f"anectl-{options.only}.json").read_text())["settings"]
    (run_plain_sft if options.only == "sft" else run_plain_grpo)(options.folder, settings)


if __name__ == "__main__":
    main()
