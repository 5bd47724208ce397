"""locate-frontier: which problems the policy fails, which it is learning, which it has solved, and how surely.

reads:   rollout/1 (frontier/1 and anchored/1 are located anew); problem/1 with --pass-rate-field
writes:  frontier/1, one line per problem, in the order in which the problems first appear
example: anectl rollout problems.jsonl --model ./base | anectl locate-frontier > frontier.jsonl

Lines of one problem may come anywhere, so nothing is written before all is read. The lines are read twice: once
checked in full, keeping the verdicts only, and once copied out with the zone added. stdin is kept in a temporary
file in between; memory grows with the number of problems, not with the length of their completions.
"""

from __future__ import annotations

import difflib
import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, get_args

import msgspec
import typer

from anectl import console, options
from anectl.core.errors import RowError, UsageError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import Line, decode, encode, schema_tag
from anectl.core.line_store import LineStore
from anectl.core.pass_rates import RateColumn
from anectl.core.records import Frontier, Problem, Rollout, Sampling, Zone
from anectl.core.run import Run
from anectl.core.zones import Borders, Tally, locate, summarise, verdicts_of

DEFAULT_ZONES = "failing,learnable,unsure"


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    low: Annotated[float, typer.Option(help="A pass rate under this is failing.")] = 0.1,
    high: Annotated[float, typer.Option(help="A pass rate over this is solved.")] = 0.7,
    min_confidence: Annotated[float, typer.Option(help="Posterior mass a zone needs; else the row is unsure.")] = 0.8,
    zones: Annotated[str, typer.Option(help="Zones to write, of failing, learnable, solved, unsure.")] = DEFAULT_ZONES,
    pass_rate_field: Annotated[
        str | None, typer.Option(help="Read problems and take their pass rates from this published field.")
    ] = None,
    pass_rate_samples: Annotated[int, typer.Option(min=1, help="Completions that such a rate counts for.")] = 8,
    image_root: options.Root = None,
    output: options.OutputFile = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    rejects: options.Rejects = None,
    limit: options.Limit = None,
    config: options.Config = None,
) -> None:
    """Place each problem: failing, learnable, solved, or unsure when the completions are too few to tell.

    The pass rate p has the posterior Beta(1/2 + correct, 1/2 + wrong); a zone is given when enough of the posterior
    lies in it. Completions that could not be judged do not count. Lines of one problem are merged. Solved problems
    are left out unless --zones names them. With --pass-rate-field the input is problems, and a rate their data set
    was published with stands for --pass-rate-samples completions: a frontier without a GPU.

    Example: anectl locate-frontier rollouts.jsonl --zones failing > failing.jsonl
    """
    wanted = _zones(zones)
    if not 0 < low < high < 1:
        raise UsageError(f"--low {low} --high {high}: must be 0 < low < high < 1")
    if not 0 < min_confidence <= 1:
        raise UsageError(f"--min-confidence {min_confidence}: must be over 0 and at most 1")
    borders = Borders(low, high, min_confidence)
    log = console.log("locate-frontier")
    with (
        Run(
            "locate-frontier",
            context.params,
            inputs=inputs or (),
            output=output,
            on_error=on_error.value,
            rejects=rejects,
            limit=limit,
            log=log,
        ) as run,
        LineStore() as store,
    ):
        if pass_rate_field is None:
            counts = _write(run, store, _gather(run, store), borders, wanted)
        else:
            column = RateColumn(pass_rate_field, pass_rate_samples)
            counts = _write_rates(run, column, ImageRoot(image_root), borders, wanted)
        run.notes["summary"] = summary = summarise(counts)
        log(_sentence(summary))


_ROLLOUT = msgspec.json.Decoder(Rollout)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_ROLLOUT_TAG, _FRONTIER_TAG = (msgspec.Raw(_ENCODER.encode(schema_tag(kind))) for kind in (Rollout, Frontier))
_HEAD, _NEW_HEAD = (b'{"schema":' + bytes(tag) + b"," for tag in (_ROLLOUT_TAG, _FRONTIER_TAG))
_NEW_NAMES = tuple(f'"{name}"'.encode() for name in ("zone", "posterior", "failures"))


@dataclass(slots=True)
class _Group:
    """The lines of one problem, by their numbers in the store, and all their verdicts."""

    lines: tuple[int, ...]
    verdicts: bytes


def _gather(run: Run, store: LineStore) -> list[_Group]:
    """First reading: check every line in full and keep what decides the zone."""
    groups: dict[str, _Group] = {}
    # Most problems share their verdicts with many others: one object for all of them.
    shared: dict[bytes, bytes] = {}
    for line in run.lines():
        try:
            rollout = _rollout(line.data)
            group = groups.get(rollout.problem.id)
            if group is not None:
                _refuse_strangers(store, group, line, rollout)
        except RowError as error:
            run.reject(line, error)
            continue
        verdicts = verdicts_of(rollout.completions)
        number = store.add(line)
        if group is None:
            groups[rollout.problem.id] = _Group((number,), shared.setdefault(verdicts, verdicts))
        else:
            group.lines += (number,)
            group.verdicts += verdicts
    return list(groups.values())


def _rollout(data: bytes) -> Rollout:
    # The direct decoder is four times as fast as `decode`, which knows other schemas and says what is wrong.
    try:
        return _ROLLOUT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode(data, Rollout)


def _refuse_strangers(store: LineStore, group: _Group, line: Line, rollout: Rollout) -> None:
    """Lines merge only when they tell of the same problem, drawn in the same way; seeds and counts may differ."""
    first = _rollout(store.read(group.lines[0]))
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


def _content(rollout: Rollout, keyed: bool) -> tuple[str, ...]:
    return (rollout.key,) if keyed else (rollout.problem.question, rollout.problem.answer)


def _manner(sampling: Sampling) -> Sampling:
    return msgspec.structs.replace(sampling, n=1, seed=0, extra={})


def _write(
    run: Run, store: LineStore, groups: Iterable[_Group], borders: Borders, zones: frozenset[str]
) -> Counter[Tally]:
    """Second reading: copy each problem out with its zone; all other fields stay the bytes they were."""
    tallies: Counter[Tally] = Counter()
    for group in groups:
        tally, added, tail = _added(group.verdicts, borders)
        tallies[tally] += 1
        if tally.zone not in zones:
            run.drop(f"zone {tally.zone}", rows=len(group.lines))
            continue
        line = store.read(group.lines[0])
        if len(group.lines) == 1 and _is_plain(line):
            run.write_bytes(b"%b%b%b" % (_NEW_HEAD, line[len(_HEAD) : -2], tail))
            continue
        fields = _FIELDS.decode(line)
        if len(group.lines) > 1:
            fields |= _merged(store, group, fields)
        tag = fields.pop("schema", _ROLLOUT_TAG)
        row = {"schema": _FRONTIER_TAG if tag == _ROLLOUT_TAG else tag, **fields, **added}
        run.write_bytes(_ENCODER.encode_lines((row,)), rows=len(group.lines))
    return tallies


def _write_rates(
    run: Run, column: RateColumn, root: ImageRoot, borders: Borders, zones: frozenset[str]
) -> Counter[Tally]:
    """Problems with a published pass rate; their images are named as rollout names them."""

    def check(problem: Problem, source: str | None) -> Problem:
        column.correct(problem)
        images = tuple(image.ref for image in root.resolve_all(problem.images, source))
        return msgspec.structs.replace(problem, images=images)

    tallies: Counter[Tally] = Counter()
    for problem in run.read(Problem, unique=lambda problem: problem.id, check=check):
        correct = column.correct(problem)
        if correct is None:
            run.drop("no pass rate")
            continue
        row = column.frontier(problem, correct, *borders)
        tallies[Tally(correct, column.samples - correct, 0, row.zone)] += 1
        if row.zone in zones:
            run.write(row)
        else:
            run.drop(f"zone {row.zone}")
    return tallies


def _is_plain(line: bytes) -> bool:
    """Whether a rollout line, already found valid, can be spliced: its tag comes first, and no field would come twice.

    Splicing copies the line as it is, in half the time of taking its fields apart.
    """
    return line.startswith(_HEAD) and line.endswith(b"}\n") and not any(name in line for name in _NEW_NAMES)


@functools.lru_cache(maxsize=65536)
def _added(verdicts: bytes, borders: Borders) -> tuple[Tally, dict[str, msgspec.Raw], bytes]:
    """The tally, the fields that follow from it, and the same fields as the end of a spliced line."""
    zone, posterior, failures = locate(verdicts, borders)
    tally = Tally(verdicts.count(b"+"), verdicts.count(b"-"), verdicts.count(b"?"), zone)
    added = {"zone": _ENCODER.encode(zone), "posterior": encode(posterior), "failures": _ENCODER.encode(failures)}
    fields = {name: msgspec.Raw(value.strip()) for name, value in added.items()}
    return tally, fields, b",%b\n" % _ENCODER.encode(fields)[1:]


def _merged(store: LineStore, group: _Group, first: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The fields that tell of all lines of a problem; every other field is the first line's."""
    completions = _ITEMS.decode(first["completions"])
    for line in group.lines[1:]:
        completions += _ITEMS.decode(_FIELDS.decode(store.read(line))["completions"])
    sampling = _FIELDS.decode(first["sampling"]) | {"n": msgspec.Raw(str(len(completions)).encode())}
    return {name: msgspec.Raw(_ENCODER.encode(x)) for name, x in (("completions", completions), ("sampling", sampling))}


def _zones(names: str) -> frozenset[str]:
    wanted = frozenset(name.strip() for name in names.split(","))
    for name in sorted(wanted - set(get_args(Zone))):
        near = difflib.get_close_matches(name, get_args(Zone), n=1)
        hint = f"did you mean {near[0]}?" if near else f"zones are {', '.join(get_args(Zone))}"
        raise UsageError(f"unknown zone {name!r} in --zones", hint=hint)
    return wanted


def _sentence(summary: Mapping[str, int | float]) -> str:
    return ", ".join(
        f"{name} {value:.3f}" if isinstance(value, float) else f"{value} {name}" for name, value in summary.items()
    )
