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
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, NamedTuple, get_args

import msgspec
import typer

from anectl import console, options
from anectl.core.certificates import Trials
from anectl.core.drift import Drift
from anectl.core.errors import RowError, UsageError
from anectl.core.frontier_lines import (
    NEW_MARKS,
    Group,
    adder,
    located,
    refuse_strangers,
    rollout_in,
    whole_row,
    with_labels,
)
from anectl.core.images import ImageRoot
from anectl.core.labels import Labels, encoded, is_unsolvable
from anectl.core.line_store import LineStore
from anectl.core.pass_rates import RateColumn
from anectl.core.posterior import JEFFREYS, Prior
from anectl.core.prior import LEAST_PROBLEMS, fit_prior
from anectl.core.records import Problem, Zone
from anectl.core.run import Run
from anectl.core.suspects import Kin
from anectl.core.zones import Borders, Tally, summarise, verdicts_of

DEFAULT_ZONES = "failing,learnable,unsure"


class PriorChoice(StrEnum):
    """How pass rates are taken to be spread before anything is drawn."""

    auto = "auto"
    jeffreys = "jeffreys"
    fitted = "fitted"


class Wanted(NamedTuple):
    """Which problems are written."""

    zones: frozenset[str]
    drop_unsolvable: bool = False


def command(
    context: typer.Context,
    inputs: options.Inputs = None,
    low: Annotated[float, typer.Option(help="A pass rate under this is failing.")] = 0.1,
    high: Annotated[float, typer.Option(help="A pass rate over this is solved.")] = 0.7,
    min_confidence: Annotated[float, typer.Option(help="Posterior mass a zone needs; else the row is unsure.")] = 0.8,
    prior: Annotated[
        PriorChoice,
        typer.Option(
            help="jeffreys: each row for itself; fitted: as all rows say pass rates are spread; "
            f"auto: fitted from {LEAST_PROBLEMS} problems on."
        ),
    ] = PriorChoice.auto,
    zones: Annotated[str, typer.Option(help="Zones to write, of failing, learnable, solved, unsure.")] = DEFAULT_ZONES,
    labels: Annotated[
        bool, typer.Option("--labels", help="Label failing rows: a suspect truth, and what they go wrong in.")
    ] = False,
    suspect_share: Annotated[
        float, typer.Option(help="Share of the judged completions that one wrong answer needs to dominate.")
    ] = 0.5,
    suspect_kin: Annotated[
        float, typer.Option(help="Pass rate, on problems of the same tags, from which such an answer is suspect.")
    ] = 0.5,
    certificates: Annotated[
        list[str], typer.Option(metavar="FILE", help="Rollouts by another policy or with a hint; may be repeated.")
    ] = [],  # noqa: B006 - typer wants the default itself
    drop_unsolvable: Annotated[
        bool, typer.Option("--drop-unsolvable", help="Leave out rows that are certified unsolvable.")
    ] = False,
    before: Annotated[
        str | None, typer.Option(metavar="FRONTIER", help="An earlier frontier: says who crossed zones since.")
    ] = None,
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

    A zone is given when enough of the posterior of the pass rate lies in it. Its prior is fitted to all rows, so that
    zones are right as often as they say; of fewer than 200 problems, or with --prior jeffreys, it is Beta(1/2, 1/2),
    and each row is placed by itself. Completions that could not be judged do not count. Lines of one problem are
    merged. Solved problems are left out unless --zones names them. With --pass-rate-field the input is problems, and
    a rate their data set was published with stands for --pass-rate-samples completions: a frontier without a GPU.

    A failing row may get more. --labels adds `suspect`, where one wrong answer dominates though the policy solves
    most problems of the same tags, and `fault`, what most failures go wrong in (perception, reasoning or format).
    --certificates adds `certificate`, whether the problem can be solved: yes where another policy was right more often
    than by chance, no only where another one was never right either and agrees on the same wrong answer. --before
    names an earlier frontier; each row gets its zone there as `before`.

    Example: anectl locate-frontier rollouts.jsonl --zones failing > failing.jsonl
    """
    wanted = Wanted(_zones(zones), drop_unsolvable)
    borders = _borders(low, high, min_confidence)
    extras = {"--prior fitted": prior == "fitted", "--labels": labels, "--certificates": certificates}
    _refuse_odd_options(suspect_share, suspect_kin, wanted, extras | {"--before": before}, pass_rate_field)
    if "-" in (before, *certificates) and (not inputs or "-" in inputs):
        raise UsageError(f"{'--before' if before == '-' else '--certificates'} -: stdin holds the rollouts")
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
            told = Labels(
                kin=Kin() if labels else None,
                share=suspect_share,
                kin_rate=suspect_kin,
                trials=Trials(certificates, suspect_share) if certificates else None,
                drift=None if before is None else Drift(before),
            )
            counts = _locate_all(run, store, borders, prior, wanted, told)
        else:
            column = RateColumn(pass_rate_field, pass_rate_samples)
            counts = _write_rates(run, column, ImageRoot(image_root), borders, wanted.zones)
        run.notes["summary"] = summary = summarise(counts)
        log(_sentence(summary))


def _locate_all(
    run: Run, store: LineStore, borders: Borders, prior: PriorChoice, wanted: Wanted, labels: Labels
) -> Counter[Tally]:
    """Both readings, and what the labels say for the manifest and the log."""
    groups = _gather(run, store, labels.kin)
    borders = borders._replace(prior=_prior_of(run, groups, prior))
    tallies = _write(run, store, groups, borders, wanted, labels)
    run.notes |= labels.facts()
    for sentence in labels.sentences():
        run.log(sentence)
    return tallies


def _gather(run: Run, store: LineStore, kin: Kin | None) -> dict[str, Group]:
    """First reading: check every line in full and keep, by the problems' ids, what decides the zone."""
    groups: dict[str, Group] = {}
    # Most problems share their verdicts with many others: one object for all of them.
    shared: dict[bytes, bytes] = {}
    for line in run.lines():
        try:
            rollout = rollout_in(line.data)
            group = groups.get(rollout.problem.id)
            first = rollout if group is None else refuse_strangers(store, group, rollout)
        except RowError as error:
            run.reject(line, error)
            continue
        verdicts = verdicts_of(rollout.completions)
        number = store.add(line)
        if kin is not None:
            correct = verdicts.count(b"+")
            kin.add(first.problem, correct, correct + verdicts.count(b"-"), is_further=group is not None)
        if group is None:
            groups[rollout.problem.id] = Group((number,), shared.setdefault(verdicts, verdicts))
        else:
            group.join(number, rollout, verdicts)
    return groups


def _prior_of(run: Run, groups: Mapping[str, Group], choice: PriorChoice) -> Prior:
    """The prior that is asked for. A fitted one is what all problems together tell, solved ones too."""
    verdicts = Counter(group.verdicts for group in groups.values())
    counts: Counter[tuple[int, int]] = Counter()
    for text, number in verdicts.items():
        correct = text.count(b"+")
        counts[correct + text.count(b"-"), correct] += number
    told = sum(number for (judged, _), number in counts.items() if judged)
    is_fitted = choice == PriorChoice.fitted or (choice == PriorChoice.auto and told >= LEAST_PROBLEMS)
    prior = fit_prior(counts) if is_fitted else JEFFREYS
    run.notes |= {"prior_is": "fitted" if is_fitted else "jeffreys", "prior": [part._asdict() for part in prior]}
    if is_fitted and choice == PriorChoice.auto:
        run.log(f"the prior of the pass rate is fitted to {told} problems; --prior jeffreys places each by itself")
    return prior


def _write(
    run: Run, store: LineStore, groups: Mapping[str, Group], borders: Borders, wanted: Wanted, labels: Labels
) -> Counter[Tally]:
    """Second reading: copy each problem out with its zone; all other fields stay the bytes they were."""
    tallies: Counter[Tally] = Counter()
    add, labelled = adder(borders), bool(labels.names)
    marks = (*NEW_MARKS, *(f'"{name}"'.encode() for name in labels.names))
    for id, group in groups.items():
        addition = add(group.verdicts)
        tally = addition.tally
        tallies[tally] += 1
        found: dict[str, Any] = {}
        if labelled:
            found = labels.of(id, tally, partial(whole_row, store, group))
            addition = with_labels(addition, encoded(found))
        if tally.zone not in wanted.zones:
            run.drop(f"zone {tally.zone}", rows=len(group.lines))
        elif wanted.drop_unsolvable and is_unsolvable(found):
            run.drop("certified unsolvable", rows=len(group.lines))
        else:
            run.write_bytes(located(store, group, addition, marks), rows=len(group.lines))
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
        row = column.frontier(problem, correct, borders.low, borders.high, borders.min_confidence)
        tallies[Tally(correct, column.samples - correct, 0, row.zone)] += 1
        if row.zone in zones:
            run.write(row)
        else:
            run.drop(f"zone {row.zone}")
    return tallies


def _borders(low: float, high: float, min_confidence: float) -> Borders:
    if not 0 < low < high < 1:
        raise UsageError(f"--low {low} --high {high}: must be 0 < low < high < 1")
    if not 0 < min_confidence <= 1:
        raise UsageError(f"--min-confidence {min_confidence}: must be over 0 and at most 1")
    return Borders(low, high, min_confidence)


def _refuse_odd_options(
    share: float, kin: float, wanted: Wanted, extras: Mapping[str, object], rates: str | None
) -> None:
    """Raises UsageError for options that do not go together; `extras` are those that need completions."""
    if not 0 < share <= 1:
        raise UsageError(f"--suspect-share {share}: must be over 0 and at most 1")
    if not 0 <= kin <= 1:
        raise UsageError(f"--suspect-kin {kin}: must be from 0 to 1")
    if wanted.drop_unsolvable and not extras["--certificates"]:
        raise UsageError("--drop-unsolvable goes with --certificates", hint="that nobody was right is no certificate")
    given = [name for name, value in extras.items() if value]
    if rates is not None and given:
        raise UsageError(f"{given[0]} needs rollouts, and --pass-rate-field reads problems")


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
