"""Rows drawn on two Ray nodes equal those drawn here, also when a node dies on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import problem_rows, write_rows

NUM_ROWS = 60


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, a script that takes a moment for each, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("ray")
    write_rows(folder / "p.jsonl", problem_rows(folder, NUM_ROWS))
    script = {"texts": ["Answer: 1", "Answer: 2", "Answer: 3"], "pick": "seed", "delay_s": 0.2}
    write_rows(folder / "script.jsonl", [script])
    run(folder, "local.jsonl", []).wait()
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head that works on nothing, and two nodes of one CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Ray writes a token there
        from ray.cluster_utils import Cluster

        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            found.nodes = [found.add_node(num_cpus=1), found.add_node(num_cpus=1)]
            yield found
        finally:
            found.shutdown()


def run(folder: Path, name: str, options: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = ["rollout", "p.jsonl", "--engine", "fake", "-m", "script.jsonl", "-n", "2", "--batch-size", "4"]
    return subprocess.Popen(
        [sys.executable, "-m", "anectl", *command, "-o", name, *options],
        cwd=folder, env=os.environ | (env or {}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_nodes_give_what_one_process_gives_also_when_one_dies(work: Path, cluster: Any) -> None:
    on_ray = ["--ray", cluster.address, "--replicas", "2"]
    done = run(work, "two.jsonl", on_ray)
    assert done.wait() == 0, done.stderr and done.stderr.read()
    assert (work / "two.jsonl").read_bytes() == (work / "local.jsonl").read_bytes()
    dying = run(work, "dying.jsonl", on_ray)
    partial = work / "dying.jsonl.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    cluster.remove_node(cluster.nodes[1], allow_graceful=False)
    num_before = len(partial.read_bytes().splitlines())
    assert dying.wait() == 0, dying.stderr and dying.stderr.read()
    assert 0 < num_before < NUM_ROWS
    assert (work / "dying.jsonl").read_bytes() == (work / "local.jsonl").read_bytes()


@pytest.mark.slow
def test_an_index_built_on_ray_equals_the_local_one(work: Path, cluster: Any, tiny_model: Path) -> None:
    solved = [row | {"solution": f"The answer is {row['answer']}."} for row in problem_rows(work, 20)]
    write_rows(work / "truth.jsonl", solved)
    command = [sys.executable, "-m", "anectl", "build-index", "truth.jsonl", "--embedder", f"policy:{tiny_model}"]
    for name, options in (("local.idx", []), ("ray.idx", ["--ray", cluster.address])):
        subprocess.run([*command, "-o", name, *options], cwd=work, check=True, capture_output=True)
    rows = [json.loads((work / index / "manifest.json").read_text())["rows"] for index in ("local.idx", "ray.idx")]
    assert rows[0] == rows[1]
    vectors = sorted(path.name for path in (work / "local.idx/generation-1").glob("*.npy"))
    assert "joint.npy" in vectors
    for name in vectors:
        local, on_ray = ((work / index / "generation-1" / name).read_bytes() for index in ("local.idx", "ray.idx"))
        assert local == on_ray


@pytest.mark.slow
def test_errors_of_a_worker_are_those_of_the_user(work: Path, cluster: Any, tmp_path: Path) -> None:
    (work / "bad.jsonl").write_text(json.dumps({"texts": []}) + "\n")
    failed = run(work, "bad-out.jsonl", ["--ray", cluster.address, "-m", "bad.jsonl"])
    _, errors = failed.communicate()
    assert failed.returncode == 1
    assert "bad.jsonl:1" in errors
    assert "Traceback" not in errors


def test_no_cluster_is_a_clear_error(work: Path) -> None:
    failed = run(work, "none.jsonl", ["--ray", "127.0.0.1:1"])
    _, errors = failed.communicate()
    assert failed.returncode == 1
    assert "no Ray cluster at '127.0.0.1:1'" in errors


@pytest.mark.slow
def test_local_starts_a_cluster_of_its_own_also_where_another_one_is_named(work: Path, tmp_path: Path) -> None:
    """Without an address Ray joins the cluster in `RAY_ADDRESS`, or one that runs on the machine."""
    elsewhere = {"RAY_ADDRESS": "127.0.0.1:1", "HOME": str(tmp_path)}
    done = run(work, "own.jsonl", ["--ray", "local"], elsewhere)
    try:
        _, errors = done.communicate(timeout=240)
    finally:
        done.kill()
    assert done.returncode == 0, errors
    assert (work / "own.jsonl").read_bytes() == (work / "local.jsonl").read_bytes()
