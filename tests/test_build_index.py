"""build-index: which rows become anchors, what lies in the folder, and that damage to it is found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.images import ImageRef
from anectl.core.index_files import IndexManifest, file_entry, new_index, read_index_manifest, write_index_manifest
from anectl.core.protocols import EmbedItem
from anectl.core.records import Problem
from anectl.core.store import RecordReader, RecordWriter, StoredProblem
from anectl.engines import load_embedder, load_index
from anectl.engines.hnsw_index import build_graph, load_graph
from anectl.engines.policy_embedder import PolicyEmbedder
from anectl.engines.vector_index import ExactIndex, VectorWriter, open_vectors
from tests.conftest import problem_rows, write_rows

DIMENSION = 24


@pytest.fixture(scope="module")
def embedder(tiny_model: Path) -> PolicyEmbedder:
    return PolicyEmbedder(str(tiny_model), batch_size=4)


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten problems, the last without a solution, in a working folder of their own."""
    monkeypatch.chdir(tmp_path)
    rows = problem_rows(tmp_path, 10)
    for row in rows[:-1]:
        row |= {"solution": f"It is {row['answer']}.", "licence": {"name": "open"}}
    return write_rows(tmp_path / "truth.jsonl", rows)


def build(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["build-index", *map(str, arguments)])


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def small_index(folder: Path, *, graph: bool = True, count: int = 300) -> IndexManifest:
    """An index over random vectors, without any embedder."""
    with new_index(folder) as partial:
        with VectorWriter(partial, DIMENSION) as vectors, RecordWriter(partial / "records.sqlite") as records:
            vectors.append(unit_vectors(count))
            for row in range(count):
                problem = Problem(id=f"t{row}", question=f"q{row}", answer="1", answer_type="number")
                assert records.add(StoredProblem(problem, f"{row:032x}", "0"))
            vectors.commit()
            records.commit()
        opened = open_vectors(partial, count, DIMENSION)
        names = ["records.sqlite", "vectors.npy", *(["vectors.hnsw"] if graph else [])]
        hnsw = build_graph(opened, partial, lambda rows: None) if graph else None
        manifest = IndexManifest(
            embedder="policy:none",
            embedder_name="none",
            signal="joint",
            dimension=DIMENSION,
            count=count,
            hnsw=hnsw,
            rows="",
            files={name: file_entry(partial / name) for name in names},
            versions={},
            options={},
        )
        write_index_manifest(partial, manifest)
    return manifest


def test_exact_search_gives_the_nearest_in_order_and_ties_by_row() -> None:
    vectors = unit_vectors(50)
    vectors[30] = vectors[7]
    hits = ExactIndex(vectors).search(vectors[7:8], 3)[0]
    assert [hit.row for hit in hits[:2]] == [7, 30]
    assert hits[0].similarity == pytest.approx(1, abs=1e-6)
    best = np.argsort(-(vectors @ vectors[7]), kind="stable")[:3]
    assert [hit.row for hit in hits] == best.tolist()


def test_exact_search_over_many_blocks_is_that_over_one(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit_vectors(200)
    whole = ExactIndex(vectors).search(vectors[:5], 9)
    monkeypatch.setattr("anectl.engines.vector_index._BLOCK", 7)
    blocks = ExactIndex(vectors).search(vectors[:5], 9)
    assert [[hit.row for hit in hits] for hits in blocks] == [[hit.row for hit in hits] for hits in whole]


def test_more_neighbours_than_rows_are_all_rows(tmp_path: Path) -> None:
    manifest = small_index(tmp_path / "i", count=5)
    graph = load_index(tmp_path / "i", manifest)
    assert len(graph.search(unit_vectors(1), 50)[0]) == 5
    assert len(ExactIndex(unit_vectors(5)).search(unit_vectors(1), 50)[0]) == 5


def test_the_graph_agrees_with_exact_search_and_is_the_same_each_time(tmp_path: Path) -> None:
    manifest = small_index(tmp_path / "i", count=2000)
    assert manifest.hnsw is not None
    assert manifest.hnsw.recall > 0.95
    vectors, queries = unit_vectors(2000), unit_vectors(50, seed=1)
    near = load_index(tmp_path / "i", manifest).search(queries, 10)
    exact = ExactIndex(vectors).search(queries, 10)
    common = [
        len({hit.row for hit in found} & {hit.row for hit in wanted}) for found, wanted in zip(near, exact, strict=True)
    ]
    assert sum(common) / 500 > 0.95
    assert small_index(tmp_path / "j", count=2000).files["vectors.hnsw"] == manifest.files["vectors.hnsw"]


def test_vectors_that_are_not_finite_or_not_of_unit_length_are_refused(tmp_path: Path) -> None:
    for spoiled in (np.nan, 5.0):
        vectors = unit_vectors(3)
        vectors[1, 2] = spoiled
        with VectorWriter(tmp_path, DIMENSION) as writer, pytest.raises(AnectlError, match="not finite or not of unit"):
            writer.append(vectors)
    with pytest.raises(AnectlError, match="query vector is not finite"):
        ExactIndex(unit_vectors(3)).search(np.full((1, DIMENSION), np.inf), 1)
    with pytest.raises(AnectlError, match="do not fit an index of dimension"):
        ExactIndex(unit_vectors(3)).search(np.ones((1, DIMENSION + 1)), 1)


@pytest.mark.parametrize("name", ["manifest.json", "records.sqlite", "vectors.npy", "vectors.hnsw"])
def test_any_damaged_file_is_an_error_and_never_a_crash(tmp_path: Path, name: str) -> None:
    small_index(tmp_path / "i")
    path = tmp_path / "i" / name
    whole = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(whole), 12).tolist()
    flipped = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in (0, *places, len(whole) - 2)]
    for data in (b"", whole[: len(whole) // 2], whole[:-1], whole + b"x", *flipped):
        if name == "manifest.json" and data == whole[:-1]:
            continue  # only the line break at its end
        path.write_bytes(data)
        with pytest.raises(AnectlError) as caught:
            load_index(tmp_path / "i", read_index_manifest(tmp_path / "i"))
        assert caught.value.path == str(path)
        assert caught.value.hint
    path.unlink()
    with pytest.raises(AnectlError, match=r"cannot read|not an index"):
        read_index_manifest(tmp_path / "i")


def test_a_manifest_that_lies_is_found_before_any_native_call(tmp_path: Path) -> None:
    manifest = small_index(tmp_path / "i")
    with pytest.raises(AnectlError, match="expected float32 of shape"):
        open_vectors(tmp_path / "i", 300, DIMENSION + 1)
    with pytest.raises(AnectlError, match="holds 300 records"):
        RecordReader(tmp_path / "i/records.sqlite", 299)
    assert manifest.hnsw is not None
    (tmp_path / "i/vectors.hnsw").write_bytes(b"")
    with pytest.raises(AnectlError, match="not readable as an HNSW graph"):
        load_graph(tmp_path / "i", 300, DIMENSION, manifest.hnsw)


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    small_index(tmp_path / "i", graph=False)
    path = tmp_path / "i/manifest.json"
    path.write_text(path.read_text().replace('"index/1"', '"index/2"'))
    with pytest.raises(AnectlError, match="expected index/1, found 'index/2'"):
        read_index_manifest(tmp_path / "i")


def test_a_build_that_fails_leaves_the_earlier_index(tmp_path: Path) -> None:
    small_index(tmp_path / "i", graph=False)
    with pytest.raises(IsADirectoryError), new_index(tmp_path / "i") as partial:
        (partial / "vectors.npy").write_bytes(b"half") and partial.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["i"]
    assert read_index_manifest(tmp_path / "i").count == 300


def test_a_folder_that_is_no_index_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.png").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("photos", "file"):
        with pytest.raises(AnectlError, match="is no index"), new_index(tmp_path / name):
            pass
    assert (tmp_path / "photos/one.png").exists()


def test_two_builds_of_one_index_do_not_mix(tmp_path: Path) -> None:
    with (
        new_index(tmp_path / "i"),
        pytest.raises(AnectlError, match="another build-index"),
        new_index(tmp_path / "i"),
    ):
        pass


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
    assert engine.signal == "joint"
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


def test_the_folder_holds_the_rows_with_a_solution(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = build(truth, "--embedder", f"policy:{tiny_model}", "-o", "truth.idx")
    assert result.exit_code == 0, result.exception
    assert result.stdout == ""
    assert "10 rows in, 9 out, 1 dropped (no solution)" in result.stderr
    manifest = read_index_manifest(Path("truth.idx"))
    assert (manifest.count, manifest.dimension, manifest.hnsw, manifest.signal) == (9, 128, None, "joint")
    stored = RecordReader(Path("truth.idx/records.sqlite"), 9).get([8, 0])
    assert [one.problem.id for one in stored] == ["p8", "p0"]
    assert stored[0].problem.extra == {"licence": {"name": "open"}}
    assert stored[0].problem.images == ("8.png",)
    vectors = np.load("truth.idx/vectors.npy")
    assert ExactIndex(vectors).search(vectors[4:5], 1)[0][0].row == 4
    assert not list(tmp_path.glob("*.partial"))


def test_building_again_replaces_the_index_and_gives_the_same(truth: Path, tiny_model: Path) -> None:
    options = ("--embedder", f"policy:{tiny_model}", "-o", "truth.idx")
    assert build(truth, *options).exit_code == 0
    before = read_index_manifest(Path("truth.idx"))
    assert build(truth, *options, "--search", "hnsw").exit_code == 0
    after = read_index_manifest(Path("truth.idx"))
    assert after.rows == before.rows
    assert after.files["vectors.npy"] == before.files["vectors.npy"]
    assert after.files["records.sqlite"] == before.files["records.sqlite"]
    assert after.hnsw is not None
    assert sorted(path.name for path in Path().glob("truth.idx*")) == ["truth.idx"]


def test_copies_are_kept_once_and_a_second_id_is_an_error(truth: Path, tiny_model: Path) -> None:
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    write_rows(truth, [*rows, {**rows[0], "id": "copy"}])
    result = build(truth, "--embedder", f"policy:{tiny_model}", "-o", "truth.idx")
    assert "1 dropped (duplicate content), 1 dropped (no solution)" in result.stderr
    write_rows(truth, [*rows, rows[0]])
    result = build(truth, "--embedder", f"policy:{tiny_model}", "-o", "other.idx")
    assert "duplicate id 'p0', first seen at" in str(result.exception)
    assert not Path("other.idx").exists()


def test_a_bad_image_is_its_own_rows_error(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    options = ("--embedder", f"policy:{tiny_model}", "-o", "truth.idx")
    result = build(truth, *options)
    assert isinstance(result.exception, AnectlError)
    assert f"{truth}:4: image '3.png' cannot be decoded" in str(result.exception)
    result = build(truth, *options, "--on-error", "skip")
    assert result.exit_code == 0
    assert "8 out" in result.stderr
    assert json.loads(Path("truth.idx.rejects.jsonl").read_text())["line"] == 4


def test_rows_without_any_solution_make_no_index(truth: Path, tiny_model: Path) -> None:
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    write_rows(truth, [rows[-1]])
    result = build(truth, "--embedder", f"policy:{tiny_model}", "-o", "truth.idx")
    assert "no row can become an anchor" in str(result.exception)
    assert not list(Path().glob("truth.idx*"))


def test_a_killed_build_leaves_no_index_and_does_not_stop_the_next(truth: Path, tiny_model: Path) -> None:
    command = [sys.executable, "-m", "anectl", "build-index", "--embedder", f"policy:{tiny_model}", "-o", "truth.idx"]
    # Its stdin stays open, so it waits for rows with everything half made.
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert running.stdin is not None
    running.stdin.write(truth.read_bytes())
    running.stdin.flush()
    deadline = time.monotonic() + 60
    while not Path("truth.idx.partial/vectors.npy").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    running.stdin.close()
    assert Path("truth.idx.partial").exists()
    assert not Path("truth.idx").exists()
    assert build(truth, "--embedder", f"policy:{tiny_model}", "-o", "truth.idx").exit_code == 0
    assert not Path("truth.idx.partial").exists()
