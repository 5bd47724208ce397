"""Options of the commands that draw completions, and what they say of the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import typer

from anectl import engines
from anectl.core import records
from anectl.core.errors import AnectlError, UsageError
from anectl.core.jsonl import read_records
from anectl.core.run import Run
from anectl.options import key_values


def parse_temperature(text: str | float) -> float:
    """A number, or `@FILE` with the one record that tune-temperature wrote. Raises AnectlError for anything else."""
    if isinstance(text, str) and text.startswith("@"):
        found = list(read_records(text[1:], records.Temperature))
        if len(found) != 1:
            raise AnectlError(f"{len(found)} records of a temperature, not one", path=text[1:])
        return found[0].temperature
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--temperature {text!r} is no number", hint="a number from 0 up, or @FILE") from None
    if not 0 <= value < math.inf:
        raise UsageError(f"--temperature {text}: must be a number from 0 up")
    return value


Temperature = Annotated[
    float,
    typer.Option(
        parser=parse_temperature, metavar="FLOAT|@FILE", help="0 is greedy; @FILE: the one tune-temperature found."
    ),
]
Engine = Annotated[
    Literal["transformers", "vllm", "openai", "fake"],
    typer.Option(help="What samples; `openai` is any server at --url, `fake` reads --model as a script."),
]
EngineArguments = Annotated[
    list[str],
    typer.Option("--engine-arg", help="KEY=VALUE for the engine itself, as often as wanted: max_model_len=4096."),
]
Url = Annotated[str | None, typer.Option(help="Server of --engine openai, such as http://localhost:8000/v1.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests to the server at a time.")]
Ray = Annotated[
    str | None, typer.Option("--ray", help="Work on a Ray cluster: its address, `auto`, or `local` for this machine.")
]
Replicas = Annotated[int, typer.Option(min=1, help="Copies of the engine on the Ray cluster.")]
ReplicaGpus = Annotated[float, typer.Option(min=0, help="GPUs of each copy on the Ray cluster.")]
Unordered = Annotated[
    bool,
    typer.Option("--unordered", help="Write each row as it is done, not in the order of the input."),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="With --resume: draw the rows again in which the engine failed.")
]


def resumable_run(command: str, context: typer.Context, log: Callable[[str], None]) -> Run:
    """The run of a command whose rows are written as they come; a dry run writes no file."""
    given = context.params
    is_dry = given.get("dry_run", False)
    return Run(
        command,
        given,
        inputs=given["inputs"] or (),
        output=None if is_dry else given["output"],
        on_error=given["on_error"].value,
        rejects="-" if is_dry else given["rejects"],
        resume=given["resume"] and not is_dry,
        resumable=True,
        limit=given["limit"],
        log=log,
    )


def whole_run(command: str, context: typer.Context, log: Callable[[str], None], more_inputs: Sequence[str] = ()) -> Run:
    """The run of a command that writes its output whole; `more_inputs` are read after those that it was given."""
    given = context.params
    return Run(
        command,
        dict(given),
        inputs=[*(given["inputs"] or ["-"]), *more_inputs],
        output=given["output"],
        on_error=given["on_error"].value,
        rejects=given["rejects"],
        limit=given["limit"],
        log=log,
    )


def engine_settings(context: typer.Context) -> engines.EngineSettings:
    """What the options of a command say of its engine."""
    given = context.params
    return engines.EngineSettings(
        engine=given["engine"],
        model=given["model"],
        dtype=given["dtype"],
        batch_size=given["batch_size"],
        url=given["url"],
        concurrency=given["concurrency"],
        arguments=key_values("--engine-arg", given["engine_arg"]),
        ray=given["ray"],
        replicas=given["replicas"],
        replica_gpus=given["replica_gpus"],
    )
