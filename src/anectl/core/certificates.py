"""Whether a problem that the policy fails can be solved at all, by how other policies did, or the same with a hint.

Solvable: one of the others was right more often than guessing would be. Unsolvable as it is labelled: the policy and
one of the others, each judged at least MIN_JUDGED times, were never right and agree on one same wrong answer, which
dominates the completions of both more than chance would bring. That nobody was right is no certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anectl.core.adaptive import tally
from anectl.core.chance import guess_rate, is_beyond_chance
from anectl.core.jsonl import read_records
from anectl.core.records import Certificate, Problem, Rollout, Suspect
from anectl.core.suspects import is_same_answer, suspect_of

MIN_JUDGED = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """How another policy did on a problem; `way` is what else it was shown, `wrong` its dominant wrong answer."""

    policy: str
    way: tuple[str, str]
    answer: str
    correct: int
    judged: int
    wrong: str | None


class Trials:
    """What certificate files say, by the ids of the problems; a few hundred bytes of memory a row."""

    def __init__(self, paths: Iterable[str], share: float) -> None:
        """Raises AnectlError with its place for a row that is no rollout."""
        self._trials: dict[str, tuple[Trial, ...]] = {}
        self._used: set[str] = set()
        for path in paths:
            for row in read_records(path, Rollout):
                self._trials[row.problem.id] = (*self._trials.get(row.problem.id, ()), _trial(row, share))

    def of(self, row: Rollout) -> list[Trial]:
        """The trials of other policies, or in another way, on the problem of a row."""
        found = self._trials.get(row.problem.id, ())
        if found:
            self._used.add(row.problem.id)
        return [
            trial
            for trial in found
            if trial.answer == row.problem.answer and (trial.policy, trial.way) != (row.policy, _way(row))
        ]

    def num_unused(self) -> int:
        """Problems of the certificate files that no failing row asked for."""
        return len(self._trials.keys() - self._used)


def certificate_of(
    problem: Problem, correct: int, judged: int, own: Suspect | None, trials: Sequence[Trial]
) -> Certificate | None:
    """The certificate of a failing problem; None where the trials prove nothing. `own` is what the policy agrees on."""
    rate = guess_rate(problem)
    best = max(trials, key=lambda trial: (trial.correct / max(1, trial.judged), trial.judged), default=None)
    for trial in (best, *trials):
        if trial is not None and is_beyond_chance(trial.correct, trial.judged, rate, len(trials)):
            return _certificate(trial, solvable=True)
    if own is None or correct or judged < MIN_JUDGED or any(trial.correct for trial in trials):
        return None
    for trial in trials:
        if trial.judged >= MIN_JUDGED and trial.wrong is not None and is_same_answer(problem, own.answer, trial.wrong):
            return _certificate(trial, solvable=False)
    return None


def _certificate(trial: Trial, *, solvable: bool) -> Certificate:
    return Certificate(solvable=solvable, by=trial.policy, correct=trial.correct, judged=trial.judged)


def _trial(row: Rollout, share: float) -> Trial:
    correct, judged = tally(row.completions)
    suspect = suspect_of(row.problem, row.completions, share)
    wrong = None if suspect is None else suspect.answer
    return Trial(row.policy, _way(row), row.problem.answer, correct, judged, wrong)


def _way(row: Rollout) -> tuple[str, str]:
    """What the policy was shown besides the images: a hint stands in the question or in the instruction."""
    return row.problem.question, row.sampling.instruction
