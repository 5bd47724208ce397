"""The result tables of the M-STaR example, beside the paper's.

    python table.py runs/seed-0 runs/seed-1 runs/seed-2 --write results

Reads what the Makefile made. Intervals are bootstraps over problems (clustered by picture, each family weighted
equally) of accuracies that are means over seeds: they hold for these seeds. The seeds' own figures stand beside them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judged import judged_table
from ledgers import plot_ledgers, sound_share
from school import OUT_OF_DOMAIN

from anectl.core.jsonl import read_records
from anectl.core.metrics import mean, stratified_bootstrap
from anectl.core.records import Score

ARMS = {
    "start": ("start model", "13.6 / 52.4"),
    "warm-up": ("+ warm-up", "38.8 / 52.6"),
    "answers": ("SFT on answers", "44.3 / 54.8"),
    "rest-em": ("ReST-EM, 100%", "42.3 / 55.1"),
    "iterative": ("iterative RFT, 100%", "42.3 / 55.7"),
    "continuous-100": ("continuous, 100%", "42.2 / 56.7"),
    "continuous-50": ("continuous, 50%", "43.1 / 56.2"),
    "continuous-25": ("continuous, 25%", "43.1 / 57.2"),
    "continuous-12": ("continuous, 12.5%", "42.3 / 56.1"),
    "continuous-6": ("continuous, 6.25%", "41.0 / 56.8"),
    "random-2": ("50%, random-2", "41.0 / 55.5"),
    "prm-above": ("50%, PRM > 0.5", "43.8 / 57.5"),
    "prm-top-1": ("50%, PRM top-1", "43.0 / 59.0"),
    "prm-top-2": ("50%, PRM top-2", "45.3 / 59.2"),
    "prm-top-4": ("50%, PRM top-4", "44.0 / 58.4"),
    "prm-own": ("50%, PRM top-2, valued by the policy", "45.3 / 59.2"),
    "more-answers": ("50%, twice the prompts, with answers", "42.5 / 58.2"),
    "more-answers-prm": ("the same, PRM top-2", "42.9 / 59.1"),
    "more-voted": ("PRM top-2, voted labels from 0%", "43.3 / 58.2"),
    "more-voted-25": ("PRM top-2, voted labels from 25%", "42.4 / 57.6"),
    "more-voted-50": ("PRM top-2, voted labels from 50%", "42.9 / 58.2"),
    "more-voted-75": ("PRM top-2, voted labels from 75%", "45.0 / 58.8"),
    "tuned-pass": ("PRM top-2, temperature by Pass@16", "42.8 / 58.0"),
    "tuned": ("PRM top-2, temperature by Reward-Pass@2", "45.9 / 59.5"),
    "joint": ("PRM top-2 and AnE's anchors", "not in the paper"),
}
SHARED = ("start", "warm-up")
# What the paper's tables say of one arm against another, in points in and out of domain. Its rewards, prompts and
# temperatures draw a quarter of the pool each round, ours a half.
DIRECTIONS = [
    ("warm-up", "start", 25.2, 0.2),
    ("answers", "start", 30.7, 2.4),
    ("iterative", "warm-up", 3.5, 3.1),
    ("rest-em", "iterative", 0.0, -0.6),
    ("continuous-100", "iterative", -0.1, 1.0),
    ("continuous-50", "continuous-100", 0.9, -0.5),
    ("continuous-25", "continuous-100", 0.9, 0.5),
    ("continuous-12", "continuous-100", 0.1, -0.6),
    ("continuous-6", "continuous-100", -1.2, 0.1),
    ("random-2", "continuous-50", -2.1, -1.7),
    ("prm-above", "continuous-50", 0.7, 0.3),
    ("prm-top-1", "continuous-50", -0.1, 1.8),
    ("prm-top-2", "continuous-50", 2.2, 2.0),
    ("prm-top-4", "continuous-50", 0.9, 1.2),
    ("prm-top-2", "random-2", 4.3, 3.7),
    ("prm-own", "random-2", 4.3, 3.7),
    ("prm-top-2", "prm-top-1", 2.3, 0.2),
    ("prm-top-2", "prm-top-4", 1.3, 0.8),
    ("more-answers", "continuous-50", -0.6, 1.0),
    ("more-answers-prm", "prm-top-2", -2.4, -0.1),
    ("more-voted", "prm-top-2", -2.0, -1.0),
    ("more-voted-25", "prm-top-2", -2.9, -1.6),
    ("more-voted-50", "prm-top-2", -2.4, -1.0),
    ("more-voted-75", "prm-top-2", -0.3, -0.4),
    ("tuned-pass", "prm-top-2", -2.5, -1.2),
    ("tuned", "prm-top-2", 0.6, 0.3),
    ("tuned", "tuned-pass", 3.1, 1.5),
    ("joint", "prm-top-2", None, None),
]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The share of seeds in which each problem was right: family, then problem id to (picture, share)."""

    families: dict[str, dict[str, tuple[str, float]]]
    by_seed: list[dict[str, float]]

    def mean(self, domain: Sequence[str]) -> float:
        """Accuracy over the families of a domain, each weighted equally."""
        return mean(mean(share for _, share in self.families[family].values()) for family in domain)

    def seeds(self, domain: Sequence[str]) -> list[float]:
        """The same, of every seed."""
        return [mean(seed[family] for family in domain) for seed in self.by_seed]


def read_outcomes(paths: Sequence[Path]) -> Outcomes:
    """Greedy outcomes of one arm, a file per seed."""
    right: dict[str, dict[str, list[float]]] = {}
    pictures: dict[str, str] = {}
    by_seed = []
    for path in paths:
        seed: dict[str, list[float]] = {}
        for score in read_records(str(path), Score):
            value = float(score.completions[0].correct is True)
            right.setdefault(score.benchmark, {}).setdefault(score.problem_id, []).append(value)
            seed.setdefault(score.benchmark, []).append(value)
            pictures[score.problem_id] = score.cluster
        by_seed.append({family: mean(values) for family, values in seed.items()})
    families = {
        family: {name: (pictures[name], mean(values)) for name, values in problems.items()}
        for family, problems in right.items()
    }
    return Outcomes(families, by_seed)


def interval(after: Outcomes, before: Outcomes | None, domain: Sequence[str]) -> tuple[float, float]:
    """The bootstrap interval of an accuracy, or of what it differs from another by."""
    strata = []
    for family in domain:
        less = {name: share for name, (_, share) in before.families[family].items()} if before else {}
        strata.append(
            [(picture, share - less.get(name, 0.0)) for name, (picture, share) in after.families[family].items()]
        )
    return stratified_bootstrap(strata, seed=0)


def accuracy_table(arms: dict[str, Outcomes], domains: dict[str, list[str]], sound: dict[str, float]) -> str:
    """Accuracy of every arm beside the paper's."""
    lines = ["| arm | in domain | out of domain | sound rows | the paper, 8B (ID / OOD) |", "|---|---:|---:|---:|---|"]
    for arm, outcomes in arms.items():
        title, paper = ARMS[arm]
        cells = []
        for domain in domains.values():
            low, high = interval(outcomes, None, domain)
            seeds = "" if arm in SHARED else " (" + " ".join(percent(one) for one in outcomes.seeds(domain)) + ")"
            cells.append(f"{percent(outcomes.mean(domain))} [{percent(low)}, {percent(high)}]{seeds}")
        share = f"{percent(sound[arm])}" if arm in sound else ""
        lines.append(f"| {title} | {cells[0]} | {cells[1]} | {share} | {paper} |")
    return "\n".join(lines)


def direction_table(arms: dict[str, Outcomes], domains: dict[str, list[str]]) -> tuple[str, list[dict[str, object]]]:
    """The paper's differences, row by row, beside ours."""
    lines = ["| difference | domain | paper | here | seeds | direction |", "|---|---|---:|---:|---:|---|"]
    rows = []
    for after, before, *published in DIRECTIONS:
        for (domain, families), paper in zip(domains.items(), published, strict=True):
            difference = arms[after].mean(families) - arms[before].mean(families)
            low, high = interval(arms[after], arms[before], families)
            pairs = zip(arms[after].seeds(families), _seeds(arms[before], arms[after], families), strict=True)
            seeds = [one - other for one, other in pairs]
            verdict = said(paper, difference, low, high)
            name = f"{ARMS[after][0]} - {ARMS[before][0]}"
            shown = "" if paper is None else f"{paper:+.1f}"
            cells = f"{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
            each = " ".join(f"{100 * seed:+.1f}" for seed in seeds)
            lines.append(f"| {name} | {domain} | {shown} | {cells} | {each} | {verdict} |")
            rows.append(
                {"after": after, "before": before, "domain": domain, "difference": difference}
                | {"low": low, "high": high, "seeds": seeds, "paper": paper, "direction": verdict}
            )
    return "\n".join(lines), rows


def _seeds(before: Outcomes, after: Outcomes, families: Sequence[str]) -> list[float]:
    found = before.seeds(families)
    return found * len(after.by_seed) if len(found) == 1 else found


def said(paper: float | None, difference: float, low: float, high: float) -> str:
    """What our difference says of the paper's."""
    if low <= 0 <= high:
        return "no difference seen"
    if paper is None or abs(paper) < 0.15:
        return "up" if difference > 0 else "down"
    return "as in the paper" if (difference > 0) == (paper > 0) else "against the paper"


def percent(value: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Result tables of the M-STaR example.")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, one per seed")
    parser.add_argument("--write", type=Path, help="folder for table.md, figures.json, ledgers.jsonl and plot.png")
    options = parser.parse_args()
    root = options.runs[0].parent
    arms = {
        arm: read_outcomes(
            [root / arm / "scores.jsonl"] if arm in SHARED else [run / arm / "scores.jsonl" for run in options.runs]
        )
        for arm in ARMS
    }
    families = arms["start"].families
    domains = {
        "in domain": [name for name in families if name not in OUT_OF_DOMAIN],
        "out of domain": list(OUT_OF_DOMAIN),
    }
    sound = {arm: share for arm in ARMS if (share := sound_share(options.runs, arm, root.parent / "data")) is not None}
    directions, rows = direction_table(arms, domains)
    text = "\n\n".join([accuracy_table(arms, domains, sound), directions, judged_table(root)]) + "\n"
    print(text)
    if options.write:
        options.write.mkdir(exist_ok=True)
        (options.write / "table.md").write_text(text, "utf-8")
        (options.write / "figures.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        plot_ledgers(options.runs, [arm for arm in ARMS if arm not in (*SHARED, "answers")], options.write)


if __name__ == "__main__":
    main()
