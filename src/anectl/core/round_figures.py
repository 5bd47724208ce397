"""What the rollouts of one round say of exploration and exploitation (M-STaR, arXiv 2412.17451, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from anectl.core.drawing import refuse_revealed
from anectl.core.errors import RowError
from anectl.core.metrics import cluster_bootstrap, mean
from anectl.core.records import Interval, Rollout, Score
from anectl.core.selection import has_steps, process_reward
from anectl.core.tuning import Graded, reward_pass


@dataclass
class RoundFigures:
    """Gathers rollouts of one policy at one temperature, a few numbers per problem; `num_kept` is that of selection."""

    num_kept: int
    seed: int
    policy: str | None = None
    temperature: float = 0.0
    num_drawn: int = 0
    rates: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    reward_passes: list[float] = field(default_factory=list)
    greedy: list[float] = field(default_factory=list)
    tokens: int = 0
    completions: int = 0
    truncated: int = 0
    log_probability: float | None = 0.0

    def add(self, row: Rollout) -> None:
        """Count one row. What could not be judged counts as wrong.

        Raises RowError: it is of another round, or was drawn with its answer revealed.
        """
        refuse_revealed(row)
        settings = (row.policy, row.sampling.temperature, len(row.completions))
        if self.policy is None:
            self.policy, self.temperature, self.num_drawn = settings
        elif settings != (self.policy, self.temperature, self.num_drawn):
            raise RowError(
                f"{len(row.completions)} completions of {row.policy!r} at temperature {row.sampling.temperature:g}; "
                f"the rows before have {self.num_drawn} of {self.policy!r} at {self.temperature:g}"
            )
        correct = [completion.correct is True for completion in row.completions]
        self.rates.append(sum(correct) / max(len(correct), 1))
        self.passes.append(float(any(correct)))
        if all(completion.step_scores for completion in row.completions if has_steps(completion)):
            rewards = [process_reward(one, "min") if one.step_scores else -1.0 for one in row.completions]
            graded = [Graded(*pair) for pair in zip(correct, rewards, strict=True)]
            self.reward_passes.append(reward_pass(graded, len(graded), min(self.num_kept, len(graded))))
        for completion in row.completions:
            self.completions += 1
            self.tokens += completion.num_tokens
            self.truncated += completion.finish_reason == "length"
            if self.log_probability is not None and completion.error is None:
                known = completion.logprob is not None
                self.log_probability = self.log_probability + (completion.logprob or 0.0) if known else None

    def add_greedy(self, score: Score) -> None:
        """Count one greedy score."""
        self.greedy.append(float(score.completions[0].correct is True))

    def surprisal(self) -> float | None:
        """Mean negative log-probability of a drawn token, nats; null where an engine told none."""
        return -self.log_probability / self.tokens if self.log_probability is not None and self.tokens else None

    def interval(self, values: Sequence[float]) -> Interval:
        """The mean with its bootstrap interval of 95% over problems."""
        low, high = cluster_bootstrap([(str(i), value) for i, value in enumerate(values)], seed=self.seed)
        return Interval(value=mean(values), low=low, high=high)
