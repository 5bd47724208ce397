"""--push-to-hub: nothing goes out unless it can, nothing but the model goes out, and a refusal costs no training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, write_rows
from tests.hub_server import TOKEN, Hub, running_hub
from tests.training_rows import example_row

BASE = ROOT / "examples/tinyworld/base"
TOKENIZER = {"tokenizer.json", "tokenizer_config.json"}


def hub_environment(hub: Hub, **more: str) -> dict[str, str]:
    ours = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    return {**os.environ, **ours, **more}


def call_hub(environment: dict[str, str], call: str) -> str:
    """What a call of the upload says in a process of its own, for the hub's library reads its settings at its start."""
    program = f"""
from pathlib import Path
from anectl.core.errors import AnectlError
from anectl.engines.hub_upload import check_access, upload
from anectl.train_card import Aftermath
try:
    print({call})
except AnectlError as error:
    print(f"error: {{error}}; hint: {{error.hint}}")
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_stands_in_the_way_of_an_upload_is_said_before_the_training(tmp_path: Path) -> None:
    check = "check_access('me/m1', public=False)"
    with running_hub() as hub:
        no_token = hub_environment(hub, HF_HOME=str(tmp_path))
        del no_token["HF_TOKEN"]
        for environment, words in (
            (no_token, "no token"),
            (hub_environment(hub, HF_TOKEN="hf_wrong"), "Invalid user token"),
            (hub_environment(hub, HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE"),
            (hub_environment(hub, HF_ENDPOINT="http://127.0.0.1:9"), "cannot reach the hub"),
        ):
            assert words in call_hub(environment, check)
        assert "OWNER/MODEL" in call_hub(hub_environment(hub), "check_access('a/b/c', public=False)")
        hub.repos["me/open"] = False
        assert "is a public repository" in call_hub(hub_environment(hub), "check_access('me/open', public=False)")
        assert call_hub(hub_environment(hub), "check_access('me/open', public=True)") == "None\n"
        assert hub.files == {}


def test_only_the_finished_model_is_uploaded_and_to_a_private_place(tmp_path: Path) -> None:
    folder = tmp_path / "m1"
    shutil.copytree(BASE, folder)
    (folder / "state").mkdir()
    for name in ("state/optimizer.pt", "log.jsonl", "result.json", "train.jsonl", "README.generated.md", "card.json"):
        (folder / name).write_text("{}")
    upload = f"upload(Path({str(folder)!r}), 'me/m1', public=False)"
    with running_hub() as hub:
        assert "/me/m1/commit/" in call_hub(hub_environment(hub), upload)
        assert hub.repos == {"me/m1": True}
        sent = hub.files["me/m1"]
        ours = {"README.md", "card.json", "chat_template.jinja", "config.json", "generation_config.json"}
        assert sent.keys() == ours | {"model.safetensors", "processor_config.json", *TOKENIZER}
        assert sent["model.safetensors"] == (BASE / "model.safetensors").read_bytes()


def test_a_run_whose_upload_is_refused_is_complete_all_the_same(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n) for n in range(4)])
    words = ["sft", rows, "--model", BASE, "-o", tmp_path / "m1", "--max-steps", 1, "--push-to-hub", "me/m1"]
    with running_hub() as hub:
        hub.refuses_commits = True
        command = [sys.executable, "-m", "anectl", *map(str, words)]
        done = subprocess.run(command, env=hub_environment(hub), capture_output=True, text=True)
        assert done.returncode == 1
        assert json.loads(done.stdout)["command"] == "sft"
        assert "the run is complete: the same call with --resume uploads it again" in done.stderr
        assert (tmp_path / "m1/result.json").exists()
        hub.refuses_commits = False
        options = {"push_to_hub": "me/m1", "hub_public": False, "card_scores": None, "lora": False}
        call_hub(hub_environment(hub), f"Aftermath({options}, print).push(Path({str(tmp_path / 'm1')!r}))")
        assert "model.safetensors" in hub.files["me/m1"]
