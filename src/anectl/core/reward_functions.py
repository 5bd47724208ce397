"""The user's own reward functions: named `PACKAGE.MODULE:FUNCTION`, with the signature that TRL has for them.

A function gets by name, one value per completion in a list each: prompts, completions (`[{"role", "content"}]`),
completion_ids, the fields of the example (problem_id, answer, answer_type, choices, precision, unit, origin), `level`,
the scaffold level it was shown at, and what else TRL gives; so it should end in `**rest`. It returns one number per
completion; null says that it does not apply to that one.
"""

from __future__ import annotations

import importlib
import inspect
import math
import numbers
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anectl.core.errors import AnectlError
from anectl.core.records import Example

RewardFunction = Callable[..., Any]
FIELDS = ("problem_id", "answer", "answer_type", "choices", "precision", "unit", "origin")


def load_reward(dotted: str) -> RewardFunction:
    """The function of that name; modules are looked for in the current folder too.

    Raises AnectlError when there is none, or when its module cannot be imported.
    """
    module_name, colon, name = dotted.partition(":")
    if not (module_name and colon and name):
        raise AnectlError(f"--reward {dotted}: not of the form PACKAGE.MODULE:FUNCTION")
    with _from_here(), _told(f"--reward {dotted}"):
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            raise AnectlError(
                f"--reward {dotted}: there is no module {error.name!r}",
                hint="modules are looked for in the current folder and among the installed ones",
            ) from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise AnectlError(f"--reward {dotted}: {module_name} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise AnectlError(f"--reward {dotted}: is not a function")
    if inspect.iscoroutinefunction(found):
        raise AnectlError(f"--reward {dotted}: is asynchronous", hint="give a plain function")
    return found  # type: ignore[no-any-return]


def short_names(dotted: Sequence[str]) -> list[str]:
    """What each function is called in the log: its own name, or all of the path where two have the same."""
    short = [name.rpartition(":")[2] for name in dotted]
    return [one if short.count(one) == 1 else long.replace(":", ".") for one, long in zip(short, dotted, strict=True)]


def called(function: RewardFunction, name: str, examples: Sequence[Example], given: Mapping[str, Any]) -> list[Any]:
    """One number or null per example. Raises AnectlError: it failed, or returned something else than that."""
    fields = {field: [getattr(example, field) for example in examples] for field in FIELDS}
    with _told(f"reward {name}"):
        values = function(**given, **fields)
    if not isinstance(values, Sequence) or len(values) != len(examples):
        raise AnectlError(f"reward {name}: one number per completion is due, {len(examples)} of them in a list")
    for value, example in zip(values, examples, strict=True):
        if value is not None and not (isinstance(value, numbers.Real) and math.isfinite(value)):
            raise AnectlError(
                f"reward {name}: {value!r} for {example.problem_id!r}", hint="return null where it does not apply"
            )
    return [None if value is None else float(value) for value in values]


@contextmanager
def _from_here() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn a failure of the user's code into an error with the file and the line it came from."""
    try:
        yield
    except AnectlError:
        raise
    except Exception as error:  # the user's code may raise anything
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        own = [frame for frame in frames if not _of_a_library(frame.filename)] or frames
        path, line = (own[-1].filename, own[-1].lineno) if own else (None, None)
        if isinstance(error, SyntaxError):
            path, line = error.filename, error.lineno
        hint = None if own else "a reward function takes what it needs by name and the others as **rest"
        raise AnectlError(f"{what}: {type(error).__name__}: {error}", hint=hint, path=path, line=line) from None


def _of_a_library(filename: str) -> bool:
    return filename.startswith(("<", sys.base_prefix)) or "site-packages" in filename
