"""Two processes train as one would: the same losses, one result; when one of them dies the run ends and can go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anectl.core.errors import AnectlError, UsageError
from anectl.core.ranks import leads, num_processes
from tests.same_draws import same_draws
from tests.test_train_prm import valued
from tests.training_rows import example_row, read_log, same_weights, train, weights, write_rows

ROOT = Path(__file__).resolve().parents[1]
STRIP = ("--num-generations", 4, "--batch-size", 2, "--max-tokens", 8, "--learning-rate", 1e-4, "--save-steps", 3)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Sixteen rows, some of them with a scaffold in the prompt."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=n % 3) for n in range(16)])


def launch(*arguments: object, program: str = "anectl") -> list[str]:
    """The command line of two processes on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, "-m", program, *map(str, arguments)]


def together(*arguments: object, program: str = "tests.ends_alone") -> subprocess.CompletedProcess[str]:
    """Run a command in two processes to its end, at which neither has threads of what they shared."""
    command = launch(*arguments, program=program)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done


def steps(folder: Path) -> list[dict[str, float]]:
    """The log without its times."""
    return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(folder)]


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "3")  # of something else
    assert (num_processes(), leads()) == (1, True)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (num_processes(), leads()) == (4, False)


def test_several_processes_cannot_share_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match="stdin"):
        train("sft", "--model", "m", "-o", tmp_path / "out")


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command in two processes; nothing of it is left behind."""
    process = subprocess.Popen(
        launch(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def second_of(launcher: int) -> int:
    """The process id of the second process of a launcher."""
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(launcher) and b"\0RANK=1\0" in b"\0" + (entry / "environ").read_bytes():
                return int(entry.name)
        except (OSError, IndexError):
            continue
    raise AssertionError("no second process")


def kill_one(rows: Path, out: Path, *options: object) -> str:
    """Start a run in two processes, kill the second one in its fifth step or later; what was said until the end."""
    log = out.with_name(out.name + ".partial") / "log.jsonl"
    with running(*options[:1], rows, *options[1:], "-o", out) as process:
        while not log.exists() or log.read_bytes().count(b"\n") < 5:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        os.kill(second_of(process.pid), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    return said


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("order", [[], ["--group-by-length"]], ids=["drawn", "by length"])
def test_sft_in_two_processes_of_which_one_is_killed_has_the_losses_of_one(
    rows: Path, tmp_path: Path, tiny_model: Path, order: list[str]
) -> None:
    common = ("--model", tiny_model, "--max-steps", 16, "--learning-rate", 1e-3, "--save-steps", 3, *order)
    train("sft", rows, "-o", tmp_path / "one", *common, "--batch-size", 8)
    with rows.open("a") as file:
        file.write(json.dumps(example_row(tmp_path, 16) | {"completion": []}) + "\n")
    shared = ("sft", *common, "--batch-size", 4, "--on-error", "skip")
    assert "rank      : 1 (local_rank: 1)\n  exitcode  : -9" in kill_one(rows, tmp_path / "two", *shared)
    with pytest.raises(AnectlError, match="processes: 2 before, None now"):
        train("sft", rows, *shared[1:], "-o", tmp_path / "two", "--resume")

    done = together("sft", rows, *shared[1:], "-o", tmp_path / "two", "--resume")
    (result,) = done.stdout.splitlines()
    assert json.loads(result)["num_examples"] == 16
    assert done.stderr.count("16 rows; tokens") == 1
    assert (tmp_path / "two.rejects.jsonl").read_text().count("\n") == 1
    one, two = steps(tmp_path / "one"), steps(tmp_path / "two")
    assert len(one) == len(two) == 16
    for alone, both in zip(one, two, strict=True):
        assert both["loss"] == pytest.approx(alone["loss"], rel=1e-3)
    before, after = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert max(float((before[name] - after[name]).abs().max()) for name in before) < 1e-3


@needs_proc
@pytest.mark.slow
def test_strip_rl_of_which_one_process_is_killed_goes_on_as_if_nothing_had_happened(
    rows: Path, tmp_path: Path, tiny_model: Path
) -> None:
    options = ("strip-rl", "--model", tiny_model, "--max-steps", 12, *STRIP)
    together(options[0], rows, *options[1:], "-o", tmp_path / "whole")
    kill_one(rows, tmp_path / "broken", *options)
    together(options[0], rows, *options[1:], "-o", tmp_path / "broken", "--resume")
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")
    assert same_weights(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.slow
def test_strip_rl_in_two_processes_has_the_curve_of_one(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Groups, levels, rewards and losses, given that both draw the same completions."""
    options = ("strip-rl", rows, "--model", tiny_model, "--max-steps", 8, "--num-generations", 4, "--max-tokens", 8)
    options += ("--learning-rate", 2e-4, "--schedule", "binomial", "--top-level", 2)
    with same_draws():
        train(*options, "-o", tmp_path / "one", "--batch-size", 4)
    together(*options, "-o", tmp_path / "two", "--batch-size", 2, program="tests.same_draws")
    one, two = steps(tmp_path / "one"), steps(tmp_path / "two")
    assert len(one) == len(two) == 8
    assert {level for line in one for level in line["levels"]} == {"0", "1", "2"}
    for alone, both in zip(one, two, strict=True):
        assert both.keys() == alone.keys()
        assert (both["levels"], both["rewards"]) == (pytest.approx(alone["levels"]), pytest.approx(alone["rewards"]))
        for name in ("loss", "reward", "reward_std", "mean_length", "entropy", "grad_norm", "cap", "zero_variance"):
            assert both[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-5), name
    before, after = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert max(float((before[name] - after[name]).abs().max()) for name in before) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", [(), ("--train-vision",)], ids=["decoder", "all"])
def test_train_prm_in_two_processes_has_the_losses_of_one_though_only_one_of_them_has_pictures(
    tmp_path: Path, kind: tuple[str, ...]
) -> None:
    """Two rows of each step for each process; one row in four has no picture."""
    rows = write_rows(tmp_path / "valued.jsonl", valued(tmp_path, 1, 4, drawn=2))
    options = ("train-prm", rows, "--model", ROOT / "examples/tinyworld/base", "--max-steps", 8, *kind)
    train(*options, "-o", tmp_path / "one", "--batch-size", 4)
    together(*options, "-o", tmp_path / "two", "--batch-size", 2)
    one, two = steps(tmp_path / "one"), steps(tmp_path / "two")
    assert len(one) == len(two) == 8
    for alone, both in zip(one, two, strict=True):
        assert (both["loss"], both["grad_norm"]) == pytest.approx((alone["loss"], alone["grad_norm"]), rel=1e-3)
    assert not (tmp_path / "two.partial").exists()
