"""doctor: is this machine fit for the work, and which known traps does it hold.

reads:   nothing
writes:  diagnosis/1, one line per finding, told on stderr too; exit 1 when one of them will end a run
example: anectl doctor --extra train > machine.jsonl
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from importlib import metadata
from typing import Annotated

import msgspec
import typer

from anectl import completion, console, options
from anectl.core.diagnosis import diagnose
from anectl.core.diagnosis_facts import Facts, TorchReport, ask, gather, loads
from anectl.core.diagnosis_libraries import OURS, watched_names
from anectl.core.errors import AnectlError, UsageError
from anectl.core.records import Diagnosis
from anectl.core.run import Run

_TORCH_TIMEOUT_S = 60.0
_LOAD_TIMEOUT_S = 20.0
# Built on the machine that installs it, for that machine's CPU.
_BUILT_HERE = "hnswlib"
_ORDER = {"ok": 0, "warn": 1, "fail": 2}
# What begins with `warning: ` is told in a quiet run too.
_WORDS = {"ok": "ok", "warn": "warning: ", "fail": "warning: fails: "}


def command(
    context: typer.Context,
    extra: Annotated[
        list[str] | None,
        typer.Option(
            help="This extra must be there: train, index, vllm, ...; may be repeated.", autocompletion=completion.extras
        ),
    ] = None,
    torch: Annotated[bool, typer.Option(help="Start torch and ask it about GPUs; takes some seconds.")] = True,
    output: options.OutputFile = None,
    config: options.Config = None,
) -> None:
    """Look at Python, memory, disks, GPUs and libraries of this machine, and say what would go wrong here.

    A `warn` may slow or limit a run; a `fail` will end it, and the command exits with 1. An extra of which nothing is
    installed is no fault unless --extra asks for it. No library is loaded into this process and nothing is sent.

    Example: anectl doctor --extra train
    """
    log = console.log("doctor")
    names = requirement_lines()
    _refuse_unknown(extra or (), names)
    with Run("doctor", context.params, output=output, log=log) as run:
        findings = list(diagnose(examine(names, with_torch=torch), extra or ()))
        for finding in findings:
            run.write(finding, rows=0)
    tell(findings, log)
    bad = [finding.name for finding in findings if finding.status == "fail"]
    if bad:
        raise AnectlError(f"to be mended before a run: {', '.join(bad)}")


def requirement_lines() -> Sequence[str]:
    """What our own metadata asks for; empty where we run without being installed."""
    try:
        return metadata.requires(OURS) or ()
    except metadata.PackageNotFoundError:
        return ()


def _refuse_unknown(extras: Collection[str], lines: Sequence[str]) -> None:
    known = sorted(metadata.metadata(OURS).get_all("Provides-Extra") or ()) if lines else []
    unknown = [name for name in extras if known and name not in known]
    if unknown:
        raise UsageError(f"--extra {unknown[0]}: no such extra", hint=f"extras are {', '.join(known)}")


def examine(lines: Sequence[str], *, with_torch: bool) -> Facts:
    """The facts of this machine; libraries are only ever loaded by processes of their own."""
    names = watched_names(lines)
    installed = {name for name in ("torch", _BUILT_HERE) if _is_installed(name)}
    words = loads(_BUILT_HERE, _LOAD_TIMEOUT_S) if _BUILT_HERE in installed else ""
    report = _ask_torch() if with_torch and "torch" in installed else None
    return gather(names, report, {_BUILT_HERE: words} if words else {})


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _ask_torch() -> TorchReport:
    status, out, words = ask("anectl.engines.torch_report", _TORCH_TIMEOUT_S)
    if status == 0:
        return msgspec.json.decode(out, type=TorchReport)
    return TorchReport(error=words or f"ended with status {status}")


def tell(findings: Sequence[Diagnosis], say: Callable[[str], None]) -> None:
    """One line per finding, and its advice in a second one; what needs a hand comes last, where the eye is."""
    width = max(len(finding.name) for finding in findings)
    for finding in sorted(findings, key=lambda finding: _ORDER[finding.status]):
        advice = f"\n{finding.advice}" if finding.advice else ""
        say(f"{_WORDS[finding.status]:4}  {finding.name:{width}}  {finding.found}{advice}")
