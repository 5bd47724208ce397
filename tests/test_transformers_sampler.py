"""The transformers engine: batches, seeds, shared prompts, refused prompts, broken checkpoints."""

from __future__ import annotations

import json
import math
import resource
import shutil
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2_5_VLConfig,
)

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines import decoding
from anectl.engines.checkpoints import load_vlm, vision_token_ids
from anectl.engines.decoding import decode_plain, decode_shared
from anectl.engines.seeded_sampling import SeededSampling, negative_exponentials, nucleus
from anectl.engines.transformers_sampler import TransformersSampler
from tests.conftest import problem_rows

GREEDY = SamplingParams(temperature=0, top_p=1, max_tokens=24)
WARM = SamplingParams(temperature=1.0, top_p=0.95, max_tokens=24)

Draws = list[tuple[Draw, ...]]


@pytest.fixture(scope="module")
def sampler(tiny_model: Path) -> TransformersSampler:
    return TransformersSampler(str(tiny_model), batch_size=4)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[PromptRequest]:
    """Ten prompts of different lengths with one, two or no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for number, row in enumerate(problem_rows(folder, 10)):
        images = tuple(ImageRef(name, str(folder / name)) for name in row["images"] * (0, 1, 1, 2)[number % 4])
        made.append(request(row["question"], images, seeds=(number, 100 + number, 200 + number)))
    return made


def request(text: str, images: tuple[ImageRef, ...], seeds: tuple[int, ...] = (1,), prefix: str = "") -> PromptRequest:
    return PromptRequest(text, (Message(role="user", content=text),), images, seeds, prefix)


def texts(draws: Draws) -> list[list[str]]:
    return [[draw.text for draw in group] for group in draws]


def assert_same(left: Draws, right: Draws) -> None:
    assert texts(left) == texts(right)
    for one, other in zip(sum(left, ()), sum(right, ()), strict=True):
        assert (one.finish_reason, one.num_tokens) == (other.finish_reason, other.num_tokens)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


def choose(logits: list[float], params: SamplingParams, seeds: range, banned: tuple[int, ...] = ()) -> list[int]:
    budgets = torch.ones(len(seeds), dtype=torch.long)
    sampling = SeededSampling(list(seeds), params, banned=banned, stops=[0], budgets=budgets)
    return sampling.choose(torch.tensor([logits]).expand(len(seeds), -1)).tolist()


def test_choices_over_seeds_are_distributed_as_the_softmax() -> None:
    logits = [0.5, -1.0, 2.0, 0.0, 1.0]
    n = 4000
    counts = Counter(choose(logits, SamplingParams(0.8, 1.0, 1), range(n)))
    expected = (torch.tensor(logits) / 0.8).softmax(dim=0) * n
    chi_square = sum((counts[token] - wanted) ** 2 / wanted for token, wanted in enumerate(expected.tolist()))
    assert chi_square < 18.5  # 99.9% of chi-square with 4 degrees of freedom


def test_top_p_leaves_out_the_tail_and_bans_hold_even_for_the_likeliest_token() -> None:
    logits = [5.0, 4.0, 3.0, -2.0]
    assert set(choose(logits, SamplingParams(1.0, 0.9, 1), range(500))) == {0, 1}
    assert set(choose(logits, SamplingParams(1.0, 0.9, 1), range(500), banned=(0,))) == {1, 2}
    assert choose(logits, SamplingParams(0, 1.0, 1), range(2), banned=(0,)) == [1, 1]


def test_noise_is_exponential_and_its_own_for_each_seed_step_and_token() -> None:
    seeds, size = torch.arange(500), 1000
    noise = -negative_exponentials(seeds, 0, size).double()
    assert noise.min() > 0
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(1, abs=0.01)
    assert noise.var().item() == pytest.approx(1, abs=0.02)
    later = -negative_exponentials(seeds, 1, size).double()
    for other, own in ((later, noise), (noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
        assert torch.corrcoef(torch.stack([own.flatten(), other.flatten()]))[0, 1].abs() < 0.007
    # A change of these changes every completion that is drawn with the same settings.
    few = negative_exponentials(torch.tensor([0, -5]), 7, 2).flatten().tolist()
    assert few == pytest.approx([-0.305285, -5.886198, -0.178788, -0.365537], rel=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=12), st.floats(0.05, 0.99))
def test_nucleus_is_the_smallest_set_of_enough_probability(logits: list[float], top_p: float) -> None:
    shares = torch.tensor(logits, dtype=torch.float64).softmax(dim=0)
    kept = torch.isfinite(nucleus(torch.tensor([logits], dtype=torch.float64), top_p))[0]
    assert shares[kept].max() == shares.max()
    assert shares[kept].sum() >= top_p - 1e-9
    assert shares[kept].sum() - shares[kept].min() < top_p + 1e-9


def test_logprob_and_stop_are_counted_up_to_the_end_of_each_completion() -> None:
    params = SamplingParams(0, 1.0, 3)
    sampling = SeededSampling([1, 2], params, banned=[], stops=[0], budgets=torch.tensor([3, 2]))
    ends_first = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    for _ in range(3):
        sampling.choose(ends_first)
    assert sampling.num_tokens.tolist() == [1, 2]
    assert sampling.stopped.tolist() == [True, False]
    each = -math.log1p(math.exp(-9))
    assert sampling.logprob.tolist() == pytest.approx([each, 2 * each], rel=1e-2)


def test_greedy_equals_plain_generation_one_by_one(
    sampler: TransformersSampler, requests: list[PromptRequest], tiny_model: Path
) -> None:
    model, processor = load_vlm(str(tiny_model), "float32")
    stops = model.generation_config.eos_token_id
    alone = []
    for one in requests:
        parts = [*({"type": "image"} for _ in one.images), {"type": "text", "text": one.messages[0].content}]
        text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        pictures = {"images": [[image.open() for image in one.images]]} if one.images else {}
        inputs = processor(text=[text], **pictures, return_tensors="pt")
        banned = [[token] for token in vision_token_ids(model, processor)]
        config = GenerationConfig(do_sample=False, max_new_tokens=24, eos_token_id=stops, bad_words_ids=banned)
        ids = model.generate(**inputs, generation_config=config)[0, inputs["input_ids"].shape[1] :].tolist()
        ids = ids[:-1] if ids[-1] in stops else ids
        alone.append([processor.tokenizer.decode(ids, skip_special_tokens=True)] * 3)
    assert texts(list(sampler.sample(requests, GREEDY))) == alone
    assert len({group[0] for group in alone}) > 5


def test_batch_size_order_and_neighbours_do_not_change_what_is_drawn(
    tiny_model: Path, sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    drawn = list(sampler.sample(requests, WARM))
    assert {draw.finish_reason for group in drawn for draw in group} == {"stop", "length"}
    assert len({text for group in texts(drawn) for text in group}) > 20
    for batch_size in (1, 7):
        other = TransformersSampler(str(tiny_model), batch_size=batch_size)
        assert_same(list(other.sample(requests, WARM)), drawn)
    assert_same(list(sampler.sample(requests[::-1], WARM))[::-1], drawn)
    second = request(requests[1].key, requests[1].images, seeds=requests[1].seeds[2:])
    assert_same(list(sampler.sample([second], WARM)), [drawn[1][2:]])


def test_shared_prompts_give_what_plain_generation_gives(
    sampler: TransformersSampler, requests: list[PromptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sampler._decode is decode_shared
    shared = list(sampler.sample(requests, WARM))
    monkeypatch.setattr(sampler, "_decode", decode_plain)
    assert_same(list(sampler.sample(requests, WARM)), shared)


def test_rows_that_leave_the_batch_do_not_change_the_others(
    sampler: TransformersSampler, requests: list[PromptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    for below in (0.0, 0.9, 2.0):  # never, as usual, at every step
        monkeypatch.setattr(decoding, "COMPACT_BELOW", below)
        drawn.append(list(sampler.sample(requests, WARM)))
    assert_same(drawn[0], drawn[1])
    assert_same(drawn[2], drawn[1])


def test_prompts_of_other_lengths_and_numbers_of_samples_share_a_block(
    tiny_model: Path, sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    mixed = [replace(one, seeds=one.seeds[: number % 4]) for number, one in enumerate(requests)]
    whole = TransformersSampler(str(tiny_model), batch_size=len(mixed))
    drawn = list(whole.sample(mixed, WARM))
    assert [len(group) for group in drawn] == [number % 4 for number in range(len(mixed))]
    every = list(sampler.sample(requests, WARM))
    assert_same(drawn, [group[: number % 4] for number, group in enumerate(every)])


def small_model(tiny_model: Path, **text: Any) -> Any:
    """An untrained network as the fixture's, with another text decoder."""
    config = AutoConfig.from_pretrained(tiny_model)
    for name, value in text.items():
        setattr(config.text_config, name, value)
    torch.manual_seed(3)
    return AutoModelForImageTextToText.from_config(config).eval()


def test_heads_that_share_keys_attend_as_in_plain_generation(tiny_model: Path) -> None:
    model = small_model(tiny_model, num_key_value_heads=2)
    assert decoding.decoder_for(model) is decode_shared
    ids = torch.randint(30, 200, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    found = []
    for decode in (decode_shared, decode_plain):
        sampling = SeededSampling(
            range(12), SamplingParams(1, 1, 20), banned=[3], stops=[1], budgets=torch.full((12,), 20)
        )
        tokens = decode(model, [({"input_ids": ids, "attention_mask": mask}, 4)], sampling, 20)
        counts = sampling.num_tokens.tolist()
        found.append([row[:count] for row, count in zip(tokens.tolist(), counts, strict=True)])
    assert found[0] == found[1]


def test_attention_of_another_kind_is_left_to_the_family(tiny_model: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_model)
    text = MistralConfig(**{**config.text_config.to_dict(), "model_type": "mistral", "sliding_window": 4})
    config.text_config = text
    assert decoding.decoder_for(AutoModelForImageTextToText.from_config(config).eval()) is decode_plain


def halvings_under_a_limit(checkpoint: str, requests: list[PromptRequest], params: SamplingParams) -> tuple[int, Draws]:
    """Draw with 48 MiB of address space to spare; the drawings and how often a block was halved."""
    sampler = TransformersSampler(checkpoint, batch_size=len(requests))
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 48 * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    drawn = list(sampler.sample(requests, params))
    return sampler.num_halvings, drawn


def test_where_memory_runs_out_the_block_is_drawn_in_parts(tiny_model: Path, requests: list[PromptRequest]) -> None:
    many = [replace(one, seeds=tuple(range(300 * number, 300 * number + 300))) for number, one in enumerate(requests)]
    params = SamplingParams(1.0, 1.0, 4)
    # A process of its own: memory that earlier tests freed would be used before the limit is met.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        halvings, drawn = fresh.submit(halvings_under_a_limit, str(tiny_model), many, params).result()
    assert halvings > 0
    sampler = TransformersSampler(str(tiny_model), batch_size=len(many))
    assert_same(list(sampler.sample(many, params)), drawn)
    assert sampler.num_halvings == 0


def test_no_completion_holds_a_vision_token(sampler: TransformersSampler, requests: list[PromptRequest]) -> None:
    hot = SamplingParams(temperature=50.0, top_p=1.0, max_tokens=60)
    vision = sampler.processor.tokenizer.convert_ids_to_tokens(vision_token_ids(sampler.model, sampler.processor))
    assert set(vision) == {"<image>", "<fake_token_around_image>", "<global-img>"}
    sampled: list[int] = []
    for one in requests:
        inputs = sampler._encoder.encode([one]).inputs
        budgets = torch.full((3,), 60)
        sampling = SeededSampling(one.seeds, hot, banned=sampler._banned, stops=[1], budgets=budgets)
        sampled += decode_shared(sampler.model, [(inputs, 3)], sampling, 60).flatten().tolist()
    assert not set(sampled) & set(sampler._banned)


def test_a_prompt_that_spells_an_image_token_fails_alone(
    sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    clean = list(sampler.sample(requests[:4], WARM))
    one = requests[1].images
    for text in ("what <image> is <image> this?", "what is <fake_token_around_image>?"):
        bad = request(text, one, seeds=(5, 6, 7))
        drawn = list(sampler.sample([requests[0], bad, *requests[1:4]], WARM))
        assert [draw.finish_reason for draw in drawn[1]] == ["error"] * 3
        assert "<" in str(drawn[1][0].error)
        assert drawn[1][0].num_tokens == 0
        assert_same([drawn[0], *drawn[2:]], clean)


def test_images_go_where_the_text_says(sampler: TransformersSampler, requests: list[PromptRequest]) -> None:
    image = requests[1].images
    front, marked, middle = (
        sampler._encoder.encode([request(text, image)]).inputs["input_ids"].tolist()
        for text in ("Look: here.", "<image>Look: here.", "Look:<image> here.")
    )
    assert front == marked
    assert front != middle
    assert sorted(front[0]) == sorted(middle[0])


def test_an_image_that_is_gone_or_torn_fails_alone(
    sampler: TransformersSampler, requests: list[PromptRequest], tmp_path: Path
) -> None:
    clean = list(sampler.sample(requests[:4], WARM))
    torn = tmp_path / "torn.png"
    torn.write_bytes(Path(requests[1].images[0].location).read_bytes()[:-30])
    bad = [request("?", (ImageRef(path.name, str(path)),)) for path in (torn, tmp_path / "gone.png")]
    drawn = list(sampler.sample([requests[0], *bad, *requests[1:4]], WARM))
    assert "torn.png" in str(drawn[1][0].error)
    assert "gone.png" in str(drawn[2][0].error)
    assert_same([drawn[0], *drawn[3:]], clean)


def test_prompts_and_completions_stay_within_the_context(sampler: TransformersSampler) -> None:
    long, near = request("7 " * 600, ()), request("7 " * 250, ())
    (too_long,), (short,), (end,) = sampler.sample([long, request("?", ()), near], SamplingParams(0, 1.0, 400))
    assert too_long.finish_reason == "error"
    assert "context" in str(too_long.error)
    assert short.error is None
    prompt = sampler._encoder.encode([near]).inputs["attention_mask"].sum().item()
    assert end.num_tokens <= 512 - prompt


def test_a_prefix_continues_the_turn_of_the_assistant(sampler: TransformersSampler) -> None:
    bare = sampler._encoder.encode([request("Which?", ())]).inputs["input_ids"][0].tolist()
    begun = sampler._encoder.encode([request("Which?", (), prefix="Row 1 reads")]).inputs["input_ids"][0].tolist()
    assert begun[: len(bare)] == bare
    assert sampler.processor.tokenizer.decode(begun[len(bare) :]) == "Row 1 reads"


def forced_logprob(sampler: TransformersSampler, one: PromptRequest, ids: list[int]) -> float:
    """Sum of the log-probabilities of given tokens after a prompt, by one plain pass without padding."""
    inputs = sampler._encoder.encode([one]).inputs
    whole = torch.cat([inputs["input_ids"], torch.tensor([ids])], dim=1)
    with torch.inference_mode():
        logits = sampler.model(**inputs | {"input_ids": whole, "attention_mask": torch.ones_like(whole)}).logits[0]
    shares = logits[-len(ids) - 1 : -1].log_softmax(dim=-1)
    return float(shares[range(len(ids)), ids].sum())


def test_logprob_is_that_of_the_whole_completion_under_the_policy(
    sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    hot = SamplingParams(temperature=1.5, top_p=0.9, max_tokens=24)
    for one in requests[:4]:
        inputs = sampler._encoder.encode([one]).inputs
        budgets = torch.full((3,), 24)
        sampling = SeededSampling(one.seeds, hot, banned=sampler._banned, stops=sampler._stops, budgets=budgets)
        tokens = decode_shared(sampler.model, [(inputs, 3)], sampling, 24).tolist()
        counts, logprobs = sampling.num_tokens.tolist(), sampling.logprob.tolist()
        for ids, count, logprob in zip(tokens, counts, logprobs, strict=True):
            assert logprob == pytest.approx(forced_logprob(sampler, one, ids[:count]), abs=1e-3)


def test_mean_nll_is_per_token_of_the_completion_and_its_end(
    sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    completions = ["Answer: 3", "Row 1 reads 1 2.", "", "No."]
    pairs = [(one, completions[number % 4]) for number, one in enumerate(requests)]
    tokenizer = sampler.processor.tokenizer
    expected = []
    for one, text in pairs:
        ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        expected.append(-forced_logprob(sampler, one, ids) / len(ids))
    assert sampler.mean_nll(pairs) == pytest.approx(expected, abs=1e-4)
    bad = request("<fake_token_around_image>", ())
    assert "image token" in str(sampler.mean_nll([(bad, "x")])[0])
    scored = sampler.mean_nll([pairs[0], (bad, "x"), pairs[1]])
    assert [scored[0], scored[2]] == pytest.approx(expected[:2], abs=1e-4)
    assert isinstance(scored[1], str)


def test_scoring_goes_on_in_halves_where_memory_runs_out(
    sampler: TransformersSampler, requests: list[PromptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [(one, "Answer: 3") for one in requests]
    expected = sampler.mean_nll(pairs)
    forward = sampler.model.forward

    def small(*arguments: Any, **inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*arguments, **inputs)

    with monkeypatch.context() as patch:
        patch.setattr(sampler.model, "forward", small)
        assert sampler.mean_nll(pairs) == pytest.approx(expected, abs=1e-4)
        patch.setattr(sampler.model, "forward", lambda **inputs: small(input_ids=[1, 2]))
        with pytest.raises(AnectlError, match="not enough memory to score"):
            sampler.mean_nll(pairs[:1])


def test_bfloat16_samples_too(tiny_model: Path, requests: list[PromptRequest]) -> None:
    half = TransformersSampler(str(tiny_model), dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    assert all(draw.error is None for group in half.sample(requests[:4], WARM) for draw in group)


def test_an_adapter_folder_is_its_base_with_the_adapter(
    tiny_model: Path, tmp_path: Path, requests: list[PromptRequest]
) -> None:
    from peft import LoraConfig, get_peft_model

    model, _ = load_vlm(str(tiny_model), "float32")
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    adapted = get_peft_model(model, config)
    adapted.save_pretrained(tmp_path / "adapter")
    loaded, _ = load_vlm(str(tmp_path / "adapter"), "float32")
    merged = adapted.merge_and_unload().state_dict()
    assert all(torch.allclose(value, merged[name], atol=1e-6) for name, value in loaded.state_dict().items())
    trainable, _ = load_vlm(str(tmp_path / "adapter"), "float32", trainable=True)
    assert any("lora" in name and weight.requires_grad for name, weight in trainable.named_parameters())


def broken_checkpoint(tiny_model: Path, folder: Path, fault: str) -> str:
    """A copy of the checkpoint with one thing wrong with it."""
    if fault == "no folder":
        return str(folder / "nowhere")
    shutil.copytree(tiny_model, folder, dirs_exist_ok=True)
    weights = folder / "model.safetensors"
    if fault == "torn weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif fault == "no weights":
        weights.unlink()
    elif fault == "no processor":
        (folder / "processor_config.json").unlink()
    elif fault == "no configuration":
        (folder / "config.json").unlink()
    elif fault == "missing layer":
        config = json.loads((folder / "config.json").read_text())
        config["text_config"]["num_hidden_layers"] += 1
        (folder / "config.json").write_text(json.dumps(config))
    elif fault == "text model":
        shutil.rmtree(folder)
        tiny = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        LlamaForCausalLM(tiny).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no folder", "no checkpoint folder"),
        ("no configuration", "no checkpoint that can be loaded"),
        ("no weights", "no weights"),
        ("torn weights", "torn"),
        ("missing layer", "incomplete"),
        ("no processor", "processor"),
        ("text model", "not a vision-language model"),
    ],
)
def test_a_broken_checkpoint_is_the_users_error(tiny_model: Path, tmp_path: Path, fault: str, words: str) -> None:
    with pytest.raises(AnectlError, match=words) as caught:
        load_vlm(broken_checkpoint(tiny_model, tmp_path / "model", fault), "auto")
    assert caught.value.hint


def test_vision_tokens_are_found_in_other_families(tiny_model: Path) -> None:
    tokenizer = AutoProcessor.from_pretrained(tiny_model).tokenizer
    names = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|box_start|>", "[IMG_END]"]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    ids = dict(zip(names, tokenizer.convert_tokens_to_ids(names), strict=True))
    config = Qwen2_5_VLConfig(image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"])
    model = SimpleNamespace(config=config, generation_config=GenerationConfig(eos_token_id=1))
    found = vision_token_ids(model, SimpleNamespace(tokenizer=tokenizer))
    assert {ids[name] for name in names if name != "<|box_start|>"} <= set(found)
    assert ids["<|box_start|>"] not in found
    assert 1 not in found
