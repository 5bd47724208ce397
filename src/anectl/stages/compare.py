"""compare: is a policy better than the baseline on the same problems, and by how much.

reads:   score/1, one file per policy; the first is the baseline
writes:  comparison/1, for each other file one line per benchmark and one for their mean
example: anectl compare base.scores.jsonl m2.scores.jsonl > comparison.jsonl

A problem's accuracy is the share of its completions that are correct; one that could not be judged is not correct,
as benchmarks have it. For the exact McNemar test a problem is solved when that share is over one half: with one
completion each (greedy), when it is correct. The mean weighs benchmarks equally; its test pools their flips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple, TypeAlias

import msgspec
import typer

from anectl import console, options
from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.jsonl import decode
from anectl.core.metrics import mcnemar_exact, mean, stratified_bootstrap
from anectl.core.records import Comparison, Score
from anectl.core.run import Run

MEAN = "mean"
_SHOWN_IDS = 3


def command(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="Score files, the baseline first.", metavar="FILE...")],
    output: options.OutputFile = None,
    seed: options.Seed = 0,
    config: options.Config = None,
) -> None:
    """Compare the scores of policies on the same problems, problem by problem.

    Prints per benchmark the accuracies, their difference with a 95% interval (bootstrap over images, paired by
    problem), the exact McNemar p-value and how many problems flipped each way. The files must hold the same problems.

    Example: anectl compare base.scores.jsonl m2.scores.jsonl > comparison.jsonl
    """
    if len(inputs) < 2 or len(set(inputs)) < len(inputs):
        raise UsageError("compare needs two or more different files, the baseline first")
    log = console.log("compare")
    with Run("compare", context.params, inputs=inputs, output=output, log=log) as run:
        files = _read(run)
        baseline, *others = files.values()
        for other in others:
            refuse_unpaired(baseline, other)
            for note in differences(baseline, other):
                log(note)
        for other in others:
            rows = list(compare(baseline, other, seed=seed))
            for row in rows:
                run.write(row, rows=0)
            _show(rows)


class Outcome(NamedTuple):
    """One problem of one file: where it stands, how many of its completions were what, and its cluster."""

    line: int
    num_completions: int
    num_correct: int
    num_unjudged: int
    cluster: str

    @property
    def accuracy(self) -> float:
        """Share of the completions that are correct, 0..1."""
        return self.num_correct / self.num_completions

    @property
    def solved(self) -> bool:
        """Whether more than half of the completions are correct."""
        return 2 * self.num_correct > self.num_completions


ProblemKey: TypeAlias = tuple[str, str]
"""Benchmark and problem id."""


class Scores(NamedTuple):
    """All problems of one file, and the settings their completions were drawn and graded under."""

    path: str
    outcomes: dict[ProblemKey, Outcome]
    settings: dict[str, set[str]]


def compare(a: Scores, b: Scores, *, seed: int) -> Iterator[Comparison]:
    """One comparison per benchmark, in the baseline's order, then their mean. `a` and `b` hold the same problems."""
    by_benchmark: dict[str, dict[str, tuple[Outcome, Outcome]]] = {}
    for (benchmark, problem), outcome in a.outcomes.items():
        by_benchmark.setdefault(benchmark, {})[problem] = outcome, b.outcomes[benchmark, problem]
    for benchmark, pairs in by_benchmark.items():
        yield _test(benchmark, {benchmark: pairs}, (a.path, b.path), seed)
    yield _test(MEAN, by_benchmark, (a.path, b.path), seed)


def _test(
    name: str, benchmarks: Mapping[str, Mapping[str, tuple[Outcome, Outcome]]], paths: tuple[str, str], seed: int
) -> Comparison:
    strata = []
    flips: dict[bool, list[str]] = {True: [], False: []}
    for benchmark, pairs in benchmarks.items():
        strata.append([(one.cluster, other.accuracy - one.accuracy) for one, other in pairs.values()])
        for problem, (one, other) in pairs.items():
            if one.solved != other.solved:
                flips[other.solved].append(f"{benchmark}/{problem}" if name == MEAN else problem)
    low, high = stratified_bootstrap(strata, seed=seed)
    accuracy_a, accuracy_b = (
        mean(mean(pair[side].accuracy for pair in pairs.values()) for pairs in benchmarks.values()) for side in (0, 1)
    )
    return Comparison(
        path_a=paths[0],
        path_b=paths[1],
        benchmark=name,
        num_problems=sum(map(len, benchmarks.values())),
        accuracy_a=accuracy_a,
        accuracy_b=accuracy_b,
        difference=mean(mean(value for _, value in stratum) for stratum in strata),
        low=low,
        high=high,
        p_value=mcnemar_exact(len(flips[True]), len(flips[False])),
        gained=tuple(flips[True]),
        lost=tuple(flips[False]),
    )


def refuse_unpaired(a: Scores, b: Scores) -> None:
    """Raises AnectlError where a problem of one file is not in the other, naming some of them and their lines."""
    for one, other in ((a, b), (b, a)):
        alone = [key for key in one.outcomes if key not in other.outcomes]
        if alone:
            benchmark, problem = alone[0]
            ids = ", ".join("/".join(key) for key in alone[:_SHOWN_IDS]) + (", ..." if len(alone) > _SHOWN_IDS else "")
            raise AnectlError(
                f"{len(alone)} problems are not in {other.path}: {ids}",
                path=one.path,
                line=one.outcomes[benchmark, problem].line,
                hint="score both policies on the same problems: rows are compared in pairs",
            )


def differences(a: Scores, b: Scores) -> Iterator[str]:
    """What a reader should know before trusting the pairing: other settings, other images, nulls."""
    for name, values in a.settings.items():
        if values != b.settings[name]:
            yield f"note: {name} differs: {a.path} has {_listed(values)}; {b.path} has {_listed(b.settings[name])}"
    moved = sum(outcome.cluster != b.outcomes[key].cluster for key, outcome in a.outcomes.items())
    if moved:
        yield f"note: {moved} problems have other images (another cluster) in {b.path} than in {a.path}"
    for scores in (a, b):
        unjudged = sum(outcome.num_unjudged for outcome in scores.outcomes.values())
        if unjudged:
            yield f"note: {unjudged} completions in {scores.path} could not be judged and count as not correct"


def _listed(values: set[str]) -> str:
    return ", ".join(sorted(values))


def _read(run: Run) -> dict[str, Scores]:
    files: dict[str, Scores] = {}
    for line in run.lines():
        scores = files.setdefault(line.path, Scores(line.path, {}, {}))
        try:
            score = decode(line.data, Score)
            key = score.benchmark, score.problem_id
            if key in scores.outcomes:
                first = scores.outcomes[key].line
                raise RowError(f"problem {score.problem_id!r} of {score.benchmark!r} stands at line {first} already")
            scores.outcomes[key] = _outcome(score, line.number)
        except RowError as error:
            raise error.at(line.path, line.number) from None
        # Seeds may differ: they make other draws, not another measurement.
        sampling = msgspec.structs.replace(score.sampling, seed=0, extra={})
        drawn = " ".join(f"{name}={value!r}" for name, value in msgspec.structs.asdict(sampling).items() if value)
        for name, value in (
            ("scaffold_level", str(score.scaffold_level)),
            ("sampling", drawn),
            ("profile", score.profile),
        ):
            scores.settings.setdefault(name, set()).add(value)
        run.keep()
    if len(files) < len(run.inputs):
        raise AnectlError("no rows in it", path="<stdin>")
    return files


def _outcome(score: Score, line: int) -> Outcome:
    verdicts = [completion.correct for completion in score.completions]
    if not verdicts:
        raise RowError(f"problem {score.problem_id!r} has no completion")
    cluster = score.cluster or score.problem_id
    return Outcome(line, len(verdicts), verdicts.count(True), verdicts.count(None), cluster)


def _show(rows: list[Comparison]) -> None:
    console.table(
        f"{rows[0].path_b} against {rows[0].path_a}",
        ("benchmark", "problems", "a", "b", "b - a", "95% interval", "McNemar p", "gained", "lost"),
        (
            (
                row.benchmark,
                str(row.num_problems),
                f"{row.accuracy_a:.3f}",
                f"{row.accuracy_b:.3f}",
                f"{row.difference:+.3f}",
                f"{row.low:+.3f} to {row.high:+.3f}",
                f"{row.p_value:.2g}",
                str(len(row.gained)),
                str(len(row.lost)),
            )
            for row in rows
        ),
    )
