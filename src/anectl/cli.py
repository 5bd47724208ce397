"""The commands in the order of the loop, and the one place where the user's errors are shown."""

from __future__ import annotations

import importlib
import keyword
import os
import sys
import warnings
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from anectl import __version__, completion, console
from anectl.core.errors import AnectlError

# One line a command, in the order of the loop. The stage of a command is imported when it is called, so that
# `anectl --help`, and every start of a pipeline, does not pay for all the others.
COMMANDS = {
    "import": "Turn a benchmark or training set into problems.",
    "export": "Turn problems or examples into the format of another tool.",
    "rollout": "Sample completions of each problem and grade them.",
    "locate-frontier": "Place each problem: failing, learnable, solved, or unsure.",
    "backtrack": "Find the step at which each failure begins.",
    "build-index": "Embed problems that have a worked solution, for `anchor` to search.",
    "decontaminate": "Drop rows that a benchmark holds too, each with the row it matches.",
    "anchor": "Find the ground truth nearest to each failing problem.",
    "scaffold": "Write training examples from anchored problems, with scaffolds and targets.",
    "train-prm": "Train a process reward model from step values.",
    "score-steps": "Score every step of every completion by a process reward model.",
    "select": "Choose training examples among the policy's own right completions.",
    "tune-temperature": "Find the temperature at which the next rollouts teach most.",
    "log-round": "Write the ledger line of one round of self-evolving training.",
    "sft": "Fine-tune on training examples; the loss is on the completion only.",
    "strip-rl": "Train by GRPO while the scaffold in the prompt is withdrawn.",
    "grade": "Grade saved completions again, by any rule, without generating.",
    "eval": "Score a policy on benchmarks; one file is one benchmark.",
    "compare": "Compare the scores of policies on the same problems.",
    "report": "Make one HTML page of a run, or of two to compare.",
    "trace": "Show the life of one problem through all artifacts of a run.",
    "check": "Check every row of any files; exit 1 when a row is bad.",
    "doctor": "Look for what would go wrong on this machine.",
    "schema": "Print the JSON Schema of a record.",
}


def stage_of(command: str) -> ModuleType:
    """The module of a command's stage; `import` is a word of the language, so its module is `import_`."""
    name = command.replace("-", "_") + ("_" if keyword.iskeyword(command) else "")
    return importlib.import_module(f"anectl.stages.{name}")


class _Loop(TyperGroup):
    """The group of COMMANDS, each built when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(cmd_name)(stage_of(cmd_name).command)
        return typer.main.get_command(single)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        # Typer would import every stage, only to ask which of them are hidden.
        return completion.commands(COMMANDS, incomplete) or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    name="anectl",
    cls=_Loop,
    help="Push a multimodal LLM past the problems it fails. Every command reads and writes JSON Lines.",
    no_args_is_help=True,
    # Plain help starts twice as fast as the rich one, and every pipeline pays for each start.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"anectl {__version__}")
        raise typer.Exit


def _log_format(chosen: console.LogFormat) -> console.LogFormat:
    # At once, so that what is wrong with the rest of the line is said in this format too.
    console.configure(log_format=chosen)
    return chosen


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
    log_format: Annotated[
        console.LogFormat,
        typer.Option(
            envvar="ANECTL_LOG_FORMAT",
            callback=_log_format,
            is_eager=True,
            help="Messages on stderr: text for people, or one JSON object a line.",
        ),
    ] = "text",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr; no progress, no tables.")
    ] = False,
) -> None:
    console.configure(context.invoked_subcommand or "anectl", log_format, quiet=quiet)


def main() -> None:
    """Run the command line: exit 0, 1 (user's error), 2 (usage), 130 (Ctrl-C); a bug keeps its traceback."""
    sys.excepthook = console.show_bug
    warnings.showwarning = console.show_warning
    try:
        sys.exit(app(standalone_mode=False))
    except AnectlError as error:
        console.show_error(error)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        if console.is_json():
            console.show_usage_error(error.format_message())
        else:
            error.show()  # type: ignore[attr-defined] # every one that typer raises has it
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
