"""How far sft moves a policy: how foreign its targets are before, and what becomes of rows that it mastered.

Forgetting is read off completions of the policy itself that were right, without drawing anew: the rise of their NLL,
KL(before || after) of the whole vocabulary at each of their tokens, and whether greedy decoding still gives them word
for word, which one forward pass tells: it does exactly where each token is the likeliest after those before it. Since
the completions were drawn from the policy, the KL is an estimate under its own distribution. Accuracy costs a
generation, and is what `eval` is for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode, read_lines
from anectl.core.metrics import ClusterType, Interval, bootstrap
from anectl.core.prompts import conversation, user_text
from anectl.core.records import Drift, Example, Forgetting, Message, Rollout, Scaffold, Surprise
from anectl.core.stripping import opening, to_item
from anectl.core.train_sizes import TrainPreflight
from anectl.core.training import TrainingRow

# A problem is mastered where more than this share of its judged completions are right: locate-frontier's --high.
MASTERED = 0.7
_SEED = 0


@dataclass(frozen=True, slots=True)
class Measure:
    """One text under one policy: its tokens, the sum of their NLL (nats), whether each was the likeliest.

    `kl` is the sum of the divergence from an earlier policy, 0 for that policy itself.
    """

    tokens: int
    nll: float
    greedy: bool
    kl: float = 0.0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A right completion of a mastered problem, as a training row that is not trained on, and the problem's tags."""

    row: TrainingRow
    tags: tuple[str, ...]


def bare(row: TrainingRow) -> TrainingRow:
    """The row without its scaffold; what a prefix would have said for the policy is a part of the target then."""
    example = row.example
    prompt = to_item(row, 0).prompts[0]
    said = opening(example.prompt) if opening(prompt) == "" else ""
    target = Message(role="assistant", content=said + example.completion[0].content)
    return replace(row, example=msgspec.structs.replace(example, prompt=prompt, completion=(target,)))


def chosen_rows(rows: Sequence[TrainingRow], number: int, seed: int) -> list[TrainingRow]:
    """At most so many of the rows, in their order, the same ones for a seed."""
    picked = random.Random(seed).sample(range(len(rows)), min(number, len(rows)))
    return [rows[place] for place in sorted(picked)]


def mastered(path: str, root: ImageRoot) -> Iterator[HeldOut]:
    """One right completion of each problem of a rollout file that the policy masters.

    Raises RowError with its place for a bad row, AnectlError where no problem is mastered.
    """
    found = False
    for line in read_lines(path):
        try:
            row = _held_out(decode(line.data, Rollout), root, path)
        except RowError as error:
            raise error.at(line.path, line.number) from None
        if row is not None:
            found = True
            yield row
    if not found:
        raise AnectlError(
            "no problem in it is mastered",
            path=path,
            hint=f"it needs problems with more than {MASTERED:.0%} of their completions right",
        )


def _held_out(rollout: Rollout, root: ImageRoot, source: str) -> HeldOut | None:
    judged = [one for one in rollout.completions if one.correct is not None]
    right = [one for one in judged if one.correct and one.finish_reason == "stop" and one.text]
    if not right or sum(bool(one.correct) for one in judged) <= MASTERED * len(judged):
        return None
    problem = rollout.problem
    example = Example(
        problem_id=problem.id,
        prompt=conversation(user_text(problem, rollout.sampling.instruction)),
        completion=(Message(role="assistant", content=right[0].text),),
        images=problem.images,
        answer=problem.answer,
        answer_type=problem.answer_type,
        scaffold=Scaffold(),
        origin="held-out",
    )
    return HeldOut(TrainingRow(example, root.resolve_all(problem.images, source)), problem.tags)


def within(rows: Iterable[HeldOut], preflight: TrainPreflight, tokens: int, seed: int) -> list[HeldOut]:
    """As many of the rows, drawn by the seed, as have so many completion tokens; those that the model cannot take go.

    Raises AnectlError where none is left.
    """
    drawn = list(rows)
    random.Random(seed).shuffle(drawn)
    chosen, spent = [], 0
    for one in drawn:
        try:
            size = preflight.measure(one.row)
        except RowError:
            continue
        if size.total <= preflight.window and spent + size.completion <= tokens:
            chosen.append(one)
            spent += size.completion
    if not chosen:
        raise AnectlError("no held-out row can be measured", hint="do they fit into the model and --held-out-tokens?")
    return chosen


def surprise(rows: Sequence[TrainingRow], measures: Mapping[int, Measure]) -> Surprise:
    """The mean NLL of targets, with the interval of a bootstrap by picture; `measures` go by the place of the row."""
    each = [(row, measures[place]) for place, row in enumerate(rows)]
    tokens = sum(measure.tokens for _, measure in each)
    low, high = _interval((row, measure.nll, measure.tokens) for row, measure in each)
    nll = sum(measure.nll for _, measure in each) / tokens
    return Surprise(rows=len(rows), tokens=tokens, nll=nll, low=low, high=high)


def drift(
    targets: Surprise | None, rows: Sequence[HeldOut], before: Mapping[int, Measure], after: Mapping[int, Measure]
) -> Drift:
    """What is told of a run: over all held-out rows, and for each tag, worst first by KL."""
    if not rows:
        return Drift(targets=targets)
    tags = sorted({tag for row in rows for tag in row.tags})
    families = [
        _forgetting(tag, rows, [n for n, row in enumerate(rows) if tag in row.tags], before, after) for tag in tags
    ]
    whole = _forgetting(None, rows, range(len(rows)), before, after)
    worst = sorted(families, key=lambda family: (-family.kl, family.tag))
    return Drift(targets=targets, held_out=whole, tags=tuple(worst))


def _forgetting(
    tag: str | None,
    rows: Sequence[HeldOut],
    places: Iterable[int],
    before: Mapping[int, Measure],
    after: Mapping[int, Measure],
) -> Forgetting:
    each = [(rows[place].row, before[place], after[place]) for place in places]
    tokens = sum(old.tokens for _, old, _ in each)
    low, high = _interval((row, new.kl, old.tokens) for row, old, new in each)
    return Forgetting(
        tag=tag,
        rows=len(each),
        tokens=tokens,
        nll_before=sum(old.nll for _, old, _ in each) / tokens,
        nll_after=sum(new.nll for _, _, new in each) / tokens,
        kl=sum(new.kl for _, _, new in each) / tokens,
        kl_low=low,
        kl_high=high,
        greedy_before=sum(old.greedy for _, old, _ in each),
        greedy_after=sum(new.greedy for _, _, new in each),
        lost=sum(old.greedy and not new.greedy for _, old, new in each),
    )


def _interval(sums: Iterable[tuple[TrainingRow, float, int]]) -> Interval:
    """Of a mean over tokens, from sums over rows; rows with the same picture are drawn together."""
    clusters: dict[tuple[str, ...], ClusterType] = {}
    for row, total, size in sums:
        name = row.example.images or (row.example.problem_id,)
        known = clusters.get(name, ClusterType(0.0, 0))
        clusters[name] = ClusterType(known.total + total, known.size + size)
    return bootstrap([Counter(clusters.values())], seed=_SEED)


def sentences(found: Drift) -> list[str]:
    """What a reader wants to know first."""
    said = []
    if found.held_out is not None:
        whole = found.held_out
        said.append(
            f"on {whole.rows} held-out rows: KL {whole.kl:.4g} ({whole.kl_low:.4g} to {whole.kl_high:.4g}) nats a "
            f"token, NLL {whole.nll_before:.4g} -> {whole.nll_after:.4g}; greedy decoding gave {whole.greedy_before} "
            f"of them before, {whole.greedy_after} now, {whole.lost} lost"
        )
    if found.tags:
        worst = found.tags[0]
        said.append(
            f"most drift in {worst.tag}: KL {worst.kl:.4g}, NLL {worst.nll_before:.4g} -> {worst.nll_after:.4g}"
        )
    return said
