"""Preflight says what every prompt will be in tokens, and which rows do not fit, without reading any weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anectl.core.errors import AnectlError, RowError
from anectl.core.images import ImageRef
from anectl.core.preflight import PromptSize, PromptSizes
from anectl.core.protocols import PromptRequest
from anectl.core.records import Message


class Ruler:
    """A preflight whose tokens are words: the first number of a prompt says how many stand for images."""

    window = 10

    def measure(self, request: PromptRequest) -> PromptSize:
        words = request.messages[0].content.split()
        if len(words) >= self.window:
            raise RowError("too long", hint="shorten it")
        return PromptSize(int(words[0]), len(words))


def ask(text: str, images: tuple[ImageRef, ...] = ()) -> PromptRequest:
    return PromptRequest(text, (Message(role="user", content=text),), images, ())


def sized(*texts: str) -> PromptSizes:
    sizes = PromptSizes(Ruler(), max_tokens=4)
    for number, text in enumerate(texts):
        sizes.measure(f"p{number}", ask(text))
    return sizes


def test_sizes_are_summed_up_over_rows() -> None:
    sizes = sized("3 a", "0 a b c d e f", "7 a b", "4 a b c d e f g", "2 a")
    assert sizes.facts() == {
        "rows": 5,
        "image_tokens": {"min": 0, "median": 3, "max": 7},
        "longest_prompt": 8,
        "longest_row": "p3",
        "window": 10,
        "cut_short": 2,
    }
    assert sizes.summary() == (
        "5 prompts with 0/3/7 image tokens (min/median/max); the longest, of 'p3', has 8 tokens of a window of 10; "
        "2 leave fewer than 4 tokens for a completion, the first is 'p1'"
    )


def test_prompts_with_room_for_the_longest_completion_need_no_warning() -> None:
    assert "completion" not in sized("3 a b c d e").summary()
    assert sized("3 a b c d e f").num_cramped == 1


def test_nothing_measured_is_said_so() -> None:
    assert sized().summary() == "no prompts"
    assert sized().facts()["image_tokens"] == {"min": None, "median": None, "max": None}


def test_a_bad_row_is_named_and_not_counted() -> None:
    sizes = sized("3 a")
    with pytest.raises(RowError, match="'p9': too long") as caught:
        sizes.measure("p9", ask("0 " * 10))
    assert caught.value.hint == "shorten it"
    assert sizes.facts()["rows"] == 1


@pytest.fixture(scope="module")
def bare_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint without its weights."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    return shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))


@pytest.fixture(scope="module")
def preflight(bare_model: Path) -> Any:
    from anectl.engines.preflight import ProcessorPreflight

    return ProcessorPreflight(str(bare_model))


def picture(folder: Path, width: int = 64, height: int = 64) -> ImageRef:
    place = folder / f"{width}x{height}.png"
    Image.new("RGB", (width, height)).save(place)
    return ImageRef(place.name, str(place))


def test_image_tokens_and_length_are_those_of_the_engine(preflight: Any, tiny_model: Path, tmp_path: Path) -> None:
    from anectl.engines.transformers_sampler import TransformersSampler

    images = (picture(tmp_path), picture(tmp_path, 30, 100))
    sampler = TransformersSampler(str(tiny_model))
    for count in (0, 1, 2):
        request = ask("Which number is shown?", images[:count])
        encoded = sampler._encoder.encode([request])
        assert preflight.measure(request) == PromptSize(16 * count, encoded.inputs["input_ids"].shape[1])


def test_the_longest_prompt_that_fits_leaves_one_token(preflight: Any) -> None:
    bare = preflight.measure(ask("7")).prompt_tokens
    assert preflight.window == 512
    assert preflight.measure(ask("7" * (512 - bare))).prompt_tokens == 511
    with pytest.raises(RowError, match=r"512 tokens .* does not fit into the window of 512"):
        preflight.measure(ask("7" * (513 - bare)))


def test_a_server_may_have_a_smaller_window(bare_model: Path) -> None:
    from anectl.engines.preflight import ProcessorPreflight

    preflight = ProcessorPreflight(str(bare_model), window=40)
    assert preflight.window == 40
    with pytest.raises(RowError, match="window of 40"):
        preflight.measure(ask("7" * 60))
    assert ProcessorPreflight(str(bare_model), window=10_000).window == 512


def test_what_the_engine_refuses_preflight_refuses(preflight: Any, tmp_path: Path) -> None:
    image = picture(tmp_path)
    torn = ImageRef("torn.png", str(tmp_path / "torn.png"))
    Path(torn.location).write_bytes(Path(image.location).read_bytes()[:40])
    for text, images, words in [
        ("<image> and <image>", (image,), "2 times"),
        ("What is <fake_token_around_image>?", (), "<fake_token_around_image>"),
        ("?", (torn,), "torn.png"),
    ]:
        with pytest.raises(RowError, match=words):
            preflight.measure(ask(text, images))


def test_an_adapter_is_measured_by_its_base(bare_model: Path, tmp_path: Path) -> None:
    from anectl.engines.preflight import ProcessorPreflight

    config = {"base_model_name_or_path": str(bare_model), "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert ProcessorPreflight(str(tmp_path)).window == 512
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(AnectlError, match="adapter configuration"):
        ProcessorPreflight(str(tmp_path))
