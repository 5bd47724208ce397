"""The arms of the ablation and of the best configuration: what they are called, and where their files lie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

ARMS = {
    "base": "base",
    "raw": "SFT, raw solutions",
    "raw-rl": "SFT, raw solutions; strip-rl",
    "scaffold": "SFT, worked steps, scaffolds",
    "scaffold-rl": "SFT, worked steps, scaffolds; strip-rl",
    "rewrite": "SFT, rewrites, scaffolds",
    "rewrite-rl": "SFT, rewrites, scaffolds; strip-rl",
    "cosine": "strip-rl, all hinted: cosine",
    "linear": "strip-rl, all hinted: linear",
    "exponential": "strip-rl, all hinted: exponential",
    "staged": "strip-rl, all hinted: staged",
    "binomial": "strip-rl, all hinted: binomial",
    "never": "strip-rl, hint never removed",
    "grpo": "base; GRPO",
    "base-strip": "base; strip-rl, cosine",
    "base-never": "base; strip-rl, hint never removed",
    "ane": "the demo's loop",
    "best": "SFT, worked steps, more rows, two rounds",
}
# The pages: which arms they have. Other machines give other last digits, so each is made in one run.
PAGES = {
    "ablation": tuple(arm for arm in ARMS if arm not in ("ane", "best")),
    "best": ("base", "scaffold", "ane", "best"),
}
# What is held against what: the first is the baseline.
PAIRS = (
    ("raw", "scaffold"),
    ("scaffold", "rewrite"),
    ("raw", "raw-rl"),
    ("scaffold", "scaffold-rl"),
    ("rewrite", "rewrite-rl"),
    *(("rewrite-rl", other) for other in ("cosine", "linear", "exponential", "staged", "binomial", "never")),
    ("base", "grpo"),
    *(("grpo", other) for other in ("base-strip", "base-never")),
    ("scaffold", "best"),
    ("ane", "best"),
)
# The table of pass@8, and one of more problems of the families that the base masters: titles, arms.
PASSES = {
    "pass8": ("pass@8", ("base", "grpo", "best")),
    "large8": ("pass@8, 8,192 other problems a family", ("base", "best")),
}
SCHEDULES = ("cosine", "linear", "exponential", "staged", "binomial", "never")


def folder(run: Path, arm: str) -> Path:
    """Where the files of an arm are; those of the base are shared by all seeds, those of the demo lie beside."""
    return {"base": run.parent, "ane": run}.get(arm, run / "ablation")


def done(runs: Sequence[Path], arm: str, kind: str) -> list[Path]:
    """The runs that have the arm's scores of that kind: scores, hinted, pass8 or large8."""
    return [run for run in runs if (folder(run, arm) / f"{arm}.{kind}.jsonl").exists()]


def training(run: Path, arm: str) -> list[Row]:
    """The results of an arm's training, with the manifests: SFT first, then strip-rl."""
    names = [] if arm == "base" else [arm]
    if arm.endswith("-rl"):
        names = [f"{arm.removesuffix('-rl')}-start", arm]
    elif arm in SCHEDULES:
        names = ["rewrite-start", arm]
    elif arm == "best":
        names = ["best-alone", arm]
    elif arm == "ane":
        names = ["ane-sft", arm]
    cards = []
    for name in names:
        where = folder(run, arm)
        manifest = json.loads((where / f"{name}.manifest.json").read_text("utf8"))
        result = json.loads((where / name / "result.json").read_text("utf8"))
        card = {
            key: manifest[key] for key in ("command", "argv", "options", "versions", "git_commit", "data", "inputs")
        }
        cards.append({**card, "result": result})
    return cards


def pass_tables(arms: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """Kind, title and arms of the tables of pass@8 in which the base does not stand alone."""
    tables = [(kind, head, [arm for arm in sampled if arm in arms]) for kind, (head, sampled) in PASSES.items()]
    return [table for table in tables if len(table[2]) > 1]


def pass_files(runs: Sequence[Path], kind: str, arms: Sequence[str]) -> dict[str, list[Path]]:
    """The files of samples by title of the arm; the base has one for all runs."""
    return {
        ARMS[arm]: sorted({folder(run, arm) / f"{arm}.{kind}.jsonl" for run in done(runs, arm, kind)}) for arm in arms
    }
