"""The search of an index: exact, by graph and by LanceDB, over the rows that it has, filtered, changed and tuned."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.errors import AnectlError
from anectl.core.index_files import HnswSettings, Recall
from anectl.core.manifest import file_hash
from anectl.core.protocols import Hit
from anectl.engines import hnsw_index, load_index
from anectl.engines.index_writer import Tuning, write_signal
from anectl.engines.recall import measured, spread
from anectl.engines.vector_index import Block, ExactIndex, VectorWriter, open_vectors
from tests.index_rows import DIMENSION, build, change, empty_signal, problem, unit_vectors, vectors_of

BACKENDS = ("exact", "hnsw", "lancedb")


def rows_of(found: list[list[Hit]]) -> list[list[int]]:
    return [[hit.row for hit in hits] for hits in found]


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
    assert rows_of(ExactIndex(vectors).search(vectors[:5], 9)) == rows_of(whole)


@given(st.sets(st.integers(0, 60), min_size=1), st.sets(st.integers(0, 70)), st.integers(1, 12))
def test_a_search_among_rows_is_the_search_of_an_index_of_them(rows: set[int], among: set[int], num: int) -> None:
    held = np.array(sorted(rows))
    both = sorted(rows & among)
    whole = ExactIndex(vectors_of(held), held).search(unit_vectors(2, seed=99), num, among)
    alone = ExactIndex(vectors_of(both), np.array(both, dtype=np.int64)).search(unit_vectors(2, seed=99), num)
    assert rows_of(whole) == rows_of(alone)


def test_vectors_that_are_not_finite_or_not_of_unit_length_are_refused(tmp_path: Path) -> None:
    for spoiled in (np.nan, 5.0):
        vectors = unit_vectors(3)
        vectors[1, 2] = spoiled
        with (
            VectorWriter(tmp_path, "text", DIMENSION) as writer,
            pytest.raises(AnectlError, match="not finite or not of unit"),
        ):
            writer.append([0, 1, 2], vectors)
    with pytest.raises(AnectlError, match="query vector is not finite"):
        ExactIndex(unit_vectors(3)).search(np.full((1, DIMENSION), np.inf), 1)
    with pytest.raises(AnectlError, match="do not fit an index of dimension"):
        ExactIndex(unit_vectors(3)).search(np.ones((1, DIMENSION + 1)), 1)


def test_a_manifest_that_lies_is_found_before_any_native_call(tmp_path: Path) -> None:
    manifest = build(tmp_path / "i", 60)
    folder = manifest.folder(tmp_path / "i")
    with pytest.raises(AnectlError, match="expected float32 of shape"):
        open_vectors(folder, "text", 60, DIMENSION + 1)
    vectors, rows = open_vectors(folder, "text", 60, DIMENSION)
    settings = manifest.signals["text"].hnsw
    assert settings is not None
    with pytest.raises(AnectlError, match="holds 60 rows, not 59"):
        hnsw_index.load_graph(folder, "text", vectors[:59], rows[:59], settings)
    (folder / "text.hnsw").write_bytes(b"")
    with pytest.raises(AnectlError, match="not readable as an HNSW graph"):
        hnsw_index.load_graph(folder, "text", vectors, rows, settings)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_answers_as_exact_search_does(tmp_path: Path, backend: str) -> None:
    manifest = build(tmp_path / "i", 400, backend=backend)
    for signal, rows in (("text", range(400)), ("image", [row for row in range(400) if row % 3])):
        index = load_index(tmp_path / "i", manifest, signal)
        exact = ExactIndex(vectors_of(rows), np.array(rows))
        queries, among = unit_vectors(20, seed=1), set(range(0, 400, 5))
        near, wanted = index.search(queries, 10), exact.search(queries, 10)
        assert measured(near, wanted, target=1, count=400).mean > 0.9
        for hits, best in zip(near, wanted, strict=True):
            assert hits[0].similarity == pytest.approx(best[0].similarity, abs=1e-5)
            assert [(-hit.similarity, hit.row) for hit in hits] == sorted((-hit.similarity, hit.row) for hit in hits)
        assert rows_of(index.search(queries, 10, among)) == rows_of(exact.search(queries, 10, among))
        assert [len(hits) for hits in index.search(queries, 1000, {1, 2, 4})] == [3] * 20
        assert len(index.search(queries[:1], 1000)[0]) == len(rows)
        assert index.search(queries[:1], 5, ()) == [[]]
        np.testing.assert_allclose(index.vectors([4, 1, 4, 9999]), [*vectors_of([4, 1, 4]), np.zeros(DIMENSION)])
    np.testing.assert_array_equal(load_index(tmp_path / "i", manifest, "image").vectors([3]), np.zeros((1, DIMENSION)))
    with pytest.raises(AnectlError, match="has no joint vectors, only text, image"):
        load_index(tmp_path / "i", manifest, "joint")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_index_that_was_changed_answers_as_one_built_so(tmp_path: Path, backend: str) -> None:
    build(tmp_path / "i", 300, backend=backend)
    for turn in range(4):
        gone = [f"t{number}" for number in range(turn * 5, turn * 5 + 5)]
        new = [problem(number) for number in range(300 + turn * 20, 320 + turn * 20)]
        manifest = change(tmp_path / "i", new, gone, backend=backend)
    assert (manifest.count, manifest.next_row, manifest.generation) == (360, 380, 5)
    rows = np.arange(20, 380)
    index = load_index(tmp_path / "i", manifest, "text")
    found = index.search(unit_vectors(30, seed=3), 10)
    wanted = ExactIndex(vectors_of(rows), rows).search(unit_vectors(30, seed=3), 10)
    assert measured(found, wanted, target=1, count=360).mean > 0.95
    assert {hit.row for hit in index.search(unit_vectors(1), 1000)[0]} == set(rows.tolist())


def test_a_graph_is_the_same_each_time_and_built_anew_when_much_has_changed(tmp_path: Path) -> None:
    first, again = build(tmp_path / "i", 500), build(tmp_path / "j", 500)
    assert first.files == again.files
    little = change(tmp_path / "i", [problem(500)], ["t3", "t4"])
    assert little.signals["text"].hnsw is not None
    assert little.signals["text"].hnsw.num_deleted == 2
    much = change(tmp_path / "i", [problem(number) for number in range(501, 560)], ())
    assert much.signals["text"].hnsw is not None
    assert (much.signals["text"].hnsw.num_deleted, much.signals["text"].hnsw.recall.count) == (0, 558)


def test_ef_grows_until_the_recall_is_reached_and_says_when_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(target: float) -> HnswSettings:
        return hnsw_index.write_graph(tmp_path, "text", vectors, np.arange(3000), target=target)

    vectors = unit_vectors(3000)
    low, high = tuned(0.7), tuned(0.97)
    assert low.recall is not None
    assert high.recall is not None
    assert low.ef < high.ef
    assert low.recall.low >= 0.7
    assert high.recall.low >= 0.97
    assert high.recall.num_queries == 300
    monkeypatch.setattr("anectl.engines.hnsw_index._EFS", (16,))
    missed = tuned(1.0)
    assert missed.recall is not None
    assert missed.recall.low < 1
    assert missed.m == hnsw_index.SHAPES[-1][0]


def test_lancedb_looks_through_as_many_partitions_as_the_recall_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anectl.engines.lance_index.PARTITIONED_FROM", 500)
    manifest = build(tmp_path / "i", 2000, backend="lancedb")
    settings = manifest.signals["text"].lancedb
    assert settings is not None
    assert settings.recall is not None
    assert settings.recall.low >= 0.9
    assert settings.num_partitions == 45
    exact = ExactIndex(vectors_of(range(2000)))
    queries = unit_vectors(50, seed=5)
    found = load_index(tmp_path / "i", manifest, "text").search(queries, 10)
    assert measured(found, exact.search(queries, 10), target=1, count=2000).mean > 0.85


def test_an_addition_writes_to_no_file_of_the_generation_before(tmp_path: Path) -> None:
    manifest = build(tmp_path / "i", 100, backend="lancedb")
    kept = tmp_path / "kept"
    shutil.copytree(manifest.folder(tmp_path / "i"), kept, copy_function=os.link)
    change(tmp_path / "i", [problem(100)], ["t7"], backend="lancedb")
    for name, entry in manifest.files.items():
        assert file_hash(str(kept / name)) == entry.sha256


def test_what_goes_wrong_while_embedding_is_said_as_it_was_whatever_the_backend(tmp_path: Path) -> None:
    def blocks(last: object) -> Iterator[Block]:
        yield [0, 1], unit_vectors(2)
        if isinstance(last, BaseException):
            raise last
        yield [2], np.full((1, DIMENSION), last, dtype=np.float32)

    for backend in BACKENDS:
        tuning, empty = Tuning(backend, 0.9), empty_signal()
        for number, (last, kind) in enumerate(((np.nan, AnectlError), (KeyError("x"), KeyError))):
            folder = tmp_path / f"{backend}{number}"
            folder.mkdir()
            with pytest.raises(kind, match=r"not finite or not of unit length|x"):
                write_signal(folder, "text", empty, blocks(last), tuning, gone=[])


@given(st.integers(0, 5000), st.integers(1, 500))
def test_queries_are_spread_and_are_at_most_a_tenth(count: int, most: int) -> None:
    places = spread(count, most)
    assert len(places) == min(most, count // 10)
    assert len(set(places.tolist())) == len(places)
    assert all(0 <= place < count for place in places)


def test_recall_counts_equal_vectors_as_equally_right() -> None:
    wanted = [[Hit(0, 1.0), Hit(1, 0.5)], [Hit(3, 0.9), Hit(4, 0.8)]]
    found = [[Hit(0, 1.0), Hit(2, 0.5)], [Hit(3, 0.9), Hit(9, 0.1)]]
    recall = measured(found, wanted, target=0.9, count=10)
    assert isinstance(recall, Recall)
    assert recall.mean == 0.75
    assert recall.low < 0.75 < recall.high
