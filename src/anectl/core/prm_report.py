"""How well step scores tell good steps from bad ones, and what ranking by them is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from anectl.core.metrics import mean, pass_at_k
from anectl.core.prm import auc, best_of, calibration, step_labels
from anectl.core.records import Completion, Rollout
from anectl.core.selection import process_reward
from anectl.core.voting import vote


@dataclass
class ScoreReport:
    """Gathers scored rows. Holds one pair of numbers per labelled step, and one row of figures per problem and k.

    Steps are labelled where `backtrack --all-steps` has been; best-of-n needs graded completions.
    """

    num_completions: int = 0
    num_unscored: int = 0
    pairs: list[tuple[float, float]] = field(default_factory=list)
    curves: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def add(self, row: Rollout) -> None:
        """Count one row."""
        for completion in row.completions:
            self.num_completions += 1
            if completion.step_scores is None:
                self.num_unscored += 1
                continue
            for score, label in zip(completion.step_scores, step_labels(completion, "soft"), strict=True):
                if label is not None:
                    self.pairs.append((score, label))
        self._add_curves(row)

    def _add_curves(self, row: Rollout) -> None:
        usable = [one for one in row.completions if one.step_scores and one.correct is not None]
        if len(usable) < 2 or len(usable) < len(row.completions):
            return
        rewards = [process_reward(one, "min") for one in usable]
        correct = [one.correct is True for one in usable]
        k = 1
        while k <= len(usable):
            first, weights = usable[:k], rewards[:k]
            figures = {
                "best by score": best_of(rewards, correct, k),
                "majority": _is_right(row, first, None),
                "majority, weighted": _is_right(row, first, weights),
                "pass@k": pass_at_k(len(usable), sum(correct), k) or 0.0,
            }
            for name, value in figures.items():
                self.curves.setdefault(name, {}).setdefault(k, []).append(value)
            k *= 2

    def facts(self) -> dict[str, Any]:
        """All figures, for the manifest."""
        bins, error = calibration(self.pairs)
        return {
            "completions": self.num_completions,
            "unscored": self.num_unscored,
            "labelled_steps": len(self.pairs),
            "auc": self.auc(),
            "calibration_error": error,
            "calibration": [[one.count, round(one.score, 4), round(one.label, 4)] for one in bins],
            "best_of_n": {name: {str(k): mean(v) for k, v in by_k.items()} for name, by_k in self.curves.items()},
        }

    def auc(self) -> float | None:
        """Of all labelled steps; a step is good when more than half of its continuations are right."""
        return auc((score, label > 0.5) for score, label in self.pairs)

    def as_table(self) -> tuple[list[str], list[list[str]]]:
        """Best-of-n as columns and rows, in percent; problems whose completions are too few for a k do not count."""
        counts = sorted({k for by_k in self.curves.values() for k in by_k})
        rows = [
            [name, *(f"{100 * mean(by_k[k]):.1f}" if k in by_k else "" for k in counts)]
            for name, by_k in self.curves.items()
        ]
        return ["n", *map(str, counts)], rows

    def summary(self) -> str:
        """One sentence for the end of the run."""
        unscored = f", {self.num_unscored} of them could not be scored" if self.num_unscored else ""
        told = f"{self.num_completions} completions scored{unscored}"
        area = self.auc()
        if area is None:
            return told
        error = calibration(self.pairs)[1]
        return f"{told}; AUC {area:.3f} on {len(self.pairs)} labelled steps, calibration error {error:.3f}"


def _is_right(row: Rollout, completions: Sequence[Completion], weights: Sequence[float] | None) -> float:
    """Whether the vote of these completions is right; a tie counts as wrong."""
    found = vote(row.problem, completions, weights)
    return float(found is not None and found.voters[0].correct is True)
