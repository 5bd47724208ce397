"""grade: grade saved completions again, by any rule, without generating.

reads:   rollout/1 or score/1
writes:  the same rows with new grades; score rows once for each profile
example: anectl grade scores.jsonl --profile strict --profile mathvista > regraded.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

import msgspec
import typer

from anectl import console, engines, options, sampling_options
from anectl.core.completion_grades import LazyVerifier
from anectl.core.errors import RowError, UsageError
from anectl.core.grading import explain as explained
from anectl.core.jsonl import decode, parse_object
from anectl.core.judging import JUDGE, Judging
from anectl.core.model_prompts import load_prompt
from anectl.core.ordered import ordered_map
from anectl.core.pace import expected_rows
from anectl.core.profiles import Profile, load_profile
from anectl.core.protocols import Verifier
from anectl.core.records import Completion, Problem, Record, Rollout, Score
from anectl.core.run import Run
from anectl.core.scoring import ByProfile, DisagreementLog, by_profile
from anectl.core.seen import Seen


class JudgeErrorChoice(StrEnum):
    """What a judge that fails does."""

    stop = "stop"
    label = "label"


Identity: TypeAlias = tuple[str | int, ...]
Graded: TypeAlias = tuple[Rollout | Score, ByProfile]

_MAX_CHANGES = 12


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    profile: options.Profiles = ["strict"],  # noqa: B006 - typer wants the default itself
    explain: Annotated[bool, typer.Option("--explain", help="Show on stderr how each grade came about.")] = False,
    disagreements: options.DisagreementFile = None,
    judge: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible server, asked about null rows.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judge's model name.")] = None,
    judge_prompt: Annotated[Path | None, typer.Option(help="YAML file with `system` and `user` texts.")] = None,
    judge_concurrency: Annotated[int, typer.Option(min=1, help="Requests to the judge at a time.")] = 8,
    on_judge_error: Annotated[
        JudgeErrorChoice, typer.Option(help="A judge that fails ends the run, or leaves the completion null, labelled.")
    ] = JudgeErrorChoice.stop,
    output: options.OutputFile = None,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Grade saved completions again, by one rule or several, without generating.

    Rollouts and scores come out as they went in, with new grades. Several --profile write each score row once per
    profile and show where they disagree. --judge asks a language model about completions that no rule could judge,
    and about no others; its key comes from OPENAI_API_KEY. --explain shows the path of every strict grade.

    Example: anectl grade scores.jsonl --profile strict --profile mathvista > regraded.jsonl
    """
    profiles = [load_profile(name) for name in dict.fromkeys(profile)]
    _refuse_odd_options([one.name for one in profiles], explain, judge, judge_model)
    log = console.log("grade")
    verifier = LazyVerifier(engines.load_verifier)
    with ExitStack() as closing:
        run = closing.enter_context(sampling_options.resumable_run("grade", context, log))
        differences = closing.enter_context(DisagreementLog(disagreements))
        finished = set()
        for done in _finished(run):
            finished.add((identity_of(done), done.profile))
            if isinstance(done, Score):
                differences.add_line(done, len(profiles))
        rows = read(run, closing.enter_context(Seen()), [one.name for one in profiles], finished)
        graded: Iterable[Graded] = ordered_map(lambda row: (row, regrade(row, profiles, verifier)), rows)
        judging = None
        if judge is not None and judge_model is not None:
            asks = engines.load_judge(judge, judge_model, concurrency=judge_concurrency)
            stop = on_judge_error is JudgeErrorChoice.stop
            judging = Judging(asks, load_prompt(judge_prompt, JUDGE), stop_on_error=stop)
            graded = judged(graded, judging)
        grades: Counter[tuple[str, str]] = Counter()
        with console.progress("grade", expected_rows(run.inputs, run.limit)) as advance:
            for row, found in graded:
                if explain:
                    _explain(row, verifier, log)
                _write(run, row, found, finished, grades)
                if len(found) > 1 and isinstance(row, Score):
                    differences.add(row.benchmark, row.problem_id, found)
                advance()
        run.notes["changes"] = [[*change, count] for change, count in _changed(grades)]
        if judging is not None:
            run.notes["judge"] = judging.facts()
    if judging is not None:
        log(judging.summary())
    _show(grades, differences if len(profiles) > 1 else None, log)


def read(
    run: Run, seen: Seen, profiles: Sequence[str], finished: Collection[tuple[Identity, str]] = ()
) -> Iterator[Rollout | Score]:
    """The rows to grade; lines of the same completions under a further profile are dropped.

    Rows whose lines an interrupted run has `finished`, under every profile, are only counted.
    """
    for line in run.lines():
        try:
            row = _decode(line.data)
            if isinstance(row, Rollout):
                if len(profiles) > 1:
                    raise RowError("a rollout has one grade", hint="name one --profile, or score with `eval`")
            elif row.problem is None:
                raise RowError(
                    "the score does not hold its problem", hint="anectl eval PROBLEMS --predictions SCORES finds it"
                )
            elif first := seen.add((*identity_of(row), row.profile), line.path, line.number):
                raise RowError(f"problem {row.problem_id!r} of {row.benchmark!r} stands at {first} already")
            elif seen.add(identity_of(row), line.path, line.number):
                run.drop("the same completions under another profile")
                continue
        except RowError as error:
            run.reject(line, error)
            continue
        if finished and all((identity_of(row), name) in finished for name in profiles):
            run.keep()
        else:
            yield row


def identity_of(row: Rollout | Score) -> Identity:
    """What tells the completions of a row from all others of the run."""
    if isinstance(row, Score):
        return (row.policy, row.benchmark, row.problem_id, row.scaffold_level)
    return (row.policy, row.key or row.problem.id, row.sampling.seed, row.sampling.n)


def regrade(row: Rollout | Score, profiles: Iterable[Profile], verifier: Verifier) -> ByProfile:
    """The completions of a row under each profile."""
    return by_profile(problem_of(row), row.completions, profiles, verifier)


def judged(graded: Iterable[Graded], judging: Judging) -> Iterator[Graded]:
    """The rows with the judge's verdicts on what their one profile left null."""
    rows = (((row, name), problem_of(row), completions) for row, found in graded for name, completions in found.items())
    for (row, name), completions in judging(rows):
        yield row, {name: completions}


def problem_of(row: Rollout | Score) -> Problem:
    """The problem of a row; `read` lets no score without one through."""
    if row.problem is None:
        raise ValueError("a score without its problem")
    return row.problem


def _decode(data: bytes) -> Rollout | Score:
    fields = parse_object(data)
    tag = str(fields.get("schema", ""))
    if tag.startswith("problem/") or not (tag or "problem" in fields):
        raise RowError(
            "no rollout and no score", hint="anectl eval PROBLEMS --predictions FILE scores rows with an id and a text"
        )
    kind: type[Record] = Score if tag.startswith("score/") else Rollout
    row = decode(data, kind)
    if type(row) is Rollout or isinstance(row, Score):
        return row
    raise RowError(
        "a frontier row follows from its grades", hint="grade the rollouts, then run locate-frontier on them again"
    )


def _finished(run: Run) -> Iterator[Rollout | Score]:
    for line in run.output.finished() if run.resuming else ():
        try:
            yield _decode(line.data)
        except RowError as error:
            raise error.at(line.path, line.number) from None


def _write(
    run: Run,
    row: Rollout | Score,
    found: ByProfile,
    finished: Collection[tuple[Identity, str]],
    grades: Counter[tuple[str, str]],
) -> None:
    rows = 1
    for name, completions in found.items():
        # A kill may fall between the lines of two profiles; only what is missing is written then.
        if not finished or (identity_of(row), name) not in finished:
            run.write(msgspec.structs.replace(row, profile=name, completions=completions), rows=rows)
            rows = 0
        if name == row.profile:
            for before, after in zip(row.completions, completions, strict=True):
                grades[_outcome(before), _outcome(after)] += 1


def _outcome(completion: Completion) -> str:
    verdict = {True: "correct", False: "wrong", None: "null"}[completion.correct]
    return f"{verdict} ({completion.reason})" if completion.reason else f"{verdict}, not graded"


def _explain(row: Rollout | Score, verifier: Verifier, log: Callable[[str], None]) -> None:
    problem = problem_of(row)
    for number, completion in enumerate(row.completions):
        told = explained(completion.text, completion.finish_reason, problem, verifier)
        log(f"{problem.id}[{number}]: " + " ".join(told.steps))


def _changed(grades: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    """The pairs of grades, before and now, that differ, the most common first."""
    return [(pair, count) for pair, count in grades.most_common() if pair[0] != pair[1]]


def _show(grades: Counter[tuple[str, str]], differences: DisagreementLog | None, log: Callable[[str], None]) -> None:
    changed = _changed(grades)
    # Nothing can change where no row had a grade by one of these profiles.
    if grades:
        log(f"{sum(count for _, count in changed)} of {grades.total()} grades changed")
    if changed:
        rows = [[before, after, str(count)] for (before, after), count in changed[:_MAX_CHANGES]]
        console.table("grades that changed, under the profile they had", ("before", "now", "completions"), rows)
    if differences is not None:
        console.table("completions on which profiles disagree", *differences.counts.as_table())


def _refuse_odd_options(profiles: Sequence[str], explain: bool, judge: str | None, judge_model: str | None) -> None:
    if explain and "strict" not in profiles:
        raise UsageError("--explain explains the strict grade only", hint="add --profile strict")
    if (judge is None) != (judge_model is None):
        raise UsageError("a judge needs both --judge URL and --judge-model NAME")
    if judge is None:
        return
    if len(profiles) > 1:
        raise UsageError("a judge needs a single --profile", hint="it is asked what that one profile left null")
    url = urlsplit(judge)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError(f"--judge {judge!r} is not a URL", hint="such as http://localhost:8000/v1")
    if url.username or url.password:
        raise UsageError("--judge: no password in the URL, it would be recorded", hint="set OPENAI_API_KEY instead")
