"""The user's errors. Everything else is a bug and crashes with its traceback.

AnectlError          exit 1: a bad file, row, model or option value
├── RowError         one input row is bad; `--on-error skip` puts it into the rejects file
└── UsageError       exit 2: the command line itself is wrong
"""

from __future__ import annotations


class AnectlError(Exception):
    """A failure the user can mend: says where, what, and what to try next."""

    exit_code = 1

    def __init__(
        self, problem: str, *, hint: str | None = None, path: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.path = path
        self.line = line

    def at(self, path: str, line: int | None = None) -> AnectlError:
        """The same error with its place filled in, where it has none yet."""
        if self.path is None:
            self.path, self.line = path, line
        return self

    def __str__(self) -> str:
        place = "" if self.path is None else self.path + ("" if self.line is None else f":{self.line}") + ": "
        return place + self.problem


class RowError(AnectlError):
    """One row of an input is bad; the other rows may still be good."""


class UsageError(AnectlError):
    """The command line asks for something that makes no sense."""

    exit_code = 2
