"""Untrained checkpoints of the families users run, small enough to build in a moment.

The files lie as on the Hugging Face hub: a configuration, weights in safetensors, the tokenizer, the settings of the
image processor, a chat template. They are written without the processor class, which some families only have with
torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN = 64
HEAD_DIM = 32
PATCH = 16
WINDOW = 512
SEED = 0

CHATML_HEAD = "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
PARTS = """\
{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}{{- '@IMAGE@' -}}{%- elif 'text' in part -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}"""


def chatml(image: str, *, thinks: bool = False) -> str:
    """The template of Qwen and InternVL; one that thinks leaves its thoughts empty where `enable_thinking` is false."""
    no_thoughts = (
        "{%- if enable_thinking is defined and not enable_thinking -%}"
        "{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}"
        if thinks
        else ""
    )
    return (
        "{%- for message in messages -%}"
        + CHATML_HEAD
        + PARTS.replace("@IMAGE@", image)
        + "{{- '<|im_end|>\\n' -}}{%- endfor -%}"
        + "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}"
        + no_thoughts
        + "{%- endif -%}"
    )


def spoken(image: str, end: str, begin: str = "") -> str:
    """A template whose turns are told by plain words, as LLaVA's and SmolVLM's."""
    return (
        begin
        + "{%- for message in messages -%}{{- message['role'] | capitalize + ': ' -}}"
        + PARTS.replace("@IMAGE@", image)
        + "{{- '"
        + end
        + "' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}"
    )


def gemma(image: str) -> str:
    """The template of Gemma 3, which puts a system turn before the first question."""
    return (
        "{{- bos_token -}}{%- for message in messages -%}"
        "{{- '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' -}}"
        + PARTS.replace("@IMAGE@", image)
        + "{{- '<end_of_turn>\\n' -}}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}"
    )


@dataclass(frozen=True, slots=True)
class Family:
    """How a family's checkpoint is made: tokens, image processor, template, network.

    `specials` are the tokens of the tokenizer that no text is cut into, the end of a turn and the padding first;
    `named` those it must know by a name, `drawn` those that stand for (a part of) an image or a video. An image of
    64 x 64 pixels takes `square` tokens. `needs` names a package without which the processor cannot be loaded.
    """

    name: str
    specials: tuple[str, ...]
    drawn: tuple[str, ...]
    square: int
    template: str
    processor: dict[str, Any]
    image_processor: Callable[[], Any]
    network: Callable[[Any], Any]
    named: dict[str, str] | None = None
    needs: str | None = None


def text_config(model_type: str, tokenizer: Any, **more: Any) -> dict[str, Any]:
    """A text decoder of two layers."""
    return {
        "model_type": model_type,
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": HIDDEN // HEAD_DIM,
        "num_key_value_heads": HIDDEN // HEAD_DIM,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": WINDOW,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
        **more,
    }


def vision_config(**more: Any) -> dict[str, Any]:
    """A vision tower of two layers."""
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": HIDDEN // HEAD_DIM,
        "patch_size": PATCH,
        **more,
    }


def _ids(tokenizer: Any, **names: str) -> dict[str, int]:
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


QWEN_IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
QWEN_SPECIALS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|box_start|>",
)


def qwen2_5_vl(tokenizer: Any) -> Any:
    """Window attention in the tower, positions of three axes."""
    axes = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}
    vision = {
        "depth": 2,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_heads": 2,
        "patch_size": PATCH,
        "out_hidden_size": HIDDEN,
        "window_size": 4 * PATCH,
        "fullatt_block_indexes": [1],
    }
    text = text_config("qwen2_5_vl_text", tokenizer, rope_parameters=axes)
    return hf.Qwen2_5_VLForConditionalGeneration(
        hf.Qwen2_5_VLConfig(
            tie_word_embeddings=False, text_config=text, vision_config=vision, **_ids(tokenizer, **QWEN_IDS)
        )
    )


def qwen3_vl(tokenizer: Any) -> Any:
    """Features of two depths of the tower, interleaved positions of three axes."""
    axes = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
    vision = {
        "depth": 2,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_heads": 2,
        "patch_size": PATCH,
        "out_hidden_size": HIDDEN,
        "deepstack_visual_indexes": [0],
        "num_position_embeddings": 64,
    }
    text = text_config("qwen3_vl_text", tokenizer, rope_parameters=axes)
    return hf.Qwen3VLForConditionalGeneration(
        hf.Qwen3VLConfig(
            tie_word_embeddings=False, text_config=text, vision_config=vision, **_ids(tokenizer, **QWEN_IDS)
        )
    )


def llava(tokenizer: Any) -> Any:
    """A CLIP tower in front of a Llama."""
    vision = vision_config(model_type="clip_vision_model", image_size=64, projection_dim=HIDDEN)
    config = hf.LlavaConfig(
        tie_word_embeddings=False,
        text_config=text_config("llama", tokenizer),
        vision_config=vision,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=16,
        **_ids(tokenizer, image_token_id="<image>"),
    )
    return hf.LlavaForConditionalGeneration(config)


def idefics3(tokenizer: Any) -> Any:
    """Idefics3, which cuts a large image into tiles."""
    config = hf.Idefics3Config(
        tie_word_embeddings=False,
        text_config=text_config("llama", tokenizer),
        vision_config=vision_config(image_size=64),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        **_ids(tokenizer, image_token_id="<image>"),
    )
    return hf.Idefics3ForConditionalGeneration(config)


def smolvlm(tokenizer: Any) -> Any:
    """As Idefics3."""
    config = hf.SmolVLMConfig(
        tie_word_embeddings=False,
        text_config=text_config("llama", tokenizer),
        vision_config=vision_config(model_type="smolvlm_vision", image_size=64),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        **_ids(tokenizer, image_token_id="<image>"),
    )
    return hf.SmolVLMForConditionalGeneration(config)


def internvl(tokenizer: Any) -> Any:
    """InternViT in front of a Qwen 2."""
    config = hf.InternVLConfig(
        tie_word_embeddings=False,
        text_config=text_config("qwen2", tokenizer),
        vision_config=vision_config(model_type="internvl_vision", image_size=[64, 64], patch_size=[PATCH, PATCH]),
        image_seq_length=4,
        downsample_ratio=0.5,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        **_ids(tokenizer, image_token_id="<IMG_CONTEXT>"),
    )
    return hf.InternVLForConditionalGeneration(config)


def gemma3(tokenizer: Any) -> Any:
    """SigLIP in front of a decoder with one layer of sliding and one of full attention."""
    layers = ["sliding_attention", "full_attention"]
    config = hf.Gemma3Config(
        tie_word_embeddings=False,
        text_config=text_config("gemma3_text", tokenizer, layer_types=layers, sliding_window=64),
        vision_config=vision_config(model_type="siglip_vision_model", image_size=64, vision_use_head=False),
        mm_tokens_per_image=4,
        **_ids(
            tokenizer,
            boi_token_index="<start_of_image>",
            eoi_token_index="<end_of_image>",
            image_token_id="<image_soft_token>",
        ),
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    # A fresh one is zero: the model would be blind.
    model.model.multi_modal_projector.mm_input_projection_weight.data.normal_(std=0.02)
    return model


def qwen_images() -> Any:
    """From 4 to 36 tokens an image, each of 32 x 32 pixels."""
    pixels = (2 * PATCH) ** 2
    return hf.Qwen2VLImageProcessorPil(
        patch_size=PATCH, merge_size=2, size={"shortest_edge": 4 * pixels, "longest_edge": 36 * pixels}
    )


def idefics_images(kind: str) -> Callable[[], Any]:
    """Tiles of 64 x 64 pixels, at most 2 x 2 of them."""
    sizes = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 64}}
    return lambda: getattr(hf, kind)(**sizes, do_image_splitting=True)


TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4))
IDEFICS_DRAWN = ("<image>", "<fake_token_around_image>", "<global-img>", *TILES)
IDEFICS_SPECIALS = ("<end_of_utterance>", "<pad>", *IDEFICS_DRAWN)
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
QWEN_DRAWN = tuple(token for token in QWEN_SPECIALS if "vision" in token or "image" in token or "video" in token)

FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="qwen2_5_vl",
            specials=QWEN_SPECIALS,
            square=4,
            drawn=QWEN_DRAWN,
            template=chatml(QWEN_IMAGE),
            processor={"processor_class": "Qwen2_5_VLProcessor"},
            image_processor=qwen_images,
            network=qwen2_5_vl,
        ),
        Family(
            name="qwen3_vl",
            specials=QWEN_SPECIALS,
            square=4,
            drawn=QWEN_DRAWN,
            template=chatml(QWEN_IMAGE, thinks=True),
            processor={"processor_class": "Qwen3VLProcessor"},
            image_processor=qwen_images,
            network=qwen3_vl,
        ),
        Family(
            name="llava",
            specials=("</s>", "<pad>", "<s>", "<image>"),
            square=16,
            drawn=("<image>",),
            template=spoken("<image>\\n", "</s>", "{{- bos_token -}}"),
            processor={
                "processor_class": "LlavaProcessor",
                "patch_size": PATCH,
                "vision_feature_select_strategy": "default",
                "num_additional_image_tokens": 1,
            },
            image_processor=lambda: hf.CLIPImageProcessorPil(
                size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}
            ),
            network=llava,
            named={"bos_token": "<s>"},
        ),
        Family(
            name="idefics3",
            specials=IDEFICS_SPECIALS,
            square=20,
            drawn=IDEFICS_DRAWN,
            template=spoken("<image>", "<end_of_utterance>\\n"),
            processor={"processor_class": "Idefics3Processor", "image_seq_len": 4},
            image_processor=idefics_images("Idefics3ImageProcessorPil"),
            network=idefics3,
        ),
        Family(
            name="smolvlm",
            specials=IDEFICS_SPECIALS,
            square=20,
            drawn=IDEFICS_DRAWN,
            template=spoken("<image>", "<end_of_utterance>\\n"),
            processor={"processor_class": "SmolVLMProcessor", "image_seq_len": 4},
            image_processor=idefics_images("SmolVLMImageProcessorPil"),
            network=smolvlm,
            needs="num2words",
        ),
        Family(
            name="internvl",
            specials=("<|im_end|>", "<|endoftext|>", "<|im_start|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
            square=4,
            drawn=("<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
            template=chatml("<IMG_CONTEXT>\\n"),
            processor={"processor_class": "InternVLProcessor", "image_seq_length": 4},
            image_processor=lambda: hf.GotOcr2ImageProcessorPil(
                size={"height": 64, "width": 64}, crop_to_patches=True, min_patches=1, max_patches=4
            ),
            network=internvl,
            named={
                "start_image_token": "<img>",
                "end_image_token": "</img>",
                "context_image_token": "<IMG_CONTEXT>",
                "video_token": "<video>",
            },
        ),
        Family(
            name="gemma3",
            specials=(
                "<end_of_turn>",
                "<pad>",
                "<bos>",
                "<start_of_turn>",
                "<start_of_image>",
                "<end_of_image>",
                "<image_soft_token>",
            ),
            square=4,
            drawn=("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
            template=gemma("<start_of_image>"),
            processor={"processor_class": "Gemma3Processor", "image_seq_length": 4},
            image_processor=lambda: hf.Gemma3ImageProcessorPil(size={"height": 64, "width": 64}),
            network=gemma3,
            named={
                "bos_token": "<bos>",
                "boi_token": "<start_of_image>",
                "eoi_token": "<end_of_image>",
                "image_token": "<image_soft_token>",
            },
        ),
    )
}


def build(family: Family, folder: Path) -> Path:
    """Write the checkpoint into `folder`; its random network is sharp, and often ends a completion."""
    tokenizer = build_tokenizer(family)
    torch.manual_seed(SEED)
    model = family.network(tokenizer)
    model.config.architectures = [type(model).__name__]
    # Sharper than a fresh network, so that its choices differ much in probability.
    model.get_output_embeddings().weight.data *= 20
    stops = [tokenizer.eos_token_id, *range(len(tokenizer) - 60, len(tokenizer), 6)]
    model.generation_config = hf.GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    family.image_processor().save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps(family.processor))
    (folder / "chat_template.jinja").write_text(family.template)
    return folder


def build_tokenizer(family: Family) -> Any:
    """Byte-level BPE with a few words; nothing is ever unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(family.specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = [f"Which number is shown here? Row {i} reads {i}. Answer: \\boxed{{{i}}}" for i in range(40)]
    tokenizer.train_from_iterator(corpus, trainer)
    end, pad, *others = family.specials
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=end,
        pad_token=pad,
        additional_special_tokens=others,
        clean_up_tokenization_spaces=False,
        extra_special_tokens=family.named or {},
    )
