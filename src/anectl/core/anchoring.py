"""Which of the candidates become anchors: near tiers first, not all alike, and none for everyone.

With a cap on the uses of an anchor the queries take turns: each picks one, then each picks its next, every other turn
from the last query to the first, so that those that come early do not take all that is good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anectl.core.fusion import BY_VECTOR, marginal
from anectl.core.records import Anchored, Tier
from anectl.core.tiers import TIERS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the index that may become an anchor of a query.

    `score` is fused, from 0 to 1 (first by every signal asked); `scores` and `ranks` are by signal.
    """

    row: int
    score: float
    tier: Tier
    scores: Mapping[str, float]
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The candidates of one query; `likeness` gives the cosine of two of them by their places in the list."""

    candidates: Sequence[Candidate]
    likeness: Callable[[int, int], float] | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """What a candidate must reach: `best` by the highest of its cosines, and `by` signal."""

    best: float | None = None
    by: Mapping[str, float] = field(default_factory=dict)

    def admits(self, scores: Mapping[str, float], asked: Iterable[str]) -> bool:
        """Whether scores reach it; `asked` are the signals that the query has, and only those are looked at."""
        if self.best is not None:
            cosines = [scores[signal] for signal in BY_VECTOR if signal in scores]
            if max(cosines, default=-1.0) < self.best:
                return False
        return all(scores.get(signal, float("-inf")) >= self.by[signal] for signal in asked if signal in self.by)


@dataclass(frozen=True, slots=True)
class Rules:
    """How anchors are picked from a shortlist; `max_uses` null is no cap, `diversity` is from 0 to 1."""

    top_k: int
    max_uses: int | None = None
    diversity: float = 0.0
    tiers_first: bool = True


def pick(shortlists: Sequence[Shortlist], rules: Rules, uses: Counter[int]) -> list[list[Candidate]]:
    """The anchors of each query, best first; `uses` counts the uses of each row and goes on from call to call."""
    pickers = [_Picker(shortlist, rules) for shortlist in shortlists]
    chosen: list[list[Candidate]] = [[] for _ in shortlists]
    for turn in range(rules.top_k):
        any_found = False
        order = range(len(pickers)) if turn % 2 == 0 else range(len(pickers) - 1, -1, -1)
        for number in order:
            found = pickers[number].next(lambda row: rules.max_uses is None or uses[row] < rules.max_uses)
            if found is not None:
                chosen[number].append(found)
                uses[found.row] += 1
                any_found = True
        if not any_found:
            break  # nor will a later turn find any
    return chosen


class _Picker:
    """Gives the candidates of one query one by one."""

    def __init__(self, shortlist: Shortlist, rules: Rules) -> None:
        self._shortlist = shortlist
        self._rules = rules
        self._left = list(range(len(shortlist.candidates)))
        self._nearest_chosen: dict[int, float] = {}
        self._best = max((candidate.score for candidate in shortlist.candidates), default=1.0) or 1.0

    def next(self, allowed: Callable[[int], bool]) -> Candidate | None:
        """The best candidate that is left and allowed; of equal ones the first in the list."""
        candidates = self._shortlist.candidates
        place = min((place for place in self._left if allowed(candidates[place].row)), key=self._order, default=None)
        if place is None:
            return None
        self._left.remove(place)
        if self._rules.diversity and self._shortlist.likeness is not None:
            for other in self._left:
                likeness = self._shortlist.likeness(place, other)
                self._nearest_chosen[other] = max(likeness, self._nearest_chosen.get(other, likeness))
        return candidates[place]

    def _order(self, place: int) -> tuple[int, float, int]:
        candidate = self._shortlist.candidates[place]
        likenesses = [self._nearest_chosen[place]] if place in self._nearest_chosen else []
        value = marginal(candidate.score / self._best, self._rules.diversity, likenesses)
        return TIERS.index(candidate.tier) if self._rules.tiers_first else 0, -value, place


class Coverage:
    """How well the ground truth covers the frontier: counted row by row."""

    def __init__(self, top_k: int) -> None:
        self.num_rows = self.num_short = 0
        self.bare: list[str] = []
        self._top_k = top_k
        self._first_tiers: Counter[str] = Counter()
        self._uses: Counter[str] = Counter()

    def add(self, row: Anchored) -> None:
        """Count a row with its anchors."""
        self.num_rows += 1
        self.num_short += len(row.anchors) < self._top_k
        if not row.anchors:
            self.bare.append(row.problem.id)
            return
        self._first_tiers[row.anchors[0].why.tier or "none"] += 1
        self._uses.update(anchor.id for anchor in row.anchors)

    def summary(self) -> dict[str, Any]:
        """The counts, for the manifest. Shares are of all rows; `uses` is over the anchors that were used at all."""
        used = sorted(self._uses.values(), reverse=True)
        return {
            "rows": self.num_rows,
            "without_anchor": len(self.bare),
            "share_without_anchor": len(self.bare) / self.num_rows if self.num_rows else 0.0,
            "fewer_than_asked": self.num_short,
            "tier_of_first": {tier: self._first_tiers[tier] for tier in [*TIERS, "none"] if self._first_tiers[tier]},
            "anchors": len(used),
            "uses": {"mean": sum(used) / len(used), "max": used[0]} if used else {"mean": 0.0, "max": 0},
        }

    def sentence(self) -> str:
        """The counts in one line, for people."""
        counts = self.summary()
        tiers = ", ".join(f"{tier} {number}" for tier, number in counts["tier_of_first"].items())
        return (
            f"{counts['without_anchor']} of {self.num_rows} rows without an anchor, {self.num_short} with fewer than "
            f"{self._top_k}; tier of the first: {tiers or 'none'}; {counts['anchors']} anchors, used "
            f"{counts['uses']['mean']:.1f} times on average, {counts['uses']['max']} at most"
        )

    def report(self) -> dict[str, Any]:
        """The summary with the ids of the bare rows, the most used anchors, and how many anchors have how many uses."""
        counts = Counter(self._uses.values())
        most = sorted(self._uses.items(), key=lambda item: (-item[1], item[0]))[:20]
        return {
            "schema": "coverage/1",
            **self.summary(),
            "rows_without_anchor": self.bare,
            "most_used": dict(most),
            "anchors_by_uses": {str(number): counts[number] for number in sorted(counts)},
        }
