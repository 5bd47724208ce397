"""The ledgers of all arms: one file, one plot, and how many of the selected rows are sound."""

from __future__ import annotations

import json
from pathlib import Path

from anectl.core.jsonl import read_records
from anectl.core.metrics import mean
from anectl.core.records import Example, Problem, Round

# More would not be told apart.
PLOTTED = (
    *("iterative", "continuous-50", "continuous-25", "random-2", "prm-top-2"),
    *("more-answers-prm", "more-voted", "tuned-pass", "tuned", "joint"),
)
PANELS = {
    "pass@16 of what the round drew, %": lambda one: 100 * one.pass_at_k.value,
    "exploration: pass@16 - greedy, points": lambda one: None if one.exploration is None else 100 * one.exploration,
    "Reward-Pass@2, %": lambda one: None if one.reward_pass is None else 100 * one.reward_pass.value,
    "surprisal of a token, nats": lambda one: one.surprisal,
    "tokens of a completion": lambda one: one.mean_tokens,
    "temperature": lambda one: one.temperature,
}


def sound_share(runs: list[Path], arm: str, data: Path) -> float | None:
    """The share of the policy's own rows, of those trained on in all rounds, whose steps are the worked ones."""
    worked = {
        problem.id: " ".join(problem.steps or ())
        for pool in sorted([*data.glob("pool-*.jsonl"), *data.glob("more-*.jsonl")])
        for problem in read_records(str(pool), Problem)
    }
    files = [path for run in runs for path in sorted((run / arm).glob("*.train.jsonl"))]
    texts = [
        (worked[row.problem_id], row.completion[0].content)
        for file in files
        for row in read_records(str(file), Example)
    ]
    return mean(float(steps in str(text)) for steps, text in texts) if texts else None


def plot_ledgers(runs: list[Path], arms: list[str], folder: Path) -> None:
    """ledgers.jsonl, a line per round with its arm and seed; and plot.png, lines of means over seeds, dots of seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rounds = {arm: [list(read_records(str(run / arm / "ledger.jsonl"), Round)) for run in runs] for arm in arms}
    with (folder / "ledgers.jsonl").open("w", encoding="utf-8") as lines:
        for arm in arms:
            for run in runs:
                for line in (run / arm / "ledger.jsonl").read_text("utf-8").splitlines():
                    lines.write(json.dumps({"arm": arm, "run": run.name} | json.loads(line)) + "\n")
    figure, panels = pyplot.subplots(2, 3, figsize=(13, 7), layout="constrained")
    colours = pyplot.get_cmap("tab10")
    for panel, (title, value) in zip(panels.flat, PANELS.items(), strict=True):
        for number, (arm, seeds) in enumerate((arm, rounds[arm]) for arm in PLOTTED):
            length = len(seeds[0])
            # The share of the completions drawn before the round, so that all intervals share an axis.
            places = [place / length for place in range(length)]
            values = [[value(seed[place]) for seed in seeds] for place in range(length)]
            if any(one is None for column in values for one in column):
                continue
            panel.plot(
                places, [mean(column) for column in values], "-", color=colours(number), label=arm, linewidth=1.6
            )
            for place, column in zip(places, values, strict=True):
                panel.plot([place] * len(column), column, ".", color=colours(number), markersize=3)
        panel.set_title(title, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlabel("share of the samples drawn")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), ncols=5, frameon=False, loc="outside upper center")
    figure.savefig(folder / "plot.png", dpi=130)
    pyplot.close(figure)
