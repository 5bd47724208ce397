from __future__ import annotations

import asyncio
import copy
import importlib.util
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from anectl.core.errors import AnectlError
from anectl.core.grading import GradeSpec, grade
from anectl.core.protocols import Verdict
from anectl.core.rewards import Pricing, reward_parts
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
    for victim in (worker_of, child_of):
        assert verifier.equal("3", "2+1") is True
        killer = threading.Timer(0.2, os.kill, (victim(verifier), signal.SIGKILL))
        deaths = verifier.counts()["deaths"]
        killer.start()
        started = time.monotonic()
        assert verifier.decide("4", TOWER) == Verdict(None)
        assert time.monotonic() - started < DEADLINE_S
        killer.join()
        assert verifier.counts()["deaths"] == deaths + 1
        assert ("4", TOWER) not in verifier._cache  # a death from outside says nothing about the question
        assert verifier.equal("4", "2+2") is True


def test_an_interrupt_does_not_shift_the_answers(verifier: MathVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verifier.equal("5", "4+1") is True
    worker = verifier._idle[-1]

    def interrupted(timeout: float) -> str | None:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "_answer", interrupted)
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
        limits = Path(f"/proc/{child_of(small)}/limits").read_text().splitlines()
    for name in ("Max address space", "Max data size"):
        assert next(line for line in limits if line.startswith(name)).split()[3:5] == [str(512 * 1024**2)] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="lowers the limit of a running process")
def test_an_allocation_beyond_the_limit_costs_the_child_alone() -> None:
    with MathVerifier(timeout_s=20, workers=1) as small:
        assert small.equal("2y", "y+y") is True
        worker, child = worker_of(small), child_of(small)
        # At the usual limit the engine computes for long before it needs as much; what happens then is the same.
        resource.prlimit(child, resource.RLIMIT_AS, (2**20, 2**20))
        assert small.decide("1", "+".join(f"x_{{{k}}}" for k in range(450))) == Verdict(None)
        assert small.counts()["deaths"] == 1
        assert small.equal("2z", "z+z") is True
        assert worker_of(small) == worker
        assert child_of(small) != child


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
    spec = GradeSpec("1", "expression")
    assert grade("\\boxed{\\sin^2 x+\\cos^2 x}", "stop", spec, verifier).reason == "verified"
    assert grade("\\boxed{\\sin^2 x+\\cos^4 x+0\\%}", "stop", spec, verifier).reason == "mismatch"
    assert grade(f"\\boxed{{{TOWER}+2}}", "stop", spec, verifier).reason == "timeout"


def test_hostile_questions_of_some_threads_do_not_hold_up_the_others() -> None:
    with MathVerifier(timeout_s=DEADLINE_S, workers=3) as pool:
        assert pool.equal_many([(f"a+{k}", f"{k}+a") for k in range(3)]) == [True] * 3  # all are started

        def asked(number: int) -> tuple[bool | None, float]:
            started = time.monotonic()
            truth, given = ("1", f"{TOWER}+{number}") if number < 2 else (f"t+{number}", f"{number}+t")
            return pool.equal(truth, given), time.monotonic() - started

        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(asked, range(16)))
    assert [verdict for verdict, _ in found] == [None] * 2 + [True] * 14
    assert max(seconds for _, seconds in found[2:]) < DEADLINE_S
    assert pool.counts()["timeouts"] == 2


def test_many_pairs_come_back_in_order(verifier: MathVerifier) -> None:
    pairs = [(f"p+{number}", f"{number + number % 2}+p") for number in range(40)]
    assert verifier.equal_many(pairs) == [number % 2 == 0 for number in range(40)]
    assert verifier.equal_many([]) == []


def test_it_works_beside_a_running_event_loop() -> None:
    async def rewards(pool: MathVerifier) -> list[bool | None]:
        direct = pool.equal("u+1", "1+u")  # a reward function that is called in the thread of the loop
        return [direct, *await asyncio.gather(*(asyncio.to_thread(pool.equal, f"u+{k}", f"{k}+u") for k in range(6)))]

    with MathVerifier() as pool:
        assert asyncio.run(rewards(pool)) == [True] * 7


def test_it_works_in_a_daemonic_child_and_after_a_fork(verifier: MathVerifier) -> None:
    assert verifier.equal("2w", "w+w") is True
    pid = worker_of(verifier)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_ask_in_child, args=(verifier, theirs), daemon=True)
    child.start()
    verdict, its_worker = ours.recv()
    child.join(10)
    assert verdict is True
    assert its_worker != pid
    assert child.exitcode == 0
    assert _gone(its_worker)
    assert verifier.equal("w", "w+1") is False  # ours is still there
    assert worker_of(verifier) == pid


def _ask_in_child(verifier: MathVerifier, answers: Connection) -> None:
    answers.send((verifier.equal("w^2", "w w"), worker_of(verifier)))


def test_a_copy_for_another_process_starts_its_own_workers(verifier: MathVerifier) -> None:
    # Frameworks that distribute reward functions copy them in this way.
    with copy.copy(verifier) as other:
        assert other.equal("2q", "q+q") is True
        assert not {worker.pid for worker in other._workers} & {worker.pid for worker in verifier._workers}


def test_it_works_with_stdin_closed_and_without_a_main_guard(tmp_path: Path) -> None:
    script = """
import os
os.close(0)
from anectl.engines.math_verifier import MathVerifier
verifier = MathVerifier()
print(verifier.equal("2x", "x+x"))
"""
    path = tmp_path / "plain.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_closing_leaves_no_process() -> None:
    pool = MathVerifier(timeout_s=DEADLINE_S, workers=2)
    assert pool.equal_many([("2k", "k+k"), ("k+1", "k")]) == [True, False]
    pool.equal("1", TOWER)
    assert pool.equal("k+2", "2+k") is True  # the child that took too long is gone by now, and another is there
    pids = [worker.pid for worker in pool._workers] + [child_of(pool)]
    pool.close()
    assert all(_gone(pid) for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids[:-1])  # no zombie either
    assert pool.equal("2k", "k+k") is True
    pool.close()


def test_rewards_are_given_from_threads(verifier: MathVerifier) -> None:
    spec = GradeSpec("1", "expression")
    texts = ["\\boxed{\\sin^2 x+\\cos^2 x}", "\\boxed{2}", f"\\boxed{{{TOWER}}}"]

    def score() -> list[float | None]:
        grades = [grade(text, "stop", spec, verifier) for text in texts]
        parts = [reward_parts(one, (), 0, Pricing(100, 20)) for one in grades]
        return [None if one is None else sum(one.values()) for one in parts]

    with ThreadPoolExecutor(1) as thread:
        assert score() == thread.submit(score).result() == [1.0, pytest.approx(0.1), None]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AnectlError) as caught:
        MathVerifier()
    assert caught.value.hint == "pip install 'anectl[train]'"


def test_the_parent_stays_light_and_its_workers_die_with_it(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import os, signal, sys, threading
        from pathlib import Path
        from anectl.engines.math_verifier import MathVerifier

        verifier = MathVerifier(timeout_s=600)
        assert verifier.equal("1", "1") is True
        assert "sympy" not in sys.modules and "math_verify" not in sys.modules
        pid = verifier._workers[0].pid
        print(pid, Path(f"/proc/{{pid}}/task/{{pid}}/children").read_text(), flush=True)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        verifier.equal("1", "{TOWER}")
        """
    )
    path = tmp_path / "orphan.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    assert all(map(_gone, pids))


def test_it_works_inside_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("HOME", str(tmp_path))  # it leaves a token there
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 1024**2)
    try:

        @ray.remote
        def graded(verifier: MathVerifier, text: str) -> tuple[bool | None, str]:
            judged = grade(text, "stop", GradeSpec("1", "expression"), verifier)
            return judged.correct, judged.reason

        @ray.remote
        class Rewards:
            def __init__(self) -> None:
                self.verifier = MathVerifier(timeout_s=DEADLINE_S)

            async def equal(self, truth: str, given: str) -> bool | None:
                return self.verifier.equal(truth, given)

        verifier = MathVerifier(timeout_s=DEADLINE_S)
        texts = ["\\boxed{\\sin^2 x+\\cos^2 x}", f"\\boxed{{{TOWER}}}"]
        assert ray.get([graded.remote(verifier, text) for text in texts]) == [(True, "verified"), (None, "timeout")]
        actor = Rewards.remote()
        assert ray.get([actor.equal.remote("1", TOWER), actor.equal.remote("2x", "x+x")]) == [None, True]
    finally:
        ray.shutdown()


def worker_of(verifier: MathVerifier) -> int:
    """The process of the worker that the next question goes to."""
    return verifier._idle[-1].pid


def child_of(verifier: MathVerifier) -> int:
    """The process in which that worker looks at questions."""
    pid = worker_of(verifier)
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _gone(pid: int) -> bool:
    """Whether the process ends within seconds."""
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
