"""anchor: the nearest ground truth, never the problem itself, by the embedder that built the index."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError
from tests.conftest import problem_rows, write_rows

NUM_TRUTH = 20


@pytest.fixture(scope="module")
def world(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `truth.idx` over 20 solved problems p0..p19 and their pictures."""
    folder = tmp_path_factory.mktemp("world")
    rows = problem_rows(folder, NUM_TRUTH)
    solved = [{**row, "solution": f"It is {row['answer']}."} for row in rows]
    write_rows(folder / "truth.jsonl", solved)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = run("build-index", "truth.jsonl", "--embedder", f"policy:{tiny_model}", "-o", "truth.idx")
        assert done.exit_code == 0, done.exception
    return folder


@pytest.fixture
def here(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    return world


def run(*arguments: object, stdin: str = "") -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], input=stdin)


def frontier_row(problem: dict[str, Any]) -> dict[str, Any]:
    failed = {"text": "9", "finish_reason": "stop", "correct": False, "reason": "mismatch"}
    return {
        "schema": "frontier/1",
        "problem": problem,
        "policy": "base",
        "sampling": {"n": 1, "instruction": "Say \\boxed{}."},
        "completions": [failed],
        "zone": "failing",
        "posterior": {"a": 0.5, "b": 1.5, "low": 0, "high": 0.8, "confidence": 0.5},
        "failures": [0],
        "note": "kept",
    }


def new_problems(count: int) -> list[dict[str, Any]]:
    """Problems that the index does not have, about its pictures."""
    return [
        {"id": f"n{i}", "question": f"Is it {i}?", "images": [f"{i}.png"], "answer": "yes", "answer_type": "boolean"}
        for i in range(count)
    ]


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def stdin_of(problems: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(frontier_row(problem)) + "\n" for problem in problems)


def test_each_row_gets_its_nearest_anchors_best_first(here: Path) -> None:
    result = run("anchor", "--index", "truth.idx", stdin=stdin_of(new_problems(3)))
    rows = lines(result)
    assert [row["problem"]["id"] for row in rows] == ["n0", "n1", "n2"]
    for row in rows:
        assert row["schema"] == "anchored/1"
        assert row["note"] == "kept"
        assert [anchor["rank"] for anchor in row["anchors"]] == [1, 2, 3, 4]
        scores = [anchor["score"] for anchor in row["anchors"]]
        assert scores == sorted(scores, reverse=True)
        for anchor in row["anchors"]:
            assert anchor["why"] == {"text": None, "image": None, "joint": anchor["score"], "bm25": None, "skill": None}
            assert anchor["problem"]["solution"]
            assert (here / anchor["problem"]["images"][0]).exists()
    assert "3 rows in, 3 out" in result.stderr


def test_a_problem_and_its_copies_are_never_its_anchors(here: Path) -> None:
    truth = [json.loads(line) for line in Path("truth.jsonl").read_text().splitlines()]
    renamed = {**truth[0], "id": "renamed"}
    relabelled = {**truth[1], "id": "relabelled", "answer": "77"}
    shouted = {**truth[2], "id": "shouted", "question": truth[2]["question"].upper() + " ", "answer": "5"}
    rows = lines(run("anchor", "--index", "truth.idx", "--top-k", 19, stdin=stdin_of([renamed, relabelled, shouted])))
    for number, row in enumerate(rows):
        ids = [anchor["id"] for anchor in row["anchors"]]
        assert len(ids) == 19
        assert f"p{number}" not in ids


def test_copies_in_the_index_do_not_use_up_the_places(world: Path, tiny_model: Path, here: Path) -> None:
    truth = [json.loads(line) for line in Path("truth.jsonl").read_text().splitlines()]
    # Fifteen rows that are the query but for their answers, so that top_k + a few hits are all excluded.
    copies = [{**truth[0], "id": f"c{answer}", "answer": str(answer)} for answer in range(100, 115)]
    write_rows(Path("copies.jsonl"), [*copies, *truth[1:4]])
    built = run("build-index", "copies.jsonl", "--embedder", f"policy:{tiny_model}", "-o", "copies.idx")
    assert built.exit_code == 0, built.exception
    (row,) = lines(run("anchor", "--index", "copies.idx", "--top-k", 3, stdin=stdin_of([truth[0]])))
    assert sorted(anchor["id"] for anchor in row["anchors"]) == ["p1", "p2", "p3"]


def test_rows_without_an_anchor_are_kept_and_counted(here: Path) -> None:
    result = run("anchor", "--index", "truth.idx", "--floor", 1.01, stdin=stdin_of(new_problems(2)))
    assert [row["anchors"] for row in lines(result)] == [[], []]
    assert "2 rows without an anchor" in result.stderr


def test_the_floor_cuts_by_similarity(here: Path) -> None:
    (row,) = lines(run("anchor", "--index", "truth.idx", stdin=stdin_of(new_problems(1))))
    second = row["anchors"][1]["score"]
    (cut,) = lines(run("anchor", "--index", "truth.idx", "--floor", second, stdin=stdin_of(new_problems(1))))
    assert [anchor["id"] for anchor in cut["anchors"]] == [anchor["id"] for anchor in row["anchors"][:2]]


def test_an_anchored_file_can_be_anchored_anew(here: Path) -> None:
    first = run("anchor", "--index", "truth.idx", stdin=stdin_of(new_problems(2)))
    again = run("anchor", "--index", "truth.idx", stdin=first.stdout)
    assert again.stdout == first.stdout


def test_a_problem_that_comes_twice_is_an_error(here: Path) -> None:
    result = run("anchor", "--index", "truth.idx", stdin=stdin_of(new_problems(1) * 2))
    assert "<stdin>:2: duplicate id 'n0'" in str(result.exception)


def test_a_row_with_a_missing_image_goes_to_the_rejects(here: Path, tmp_path: Path) -> None:
    good, bad = new_problems(2)
    bad["images"] = ["none.png"]
    rejects = tmp_path / "r.jsonl"
    options = ("--on-error", "skip", "--rejects", rejects)
    rows = lines(run("anchor", "--index", "truth.idx", *options, stdin=stdin_of([bad, good])))
    assert [row["problem"]["id"] for row in rows] == [good["id"]]
    assert json.loads(rejects.read_text())["line"] == 1


def test_the_index_is_found_from_elsewhere_by_the_image_root(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    index = world / "truth.idx"
    result = run("anchor", "--index", index, stdin=stdin_of([{**new_problems(1)[0], "images": []}]))
    assert isinstance(result.exception, AnectlError)
    assert "not found under" in str(result.exception)
    assert str(index) in str(result.exception)
    (row,) = lines(run("anchor", "--index", index, "--image-root", world, stdin=stdin_of(new_problems(1))))
    assert Path(row["anchors"][0]["problem"]["images"][0]).exists()
    assert Path(row["problem"]["images"][0]).exists()


def test_another_embedder_than_the_one_that_built_the_index_is_refused(
    here: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    moved = tmp_path / "moved"
    shutil.copytree(tiny_model, moved)
    options = ("anchor", "--index", "truth.idx", "--embedder", f"policy:{moved}")
    assert len(lines(run(*options, stdin=stdin_of(new_problems(1))))) == 1
    model = AutoModelForImageTextToText.from_pretrained(moved)
    with torch.no_grad():
        model.model.text_model.norm.weight += 1
    model.save_pretrained(moved)
    result = run(*options, stdin=stdin_of(new_problems(1)))
    assert "the index was built with policy:idefics3:" in str(result.exception)
    assert isinstance(result.exception, AnectlError)
    assert "build the index again" in str(result.exception.hint)


def test_no_index_is_a_clear_error(here: Path) -> None:
    result = run("anchor", "--index", "none.idx", stdin=stdin_of(new_problems(1)))
    assert isinstance(result.exception, AnectlError)
    assert "not an index" in str(result.exception)
    assert "anectl build-index" in str(result.exception.hint)


def test_random_anchors_are_the_control_and_follow_the_seed(here: Path) -> None:
    def drawn(seed: int) -> list[list[str]]:
        arguments = ("--select", "random", "--seed", seed, "--top-k", 5)
        rows = lines(run("anchor", "--index", "truth.idx", *arguments, stdin=stdin_of(new_problems(4))))
        assert all(anchor["score"] == 0 for row in rows for anchor in row["anchors"])
        return [[anchor["id"] for anchor in row["anchors"]] for row in rows]

    first = drawn(1)
    assert [len(set(ids)) for ids in first] == [5] * 4
    assert len({tuple(ids) for ids in first}) == 4
    assert drawn(1) == first != drawn(2)


def test_random_anchors_leave_the_problem_itself_out(here: Path) -> None:
    truth = [json.loads(line) for line in Path("truth.jsonl").read_text().splitlines()]
    arguments = ("--select", "random", "--top-k", NUM_TRUTH)
    rows = lines(run("anchor", "--index", "truth.idx", *arguments, stdin=stdin_of([{**truth[3], "id": "again"}])))
    assert len(rows[0]["anchors"]) == NUM_TRUTH - 1
    assert "p3" not in [anchor["id"] for anchor in rows[0]["anchors"]]
