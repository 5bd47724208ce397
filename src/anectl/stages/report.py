"""report: look at a run: one page with its frontier, its problems, its training and what it was worth.

reads:   the folders of one run or two; every row is known by its schema, whatever its file is called
writes:  one HTML file that asks nothing of any server; with --plots also its figures as SVG and PNG
example: anectl report runs/seed-0 -o report.html

The page is no record, so it does not go to stdout. It has the run's own manifests in it and gets none of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anectl import console, engines, options
from anectl.core.errors import AnectlError, UsageError
from anectl.core.output import Output, write_atomic
from anectl.core.report import building, writing
from anectl.core.report.building import Limits, Report
from anectl.core.report.figure_svg import standalone
from anectl.core.report.gathering import Gathering
from anectl.core.report.store import Store

_MOST_NAMED = 20


def command(
    context: typer.Context,
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a run; two folders are compared.", metavar="RUN_DIR [B]")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The page, written whole or not at all.")
    ] = "report.html",
    add: Annotated[
        list[Path],
        typer.Option("--add", help="File or folder that belongs to each run too, such as the base's scores."),
    ] = [],  # noqa: B006
    baseline: Annotated[
        str | None,
        typer.Option(help="Scores that the others are compared with: a policy or a file; default the first."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="Scores that gained and lost are about: a policy or a file; default the last.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Write the figures into this folder, for papers.")] = None,
    max_problems: Annotated[int, typer.Option(min=1, help="Most problems on the page, worst first.")] = 2000,
    max_mb: Annotated[int, typer.Option(min=1, help="About how large the page may become, in MB.")] = 25,
    image_size: Annotated[
        int | None,
        typer.Option(min=16, max=1024, help="Longer side of the pictures; default by the number of problems."),
    ] = None,
    image_root: options.Root = None,
    seed: options.Seed = 0,
    on_error: options.OnError = options.OnErrorChoice.fail,
    config: options.Config = None,
) -> None:
    """Make one HTML page of a run: frontier, failing problems, training curves, evaluation, and how it came about.

    The page is one file without any outside request: figures, pictures and rows are in it. Problems can be filtered,
    searched and linked to (#p=ID), with the keyboard too; `?` on the page lists the keys. With two folders it compares
    two runs of the same problems, A and B.

    Example: anectl report runs/seed-0 --add runs/base.scores.jsonl -o report.html
    """
    if len(runs) > 2 or len(set(runs)) < len(runs):
        raise UsageError("report takes one folder, or two different ones to compare")
    log = console.log("report")
    limits = Limits(max_problems, max_mb * 1_000_000, image_size)
    with Store() as store, Gathering(store, skip_bad_rows=on_error is options.OnErrorChoice.skip) as gathering:
        steps = building.gather(gathering, runs, add)
        for fault in gathering.faults[:_MOST_NAMED]:
            log(f"{fault.path}: {fault.problem}")
        if len(gathering.faults) > _MOST_NAMED:
            log(f"{len(gathering.faults) - _MOST_NAMED} more such files and rows are named on the page")
        report = Report(gathering, [_name(run) for run in runs], steps)
        building.analyse(report, limits, baseline=baseline, after=after, seed=seed)
        size = _write(report, limits, output, image_root)
        log(summary(report, output, size))
        if plots is not None:
            log(write_plots(report, plots))


def _name(run: Path) -> str:
    return "/".join(run.resolve().parts[-2:])


def _write(report: Report, limits: Limits, output: str, image_root: Path | None) -> int:
    size = 0
    if output == "-":
        raise UsageError("the page is no record: it goes to a file", hint="-o report.html")
    with Output(output) as page, console.progress("report", len(report.chosen)) as step:
        for piece in writing.pieces(report, limits, image_root, step):
            page.write(piece)
            size += len(piece)
    return size


def summary(report: Report, output: str, size: int) -> str:
    """One sentence for people."""
    counts = report.counts
    missing = f", {counts['missing images']} images not found (--image-root)" if counts.get("missing images") else ""
    left_out = f", {counts['images left out']} left out for size (--max-mb)" if counts.get("images left out") else ""
    changed = f", {counts['changed files']} files changed while they were read" if counts.get("changed files") else ""
    return (
        f"{output}: {len(report.chosen)} problems, {counts.get('images', 0)} images{missing}{left_out}{changed}, "
        f"{len(report.columns)} policies scored, {len(report.gathering.curves)} training logs, {size / 1e6:.1f} MB"
    )


def write_plots(report: Report, folder: Path) -> str:
    """Write each figure as SVG, and as PNG where matplotlib is installed; says what was written."""
    found = [figure for group in building.figures(report).values() for figure in group]
    for figure in found:
        write_atomic(folder / f"{_file_name(figure.name)}.svg", standalone(figure).encode())
    try:
        drawing = engines.load_engine("figure_png", "plots")
    except AnectlError as error:
        return f"{len(found)} figures as SVG in {folder}; none as PNG: {error.problem} ({error.hint})"
    for figure in found:
        write_atomic(folder / f"{_file_name(figure.name)}.png", drawing.png(figure))
    return f"{len(found)} figures as SVG and PNG in {folder}"


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_" else "-" for character in name)[:80]
