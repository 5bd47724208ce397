"""check finds every bad row of any file, and says where it stands; with a model, also the prompts that do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError, UsageError
from tests.conftest import Cli, problem_rows, write_rows

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.jsonl"))


def problem(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "question": "?", "answer": "3", "answer_type": "number", **fields}


def run(*arguments: str | Path, input: str | None = None) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)], input=input)


def rejects(result: Result) -> list[dict[str, Any]]:
    assert isinstance(result.exception, AnectlError), result.exception
    assert result.exception.exit_code == 1
    return [json.loads(line) for line in result.stdout.splitlines()]


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_sound_file_of_any_record_passes_in_silence(path: Path) -> None:
    result = run(path, "--no-images")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert f"1 {path.stem.replace('-', '/')}" in result.stderr


def test_every_bad_row_is_reported_not_only_the_first(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.jsonl",
        problem("1"),
        '{"torn',
        problem("2", answer=2),
        problem("1"),
        {"schema": "rollot/1"},
        problem("3", schema="problem/9"),
        problem("4"),
    )
    found = rejects(result := run(path))
    assert [row["line"] for row in found] == [2, 3, 4, 5, 6]
    for row, said in zip(
        found, ["not a JSON", "`answer`", "duplicate of line 1", "unknown schema", "version"], strict=True
    ):
        assert said in row["problem"]
        assert f"{path}:{row['line']}: {row['problem']}" in result.stderr
    assert found[0]["row"] == '{"torn'
    assert "5 of 7 rows are bad" in str(result.exception)


def test_every_file_is_checked(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.jsonl", "[]"), write(tmp_path / "b.jsonl", problem("1"), "{}")
    assert [(row["path"], row["line"]) for row in rejects(run(first, second))] == [(str(first), 1), (str(second), 2)]


def test_ids_may_repeat_in_another_file(tmp_path: Path) -> None:
    assert run(write(tmp_path / "a.jsonl", problem("1")), write(tmp_path / "b.jsonl", problem("1"))).exit_code == 0


def test_rollouts_of_one_problem_may_repeat_with_another_seed_only(tmp_path: Path) -> None:
    rollout = json.loads(next(path for path in GOLDEN if path.stem == "rollout-1").read_text())
    other = {**rollout, "sampling": {**rollout["sampling"], "seed": 99}}
    path = write(tmp_path / "r.jsonl", rollout, other, rollout)
    assert [row["line"] for row in rejects(run(path, "--no-images"))] == [3]


def test_images_must_be_found_and_decode(tmp_path: Path) -> None:
    Image.effect_noise((32, 32), 50).save(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:500])
    (tmp_path / "text.png").write_text("hello")
    names = ["good.png", "none.png", "torn.png", "text.png", "../good.png", "good.png"]
    path = write(tmp_path / "p.jsonl", *(problem(str(i), images=[name]) for i, name in enumerate(names)))
    assert [row["line"] for row in rejects(run(path))] == [2, 3, 4, 5]
    assert run(path, "--no-images").exit_code == 0


def test_image_root_says_where_images_are(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images/1.png")
    source = json.dumps(problem("1", images=["1.png"]))
    assert run("--image-root", tmp_path / "images", input=source).exit_code == 0
    assert len(rejects(run("--image-root", tmp_path, input=source))) == 1


@pytest.mark.parametrize("name", [".", "none.jsonl"])
def test_what_is_no_file_is_an_error(tmp_path: Path, name: str) -> None:
    assert isinstance(run(tmp_path / name).exception, AnectlError)


@pytest.fixture(scope="module")
def bare_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint without its weights."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    return shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))


def test_with_a_model_each_row_that_does_not_fit_is_named(bare_model: Path, tmp_path: Path, anectl: Cli) -> None:
    rows = problem_rows(tmp_path, 6)
    rows[1]["question"] = "7 " * 600
    rows[2]["question"] = "Is it <global-img>?"
    rows[3]["images"] = []
    rows[4]["question"] = "<image> or <image>?"
    problems = write_rows(tmp_path / "p.jsonl", rows)
    done = anectl("check", problems, "--model", bare_model, "--max-tokens", 32, ok=False)
    rejects = list(map(json.loads, done.stdout.splitlines()))
    assert [(row["line"], row["problem"][:5]) for row in rejects] == [(2, "'p1':"), (3, "'p2':"), (5, "'p4':")]
    assert "window of 512" in rejects[0]["problem"]
    assert f"{problems}:2: 'p1': the prompt of" in done.stderr
    assert "3 prompts with 0/16/16 image tokens" in done.stderr
    assert "for a completion" not in done.stderr
    assert "for a completion" in anectl("check", problems, "-m", bare_model, "--max-tokens", 500, ok=False).stderr


def test_with_a_model_only_problems_are_measured(bare_model: Path, tmp_path: Path, anectl: Cli) -> None:
    golden = Path(__file__).parent / "golden/example-1.jsonl"
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text(golden.read_text() + json.dumps(problem_rows(tmp_path, 1)[0]) + "\n")
    (tmp_path / "img").mkdir()
    done = anectl("check", mixed, "--model", bare_model, ok=False)
    assert "1 prompts with 16/16/16" in done.stderr


def test_a_model_that_cannot_be_measured_is_the_users_error(
    bare_model: Path, tmp_path: Path, problems: Path, anectl: Cli
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no checkpoint" in anectl("check", problems, "--model", empty, ok=False).stderr
    assert "--no-images" in anectl("check", problems, "--model", bare_model, "--no-images", ok=False).stderr


def test_every_fault_of_a_template_is_reported_with_its_line(tmp_path: Path, anectl: Cli) -> None:
    good = (Path(__file__).parents[1] / "src/anectl/templates/default.yaml").read_text("utf8")
    (tmp_path / "good.yaml").write_text(good)
    anectl("check", "--template", tmp_path / "good.yaml")
    bad = good.replace("{plan}", "{plans}").replace("{question}", "{query}")
    (tmp_path / "bad.yaml").write_text(bad)
    done = anectl("check", "--template", tmp_path / "bad.yaml", ok=False)
    wrong = [number for number, line in enumerate(bad.splitlines(), 1) if "{plans}" in line and line[0] != "#"]
    assert wrong
    for number in wrong:
        assert f"bad.yaml:{number}: " in done.stderr
    assert "add {question}" in done.stderr
    assert anectl("check", "x.jsonl", "--template", tmp_path / "good.yaml", ok=False).returncode == 2


def test_a_table_is_refused_once_and_not_line_by_line(tmp_path: Path) -> None:
    (table := tmp_path / "own.csv").write_text("question,answer\nWhat?,3\n")
    result = run(table)
    assert isinstance(result.exception, UsageError)
    assert result.stdout == ""
    assert "is a table, not JSON Lines" in str(result.exception)
    assert "anectl import table" in (result.exception.hint or "")
