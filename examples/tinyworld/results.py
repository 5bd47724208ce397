"""The demo's result table: accuracy on the bare prompt per family and arm, with 95% intervals and paired tests.

    python results.py runs/seed-0                                           print one seed
    python results.py runs/seed-0 runs/seed-1 runs/seed-2 --write results   all seeds, and table.md, bars.json, plot.png

Only files that `anectl eval` wrote are read here. Intervals: Wilson per family, and a bootstrap
clustered by image for the mean.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from anectl.core.jsonl import read_records
from anectl.core.metrics import mcnemar_exact, mean, stratified_bootstrap, wilson
from anectl.core.records import Score

ARMS = {
    "base": "base",
    "random": "SFT, random rows, raw",
    "anchors": "SFT, anchors, raw",
    "random-steps": "SFT, random rows, steps",
    "anchors-steps": "SFT, anchors, steps",
    "ane-sft": "AnE before RL",
    "ane": "AnE",
}
RIVALS = [arm for arm in ARMS if arm not in ("ane-sft", "ane")]
MASTERED = 0.9


@dataclass(frozen=True, slots=True)
class Outcome:
    """One problem under one arm."""

    correct: bool
    cluster: str


Scores = dict[str, dict[str, Outcome]]
"""Family, then problem id."""


def read_scores(path: Path) -> Scores:
    """Greedy outcomes of one score file."""
    scores: Scores = defaultdict(dict)
    for score in read_records(str(path), Score):
        scores[score.benchmark][score.problem_id] = Outcome(score.completions[0].correct is True, score.cluster)
    return scores


def accuracy(outcomes: dict[str, Outcome]) -> float:
    """Share of correct problems."""
    return mean(outcome.correct for outcome in outcomes.values())


def overall(scores: Scores) -> float:
    """Mean over families, each weighted equally."""
    return mean(accuracy(outcomes) for outcomes in scores.values())


def overall_interval(scores: Scores) -> tuple[float, float]:
    """Bootstrap interval of `overall`, clustered by image."""
    strata = [[(o.cluster, float(o.correct)) for o in outcomes.values()] for outcomes in scores.values()]
    return stratified_bootstrap(strata, seed=0)


def flips(before: Scores, after: Scores) -> tuple[int, int]:
    """Problems gained and lost from one arm to another, over all families."""
    gained = lost = 0
    for family, outcomes in before.items():
        for problem_id, outcome in outcomes.items():
            then = after[family][problem_id].correct
            gained += then and not outcome.correct
            lost += outcome.correct and not then
    return gained, lost


def percent(value: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * value:.1f}"


def seed_table(run: Path, arms: dict[str, Scores]) -> str:
    """One seed: a row per family and the mean, a column per arm."""
    lines = [f"| {run.name} | " + " | ".join(ARMS.values()) + " |", "|---|" + "---:|" * len(ARMS)]
    for family in arms["base"]:
        cells = []
        for scores in arms.values():
            outcomes = scores[family]
            low, high = wilson(sum(o.correct for o in outcomes.values()), len(outcomes))
            cells.append(f"{percent(accuracy(outcomes))} [{percent(low)}, {percent(high)}]")
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    cells = []
    for scores in arms.values():
        low, high = overall_interval(scores)
        cells.append(f"**{percent(overall(scores))}** [{percent(low)}, {percent(high)}]")
    lines.append("| **mean** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bars(run: Path, arms: dict[str, Scores], hinted: Scores) -> dict[str, float | str]:
    """The figures that the demo is held to, for one seed."""
    base, ane = arms["base"], arms["ane"]
    drops = [accuracy(base[f]) - accuracy(ane[f]) for f in base if accuracy(base[f]) >= MASTERED]
    figures: dict[str, float | str] = {"seed": run.name, "base": overall(base), "ane": overall(ane)}
    for rival in RIVALS:
        figures[f"ane_minus_{rival}"] = overall(ane) - overall(arms[rival])
        figures[f"p_{rival}"] = mcnemar_exact(*flips(arms[rival], ane))
    figures["worst_mastered"] = -max(drops)
    figures["hinted_minus_bare"] = overall(hinted) - overall(ane)
    frontier = [f for f in base if accuracy(base[f]) < MASTERED]
    figures["hinted_minus_bare_frontier"] = mean(accuracy(hinted[f]) - accuracy(ane[f]) for f in frontier)
    return figures


def bars_table(rows: list[dict[str, float | str]]) -> str:
    """The paired comparisons, one line per seed; differences in points, p by exact McNemar over all problems."""
    titles = [f"AnE - {ARMS[rival]}" for rival in RIVALS]
    titles += ["worst mastered family", "hinted - bare", "the same, frontier families"]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for row in rows:
        cells = [f"{100 * float(row[f'ane_minus_{rival}']):+.1f} ({_p(float(row[f'p_{rival}']))})" for rival in RIVALS]
        names = ("worst_mastered", "hinted_minus_bare", "hinted_minus_bare_frontier")
        cells += [f"{100 * float(row[name]):+.1f}" for name in names]
        lines.append(f"| {row['seed']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _p(value: float) -> str:
    return "p < 1e-10" if value < 1e-10 else f"p = {value:.2g}"


def plot(runs: dict[str, dict[str, Scores]], path: Path) -> None:
    """Accuracy per family and arm: bars are means over seeds, dots are the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    families = [*next(iter(runs.values()))["base"], "mean"]
    figure, axes = pyplot.subplots(figsize=(11, 4.2), layout="constrained")
    colours = ["#9aa0a6", "#f2c57c", "#e59a8b", "#e0a030", "#c8553d", "#7fb3d5", "#1f5f99"]
    width = 0.8 / len(ARMS)
    for number, (arm, label) in enumerate(ARMS.items()):
        for place, family in enumerate(families):
            values = [overall(arms[arm]) if family == "mean" else accuracy(arms[arm][family]) for arms in runs.values()]
            x = place + (number - (len(ARMS) - 1) / 2) * width
            axes.bar(x, 100 * mean(values), width, color=colours[number], label=label if place == 0 else None)
            axes.plot([x] * len(values), [100 * value for value in values], "k.", markersize=3)
    axes.set_xticks(range(len(families)), families)
    axes.set_ylabel("accuracy on the bare prompt, %")
    axes.set_ylim(0, 105)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=4, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.2))
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the tables; with --write put them and the plot into a folder."""
    parser = argparse.ArgumentParser(description="Result table of the tiny world.")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, one per seed")
    parser.add_argument("--write", type=Path, help="folder for table.md, bars.json and plot.png")
    arguments = parser.parse_args()
    runs: dict[str, dict[str, Scores]] = {}
    rows, tables = [], []
    for run in arguments.runs:
        arms = {arm: read_scores((run.parent if arm == "base" else run) / f"{arm}.scores.jsonl") for arm in ARMS}
        runs[run.name] = arms
        rows.append(bars(run, arms, read_scores(run / "ane.hinted.jsonl")))
        tables.append(seed_table(run, arms))
    text = "\n\n".join([*tables, bars_table(rows)]) + "\n"
    print(text)
    if arguments.write:
        arguments.write.mkdir(exist_ok=True)
        (arguments.write / "table.md").write_text(text, "utf8")
        (arguments.write / "bars.json").write_text(json.dumps(rows, indent=1) + "\n", "utf8")
        plot(runs, arguments.write / "plot.png")


if __name__ == "__main__":
    main()
