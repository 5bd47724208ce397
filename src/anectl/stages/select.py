"""select: training examples from the policy's own completions.

reads:   rollout/1; with --unlabelled also rollout/1 of problems whose answer is not looked at
writes:  example/1, bare prompts, one line for each completion that is kept
example: anectl select rollouts.jsonl --rule prm-top -k 2 > train.jsonl
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Annotated

import msgspec
import typer

from anectl import console, options, sampling_options
from anectl.core.errors import RowError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode
from anectl.core.prompts import conversation, user_text
from anectl.core.records import Completion, Example, Message, Problem, Rollout, Scaffold
from anectl.core.run import Run
from anectl.core.screens import owns_up, quotes
from anectl.core.seen import Seen
from anectl.core.selection import Selection, different, process_reward
from anectl.core.suspects import is_same_answer
from anectl.core.voting import vote


class Rules(StrEnum):
    """What is kept of the right completions of a problem."""

    all = "all"
    random = "random"
    prm_top = "prm-top"
    prm_above = "prm-above"


class Aggregates(StrEnum):
    """What the step scores of a completion come to."""

    min = "min"
    mean = "mean"


DEFAULT_K = 2


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    rule: Annotated[Rules, typer.Option(help="Which right completions: all, k at random, the k best, the good.")] = (
        Rules.random
    ),
    k: Annotated[
        int | None, typer.Option("-k", min=1, help=f"Most of one problem; default {DEFAULT_K}, of `all` no limit.")
    ] = None,
    alpha: Annotated[float, typer.Option(min=0, max=1, help="For prm-above: what a kept reward is over.")] = 0.5,
    aggregate: Annotated[
        Aggregates, typer.Option(help="A completion's reward: the least of its step scores, or their mean.")
    ] = Aggregates.min,
    unlabelled: Annotated[
        list[str] | None, typer.Option(help="Rollouts whose own completions vote for the answer.")
    ] = None,
    min_vote: Annotated[float, typer.Option(min=0, max=1, help="Least share of the votes for a label.")] = 0.5,
    mix_in: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the training from which unlabelled problems are used.")
    ] = 0.0,
    training_done: Annotated[float, typer.Option(min=0, max=1, help="Share of the training that is done.")] = 1.0,
    max_examples: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many: the best of every problem, then the second ...")
    ] = None,
    seed: options.Seed = 0,
    image_root: options.Root = None,
    output: options.OutputFile = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Choose among the policy's own right completions those to learn from; the prompts are bare.

    `all` and `random` need grades only; `prm-top` and `prm-above` rank by the step scores of `anectl score-steps`.
    Completions with one text count once. Of rollouts drawn with --reveal the prompt becomes the bare one again, and
    what speaks of the answer it was given is left out. Problems of --unlabelled are labelled by the vote of their
    completions, weighted by step scores where all of them have some; what they say their answer is only serves to tell
    how often the vote is right.

    Example: anectl select rollouts.jsonl --rule prm-top -k 2 > train.jsonl
    """
    if mix_in > 0 and not unlabelled:
        raise UsageError("--mix-in is about --unlabelled problems, and there are none")
    log = console.log("select")
    selection = Selection(
        rule=rule.value,
        k=k if k is not None or rule == Rules.all else DEFAULT_K,
        alpha=alpha,
        aggregate=aggregate.value,
        seed=seed,
    )
    pseudo = list(unlabelled or ()) if training_done >= mix_in else []
    if unlabelled and not pseudo:
        log(f"unlabelled problems are left out until {mix_in:.0%} of the training is done")
    chosen = Chosen(selection, frozenset(pseudo), min_vote)
    with sampling_options.whole_run("select", context, log, pseudo) as run:
        write_in_turns(run, chosen_rows(run, ImageRoot(image_root), chosen), max_examples)
        run.notes["selection"] = chosen.facts()
    log(chosen.summary())


@dataclass
class Chosen:
    """Chooses row by row, and counts."""

    selection: Selection
    unlabelled: frozenset[str]
    min_vote: float

    def __post_init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def of(self, row: Rollout, source: str | None) -> tuple[list[Example], str]:
        """The examples of one row; with none, the reason why. Raises RowError: step scores are missing."""
        if source in self.unlabelled:
            return self._voted(row)
        right = [completion for completion in different(row.completions) if completion.correct is True]
        source = "labelled" if row.sampling.reveal is None else "revealed"
        return self._examples(row, row.problem, _clean(row, right), source), "no right completion that is kept"

    def _voted(self, row: Rollout) -> tuple[list[Example], str]:
        scored = all(completion.step_scores for completion in row.completions if completion.extracted is not None)
        weights = [self._weight(completion) for completion in row.completions] if scored else None
        found = vote(row.problem, row.completions, weights)
        if found is None or found.share < self.min_vote:
            return [], "no label: the vote is not clear"
        self.counts["labels by vote"] += 1
        self.counts["labels by vote that are right"] += is_same_answer(row.problem, row.problem.answer, found.answer)
        problem = msgspec.structs.replace(row.problem, answer=found.answer)
        return self._examples(row, problem, different(found.voters), "voted"), "no completion that is kept"

    def _weight(self, completion: Completion) -> float:
        return process_reward(completion, self.selection.aggregate) if completion.step_scores else 0.0

    def _examples(self, row: Rollout, problem: Problem, candidates: Sequence[Completion], source: str) -> list[Example]:
        kept = self.selection.choose(row.key or problem.id, candidates)
        self.counts["problems"] += bool(kept)
        self.counts["examples"] += len(kept)
        return [to_example(problem, row.sampling.instruction, text.text, f"{source}/self") for text in kept]

    def facts(self) -> dict[str, int]:
        """The counts, for the manifest."""
        return dict(self.counts)

    def summary(self) -> str:
        """One sentence for the end of the run."""
        voted = self.counts["labels by vote"]
        right = f", {voted} labels by vote ({self.counts['labels by vote that are right']} right)" if voted else ""
        return f"{self.counts['examples']} completions of {self.counts['problems']} problems chosen{right}"


def _clean(row: Rollout, right: list[Completion]) -> list[Completion]:
    """Of completions that were told the answer those that do not speak of it: without it they would make no sense."""
    told = row.sampling.reveal
    if told is None:
        return right
    question = user_text(row.problem, row.sampling.instruction)
    return [one for one in right if not owns_up(one.text, question) and not quotes(one.text, (told,), question)]


def chosen_rows(run: Run, root: ImageRoot, chosen: Chosen) -> Iterator[list[Example]]:
    """The examples of each row of the input that has some; the rows that have none are dropped with the reason."""
    with Seen() as seen:
        for line in run.lines():
            try:
                row = decode(line.data, Rollout)
                if first := seen.add(row.problem.id, line.path, line.number):
                    raise RowError(f"duplicate id {row.problem.id!r}, first seen at {first}")
                images = tuple(image.ref for image in root.resolve_all(row.problem.images, run.source))
                problem = msgspec.structs.replace(row.problem, images=images)
                examples, reason = chosen.of(msgspec.structs.replace(row, problem=problem), run.source)
            except RowError as error:
                run.reject(line, error)
                continue
            if examples:
                yield examples
            else:
                run.drop(reason)


def write_in_turns(run: Run, rows: Iterable[list[Example]], max_examples: int | None) -> None:
    """Write the examples of all rows.

    With a limit, the first example of every row comes before the second of any, so that what is cut off is spread over
    the problems; all examples are held in memory then.
    """
    if max_examples is None:
        for examples in rows:
            for turn, example in enumerate(examples):
                run.write(example, rows=int(turn == 0))
        return
    held = list(rows)
    most = max((len(examples) for examples in held), default=0)
    turns = ((turn, examples[turn]) for turn in range(most) for examples in held if turn < len(examples))
    for turn, example in islice(turns, max_examples):
        run.write(example, rows=int(turn == 0))
    if len(held) > max_examples:
        run.drop("enough examples", len(held) - max_examples)


def to_example(problem: Problem, instruction: str, text: str, origin: str) -> Example:
    """The training row of one completion, under the bare prompt."""
    question = user_text(problem, instruction)
    return Example(
        problem_id=problem.id,
        prompt=conversation(question),
        completion=(Message(role="assistant", content=text),),
        images=problem.images,
        answer=problem.answer,
        answer_type=problem.answer_type,
        choices=problem.choices or (),
        precision=problem.precision,
        unit=problem.unit,
        scaffold=Scaffold(question=question),
        origin=origin,
    )
