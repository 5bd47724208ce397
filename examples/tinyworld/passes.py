"""pass@8 of an arm beside the base's, family by family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anectl.core.jsonl import read_records
from anectl.core.metrics import mean, pass_at_k, stratified_bootstrap
from anectl.core.records import Score

# Of each family and problem: its picture, and its pass@8.
Chances = dict[str, dict[str, tuple[str, float]]]


def pass_at_8(path: Path) -> Chances:
    """pass@8 of each problem, estimated from all its samples: eight alone often miss what one in eight solves."""
    chances: Chances = {}
    for score in read_records(str(path), Score):
        right = sum(one.correct is True for one in score.completions)
        chance = pass_at_k(len(score.completions), right, 8) or 0.0
        chances.setdefault(score.benchmark, {})[score.problem_id] = (score.cluster, chance)
    return chances


def pass_table(head: str, files: Mapping[str, Sequence[Path]]) -> tuple[str, dict[str, list[dict[str, float]]]]:
    """Rows of a table, means over seeds and what they are over the base, and the figures of each seed.

    From the files of scores by title of the arm; the first is the base, with one file.
    """
    found = {title: [pass_at_8(path) for path in paths] for title, paths in files.items() if paths}
    (base, *_), *_ = found.values()
    lines = [f"| {head} | " + " | ".join(base) + " |", "|---|" + "---:|" * len(base)]
    figures = {}
    for title, seeds in found.items():
        figures[title] = [{name: mean(chance for _, chance in one[name].values()) for name in base} for one in seeds]
        cells = [f"{100 * mean(one[name] for one in figures[title]):.2f}" for name in base]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
        if seeds[0] is not base:
            lines.append("| over the base | " + " | ".join(gain(seeds, base, name) for name in base) + " |")
    return "\n".join(lines), figures


def gain(seeds: Sequence[Chances], base: Chances, family: str) -> str:
    """The difference in points with its interval over problems, clustered by picture."""
    problems = [
        (cluster, mean(one[family][name][1] for one in seeds) - before)
        for name, (cluster, before) in base[family].items()
    ]
    low, high = stratified_bootstrap([problems], seed=0)
    return f"{100 * mean(value for _, value in problems):+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
