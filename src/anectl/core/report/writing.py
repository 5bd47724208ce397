"""Puts the parts of a report together: the page in order, and the sentence that stands above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from anectl import __version__
from anectl.core.accuracy import MEAN
from anectl.core.records import Comparison, Reject, Round
from anectl.core.report import page, run_card, sections
from anectl.core.report.artifacts import Artifact
from anectl.core.report.building import (
    Limits,
    Report,
    disagreements,
    figures,
    links,
    problem_data,
    rejects,
    results,
)
from anectl.core.report.choice import STATES
from anectl.core.report.figures import Figure
from anectl.core.report.frontier_view import WORST_FIRST, mean_rate, zone_counts
from anectl.core.report.markup import Content, Markup, tag
from anectl.core.report.safe_text import short
from anectl.core.report.sections import percent

_MOST_ROWS = 50


def pieces(report: Report, limits: Limits, root: Path | None, step: Callable[[str], None]) -> Iterator[bytes]:
    """The page, from its first byte to its last, in pieces of bounded size."""
    drawn = figures(report)
    parts, menu = _sections(report, drawn)
    title = " and ".join(short(name, 80) for name in report.runs)
    rows = report.gathering.num_rows
    files = len(report.gathering.artifacts)
    kicker = f"anectl report · {files} files · {rows:,} rows · {len(report.chosen):,} problems shown"
    yield page.opening(title, kicker, _lede(report), menu, parts)
    yield from problem_data(report, limits, root, step)
    yield page.closing(f"Made by anectl {__version__}. One file; it asks nothing of any server.")


def _sections(report: Report, drawn: dict[str, list[Figure]]) -> tuple[list[Markup], list[tuple[str, str]]]:
    found: list[tuple[str, str, Markup]] = []
    if report.columns:
        tests = sections.paired_tests(report.tests, _names(report)) if report.tests else None
        found.append(("evaluation", "Evaluation", sections.evaluation(report.columns, drawn["evaluation"], tests)))
    if report.maps:
        found.append(
            ("frontier", "Frontier", sections.frontier(drawn["frontier"], report.moved, _frontier_note(report)))
        )
    logs = [
        (_named(report, report.gathering.artifacts[number]), _result_of(report, number), drawn[f"training:{number}"])
        for number in report.gathering.curves
    ]
    if logs:
        found.append(("training", "Training", sections.training(logs)))
    if drawn["rounds"]:
        found.append(("rounds", "Rounds", sections.rounds(drawn["rounds"], _ledger(report), None)))
    if report.chosen:
        found.append(("problems", "Problems", page.gallery(_gallery_note(report))))
    shown = {step.path: _shown(report, step.path) for step in report.steps}
    if report.steps:
        found.append(("card", "Run card", run_card.run_card(report.steps, shown)))
    read = [
        (_named(report, one), one.counts)
        for one in report.gathering.artifacts
        if one.counts and set(one.counts) != {"manifest/1"}
    ]
    found.append(("files", "Files", run_card.files(read, report.gathering.faults, _lists(report))))
    if not report.chosen:
        # The script looks for the parts of the gallery.
        found.append(("problems", "", tag("div", page.gallery(""), hidden=True)))
    return [markup for *_, markup in found], [(identity, text) for identity, text, _ in found if text]


def _names(report: Report) -> dict[tuple[str, str], str]:
    return links(report.chosen)


def _shown(report: Report, path: str) -> str:
    for artifact in report.gathering.artifacts:
        if artifact.path == path:
            return _named(report, artifact).removesuffix(".manifest.json")
    return path


def _named(report: Report, artifact: Artifact) -> str:
    """The path of a file inside its run, after the letter of the run where there are two."""
    return (f"{'AB'[artifact.run]}: " if report.compares else "") + short(artifact.shown)


def _lede(report: Report) -> list[Markup]:
    """What was found, in one sentence a part."""
    lines: list[Content] = []
    test = report.headline
    if test is not None:
        row: Comparison = test.comparison
        what = "mean over benchmarks" if row.benchmark == MEAN else row.benchmark
        change = f"{percent(row.accuracy_a)} to {percent(row.accuracy_b)}%, {sections.verdict(test)}"
        lines.append(f"Accuracy, {what}, {test.baseline.label} to {test.series.label}: {change}.")
    if report.maps:
        series, found = report.maps[-1]
        counts = zone_counts(found)
        zones = ", ".join(f"{counts[zone]:,} {zone}" for zone in WORST_FIRST)
        rate, (low, high) = mean_rate(found)
        mean = f"mean pass rate {percent(rate)}% ({percent(low)} to {percent(high)})"
        lines.append(f"Frontier of {series.label}: {zones}; {mean}.")
    rounds = report.gathering.records(Round)
    if rounds:
        lines.append(f"{len(rounds)} rounds of self-evolving training.")
    return [tag("p", line) for line in lines]


def _frontier_note(report: Report) -> str:
    return (
        "Each block is a group of problems that came out alike, from worst to best: the line is their pass rate, the "
        "shade its 95% interval. Zones are those of locate-frontier, where it wrote the row; else they follow from the "
        "Jeffreys prior and the default borders."
        + (" Only series of the same problems are compared." if report.moved else "")
    )


def _gallery_note(report: Report) -> str:
    counts = ", ".join(f"{report.counts[state]:,} {state}" for state in STATES if report.counts.get(state))
    total = len(report.chosen)
    return f"{total:,} problems, worst first. In the run: {counts}; gained and lost between {_pair(report)}."


def _pair(report: Report) -> str:
    test = report.headline
    return "policies" if test is None else f"{test.baseline.label} and {test.series.label}"


def _result_of(report: Report, number: int) -> str:
    """What the result beside a training log says."""
    folder = Path(report.gathering.artifacts[number].path).parent
    curve = report.gathering.curves[number]
    for artifact, result in results(report):
        if Path(artifact.path).parent == folder:
            metrics = ", ".join(f"{short(name, 40)} {value:.4g}" for name, value in list(result.metrics.items())[:16])
            return (
                f"{short(result.command, 40)} from {short(result.base)}: {result.num_examples:,} examples, "
                f"{result.steps:,} steps, {result.seconds:,.0f} s. {metrics}"
            )
    return f"{curve.last_step:,} steps; no result beside it, so the run has not ended."


def _ledger(report: Report) -> list[list[Content]]:
    rows: list[list[Content]] = []
    for _, one in sorted(report.gathering.records(Round), key=lambda pair: pair[1].number):
        shares = [
            "" if found is None else f"{percent(found.value)} ({percent(found.low)}–{percent(found.high)})"
            for found in (one.pass_rate, one.pass_at_k, one.greedy)
        ]
        kept = "" if one.reward_pass is None else percent(one.reward_pass.value)
        gap = "" if one.exploration is None else sections.points(one.exploration)
        surprisal = "" if one.surprisal is None else f"{one.surprisal:.3f}"
        rest = [gap, kept, surprisal, f"{one.mean_tokens:.1f}", percent(one.truncated)]
        rows.append(
            [str(one.number), short(one.policy, 60), f"{one.temperature:g}", str(one.num_problems), *shares, *rest]
        )
    return rows


def _lists(report: Report) -> list[Content]:
    """Rejected rows, and completions that profiles judge differently."""
    lists: list[Content] = []
    found: Sequence[tuple[Artifact, Reject]] = rejects(report)
    if found:
        rows = [
            [f"{short(one.path, 80)}:{one.line}", short(one.reason or one.problem), short(one.row, 120)]
            for _, one in found[:_MOST_ROWS]
        ]
        lists.append(sections.table(["row", "why", "text"], rows, caption="Rejected by the run", numbers_from=9))
    other = disagreements(report)
    if other:
        rows = [
            [
                f"{short(one.benchmark, 40)}/{short(one.problem_id, 60)}",
                "; ".join(f"{short(grade.profile, 40)}: {_word(grade.correct)}" for grade in one.grades[:8]),
                short(one.text, 120),
            ]
            for _, one in other[:_MOST_ROWS]
        ]
        lists.append(sections.table(["problem", "grades", "text"], rows, caption="Judged differently", numbers_from=9))
    return lists


def _word(correct: bool | None) -> str:
    return "not judged" if correct is None else "right" if correct else "wrong"
