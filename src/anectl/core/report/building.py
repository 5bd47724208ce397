"""From the folders of runs to a page: gather, choose, draw, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.records import Disagreement, Reject, Result, Round, Temperature
from anectl.core.report import eval_view, frontier_view, page, training_view
from anectl.core.report.artifacts import Artifact, find_files
from anectl.core.report.choice import STATES, Chosen, choose
from anectl.core.report.figures import Figure
from anectl.core.report.gallery import Gallery, index_row
from anectl.core.report.gathering import Gathering, Series
from anectl.core.report.markup import inert_json, json_block
from anectl.core.report.provenance import Step, in_order, place_of
from anectl.core.report.safe_text import short
from anectl.core.report.thumbnails import BLOCK, Thumbnails

_MANIFEST = ".manifest.json"
_SAMPLE = 40
_TEXT_SIZES = (6000, 4000, 2500, 1600, 1000, 600, 350, 200)


class Limits(NamedTuple):
    """How large the page may become: problems, bytes, and the longer side of a picture (null: by the problems)."""

    problems: int = 2000
    size: int = 25_000_000
    image_size: int | None = None


@dataclass(eq=False)
class Report:
    """All that the page says but the problems themselves."""

    gathering: Gathering
    runs: Sequence[str]
    steps: list[Step]
    columns: list[eval_view.Scored] = field(default_factory=list)
    tests: list[eval_view.Test] = field(default_factory=list)
    maps: list[tuple[Series, list[frontier_view.Tally]]] = field(default_factory=list)
    moved: list[frontier_view.Movement] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    pair: tuple[Series | None, Series | None] = (None, None)

    @property
    def headline(self) -> eval_view.Test | None:
        """The comparison that the page is about, over all benchmarks where there are several."""
        return next((one for one in reversed(self.tests) if (one.baseline, one.series) == self.pair), None)

    @property
    def compares(self) -> bool:
        """Whether the report is about two runs."""
        return len(self.runs) > 1


def gather(gathering: Gathering, runs: Sequence[Path], also: Sequence[Path]) -> list[Step]:
    """Read all files of the runs, and those that belong to each of them, in the order in which they came about.

    Raises AnectlError when none of them holds anything that is known.
    """
    found: list[tuple[int, Path, Path]] = []
    for run, folder in enumerate(runs):
        if not folder.is_dir():
            raise AnectlError(
                "is no folder", path=str(folder), hint="name the folder of a run; --add takes single files"
            )
        for base in (folder, *also):
            files, unfinished = ([base], []) if base.is_file() else find_files(base)
            found += [(run, base if base.is_dir() else base.parent, file) for file in files]
            gathering.faults += unfinished
    steps = in_order([step for run, _, path in found if (step := _step(run, path)) is not None])
    manifests = {step.path for step in steps}
    keyed = sorted(found, key=lambda one: (one[0], *place_of(str(one[2]), steps, one[0]), str(one[2])))
    for number, (run, base, path) in enumerate(keyed):
        artifact = Artifact(number, run, str(path), str(path.relative_to(base)), order=number)
        if artifact.path in manifests:
            gathering.artifacts.append(artifact)
            artifact.counts["manifest/1"] += 1
        else:
            gathering.read(artifact)
    if not any(artifact.counts for artifact in gathering.artifacts):
        first = gathering.faults[0] if gathering.faults else None
        reason = "" if first is None else f"; {first.path}: {first.problem}"
        raise AnectlError(f"no records in it{reason}", path=str(runs[0]), hint="name the folder that a run wrote into")
    return steps


def _step(run: int, path: Path) -> Step | None:
    """The step of a manifest; whether a JSON file is one, its schema says."""
    if path.suffix != ".json":
        return None
    try:
        value = msgspec.json.decode(path.read_bytes()) if path.stat().st_size < 8 << 20 else None
        age = path.stat().st_mtime
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, dict) and value.get("schema") == "manifest/1":
        return Step(str(path), run, age, value)
    return None


def analyse(report: Report, limits: Limits, *, baseline: str | None, after: str | None, seed: int) -> None:
    """Fill the report from what was gathered. Raises UsageError for a policy that is not there.

    What is lost and gained, and the sentence above the page, are about `after`, by default the last bare policy.
    """
    gathering = report.gathering
    gathering.store.finish_reading()
    rollouts, scores = list(gathering.rollouts.values()), list(gathering.scores.values())
    for each in (rollouts, scores):
        name_series(each, runs=len(report.runs))
    report.columns = eval_view.scored(scores, seed=seed)
    first = eval_view.series_named(scores, baseline, option="--baseline")
    pairs = eval_view.pairs_to_test(scores, first, two_runs=report.compares)
    report.tests = eval_view.tests(gathering.store, pairs, seed=seed)
    report.maps = [(series, frontier_view.tallies(gathering.store, series)) for series in rollouts]
    report.moved = list(frontier_view.movements(gathering.store, rollouts, between_runs=report.compares))
    named = None if after is None else eval_view.series_named(scores, after, option="--after")
    found = [(a, b) for a, b in pairs if b is named] or [(a, b) for a, b in pairs if b.level == 0] or pairs
    report.pair = found[-1] if found else (first, first)
    report.chosen, report.counts = choose(gathering.store, *report.pair, limits.problems)


def name_series(each: Sequence[Series], *, runs: int) -> None:
    """Give every series a label that no other has: the end of its policy's path, and what else tells it from others."""
    policies = list(dict.fromkeys(series.policy for series in each))
    names = {policy: _shortest(policy, policies) for policy in policies}
    taken: set[str] = set()
    for series in each:
        file = short(series.artifact.shown.removesuffix(".jsonl"), 40)
        run = f"{'AB'[series.artifact.run]}: " if runs > 1 else ""
        base = run + short(names[series.policy], 60) + (f", scaffold L{series.level}" if series.level else "")
        drawn = "" if series.temperature is None else f", T={series.temperature:g}"
        options = [base, f"{base}{drawn}", f"{base}, {file}", f"{base}{drawn}, {file}"]
        options += [f"{base}, {file}, {number}" for number in range(2, len(each) + 3)]
        series.label = next(option for option in options if option not in taken)
        taken.add(series.label)


def _shortest(policy: str, among: Sequence[str]) -> str:
    """The fewest last parts of a path that no other path ends with."""
    parts = policy.rstrip("/").split("/")
    for number in range(1, len(parts)):
        end = "/".join(parts[-number:])
        if end and not any(other != policy and f"/{other.rstrip('/')}".endswith(f"/{end}") for other in among):
            return end
    return policy


def figures(report: Report) -> dict[str, list[Figure]]:
    """All figures by the part of the page that shows them; --plots writes the same."""
    found: dict[str, list[Figure]] = {"evaluation": [], "frontier": [], "rounds": []}
    for profile in dict.fromkeys(column.profile for column in report.columns):
        found["evaluation"].append(eval_view.accuracy_figure(report.columns, profile))
    groups: dict[tuple[int, str], list[eval_view.Test]] = {}
    for test in report.tests:
        if report.compares or test.series is report.pair[1]:
            groups.setdefault((test.series.number, test.comparison.profile), []).append(test)
    shown = list(groups.values())
    found["evaluation"] += [eval_view.difference_figure(tests, number) for number, tests in enumerate(shown)]
    if report.maps:
        found["frontier"] = [frontier_view.zones_figure(report.maps)]
        found["frontier"] += [frontier_view.map_figure(*one, number) for number, one in enumerate(report.maps)]
    records = report.gathering.records
    found["rounds"] = training_view.round_figures([record for _, record in records(Round)])
    temperatures = enumerate(record for _, record in records(Temperature))
    found["rounds"] += [training_view.temperature_figure(record, number) for number, record in temperatures]
    for number, (artifact, curve) in enumerate(report.gathering.curves.items()):
        name = report.gathering.artifacts[artifact].shown
        found[f"training:{artifact}"] = training_view.training_figures(curve, name, number)
    return found


def results(report: Report) -> list[tuple[Artifact, Result]]:
    """The results of training commands."""
    return report.gathering.records(Result)


def rejects(report: Report) -> list[tuple[Artifact, Reject]]:
    """The rows that the run itself had to leave out."""
    return report.gathering.records(Reject)


def disagreements(report: Report) -> list[tuple[Artifact, Disagreement]]:
    """The completions that profiles judge differently."""
    return report.gathering.records(Disagreement)


def links(chosen: Sequence[Chosen]) -> dict[tuple[str, str], str]:
    """What links call the problems of the page, by benchmark and id."""
    return {(one.benchmark, one.identity): one.name for one in chosen}


def problem_data(report: Report, limits: Limits, root: Path | None, step: Callable[[str], None]) -> Iterator[bytes]:
    """The data of the problems: details and images in blocks, then the list of all. Calls `step` for each problem.

    Texts are cut to the largest of a few lengths at which a sample of the problems says that the page will fit.
    """
    size = limits.image_size or next(
        pixels for many, pixels in ((250, 384), (800, 256), (10**9, 176)) if len(report.chosen) <= many
    )
    thumbnails = Thumbnails(root, size, limits.size // 2)
    gallery = _gallery(report, thumbnails, _fitting(report, limits.size // 2))
    index: list[dict[str, Any]] = []
    for number, chunk in enumerate(_chunks(report.chosen, page.CHUNK)):
        details = []
        for chosen in chunk:
            details.append(gallery.detail(chosen))
            step("")
        index += map(index_row, details)
        yield json_block(f"details-{number}", details)
        for name, images in thumbnails.blocks():
            yield json_block(name, images)
    for name, images in thumbnails.blocks(last=True):
        yield json_block(name, images)
    yield json_block("index", index)
    yield json_block("page", {"chunk": page.CHUNK, "images": BLOCK, "states": list(STATES)})
    report.counts |= {"images": thumbnails.count, "missing images": thumbnails.num_missing}
    report.counts |= {"images left out": thumbnails.num_left_out, "characters of a text": gallery.most}
    report.counts |= {"changed files": len(gallery.changed)}


def _gallery(report: Report, thumbnails: Thumbnails, most: int) -> Gallery:
    labels = {
        (series.artifact.number, series.policy, series.level): series.label
        for series in report.gathering.scores.values()
    }
    store, artifacts = report.gathering.store, report.gathering.artifacts
    return Gallery(store, artifacts, labels, thumbnails, most=most, show_run=report.compares)


def _fitting(report: Report, budget: int) -> int:
    """The longest text at which the details of all problems fit the budget, by a sample that is spread over them."""
    sample = report.chosen[:: max(1, len(report.chosen) // _SAMPLE)]
    for most in _TEXT_SIZES:
        gallery = _gallery(report, Thumbnails(None, 8, 0), most)
        used = sum(len(inert_json(gallery.detail(chosen))) for chosen in sample)
        if used / max(len(sample), 1) * len(report.chosen) <= budget:
            return most
    return _TEXT_SIZES[-1]


def _chunks(items: Iterable[Chosen], size: int) -> Iterator[list[Chosen]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
