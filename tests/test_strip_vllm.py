"""strip-rl that draws by vLLM: the real one in the trainer's own process, with new weights at each step.

What needs vLLM is skipped where no interpreter has it: `make test-vllm` runs it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError
from tests.families import FAMILIES, build
from tests.test_strip_prefix import prefix_row
from tests.training_rows import example_row, invoke, read_log, write_rows
from tests.vllm_server import ROOT, vllm_python

TIMEOUT_S = 300
BY_VLLM = ("--trl", "use_vllm=true", "--trl", "vllm_max_model_length=256")
# A process of its own for vLLM's engine would have weights that TRL cannot reach.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    "VLLM_CPU_CI_ENV": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Idefics3 whose tokens are about equally likely: it would often draw one that stands for an image."""
    from safetensors.torch import load_file, save_file

    folder = build(FAMILIES["idefics3"], tmp_path_factory.mktemp("idefics3"))
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] /= 10
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def command(model: Path, tmp_path: Path) -> list[str]:
    """A run of three steps on rows of both carriers."""
    examples = [(prefix_row if n % 2 else example_row)(tmp_path, n, level=2) for n in range(8)]
    rows = write_rows(tmp_path / "train.jsonl", examples)
    options = ["--max-steps", 3, "--num-generations", 4, "--batch-size", 4, "--max-tokens", 12, *BY_VLLM]
    return [
        str(part)
        for part in ("strip-rl", rows, "--model", model, "-o", tmp_path / "out", "--learning-rate", 3e-3, *options)
    ]


def test_a_dry_run_shows_the_settings_of_a_server(command: list[str]) -> None:
    place = ("--trl", "vllm_mode=server", "--trl", "vllm_server_base_url=http://localhost:8000")
    told = invoke(*command, *place, "--dry-run").stderr
    assert "use_vllm: true" in told
    assert "vllm_mode: server" in told
    assert "vllm_server_base_url: http://localhost:8000" in told


def test_groups_of_two_prompts_are_refused_where_a_server_draws(command: list[str]) -> None:
    with pytest.raises(AnectlError, match="from the prompt of its first row"):
        invoke(*command, "--trl", "vllm_mode=server", "--bare-in-group", 1, "--dry-run")


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_says_so(command: list[str]) -> None:
    with pytest.raises(AnectlError, match="vLLM is not available"):
        invoke(*command)


@pytest.mark.slow
@pytest.mark.skipif(vllm_python() is None, reason="no vLLM: `make setup-vllm`, or set ANECTL_VLLM_PYTHON")
def test_vllm_draws_with_the_weights_of_each_step_and_never_an_image_token(command: list[str], tmp_path: Path) -> None:
    facts = run_beside_vllm([*command, "--trl", "vllm_gpu_memory_utilization=0.05"], tmp_path / "facts.json")
    drawn = [token for ids in facts["completion_ids"] for token in ids]
    assert len(drawn) > 200  # of 400 tokens 12 stand for images: without the ban about six of these would
    assert set(facts["logit_bias"].values()) == {-100}
    banned = {int(token) for token in facts["logit_bias"]}
    assert len(banned) == len(FAMILIES["idefics3"].drawn)
    assert not banned & set(drawn)
    # vLLM computes in bfloat16: it stays as near to the trained weights as it was, and leaves those of the beginning.
    new, old = facts["new"], facts["old"]
    assert len(new) == 3
    assert new[0] == old[0]
    assert max(new) < 0.15
    assert old[2] > 3 * new[2]
    lines = read_log(tmp_path / "out")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert any(line["reward_std"] > 0 for line in lines)
    assert (tmp_path / "out/model.safetensors").exists()


def run_beside_vllm(command: list[str], facts: Path) -> dict[str, Any]:
    """Run the command in vLLM's environment, with TRL from this one; it ends well and leaves no process behind."""
    program = [str(vllm_python()), "-m", "tests.vllm_training", sysconfig.get_path("purelib"), str(facts), *command]
    with subprocess.Popen(
        program,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=TIMEOUT_S)
        finally:
            left = end_group(process.pid)
    assert process.returncode == 0, said.decode(errors="replace")[-3000:]
    assert not left
    found: dict[str, Any] = json.loads(facts.read_text())
    return found


def end_group(group: int) -> bool:
    """Kill what is left of a process group; whether anything was."""
    try:
        os.killpg(group, 9)
    except ProcessLookupError:
        return False
    return True
