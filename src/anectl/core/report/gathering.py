"""Reads the artifacts of a run into a store: every row once, each known by its schema, not by the name of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from anectl.core.accuracy import Outcome
from anectl.core.errors import AnectlError, RowError
from anectl.core.jsonl import Line, decode, parse_object, schema_tag
from anectl.core.ledger import Ledger
from anectl.core.posterior import zone_of
from anectl.core.records import (
    RECORDS,
    Disagreement,
    Example,
    Frontier,
    Problem,
    Record,
    Reject,
    Rollout,
    Score,
)
from anectl.core.report.artifacts import Artifact, Fault, lines_of
from anectl.core.report.curves import Curve, is_log_line
from anectl.core.report.safe_text import short
from anectl.core.report.store import Measured, Place, Store, digest_of
from anectl.core.zones import Borders

R = TypeVar("R", bound=Record)
# Of what is held in memory there are a few in a run; a file with more of them is not one.
_MOST_FACTS = 500
_MOST_TEXTS = 50
_MOST_SERIES = 200
_TAGS = {schema_tag(kind): kind for kind in RECORDS.values()}
# Facts of their own, of which the page shows something else than rows.
_OTHER_TAGS = ("manifest/1", "index/2", "card/1", "coverage/1")


class Found(NamedTuple):
    """A record that is held whole, and the artifact it stands in."""

    artifact: Artifact
    record: Any


@dataclass(eq=False)
class Series:
    """Rollouts, or scores, that belong together: of one policy, drawn in one way. `label` is given when all are known.

    `level` is that of the scaffold in the prompt; 0 is the bare prompt.
    """

    number: int
    artifact: Artifact
    policy: str
    temperature: float | None
    level: int = 0
    label: str = ""
    ledger: Ledger | None = None
    profiles: dict[str, dict[str, None]] = field(default_factory=dict)


class Gathering:
    """Context manager: `read` artifacts, then look at what was found.

    Memory grows with the steps of the curves (bounded), the number of series, and the benchmark's own figures over
    groups; rows go to the store.
    """

    def __init__(self, store: Store, *, skip_bad_rows: bool = False) -> None:
        self.store = store
        self.skip_bad_rows = skip_bad_rows
        self.artifacts: list[Artifact] = []
        self.faults: list[Fault] = []
        self.manifests: list[Found] = []
        self.facts: dict[type[Record], list[Found]] = {}
        self.curves: dict[int, Curve] = {}
        self.rollouts: dict[Hashable, Series] = {}
        self.scores: dict[Hashable, Series] = {}
        self.num_rows = 0
        self._closing = ExitStack()
        self._adders: dict[type[Record], Callable[[Any, Line, Artifact], None]] = {
            Problem: self._problem,
            Example: self._example,
            Score: self._score,
        }

    def read(self, artifact: Artifact) -> None:
        """Read one file. One that holds no records, or none that are known, becomes a fault.

        Raises RowError for a bad row in a file of good ones, unless bad rows are skipped.
        """
        self.artifacts.append(artifact)
        strange: Counter[str] = Counter()
        try:
            for line in lines_of(artifact.path):
                try:
                    self._line(line, artifact, strange)
                except RowError as error:
                    if not self.skip_bad_rows:
                        error.hint = error.hint or "--on-error skip leaves such rows out and names them on the page"
                        raise error.at(line.path, line.number) from None
                    artifact.counts["bad"] += 1
                    self._fault(f"{artifact.shown}:{line.number}", error.problem)
        except RowError:
            raise
        except AnectlError as error:
            self._fault(artifact.shown, error.problem)
        for what, count in strange.items():
            self._fault(artifact.shown, f"{count} rows {what}")

    def _fault(self, path: str, problem: str) -> None:
        if len(self.faults) < _MOST_FACTS:
            self.faults.append(Fault(path, problem))

    def _line(self, line: Line, artifact: Artifact, strange: Counter[str]) -> None:
        value = parse_object(line.data)
        tag = value.get("schema")
        self.num_rows += 1
        if tag is None and is_log_line(value):
            self.curves.setdefault(artifact.number, Curve()).add(value)
            artifact.counts["log line"] += 1
        elif tag in _OTHER_TAGS:
            if tag == "manifest/1" and len(self.manifests) < _MOST_FACTS:
                self.manifests.append(Found(artifact, value))
            artifact.counts[tag] += 1
        elif tag in _TAGS or (tag is None and {"id", "question", "answer"} <= value.keys()):
            kind = _TAGS.get(str(tag), Problem)
            self._record(decode(line.data, kind), line, artifact)
            artifact.counts[schema_tag(kind)] += 1
        elif len(strange) < 8:
            strange["without a schema" if tag is None else f"of unknown schema {short(str(tag), 40)!r}"] += 1

    def _record(self, record: Record, line: Line, artifact: Artifact) -> None:
        if isinstance(record, Rollout):
            self._rollout(record, line, artifact)
        elif type(record) in self._adders:
            self._adders[type(record)](record, line, artifact)
        else:
            held = self.facts.setdefault(type(record), [])
            if len(held) < (_MOST_TEXTS if isinstance(record, (Reject, Disagreement)) else _MOST_FACTS):
                held.append(Found(artifact, _trimmed(record)))

    def _problem(self, record: Problem, line: Line, artifact: Artifact) -> None:
        self.store.add_row(record.id, digest_of(record), _place("problem", line, artifact))

    def _example(self, record: Example, line: Line, artifact: Artifact) -> None:
        self.store.add_row(record.frontier_id or record.problem_id, b"", _place("example", line, artifact))

    def _rollout(self, record: Rollout, line: Line, artifact: Artifact) -> None:
        digest = digest_of(record.problem)
        self.store.add_row(record.problem.id, digest, _place("rollout", line, artifact))
        drawn = record.sampling
        # Completions drawn with the answer revealed measure nothing.
        if drawn.reveal is not None:
            return
        settings = (drawn.temperature, drawn.top_p, drawn.max_tokens, drawn.instruction, drawn.seed)
        key = (artifact.run, record.policy, record.profile, settings)
        series = self._series(self.rollouts, key, artifact, record.policy, drawn.temperature)
        self.store.add_measured(record.problem.id, digest, series.number, measured(record))

    def _score(self, record: Score, line: Line, artifact: Artifact) -> None:
        digest = b"" if record.problem is None else digest_of(record.problem)
        temperature = None if record.sampling is None else record.sampling.temperature
        key = (artifact.number, record.policy, record.scaffold_level)
        series = self._series(self.scores, key, artifact, record.policy, temperature, record.scaffold_level)
        if series.ledger is None:
            series.ledger = self._closing.enter_context(Ledger())
        outcome = Outcome.of(record)
        if not self.store.add_outcome(
            series.number, record.profile, record.benchmark, record.problem_id, digest, outcome
        ):
            raise RowError(f"problem {record.problem_id!r} of {record.benchmark!r} stands in this file already")
        series.ledger.add(record)
        series.profiles.setdefault(record.profile, {})[record.benchmark] = None
        self.store.add_row(record.problem_id, digest, _place("score", line, artifact))

    def _series(
        self,
        held: dict[Hashable, Series],
        key: Hashable,
        artifact: Artifact,
        policy: str,
        temperature: float | None,
        level: int = 0,
    ) -> Series:
        if key not in held:
            if len(held) >= _MOST_SERIES:
                raise RowError(
                    f"more than {_MOST_SERIES} policies and settings in one report", hint="report a part of the folder"
                )
            held[key] = Series(len(held), artifact, policy, temperature, level)
        return held[key]

    def records(self, kind: type[R]) -> list[tuple[Artifact, R]]:
        """All records of a kind that is held whole."""
        return [(found.artifact, found.record) for found in self.facts.get(kind, [])]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)


def _trimmed(record: Record) -> Record:
    """A record that is held whole, without the long text that a page shows the beginning of."""
    if isinstance(record, Reject):
        return msgspec.structs.replace(record, row=short(record.row))
    if isinstance(record, Disagreement):
        return msgspec.structs.replace(record, text=short(record.text))
    return record


def _place(kind: str, line: Line, artifact: Artifact) -> Place:
    return Place(kind, artifact.number, line.number, line.offset, len(line.data))


def measured(record: Rollout) -> Measured:
    """What the completions of a row say of its pass rate; those that could not be judged are no evidence."""
    verdicts = [completion.correct for completion in record.completions]
    c, nulls = verdicts.count(True), verdicts.count(None)
    n = len(verdicts) - nulls
    if isinstance(record, Frontier):
        zone, posterior, located = record.zone, record.posterior, True
        if not verdicts:
            # A pass rate that a data set came with: as many completions as it stands for.
            n = record.sampling.n
            c = min(n, max(0, round(posterior.a - 0.5)))
    else:
        borders = Borders()
        (zone, posterior), located = zone_of(n, c, borders.low, borders.high, borders.min_confidence), False
    return Measured(n, c, nulls, zone, posterior.low, posterior.high, posterior.confidence, located)
