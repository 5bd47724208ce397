"""What a model card tells, as facts: `card.json` in the checkpoint, from which the next one reads its lineage."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from anectl.core.accuracy import Accuracy
from anectl.core.card_sources import Ancestor, SourceTally, ancestors, tally
from anectl.core.jsonl import read_records
from anectl.core.ledger import Ledger
from anectl.core.records import Example, Result, Score

T = TypeVar("T")
FACTS_FILE = "card.json"
_RESULT_FILE = "result.json"
# Options whose values are nobody's business; `--trl hub_token=...` is one of them.
_SECRET = re.compile(r"((?:token|secret|password|api_?key)[\w-]*=)\S+", re.IGNORECASE)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# Settings that a reader wants to know; the manifest has them all.
_SHOWN = (
    *("learning_rate", "scheduler", "warmup_steps", "batch_size", "gradient_accumulation", "epochs", "max_steps"),
    *("seed", "dtype", "loss", "max_length", "train_vision", "lora", "lora_rank", "lora_alpha", "merge", "save_dtype"),
    *("load_in_4bit", "algorithm", "schedule", "top_level", "hinted_share", "num_generations", "max_tokens", "beta"),
    *("temperature", "targets", "labels"),
)


class Step(msgspec.Struct, frozen=True):
    """One training run in the lineage of a checkpoint."""

    command: str
    base: str
    checkpoint: str
    examples: int
    steps: int
    data: str = ""


class DataFacts(msgspec.Struct, frozen=True):
    """The training rows in numbers: by origin, by scaffold level and by how their targets came about."""

    rows: int
    problems: int
    images: int
    origins: dict[str, int]
    levels: dict[int, int]
    targets: dict[str, int]
    anchors: int = 0
    files: list[Ancestor] = []
    sources: SourceTally = SourceTally()
    digest: str = ""

    @property
    def replayed(self) -> float:
        """Share of the rows that repeat what the policy could do before."""
        return sum(count for origin, count in self.origins.items() if origin.startswith("replay")) / max(self.rows, 1)


class Measured(msgspec.Struct, frozen=True):
    """The accuracy of a policy on a benchmark under a profile, with its 95% interval, clustered by image."""

    policy: str
    profile: str
    benchmark: str
    problems: int
    accuracy: float
    low: float
    high: float


class CardFacts(msgspec.Struct, frozen=True):
    """All that the card of one checkpoint says. `root` is the model that the lineage began with.

    `kind` is full, adapter or merged; `licence` is that which the base's own card states, with its name and link.
    """

    lineage: list[Step]
    root: str
    kind: str
    data: DataFacts
    result: Result
    command_line: str = ""
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    licence: dict[str, str] = {}
    scores: list[Measured] = []


def data_facts(rows: Iterable[Example], inputs: Sequence[str], digest: str) -> DataFacts:
    """The training rows in numbers, and where they come from, as far as manifests tell."""
    origins: Counter[str] = Counter()
    levels: Counter[int] = Counter()
    targets: Counter[str] = Counter()
    problems: set[str] = set()
    anchors: set[str] = set()
    images: set[str] = set()
    number = 0
    for row in rows:
        number += 1
        origins[row.origin] += 1
        levels[row.scaffold.level] += 1
        if row.writing is not None:
            targets[row.writing.kind] += 1
        problems.add(row.problem_id)
        anchors.update(row.scaffold.anchor_ids)
        images.update(row.images)
    files = ancestors(inputs)
    return DataFacts(
        rows=number,
        problems=len(problems),
        images=len(images),
        origins=dict(origins.most_common()),
        levels=dict(sorted(levels.items())),
        targets=dict(targets.most_common()),
        anchors=len(anchors),
        files=[msgspec.structs.replace(file, path=at_home(file.path)) for file in files],
        sources=tally(files, problems | anchors),
        digest=digest,
    )


def card_facts(result: Result, data: DataFacts, options: Mapping[str, Any], manifest: Mapping[str, Any]) -> CardFacts:
    """The facts of a run that is done; `manifest` is its sidecar as it lies there."""
    parent = str(options.get("continue_from") or result.base)
    before = lineage_of(parent)
    result = msgspec.structs.replace(result, base=at_home(result.base), checkpoint=at_home(result.checkpoint))
    step = Step(result.command, at_home(parent), result.checkpoint, result.num_examples, result.steps, data.digest)
    merged = "merged" if options.get("merge") else "adapter"
    return CardFacts(
        lineage=[*before, step],
        root=before[0].base if before else at_home(parent),
        kind=merged if options.get("lora") else "full",
        data=data,
        result=result,
        command_line=command_line(manifest.get("argv", ())),
        settings=_shown(options),
        versions=dict(manifest.get("versions", {})),
        commit=manifest.get("git_commit"),
        licence=stated_licence(Path(parent) / "README.md"),
    )


def _shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of interest: those of adapters only where there are some, and nothing that is unset."""
    has_adapters = bool(options.get("lora"))
    names = [name for name in _SHOWN if has_adapters or not name.startswith("lora_")]
    found = {name: options[name] for name in names if isinstance(options.get(name), (bool, int, float, str))}
    if options.get("max_steps"):
        found.pop("epochs", None)  # only a default then
    return {name: value for name, value in found.items() if value is not False and value != ""}


def command_line(argv: Sequence[str]) -> str:
    """The call as it was typed, without secrets and with `~` for the home folder."""
    words = [_SECRET.sub(r"\1***", str(word)) for word in argv]
    return at_home(shlex.join(["anectl", *words]))


def at_home(path: str) -> str:
    """A text with `~` for the home folder: a card may be published, and account names are no part of it."""
    home = str(Path.home())
    return path if home == "/" else path.replace(home + "/", "~/")


def lineage_of(model: str) -> list[Step]:
    """The training runs that led to a checkpoint folder, oldest first; none for a model that is not of ours."""
    steps: list[Step] = []
    seen: set[str] = set()
    while model not in seen:
        seen.add(model)
        facts = _decoded(Path(model) / FACTS_FILE, CardFacts)
        if facts is not None:
            return [*facts.lineage, *steps]
        result = _decoded(Path(model) / _RESULT_FILE, Result)  # a folder of an earlier version has no facts
        if result is None:
            break
        steps = [_step(result), *steps]
        model = result.base
    return steps


def _step(result: Result) -> Step:
    places = at_home(result.base), at_home(result.checkpoint)
    return Step(result.command, *places, result.num_examples, result.steps)


def _decoded(path: Path, kind: type[T]) -> T | None:
    """A file of JSON; null where there is none, or one of another make."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def stated_licence(card: Path) -> dict[str, str]:
    """The fields on the licence at the head of a model card; empty where it states none."""
    import yaml  # only here: it would slow every start

    try:
        text = card.read_text("utf8")
    except (OSError, UnicodeDecodeError):
        return {}
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    try:
        fields = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        return {}
    names = ("license", "license_name", "license_link")
    return {name: str(fields[name]) for name in names if fields.get(name)} if isinstance(fields, dict) else {}


def measured(paths: Sequence[str]) -> list[Measured]:
    """What score files say of each policy. Raises AnectlError for a row that is no score."""
    found: list[Measured] = []
    with ExitStack() as closing:
        ledgers: dict[str, Ledger] = {}
        for path in paths:
            for score in read_records(path, Score):
                if score.policy not in ledgers:
                    ledgers[score.policy] = closing.enter_context(Ledger())
                ledgers[score.policy].add(score)
        for policy, ledger in ledgers.items():
            for profile, results in ledger.results(seed=0).items():
                found += [_measured(policy, profile, one) for one in results]
    return found


def _measured(policy: str, profile: str, one: Accuracy) -> Measured:
    low, high = one.clustered
    return Measured(policy, profile, one.benchmark, one.num_problems, one.accuracy, low, high)


def hub_names(names: Collection[str]) -> list[str]:
    """Those of the names that the hub would take for a model or data set, and that are no folders here."""
    return [name for name in names if _HUB_NAME.fullmatch(name) and not Path(name).exists()]
