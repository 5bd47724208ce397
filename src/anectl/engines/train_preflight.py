"""Measure training rows with a checkpoint's own processor, and its dimensions by its configuration; no weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import jinja2
from PIL import Image
from transformers import GenerationConfig, TrainingArguments

from anectl.core.errors import RowError
from anectl.core.images import ImageRef
from anectl.core.stripping import StripSettings, to_item
from anectl.core.train_estimate import (
    BFLOAT16,
    FLOAT32,
    NF4,
    Generation,
    Memory,
    ModelShape,
    Sharding,
    Workload,
    estimate,
)
from anectl.core.train_sizes import RowSize, RowSizes
from anectl.core.training import TrainingRow, TrainSettings
from anectl.engines.decoder_parts import in_decoder, outline, refuse_targets
from anectl.engines.processors import adapter_base, load_config, load_processor
from anectl.engines.prompt_text import prompt_text
from anectl.engines.training import image_token_texts, refuse_image_tokens, structured

# Fields that say where and on what a run computes: shown even where TRL's default is the same.
_ALWAYS_SHOWN = ("bf16", "use_cpu")
# Images in which the processor's arithmetic is compared with what it does: small, wide, tall.
_TRIALS = ((64, 48), (500, 200), (90, 370))
_SHARDED = {"fsdp": "ACCELERATE_USE_FSDP", "zero3": "ACCELERATE_USE_DEEPSPEED"}


class _Grown(NamedTuple):
    """What an image adds to a prompt beside its placeholder, and how many of those tokens stand for it."""

    tokens: int
    image_tokens: int


class TextRuler:
    """Counts tokens as the trainer's collator will; each size of image is looked into only once."""

    def __init__(self, model: str) -> None:
        """Raises AnectlError when `model` is no vision-language checkpoint with a processor."""
        self.config = load_config(model)
        self.processor = load_processor(model)
        # The sizes of images count here, not their colours, and these two steps take more than half of the time.
        self.processor.image_processor.do_rescale = self.processor.image_processor.do_normalize = False
        outline = SimpleNamespace(
            config=self.config, generation_config=_generation_config(adapter_base(model) or model)
        )
        self.reserved = image_token_texts(outline, self.processor)
        self.window: int = self.config.get_text_config(decoder=True).max_position_embeddings
        self._image_token_id = getattr(self.config, "image_token_id", None) or self.config.image_token_index
        self._by_size: dict[tuple[int, int], _Grown] = {}
        self._by_place: dict[str, tuple[int, int]] = {}
        self._surplus = self._found_surplus()

    def count(self, text: str) -> int:
        """Tokens of a text without images."""
        return len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(self, text: str, images: Sequence[ImageRef]) -> tuple[int, int]:
        """Tokens of a rendered prompt, and those of them that stand for its images. Raises RowError."""
        placed = text.count(self.processor.image_token)
        if placed != len(images):
            raise RowError(
                f"the chat template places {placed} images of {len(images)}",
                hint="a template for text only? copy the one of the vision-language model",
            )
        grown = [self._grown(image) for image in images]
        return self.count(text) + sum(one.tokens for one in grown), sum(one.image_tokens for one in grown)

    def _grown(self, image: ImageRef) -> _Grown:
        """Raises RowError: the image is broken, or the processor refuses one of its size."""
        size = self._by_place.get(image.location)
        if size is None:
            size = self._by_place[image.location] = image.open().size
        if size not in self._by_size:
            self._by_size[size] = self._measured(size)
        return self._by_size[size]

    def _measured(self, size: tuple[int, int]) -> _Grown:
        try:
            if self._surplus is None:
                return self._encoded(size)
            stand_in = self._reckoned(size)
            return _Grown(stand_in + self._surplus, stand_in)
        except (ValueError, TypeError, RuntimeError, IndexError) as error:
            raise RowError(f"the processor refuses an image of {size[0]} x {size[1]} pixels: {error}") from None

    def _encoded(self, size: tuple[int, int]) -> _Grown:
        """By encoding a blank image of that size."""
        token = self.processor.image_token
        inputs = self.processor(text=[token], images=[[Image.new("RGB", size)]], add_special_tokens=False)
        ids = list(inputs["input_ids"][0])
        return _Grown(len(ids) - self.count(token), ids.count(self._image_token_id))

    def _reckoned(self, size: tuple[int, int]) -> int:
        """By the processor's own arithmetic, which is quick, but which not every family has, or has right."""
        width, height = size
        return int(self.processor._get_num_multimodal_tokens(image_sizes=[(height, width)])["num_image_tokens"][0])

    def _found_surplus(self) -> int | None:
        """What an image adds beside the tokens that stand for it; null where the two ways disagree in a trial."""
        found = set()
        try:
            for size in _TRIALS:
                grown, stand_in = self._encoded(size), self._reckoned(size)
                found.add(grown.tokens - stand_in if grown.image_tokens == stand_in else None)
        except (AttributeError, KeyError, ValueError, TypeError, RuntimeError, IndexError):
            return None
        return found.pop() if len(found) == 1 else None


class SftPreflight:
    """`TrainPreflight` of sft: rows rendered and encoded as for training."""

    def __init__(
        self, settings: TrainSettings, config: Any, render: Callable[[TrainingRow, Any], tuple[str, str]]
    ) -> None:
        """`config` is TRL's, `render` gives the prompt and the completion of a row, by the model's processor.

        Raises AnectlError when the model is no vision-language checkpoint with a processor.
        """
        self.settings = settings
        self.render = render
        self.config = config
        self.ruler = TextRuler(settings.model)
        self.window = self.ruler.window
        if settings.lora_targets:
            refuse_targets(self.ruler.config, settings.lora_targets)

    def measure(self, row: TrainingRow) -> RowSize:
        """The size of a row. Raises RowError for texts, images or placeholders of no use."""
        refuse_image_tokens([row], self.ruler.reserved)
        prompt, completion = _rendered(lambda: self.render(row, self.ruler.processor))
        tokens, image_tokens = self.ruler.prompt(prompt, row.images)
        return RowSize(image_tokens, tokens, self.ruler.count(completion))

    def memory(self, sizes: RowSizes) -> Memory:
        """The estimate for one device, if every row of a batch were as long as the longest."""
        longest = sizes.longest
        work = _workload(self.settings, self.config)
        return estimate(
            model_shape(self.ruler.config), replace(work, tokens=longest.total, image_tokens=longest.image_tokens)
        )


class StripPreflight:
    """`TrainPreflight` of strip-rl: each row at the level that makes its prompt longest, with all that it may draw."""

    def __init__(self, settings: TrainSettings, config: Any, strip: StripSettings) -> None:
        """As `SftPreflight`."""
        self.settings = settings
        self.config = config
        self.strip = strip
        self.ruler = TextRuler(settings.model)
        self.window = self.ruler.window

    def measure(self, row: TrainingRow) -> RowSize:
        """The size of a row. Raises RowError for texts, images or placeholders of no use."""
        refuse_image_tokens([row], self.ruler.reserved)
        item = to_item(row, self.strip.top_level)
        prompts = [self._prompt(structured(messages, len(row.images))) for messages in item.prompts.values()]
        tokens, image_tokens = max(self.ruler.prompt(prompt, row.images) for prompt in prompts)
        # What leaves no room at all is told of as too long; what leaves little, by `plan`.
        return RowSize(image_tokens, tokens, max(1, min(self.config.max_completion_length, self.window - tokens)))

    def _prompt(self, messages: list[dict[str, Any]]) -> str:
        return str(_rendered(lambda: prompt_text(messages, self.ruler.processor)))

    def memory(self, sizes: RowSizes) -> Memory:
        """The estimate for one device, with every prompt as long as the longest and completions of full length."""
        longest, config = sizes.longest, self.config
        drawn = Generation(
            rows=config.per_device_train_batch_size * config.steps_per_generation,
            prompt=longest.prompt,
            completion=config.max_completion_length,
        )
        work = replace(
            _workload(self.settings, config),
            tokens=longest.total,
            image_tokens=longest.image_tokens,
            reference=config.beta > 0,
            generation=None if config.use_vllm else drawn,
        )
        return estimate(model_shape(self.ruler.config), work)


def model_shape(config: Any) -> ModelShape:
    """The dimensions of a checkpoint, its parameters counted on a network without storage."""
    network = outline(config)
    text, vision = config.get_text_config(decoder=True), config.vision_config
    merge = getattr(vision, "spatial_merge_size", None) or getattr(config, "scale_factor", None) or 1
    return ModelShape(
        parameters=sum(weight.numel() for weight in network.parameters()),
        decoder=sum(weight.numel() for name, weight in network.named_parameters() if in_decoder(name)),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or text.num_attention_heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        vocabulary=text.vocab_size,
        tower_layers=getattr(vision, "depth", None) or vision.num_hidden_layers,
        tower_hidden=vision.hidden_size,
        tower_intermediate=vision.intermediate_size,
        patches=merge * merge,
    )


def resolved(config: TrainingArguments) -> dict[str, Any]:
    """The fields of TRL's config that differ from its defaults, as plain data; tokens and keys stay hidden."""
    plain = type(config)(output_dir=config.output_dir, use_cpu=config.use_cpu, bf16=config.bf16).to_dict()
    chosen = config.to_dict()
    return {name: value for name, value in chosen.items() if name in _ALWAYS_SHOWN or value != plain[name]}


def sharding() -> Sharding:
    """How `accelerate launch` spreads the weights, by what it puts into the environment of each process."""
    if os.environ.get(_SHARDED["fsdp"], "").lower() == "true":
        return "fsdp"
    deepspeed = os.environ.get(_SHARDED["zero3"], "").lower() == "true"
    return "zero3" if deepspeed and os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3") == "3" else "none"


def _workload(settings: TrainSettings, config: Any) -> Workload:
    return Workload(
        rows=config.per_device_train_batch_size,
        tokens=0,
        rank=settings.lora_rank if settings.lora else None,
        train_vision=settings.train_vision,
        frozen_bytes=NF4 if settings.load_in_4bit else BFLOAT16 if config.bf16 else FLOAT32,
        bfloat16=config.bf16,
        optimizer=str(getattr(config.optim, "value", config.optim)),
        checkpointing=config.gradient_checkpointing,
        devices=config.world_size,
        sharding=sharding(),
    )


def _rendered(template: Callable[[], Any]) -> Any:
    """What a chat template writes. Raises RowError where it refuses the turns of a row."""
    try:
        return template()
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise RowError(f"the chat template refuses the prompt: {error}") from None


def _generation_config(source: str) -> GenerationConfig:
    try:
        return GenerationConfig.from_pretrained(source)
    except OSError:
        return GenerationConfig()
