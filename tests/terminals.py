"""The command line on a pseudo-terminal, as people see it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Literal


def shown_by(
    *arguments: str,
    stream: Literal["stdout", "stderr"],
    columns: int = 100,
    folder: Path | None = None,
    **environment: str,
) -> tuple[str, bytes]:
    """What a command writes to the stream that is a terminal, and the bytes of the other one, which is a pipe."""
    leader, follower = pty.openpty()
    given = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    given |= {"COLUMNS": str(columns), "TERM": "xterm-256color", **environment}
    ends = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: follower}
    command = [sys.executable, "-m", "anectl", *arguments]
    shown = bytearray()
    with subprocess.Popen(command, cwd=folder, env=given, stdout=ends["stdout"], stderr=ends["stderr"]) as child:
        os.close(follower)
        try:
            while block := os.read(leader, 65536):
                shown += block
        except OSError:
            pass  # Linux says so when the other end is closed
        other = child.stderr if stream == "stdout" else child.stdout
        assert other is not None
        piped = other.read()
    os.close(leader)
    assert child.returncode == 0, (bytes(shown), piped)
    return shown.decode(), piped
