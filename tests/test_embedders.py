"""Embedders: text, image and joint vectors by the policy and by sentence-transformers models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.protocols import EmbedItem
from anectl.core.views import shown
from anectl.engines import load_embedder
from anectl.engines.policy_embedder import PolicyEmbedder
from tests.conftest import problem_rows


@pytest.fixture(scope="module")
def embedder(tiny_model: Path) -> PolicyEmbedder:
    return PolicyEmbedder(str(tiny_model), batch_size=4)


def test_the_policy_embeds_image_and_text_alike_in_any_batch(embedder: PolicyEmbedder, tmp_path: Path) -> None:
    rows = problem_rows(tmp_path, 6)
    pictures = [ImageRef(row["images"][0], str(tmp_path / row["images"][0])) for row in rows]
    items = [EmbedItem(row["question"], (picture,)) for row, picture in zip(rows, pictures, strict=True)]
    items += [EmbedItem("Which?"), EmbedItem("Which?", (pictures[0], pictures[1])), EmbedItem(rows[0]["question"])]
    vectors = embedder.embed(items)
    assert vectors.shape == (9, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for place, item in enumerate(items):
        np.testing.assert_allclose(embedder.embed([item])[0], vectors[place], atol=1e-5)
    assert np.abs(vectors[0] - vectors[8]).max() > 1e-3
    swapped = embedder.embed([EmbedItem(items[0].text, (pictures[5],))])[0]
    assert np.abs(vectors[0] - swapped).max() > 1e-4


def test_special_tokens_in_a_question_are_text(embedder: PolicyEmbedder, tmp_path: Path) -> None:
    picture = ImageRef("0.png", str(tmp_path / "0.png"))
    problem_rows(tmp_path, 1)
    texts = ["<image>", "<image><image>", "a <fake_token_around_image> b", "<pad><|assistant|>"]
    assert np.isfinite(embedder.embed([EmbedItem(text, (picture,)) for text in texts])).all()
    assert np.isfinite(embedder.embed([EmbedItem(text) for text in texts])).all()


def test_of_a_very_long_text_the_beginning_is_read(embedder: PolicyEmbedder) -> None:
    vectors = embedder.embed([EmbedItem("word " * 3000 + end) for end in ("one", "two")] + [EmbedItem("other " * 3000)])
    assert (vectors[0] == vectors[1]).all()
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-4


def test_the_name_of_an_embedder_tells_weights_apart(
    embedder: PolicyEmbedder, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    for folder, change in (("moved", 0.0), ("trained", 0.1)):
        with torch.no_grad():
            model.model.text_model.norm.weight += change
        model.save_pretrained(tmp_path / folder)
        AutoProcessor.from_pretrained(tiny_model).save_pretrained(tmp_path / folder)
    assert PolicyEmbedder(str(tmp_path / "moved")).name == embedder.name
    assert PolicyEmbedder(str(tmp_path / "trained")).name != embedder.name


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained CLIP that sentence-transformers loads from its folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

    letters = {word: number for number, word in enumerate(["<end>", *map(chr, range(32, 127))])}
    raw = Tokenizer(models.BPE(letters, [], unk_token="<end>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<end>")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(letters), "eos_token_id": 0, "pad_token_id": 0, "bos_token_id": 1}
    vision = {**tower, "image_size": 32, "patch_size": 16}
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    size, crop = {"shortest_edge": 32}, {"height": 32, "width": 32}
    CLIPProcessor(CLIPImageProcessorPil(size=size, crop_size=crop), tokenizer).save_pretrained(folder)
    return folder


def test_clip_vectors_are_the_mean_of_text_and_image(clip: Path, tmp_path: Path) -> None:
    engine = load_embedder(f"sentence-transformers:{clip}")
    problem_rows(tmp_path, 3)
    red, blue = (ImageRef(name, str(tmp_path / name)) for name in ("0.png", "2.png"))
    plain, both, other, twice = engine.embed(
        [EmbedItem("dots"), EmbedItem("dots", (red,)), EmbedItem("dots", (blue,)), EmbedItem("dots", (red, red))]
    )
    assert engine.signals == ("text", "image", "joint")
    np.testing.assert_allclose(twice, both, atol=1e-5)
    assert plain @ both < 0.999
    assert np.abs(both - other).max() > 1e-4
    image = both * (both @ plain * 2) - plain  # the unit image vector mirrors the text's at their mean
    np.testing.assert_allclose(np.linalg.norm(image), 1, atol=1e-4)


def test_a_text_is_never_read_as_a_path_or_url(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers.base.modality import infer_batch_modality

    from anectl.engines.st_embedder import as_plain_text

    monkeypatch.chdir(tmp_path)
    problem_rows(tmp_path, 1)
    tricky = ["0.png", str(tmp_path / "0.png"), "http://127.0.0.1/y.png", "data:image/png;base64,AAAA"]
    assert infer_batch_modality(tricky[:1]) == "image"
    for text in (*tricky, "https://youtu.be/x", "a.mp4", "a.wav"):
        assert infer_batch_modality([as_plain_text(text)]) == "text"
    vectors = load_embedder(f"sentence-transformers:{clip}").embed([EmbedItem(text) for text in tricky])
    assert np.isfinite(vectors).all()


def test_a_text_longer_than_the_model_is_cut(clip: Path) -> None:
    long, longer = load_embedder(f"sentence-transformers:{clip}").embed([EmbedItem("a" * 100), EmbedItem("a" * 5000)])
    np.testing.assert_allclose(long, longer, atol=1e-6)


def test_an_unknown_embedder_is_named() -> None:
    for spec in ("clip", "policy:", "openai:x"):
        with pytest.raises(AnectlError, match="unknown embedder"):
            load_embedder(spec)
    with pytest.raises(AnectlError, match="no-such-folder"):
        load_embedder("sentence-transformers:./no-such-folder")


def checkered(folder: Path, name: str, turned: bool) -> ImageRef:
    """A picture of two halves, black and white; `turned` has them the other way round."""
    picture = Image.new("RGB", (64, 64), "white" if turned else "black")
    picture.paste("black" if turned else "white", (0, 32, 64, 64))
    picture.save(folder / name)
    return ImageRef(name, str(folder / name))


def test_each_signal_of_the_policy_sees_its_own_part(embedder: PolicyEmbedder, tmp_path: Path) -> None:
    problem_rows(tmp_path, 2)
    red, blue = (ImageRef(name, str(tmp_path / name)) for name in ("0.png", "1.png"))
    items = [EmbedItem("Which?", (red,)), EmbedItem("How many?", (red,)), EmbedItem("Which?", (blue,))]

    def embedded(signal: str) -> np.ndarray:
        return embedder.embed([part for item in items if (part := shown(item, signal)) is not None])  # type: ignore[arg-type]

    text, image, joint = (embedded(signal) for signal in embedder.signals)
    for vectors, same, different in ((text, (0, 2), (0, 1)), (image, (0, 1), (0, 2))):
        np.testing.assert_allclose(vectors[same[0]], vectors[same[1]], atol=1e-5)
        assert np.abs(vectors[different[0]] - vectors[different[1]]).max() > 1e-4
    assert np.abs(joint[0] - joint[1]).max() > 1e-4
    assert np.abs(joint[0] - joint[2]).max() > 1e-4
    for vectors in (text, image, joint):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_image_vector_knows_what_is_where(embedder: PolicyEmbedder, tmp_path: Path) -> None:
    upright, turned = checkered(tmp_path, "u.png", False), checkered(tmp_path, "t.png", True)
    one, other, again, both = embedder.embed(
        [EmbedItem("", images) for images in ((upright,), (turned,), (upright,), (upright, turned))]
    )
    np.testing.assert_allclose(one, again, atol=1e-5)
    assert one @ other < 0.99
    assert both @ one < 0.999


def test_images_alone_give_the_same_vector_in_any_batch_and_any_run(
    embedder: PolicyEmbedder, tiny_model: Path, tmp_path: Path
) -> None:
    rows = problem_rows(tmp_path, 6)
    pictures = [ImageRef(row["images"][0], str(tmp_path / row["images"][0])) for row in rows]
    items = [EmbedItem("", (picture,)) for picture in pictures] + [EmbedItem("text")]
    items += [EmbedItem("", (pictures[0], pictures[1])), EmbedItem("text", (pictures[0],))]
    vectors = embedder.embed(items)
    again = PolicyEmbedder(str(tiny_model), batch_size=1)
    for place, item in enumerate(items):
        np.testing.assert_allclose(again.embed([item])[0], vectors[place], atol=1e-5)


def test_clip_tells_text_and_image_apart_and_text_models_only_text(clip: Path, tmp_path: Path) -> None:
    engine = load_embedder(f"sentence-transformers:{clip}")
    problem_rows(tmp_path, 1)
    red = ImageRef("0.png", str(tmp_path / "0.png"))
    text, image, joint = engine.embed([EmbedItem("dots"), EmbedItem("", (red,)), EmbedItem("dots", (red,))])
    mean = text + image
    np.testing.assert_allclose(joint, mean / np.linalg.norm(mean), atol=1e-5)
    assert abs(text @ image) < 0.999


def test_nothing_at_all_is_embedded_to_nothing(embedder: PolicyEmbedder, clip: Path) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)
    engine = load_embedder(f"sentence-transformers:{clip}")
    assert engine.embed([]).shape == (0, engine.dimension)
    np.testing.assert_allclose(np.linalg.norm(engine.embed([EmbedItem("")]), axis=1), 1, atol=1e-5)
