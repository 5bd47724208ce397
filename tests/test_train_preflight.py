"""Before weights are loaded, training says what its rows and its memory will be, and names the rows it cannot use."""

from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRef, ImageRoot
from anectl.core.jsonl import Line, decode
from anectl.core.records import Example, Scaffold
from anectl.core.train_estimate import (
    NF4,
    Generation,
    ModelShape,
    Workload,
    estimate,
    optimizer_bytes,
    size_text,
    trained_parameters,
    weight_bytes,
)
from anectl.core.train_sizes import RowSize, RowSizes, sft_extent, spread
from anectl.core.training import TrainingRow, TrainSettings
from tests.training_rows import example_row, invoke, train, write_rows

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "llava", "idefics3", "smolvlm", "internvl", "gemma3")
# Those whose processor can say rightly, without an image, how many tokens one takes.
RECKONED = {"qwen2_5_vl", "qwen3_vl", "llava", "gemma3"}
SHAPE = ModelShape(
    parameters=1_100,
    decoder=1_000,
    layers=2,
    hidden=8,
    intermediate=16,
    heads=2,
    kv_heads=1,
    head_dim=4,
    vocabulary=10,
    tower_layers=2,
    tower_hidden=4,
    tower_intermediate=8,
)


def test_full_training_keeps_sixteen_bytes_for_each_trained_weight() -> None:
    memory = estimate(SHAPE, Workload(rows=1, tokens=1))
    assert memory.resident == {
        "weights": 4 * 1_100,
        "adapters": 0,
        "gradients": 4 * 1_000,
        "optimizer states": 8 * 1_000,
        "reference model": 0,
    }


def test_adapters_are_all_that_adapters_train() -> None:
    # Per layer and rank: q 8+8, k and v 8+4 each, o 8+8, gate, up and down 8+16 each.
    assert SHAPE.adapters(3) == 2 * 3 * (16 + 12 + 12 + 16 + 3 * 24)
    work = Workload(rows=1, tokens=1, rank=3)
    assert trained_parameters(SHAPE, work) == SHAPE.adapters(3)
    assert weight_bytes(SHAPE, work) == 2 * 1_100


def test_four_bits_hold_the_matrices_of_the_decoder_only() -> None:
    matrices = 2 * 8 * (2 * 8 + 2 * 4 + 3 * 16)
    assert SHAPE.layers * SHAPE.layer == matrices
    assert weight_bytes(SHAPE, Workload(rows=1, tokens=1, rank=3, frozen_bytes=NF4)) == round(
        NF4 * matrices + 2 * (1_100 - matrices)
    )


def test_what_is_sharded_is_spread_over_the_devices() -> None:
    alone, spread_out = (
        estimate(SHAPE, Workload(rows=1, tokens=1, devices=4, sharding=how)).resident for how in ("none", "zero3")
    )
    assert {name: size // 4 for name, size in alone.items()} == spread_out


def test_the_cache_of_a_generation_holds_keys_and_values_of_every_layer() -> None:
    drawn = Generation(rows=3, prompt=5, completion=7)
    memory = estimate(SHAPE, Workload(rows=1, tokens=1, rank=1, generation=drawn))
    assert memory.phases["generation"]["keys and values"] == 3 * 12 * 2 * 2 * 1 * 4 * 2


@given(
    rows=st.integers(1, 64),
    tokens=st.integers(1, 10_000),
    rank=st.none() | st.integers(1, 64),
    bfloat16=st.booleans(),
    vision=st.booleans(),
)
def test_more_work_never_takes_less(rows: int, tokens: int, rank: int | None, bfloat16: bool, vision: bool) -> None:
    def peak(**changes: Any) -> int:
        given: dict[str, Any] = {"rows": rows, "tokens": tokens, "rank": rank, "bfloat16": bfloat16}
        given |= {"train_vision": vision, "image_tokens": tokens // 2}
        return estimate(SHAPE, Workload(**given | changes)).peak

    assert peak() <= peak(rows=rows + 1)
    assert peak() <= peak(tokens=tokens + 1)
    assert peak() <= peak(checkpointing=False) or tokens * rows < 64
    assert peak() <= peak(generation=Generation(rows=rows, prompt=tokens, completion=tokens))


@pytest.mark.parametrize(
    ("name", "size"), [("adamw_torch_fused", 8), ("adamw_8bit", 2), ("adafactor", 0), ("sgd", 0), ("lion", 8)]
)
def test_optimizers_keep_their_own_states(name: str, size: int) -> None:
    assert optimizer_bytes(name) == size


def test_sizes_are_told_in_the_unit_that_fits() -> None:
    assert [size_text(size) for size in (3 << 19, 5 << 29)] == ["1.5 MiB", "2.5 GiB"]


def test_a_spread_is_median_95th_percentile_and_maximum() -> None:
    assert spread(range(1, 101)) == "50.5/95/100"
    assert spread([7]) == "7/7/7"


def row_of(number: int) -> TrainingRow:
    bare = Scaffold(level=0, carrier="prompt")
    example = Example(
        problem_id=f"p{number}",
        prompt=(),
        completion=(),
        answer="1",
        answer_type="number",
        scaffold=bare,
        origin="replay",
    )
    return TrainingRow(example, ())


def sized(*totals: int, window: int = 100, max_length: int | None = None) -> RowSizes:
    sizes = RowSizes(window, max_length)
    for number, total in enumerate(totals, 1):
        sizes.add(row_of(number), RowSize(2, total - 3, 3), Line("rows.jsonl", number, b""))
    return sizes


def test_the_longest_row_is_named_by_its_place() -> None:
    assert "the longest row, rows.jsonl:2, has 30 of at most 50" in sized(10, 30, 20, max_length=50).summary()


@pytest.mark.parametrize(("window", "max_length", "why"), [(100, 20, "--max-length of 20"), (20, 100, "window of 20")])
def test_a_row_that_is_too_long_is_refused(window: int, max_length: int, why: str) -> None:
    sized(20, window=window, max_length=max_length)
    with pytest.raises(RowError, match=why):
        sized(21, window=window, max_length=max_length)


@pytest.mark.parametrize(
    ("asked", "steps", "epochs"),
    [
        ({"max_steps": None, "epochs": 1}, 2, 1),
        ({"max_steps": None, "epochs": 2.5}, 5, 2.5),
        ({"max_steps": 6, "epochs": 1}, 6, 3),
    ],
)
def test_steps_are_counted_as_the_trainer_counts_them(asked: dict[str, Any], steps: int, epochs: float) -> None:
    extent = sft_extent(sized(*[10] * 18), batch_size=2, accumulation=3, devices=2, **asked)
    assert (extent.steps, extent.rows_per_step, extent.epochs) == (steps, 12, epochs)
    assert extent.tokens == epochs * 180


# --- with a checkpoint's own processor ------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bare_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint without its weights: to load them would fail."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    return shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))


SMALL = ("--num-generations", 4, "--batch-size", 4, "--max-tokens", 8)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Sixteen rows, some of them with a scaffold in the prompt."""
    return write_rows(tmp_path / "train.jsonl", [example_row(tmp_path, n, level=n % 3) for n in range(16)])


def dry(command: str, rows: Path, model: Path, *more: object, ok: bool = True) -> Any:
    return invoke(command, rows, "--model", model, "-o", rows.parent / "out", "--dry-run", *more, ok=ok)


def test_a_dry_run_of_sft_tells_settings_tokens_memory_and_extent_without_weights(rows: Path, bare_model: Path) -> None:
    said = dry("sft", rows, bare_model, "--max-length", 90, "--max-steps", 5, "--trl", "weight_decay=0.1").stderr
    assert "16 rows; tokens (median/95 %/max): prompts " in said
    assert "of them for images 16/16/16" in said
    assert "of at most 90" in said
    assert "5 steps of 16 rows, 5 epochs, about" in said
    for setting in ("  max_length: 90\n", "  train_vision: false\n", "  weight_decay: 0.1\n", "  use_cpu: true\n"):
        assert setting in said
    assert "adam_beta2" not in said  # as TRL has it
    for part in ("weights", "gradients", "optimizer states", "training: activations", "peak"):
        assert f"B  {part}\n" in said
    assert "adapters" not in said


def test_a_dry_run_of_strip_rl_tells_them_too(rows: Path, bare_model: Path) -> None:
    said = dry("strip-rl", rows, bare_model, *SMALL, "--lora").stderr
    assert "16 problems, 16 with a scaffold, 100 steps of 4 x 4 completions, 25 epochs" in said
    assert "1,600 completions of at most 8 tokens" in said
    assert "completions 8/8/8" in said
    for setting in ("  schedule: cosine\n", "  num_generations: 4\n", "  epsilon_high: 0.28\n"):
        assert setting in said
    for part in ("adapters", "generation: keys and values", "generation: logits"):
        assert f"B  {part}\n" in said


def test_prompts_that_leave_little_room_are_told_of(rows: Path, bare_model: Path) -> None:
    said = dry("strip-rl", rows, bare_model, "--max-tokens", 480).stderr
    assert "16 prompts leave fewer than 480 tokens of the model's window for a completion, the first is" in said


def spoilt(rows: Path) -> Path:
    """Rows of which the fourth has too many placeholders, the eighth is too long, and the tenth has no target."""
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    lines[3]["prompt"][0]["content"] = "<image><image> Which number?"
    lines[7]["prompt"][0]["content"] *= 10
    lines[9]["completion"] = []
    return write_rows(rows, lines)


def test_a_dry_run_names_every_bad_row_by_file_and_line(rows: Path, bare_model: Path) -> None:
    done = dry("sft", spoilt(rows), bare_model, "--max-length", 90, ok=False)
    assert isinstance(done.exception, RowError)
    assert (done.exception.path, done.exception.line) == (str(rows), 4)
    assert "says <image> 2 times for 1 images" in str(done.exception)
    assert f"{rows}:8: the row has " in done.stderr
    assert "more than --max-length of 90" in done.stderr
    assert f"{rows}:10: completion must be" in done.stderr
    assert "3 bad rows" in done.stderr


def test_bad_rows_can_be_left_out(rows: Path, bare_model: Path) -> None:
    said = dry("sft", spoilt(rows), bare_model, "--max-length", 90, "--on-error", "skip").stderr
    assert "13 rows; tokens" in said
    rejects = [json.loads(line) for line in (rows.parent / "out.rejects.jsonl").read_text().splitlines()]
    assert [(reject["path"], reject["line"]) for reject in rejects] == [(str(rows), n) for n in (4, 8, 10)]


@pytest.mark.parametrize("command", ["sft", "strip-rl"])
def test_a_real_run_refuses_a_bad_row_before_it_loads_weights(command: str, rows: Path, bare_model: Path) -> None:
    more = () if command == "sft" else SMALL
    with pytest.raises(AnectlError, match="2 times for 1 images") as caught:
        train(command, spoilt(rows), "--model", bare_model, "-o", rows.parent / "out", *more)
    assert caught.value.line == 4
    with pytest.raises(AnectlError, match="no weights"):
        train(command, spoilt(rows), "--model", bare_model, "-o", rows.parent / "out", *more, "--on-error", "skip")


def test_a_template_for_text_only_is_found_out(rows: Path, bare_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(bare_model, tmp_path / "model")
    template = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    (model / "chat_template.jinja").write_text(template)
    with pytest.raises(RowError, match="places 0 images of 1"):
        train("sft", rows, "--model", model, "-o", tmp_path / "out", "--dry-run")
    (model / "chat_template.jinja").write_text("{{ raise_exception('turns must alternate') }}")
    with pytest.raises(RowError, match="turns must alternate"):
        train("sft", rows, "--model", model, "-o", tmp_path / "out", "--dry-run")


def settings(model: Path, **changes: Any) -> TrainSettings:
    chosen: dict[str, Any] = {
        "model": str(model),
        "seed": 0,
        "learning_rate": 1e-4,
        "batch_size": 4,
        "gradient_accumulation": 1,
        "max_steps": 2,
        "epochs": 1.0,
        "warmup_steps": 0,
        "scheduler": "constant",
        "dtype": "float32",
        "save_steps": 10,
        "report_to": "none",
        "train_vision": False,
        "lora": False,
        "lora_rank": 4,
        "lora_alpha": 4,
        "merge": False,
    }
    return TrainSettings(**chosen | changes)


class Elsewhere:
    """A folder for a config that is only looked at."""

    def __init__(self, path: Path) -> None:
        self.partial = path


def training_rows(path: Path) -> list[TrainingRow]:
    examples = [decode(line, Example) for line in path.read_bytes().splitlines()]
    return [TrainingRow(example, ImageRoot(path.parent).resolve_all(example.images)) for example in examples]


def test_tokens_are_those_of_the_collator(rows: Path, tiny_model: Path, tmp_path: Path) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from anectl.engines import trl_sft
    from anectl.engines.train_preflight import SftPreflight

    chosen = settings(tiny_model)
    preflight = SftPreflight(chosen, trl_sft.sft_config(chosen, Elsewhere(tmp_path), None), trl_sft.render)  # type: ignore[arg-type]
    collate = DataCollatorForVisionLanguageModeling(preflight.ruler.processor, completion_only_loss=True)
    given = training_rows(rows)
    for row in given:
        prompt, completion = trl_sft.render(row, preflight.ruler.processor)
        images = [image.open() for image in row.images]
        batch = collate([{"prompt": prompt, "completion": completion, "images": images}])
        size = preflight.measure(row)
        assert size.total == batch["input_ids"].shape[1]
        assert size.completion == int((batch["labels"] != -100).sum())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_measured_as_its_processor_encodes(name: str, tmp_path: Path) -> None:
    from anectl.engines.train_preflight import TextRuler, model_shape
    from tests.families import FAMILIES as KNOWN
    from tests.families import build

    if KNOWN[name].needs:
        pytest.importorskip(KNOWN[name].needs)
    ruler = TextRuler(str(build(KNOWN[name], tmp_path / "model")))
    given = []
    assert (ruler._surplus is not None) == (name in RECKONED)
    for size in ((100, 70), (50, 130), (64, 64), (100, 70)):
        Image.new("RGB", size).save(tmp_path / f"{size[0]}x{size[1]}.png")
        given.append(ImageRef("picture", str(tmp_path / f"{size[0]}x{size[1]}.png")))
    for count in (0, 1, 3, 4):
        parts = [{"type": "image"}] * count + [{"type": "text", "text": "Which of them is the largest?"}]
        text = ruler.processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        pictures = {"images": [[image.open() for image in given[:count]]]} if count else {}
        ids = ruler.processor(text=[text], add_special_tokens=False, **pictures)["input_ids"][0]
        assert ruler.prompt(text, given[:count])[0] == len(ids)
    shape = model_shape(ruler.config)
    assert 0 < shape.decoder < shape.parameters


def test_adapters_are_counted_as_they_are_made(tiny_model: Path) -> None:
    from peft import get_peft_model

    from anectl.engines.checkpoints import load_vlm
    from anectl.engines.train_preflight import model_shape
    from anectl.engines.training import freeze, lora_config

    model, _ = load_vlm(str(tiny_model), "float32")
    shape = model_shape(model.config)
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())
    freeze(model, train_vision=False)
    assert shape.decoder == sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    adapted = get_peft_model(model, lora_config(settings(tiny_model, lora=True)))
    assert shape.adapters(4) == sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)


class Tally:
    """Bytes of the storages that operations made and that are still there, and the most of them at once."""

    def __init__(self) -> None:
        self.alive: dict[int, int] = {}
        self.peak = 0

    def mode(self) -> Any:
        """A context in which every operation's results are counted."""
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode
        from torch.utils._pytree import tree_leaves

        tally = self

        class Counting(TorchDispatchMode):  # type: ignore[misc]
            def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                results = operation(*args, **(kwargs or {}))
                for result in tree_leaves(results):
                    if isinstance(result, torch.Tensor):
                        tally.add(result)
                return results

        return Counting()

    def add(self, tensor: Any) -> None:
        """Count a tensor's storage until it is gone."""
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place not in self.alive:
            self.alive[place] = storage.nbytes()
            self.peak = max(self.peak, sum(self.alive.values()))
            weakref.finalize(storage, self.alive.pop, place, None)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"lora": True}], ids=["full", "lora"])
def test_the_estimate_is_near_the_measured_peak(
    rows: Path, tiny_model: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    from trl import SFTTrainer

    from anectl.engines import trl_sft
    from anectl.engines.train_preflight import SftPreflight
    from anectl.engines.training import load_trainable, lora_config

    chosen = settings(tiny_model, batch_size=16, **changes)
    config = trl_sft.sft_config(chosen, Elsewhere(tmp_path / "out"), None)  # type: ignore[arg-type]
    preflight = SftPreflight(chosen, config, trl_sft.render)
    given = training_rows(rows)
    sizes = RowSizes(preflight.window, None)
    for number, row in enumerate(given, 1):
        sizes.add(row, preflight.measure(row), Line(str(rows), number, b""))

    model, processor = load_trainable(chosen, None)
    dataset = trl_sft._LazyRows(given, processor).dataset()
    trainer = SFTTrainer(model, config, None, dataset, processing_class=processor, peft_config=lora_config(chosen))
    tally = Tally()
    for parameter in trainer.model.parameters():
        tally.add(parameter)
    with tally.mode():
        trainer.train()
    assert 0.75 < preflight.memory(sizes).peak / tally.peak < 1.3
