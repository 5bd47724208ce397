"""sft: real gradients on the completion alone, frozen vision, adapters, and runs that survive being killed."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anectl.core.errors import AnectlError, UsageError
from anectl.core.training import is_complete, mark_complete
from tests.training_rows import (
    example_row,
    invoke,
    read_log,
    same_weights,
    stop_after,
    train,
    weights,
    write_rows,
)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Sixteen rows, some of them with a scaffold in the prompt."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=n % 3) for n in range(16)])


def test_a_checkpoint_is_complete_only_with_all_its_files_in_full(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    assert not is_complete(tmp_path)
    mark_complete(tmp_path)
    assert is_complete(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    assert not is_complete(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert not is_complete(tmp_path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--max-steps", 2, "--epochs", 1], "the same thing"),
        (["--merge"], "--merge needs --lora"),
        (["--lora", "--train-vision"], "no effect"),
    ],
)
def test_contradictory_options_are_refused(rows: Path, tmp_path: Path, options: list[object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        train("sft", rows, "--model", "m", "-o", tmp_path / "out", *options)


@pytest.mark.parametrize(
    ("pair", "problem", "hint"),
    [
        ("learning_rat=1", "unknown key 'learning_rat'", "learning_rate"),
        ("output_dir=x", "output_dir is set by anectl", None),
        ("lr_scheduler_type=zigzag", "TRL refuses the settings", None),
    ],
)
def test_trl_settings_are_checked_before_anything_is_loaded(
    rows: Path, tmp_path: Path, pair: str, problem: str, hint: str | None
) -> None:
    with pytest.raises(AnectlError, match=problem) as error:
        train("sft", rows, "--model", "no-such-model", "-o", tmp_path / "out", "--trl", pair, "--dry-run")
    assert hint is None or hint in str(error.value.hint)
    assert not (tmp_path / "out.partial").exists()


def test_a_dry_run_checks_rows_and_says_the_plan(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    done = invoke("sft", rows, "--model", tiny_model, "-o", tmp_path / "out", "--dry-run", "--lora")
    assert "LoRA of rank 16, learning rate 0.0001, 1 steps of 16 rows, 1 epochs" in done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".png") == ["train.jsonl"]


def test_a_row_without_a_target_goes_to_the_rejects(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    bad = example_row(tmp_path, 16) | {"completion": []}
    with rows.open("a") as file:
        file.write(json.dumps(bad) + "\n")
    with pytest.raises(AnectlError, match="one assistant turn") as error:
        train("sft", rows, "--model", tiny_model, "-o", tmp_path / "out", "--dry-run")
    assert error.value.line == 17
    invoke("sft", rows, "--model", tiny_model, "-o", tmp_path / "out", "--dry-run", "--on-error", "skip")
    assert (tmp_path / "out.rejects.jsonl").read_text().count("\n") == 1


def test_the_plan_counts_the_steps_that_trl_is_told(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    common = ("--model", tiny_model, "-o", tmp_path / "out", "--dry-run", "--batch-size", 8)
    assert "6 steps of 8 rows, 3 epochs" in invoke("sft", rows, *common, "--trl", "num_train_epochs=3").stderr
    assert (
        "learning rate 0.5, 4 steps"
        in invoke("sft", rows, *common, "--trl", "max_steps=4", "--trl", "learning_rate=0.5").stderr
    )


def test_a_training_that_diverges_ends_with_an_error_and_replaces_no_model(
    rows: Path, tmp_path: Path, tiny_model: Path
) -> None:
    out = tmp_path / "out"
    common = ("--model", tiny_model, "-o", out, "--batch-size", 8)
    train("sft", rows, *common, "--max-steps", 1)
    before = weights(out)
    with pytest.raises(AnectlError, match=r"(loss|grad_norm) is .* in step \d: the training has diverged"):
        train("sft", rows, *common, "--max-steps", 6, "--learning-rate", 1e25, "--overwrite")
    logged = read_log(tmp_path / "out.partial")
    assert len(logged) < 6
    assert all(line["loss"] > 0 for line in logged)
    after = weights(out)
    assert all(before[name].equal(after[name]) for name in before)


def test_weights_that_are_not_finite_after_the_last_step_are_not_saved(
    rows: Path, tmp_path: Path, tiny_model: Path
) -> None:
    common = ("--model", tiny_model, "-o", tmp_path / "out", "--batch-size", 8, "--scheduler", "constant")
    with pytest.raises(AnectlError, match="not finite after the last step"):
        train("sft", rows, *common, "--max-steps", 1, "--learning-rate", 1e39)
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_killed_while_it_removes_checkpoints_is_whole(
    rows: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last thing a run does, which on a large model takes minutes."""
    out = tmp_path / "out"
    common = ("--model", tiny_model, "-o", out, "--max-steps", 2, "--save-steps", 1, "--batch-size", 8)

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anectl.core.training._remove_steps", killed)
        invoke("sft", rows, *common, ok=False)
    assert (out / "result.json").exists()
    assert list(out.glob("checkpoint-*"))
    written = (out / "log.jsonl").read_bytes()
    assert train("sft", rows, *common, "--resume")["steps"] == 2
    assert (out / "log.jsonl").read_bytes() == written
    assert not list(out.glob("checkpoint-*"))


def test_no_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(AnectlError):
        train("sft", tmp_path / "empty.jsonl", "--model", "m", "-o", tmp_path / "out")


def test_a_folder_that_is_not_ours_is_never_replaced(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").touch()
    with pytest.raises(AnectlError, match="not the output of a training run"):
        train("sft", rows, "--model", "m", "-o", tmp_path / "out", "--overwrite")
    assert (tmp_path / "out/thesis.tex").exists()


def test_the_loss_falls_and_only_the_decoder_moves(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    out = tmp_path / "out"
    common = ("--model", tiny_model, "--max-steps", 20, "--batch-size", 8, "--learning-rate", 1e-3)
    result = train("sft", rows, "-o", out, *common, "--scheduler", "constant")
    lines = read_log(out)
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert (result["steps"], result["num_examples"], result["checkpoint"]) == (20, 16, str(out))
    assert set(result["metrics"]) == {"loss", "accuracy", "entropy"}
    before, after = weights(tiny_model), weights(out)
    assert before.keys() == after.keys()
    for name in before:
        moved = not before[name].equal(after[name])
        assert moved == ("text_model" in name or "lm_head" in name), name
    assert not list(out.glob("checkpoint-*"))
    for name in ("config.json", "generation_config.json", "processor_config.json", "tokenizer.json"):
        assert (out / name).exists()
    manifest = json.loads((tmp_path / "out.manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["options"]["learning_rate"] == 1e-3
    assert manifest["counts"]["kept"] == 16
    _finished_runs_are_safe(rows, out, common, result)


def _finished_runs_are_safe(rows: Path, out: Path, common: tuple[object, ...], result: dict[str, object]) -> None:
    model = (out / "model.safetensors").stat()
    with pytest.raises(AnectlError, match="exists"):
        train("sft", rows, "-o", out, *common, "--scheduler", "constant")
    assert train("sft", rows, "-o", out, *common, "--scheduler", "constant", "--resume") == result
    with pytest.raises(AnectlError, match="scheduler: 'constant' before, 'linear' now"):
        train("sft", rows, "-o", out, *common, "--scheduler", "linear", "--resume")
    assert (out / "model.safetensors").stat() == model
    replaced = train("sft", rows, "-o", out, *common[:2], "--max-steps", 1, "--overwrite")
    assert replaced["steps"] == 1
    assert not out.with_name("out.replaced").exists()


def test_merged_adapters_answer_like_adapters(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    import torch

    from anectl.engines.checkpoints import load_vlm

    common = ("--model", tiny_model, "--max-steps", 6, "--batch-size", 8, "--learning-rate", 1e-2, "--lora")
    train("sft", rows, "-o", tmp_path / "adapter", *common)
    train("sft", rows, "-o", tmp_path / "merged", *common, "--merge")
    targets = json.loads((tmp_path / "adapter/adapter_config.json").read_text())["target_modules"]
    assert "vision" not in targets
    ids = torch.arange(8, 40)[None]
    logits = []
    for folder in (tiny_model, tmp_path / "adapter", tmp_path / "merged"):
        model, _ = load_vlm(str(folder), "float32")
        with torch.inference_mode():
            logits.append(model(input_ids=ids).logits)
    base, adapter, merged = logits
    assert torch.allclose(adapter, merged, atol=1e-4)
    assert (adapter - base).abs().max() > 0.01


@pytest.mark.parametrize("kind", [[], ["--lora", "--merge"]], ids=["full", "merged"])
def test_small_changes_of_a_bfloat16_model_are_kept_in_float32(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    AutoModelForImageTextToText.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(base)
    before = weights(base)
    moved = {}
    for kept in ("model", "float32"):
        out = tmp_path / kept
        train(
            "sft",
            rows,
            "--model",
            base,
            *kind,
            "--max-steps",
            2,
            "--learning-rate",
            1e-6,
            "-o",
            out,
            "--save-dtype",
            kept,
        )
        after = weights(out)
        names = [name for name in after if name.endswith("q_proj.weight") and "text_model" in name]
        assert {str(after[name].dtype) for name in names} == {"torch.bfloat16" if kept == "model" else "torch.float32"}
        changed = [(after[name].float() != before[name].float()).float().mean() for name in names]
        moved[kept] = float(sum(changed) / len(changed))
    assert moved["model"] < 0.1
    assert moved["float32"] > 0.9


def test_a_precision_that_adapters_would_not_have_is_refused(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no effect on adapters"):
        train("sft", rows, "--model", "m", "-o", tmp_path / "out", "--lora", "--save-dtype", "float32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [[], ["--lora"], ["--group-by-length"]], ids=["full", "lora", "by length"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    rows: Path, tmp_path: Path, tiny_model: Path, kind: list[str]
) -> None:
    options = ["--model", tiny_model, "--max-steps", 14, "--batch-size", 4, "--learning-rate", 1e-3, *kind]
    options += ["--save-steps", 3, "--warmup-steps", 2]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train("sft", rows, "-o", whole, *options)
    stop_after(8, broken, "sft", rows, "-o", broken, *options)
    partial = tmp_path / "broken.partial"
    with pytest.raises(AnectlError, match="interrupted run"):
        train("sft", rows, "-o", broken, *options)
    with pytest.raises(AnectlError, match="seed: 0 before, 1 now"):
        train("sft", rows, "-o", broken, *options, "--seed", 1, "--resume")
    _tear_a_later_checkpoint(partial)
    result = train("sft", rows, "-o", broken, *options, "--resume")
    assert result["steps"] == 14
    name = "adapter_model.safetensors" if "--lora" in kind else "model.safetensors"
    assert same_weights(whole, broken, name)
    strip = [{key: value for key, value in line.items() if key != "seconds"} for line in read_log(whole)]
    assert strip == [{key: value for key, value in line.items() if key != "seconds"} for line in read_log(broken)]


def _tear_a_later_checkpoint(partial: Path) -> None:
    last = max(partial.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    torn = partial / "checkpoint-13"
    shutil.copytree(last, torn)
    largest = max(torn.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-100])


def test_changed_rows_are_refused_on_resume(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    options = ["--model", tiny_model, "--max-steps", 5000, "--batch-size", 2, "-o", tmp_path / "out"]
    assert stop_after(2, tmp_path / "out", "sft", rows, *options, how=signal.SIGINT) == 130
    write_rows(rows, [example_row(tmp_path, n) for n in range(8)])
    with pytest.raises(AnectlError, match="rows changed"):
        train("sft", rows, *options, "--resume")


def test_a_full_disk_is_a_clear_error(rows: Path, tmp_path: Path, tiny_model: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    command = [sys.executable, "-m", "anectl", "sft", rows, "--model", tiny_model, "-o", tmp_path / "out"]
    command += ["--max-steps", "2", "--batch-size", "2", "--save-steps", "1"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, preexec_fn=small_files)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out.partial").exists()


def test_a_scaffold_in_the_answer_is_given_and_not_learnt(tmp_path: Path, tiny_model: Path) -> None:
    from anectl.core.images import ImageRoot
    from anectl.core.jsonl import decode
    from anectl.core.records import Example
    from anectl.core.training import TrainingRow
    from anectl.engines.checkpoints import load_vlm
    from anectl.engines.trl_sft import render

    _, processor = load_vlm(str(tiny_model), "float32")
    row = json.dumps(example_row(tmp_path, 1, level=2, carrier="prefix")).encode()
    example = decode(row, Example)
    images = ImageRoot(tmp_path).resolve_all(example.images)
    prompt, target = render(TrainingRow(example, images), processor)
    assert prompt == "<|user|><image>Which number is picture 1?<end_of_utterance><|assistant|>look at it."
    assert target == " Row 1 reads \\boxed{1}<end_of_utterance>"


def test_a_text_that_spells_an_image_token_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    row = example_row(tmp_path, 1)
    row["prompt"][0]["content"] += " <fake_token_around_image>"
    rows = write_rows(tmp_path / "train.jsonl", [row])
    with pytest.raises(AnectlError, match="'p1' contains the image token") as error:
        train("sft", rows, "--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 1)
    assert (error.value.path, error.value.line) == (str(rows), 1)


@pytest.fixture
def tiny_llava(tmp_path: Path, tiny_model: Path) -> Path:
    """A family whose names in memory differ from those on disk, so that the Trainer's own resume loses the weights."""
    import torch
    import transformers as hf

    processor = hf.AutoProcessor.from_pretrained(tiny_model)
    tokenizer = processor.tokenizer
    vision = hf.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=1, image_size=32, patch_size=16
    )
    text = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    image = tokenizer.convert_tokens_to_ids("<image>")
    torch.manual_seed(0)
    model = hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=image)
    )
    side = {"height": 32, "width": 32}
    pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side)
    folder = tmp_path / "llava"
    model.save_pretrained(folder)
    hf.LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=processor.chat_template,
    ).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_family_that_the_trainer_resumes_wrongly_is_resumed_rightly(
    rows: Path, tmp_path: Path, tiny_llava: Path
) -> None:
    options = ["--model", tiny_llava, "--max-steps", 40, "--batch-size", 4, "--learning-rate", 1e-2]
    options += ["--save-steps", 5, "--train-vision"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train("sft", rows, "-o", whole, *options)
    stop_after(12, broken, "sft", rows, "-o", broken, *options)
    assert train("sft", rows, "-o", broken, *options, "--resume")["steps"] == 40
    assert same_weights(whole, broken)


def test_rows_with_and_without_pictures_share_a_batch(tmp_path: Path, tiny_model: Path) -> None:
    examples = [example_row(tmp_path, n) | ({"images": []} if n % 2 else {}) for n in range(8)]
    examples[0]["images"] *= 2
    rows = write_rows(tmp_path / "train.jsonl", examples)
    options = ["--model", tiny_model, "-o", tmp_path / "out", "--max-steps", 2, "--batch-size", 4]
    assert train("sft", rows, *options)["steps"] == 2
