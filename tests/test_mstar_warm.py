"""examples/mstar/warm.py: a command that is forked from a loaded process does as one that is started."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

WARM = Path(__file__).resolve().parent.parent / "examples/mstar/warm.py"
PROBLEM = '{"schema":"problem/1","id":"p","question":"1 + 1?","answer":"2","answer_type":"number"}\n'


class Server(NamedTuple):
    address: str
    pid: int


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, with the path of its socket; short, for such a path may not be long."""
    folder = tmp_path_factory.getbasetemp().parent
    socket = str(folder / f"w{time.monotonic_ns() % 10**6}")
    process = subprocess.Popen([sys.executable, str(WARM), "serve", socket, "anectl.cli"])
    try:
        wait_for(lambda: Path(socket).is_socket())
        yield Server(socket, process.pid)
    finally:
        process.kill()
        process.wait()
        Path(socket).unlink(missing_ok=True)


def wait_for(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that this one has forked and not buried."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def run(address: str, *words: str, stdin: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-S", str(WARM), "run", address, *words]
    return subprocess.run(program, input=stdin, capture_output=True, text=True, cwd=folder, timeout=120)


def test_input_output_errors_and_exit_codes_are_those_of_the_command(server: Server, tmp_path: Path) -> None:
    good = run(server.address, "check", stdin=PROBLEM)
    assert (good.returncode, good.stdout) == (0, "")
    bad = run(server.address, "check", stdin=PROBLEM[:20])
    assert bad.returncode == 1
    assert "<stdin>:1" in bad.stderr
    usage = run(server.address, "check", "--no-such-option")
    assert usage.returncode == 2
    (tmp_path / "here.jsonl").write_text(PROBLEM)
    assert run(server.address, "check", "here.jsonl", folder=tmp_path).returncode == 0
    # A process that has closed its files is listed for a moment more.
    wait_for(lambda: not children(server.pid), seconds=0.5)


def test_a_command_without_a_server_is_started(tmp_path: Path) -> None:
    done = run(str(tmp_path / "none"), "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("anectl ")


def test_a_command_ends_when_its_caller_is_killed(server: Server) -> None:
    program = [sys.executable, "-S", str(WARM), "run", server.address, "check"]
    caller = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    # It waits for input that does not come, nor ends, as long as the pipe is open here.
    time.sleep(1.0)
    assert caller.poll() is None
    assert len(children(server.pid)) == 1
    caller.kill()
    caller.wait()
    wait_for(lambda: not children(server.pid), seconds=0.5)
    assert caller.stdin is not None
    caller.stdin.close()


def test_a_server_ends_with_the_shell_that_has_started_it(tmp_path: Path) -> None:
    # In the background of a shell, as make starts it: there it ignores the interrupt that ends the shell.
    script = f"{sys.executable} {WARM} serve s anectl.cli & echo $!; exec sleep 100"
    shell = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    server = Path(f"/proc/{shell.stdout.readline().strip()}")
    wait_for((tmp_path / "s").is_socket)
    assert server.exists()
    shell.kill()
    shell.wait()
    wait_for(lambda: not server.exists() or "State:\tZ" in (server / "status").read_text(), 10)
