"""The ablation's tables and plot: what each part of the loop gives, arm by arm, over all seeds.

    python ablation.py runs/seed-0 runs/seed-1 runs/seed-2                    print the tables
    python ablation.py runs/seed-0 runs/seed-1 runs/seed-2 --write results    write ablation.{md,json,png} too

Reads what `make ablate-arms` made: scores, results of training, manifests. In ablation.md only what follows the marker
is written anew; the words above it are kept. Intervals: bootstrap clustered by picture, of each problem's mean over
seeds; they say what other problems would give, the seeds what other runs would.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passes import pass_table
from results import MASTERED, Scores, accuracy, overall, percent, read_scores

from anectl.core.metrics import mean, stratified_bootstrap
from anectl.core.records import Comparison

MARKER = "<!-- figures: written by ablation.py, not by hand -->"
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
    "large8": ("pass@8, 2,048 other problems a family", ("base", "best")),
}
SCHEDULES = ("cosine", "linear", "exponential", "staged", "binomial", "never")

Row = dict[str, Any]


def folder(run: Path, arm: str) -> Path:
    """Where the files of an arm are; those of the base are shared by all seeds, those of the demo lie beside."""
    return {"base": run.parent, "ane": run}.get(arm, run / "ablation")


def done(runs: Sequence[Path], arm: str, kind: str) -> list[Path]:
    """The runs that have the arm's scores of that kind: scores, hinted or pass8."""
    return [run for run in runs if (folder(run, arm) / f"{arm}.{kind}.jsonl").exists()]


def read_arm(runs: Sequence[Path], arm: str, kind: str) -> list[Scores]:
    """The arm's scores, one per run."""
    return [read_scores(folder(run, arm) / f"{arm}.{kind}.jsonl") for run in runs]


def mean_interval(seeds: Sequence[Scores]) -> tuple[float, float]:
    """Interval of the mean over families and seeds, clustered by picture."""
    strata = [
        [(one.cluster, mean(float(scores[family][name].correct) for scores in seeds)) for name, one in problems.items()]
        for family, problems in seeds[0].items()
    ]
    return stratified_bootstrap(strata, seed=0)


def families_of(base: Scores, *, mastered: bool) -> list[str]:
    """The families that the base masters, or the others."""
    return [family for family, outcomes in base.items() if (accuracy(outcomes) >= MASTERED) == mastered]


def part(seeds: Sequence[Scores], families: Sequence[str]) -> float:
    """Mean accuracy over some families and all seeds."""
    return mean(accuracy(scores[family]) for scores in seeds for family in families)


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


def drift(cards: Sequence[Row]) -> tuple[float, float | None] | None:
    """NLL of the targets under the base, and KL(base || after) on completions held out of SFT in one round."""
    found = cards[0]["result"].get("drift") if cards else None
    if not found:
        return None
    apart = bool(cards[0]["options"]["held_out"]) and sum(card["command"] == "sft" for card in cards) == 1
    return found["targets"]["nll"], found["held_out"]["kl"] if apart else None


def figures(runs: Sequence[Path]) -> list[Row]:
    """One row per arm that was run: accuracies, gap, drift, and the run cards; over the seeds that there are."""
    base = read_arm(runs[:1], "base", "scores")[0]
    rows = []
    for arm in ARMS:
        present = done(runs, arm, "scores")
        if present:
            rows.append(arm_figures(arm, present, base))
    return rows


def arm_figures(arm: str, runs: Sequence[Path], base: Scores) -> Row:
    """The figures of one arm over the runs that have it."""
    seeds, cards = read_arm(runs, arm, "scores"), [training(run, arm) for run in runs]
    frontier = families_of(base, mastered=False)
    drifts = [found for found in map(drift, cards) if found is not None]
    kls = [kl for _, kl in drifts if kl is not None]
    low, high = mean_interval(seeds)
    worst = {family: part(seeds, [family]) - accuracy(base[family]) for family in families_of(base, mastered=True)}
    return {
        "arm": arm,
        "seeds": {run.name: overall(scores) for run, scores in zip(runs, seeds, strict=True)},
        "mean": mean(overall(scores) for scores in seeds),
        "low": low,
        "high": high,
        "families": {family: part(seeds, [family]) for family in base},
        "frontier": part(seeds, frontier),
        "worst_family": min(worst, key=worst.__getitem__),
        "worst": min(worst.values()),
        **hinted_figures(arm, done(runs, arm, "hinted"), frontier),
        "target_nll": mean(nll for nll, _ in drifts) if drifts else None,
        "kl": mean(kls) if kls else None,
        "cards": cards,
    }


def hinted_figures(arm: str, runs: Sequence[Path], frontier: Sequence[str]) -> Row:
    """Accuracy with the plan as a hint, and what that adds to the bare one, over the runs that have both."""
    if not runs:
        return {"hinted": None, "gap": None, "hinted_seeds": 0}
    hinted = part(read_arm(runs, arm, "hinted"), frontier)
    return {
        "hinted": hinted,
        "gap": hinted - part(read_arm(runs, arm, "scores"), frontier),
        "hinted_seeds": len(runs),
    }


def arm_table(rows: Sequence[Row], names: Sequence[str]) -> str:
    """One line per arm; `names` are the runs, one seed each."""
    heads = ("mean", "95%", "each seed", "worst mastered", "frontier", "frontier, hinted", "hinted - bare")
    heads += ("targets' NLL", "KL held out")
    lines = ["| arm | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for row in rows:
        cells = [
            f"**{percent(row['mean'])}**",
            f"{percent(row['low'])} to {percent(row['high'])}",
            " / ".join(percent(row["seeds"][name]) if name in row["seeds"] else "-" for name in names),
            f"{100 * row['worst']:+.1f} ({row['worst_family']})",
            percent(row["frontier"]),
            *(("", "") if row["hinted"] is None else (percent(row["hinted"]), f"{100 * row['gap']:+.1f}")),
            *("" if row[name] is None else f"{row[name]:.3f}" for name in ("target_nll", "kl")),
        ]
        lines.append(f"| {ARMS[row['arm']]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def family_table(rows: Sequence[Row]) -> str:
    """Accuracy per family, means over seeds."""
    names = list(rows[0]["families"])
    lines = ["| arm | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for row in rows:
        lines.append(f"| {ARMS[row['arm']]} | " + " | ".join(percent(row["families"][name]) for name in names) + " |")
    return "\n".join(lines)


def compare(anectl: str, before: Path, after: Path) -> Comparison:
    """The line of the mean of `anectl compare`."""
    done = subprocess.run([anectl, "compare", str(before), str(after)], check=True, capture_output=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return next(Comparison(**line) for line in lines if line["benchmark"] == "mean")


def pair_table(runs: Sequence[Path], anectl: str) -> str:
    """Paired differences of each seed: points, 95% interval, exact McNemar over all problems."""
    lines = ["| | " + " | ".join(run.name for run in runs) + " |", "|---|" + "---:|" * len(runs)]
    for before, after in PAIRS:
        both = [run for run in done(runs, before, "scores") if run in done(runs, after, "scores")]
        if not both:
            continue
        cells = []
        for run in runs:
            if run not in both:
                cells.append("")
                continue
            one = compare(anectl, *(folder(run, arm) / f"{arm}.scores.jsonl" for arm in (before, after)))
            p = "p < 1e-10" if one.p_value < 1e-10 else f"p = {one.p_value:.2g}"
            cells.append(f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}], {p}")
        lines.append(f"| {ARMS[after]} - {ARMS[before]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pass_files(runs: Sequence[Path], kind: str, arms: Sequence[str]) -> dict[str, list[Path]]:
    """The files of samples by title of the arm; the base has one for all runs."""
    return {
        ARMS[arm]: sorted({folder(run, arm) / f"{arm}.{kind}.jsonl" for run in done(runs, arm, kind)}) for arm in arms
    }


def plot(rows: Sequence[Row], path: Path) -> None:
    """Bare accuracy of each arm with its interval, the seeds as dots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5.6), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        value = 100 * row["mean"]
        axes.barh(place, value, 0.62, color="#1f5f99" if row["arm"] == "best" else "#a9c4dd")
        axes.plot([100 * row["low"], 100 * row["high"]], [place, place], color="#333333", linewidth=1.5)
        dots = [100 * seed for seed in row["seeds"].values()]
        axes.plot(dots, [place] * len(dots), "k.", markersize=4)
        axes.text(101, place, f"{value:.1f}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [ARMS[row["arm"]] for row in reversed(rows)], fontsize=8)
    axes.set_xlim(0, 107)
    axes.set_xlabel("mean accuracy of eight families on the bare prompt, %; line: 95% interval, dots: seeds")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def write(target: Path, text: str, rows: Sequence[Row], passes: Row) -> None:
    """ablation.md below its marker, ablation.json with the run cards, ablation.png."""
    page = target / "ablation.md"
    words = page.read_text("utf8").partition(MARKER)[0] if page.exists() else "# Ablation on the tiny world\n\n"
    page.write_text(f"{words}{MARKER}\n\n{text}\n", "utf8")
    card = {"arms": rows, "pass_at_8": passes}
    (target / "ablation.json").write_text(json.dumps(card, indent=1) + "\n", "utf8")
    plot(rows, target / "ablation.png")


def main() -> None:
    """Print the tables; with --write put them, the run cards and the plot into a folder."""
    parser = argparse.ArgumentParser(description="Tables of the ablation on the tiny world.")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, one per seed")
    parser.add_argument(
        "--anectl", default=str(Path(sys.executable).with_name("anectl")), help="the command to compare with"
    )
    parser.add_argument("--write", type=Path, help="folder for ablation.md, ablation.json and ablation.png")
    arguments = parser.parse_args()
    rows = figures(arguments.runs)
    passes = {
        kind: pass_table(head, pass_files(arguments.runs, kind, arms))
        for kind, (head, arms) in PASSES.items()
        if done(arguments.runs, "base", kind)
    }
    names = [run.name for run in arguments.runs]
    tables = [arm_table(rows, names), family_table(rows), *(table for table, _ in passes.values())]
    text = "\n\n".join([*tables, pair_table(arguments.runs, arguments.anectl)])
    print(text)
    if arguments.write:
        arguments.write.mkdir(exist_ok=True)
        write(arguments.write, text, rows, {kind: figures_of for kind, (_, figures_of) in passes.items()})


if __name__ == "__main__":
    main()
