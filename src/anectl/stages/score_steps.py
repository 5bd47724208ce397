"""score-steps: a process reward model's score of every step of every completion.

reads:   rollout/1, frontier/1 or anchored/1
writes:  the same rows with `steps` and `step_scores` on their completions
example: anectl score-steps rollouts.jsonl --prm ./prm > scored.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import msgspec
import typer

from anectl import console, engines, options, sampling_options
from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.keys import digest
from anectl.core.pace import expected_rows
from anectl.core.prm_report import ScoreReport
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import PromptRequest, StepScorer
from anectl.core.records import Completion, Rollout
from anectl.core.run import Run
from anectl.core.steps import Splitter, splitter


@dataclass(frozen=True, slots=True)
class Cut:
    """A checked row: its images are found, and its completions are cut into steps."""

    row: Rollout
    images: tuple[ImageRef, ...]
    is_finished: bool


def command(
    context: typer.Context,
    prm: Annotated[str, typer.Option("--prm", help="Folder of a process reward model, made by train-prm.")],
    inputs: options.Inputs = None,
    split: Annotated[
        str, typer.Option(help="What is a step where a completion is not cut yet: sentences, lines, regex:PATTERN.")
    ] = "sentences",
    batch_size: Annotated[int, typer.Option(min=1, help="Completions that are scored together.")] = 32,
    dtype: options.Dtype = "auto",
    image_root: options.Root = None,
    remote_images: options.RemoteImages = False,
    output: options.OutputFile = None,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Score every step of every completion by a process reward model.

    A score is the model's chance, 0 to 1, that the step is good. Use scores to choose among completions that are right
    already (`select --rule prm-top`), or to weigh votes; not to verify: the best by score of n is right less often than
    the majority in M-STaR's measurements, and the table that this prints says how it is here. Where steps are labelled
    (`backtrack --all-steps`) it prints the AUC and the calibration too. A completion that cannot be scored keeps null.

    Example: anectl score-steps rollouts.jsonl --prm ./prm > scored.jsonl
    """
    log = console.log("score-steps")
    with sampling_options.resumable_run("score-steps", context, log) as run:
        report = ScoreReport()
        finished: Counter[str] = Counter()
        for done in run.finished(Rollout):
            if done.step_scorer != prm:
                raise AnectlError(f"holds rows scored by {done.step_scorer!r}, not {prm!r}", path=str(run.output.path))
            finished[_mark(done)] += 1
            report.add(done)
        console.quiet_libraries()
        rows = read(run, ImageRoot(image_root, allow_remote=remote_images), splitter(split), finished)
        with console.progress("score-steps", expected_rows(run.inputs, run.limit)) as advance:
            for row in score_steps(rows, prm, batch_size, dtype):
                if row is None:
                    run.keep()
                else:
                    run.write(row)
                    report.add(row)
                advance(is_new=row is not None)
        run.notes["step_scores"] = report.facts()
    if report.curves:
        console.table("best of n, percent of the problems that are right", *report.as_table())
    log(report.summary())


def read(run: Run, root: ImageRoot, split: Splitter, finished: Counter[str]) -> Iterator[Cut]:
    """The rows of the run, checked; `finished` counts the marks of those an interrupted run has written."""
    latest: list[Cut] = []

    def check(row: Rollout, source: str | None) -> Rollout:
        images = root.resolve_all(row.problem.images, source)
        problem = msgspec.structs.replace(row.problem, images=tuple(image.ref for image in images))
        completions = tuple(_cut(one, split) for one in row.completions)
        row = msgspec.structs.replace(row, problem=problem, completions=completions)
        is_finished = finished[_mark(row)] > 0
        if not is_finished:
            for image in images:
                image.open()
        latest[:] = [Cut(row, images, is_finished)]
        return row

    for row in run.read(Rollout, check=check):
        if latest[0].is_finished:
            finished[_mark(row)] -= 1
        yield latest[0]


def _cut(completion: Completion, split: Splitter) -> Completion:
    if completion.steps or completion.error is not None or not completion.text.strip():
        return completion
    return msgspec.structs.replace(completion, steps=split(completion.text))


def score_steps(rows: Iterable[Cut], prm: str, batch_size: int, dtype: str) -> Iterator[Rollout | None]:
    """Every row with its scores; None for a finished one. The model is loaded for the first row that needs it.

    Blocks are formed over all rows by their position, so that a resumed run scores each in the same company.
    """
    scorer: StepScorer | None = None
    waiting = iter(rows)
    while window := list(islice(waiting, batch_size)):
        if all(cut.is_finished for cut in window):
            yield from (None for _ in window)
            continue
        if scorer is None:
            scorer = engines.load_step_scorer(prm, dtype=dtype)
        scored = _score_window(window, scorer, batch_size)
        yield from (None if cut.is_finished else row for cut, row in zip(window, scored, strict=True))
    if scorer is not None:
        scorer.close()


def _score_window(window: Sequence[Cut], scorer: StepScorer, batch_size: int) -> list[Rollout]:
    """The rows with their scores. Completions of one row with the same steps are read once."""
    asked = {(id(cut), steps): cut for cut in window for one in cut.row.completions if (steps := _readable(one))}
    places = list(asked)
    found: dict[tuple[int, tuple[str, ...]], tuple[float, ...]] = {}
    for start in range(0, len(places), batch_size):
        block = places[start : start + batch_size]
        scores = scorer.score([(_request(asked[place]), place[1]) for place in block])
        for place, values in zip(block, scores, strict=True):
            if not isinstance(values, str):
                found[place] = values
    return [_with_scores(cut, found, scorer.name) for cut in window]


def _readable(completion: Completion) -> tuple[str, ...]:
    """The steps that there are to score; none of a failed completion."""
    return () if completion.error is not None else completion.steps or ()


def _with_scores(cut: Cut, found: dict[tuple[int, tuple[str, ...]], tuple[float, ...]], name: str) -> Rollout:
    completions = tuple(
        msgspec.structs.replace(one, step_scores=found.get((id(cut), _readable(one)))) for one in cut.row.completions
    )
    return msgspec.structs.replace(cut.row, completions=completions, step_scorer=name)


def _request(cut: Cut) -> PromptRequest:
    row = cut.row
    return PromptRequest(
        row.problem.id, conversation(user_text(row.problem, row.sampling.instruction)), cut.images, seeds=()
    )


def _mark(row: Rollout) -> str:
    """What tells a row of the input from all others, and stays as it is in the output."""
    sampling = row.sampling
    parts = (row.problem.id, row.key, row.policy, f"{sampling.seed} {sampling.temperature}")
    return digest(part.encode() for part in (*parts, *(one.text for one in row.completions)))
