"""The ablation's tables and plot: what each part of the loop gives, arm by arm, over all seeds.

    python ablation.py runs/seed-0 runs/seed-1 runs/seed-2                    print the tables
    python ablation.py runs/seed-0 runs/seed-1 runs/seed-2 --write results    write ablation.{md,json,png} too
    python ablation.py runs/seed-0 --page best                                the best configuration and the demo

Reads what `make ablate-arms` or `make best-arms` made: scores, results of training, manifests. In the page only what
follows the marker is written anew; the words above it are kept. Intervals: bootstrap clustered by picture, of each
problem's mean over seeds; they say what other problems would give, the seeds what other runs would.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from arms import ARMS, PAGES, PAIRS, Row, done, folder, pass_files, pass_tables, training
from passes import pass_table
from results import MASTERED, Scores, accuracy, overall, percent, read_scores

from anectl.core.metrics import mean, stratified_bootstrap
from anectl.core.records import Comparison

MARKER = "<!-- figures: written by ablation.py, not by hand -->"


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


def drift(cards: Sequence[Row]) -> tuple[float, float | None] | None:
    """NLL of the targets under the base, and KL(base || after) on completions held out of SFT in one round."""
    found = cards[0]["result"].get("drift") if cards else None
    if not found:
        return None
    apart = bool(cards[0]["options"]["held_out"]) and sum(card["command"] == "sft" for card in cards) == 1
    return found["targets"]["nll"], found["held_out"]["kl"] if apart else None


def figures(runs: Sequence[Path], arms: Sequence[str]) -> list[Row]:
    """One row per arm that was run: accuracies, gap, drift, and the run cards; over the seeds that there are."""
    base = read_arm(runs[:1], "base", "scores")[0]
    rows = []
    for arm in arms:
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


def pair_table(runs: Sequence[Path], arms: Sequence[str], anectl: str) -> str:
    """Paired differences of each seed: points, 95% interval, exact McNemar over all problems."""
    lines = ["| | " + " | ".join(run.name for run in runs) + " |", "|---|" + "---:|" * len(runs)]
    for before, after in (pair for pair in PAIRS if {*pair} <= {*arms}):
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


def plot(rows: Sequence[Row], path: Path) -> None:
    """Bare accuracy of each arm with its interval, the seeds as dots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.1 + 0.28 * len(rows)), layout="constrained")
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


def write(page: Path, text: str, rows: Sequence[Row], passes: Row) -> None:
    """The page below its marker, and beside it a .json with the run cards and a .png."""
    words = page.read_text("utf8").partition(MARKER)[0] if page.exists() else ""
    page.write_text(f"{words}{MARKER}\n\n{text}\n", "utf8")
    card = {"arms": rows, "pass_at_8": passes}
    page.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", "utf8")
    plot(rows, page.with_suffix(".png"))


def main() -> None:
    """Print the tables; with --write put them, the run cards and the plot into a folder."""
    parser = argparse.ArgumentParser(description="Tables of the ablation on the tiny world.")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, one per seed")
    parser.add_argument(
        "--anectl", default=str(Path(sys.executable).with_name("anectl")), help="the command to compare with"
    )
    parser.add_argument("--page", choices=PAGES, default="ablation", help="which arms")
    parser.add_argument("--write", type=Path, help="folder for the page, a .json and a .png of its name")
    arguments = parser.parse_args()
    arms = PAGES[arguments.page]
    rows = figures(arguments.runs, arms)
    passes = {
        kind: pass_table(head, pass_files(arguments.runs, kind, drawn))
        for kind, head, drawn in pass_tables(arms)
        if done(arguments.runs, "base", kind)
    }
    names = [run.name for run in arguments.runs]
    tables = [arm_table(rows, names), family_table(rows), *(table for table, _ in passes.values())]
    text = "\n\n".join([*tables, pair_table(arguments.runs, arms, arguments.anectl)])
    print(text)
    if arguments.write:
        arguments.write.mkdir(exist_ok=True)
        sampled = {kind: found for kind, (_, found) in passes.items()}
        write(arguments.write / f"{arguments.page}.md", text, rows, sampled)


if __name__ == "__main__":
    main()
