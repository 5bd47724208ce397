"""What evaluation finds, and the rows that a run had to leave out."""

from __future__ import annotations

from typing import Literal

import msgspec

from anectl.core.records.base import Count, Name, Record
from anectl.core.records.problems import Completion, Problem, Sampling


class Score(Record, frozen=True, kw_only=True):
    """One problem of a benchmark under one policy. Written by eval; read by compare.

    `cluster` is the content key of the images: problems that share an image are not independent. `profile` names the
    rule the completions were graded by, `problem` is there so that they can be graded again. `sampling` is null for
    completions from elsewhere, of which it is not known.
    """

    schema: Literal["score/1"] = "score/1"
    problem_id: Name
    benchmark: Name
    cluster: str
    policy: str
    profile: str = "strict"
    sampling: Sampling | None = None
    scaffold_level: int = 0
    completions: tuple[Completion, ...]
    problem: Problem | None = None


class Interval(Record, frozen=True, kw_only=True):
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


class Comparison(Record, frozen=True, kw_only=True):
    """Paired test of two policies on one benchmark (or on all, `benchmark` is `mean`). Written by compare.

    `path_a` (the baseline) and `path_b` are the score files. `difference` is b - a, `low` and `high` its 95% interval,
    `lower_bound` and `upper_bound` what it would be with the completions that could not be judged against b, and for
    it. `p_holm` is adjusted for all tests of the call (null for the mean). `num_needed` problems with flips like these
    would find their difference with 80% power, `num_needed_for_gain` one of `gain`; null where no number would.
    `gained` and `lost` are the ids of the problems that flipped.
    """

    schema: Literal["comparison/1"] = "comparison/1"
    path_a: str = ""
    path_b: str = ""
    profile: str = "strict"
    benchmark: str
    num_problems: Count
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    lower_bound: float | None = None
    upper_bound: float | None = None
    truncation_rate_a: float | None = None
    truncation_rate_b: float | None = None
    p_value: float
    p_holm: float | None = None
    num_needed: Count | None = None
    gain: float | None = None
    num_needed_for_gain: Count | None = None
    gained: tuple[str, ...]
    lost: tuple[str, ...]


class ProfileGrade(Record, frozen=True, kw_only=True):
    """How one profile judged a completion; the fields are those of the completion it would write."""

    profile: Name
    extracted: str | None = None
    correct: bool | None = None
    reason: str = ""


class Disagreement(Record, frozen=True, kw_only=True):
    """A completion that profiles judge differently. `sample` is its number within the problem, from 0.

    `grades` holds the judgement of every profile, also of those that agree.
    """

    schema: Literal["disagreement/1"] = "disagreement/1"
    problem_id: Name
    benchmark: Name
    sample: Count
    text: str
    grades: tuple[ProfileGrade, ...]


class TemperaturePoint(Record, frozen=True, kw_only=True):
    """One temperature: Pass@K and Reward-Pass@k with their 95% intervals where measured, and the smoothed curve."""

    temperature: float
    pass_at_k: Interval | None = None
    reward_pass: Interval | None = None
    smoothed: float


class Temperature(Record, frozen=True, kw_only=True):
    """The temperature to draw at next. Written by tune-temperature; read by rollout --temperature @FILE.

    `low` and `high` hold 95% of what resampled problems would have chosen. Reward-Pass@k asks for a right completion
    among the `num_kept` best by `reward` of `num_drawn`. `num_samples` completions of `num_problems` problems were
    looked at.
    """

    schema: Literal["temperature/1"] = "temperature/1"
    temperature: float
    low: float
    high: float
    policy: str
    reward: Literal["prm", "logprob"]
    num_drawn: Count
    num_kept: Count
    num_problems: Count
    num_samples: Count
    points: tuple[TemperaturePoint, ...]


class Round(Record, frozen=True, kw_only=True):
    """What one round of self-evolving training did: a line of the ledger. Written by log-round.

    `pass_at_k` (K is `num_drawn`), `pass_rate` and `reward_pass` (Reward-Pass@`num_kept`) are those of the round's
    rollouts, `greedy` of scores drawn greedily; `exploration` is pass@K less greedy. `surprisal` is the mean negative
    log-probability of a drawn token, in nats: at temperature 1 the entropy of the policy along its own completions.
    """

    schema: Literal["round/1"] = "round/1"
    number: Count
    policy: str
    temperature: float
    num_problems: Count
    num_drawn: Count
    num_kept: Count
    pass_rate: Interval
    pass_at_k: Interval
    greedy: Interval | None = None
    exploration: float | None = None
    reward_pass: Interval | None = None
    surprisal: float | None = None
    mean_tokens: float
    truncated: float
    num_examples: Count | None = None
    steps: Count | None = None
    total_steps: Count | None = None
    metrics: dict[str, float] = msgspec.field(default_factory=dict)


class Match(Record, frozen=True, kw_only=True):
    """The place and the id of a row that another one matches."""

    path: str
    line: Count
    id: str


class Reject(Record, frozen=True, kw_only=True):
    """A row that `--on-error skip` left out, or a leak: its place, what is wrong, and the row itself, unchanged.

    Of a leak, which decontaminate lists, `reason` is its kind and `match` the row of the benchmark.
    """

    schema: Literal["reject/1"] = "reject/1"
    path: str
    line: Count
    problem: str
    hint: str | None
    row: str
    reason: str | None = None
    match: Match | None = None
