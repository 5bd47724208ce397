"""examples/qwen-vl cannot lie: its commands parse, its configurations are accelerate's, its table is computed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from anectl.cli import app
from tests.doc_blocks import blocks, commands

HERE = Path(__file__).resolve().parent.parent / "examples/qwen-vl"
MODELS = {"qwen2.5-vl-7b": "Qwen/Qwen2.5-VL-7B-Instruct", "qwen3-vl-8b": "Qwen/Qwen3-VL-8B-Instruct"}
VARIANTS = (("GPUS=1",), ("GPUS=8",), ("GPUS=8", "MODE=full", "SHARD=fsdp2"), ("GPUS=4", "MODE=full", "SHARD=zero3"))
LOOP = ["rollout", "locate-frontier", "build-index", "anchor", "scaffold", "sft", "strip-rl", "eval", "compare"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with (empty) data beside it."""
    copy = shutil.copytree(HERE, tmp_path_factory.mktemp("example") / "qwen-vl")
    for name in ("problems", "truth", "bench"):
        (copy / f"{name}.jsonl").touch()
    return copy


def without_make() -> dict[str, str]:
    """The environment without what a make that runs the tests has put into it."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def printed(folder: Path, *arguments: str) -> str:
    """What `make -n` prints."""
    done = subprocess.run(["make", "-n", *arguments], cwd=folder, env=without_make(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\\n", " ")


def calls(text: str) -> list[list[str]]:
    """The words after `anectl` of every command, also where accelerate starts it."""
    found = []
    for line in text.splitlines():
        words = shlex.split(line)
        assert words[0] in ("anectl", "accelerate"), line
        found.append(words[words.index("anectl") + 1 :])
    return found


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
@pytest.mark.parametrize("model", MODELS)
def test_every_command_of_the_loop_parses(folder: Path, model: str, variant: tuple[str, ...]) -> None:
    group = get_command(app)
    commands = calls(printed(folder, f"MODEL={model}", *variant, "compare", "plan"))
    for name, *words in commands:
        context = group.get_command(None, name).make_context(name, list(words))  # type: ignore[attr-defined]
        if name in ("rollout", "sft"):
            assert context.params["model"] == MODELS[model]
        if name in ("sft", "strip-rl"):
            assert context.params["lora"] is ("MODE=full" not in variant)
    assert {name for name, *_ in commands} == set(LOOP)


@pytest.mark.parametrize("target", ["rollout", "frontier", "index", "anchor", "scaffold", "sft", "strip-rl", "eval"])
def test_every_target_ends_with_its_own_command(folder: Path, target: str) -> None:
    last = {"frontier": "locate-frontier", "index": "build-index"}.get(target, target)
    assert calls(printed(folder, target))[-1][0] == last


def test_an_unknown_model_is_refused(folder: Path) -> None:
    program = ["make", "-n", "MODEL=gpt", "sft"]
    done = subprocess.run(program, cwd=folder, env=without_make(), capture_output=True, text=True)
    assert done.returncode != 0
    assert "qwen2.5-vl-7b or qwen3-vl-8b" in done.stderr


@pytest.mark.parametrize("model", MODELS)
def test_settings_of_both_trainings_are_taken_by_trl(folder: Path, model: str, tmp_path: Path) -> None:
    from anectl.core.stripping import StripSettings
    from anectl.engines import trl_strip
    from anectl.train_options import train_settings

    class Elsewhere:
        partial = tmp_path

    (words,) = [call for call in calls(printed(folder, f"MODEL={model}", "strip-rl")) if call[0] == "strip-rl"]
    group = get_command(app)
    params = group.get_command(None, "strip-rl").make_context("strip-rl", words[1:]).params  # type: ignore[attr-defined]
    options = {**params, "trl": {"bf16": False}, "learning_rate": 1e-5, "epochs": 1.0}
    strip = StripSettings(**{name: options[name] for name in StripSettings.__slots__})
    config = trl_strip.strip_config(train_settings(options), strip, Elsewhere())  # type: ignore[arg-type]
    assert config.per_device_train_batch_size == 4
    assert config.generation_batch_size == 32


def plugin_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What accelerate's own parser makes of a configuration: the arguments of a launch, and the environment."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    path = str(HERE / "accelerate" / f"{name}.yaml")
    config = load_config_from_file(path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    given = ["--config_file", path, "--num_processes", "4", "--module", "anectl", "sft"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
    # As `accelerate launch` does after it has read the file.
    args.deepspeed_fields_from_accelerate_config = ",".join(config.deepspeed_config)
    prepare = prepare_deepspeed_cmd_env if name == "zero3" else prepare_multi_gpu_env
    prepared = prepare(args)
    return config, args, prepared[1] if isinstance(prepared, tuple) else prepared


@pytest.mark.parametrize("name", ["fsdp2", "zero3", "ddp"])
def test_accelerate_reads_its_configurations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, args, environment = plugin_environment(name, monkeypatch)
    assert (args.num_processes, args.mixed_precision, args.module) == (4, "bf16", True)
    assert config.num_processes == 8
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    if name == "fsdp2":
        from accelerate.utils import FullyShardedDataParallelPlugin

        plugin = FullyShardedDataParallelPlugin()
        assert plugin.fsdp_version == 2
        assert plugin.reshard_after_forward is True
        assert plugin.cpu_ram_efficient_loading is True
        assert plugin.transformer_cls_names_to_wrap is None
    if name == "zero3":
        from accelerate.utils import DeepSpeedPlugin

        settings = DeepSpeedPlugin().deepspeed_config
        assert settings["zero_optimization"]["stage"] == 3
        assert settings["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True


@pytest.mark.parametrize(("name", "sharding"), [("fsdp2", "fsdp"), ("zero3", "zero3"), ("ddp", "none")])
def test_a_dry_run_knows_how_accelerate_spreads_the_weights(
    name: str, sharding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anectl.engines.train_preflight import sharding as told

    for key, value in plugin_environment(name, monkeypatch)[2].items():
        monkeypatch.setenv(key, value)
    assert told() == sharding


def memory() -> Any:
    """The script that prints the table."""
    sys.path.insert(0, str(HERE))
    try:
        import memory as module
    finally:
        sys.path.pop(0)
    return module


def test_the_commands_and_targets_of_the_page_exist(folder: Path) -> None:
    page = (HERE / "README.md").read_text("utf8")
    group = get_command(app)
    shown = [words for block in blocks(page) if block.language == "bash" for words in commands(block.text)]
    for name, *words in (words[1:] for words in shown if words[0] == "anectl"):
        group.get_command(None, name).make_context(name, list(words))  # type: ignore[attr-defined]
    lines = re.findall(r"^make ([^#\n]+)", page, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        assert calls(printed(folder, *shlex.split(line)))


def test_the_table_is_what_the_estimate_says() -> None:
    (shown,) = re.findall(r"<!-- memory.py -->\n(.*)\n<!-- end -->", (HERE / "README.md").read_text("utf8"), re.DOTALL)
    assert shown == memory().table()


def test_the_dimensions_are_those_of_the_networks() -> None:
    import transformers as hf

    from anectl.engines.train_preflight import model_shape

    common = {"max_position_embeddings": 32_768, "tie_word_embeddings": False}
    seven = hf.Qwen2_5_VLConfig(
        text_config=common
        | {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
        | {"intermediate_size": 18_944, "vocab_size": 152_064},
        vision_config={"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
        tie_word_embeddings=False,
    )
    eight = hf.Qwen3VLConfig(
        text_config=common
        | {"hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8}
        | {"intermediate_size": 12_288, "vocab_size": 151_936, "head_dim": 128},
        vision_config={"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 4096},
        tie_word_embeddings=False,
    )
    assert {"Qwen2.5-VL-7B": model_shape(seven), "Qwen3-VL-8B": model_shape(eight)} == memory().SHAPES
