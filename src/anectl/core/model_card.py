"""The model card beside a checkpoint: `README.md`, made of the run's facts, in the form that the hub reads.

The last line of a card is a mark with the hash of all that stands above it. A card whose mark does not fit was edited
by a person, and is never written over.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from anectl.core.card_facts import FACTS_FILE, CardFacts, hub_names
from anectl.core.card_sources import UNKNOWN
from anectl.core.output import write_atomic
from anectl.core.records import Drift, Forgetting

CARD_FILE = "README.md"
# Where the new card goes beside one that a person has edited.
SPARE_FILE = "README.generated.md"
_MARK = re.compile(r"<!-- written by anectl, sha256 ([0-9a-f]{64}) -->\n\Z")
# What is markup within a line; all texts from data stand within one, never at its beginning.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_LONGEST = 200
_MOST_FILES = 20
_METHODS = {"sft": ("sft",), "strip-rl": ("grpo", "reinforcement-learning"), "train-prm": ("reward-model",)}


def write_card(folder: Path, facts: CardFacts, *, standing: Path | None = None) -> str:
    """Write card and facts into a folder, each whole or not at all. Returns the name of the card's file.

    `standing` is the card that a reader has in its place now; one that a person has edited stays, and the new one goes
    beside it.
    """
    write_atomic(folder / FACTS_FILE, msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")
    text = signed(render(facts)).encode()
    kept = _read(standing if standing is not None else folder / CARD_FILE)
    if kept is None or is_ours(kept):
        write_atomic(folder / CARD_FILE, text)
        return CARD_FILE
    write_atomic(folder / CARD_FILE, kept)
    write_atomic(folder / SPARE_FILE, text)
    return SPARE_FILE


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def signed(text: str) -> str:
    """A card with its mark."""
    return f"{text}\n<!-- written by anectl, sha256 {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def is_ours(card: bytes) -> bool:
    """Whether a card is as we wrote it, to the byte."""
    text = card.decode("utf8", "replace")
    mark = _MARK.search(text)
    return mark is not None and hashlib.sha256(text[: mark.start() - 1].encode()).hexdigest() == mark[1]


def escape(text: object) -> str:
    """Text from data as plain Markdown in one line: no markup, no HTML, no invisible characters, at most 200 long."""
    line = " ".join(str(text).split())
    visible = "".join(one for one in line if unicodedata.category(one)[0] != "C")
    short = visible if len(visible) <= _LONGEST else visible[: _LONGEST - 1] + "…"
    escaped = _SPECIAL.sub(r"\\\1", html.escape(short, quote=False))
    # What pages make links of by themselves.
    return escaped.replace("://", ":&#47;&#47;").replace("@", "&#64;").replace("www", "w&#119;w")


def render(facts: CardFacts) -> str:
    """The card: a YAML head that the hub reads, then what a reader must know of the checkpoint."""
    name = Path(facts.result.checkpoint).name
    parts = [
        _head(facts),
        f"# {escape(name)}",
        _opening(facts),
        *_lineage(facts),
        *_training(facts),
        *_data(facts),
        *_figures(facts),
        *_limits(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _head(facts: CardFacts) -> str:
    import yaml  # only here: it would slow every start

    is_adapter = facts.kind == "adapter"
    fields: dict[str, Any] = dict(facts.licence)
    # Adapters fit the one model that they were trained on; a whole model may be told by the first of its lineage.
    base = hub_names([facts.result.base] if is_adapter else [facts.result.base, facts.root])
    if base:
        # The hub refuses a card whose base is no name of its own, such as a folder.
        fields |= {"base_model": base[0], "base_model_relation": "adapter" if is_adapter else "finetune"}
    fields["library_name"] = "peft" if is_adapter else "transformers"
    if facts.result.command != "train-prm":
        fields["pipeline_tag"] = "image-text-to-text"
    methods = [tag for step in facts.lineage for tag in _METHODS.get(step.command, ())]
    fields["tags"] = list(dict.fromkeys(["anectl", *methods, *(["lora"] if facts.kind != "full" else []), "trl"]))
    datasets = hub_names([place for place in facts.data.sources.places if place != UNKNOWN])
    if datasets:
        fields["datasets"] = datasets
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---"


def _opening(facts: CardFacts) -> str:
    what = {
        "adapter": "LoRA adapters for a vision-language model",
        "merged": "A vision-language model with LoRA adapters merged into its weights",
        "full": "A vision-language model",
    }[facts.kind]
    verb = {"train-prm": "A process reward model, made of a vision-language model"}.get(facts.result.command, what)
    return (
        f"{verb}, trained by `anectl {facts.result.command}` from {escape(facts.lineage[-1].base)}. The base of the "
        f"whole lineage is {escape(facts.root)}. This card was written by the command itself, from what it did."
    )


def _lineage(facts: CardFacts) -> Iterator[str]:
    yield "## Lineage"
    rows = [
        (number, step.command, step.base, step.checkpoint, f"{step.examples:,}", f"{step.steps:,}", step.data[:12])
        for number, step in enumerate(facts.lineage, 1)
    ]
    yield _table(("", "command", "from", "to", "rows", "steps", "data"), rows)


def _training(facts: CardFacts) -> Iterator[str]:
    yield "## Training"
    yield _fenced(facts.command_line)
    versions = ", ".join(f"{escape(name)} {escape(version)}" for name, version in facts.versions.items())
    commit = f", commit {escape(facts.commit)}" if facts.commit else ""
    yield f"Optimizer steps: {facts.result.steps:,}, in {facts.result.seconds:,.0f} s. Versions: {versions}{commit}."
    yield _table(("setting", "value"), list(facts.settings.items()))


def _data(facts: CardFacts) -> Iterator[str]:
    data = facts.data
    yield "## Data"
    yield (
        f"{data.rows:,} rows of {data.problems:,} problems with {data.images:,} images; {data.anchors:,} anchors stand "
        f"in their scaffolds. {data.replayed:.1%} of the rows are replayed: what the policy could do before. "
        f"Hash of the rows: {data.digest or 'not known'}."
    )
    yield _counts(("origin of the target", "rows"), data.origins)
    yield _counts(("scaffold level", "rows"), {f"L{level}": count for level, count in data.levels.items()})
    if data.targets:
        yield _counts(("kind of target", "rows"), data.targets)
    if data.files:
        listed = [(file.path, file.command or "-", file.sha256) for file in data.files[:_MOST_FILES]]
        yield "Files that the rows come from, as far as their manifests tell:"
        yield _table(("file", "written by", "sha256"), listed)
    yield "Licences of the problems and anchors, as their sources state them:"
    yield _counts(("licence", "problems"), data.sources.licences)
    yield _counts(("source", "problems"), data.sources.places)


def _figures(facts: CardFacts) -> Iterator[str]:
    yield "## Figures"
    if facts.result.metrics:
        yield "On the training rows, over the last tenth of the steps:"
        yield _table(("figure", "value"), [(name, f"{value:.4g}") for name, value in facts.result.metrics.items()])
    if facts.result.drift is not None:
        yield from _drift(facts.result.drift)
    if facts.scores:
        yield "Accuracy on the bare prompt in %, with 95% intervals clustered by image:"
        rows = [
            (one.policy, one.benchmark, one.profile, one.problems, _percent(one.accuracy, one.low, one.high))
            for one in facts.scores
        ]
        yield _table(("policy", "benchmark", "profile", "problems", "accuracy"), rows)
    else:
        yield "No scores were given; `anectl eval` and `anectl compare` tell whether it is better than its base."


def _drift(drift: Drift) -> Iterator[str]:
    if drift.targets is not None:
        one = drift.targets
        yield (
            f"Drift: the targets had a mean NLL of {one.nll:.3f} nats per token [{one.low:.3f}, {one.high:.3f}] under "
            f"the policy that training began with ({one.rows:,} rows)."
        )
    if drift.held_out is not None:
        yield "Forgetting, on completions of that policy that were right (greedy: reproduced word for word):"
        header = ("rows", "tag", "NLL before", "NLL after", "KL", "greedy before", "greedy after", "lost")
        yield _table(header, [_forgotten(one) for one in (drift.held_out, *drift.tags)])


def _forgotten(one: Forgetting) -> tuple[object, ...]:
    divergence = f"{one.kl:.4f} [{one.kl_low:.4f}, {one.kl_high:.4f}]"
    nll = f"{one.nll_before:.4f}", f"{one.nll_after:.4f}"
    return one.rows, one.tag or "all", *nll, divergence, one.greedy_before, one.greedy_after, one.lost


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "## Limits"
    limits = [
        "The figures of training are of its own rows and say nothing of other data.",
        "It was trained to answer questions that have one checkable answer; nothing was done for safety.",
    ]
    unknown = facts.data.sources.licences.get(UNKNOWN, 0)
    if unknown:
        limits.append(f"The licence of {unknown:,} of {facts.data.sources.problems:,} problems is not known.")
    if not facts.licence:
        limits.append("No licence is stated for the model: that of its base and of its data decide.")
    if facts.data.levels and max(facts.data.levels) > 0:
        limits.append("Some prompts held a scaffold; only the bare prompt says what the model can do by itself.")
    yield "\n".join(f"- {line}" for line in limits)


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _counts(header: Sequence[str], counts: Mapping[str, int]) -> str:
    return _table(header, [(name, f"{count:,}") for name, count in counts.items()])


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(map(escape, row)) + " |" for row in rows)])


def _fenced(text: str) -> str:
    """A code block that no run of backticks in the text can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    visible = "".join(one for one in text if one == "\n" or unicodedata.category(one)[0] != "C")
    return f"{fence}bash\n{visible}\n{fence}"
