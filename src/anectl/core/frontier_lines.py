"""Rollout lines into frontier lines: which belong together, what is added, and all else as the bytes it was."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import msgspec

from anectl.core.drawing import refuse_revealed
from anectl.core.errors import RowError
from anectl.core.jsonl import decode, encode, schema_tag
from anectl.core.keys import digest
from anectl.core.line_store import LineStore
from anectl.core.records import Anchored, Frontier, Rollout, Sampling
from anectl.core.zones import Borders, Tally, locate

_ROLLOUT = msgspec.json.Decoder(Rollout)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_NOTHING = msgspec.Raw(b"[]")
_ENCODER = msgspec.json.Encoder()
_ROLLOUT_TAG, _FRONTIER_TAG, _ANCHORED_TAG = (
    msgspec.Raw(_ENCODER.encode(schema_tag(kind))) for kind in (Rollout, Frontier, Anchored)
)
_HEAD, _NEW_HEAD = (b'{"schema":' + bytes(tag) + b"," for tag in (_ROLLOUT_TAG, _FRONTIER_TAG))
# What says how many completions were drawn beyond `n`, and why no more.
_HOW_MANY = ("until_confident", "max_n", "growth", "borders", "gives_up")
NEW_MARKS = tuple(f'"{name}"'.encode() for name in ("zone", "posterior", "failures"))
"""The names, in quotes, of the fields that every frontier line gets."""
# What was found out about the completions and the zone that a frontier line had.
_FINDINGS = ("certificate", "suspect", "fault", "before")


@dataclass(slots=True)
class Group:
    """The lines of one problem, by their numbers in the store, and all their verdicts.

    `drawn` tells, where there are several lines, which of them is the first with some seed and first completion.
    """

    lines: tuple[int, ...]
    verdicts: bytes
    drawn: dict[bytes, int] | None = None

    def join(self, number: int, rollout: Rollout, verdicts: bytes) -> None:
        """Take a further line, which has been found to belong here."""
        self.lines += (number,)
        self.verdicts += verdicts
        if self.drawn is not None:
            self.drawn.setdefault(_beginning(rollout), number)


def rollout_in(data: bytes) -> Rollout:
    """A line as a rollout, or as what extends it. Raises RowError for all else, and for answers that were revealed."""
    # The direct decoder is four times as fast as `decode`, which knows other schemas and says what is wrong.
    try:
        row = _ROLLOUT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        row = decode(data, Rollout)
    refuse_revealed(row)
    return row


def refuse_strangers(store: LineStore, group: Group, rollout: Rollout) -> Rollout:
    """The first line of a group; raises RowError where another one does not merge with it.

    Lines merge only when they tell of the same problem, drawn in the same way; seeds and counts may differ. The same
    draws may not come twice: what two runs of one seed draw of a problem begins alike.
    """
    first = rollout_in(store.read(group.lines[0]))
    keyed = bool(first.key and rollout.key)
    content = "key" if keyed else "question or answer"
    pairs = {
        content: (_content(first, keyed), _content(rollout, keyed)),
        "policy": (first.policy, rollout.policy),
        "sampling": (_manner(first.sampling), _manner(rollout.sampling)),
    }
    for name, (one, other) in pairs.items():
        if one != other:
            raise RowError(
                f"problem {rollout.problem.id!r} has another {name} than at {store.place(group.lines[0])}",
                hint="lines of one problem.id merge: other problems need other ids, other policies other files",
            )
    if group.drawn is None:
        group.drawn = {_beginning(first): group.lines[0]}
    alike = group.drawn.get(_beginning(rollout))
    # A seed that stands for nothing, as in lines from elsewhere, which have no key, tells nothing.
    if keyed and alike is not None and _begin_alike(rollout_in(store.read(alike)), rollout):
        raise RowError(
            f"problem {rollout.problem.id!r} has the same completions as at {store.place(alike)}, "
            f"drawn with seed {rollout.sampling.seed} too",
            hint="the same draws are no further evidence: draw more with another --seed",
        )
    return first


def _beginning(rollout: Rollout) -> bytes:
    """What lines that hold the same draws have in common."""
    texts = [completion.text for completion in rollout.completions[:1]]
    return digest(text.encode() for text in (str(rollout.sampling.seed), *texts)).encode()


def _begin_alike(one: Rollout, other: Rollout) -> bool:
    """Whether one has the completions that the other begins with; of none there is nothing to tell."""
    pairs = list(zip(one.completions, other.completions, strict=False))
    return bool(pairs) and all(mine.text == theirs.text for mine, theirs in pairs)


def _content(rollout: Rollout, keyed: bool) -> tuple[str, ...]:
    return (rollout.key,) if keyed else (rollout.problem.question, rollout.problem.answer)


def _manner(sampling: Sampling) -> Sampling:
    # How many were drawn, and why no more, says nothing of how each was drawn.
    return msgspec.structs.replace(sampling, n=1, seed=0, extra={}, **dict.fromkeys(_HOW_MANY))


class Addition(NamedTuple):
    """What the verdicts on a problem add to its line: fields, and the same as the end of a spliced line."""

    tally: Tally
    fields: dict[str, msgspec.Raw]
    tail: bytes


def located(store: LineStore, group: Group, addition: Addition, marks: Sequence[bytes] = NEW_MARKS) -> bytes:
    """The frontier line of a group. `marks` are the names, in quotes, of the fields that a spliced line gets.

    What an earlier run found out stays where the problem is where it was, and no lines were added to it.
    """
    line = store.read(group.lines[0])
    if len(group.lines) == 1 and _is_plain(line, marks):
        return b"%b%b%b" % (_NEW_HEAD, line[len(_HEAD) : -2], addition.tail)
    row = _FIELDS.decode(line)
    if len(group.lines) > 1:
        row |= _merged(store, group, row)
    tag = row.pop("schema", _ROLLOUT_TAG)
    stale = set(marks)
    if "zone" in row and (len(group.lines) > 1 or bytes(row["zone"]) != bytes(addition.fields["zone"])):
        stale |= {b'"%b"' % name.encode() for name in _FINDINGS}
    kept = {name: value for name, value in row.items() if b'"%b"' % name.encode() not in stale}
    return _ENCODER.encode_lines(
        ({"schema": _FRONTIER_TAG if tag == _ROLLOUT_TAG else tag, **kept, **addition.fields},)
    )


def with_labels(addition: Addition, labels: dict[str, msgspec.Raw]) -> Addition:
    """The addition with further fields."""
    if not labels:
        return addition
    tail = b"%b,%b\n" % (addition.tail[:-2], _ENCODER.encode(labels)[1:])
    return Addition(addition.tally, addition.fields | labels, tail)


def whole_row(store: LineStore, group: Group) -> Rollout:
    """The problem of a group with the completions of all its lines."""
    rows = [rollout_in(store.read(line)) for line in group.lines]
    if len(rows) == 1:
        return rows[0]
    return msgspec.structs.replace(rows[0], completions=tuple(chain.from_iterable(row.completions for row in rows)))


def _is_plain(line: bytes, marks: Sequence[bytes]) -> bool:
    """Whether a rollout line, already found valid, can be spliced: its tag comes first, and no field would come twice.

    Splicing copies the line as it is, in half the time of taking its fields apart.
    """
    return line.startswith(_HEAD) and line.endswith(b"}\n") and not any(mark in line for mark in marks)


def adder(borders: Borders) -> Callable[[bytes], Addition]:
    """What gives the addition for the verdicts on a problem; most problems share theirs with many others."""

    @functools.lru_cache(maxsize=65536)
    def add(verdicts: bytes) -> Addition:
        zone, posterior, failures = locate(verdicts, borders)
        tally = Tally(verdicts.count(b"+"), verdicts.count(b"-"), verdicts.count(b"?"), zone)
        values = {"zone": _ENCODER.encode(zone), "posterior": encode(posterior), "failures": _ENCODER.encode(failures)}
        fields = {name: msgspec.Raw(value.strip()) for name, value in values.items()}
        return Addition(tally, fields, b",%b\n" % _ENCODER.encode(fields)[1:])

    return add


def _merged(store: LineStore, group: Group, first: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The fields that tell of all lines of a problem; every other field is the first line's."""
    rows = [first, *(_FIELDS.decode(store.read(line)) for line in group.lines[1:])]
    completions: list[msgspec.Raw] = []
    errors: list[dict[str, msgspec.Raw]] = []
    anchors: dict[bytes, dict[str, msgspec.Raw]] = {}
    for row in rows:
        for error in _ROWS.decode(row.get("first_errors", _NOTHING)):
            number = int(bytes(error["completion"])) + len(completions)
            errors.append(error | {"completion": msgspec.Raw(str(number).encode())})
        for anchor in _ROWS.decode(row.get("anchors", _NOTHING)):
            rank = msgspec.Raw(str(len(anchors) + 1).encode())
            anchors.setdefault(bytes(anchor["id"]), anchor | {"rank": rank})
        completions += _ITEMS.decode(row["completions"])
    sampling = _FIELDS.decode(first["sampling"])
    sampling |= {"n": msgspec.Raw(str(len(completions)).encode())}
    # Now `n` is the number of all of them.
    sampling |= {name: msgspec.Raw(b"null") for name in _HOW_MANY if name in sampling}
    found: dict[str, object] = {"completions": completions, "sampling": sampling}
    found |= {"first_errors": errors} if errors else {}
    anchored = next((row for row in rows if "anchors" in row), None)
    if anchored is not None:
        found |= {"schema": anchored.get("schema", _ANCHORED_TAG), "anchors": list(anchors.values())}
    return {name: msgspec.Raw(_ENCODER.encode(value)) for name, value in found.items()}
