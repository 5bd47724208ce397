"""How the run came about, from its manifests, and the files the page was made from."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from anectl.core.report.artifacts import Fault
from anectl.core.report.markup import Content, Markup, tag
from anectl.core.report.provenance import Step
from anectl.core.report.safe_text import cut, plain, short
from anectl.core.report.sections import section, table

_MOST_INPUTS = 40
_MOST_COMMAND = 2000


def run_card(steps: Sequence[Step], shown: Mapping[str, str]) -> Markup:
    """The commands in order, each with seed, commit, counts and the hashes of its inputs; `shown` names the outputs."""
    versions = _versions(steps)
    items = [_step(step, shown.get(step.path, step.output), versions) for step in steps]
    note = "In the order in which the files came about: each command after those whose outputs it read."
    common = ", ".join(f"{name} {version}" for name, version in versions.items())
    return section(
        "card",
        "Run card",
        tag("p", tag("b", "Versions "), common or "not known"),
        tag("ol", items, class_="steps"),
        note=note,
    )


def _versions(steps: Sequence[Step]) -> dict[str, str]:
    """The versions that all steps share."""
    each = [step.manifest.get("versions") for step in steps]
    known = [one for one in each if isinstance(one, dict)]
    if not known:
        return {}
    return {
        short(str(name), 40): short(str(version), 40)
        for name, version in list(known[0].items())[:40]
        if all(one.get(name) == version for one in known)
    }


def _step(step: Step, output: str, common: Mapping[str, str]) -> Markup:
    manifest = step.manifest
    facts: list[tuple[str, str]] = []
    options = manifest.get("options")
    if isinstance(options, dict) and options.get("seed") is not None:
        facts.append(("seed", plain(options["seed"])))
    counts = manifest.get("counts")
    if isinstance(counts, dict):
        facts += [(str(name), _count(value)) for name, value in list(counts.items())[:8] if value]
    if isinstance(manifest.get("seconds"), (int, float)):
        facts.append(("seconds", f"{float(manifest['seconds']):.1f}"))
    if manifest.get("git_commit"):
        facts.append(("commit", short(str(manifest["git_commit"]), 12).split("…")[0]))
    own = manifest.get("versions")
    if isinstance(own, dict):
        other = {str(name): str(value) for name, value in own.items() if common.get(str(name)) != str(value)}
        facts += [(short(name, 40), short(value, 40)) for name, value in list(other.items())[:8]]
    if manifest.get("status") != "complete":
        facts.append(("status", plain(manifest.get("status"))))
    described = [tag("span", tag("span", name, class_="key"), " ", value) for name, value in facts]
    return tag(
        "li",
        tag(
            "p", tag("b", short(str(manifest.get("command", "?")), 40)), " → ", tag("span", short(output), class_="id")
        ),
        tag("pre", tag("code", _command(manifest))),
        tag("p", described, class_="facts"),
        _inputs(manifest.get("inputs")),
    )


def _count(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{plain(count)} {short(str(reason), 60)}" for reason, count in list(value.items())[:8])
    return plain(value, 80)


def _command(manifest: Mapping[str, Any]) -> str:
    words = manifest.get("argv")
    if not isinstance(words, list):
        return "anectl " + short(str(manifest.get("command", "?")), 40)
    text = cut("anectl " + shlex.join(str(word) for word in words), _MOST_COMMAND)
    return text if isinstance(text, str) else f"{text.head} … {text.tail} ({text.length} characters)"


def _inputs(entries: Any) -> Content:
    if not isinstance(entries, list) or not entries:
        return None
    rows = []
    for entry in entries[:_MOST_INPUTS]:
        if isinstance(entry, dict):
            size = entry.get("bytes")
            rows.append(
                [plain(entry.get("path")), f"{size:,}" if isinstance(size, int) else "", plain(entry.get("sha256"), 64)]
            )
    more = f", {len(entries) - _MOST_INPUTS} more" if len(entries) > _MOST_INPUTS else ""
    count = f"{len(entries)} input{'s' if len(entries) > 1 else ''}{more}"
    return tag("details", tag("summary", count), table(["path", "bytes", "SHA-256"], rows, caption="Inputs"))


def files(read: Sequence[tuple[str, Counter[str]]], faults: Sequence[Fault], lists: Content) -> Markup:
    """What was read, what in it could not be used, and the rows that the run itself had rejected."""
    rows = [[name, ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())] for name, counts in read]
    wrong = [[short(one.path), short(one.problem)] for one in faults]
    bad = table(["file", "what is wrong"], wrong, caption="Not used", numbers_from=9) if faults else None
    return section("files", "Files", bad, table(["file", "rows"], rows, caption="Read", numbers_from=9), lists)
