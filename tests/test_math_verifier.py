from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anectl.core.errors import AnectlError
from anectl.core.grading import GradeSpec, grade
from anectl.engines.math_verifier import MathVerifier

pytest.importorskip("math_verify")
DEADLINE_S = 1.0
TOWER = "9^{9^{9^{9}}}"


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(timeout_s=DEADLINE_S) as running:
        assert running.equal("1", "1") is True
        yield running


@pytest.mark.parametrize(
    ("truth", "given", "expected"),
    [
        ("\\frac{x}{2}", "x/2", True),
        ("x^2-1", "(x-1)(x+1)", True),
        ("\\sqrt{8}", "2\\sqrt{2}", True),
        ("\\{1,2\\}", "\\{2,1\\}", True),
        ("(1,2)", "(2,1)", False),
        ("(0,1]", "[0,1]", False),
        ("x+1", "x+2", False),
        ("x", "\\frac{", None),
        ("", "1", None),
        ("1", "\ud800", None),
    ],
)
def test_verdicts(verifier: MathVerifier, truth: str, given: str, expected: bool | None) -> None:
    assert verifier.equal(truth, given) is expected


@pytest.mark.parametrize("hostile", [TOWER, "99999999!", "(" * 3000 + "1" + ")" * 3000, "2^{1000000000}"])
def test_hostile_input_ends_within_the_deadline(verifier: MathVerifier, hostile: str) -> None:
    verifier.equal("1", f"{time.monotonic_ns()}")  # the question before may have cost the worker its life
    started = time.monotonic()
    assert verifier.equal("1", hostile) is None
    assert time.monotonic() - started < DEADLINE_S + 1
    assert verifier.equal("2x", "x+x") is True  # the next question has a new worker


def test_a_verdict_is_kept(verifier: MathVerifier) -> None:
    assert verifier.equal("1", TOWER + "+0") is None
    started = time.monotonic()
    assert verifier.equal("1", TOWER + "+0") is None
    assert time.monotonic() - started < DEADLINE_S / 2


def test_the_cache_is_bounded() -> None:
    with MathVerifier(cache_size=2) as small:
        for number in range(5):
            small.equal("x", f"x+{number}")
        assert len(small._cache) == 2


def test_oversized_input_is_not_sent(verifier: MathVerifier) -> None:
    assert verifier.equal("1", "1" * 100_000) is None


def test_a_killed_worker_gives_no_verdict_and_is_replaced(verifier: MathVerifier) -> None:
    assert verifier.equal("3", "2+1") is True
    worker = verifier._worker
    assert worker is not None
    assert worker.pid is not None
    killer = threading.Timer(0.2, os.kill, (worker.pid, signal.SIGKILL))
    killer.start()
    started = time.monotonic()
    assert verifier.equal("4", TOWER) is None
    assert time.monotonic() - started < DEADLINE_S
    killer.join()
    assert ("4", TOWER) not in verifier._cache  # a death from outside says nothing about the question
    assert verifier.equal("4", "2+2") is True


def test_an_interrupt_does_not_shift_the_answers(verifier: MathVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verifier.equal("5", "4+1") is True
    connection = verifier._connection
    assert connection is not None

    def interrupted(timeout: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "poll", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verifier.equal("6", "5+1")
    assert verifier.equal("7", "5+1") is False


def test_threads_get_their_own_answers(verifier: MathVerifier) -> None:
    pairs = [(f"x+{number}", f"{number + number % 2}+x") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda pair: verifier.equal(*pair), pairs))
    assert verdicts == [number % 2 == 0 for number in range(24)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_limited() -> None:
    with MathVerifier(memory_mb=512) as small:
        assert small.equal("2y", "y+y") is True
        assert small._worker is not None
        limits = Path(f"/proc/{small._worker.pid}/limits").read_text().splitlines()
    for name in ("Max address space", "Max data size"):
        assert next(line for line in limits if line.startswith(name)).split()[3:5] == [str(512 * 1024**2)] * 2


def test_false_positives_of_the_engine_are_kept_from_it(verifier: MathVerifier) -> None:
    ones, fractions = "+".join("1" * 1001), "\\frac{1}{" * 100 + "2" + "}" * 100
    for truth, given in (
        ("1", ones),
        ("y", ones),
        ("\\frac{1}{2}", fractions),
        ("7", "2^{300000000} \\bmod 7"),
        ("y", "y+"),
    ):
        assert grade(f"\\boxed{{{given}}}", "stop", GradeSpec(truth, "expression"), verifier).correct is None


def test_grading_with_the_engine(verifier: MathVerifier) -> None:
    spec = GradeSpec("\\frac{x}{2}", "expression")
    assert grade("\\boxed{0.5x}", "stop", spec, verifier).reason == "verified"
    assert grade("\\boxed{2x}", "stop", spec, verifier).reason == "mismatch"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AnectlError) as caught:
        MathVerifier()
    assert caught.value.hint == "pip install 'anectl[train]'"


def test_the_parent_stays_light_and_its_worker_dies_with_it(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import os, signal, sys, threading
        from anectl.engines.math_verifier import MathVerifier

        if __name__ == "__main__":
            verifier = MathVerifier(timeout_s=1)
            assert verifier.equal("1", "1") is True
            assert "sympy" not in sys.modules and "math_verify" not in sys.modules
            print(verifier._worker.pid, flush=True)
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
            verifier.equal("1", "{TOWER}")
        """
    )
    path = tmp_path / "orphan.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=30)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
