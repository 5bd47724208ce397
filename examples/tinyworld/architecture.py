"""The parts of the base model before training: tokenizer, processor and an Idefics3 network of 1.2M parameters."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

IMAGE_SIDE = 64
PATCH = 16
NUM_PATCHES = (IMAGE_SIDE // PATCH) ** 2
TEXT_HIDDEN = 128
VISION_HIDDEN = 64
HEAD_DIM = 32  # the smallest that every inference engine supports
MAX_POSITIONS = 512
INIT_STD = 0.02

PAD, END_OF_TURN = "<pad>", "<end_of_utterance>"
FAKE_IMAGE, IMAGE, GLOBAL_IMAGE = "<fake_token_around_image>", "<image>", "<global-img>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL_TOKENS = [PAD, END_OF_TURN, FAKE_IMAGE, IMAGE, GLOBAL_IMAGE, *ROLES]

# Content is a string or a list of parts; `generation` marks what assistant-only losses train on.
CHAT_TEMPLATE = """\
{%- macro render(content) -%}
{%- if content is string -%}{{- content -}}{%- else -%}
{%- for part in content -%}
{%- if part['type'] == 'image' -%}<image>{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- render(message['content']) + '<end_of_utterance>' -}}{%- endgeneration -%}
{%- else -%}{{- render(message['content']) + '<end_of_utterance>' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"""


def build_tokenizer(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE: a frequent word is one token, a digit is always its own token, nothing is ever unknown."""
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r" ?\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        min_frequency=2,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=PAD,
        additional_special_tokens=[FAKE_IMAGE, IMAGE, GLOBAL_IMAGE, *ROLES],
        model_max_length=MAX_POSITIONS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Idefics3Processor:
    """One picture, no splitting: 64x64 pixels become 16 image tokens."""
    side = {"longest_edge": IMAGE_SIDE}
    image_processor = Idefics3ImageProcessorPil(size=side, max_image_size=side, do_image_splitting=False)
    return Idefics3Processor(image_processor, tokenizer, image_seq_len=NUM_PATCHES, chat_template=CHAT_TEMPLATE)


def build_config(tokenizer: PreTrainedTokenizerFast) -> Idefics3Config:
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_HIDDEN,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": TEXT_HIDDEN // HEAD_DIM,
        "num_key_value_heads": TEXT_HIDDEN // HEAD_DIM,
        "head_dim": HEAD_DIM,
        "initializer_range": INIT_STD,
        "max_position_embeddings": MAX_POSITIONS,
        "tie_word_embeddings": False,
        "pad_token_id": pad,
        "bos_token_id": None,
        "eos_token_id": end,
    }
    vision = {
        "hidden_size": VISION_HIDDEN,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": VISION_HIDDEN // HEAD_DIM,
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH,
    }
    return Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=1,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=pad,
        eos_token_id=end,
        tie_word_embeddings=False,
        dtype="float32",
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    """Untrained; seed torch before the call."""
    config = build_config(tokenizer)
    config.architectures = [Idefics3ForConditionalGeneration.__name__]
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, max_new_tokens=128
    )
    return model
