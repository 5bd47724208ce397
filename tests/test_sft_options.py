"""What sft's options mean: loss and accumulation, mixed rows, layers with adapters, weights in 4 bits, the very end."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError, UsageError
from anectl.core.sft_settings import SftSettings
from anectl.core.training import TrainFolder
from tests.test_train_preflight import settings, training_rows
from tests.training_rows import example_row, invoke, read_log, same_weights, train, weights, write_rows

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "llava", "idefics3", "smolvlm", "internvl", "gemma3")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Eight rows, of which each has more to say than the one before."""
    given = [example_row(tmp_path, n) for n in range(8)]
    for number, row in enumerate(given):
        row["completion"][0]["content"] += " and so on" * number
    return write_rows(tmp_path / "train.jsonl", given)


def first_step(rows: Path, model: Path, out: Path, **changes: Any) -> tuple[float, dict[str, Any]]:
    """The logged loss and the gradients of the first step, which are not clipped."""
    from transformers import TrainerCallback

    from anectl.engines.trl_sft import make_trainer, sft_config

    class First(TrainerCallback):  # type: ignore[misc]
        """Looks at the gradients when all of them are there."""

        def on_pre_optimizer_step(self, *given: Any, model: Any = None, **rest: Any) -> None:
            named = model.named_parameters()
            self.gradients = {name: value.grad.clone() for name, value in named if value.grad is not None}

    loss = changes.pop("loss", "nll")
    chosen = settings(model, max_steps=1, trl={"max_grad_norm": 0.0}, **changes)
    sft = SftSettings(loss=loss)
    config = sft_config(chosen, TrainFolder("sft", str(out), {}, resume=False, overwrite=False), None, sft)
    trainer = make_trainer(training_rows(rows), chosen, config, sft, None)
    first = First()
    trainer.add_callback(first)
    trainer.train()
    return trainer.state.log_history[0]["loss"], first.gradients


@pytest.mark.parametrize("loss", ["nll", "dft"])
def test_accumulation_changes_neither_loss_nor_gradient(
    rows: Path, tiny_model: Path, tmp_path: Path, loss: str
) -> None:
    whole, gradients = first_step(rows, tiny_model, tmp_path / "whole", batch_size=8, loss=loss)
    parts, added = first_step(rows, tiny_model, tmp_path / "parts", batch_size=2, gradient_accumulation=4, loss=loss)
    assert parts == pytest.approx(whole, rel=1e-5)
    largest = max(float(value.abs().max()) for value in gradients.values())
    assert gradients.keys() == added.keys() != set()
    assert max(float((gradients[name] - added[name]).abs().max()) for name in gradients) < 1e-5 * largest


def test_the_dft_loss_weighs_each_token_by_its_probability(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    import torch

    from anectl.engines.checkpoints import load_vlm
    from anectl.engines.trl_sft import render

    network, processor = load_vlm(str(tiny_model), "float32")
    logs = []
    for row in training_rows(rows):
        prompt, completion = render(row, processor)
        images = [[image.open() for image in row.images]]
        inputs = processor(text=[prompt + completion], images=images, return_tensors="pt", add_special_tokens=False)
        ids = processor.tokenizer(completion, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            log = network(**inputs).logits[0, -ids.shape[1] - 1 : -1].log_softmax(-1)
        logs.append(log.gather(1, ids.T)[:, 0])
    log = torch.cat(logs)
    nll, _ = first_step(rows, tiny_model, tmp_path / "nll", batch_size=8)
    dft, _ = first_step(rows, tiny_model, tmp_path / "dft", batch_size=8, loss="dft")
    assert nll == pytest.approx(float(-log.mean()), rel=1e-4)
    assert dft == pytest.approx(float(-(log * log.exp()).mean()), rel=1e-4)


def test_the_loss_is_an_option(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    given = ("--model", tiny_model, "--max-steps", 1, "--drift-rows", 0)
    train("sft", rows, "-o", tmp_path / "dft", *given, "--loss", "dft")
    train("sft", rows, "-o", tmp_path / "nll", *given)
    assert read_log(tmp_path / "dft")[0]["loss"] != read_log(tmp_path / "nll")[0]["loss"]
    assert "loss_type: dft" in invoke("sft", rows, "-o", tmp_path / "x", *given, "--loss", "dft", "--dry-run").stderr


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_with_no_one_and_two_images_share_a_batch_as_if_alone(name: str, tmp_path: Path) -> None:
    import torch
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from anectl.engines.checkpoints import load_vlm
    from anectl.engines.trl_sft import _LazyRows
    from tests.families import FAMILIES as KNOWN
    from tests.families import build

    if KNOWN[name].needs:
        pytest.importorskip(KNOWN[name].needs)
    given = [example_row(tmp_path, number) for number in range(4)]
    given[1]["images"] = []
    given[2]["images"] *= 2
    given[3]["completion"][0]["content"] += " and a longer text behind it"
    rows = training_rows(write_rows(tmp_path / "train.jsonl", given))
    network, processor = load_vlm(str(build(KNOWN[name], tmp_path / "model")), "float32")
    collate = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    data = _LazyRows(rows, processor)

    def losses(places: list[int]) -> list[float]:
        columns = data.batch({"row": places})
        inputs = collate([dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)])
        labels = inputs.pop("labels")[:, 1:]
        with torch.inference_mode():
            logs = network(**inputs, use_cache=False).logits[:, :-1].log_softmax(-1)
        said = logs.gather(2, labels.clamp_min(0)[:, :, None])[:, :, 0]
        found: list[float] = (-(said * (labels != -100)).sum(dim=1)).tolist()
        return found

    alone = [losses([place])[0] for place in range(4)]
    assert losses([0, 1, 2, 3]) == pytest.approx(alone, rel=1e-5)


def test_rows_reach_the_processes_of_a_data_loader(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    given = ("sft", rows, "--model", tiny_model, "--max-steps", 3, "--batch-size", 2, "--drift-rows", 0)
    train(*given, "-o", tmp_path / "alone")
    spawned = ("dataloader_num_workers=1", "dataloader_multiprocessing_context=spawn")
    train(*given, "-o", tmp_path / "spawned", "--trl", spawned[0], "--trl", spawned[1])
    losses = [[line["loss"] for line in read_log(tmp_path / name)] for name in ("alone", "spawned")]
    assert losses[0] == losses[1]


def test_the_fingerprint_of_the_data_does_not_pickle_row_by_row(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dill

    from anectl.engines.checkpoints import load_vlm
    from anectl.engines.trl_sft import _LazyRows

    saved = []
    save = dill.Pickler.save
    monkeypatch.setattr(dill.Pickler, "save", lambda *given, **more: (saved.append(1), save(*given, **more))[1])
    _, processor = load_vlm(str(tiny_model), "float32")

    def pickled(times: int) -> int:
        saved.clear()
        _LazyRows(training_rows(rows) * times, processor).dataset()
        return len(saved)

    assert 0 < pickled(50) <= pickled(1) + 8


def test_texts_alone_and_pictures_train_in_one_run(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    given = [json.loads(line) for line in rows.read_text().splitlines()]
    for number in (0, 3, 4):
        given[number]["images"] = []
    given[5]["images"] *= 2
    command = ("sft", write_rows(rows, given), "--model", tiny_model, "-o", tmp_path / "out")
    result = train(*command, "--batch-size", 2, "--epochs", 1, "--learning-rate", 1e-3, "--trl", "seed=3")
    assert (result["steps"], result["drift"]["targets"]["rows"]) == (4, 8)


def test_rows_of_two_kinds_are_refused_where_weights_are_spread(rows: Path, tiny_model: Path) -> None:
    from anectl.engines.sharding import refuse_mixed_rows

    class Spread:
        """What is asked of a trainer whose weights are spread."""

        is_fsdp_enabled = True
        is_deepspeed_enabled = False

    given = training_rows(rows)
    refuse_mixed_rows(given, Spread())
    with pytest.raises(AnectlError, match="7 rows have images and 1 have none"):
        refuse_mixed_rows([*given[1:], type(given[0])(given[0].example, ())], Spread())


# --- layers with adapters -------------------------------------------------------------------------------------------
def adapted(folder: Path) -> set[str]:
    """The layers that a saved adapter is for."""
    named = weights(folder, "adapter_model.safetensors")
    return {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in named}


@pytest.mark.parametrize(
    ("targets", "kinds", "parts"),
    [
        ("q_proj, v_proj", {"q_proj", "v_proj"}, {"text_model"}),
        (r".*\.layers\.0\..*k_proj", {"k_proj"}, {"text_model", "vision_model"}),
    ],
)
def test_adapters_go_where_they_are_wanted(
    rows: Path, tiny_model: Path, tmp_path: Path, targets: str, kinds: set[str], parts: set[str]
) -> None:
    given = ("--model", tiny_model, "--lora", "--lora-targets", targets, "--max-steps", 1, "--drift-rows", 0)
    train("sft", rows, "-o", tmp_path / "out", *given)
    layers = adapted(tmp_path / "out")
    assert {name.rpartition(".")[2] for name in layers} == kinds
    assert {name.split(".")[1] for name in layers} == parts


@pytest.mark.parametrize(("targets", "said"), [("q_prj", "names no linear layer"), ("*proj", "no regular expression")])
def test_adapters_for_no_layer_are_refused_before_weights_are_loaded(
    rows: Path, tiny_model: Path, tmp_path: Path, targets: str, said: str
) -> None:
    given = ("--model", tiny_model, "--lora", "--lora-targets", targets, "--dry-run")
    with pytest.raises(AnectlError, match=said):
        train("sft", rows, "-o", tmp_path / "out", *given)


# --- weights in 4 bits ----------------------------------------------------------------------------------------------
needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes")


@pytest.mark.parametrize(("more", "said"), [([], "needs --lora"), (["--lora", "--merge"], "weights in 4 bits")])
def test_options_that_contradict_4_bits_are_refused(rows: Path, tmp_path: Path, more: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train("sft", rows, "--model", "m", "-o", tmp_path / "out", "--load-in-4bit", *more)


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_4_bits_without_bitsandbytes_are_a_clear_error(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(AnectlError, match="needs bitsandbytes") as error:
        train("sft", rows, "--model", tiny_model, "-o", tmp_path / "out", "--lora", "--load-in-4bit")
    assert error.value.hint == "pip install bitsandbytes"


def test_only_layers_of_the_decoder_are_kept_in_4_bits(tiny_model: Path) -> None:
    from anectl.engines.decoder_parts import linear_outside_decoder
    from anectl.engines.processors import load_config

    spared = linear_outside_decoder(load_config(str(tiny_model)))
    assert "lm_head" in spared
    assert {name.partition(".layers.")[0] for name in spared if name != "lm_head"} == {
        "model.vision_model.encoder",
        "model.connector.modality_projection.proj",
    }


@needs_bitsandbytes
def test_adapters_on_4_bits_have_the_gradients_of_the_weights_that_these_stand_for(
    rows: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import bitsandbytes
    from bitsandbytes.functional import dequantize_4bit

    from anectl.engines.checkpoints import load_vlm

    small, processor = load_vlm(str(tiny_model), "float32", in_4bit=True)
    plain, _ = load_vlm(str(tiny_model), "float32")
    for name, part in small.named_modules():
        if isinstance(part, bitsandbytes.nn.Linear4bit):
            plain.get_submodule(name).weight.data = dequantize_4bit(part.weight.data, part.weight.quant_state)
    plain.save_pretrained(tmp_path / "plain")
    processor.save_pretrained(tmp_path / "plain")
    given: dict[str, Any] = {"batch_size": 8, "lora": True}
    wanted_loss, wanted = first_step(rows, tmp_path / "plain", tmp_path / "a", **given)
    loss, found = first_step(rows, tiny_model, tmp_path / "b", load_in_4bit=True, **given)
    assert loss == pytest.approx(wanted_loss, rel=1e-4)
    largest = max(float(value.abs().max()) for value in wanted.values())
    assert largest > 0
    assert max(float((wanted[name] - found[name].float()).abs().max()) for name in wanted) < 0.02 * largest


@needs_bitsandbytes
def test_a_decoder_in_4_bits_trains_and_goes_on(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    import bitsandbytes

    from anectl.engines.checkpoints import load_vlm

    network, _ = load_vlm(str(tiny_model), "float32", in_4bit=True)
    small = [name for name, part in network.named_modules() if isinstance(part, bitsandbytes.nn.Linear4bit)]
    layers = network.config.text_config.num_hidden_layers
    assert len(small) == 7 * layers
    assert all("text_model" in name for name in small)
    given = ("--model", tiny_model, "--lora", "--load-in-4bit", "--learning-rate", 1e-2, "--total-steps", 12)
    train("sft", rows, "-o", tmp_path / "whole", *given, "--max-steps", 12)
    train("sft", rows, "-o", tmp_path / "m1", *given, "--max-steps", 8, "--drift-rows", 0)
    train("sft", rows, "-o", tmp_path / "m2", "--continue-from", tmp_path / "m1", "--max-steps", 4)
    losses = [line["loss"] for line in read_log(tmp_path / "whole")]
    assert losses[-1] < 0.8 * losses[0]
    # Neither the break nor the measuring of drift, which the second run did without, leaves a trace.
    assert same_weights(tmp_path / "whole", tmp_path / "m2", "adapter_model.safetensors")


# --- the end of a run -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [{}, {"lora": True}], ids=["full", "lora"])
def test_a_run_that_is_killed_between_its_last_step_and_its_end_does_no_step_more(
    rows: Path, tiny_model: Path, tmp_path: Path, kind: dict[str, Any]
) -> None:
    from anectl.engines.train_run import TrainLog
    from anectl.engines.trl_sft import make_trainer, sft_config, train_sft

    chosen = settings(tiny_model, max_steps=3, batch_size=2, learning_rate=1e-3, **kind)
    given = training_rows(rows)

    def folder(name: str, *, resume: bool) -> TrainFolder:
        return TrainFolder("sft", str(tmp_path / name), {}, resume=resume, overwrite=False)

    def ignore(message: str) -> None:
        pass

    with folder("whole", resume=False).open(given) as whole:
        train_sft(given, chosen, whole, max_length=None, report=ignore)
    with folder("broken", resume=False).open(given) as broken:
        trainer = make_trainer(given, chosen, sft_config(chosen, broken, None), SftSettings(), None)
        trainer.add_callback(TrainLog(broken, lambda logs: {}, ignore, 0.0))
        trainer.train()
    with folder("broken", resume=True).open(given) as broken:
        assert train_sft(given, chosen, broken, max_length=None, report=ignore).steps == 3
        assert len(broken.logged()) == 3
    name = "adapter_model.safetensors" if kind else "model.safetensors"
    assert same_weights(whole.partial, broken.partial, name)


def test_a_process_that_sees_several_gpus_trains_on_one_of_them_and_says_so(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    from anectl.engines.training import use_one_gpu

    config = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=4)
    config._n_gpu = 8  # as transformers counts them where there are eight
    assert config.train_batch_size == 32
    with pytest.warns(UserWarning, match="torchrun --nproc-per-node 8 -m anectl"):
        use_one_gpu(config)
    assert config.train_batch_size == 4
