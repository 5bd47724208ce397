"""Option types that several commands share, so that one word means one thing everywhere."""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from anectl import completion
from anectl.core.errors import AnectlError


class OnErrorChoice(StrEnum):
    """What a bad input row does."""

    fail = "fail"
    skip = "skip"


TRL_SECTION = "anectl.trl"


def _load_config(context: typer.Context, path: Path | None) -> Path | None:
    """Let a YAML file fill the options that the command line does not give; flags win."""
    if path is None:
        return None
    import yaml  # only when asked for: it would slow every start

    try:
        values = yaml.safe_load(path.read_text("utf8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AnectlError(f"not a YAML file: {error}", path=str(path)) from None
    if not isinstance(values, dict):
        raise AnectlError("expected a mapping of options", path=str(path))
    settings = {str(name).replace("-", "_"): value for name, value in values.items()}
    names = {str(parameter.name) for parameter in context.command.params} - {"config", "help"}
    # Only the training commands have a `trl` option: what stands there goes to TRL's own config unread.
    if "trl" in names and "trl" in settings:
        context.meta[TRL_SECTION] = settings.pop("trl")
    for name in settings:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "options are those of --help"
            raise AnectlError(f"unknown option {name!r}", path=str(path), hint=hint)
    context.default_map = {**(context.default_map or {}), **settings}
    return path


def trl_overrides(context: typer.Context, pairs: list[str]) -> dict[str, Any]:
    """The `trl:` section of --config, with `--trl KEY=VALUE` pairs (VALUE in YAML) over it."""
    return {**(context.meta.get(TRL_SECTION) or {}), **key_values("--trl", pairs)}


def key_values(option: str, pairs: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` pairs of an option, VALUE in YAML. Raises AnectlError for anything else."""
    if not pairs:
        return {}
    import yaml

    values = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise AnectlError(f"{option} {pair!r} is not KEY=VALUE")
        try:
            values[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise AnectlError(f"{option} {pair!r}: not YAML: {error}") from None
    return values


Inputs = Annotated[list[str] | None, typer.Argument(help="Input files; `-` or nothing is stdin.", metavar="FILE")]
OutputFile = Annotated[
    str | None, typer.Option("--output", "-o", help="Output file, written whole or not at all; default stdout.")
]
OnError = Annotated[OnErrorChoice, typer.Option(help="What a bad row does: end the run, or go to the rejects file.")]
Rejects = Annotated[str | None, typer.Option(help="Rejects file; default OUTPUT.rejects.jsonl.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted output file.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Read only the first LIMIT rows.")]
Seed = Annotated[int, typer.Option(help="Run seed; every random choice derives from it.")]
Root = Annotated[
    Path | None, typer.Option("--image-root", help="Folder image paths are relative to; default the row's file's.")
]
RemoteImages = Annotated[
    bool, typer.Option("--remote-images", help="Fetch images given by URL; only for rows that you trust.")
]
Config = Annotated[
    Path | None,
    typer.Option(help="YAML file that fills any option; flags win.", callback=_load_config, is_eager=True),
]
Model = Annotated[str, typer.Option("--model", "-m", help="Checkpoint folder or Hugging Face name.")]
Instruction = Annotated[str, typer.Option(help="Text after every question, asking for the answer's form.")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="Type of the weights; auto is the checkpoint's own, on a CPU float32."),
]
TopP = Annotated[float, typer.Option(help="Sample from the likeliest tokens that make up this share.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of one completion.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Problems that are sampled together.")]
Profiles = Annotated[
    list[str],
    typer.Option(
        "--profile",
        autocompletion=completion.profiles,
        help="Scoring rule; more than one for several (see docs/profiles.md).",
    ),
]
DisagreementFile = Annotated[
    str | None, typer.Option("--disagreements", help="Write here each completion that profiles judge differently.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every row and say what would be done; write nothing.")]
