"""The commands in the order of the loop, and the one place where the user's errors are shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from anectl import __version__
from anectl.core.errors import AnectlError
from anectl.stages import (
    anchor,
    build_index,
    check,
    compare,
    eval,
    locate_frontier,
    rollout,
    scaffold,
    schema,
    sft,
    strip_rl,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "rollout": rollout.command,
    "locate-frontier": locate_frontier.command,
    "build-index": build_index.command,
    "anchor": anchor.command,
    "scaffold": scaffold.command,
    "sft": sft.command,
    "strip-rl": strip_rl.command,
    "eval": eval.command,
    "compare": compare.command,
    "check": check.command,
    "schema": schema.command,
}

app = typer.Typer(
    name="anectl",
    help="Push a multimodal LLM past the problems it fails. Every command reads and writes JSON Lines.",
    no_args_is_help=True,
    # Plain help starts twice as fast as the rich one, and every pipeline pays for each start.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"anectl {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    pass


def main() -> None:
    """Run the command line: exit 0, 1 (user's error), 2 (usage), 130 (Ctrl-C); a bug keeps its traceback."""
    try:
        app()
    except AnectlError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as stop:
        # Typer turns a broken pipe into exit 1; for us the reader has all it wants.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        # Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
