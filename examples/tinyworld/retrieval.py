"""What each way of choosing anchors finds on the tiny world, and what its anchors are worth in training.

    python retrieval.py precision                  precision@5 per selection; writes results/retrieval.{json,md}
    python retrieval.py downstream --seeds 0       the same SFT on the anchors of each selection; adds to both files
    python retrieval.py figure                     writes results/anchors.{json,png}: frontier, anchors, similarity

Needs data/ and runs/seed-N/frontier.jsonl, which `make runs/seed-N/frontier.jsonl SEED=N` makes. An anchor is a hit
when it has the structure of the failing problem: the same family, and for a question about a line the same kind of line
(row or column). `as asked` takes the failing problems as they are. In `reworded` the question is put in words that the
database does not use, and the problem has no tags: a database seldom has one's own problems word for word. In `unnamed`
the question does not say the term that the database has for what is asked, and the tags do.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from results import overall, overall_interval, read_scores

from anectl.cli import app
from anectl.core.metrics import mean, stratified_bootstrap

HERE = Path(__file__).resolve().parent
INDEX = Path("runs/retrieval.idx")
RESULTS = Path("results/retrieval.json")
FIGURE = Path("results/anchors.json")
TOP_K = 5
_SPACING = 21  # of the rows that are drawn: the families come in turn, every twenty rows
SELECTIONS: dict[str, tuple[str, ...]] = {
    "fusion": (),
    "fusion, no tiers": ("--no-tiers",),
    "text": ("--signals", "text", "--no-tiers"),
    "image": ("--signals", "image", "--no-tiers"),
    "joint": ("--signals", "joint", "--no-tiers"),
    "bm25": ("--signals", "bm25", "--no-tiers"),
    "skill": ("--signals", "skill", "--no-tiers"),
    "random": ("--select", "random"),
}
LINE_QUESTION = re.compile(r"What is the (?P<term>\w+) of (?P<kind>row|column) (?P<number>\d+)\?")
WORDINGS = (
    "Consider {kind} {number} in this grid and work out its {term}.",
    "{kind} {number} here: state the {term}",
    "Of the digits that stand in {kind} {number}, find the {term}.",
)
"""None of them has the words of the database's questions in its order."""

Row = dict[str, Any]


def structure(problem: Row) -> tuple[str, ...]:
    """The family, and the kind of line that the question is about."""
    source = problem["source"]
    return source["family"], *source.get("line", "").split()[:1]


def reworded(problem: Row, number: int) -> Row | None:
    """The problem in other words and without tags; None where its question is not about a line."""
    match = LINE_QUESTION.fullmatch(problem["question"])
    if match is None:
        return None
    return {**problem, "question": WORDINGS[number % len(WORDINGS)].format(**match.groupdict()), "tags": []}


def unnamed(problem: Row, number: int) -> Row | None:
    """The problem with `result` for its term, and with its tags; None where its question is not about a line."""
    match = LINE_QUESTION.fullmatch(problem["question"])
    if match is None:
        return None
    return {**problem, "question": "What is the result of {kind} {number}?".format(**match.groupdict())}


CONDITIONS: dict[str, Callable[[Row, int], Row | None]] = {
    "as asked": lambda problem, number: problem,
    "reworded": reworded,
    "unnamed": unnamed,
}


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """Write rows as JSON Lines, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def anectl(*arguments: object) -> float:
    """Run a command of anectl; its seconds. What it says is shown where it fails."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "anectl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"anectl {arguments[0]} failed:\n{done.stderr}")
    return time.monotonic() - started


def index() -> Path:
    """The index of the truth database, built where it is not there yet."""
    if not (INDEX / "manifest.json").exists():
        anectl("build-index", "data/truth.jsonl", "--embedder", "policy:base", "--batch-size", 64, "-o", INDEX)
    return INDEX


def anchored(frontier: Path, name: str, output: Path, top_k: int, seed: int) -> float:
    """Choose anchors in one of the ways; the seconds it took."""
    options = (*SELECTIONS[name], "--top-k", top_k, "--seed", seed)
    started = time.monotonic()
    arguments = ("anchor", frontier, "--index", index(), *options, "-o", output)
    # In this process: a new one would spend most of its time on starting.
    app([*map(str, arguments)], standalone_mode=False)
    return time.monotonic() - started


def hits(rows: Sequence[Row]) -> dict[str, float]:
    """Per problem the share of its TOP_K places that hold an anchor of its structure; an empty place is a miss."""
    return {
        row["problem"]["id"]: sum(structure(one["problem"]) == structure(row["problem"]) for one in row["anchors"])
        / TOP_K
        for row in rows
    }


def with_interval(values: dict[str, float]) -> list[float]:
    """The mean over queries and its 95% bootstrap interval (seed 0)."""
    return [mean(values.values()), *stratified_bootstrap([list(values.items())], seed=0)]


def precision(run: Path, conditions: Sequence[str]) -> dict[str, Any]:
    """Precision@5 of each selection for the failing problems of a run, under each condition."""
    failing = [row for row in read_rows(run / "frontier.jsonl") if row["zone"] == "failing"]
    found: dict[str, Any] = {}
    for condition in conditions:
        changed = [{**row, "problem": CONDITIONS[condition](row["problem"], n)} for n, row in enumerate(failing)]
        rows = [row for row in changed if row["problem"]]
        frontier = write_rows(run / "retrieval" / f"{condition.replace(' ', '-')}.jsonl", rows)
        shares, seconds = {}, {}
        for name in SELECTIONS:
            output = frontier.with_suffix(f".{name.replace(', ', '-').replace(' ', '-')}.jsonl")
            seconds[name] = anchored(frontier, name, output, TOP_K, seed=0)
            shares[name] = hits(read_rows(output))
        found[condition] = {
            "queries": len(rows),
            "families": {name: len(ids) for name, ids in sorted(_families(rows).items())},
            "precision": {name: with_interval(values) for name, values in shares.items()},
            "fusion_minus": {
                name: with_interval({key: shares["fusion"][key] - value for key, value in values.items()})
                for name, values in shares.items()
                if name != "fusion"
            },
            "seconds": seconds,
        }
    return found


def _families(rows: Sequence[Row]) -> dict[str, list[str]]:
    families: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        families[row["problem"]["source"]["family"]].append(row["problem"]["id"])
    return families


def downstream(run: Path, seed: int, num_rows: int, num_steps: int, selections: Sequence[str]) -> dict[str, Any]:
    """Accuracy on the benchmarks after the same SFT on the anchors of each selection, worked in steps.

    The arms are those of the demo's `anchors-steps`, with the anchors chosen in another way.
    """
    benchmarks = sorted(Path("data/bench").glob("*.jsonl"))
    scoring = ("--instruction", "", "--max-tokens", 96, "--batch-size", 128)
    base = Path("runs/base.scores.jsonl")
    if not base.exists():
        anectl("eval", *benchmarks, *scoring, "--model", "base", "-o", base)
    scores = {"base": read_scores(base)}
    trained_on: dict[str, int] = {}
    for name in selections:
        folder = run / "retrieval" / name.replace(", ", "-").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        anchors, examples, model = folder / "anchored.jsonl", folder / "examples.jsonl", folder / "model"
        anchored(run / "frontier.jsonl", name, anchors, top_k=8, seed=seed)
        targets = ("--targets", "template", "--levels", 0, "--from", "anchors", "--answer-format", "Answer: {answer}")
        anectl("scaffold", anchors, *targets, "--max-examples", num_rows, "--seed", seed, "-o", examples)
        training = ("--batch-size", 16, "--learning-rate", 5e-4, "--warmup-steps", 20, "--max-steps", num_steps)
        resumed = ("--resume", "--overwrite")
        anectl("sft", examples, "--model", "base", *training, "--seed", seed, *resumed, "-o", model)
        anectl("eval", *benchmarks, *scoring, "--model", model, "-o", folder / "scores.jsonl")
        scores[name] = read_scores(folder / "scores.jsonl")
        trained_on[name] = len(read_rows(examples))
    return {
        "rows": trained_on,
        "steps": num_steps,
        "accuracy": {name: [overall(each), *overall_interval(each)] for name, each in scores.items()},
        "families": {
            name: {family: mean(one.correct for one in outcomes.values()) for family, outcomes in each.items()}
            for name, each in scores.items()
        },
    }


def figure(run: Path, num_points: int = 60) -> dict[str, Any]:
    """Points in the plane of the first two principal components of the joint vectors, and who is whose anchor.

    `truth` and `frontier` are [x, y, family]; `links` are [frontier point, truth point, joint cosine, rank, tier].
    """
    import numpy as np

    from anectl import engines
    from anectl.core.images import ImageRoot
    from anectl.core.index_files import open_records, read_index_manifest
    from anectl.core.jsonl import decode
    from anectl.core.prompts import user_text
    from anectl.core.protocols import EmbedItem
    from anectl.core.records import Anchored

    frontier = write_rows(run / "retrieval" / "figure.jsonl", read_rows(run / "frontier.jsonl")[:num_points])
    output = frontier.with_suffix(".anchored.jsonl")
    anchored(frontier, "fusion", output, TOP_K, seed=0)
    manifest = read_index_manifest(index())
    rows_of = {stored.problem.id: row for row, stored in _numbered(open_records(index(), manifest))}
    rows = [decode(line, Anchored) for line in output.open("rb")]
    embedder = engines.load_embedder(manifest.signals["joint"].embedder)
    root = ImageRoot(None)
    items = [EmbedItem(user_text(row.problem, ""), root.resolve_all(row.problem.images, str(output))) for row in rows]
    asked = embedder.embed(items)
    shown = sorted({rows_of[one.id] for row in rows for one in row.anchors} | set(list(rows_of.values())[::_SPACING]))
    truth = engines.load_index(index(), manifest, "joint").vectors(shown)
    centre = truth.mean(axis=0)
    axes = np.linalg.svd(truth - centre, full_matrices=False)[2][:2]
    stored = open_records(index(), manifest).get(shown)
    place = {one.problem.id: number for number, one in enumerate(stored)}

    def points(vectors: Any, problems: Sequence[Any]) -> list[list[Any]]:
        plane = ((vectors - centre) @ axes.T).tolist()
        pairs = zip(plane, problems, strict=True)
        return [[round(x, 4), round(y, 4), problem.source["family"]] for (x, y), problem in pairs]

    return {
        "frontier": points(asked, [row.problem for row in rows]),
        "truth": points(truth, [one.problem for one in stored]),
        "links": [
            [number, place[one.id], one.why.joint, one.rank, one.why.tier]
            for number, row in enumerate(rows)
            for one in row.anchors
        ],
    }


def draw(points: dict[str, Any], path: Path) -> None:
    """The plane of `figure`: the database pale, failing problems as stars, lines to their anchors, darker if nearer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    view, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    families = sorted({family for _, _, family in points["truth"]})
    colours = {family: pyplot.get_cmap("tab10")(number) for number, family in enumerate(families)}
    for frontier, truth, cosine, _, _ in points["links"]:
        ends = points["frontier"][frontier], points["truth"][truth]
        axes.plot(*zip(*(end[:2] for end in ends), strict=True), color="black", alpha=0.1 + 0.5 * cosine**8, lw=0.6)
    for family in families:
        for kind, marker, size, alpha in (("truth", "o", 10, 0.35), ("frontier", "*", 90, 1.0)):
            at = [(x, y) for x, y, of in points[kind] if of == family]
            label = family if kind == "truth" else None
            if at:
                axes.scatter(
                    *zip(*at, strict=True), color=colours[family], marker=marker, s=size, alpha=alpha, label=label
                )
    axes.set(xlabel="first principal component of the joint vectors", ylabel="second")
    axes.legend(title="family", fontsize=8)
    axes.set_title(
        "Failing problems (stars), the database (dots), and their anchors (lines; darker is more alike)", fontsize=9
    )
    view.savefig(path, dpi=130)


def _numbered(records: Any) -> Iterable[tuple[int, Any]]:
    rows = records.rows()
    return zip(rows, records.get(rows), strict=True)


def report(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["# Retrieval on the tiny world", ""]
    for condition, found in results.get("precision", {}).items():
        lines += [
            f"Precision@{TOP_K}, {condition}: {found['queries']} failing problems, 95% bootstrap intervals over them.",
            "",
            "| selection | precision@5 | fusion is better by |",
            "|---|---:|---:|",
        ]
        for name, values in found["precision"].items():
            better = found["fusion_minus"].get(name)
            lines.append(f"| {name} | {_interval(values, 3)} | {_interval(better, 3) if better else ''} |")
        lines.append("")
    runs = results.get("downstream", {})
    if runs:
        names = [name for name in ("base", *SELECTIONS) if any(name in one["accuracy"] for one in runs.values())]
        lines += [
            "Accuracy (mean of eight families, %) after the same SFT on rows made of the anchors of each selection, "
            "bare prompt; 95% bootstrap intervals clustered by picture.",
            "",
            "| selection | " + " | ".join(runs) + " |",
            "|---|" + "---:|" * len(runs),
        ]
        for name in names:
            each = [one["accuracy"].get(name) for one in runs.values()]
            cells = [_interval([100 * value for value in values], 1) if values else "" for values in each]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        # Selections that name few different anchors give few rows: the budget of steps is the same, the data is not.
        lines += [
            "",
            "Different rows trained on: " + "; ".join(f"{title}: {one['rows']}" for title, one in runs.items()),
            "",
        ]
    return "\n".join(lines)


def _interval(values: Sequence[float], digits: int) -> str:
    value, low, high = (f"{number:.{digits}f}" for number in values)
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("precision", "downstream", "figure"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the runs (default 0)")
    parser.add_argument("--rows", type=int, default=1536, help="rows of training data of each arm")
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps of each arm")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS), help="of precision")
    parser.add_argument("--selections", nargs="+", choices=SELECTIONS, default=list(SELECTIONS), help="arms to train")
    options = parser.parse_args()
    run = Path(f"runs/seed-{options.seeds[0]}")
    if options.part == "precision":
        _add({"precision": precision(run, options.conditions)})
    elif options.part == "figure":
        points = figure(run)
        FIGURE.write_text(json.dumps(points) + "\n", encoding="utf-8")
        draw(points, FIGURE.with_suffix(".png"))
    for seed in options.seeds if options.part == "downstream" else ():
        found = downstream(Path(f"runs/seed-{seed}"), seed, options.rows, options.steps, options.selections)
        _add({"downstream": {f"seed {seed}, {options.rows} rows, {options.steps} steps": found}})


def _add(found: dict[str, Any]) -> None:
    """Write what was found into the results beside what is there, and show all of it."""
    results = _merged(json.loads(RESULTS.read_text()) if RESULTS.exists() else {}, found)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(report(results), encoding="utf-8")
    print(report(results))


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for name, value in new.items():
        both = isinstance(value, dict) and isinstance(old.get(name), dict)
        merged[name] = _merged(old[name], value) if both else value
    return merged


if __name__ == "__main__":
    main()
