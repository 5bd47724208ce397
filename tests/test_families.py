"""Every family samples from prompts with no, one and three images, and never makes or meets a stray image token."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import GenerationConfig

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines.decoding import decode_plain
from anectl.engines.preflight import ProcessorPreflight
from anectl.engines.transformers_sampler import TransformersSampler
from tests.conftest import Cli, write_rows
from tests.families import FAMILIES, WINDOW, Family, build

GREEDY = SamplingParams(temperature=0, top_p=1, max_tokens=16)
WARM = SamplingParams(temperature=1.0, top_p=0.95, max_tokens=16)
# Wide, tall, square and as small as any family takes.
SIZES = ((100, 70), (50, 130), (64, 64), (30, 30))

Checkpoint = tuple[Family, Path]


@pytest.fixture(scope="session", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    family = FAMILIES[request.param]
    if family.needs:
        pytest.importorskip(family.needs)
    return family, build(family, tmp_path_factory.mktemp(family.name))


@pytest.fixture(scope="session")
def sampler(checkpoint: Checkpoint) -> TransformersSampler:
    return TransformersSampler(str(checkpoint[1]), batch_size=8)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for number, size in enumerate(SIZES):
        place = folder / f"{number}.png"
        noise = random.Random(number).randbytes(size[0] * size[1] * 3)
        Image.frombytes("RGB", size, noise).save(place)
        found.append(ImageRef(place.name, str(place)))
    return tuple(found)


def ask(text: str, images: tuple[ImageRef, ...] = (), seeds: tuple[int, ...] = (1, 2)) -> PromptRequest:
    return PromptRequest(text, (Message(role="user", content=text),), images, seeds)


@pytest.fixture(scope="session")
def requests(pictures: tuple[ImageRef, ...]) -> list[PromptRequest]:
    """No, one, two and three images, with and without marks, and texts of different lengths."""
    return [
        ask("Which number?"),
        ask("Which number is shown here?", pictures[:1]),
        ask("Which?", pictures[:3]),
        ask("Is <image> as <image>? Answer.", pictures[2:]),
        ask("And what is 7 + 5? " * 3),
        ask("Row 7 reads?", pictures[1:2]),
        ask("Row 8 reads?", pictures[3:]),
    ]


def texts(draws: Iterator[tuple[Draw, ...]]) -> list[list[str]]:
    rows = list(draws)
    assert [draw.error for row in rows for draw in row if draw.error] == []
    return [[draw.text for draw in row] for row in rows]


def errors(draws: Iterator[tuple[Draw, ...]]) -> list[str | None]:
    return [row[0].error for row in draws]


def test_rollout_takes_no_one_and_three_images_in_one_file_and_refuses_bad_rows_alone(
    checkpoint: Checkpoint, pictures: tuple[ImageRef, ...], tmp_path: Path, anectl: Cli
) -> None:
    rows: list[dict[str, Any]] = []
    for number, count in enumerate((0, 1, 3, 0, 3, 1, 1, 0)):
        images = [image.location for image in pictures[:count]]
        row = {"id": f"p{number}", "question": f"Which number{' is shown' * number}?", "answer": "7", "images": images}
        rows.append({**row, "answer_type": "number"})
    token = checkpoint[0].drawn[0]
    stray = rows[1] | {"id": "stray", "question": f"What is {token} to {token}?"}
    cut = rows[2] | {"id": "cut", "question": "7 " * WINDOW}
    rows[3:3] = [stray, cut]
    problems = write_rows(tmp_path / "p.jsonl", rows)
    say = ("--model", checkpoint[1], "--image-root", "/", "--max-tokens", 8)
    found = {}
    for batch_size in (1, 3, 8):
        done = anectl("rollout", problems, *say, "-n", 2, "--seed", 5, "--batch-size", batch_size)
        lines = list(map(json.loads, done.stdout.splitlines()))
        assert [line["problem"]["id"] for line in lines] == [row["id"] for row in rows]
        drawn = {line["problem"]["id"]: line["completions"] for line in lines}
        assert all(token in one["error"] for one in drawn.pop("stray"))
        assert all("does not fit" in one["error"] for one in drawn.pop("cut"))
        assert [one for row in drawn.values() for one in row if one.get("error")] == []
        found[batch_size] = [one["text"] for row in drawn.values() for one in row]
    assert found[1] == found[3] == found[8]
    assert len(set(found[1])) > 6


def test_a_batch_gives_greedily_what_the_familys_own_generate_gives_alone(
    sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    alone = []
    for one in requests:
        inputs = sampler._encoder.encode([one]).inputs
        banned = [[token] for token in sampler._banned]
        config = GenerationConfig(
            do_sample=False, max_new_tokens=16, eos_token_id=sampler._stops, pad_token_id=0, bad_words_ids=banned
        )
        ids = sampler.model.generate(**inputs, generation_config=config)[0, inputs["input_ids"].shape[1] :].tolist()
        ids = ids[:-1] if ids[-1] in sampler._stops else ids
        alone.append([sampler.processor.tokenizer.decode(ids, skip_special_tokens=True)] * 2)
    assert texts(sampler.sample(requests, GREEDY)) == alone
    assert len({group[0] for group in alone}) > 2


def test_neighbours_order_and_the_way_of_decoding_do_not_change_what_is_drawn(
    sampler: TransformersSampler, requests: list[PromptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = texts(sampler.sample(requests, WARM))
    assert [texts(sampler.sample([one], WARM))[0] for one in requests] == drawn
    assert texts(sampler.sample(requests[::-1], WARM))[::-1] == drawn
    monkeypatch.setattr(sampler, "_decode", decode_plain)
    assert texts(sampler.sample(requests, WARM)) == drawn


def test_images_and_their_order_reach_the_model(sampler: TransformersSampler, pictures: tuple[ImageRef, ...]) -> None:
    orders = [pictures[:2], pictures[1::-1], (pictures[0], pictures[0])]
    pairs = [(ask("Which?", images), "7 reads here") for images in orders]
    assert len({round(value, 6) for value in sampler.mean_nll(pairs)}) == 3


def test_completions_are_scored_alike_alone_and_together(
    sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    pairs = [(one, "Answer: " + "7 " * number) for number, one in enumerate(requests)]
    alone = [sampler.mean_nll([pair])[0] for pair in pairs]
    assert sampler.mean_nll(pairs) == pytest.approx(alone, abs=1e-4)


def test_the_likeliest_token_is_not_drawn_where_it_stands_for_an_image(
    checkpoint: Checkpoint, sampler: TransformersSampler, requests: list[PromptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = sampler.processor.tokenizer
    drawn = tokenizer.convert_tokens_to_ids(list(checkpoint[0].drawn))
    assert set(drawn) <= set(sampler._banned)
    seen: list[torch.Tensor] = []

    def toward_images(module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(-1, torch.tensor(drawn), 1e4)

    decode = sampler._decode
    monkeypatch.setattr(sampler, "_decode", lambda *given: seen.append(decode(*given)) or seen[-1])
    hook = sampler.model.get_output_embeddings().register_forward_hook(toward_images)
    try:
        for params in (GREEDY, WARM):
            found = texts(sampler.sample(requests, params))
            assert not any(token in text for row in found for text in row for token in checkpoint[0].drawn)
    finally:
        hook.remove()
    assert seen
    assert not any(torch.isin(tokens, torch.tensor(drawn)).any() for tokens in seen)


def test_a_text_that_spells_an_image_token_is_refused_alone(
    checkpoint: Checkpoint, sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    clean = texts(sampler.sample(requests[1:3], WARM))
    for token in checkpoint[0].drawn:
        bad = [ask(f"What is {token}?"), ask(f"{token} here, what is {token}?", requests[1].images)]
        first, second, *others = sampler.sample([*bad, *requests[1:3]], WARM)
        for draw in (*first, *second):
            assert draw.finish_reason == "error"
            assert token in str(draw.error)
        assert [[draw.text for draw in row] for row in others] == clean


def test_marks_must_be_as_many_as_images(sampler: TransformersSampler, pictures: tuple[ImageRef, ...]) -> None:
    wrong = [ask("<image> or <image>?", pictures[:1]), ask("<image>?"), ask("<image>?", pictures[:3])]
    for error in errors(sampler.sample(wrong, GREEDY)):
        assert "<image>" in str(error)
        assert "images" in str(error)


def test_a_prompt_is_whole_or_refused(
    sampler: TransformersSampler, pictures: tuple[ImageRef, ...], requests: list[PromptRequest]
) -> None:
    many = ask("Which?", pictures[2:3] * (WINDOW // 4))
    long = ask("7 " * WINDOW, pictures[:1])
    refused = errors(sampler.sample([many, long, requests[1]], GREEDY))
    assert "does not fit" in str(refused[0])
    assert "does not fit" in str(refused[1])
    assert refused[2] is None


def test_preflight_counts_image_tokens_without_the_weights(
    checkpoint: Checkpoint, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    bare = shutil.copytree(checkpoint[1], tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    preflight = ProcessorPreflight(str(bare))
    assert preflight.window == WINDOW
    for count in (0, 1, 3):
        assert preflight.measure(ask("Which?", pictures[2:3] * count)).image_tokens == count * checkpoint[0].square


def test_a_processor_that_is_saved_is_found_again(
    checkpoint: Checkpoint, sampler: TransformersSampler, requests: list[PromptRequest], tmp_path: Path
) -> None:
    processor = copy.deepcopy(sampler.processor)
    processor.save_pretrained(tmp_path)
    shutil.copy(checkpoint[1] / "config.json", tmp_path)
    settings = json.loads((tmp_path / "processor_config.json").read_text())
    assert settings["processor_class"] == checkpoint[0].processor["processor_class"]
    again, before = ProcessorPreflight(str(tmp_path)), ProcessorPreflight(str(checkpoint[1]))
    assert [again.measure(one) for one in requests] == [before.measure(one) for one in requests]


def test_preflight_and_engine_agree_on_every_prompt(
    checkpoint: Checkpoint, sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    preflight = ProcessorPreflight(str(checkpoint[1]))
    for one in requests:
        inputs = sampler._encoder.encode([one]).inputs
        assert preflight.measure(one).prompt_tokens == inputs["input_ids"].shape[1]


def test_a_system_turn_is_part_of_the_prompt(sampler: TransformersSampler, requests: list[PromptRequest]) -> None:
    told = [
        PromptRequest(one.key, (Message(role="system", content="Answer 7."), *one.messages), one.images, one.seeds)
        for one in requests
    ]
    bare, systematic = (sampler._encoder.encode(group[1:3]).inputs["input_ids"] for group in (requests, told))
    assert systematic.shape[1] > bare.shape[1]
    assert "Answer 7." in sampler.processor.tokenizer.decode(systematic[0])
    texts(sampler.sample(told, WARM))


def test_bfloat16_samples_too(checkpoint: Checkpoint, requests: list[PromptRequest]) -> None:
    half = TransformersSampler(str(checkpoint[1]), dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    texts(half.sample(requests, WARM))


def test_thinking_is_switched_by_a_variable_of_the_template(
    checkpoint: Checkpoint, requests: list[PromptRequest]
) -> None:
    model = str(checkpoint[1])
    if "enable_thinking" not in checkpoint[0].template:
        with pytest.raises(AnectlError, match="reads no 'enable_thinking'"):
            TransformersSampler(model, chat_template_kwargs={"enable_thinking": False})
        return
    asked = {}
    for thinking in (True, False):
        sampler = TransformersSampler(model, chat_template_kwargs={"enable_thinking": thinking})
        ids = sampler._encoder.encode(requests[1:2]).inputs["input_ids"][0]
        asked[thinking] = sampler.processor.tokenizer.decode(ids)
        texts(sampler.sample(requests, WARM))
    assert asked[False] == asked[True] + "<think>\n\n</think>\n\n"


def test_a_text_that_ends_its_own_turn_is_refused(sampler: TransformersSampler) -> None:
    end = sampler.processor.tokenizer.eos_token
    assert end in str(errors(sampler.sample([ask(f"What does {end} mean?")], GREEDY))[0])


def test_a_completion_that_spells_an_image_token_is_scored_as_its_letters(
    checkpoint: Checkpoint, sampler: TransformersSampler, requests: list[PromptRequest]
) -> None:
    spelled = f"It is {checkpoint[0].drawn[0]}."
    losses = sampler.mean_nll([(requests[1], spelled), (requests[2], "It is 7.")])
    assert losses[0] == pytest.approx(sampler.mean_nll([(requests[1], spelled)])[0], abs=1e-4)


def test_a_template_that_leaves_images_out_is_refused(
    sampler: TransformersSampler, requests: list[PromptRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    monkeypatch.setattr(sampler.processor, "chat_template", blind)
    assert "places 0 images of 3" in str(errors(sampler.sample(requests[2:3], GREEDY))[0])


def test_a_template_with_marks_for_training_has_no_such_variable(tiny_model: Path) -> None:
    with pytest.raises(AnectlError, match="reads no 'enable_thinking'"):
        TransformersSampler(str(tiny_model), chat_template_kwargs={"enable_thinking": False})
