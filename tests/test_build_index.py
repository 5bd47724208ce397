"""build-index: which rows become anchors, what lies in the folder, and what adding and deleting leave there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError, UsageError
from anectl.core.index_files import IndexManifest, open_records, read_index_manifest
from anectl.core.store import RecordReader
from anectl.engines import load_index
from tests.conftest import problem_rows, write_rows

INDEX = Path("truth.idx")


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten problems, the last without a solution, in a working folder of their own."""
    monkeypatch.chdir(tmp_path)
    return write_rows(tmp_path / "truth.jsonl", truth_rows(tmp_path))


def truth_rows(folder: Path) -> list[dict[str, Any]]:
    rows = problem_rows(folder, 10)
    for number, row in enumerate(rows[:-1]):
        source = {"subject": "algebra" if number % 2 else "geometry", "licence": "MIT" if number % 3 else "CC0"}
        row |= {"solution": f"It is {row['answer']}.", "licence": {"name": "open"}, "source": source}
    return rows


def build(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["build-index", *map(str, arguments), "-o", "truth.idx"])


def built(*arguments: object) -> IndexManifest:
    result = build(*arguments)
    assert result.exit_code == 0, result.exception
    assert result.stdout == ""
    return read_index_manifest(INDEX)


def records() -> RecordReader:
    return open_records(INDEX, read_index_manifest(INDEX))


def ids() -> list[str]:
    reader = records()
    return [one.problem.id for one in reader.get(reader.rows())]


def vectors(name: str = "joint") -> Any:
    manifest = read_index_manifest(INDEX)
    return load_index(INDEX, manifest, name).vectors(records().rows())


def test_the_folder_holds_the_rows_with_a_solution(truth: Path, tiny_model: Path) -> None:
    result = build(truth, "--embedder", f"policy:{tiny_model}")
    assert result.exit_code == 0, result.exception
    assert result.stdout == ""
    assert "10 rows in, 9 out, 1 dropped (no solution)" in result.stderr
    manifest = read_index_manifest(INDEX)
    assert (manifest.count, manifest.licences, manifest.num_unverified) == (9, {"CC0": 3, "MIT": 6}, 0)
    assert {name: entry.backend for name, entry in manifest.signals.items()} == dict.fromkeys(
        ("text", "image", "joint"), "exact"
    )
    stored = records().get([8, 0])
    assert [one.problem.id for one in stored] == ["p8", "p0"]
    assert stored[0].problem.extra == {"licence": {"name": "open"}}
    assert stored[0].problem.images == ("8.png",)
    assert load_index(INDEX, manifest, "joint").search(vectors()[4:5], 1)[0][0].row == 4
    assert [path.name for path in Path().glob("truth.idx*")] == ["truth.idx"]


def test_building_again_replaces_the_index_and_gives_the_same(truth: Path, tiny_model: Path) -> None:
    before = built(truth, "--embedder", f"policy:{tiny_model}")
    after = built(truth, "--embedder", f"policy:{tiny_model}", "--backend", "hnsw")
    assert {name: after.files[name] for name in before.files} == before.files
    assert after.signals["text"].hnsw is not None
    assert sorted(path.name for path in INDEX.iterdir()) == ["generation-2", "manifest.json"]


def test_only_what_is_new_is_embedded_and_a_changed_row_takes_the_place_of_the_old(
    truth: Path, tiny_model: Path, tmp_path: Path
) -> None:
    rows = truth_rows(tmp_path)
    whole = built(write_rows(tmp_path / "all.jsonl", rows), "--embedder", f"policy:{tiny_model}")
    expected = dict(zip(ids(), vectors(), strict=True))
    built(write_rows(tmp_path / "half.jsonl", rows[:5]), "--embedder", f"policy:{tiny_model}")
    rows[1] = {**rows[1], "solution": "Counting gives 1."}
    rows[2] = {**rows[2], "question": "Another question?"}
    result = build("--add", write_rows(tmp_path / "new.jsonl", [*rows, {**rows[0], "id": "copy"}]))
    assert result.exit_code == 0, result.exception
    dropped = "1 dropped (duplicate content), 1 dropped (no solution), 3 dropped (already in the index)"
    assert all(part in result.stderr for part in ["11 rows in, 6 out", *dropped.split(", ")])
    assert ids() == ["p0", "p1", "p3", "p4", "p2", "p5", "p6", "p7", "p8"]
    assert records().rows() == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert records().get([1])[0].problem.solution == "Counting gives 1."
    assert [row for row, _ in records().match("another", 3)] == [5]
    for name, vector in zip(ids(), vectors(), strict=True):
        assert np.allclose(vector, expected[name], atol=1e-5) is (name != "p2")
    assert read_index_manifest(INDEX).count == whole.count


def test_rows_are_deleted_by_id_and_by_condition(truth: Path, tiny_model: Path) -> None:
    built(truth, "--embedder", f"policy:{tiny_model}", "--signals", "text")
    before = dict(zip(ids(), vectors("text"), strict=True))
    manifest = built("--delete", "p3", "--delete-where", "subject='geometry' and licence='MIT'")
    assert ids() == ["p0", "p1", "p5", "p6", "p7"]
    assert (manifest.count, manifest.licences, list(manifest.signals)) == (5, {"CC0": 2, "MIT": 3}, ["text"])
    for name, vector in zip(ids(), vectors("text"), strict=True):
        np.testing.assert_array_equal(vector, before[name])
    for arguments, error in (
        (("--delete", "p3"), "no such id: 'p3'"),
        (("--delete-where", "subject='x'"), "no row to delete"),
        (("--delete-where", "subject~'x'"), "cannot read the condition"),
        (("--delete-where", "level=1"), "no row has a field 'level'"),
        (("--delete-where", "not subject='x'"), "no row would be left"),
    ):
        assert error in str(build(*arguments).exception)
    assert read_index_manifest(INDEX) == manifest
    assert sorted(path.name for path in INDEX.iterdir()) == ["generation-2", "manifest.json"]


def test_options_that_do_not_go_together_are_usage_errors(truth: Path, tiny_model: Path) -> None:
    model = ("--embedder", f"policy:{tiny_model}")
    for arguments, error in (
        ((truth,), "--embedder is missing"),
        ((truth, *model, "--signals", "sound"), "none of text, image, joint"),
        (("--add", truth, "--backend", "hnsw"), "--backend belongs to the index"),
        (("--delete", "p1", "--add"), "go without rows to add"),
        (("--delete", "p1", *model), "--embedder belongs to the index"),
    ):
        result = build(*arguments)
        assert isinstance(result.exception, UsageError)
        assert error in str(result.exception)
    assert "not an index" in str(build("--add", truth).exception)
    assert not INDEX.exists()


def test_only_solutions_that_lead_to_the_answer_are_kept(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    rows = truth_rows(tmp_path)[:4]
    rows[1] |= {"solution": "So the answer is \\boxed{77}."}
    rows[2] |= {"solution": "One sees it in the picture"}
    write_rows(truth, rows)
    result = build(truth, "--embedder", f"policy:{tiny_model}")
    assert "1 dropped (the solution leads to another answer)" in result.stderr
    assert "1 dropped (the solution is not seen to lead to the answer)" in result.stderr
    assert ids() == ["p0", "p3"]
    manifest = built(truth, "--embedder", f"policy:{tiny_model}", "--keep-unverified")
    assert (ids(), manifest.num_unverified) == (["p0", "p2", "p3"], 1)
    assert [one.is_verified for one in records().get([0, 1])] == [True, False]


def test_a_row_without_images_has_no_image_vector(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    rows = truth_rows(tmp_path)[:5]
    rows[1] |= {"images": []}
    manifest = built(write_rows(truth, rows), "--embedder", f"policy:{tiny_model}")
    assert {name: entry.count for name, entry in manifest.signals.items()} == {"text": 5, "image": 4, "joint": 5}
    index = load_index(INDEX, manifest, "image")
    assert sorted(hit.row for hit in index.search(vectors("image")[:1], 9)[0]) == [0, 2, 3, 4]


def test_parquet_and_json_lines_make_the_same_index(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    rows = truth_rows(tmp_path)[:6]
    for row in rows:
        del row["licence"]
    model = ("--embedder", f"policy:{tiny_model}")
    whole = built(write_rows(tmp_path / "lines.jsonl", rows), *model)
    first = pa.Table.from_pylist([{**row, "choices": None} for row in rows[:3]])
    pq.write_table(first, tmp_path / "first.parquet")
    inside = [{**row, "images": [{"bytes": Path(row["images"][0]).read_bytes(), "path": None}]} for row in rows[3:]]
    pq.write_table(pa.Table.from_pylist(inside), tmp_path / "second.parquet")
    both = built(tmp_path / "first.parquet", tmp_path / "second.parquet", *model)
    assert both.rows == whole.rows
    assert both.files["joint.npy"] == whole.files["joint.npy"]
    assert records().get([5])[0].problem.images[0].startswith("data:image/png;base64,")
    (tmp_path / "first.parquet").write_bytes(b"PAR1")
    assert "not a parquet file" in str(build(tmp_path / "first.parquet", *model).exception)


def test_another_embedder_cannot_add_to_an_index(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    built(truth, "--embedder", f"policy:{tiny_model}", "--signals", "text")
    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    with torch.no_grad():
        model.model.text_model.norm.weight += 0.1
    model.save_pretrained(tmp_path / "trained")
    AutoProcessor.from_pretrained(tiny_model).save_pretrained(tmp_path / "trained")
    result = build("--add", truth, "--embedder", f"policy:{tmp_path / 'trained'}")
    assert "the index was built with policy:" in str(result.exception)
    assert len(ids()) == 9


def test_copies_are_kept_once_and_a_second_id_is_an_error(truth: Path, tiny_model: Path) -> None:
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    write_rows(truth, [*rows, {**rows[0], "id": "copy"}])
    result = build(truth, "--embedder", f"policy:{tiny_model}")
    assert "1 dropped (duplicate content), 1 dropped (no solution)" in result.stderr
    write_rows(truth, [*rows, rows[0]])
    result = build(truth, "--embedder", f"policy:{tiny_model}")
    assert "duplicate id 'p0', first seen at" in str(result.exception)
    assert read_index_manifest(INDEX).generation == 1


def test_a_bad_image_is_its_own_rows_error(truth: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    options = ("--embedder", f"policy:{tiny_model}")
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
    result = build(truth, "--embedder", f"policy:{tiny_model}")
    assert "no row can become an anchor" in str(result.exception)
    assert not list(Path().glob("truth.idx*"))


def test_a_killed_build_leaves_no_index_and_does_not_stop_the_next(truth: Path, tiny_model: Path) -> None:
    command = [sys.executable, "-m", "anectl", "build-index", "--embedder", f"policy:{tiny_model}", "-o", "truth.idx"]
    # Its stdin stays open, so it never comes to its end.
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert running.stdin is not None
    running.stdin.write(truth.read_bytes())
    running.stdin.flush()
    deadline = time.monotonic() + 60
    while not Path("truth.idx/generation-1/records.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    running.stdin.close()
    assert [path.name for path in INDEX.iterdir()] == ["generation-1"]
    with pytest.raises(AnectlError, match="not an index"):
        read_index_manifest(INDEX)
    assert built(truth, "--embedder", f"policy:{tiny_model}").generation == 1
