"""Which problems a page shows, and in which order: those that fail first, then those that flipped."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from anectl.core.report.gathering import Series
from anectl.core.report.safe_text import short
from anectl.core.report.store import Store

STATES = ("failing", "lost", "unsure", "learnable", "gained", "never right", "solved", "always right")
"""What a problem is filtered by, in the order in which problems are shown."""


class Chosen(NamedTuple):
    """A problem of the page; `name` is what links call it, `states` all that hold of it.

    `benchmark` is one that holds it, empty where none does."""

    identity: str
    digest: bytes
    name: str
    states: tuple[str, ...]
    benchmark: str = ""


def choose(store: Store, before: Series | None, after: Series | None, most: int) -> tuple[list[Chosen], Counter[str]]:
    """The problems to show, `most` at most, and how many there are of each state.

    The zone of a problem is that of the last series that holds it. It is gained or lost when `before` and `after`, two
    series of scores, differ on it.
    """
    first = -1 if before is None else before.number
    last = -1 if after is None else after.number
    counts: Counter[str] = Counter()
    for query in _TABLES:
        # Tables with keys, not subqueries, which SQLite would go through anew for each problem.
        store.database.execute(query, (first, last) if "?" in query else ())
    rows = list(store.database.execute(_SHOWN, (most,)))
    for state, count in store.database.execute(_COUNTS):
        counts[state] += count
    seen = Counter(identity for identity, *_ in rows)
    names: Counter[str] = Counter()
    chosen = []
    for identity, digest, zone, flip, benchmark in rows:
        name = short(identity if seen[identity] == 1 or not benchmark else f"{benchmark}/{identity}")
        names[name] += 1
        name = name if names[name] == 1 else f"{name}~{names[name]}"
        states = tuple(state for state in (zone, flip) if state)
        chosen.append(Chosen(identity, digest, name, states, benchmark or ""))
    return chosen, counts


_KEYED = "PRIMARY KEY (id, digest)) WITHOUT ROWID"
_PLACE = " ".join(f"WHEN '{state}' THEN {place}" for place, state in enumerate(STATES))
# The zone of each problem in its last series, what its scores did between two policies, and both in one row.
_TABLES = (
    f"CREATE TABLE located (id TEXT, digest BLOB, zone TEXT, rate REAL, {_KEYED}",
    f"CREATE TABLE judged (id TEXT, digest BLOB, benchmark TEXT, was INTEGER, became INTEGER, ever INTEGER, {_KEYED}",
    f"CREATE TABLE problems (id TEXT, digest BLOB, zone TEXT, rate REAL, benchmark TEXT, flip TEXT, {_KEYED}",
    "INSERT INTO located SELECT id, digest, zone, rate FROM (SELECT id, digest, zone, "
    "CASE n WHEN 0 THEN 0 ELSE 1.0 * c / n END AS rate, max(series) FROM measured GROUP BY id, digest)",
    "INSERT INTO judged SELECT id, digest, max(benchmark), max(CASE series WHEN ?1 THEN 2 * correct > samples END), "
    "max(CASE series WHEN ?2 THEN 2 * correct > samples END), max(2 * correct > samples) "
    "FROM outcomes GROUP BY id, digest",
    "INSERT INTO problems SELECT id, digest, zone, rate, NULL, NULL FROM located",
    "INSERT INTO problems SELECT id, digest, NULL, NULL, benchmark, CASE WHEN was < became THEN 'gained' "
    "WHEN was > became THEN 'lost' WHEN coalesce(became, ever) THEN 'always right' WHEN ever THEN NULL "
    "ELSE 'never right' END FROM judged WHERE true "
    "ON CONFLICT DO UPDATE SET benchmark = excluded.benchmark, flip = excluded.flip",
)
_SHOWN = (
    "SELECT id, digest, zone, flip, benchmark FROM problems ORDER BY "
    f"min(coalesce(CASE zone {_PLACE} END, 99), coalesce(CASE flip {_PLACE} END, 99)), rate, benchmark, id LIMIT ?"
)
_COUNTS = (
    "SELECT zone, count(*) FROM problems WHERE zone IS NOT NULL GROUP BY 1 "
    "UNION ALL SELECT flip, count(*) FROM problems WHERE flip IS NOT NULL GROUP BY 1"
)
