"""compare: is a policy better than the baseline on the same problems, and by how much.

reads:   score/1, one file per policy; the first is the baseline
writes:  comparison/1, for each other file and profile one line per benchmark and one for their mean
example: anectl compare base.scores.jsonl m2.scores.jsonl > comparison.jsonl

A problem's accuracy is the share of its completions that are correct; one that could not be judged is not correct,
as benchmarks have it. For the exact McNemar test a problem is solved when that share is over one half: with one
completion each (greedy), when it is correct. The mean weighs benchmarks equally; its test pools their flips. The test
takes problems as independent; where many share an image, the interval is the safer judge.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, NamedTuple, TypeAlias

import msgspec
import typer

from anectl import console, options
from anectl.core.accuracy import MEAN, Outcome
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.jsonl import decode
from anectl.core.paired import Pair, adjusted, compare_pairs
from anectl.core.records import Comparison, Score
from anectl.core.run import Run

_SHOWN_IDS = 3


def command(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="Score files, the baseline first.", metavar="FILE...")],
    output: options.OutputFile = None,
    gain: Annotated[
        float, typer.Option(min=0.0001, max=1, help="Gain for which the number of problems needed is given.")
    ] = 0.02,
    flips: Annotated[bool, typer.Option("--flips", help="List the problems gained and lost on stderr.")] = False,
    seed: options.Seed = 0,
    config: options.Config = None,
) -> None:
    """Compare the scores of policies on the same problems, problem by problem.

    Prints per benchmark the accuracies, their difference with a 95% interval (bootstrap over images, paired by
    problem), the exact McNemar p-value, the same adjusted for all tests of this call (Holm), how many problems
    flipped each way, and how many would be needed to find a gain of --gain with 80% power. The files must hold the
    same problems under the same scoring profiles; each profile is compared by itself.

    Example: anectl compare base.scores.jsonl m2.scores.jsonl > comparison.jsonl
    """
    if len(inputs) < 2 or len(set(inputs)) < len(inputs):
        raise UsageError("compare needs two or more different files, the baseline first")
    log = console.log("compare")
    with Run("compare", context.params, inputs=inputs, output=output, log=log) as run:
        baseline, *others = _read(run)
        for other in others:
            refuse_unpaired(baseline, other)
            for note in differences(baseline, other):
                log(note)
        rows = adjusted(row for other in others for row in compare(baseline, other, seed=seed, gain=gain))
        for row in rows:
            run.write(row, rows=0)
        for title, found in _by_title(rows).items():
            # The mean of one benchmark would say the same again.
            shown = found[:1] if len(found) == 2 else found
            _show(title, shown)
            _show_doubts(title, shown)
            if flips:
                _show_flips(title, shown)


class Entry(NamedTuple):
    """One problem of one file, and the line it stands on."""

    line: int
    outcome: Outcome


Entries: TypeAlias = dict[str, dict[str, Entry]]
"""By benchmark, then by problem id."""


@dataclass
class Scores:
    """What a score file holds, by profile; `settings` are the values of each setting that may make it another test."""

    path: str
    profiles: dict[str, Entries] = field(default_factory=dict)
    settings: dict[str, set[str]] = field(default_factory=dict)


def compare(a: Scores, b: Scores, *, seed: int, gain: float) -> Iterator[Comparison]:
    """For each profile one comparison per benchmark, in the baseline's order, then their mean; p not yet adjusted.

    `a` and `b` hold the same problems.
    """
    for profile, benchmarks in a.profiles.items():
        others = b.profiles[profile]
        pairs = {
            benchmark: [Pair(name, one.outcome, others[benchmark][name].outcome) for name, one in problems.items()]
            for benchmark, problems in benchmarks.items()
        }
        parts = [(benchmark, {benchmark: found}) for benchmark, found in pairs.items()]
        for name, part in (*parts, (MEAN, pairs)):
            row = compare_pairs(name, part, seed=seed, gain=gain)
            yield msgspec.structs.replace(row, path_a=a.path, path_b=b.path, profile=profile)


def refuse_unpaired(a: Scores, b: Scores) -> None:
    """Raises AnectlError where a profile or problem of one file is not in the other, naming some of them."""
    if a.profiles.keys() != b.profiles.keys():
        raise AnectlError(
            f"scored under {_listed(b.profiles)}, but {a.path} under {_listed(a.profiles)}",
            path=b.path,
            hint="`anectl grade FILE --profile NAME` scores saved completions again, without generating",
        )
    for one, other in ((a, b), (b, a)):
        # Counted once, under however many profiles it stands.
        alone: dict[str, int] = {}
        for profile, benchmark, problem, entry in _entries(one):
            if problem not in other.profiles[profile].get(benchmark, {}):
                alone.setdefault(f"{benchmark}/{problem}", entry.line)
        if alone:
            ids = ", ".join(islice(alone, _SHOWN_IDS)) + (", ..." if len(alone) > _SHOWN_IDS else "")
            raise AnectlError(
                f"{len(alone)} problems are not in {other.path}: {ids}",
                path=one.path,
                line=next(iter(alone.values())),
                hint="score both policies on the same problems: rows are compared in pairs",
            )


def differences(a: Scores, b: Scores) -> Iterator[str]:
    """What a reader should know before trusting the pairing: other settings, other images, nulls."""
    for name, values in a.settings.items():
        if values != b.settings[name]:
            yield f"note: {name} differs: {a.path} has {_listed(values)}; {b.path} has {_listed(b.settings[name])}"
    moved = {
        (benchmark, problem)
        for profile, benchmark, problem, entry in _entries(a)
        if entry.outcome.cluster != b.profiles[profile][benchmark][problem].outcome.cluster
    }
    if moved:
        yield f"note: {len(moved)} problems have other images (another cluster) in {b.path} than in {a.path}"
    for scores in (a, b):
        unjudged: Counter[str] = Counter()
        for profile, _, _, entry in _entries(scores):
            unjudged[profile] += entry.outcome.num_null
        for profile, count in unjudged.items():
            under = f" under {profile}" if len(unjudged) > 1 else ""
            if count:
                yield f"note: {count} completions in {scores.path} could not be judged{under} and count as not correct"


def _entries(scores: Scores) -> Iterator[tuple[str, str, str, Entry]]:
    """Profile, benchmark, problem id and entry of every line."""
    for profile, benchmarks in scores.profiles.items():
        for benchmark, problems in benchmarks.items():
            for problem, entry in problems.items():
                yield profile, benchmark, problem, entry


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values))


def _read(run: Run) -> list[Scores]:
    files: dict[str, Scores] = {}
    for line in run.lines():
        scores = files.setdefault(line.path, Scores(line.path))
        try:
            score = decode(line.data, Score)
            entries = scores.profiles.setdefault(score.profile, {}).setdefault(score.benchmark, {})
            if score.problem_id in entries:
                first = entries[score.problem_id].line
                raise RowError(f"problem {score.problem_id!r} of {score.benchmark!r} stands at line {first} already")
            outcome = Outcome.of(score)
            # The same ids and clusters stand in every file and profile: one copy of each is enough.
            outcome = outcome._replace(cluster=sys.intern(outcome.cluster))
            entries[sys.intern(score.problem_id)] = Entry(line.number, outcome)
        except RowError as error:
            raise error.at(line.path, line.number) from None
        for name, value in (("scaffold_level", str(score.scaffold_level)), ("sampling", _drawn(score))):
            scores.settings.setdefault(name, set()).add(value)
        run.keep()
    if len(files) < len(run.inputs):
        raise AnectlError("no rows in it", path="<stdin>")
    return list(files.values())


def _drawn(score: Score) -> str:
    if score.sampling is None:
        return "not known"
    # Seeds may differ: they make other draws, not another measurement.
    sampling = msgspec.structs.replace(score.sampling, seed=0, extra={})
    return " ".join(f"{name}={value!r}" for name, value in msgspec.structs.asdict(sampling).items() if value)


def _by_title(rows: Sequence[Comparison]) -> dict[str, list[Comparison]]:
    """The rows of each table."""
    several = len({row.profile for row in rows}) > 1
    tables: dict[str, list[Comparison]] = {}
    for row in rows:
        title = f"{row.path_b} against {row.path_a}" + (f", profile {row.profile}" if several else "")
        tables.setdefault(title, []).append(row)
    return tables


def _show(title: str, rows: Sequence[Comparison]) -> None:
    columns = ["benchmark", "problems", "a", "b", "b - a", "95% interval", "McNemar p", "Holm p", "gained", "lost"]
    console.table(
        title,
        [*columns, f"n for {rows[0].gain:g}"],
        (
            (
                row.benchmark,
                str(row.num_problems),
                f"{row.accuracy_a:.3f}",
                f"{row.accuracy_b:.3f}",
                f"{row.difference:+.3f}",
                f"{row.low:+.3f} to {row.high:+.3f}",
                f"{row.p_value:.2g}",
                "" if row.p_holm is None else f"{row.p_holm:.2g}",
                str(len(row.gained)),
                str(len(row.lost)),
                str(row.num_needed_for_gain),
            )
            for row in rows
        ),
    )


def _show_flips(title: str, rows: Sequence[Comparison]) -> None:
    flips = [
        (problem, row.benchmark, flip)
        for row in rows
        if row.benchmark != MEAN
        for flip, problems in (("gained", row.gained), ("lost", row.lost))
        for problem in problems
    ]
    console.table(f"flips: {title}", ("problem", "benchmark", "flip"), flips)


def _show_doubts(title: str, rows: Sequence[Comparison]) -> None:
    """How far the nulls could move the difference, and how much was cut at the token limit; nothing if neither is."""
    if not any(row.lower_bound != row.upper_bound or row.truncation_rate_a or row.truncation_rate_b for row in rows):
        return
    console.table(
        f"nulls and cuts: {title}",
        ("benchmark", "b - a at least", "b - a at most", "cut in a", "cut in b"),
        (
            (
                row.benchmark,
                f"{row.lower_bound:+.3f}",
                f"{row.upper_bound:+.3f}",
                f"{row.truncation_rate_a:.1%}",
                f"{row.truncation_rate_b:.1%}",
            )
            for row in rows
        ),
    )
