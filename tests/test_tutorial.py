"""Pages that are run as they stand: the tutorial, the program for tables of one's own, the ways to other tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import problem_rows, write_rows
from tests.doc_blocks import blocks

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/tutorial.md").read_text("utf8")
BASE = "examples/tinyworld/base"
TRAINING, MEASURING = PAGE.index("\n## 5. "), PAGE.index("\n## 6. ")


def scripts(page: str) -> list[str]:
    """The bash blocks of a page, but for those that set the machine up."""
    return [block.text for block in blocks(page) if block.language == "bash" and "setup" not in block.words]


def run(folder: Path, parts: list[str]) -> str:
    """Run parts of a page in a folder that has the examples, as in a clone; what they said on stderr."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "BASE": BASE}
    script = "\n".join(["set -euo pipefail", *parts])
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, in which the tests of the tutorial go on where the one before stopped."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf8").splitlines()]


@pytest.mark.slow
def test_the_tutorial_runs_up_to_the_training_rows(clone: Path) -> None:
    run(clone, scripts(PAGE[:TRAINING]))
    rows = rows_of(clone / "tour/train.jsonl")
    assert len(rows) > 60
    assert {row["scaffold"]["level"] for row in rows} == {0, 2}
    assert [row["zone"] for row in rows_of(clone / "tour/frontier.jsonl")].count("failing") >= 8


@pytest.mark.slow
def test_the_tutorial_trains(clone: Path) -> None:
    run(clone, scripts(PAGE[TRAINING:MEASURING]))
    assert (clone / "tour/m2/result.json").exists()


@pytest.mark.slow
def test_the_tutorial_ends_with_a_gain_and_a_page_to_look_at(clone: Path) -> None:
    run(clone, scripts(PAGE[MEASURING:]))
    mean = next(row for row in rows_of(clone / "tour/comparison.jsonl") if row["benchmark"] == "mean")
    assert mean["low"] > 0
    assert mean["p_value"] < 0.01
    assert (clone / "tour/report.html").stat().st_size > 100_000


def test_the_program_for_tables_of_ones_own_makes_problems(tmp_path: Path) -> None:
    page = blocks((ROOT / "docs/your-data.md").read_text("utf8"))
    table = next(block.text for block in page if block.language == "csv")
    (tmp_path / "questions.csv").write_text(table, "utf8")
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        Image.new("RGB", (32, 32)).save(tmp_path / f"pictures/shape0{number}.png")
    program = next(block.text for block in page if block.language == "python")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    anectl = [sys.executable, "-m", "anectl"]
    subprocess.run([*anectl, "check", "problems.jsonl"], cwd=tmp_path, check=True)
    subprocess.run(
        [*anectl, "import", "table", "questions.csv", "--image-root", "pictures", "-o", "imported.jsonl"],
        cwd=tmp_path,
        check=True,
    )
    assert [row["answer"] for row in rows_of(tmp_path / "imported.jsonl")] == ["4", "B"]


def test_what_is_handed_over_to_other_tools_can_be(tmp_path: Path) -> None:
    problems = problem_rows(tmp_path, 3)
    write_rows(tmp_path / "problems.jsonl", problems)
    example = json.loads((ROOT / "tests/golden/example-1.jsonl").read_text("utf8").splitlines()[0])
    write_rows(tmp_path / "train.jsonl", [example | {"images": problems[0]["images"]}])
    fields = {"pid": "7", "answer": "3", "question_type": "free_form", "answer_type": "integer", "precision": 0.0}
    write_rows(
        tmp_path / "mathvista.jsonl",
        [problems[2] | {"id": "mathvista-7", "source": {"benchmark": "mathvista", "fields": fields}}],
    )
    write_rows(tmp_path / "theirs.jsonl", [{"pid": "7", "response": "The answer is 2."}])
    page = blocks((ROOT / "docs/anectl-or-x.md").read_text("utf8"))
    run(tmp_path, [block.text for block in page if "run" in block.words])
    back = json.loads((tmp_path / "back.jsonl").read_text("utf8"))
    assert back["completion"] == example["completion"]
    profiles = [row["profile"] for row in rows_of(tmp_path / "rescored.jsonl")]
    assert sorted(profiles) == ["lmms-eval", "mathvista", "strict"]
    assert "lf/" not in (tmp_path / "lf/dataset_info.json").read_text("utf8")
