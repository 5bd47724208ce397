"""From a checked row to the probes of its failures, and from what they give back to the row."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from anectl.core.backtracking import START, Ask, Counts, Found, Rule, Search, search_all, search_by_halving
from anectl.core.completion_grades import regraded
from anectl.core.images import ImageRef
from anectl.core.keys import sample_seed
from anectl.core.probing import Probe, Work
from anectl.core.profiles import load_profile
from anectl.core.prompts import conversation, user_text
from anectl.core.protocols import Draw, PromptRequest, SamplingParams, Verifier
from anectl.core.records import Completion, FirstError, Frontier, Rollout
from anectl.core.steps import Splitter
from anectl.core.tally import Tally


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with each row by which `policy`; `temperature` null is that of the row.

    At most `max_failures` failing completions are looked into, and with `all_steps` at most `max_right` right ones.
    """

    policy: str
    rule: Rule
    split: Splitter
    all_steps: bool = False
    max_failures: int = 1
    max_right: int = 0
    temperature: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Traced:
    """A checked row: its images are found; `steps` has those of each completion that is looked into, by its number."""

    row: Rollout
    images: tuple[ImageRef, ...]
    key: str
    steps: dict[int, tuple[str, ...]]
    params: SamplingParams
    is_finished: bool

    def is_failure(self, number: int) -> bool:
        """Whether a completion is wrong; right ones are looked into for the values of their steps alone."""
        return self.row.completions[number].correct is False


@dataclass
class Account:
    """Running totals; `num_every` are the continuations that scoring every step of these failures takes."""

    num_rows: int = 0
    num_failures: int = 0
    num_steps: int = 0
    num_found: int = 0
    num_cut: int = 0
    num_drawn: int = 0
    num_every: int = 0
    drawn: Tally = field(default_factory=Tally)

    def plan(self, traced: Traced, rule: Rule) -> None:
        """Count what a row will ask for."""
        self.num_rows += 1
        self.num_failures += sum(traced.is_failure(number) for number in traced.steps)
        self.num_steps += sum(map(len, traced.steps.values()))
        self.num_every += sum(rule.most * (len(steps) - 1) for steps in traced.steps.values() if steps)

    def add(self, found: Found, *, is_failure: bool) -> None:
        """Count what became of one completion."""
        self.num_found += is_failure and found.step is not None
        self.num_cut += found.is_cut
        self.num_drawn += found.num_drawn

    def outlook(self) -> str:
        """One sentence for a dry run."""
        return (
            f"all is well with {self.num_rows} rows; {self.num_failures} failures of {self.num_steps} steps, "
            f"{self.num_every} continuations if every step were scored"
        )

    def facts(self) -> dict[str, int | float]:
        """The totals for the manifest."""
        counts = {"rows": self.num_rows, "failures": self.num_failures, "steps": self.num_steps}
        counts |= {"located": self.num_found, "over_budget": self.num_cut}
        return counts | {"continuations": self.num_drawn, "of_every_step": self.num_every} | self.drawn.facts()

    def summary(self) -> str:
        """One sentence for the end of the run."""
        cut = f" ({self.num_cut} ended by the budget)" if self.num_cut else ""
        share = f" ({self.num_drawn / self.num_every:.0%} of scoring every step)" if self.num_every else ""
        return (
            f"{self.num_found} of {self.num_failures} failures begin at a step{cut}; "
            f"{self.num_drawn} continuations{share}; {self.drawn.summary()}"
        )


def backtrack(traced: Traced, plan: Plan, verifier: Verifier, account: Account) -> Work[Rollout]:
    """The row with what the searches in its failures found; all of them go on at the same time."""
    account.plan(traced, plan.rule)
    searches = {number: _search(traced, number, plan) for number in traced.steps}
    found: dict[int, Found] = {}
    asked: dict[int, list[Ask]] = {}
    answers: dict[int, Sequence[Counts] | None] = dict.fromkeys(searches)
    while True:
        for number, counts in answers.items():
            try:
                asked[number] = next(searches[number]) if counts is None else searches[number].send(counts)
            except StopIteration as stop:
                found[number] = stop.value
                asked.pop(number, None)
        if not asked:
            break
        probes = [_probe(traced, number, ask, plan) for number, asks in asked.items() for ask in asks]
        answers = yield from _answers(traced, asked, probes, verifier, account)
    for number, result in found.items():
        account.add(result, is_failure=traced.is_failure(number))
    return _with_findings(traced, found)


def _answers(
    traced: Traced, asked: dict[int, list[Ask]], probes: list[Probe], verifier: Verifier, account: Account
) -> Generator[list[Probe], Sequence[tuple[Draw, ...]], dict[int, Sequence[Counts] | None]]:
    """Draw the probes, and count what comes right of each."""
    draws = yield probes
    pairs = iter(zip(probes, draws, strict=True))
    counts: dict[int, Sequence[Counts] | None] = {}
    for number, asks in asked.items():
        graded = [_graded(traced, *next(pairs), verifier) for _ in asks]
        for group in graded:
            account.drawn.add(traced.row.problem.id, group)
        counts[number] = [
            (sum(one.correct is True for one in group), sum(one.correct is not None for one in group))
            for group in graded
        ]
    return counts


def _graded(traced: Traced, probe: Probe, draws: Sequence[Draw], verifier: Verifier) -> list[Completion]:
    """The whole completions, each the prefix and a continuation, graded by the rule of the row."""
    score = load_profile(traced.row.profile).score
    return [
        regraded(
            traced.row.problem,
            Completion(
                text=probe.request.prefix + draw.text,
                finish_reason=draw.finish_reason,
                num_tokens=draw.num_tokens,
                error=draw.error,
            ),
            score,
            verifier,
        )
        for draw in draws
    ]


def _search(traced: Traced, number: int, plan: Plan) -> Search:
    row, num_steps = traced.row, len(traced.steps[number])
    verdicts = [completion.correct for completion in row.completions]
    # What another policy did, or the same one at another temperature, says nothing of where this one begins.
    is_own = row.policy == plan.policy and row.sampling.temperature == traced.params.temperature
    before = (verdicts.count(True), len(verdicts) - verdicts.count(None)) if is_own else (0, 0)
    budget = plan.rule.budget
    rule = replace(plan.rule, budget=None if budget is None else budget // len(traced.steps))
    if plan.all_steps:
        return search_all(num_steps, before, rule, is_right=not traced.is_failure(number))
    return search_by_halving(num_steps, before, rule)


def _probe(traced: Traced, number: int, ask: Ask, plan: Plan) -> Probe:
    row = traced.row
    place = f"{traced.key}/{number}/{'start' if ask.step == START else ask.step}"
    request = PromptRequest(
        key=traced.key,
        messages=conversation(user_text(row.problem, row.sampling.instruction)),
        images=traced.images,
        seeds=tuple(sample_seed(plan.seed, place, sample) for sample in range(ask.first, ask.first + ask.num)),
        prefix="".join(traced.steps[number][: ask.step + 1]),
    )
    return Probe(request, traced.params)


def _with_findings(traced: Traced, found: dict[int, Found]) -> Rollout:
    row = traced.row
    completions = list(row.completions)
    for number, result in found.items():
        completions[number] = msgspec.structs.replace(
            completions[number], steps=traced.steps[number], values=result.values
        )
    row = msgspec.structs.replace(row, completions=tuple(completions))
    if not isinstance(row, Frontier):
        return row
    errors = tuple(
        FirstError(
            completion=number,
            step=result.step,
            text="" if result.step is None else traced.steps[number][result.step],
            num_continuations=result.num_drawn,
        )
        for number, result in found.items()
        if traced.is_failure(number)
    )
    return msgspec.structs.replace(row, first_errors=errors)
