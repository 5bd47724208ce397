"""The ground truth as a query sees it: every signal's ranking of the rows, fused into a shortlist.

A query is a failing problem: its words, its images, both together, and the step at which it fails. The vectors of the
index are searched by the first three. BM25 looks for the words of the question in questions and solutions (`bm25`), and
for the tags and the words of the failing step in tags and solutions (`skill`): what is missing is named there.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from anectl.core.anchoring import Candidate, Floor, Shortlist
from anectl.core.content_words import content_words
from anectl.core.fusion import RANK_CONSTANT, fuse, ranks
from anectl.core.prompts import user_text
from anectl.core.protocols import Embedder, EmbedItem, Index, Vectors
from anectl.core.records import Frontier, Signal, Tier
from anectl.core.store import RecordReader, StoredProblem
from anectl.core.tiers import TIERS, question_words, tier_of
from anectl.core.views import shown

_DECIMALS = 5  # scores of equal rows may differ behind them: from batch to batch, or by words that all rows have
_CACHED = 4096
_DEEPER = 4
_COLUMNS: Final = {"bm25": ("question", "solution"), "skill": ("skills", "solution")}
_LIKENESS: Final[tuple[Signal, ...]] = ("joint", "text", "image")


@dataclass(frozen=True, slots=True)
class Query:
    """A row with the content keys of its problem and what the embedder sees of it."""

    row: Frontier
    key: str
    image_key: str
    item: EmbedItem

    @property
    def words(self) -> str:
        """What BM25 looks for in questions and solutions."""
        return " ".join(content_words(user_text(self.row.problem, "")))

    @property
    def failing_step(self) -> str:
        """The steps at which the completions first go wrong, where `backtrack` has found them; each text once."""
        return "\n".join(dict.fromkeys(error.text for error in self.row.first_errors if error.text))

    @property
    def skill(self) -> str:
        """What BM25 looks for in tags and solutions."""
        return " ".join([*self.row.problem.tags, *content_words(self.failing_step)])

    def is_same_item(self, stored: StoredProblem) -> bool:
        """Whether a stored problem is the query: same content, or same images and question whatever the answer says."""
        if stored.key == self.key:
            return True
        same_words = question_words(stored.problem) == question_words(self.row.problem)
        return stored.image_key == self.image_key and same_words


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query with its vectors by signal, each an array of one, and the rows that some signal found."""

    query: Query
    vectors: dict[Signal, Vectors]
    rows: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked of the database.

    `weights` has the signals in use; `depth` is how many rows each signal names; `among` are the rows that may be
    found; `needed` is how many candidates there should be at least, and `diverse` says that their likeness is wanted.
    """

    weights: Mapping[str, float]
    needed: int
    depth: int = 100
    floor: Floor = field(default_factory=Floor)
    among: Collection[int] | None = None
    same_item: bool = False
    unverified: bool = False
    diverse: bool = False


class Database:
    """The ground truth: `count` records, and for each vector signal in use its embedder and its index."""

    def __init__(
        self, records: RecordReader, count: int, indexes: Mapping[Signal, tuple[Embedder, Index]] | None = None
    ) -> None:
        self.records = records
        self.count = count
        self._indexes = dict(indexes or {})
        self.stored = functools.lru_cache(maxsize=_CACHED)(self._stored)

    def _stored(self, row: int) -> StoredProblem:
        return self.records.get([row])[0]

    def shortlists(self, queries: Sequence[Query], search: Search) -> Iterator[Shortlist]:
        """The candidates of each query, best first."""
        asked = [_Asked(query, {}) for query in queries]
        for signal, (embedder, index) in self._indexes.items():
            items = {number: shown(query.item, signal) for number, query in enumerate(queries)}
            seen = {number: item for number, item in items.items() if item is not None}
            if not seen:
                continue
            vectors = embedder.embed(list(seen.values()))
            for place, (number, hits) in enumerate(
                zip(seen, index.search(vectors, search.depth, search.among), strict=True)
            ):
                asked[number].vectors[signal] = vectors[place : place + 1]
                asked[number].rows.update(hit.row for hit in hits)
        for one in asked:
            yield self._shortlist(one, search)

    def drawn(self, queries: Sequence[Query], search: Search, seed: int) -> Iterator[Shortlist]:
        """For each query candidates drawn evenly by the seed and its id, in the order drawn; their scores are 0."""
        rows = self.records.rows() if search.among is None else search.among
        population = rows if isinstance(rows, Sequence) else sorted(rows)
        for query in queries:
            fit: list[int] = []
            size = max(_DEEPER * search.needed, search.depth)
            while True:
                size = min(len(population), size)
                drawn = random.Random(f"{seed}/{query.row.problem.id}").sample(population, size)
                fit = [row for row in drawn if self._may_serve(query, row, search)]
                if len(fit) >= search.needed or size == len(population):
                    break
                size *= _DEEPER
            yield Shortlist([Candidate(row, 0.0, self._tier(query, row), {}, {}) for row in fit])

    def _shortlist(self, asked: _Asked, search: Search) -> Shortlist:
        """Goes deeper when too many of the rows that were found may not become anchors."""
        depth = search.depth
        most = self.count if search.among is None else len(search.among)
        while True:
            scores = self._scores(asked, search, depth)
            fit = self._fit(asked.query, scores, search)
            if len(fit) >= search.needed or depth >= most:
                return self._fused(asked.query, scores, fit, search)
            depth *= _DEEPER
            for signal, vector in asked.vectors.items():
                hits = self._indexes[signal][1].search(vector, depth, search.among)[0]
                asked.rows.update(hit.row for hit in hits)

    def _scores(self, asked: _Asked, search: Search, depth: int) -> dict[str, dict[int, float]]:
        """By signal the scores of all rows that any signal found.

        Without those of rows that it did not name itself, a signal that cannot tell many rows apart would favour the
        first of them for no reason but their number.
        """
        scores: dict[str, dict[int, float]] = {}
        words = {"bm25": asked.query.words, "skill": asked.query.skill}
        used = [signal for signal in _COLUMNS if signal in search.weights and words[signal].strip()]
        for signal in used:
            found = self.records.match(words[signal], depth, _COLUMNS[signal], search.among)
            asked.rows.update(row for row, _ in found)
        rows = sorted(asked.rows)
        for signal in used:
            found = self.records.match(words[signal], len(rows), _COLUMNS[signal], rows)
            scores[signal] = {row: round(score, _DECIMALS) for row, score in found}
        for signal, vector in asked.vectors.items():
            array = self._indexes[signal][1].vectors(rows)
            cosines, lengths = (array @ vector[0]).tolist(), (array * array).sum(axis=1).tolist()
            # A row without this part has a vector of zeros.
            pairs = zip(rows, cosines, lengths, strict=True)
            scores[signal] = {row: max(-1.0, min(1.0, round(cosine, _DECIMALS))) for row, cosine, n in pairs if n}
        return scores

    def _fit(self, query: Query, scores: Mapping[str, Mapping[int, float]], search: Search) -> list[int]:
        """The rows that may become anchors, whatever their scores."""
        rows = sorted({row for found in scores.values() for row in found})
        return [row for row in rows if self._may_serve(query, row, search)]

    def _may_serve(self, query: Query, row: int, search: Search) -> bool:
        stored = self.stored(row)
        is_allowed = search.same_item or not query.is_same_item(stored)
        return is_allowed and (search.unverified or stored.is_verified)

    def _tier(self, query: Query, row: int) -> Tier:
        stored = self.stored(row)
        return tier_of(query.row.problem, stored.image_key == query.image_key, stored.problem)

    def _fused(
        self, query: Query, scores: Mapping[str, Mapping[int, float]], fit: Sequence[int], search: Search
    ) -> Shortlist:
        eligible = set(fit)
        rankings = {
            signal: ranks({row: score for row, score in found.items() if row in eligible})
            for signal, found in scores.items()
        }
        fused = fuse(rankings, search.weights)
        highest = sum(search.weights[signal] for signal in scores) / (RANK_CONSTANT + 1) or 1.0
        candidates = []
        for row in sorted(fused, key=lambda row: (-fused[row], row)):
            own = {signal: found[row] for signal, found in scores.items() if row in found}
            if search.floor.admits(own, scores):
                places = {signal: rankings[signal][row] for signal in own}
                candidates.append(Candidate(row, min(1.0, fused[row] / highest), self._tier(query, row), own, places))
        kept = _trimmed(candidates, max(search.depth, _DEEPER * search.needed))
        return Shortlist(kept, self._likeness(kept) if search.diverse else None)

    def _likeness(self, candidates: Sequence[Candidate]) -> Callable[[int, int], float] | None:
        signal = next((signal for signal in _LIKENESS if signal in self._indexes), None)
        if signal is None or not candidates:
            return None
        index, rows = self._indexes[signal][1], [candidate.row for candidate in candidates]

        # Only for those that are chosen, when they are: all pairs of a window's candidates would not fit in memory.
        @functools.cache
        def to_all(one: int) -> list[float]:
            vectors = index.vectors(rows)
            return [float(cosine) for cosine in (vectors @ vectors[one]).round(_DECIMALS)]

        return lambda one, other: to_all(one)[other]


def _trimmed(candidates: Sequence[Candidate], num: int) -> list[Candidate]:
    """The `num` best by score and the `num` best by tier, in their order: a window of queries is to fit in memory."""
    by_tier = sorted(candidates, key=lambda candidate: (TIERS.index(candidate.tier), -candidate.score, candidate.row))
    kept = {candidate.row for candidate in [*candidates[:num], *by_tier[:num]]}
    return [candidate for candidate in candidates if candidate.row in kept]
