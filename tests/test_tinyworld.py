"""The tiny world: every answer recomputed from the pixels, splits that share no picture, and the shipped base."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anectl.core.records import Problem
from anectl.core.scaffolds import ladder, load_template

TINYWORLD = Path(__file__).parents[1] / "examples" / "tinyworld"
BASE = TINYWORLD / "base"
sys.path.insert(0, str(TINYWORLD))

from tiles import COLOURS, FONT, GLYPH_LEFT, GLYPH_TOP, TILE  # noqa: E402
from world import FAMILIES, MASTERED, main  # noqa: E402

Row = dict[str, Any]
Cells = list[list[tuple[int, str]]]
SMALL = ["--truth", "160", "--pool", "80", "--valid", "16", "--bench", "12"]
ANSWER_TYPES = {
    "digit": "number",
    "larger": "choice",
    "count": "number",
    "order": "boolean",
    "span": "number",
    "total": "number",
    "ladder": "list",
    "champion": "text",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("world")
    main([str(data_dir), "--seed", "3", *SMALL])
    return data_dir


def read_rows(path: Path) -> list[tuple[Path, Row]]:
    """Each row with the path of its picture."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(path.parent / row["images"][0], row) for row in rows]


def all_rows(data_dir: Path) -> list[tuple[Path, Row]]:
    return [row for path in sorted(data_dir.rglob("*.jsonl")) for row in read_rows(path)]


def see_tile(tile: Image.Image) -> tuple[int, str]:
    """Digit and colour of a tile, from its pixels alone."""
    ground = tile.getpixel((0, 0))
    colour = next(name for name, value in COLOURS.items() if value == ground)
    drawn = " ".join(
        "".join("." if tile.getpixel((GLYPH_LEFT + x, GLYPH_TOP + y)) == ground else "#" for x in range(5))
        for y in range(7)
    )
    return next(digit for digit, glyph in FONT.items() if glyph == drawn), colour


def see(path: Path) -> Cells:
    image = Image.open(path)
    side = range(0, image.width, TILE)
    return [[see_tile(image.crop((x, y, x + TILE, y + TILE))) for x in side] for y in side]


def line_of(cells: Cells, question: str) -> list[tuple[int, str]]:
    found = re.search(r"(row|column) (\d)\?", question)
    assert found is not None
    index = int(found[2]) - 1
    return cells[index] if found[1] == "row" else [row[index] for row in cells]


def numbers(question: str) -> list[int]:
    return [int(text) - 1 for text in re.findall(r"\d", question)]


def expect_digit(cells: Cells, row: Row) -> str:
    r, c = numbers(row["question"])
    return str(cells[r][c][0])


def expect_larger(cells: Cells, row: Row) -> str:
    (r1, c1), (r2, c2) = (numbers(choice) for choice in row["choices"])
    first, second = cells[r1][c1][0], cells[r2][c2][0]
    assert first != second, "one of the two must be larger"
    return "A" if first > second else "B"


def expect_count(cells: Cells, row: Row) -> str:
    found = re.search(r"row (\d) are over (\d)", row["question"])
    assert found is not None
    return str(sum(digit > int(found[2]) for digit, _ in cells[int(found[1]) - 1]))


def expect_order(cells: Cells, row: Row) -> str:
    r1, c1, r2, c2 = numbers(row["question"])
    return "yes" if cells[r1][c1][0] > cells[r2][c2][0] else "no"


def expect_span(cells: Cells, row: Row) -> str:
    digits = sorted(digit for digit, _ in line_of(cells, row["question"]))
    return str(digits[-1] - digits[0])


def expect_total(cells: Cells, row: Row) -> str:
    return str(sum(digit for digit, _ in line_of(cells, row["question"])))


def expect_ladder(cells: Cells, row: Row) -> str:
    return ", ".join(sorted(str(digit) for digit, _ in line_of(cells, row["question"])))


def expect_champion(cells: Cells, row: Row) -> str:
    digits = [digit for digit, _ in line_of(cells, row["question"])]
    assert digits.count(max(digits)) == 1, "the largest digit must be alone"
    return ("first", "second", "third", "fourth")[digits.index(max(digits))]


EXPECT: dict[str, Callable[[Cells, Row], str]] = {
    "digit": expect_digit,
    "larger": expect_larger,
    "count": expect_count,
    "order": expect_order,
    "span": expect_span,
    "total": expect_total,
    "ladder": expect_ladder,
    "champion": expect_champion,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_follow_from_the_picture(world: Path, family: str) -> None:
    rows = [(path, row) for path, row in all_rows(world) if row["source"]["family"] == family]
    in_truth = 160 * 4 // 20 if family in MASTERED else 160 // 20
    assert len(rows) == in_truth + (80 + 16) // 8 + 12
    for path, row in rows:
        assert row["answer"] == EXPECT[family](see(path), row), row
        assert row["answer_type"] == ANSWER_TYPES[family]
        assert all((row["tags"], row["solution"]))
        assert len(row["steps"]) >= 2


def test_rows_are_problem_records_with_usable_plans(world: Path) -> None:
    template = load_template(TINYWORLD / "scaffold.yaml")
    plans: dict[str, set[str]] = {}
    for _, row in all_rows(world):
        problem = Problem(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        plan = ladder(problem, template)[2]
        assert "?" in plan
        assert not re.search(r"\d", plan)
        plans.setdefault(row["source"]["family"], set()).add(plan)
    for family in ("span", "total", "ladder", "champion"):
        assert len(plans[family]) == 1, "the plan of one problem must fit its whole family"


def test_no_picture_is_used_twice_and_no_path_leaves_the_folder(world: Path) -> None:
    rows = all_rows(world)
    pictures = {Image.open(path).tobytes() for path, _ in rows}
    assert len(pictures) == len(rows) == 160 + 80 + 16 + 8 * 12
    assert not any(".." in row["images"][0] for _, row in rows)
    assert all(Image.open(path).size == (64, 64) and Image.open(path).mode == "RGB" for path, _ in rows[:20])


def test_same_seed_same_bytes_other_seed_other_pictures(world: Path, tmp_path: Path) -> None:
    main([str(tmp_path / "again"), "--seed", "3", *SMALL])
    main([str(tmp_path / "other"), "--seed", "4", *SMALL])
    names = [path.relative_to(world) for path in sorted(world.rglob("*")) if path.is_file()]
    assert all((tmp_path / "again" / name).read_bytes() == (world / name).read_bytes() for name in names)
    first, other = (Image.open(root / "images/pool-000000.png").tobytes() for root in (world, tmp_path / "other"))
    assert first != other


def test_options_change_the_world(tmp_path: Path) -> None:
    main([str(tmp_path), *SMALL, "--size", "3", "--digits", "5", "--colours", "2", "--line", "row"])
    for path, row in all_rows(tmp_path):
        cells = see(path)
        assert len(cells) == 3
        assert all(digit < 5 and colour in ("red", "green") for line in cells for digit, colour in line)
        assert "column" not in row["source"].get("line", "")
        assert row["answer"] == EXPECT[row["source"]["family"]](cells, row)


def test_too_few_pictures_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="too few pictures"):
        main([str(tmp_path), *SMALL, "--size", "2", "--digits", "2", "--colours", "1"])


def test_generator_needs_no_torch() -> None:
    code = "import sys, world; sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'anectl')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=TINYWORLD, check=False).returncode == 0


@pytest.fixture(scope="module")
def base() -> Any:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    processor = transformers.AutoProcessor.from_pretrained(BASE, padding_side="left")
    return transformers.AutoModelForImageTextToText.from_pretrained(BASE), processor


def write_answers(base: Any, paths: list[Path], texts: list[str]) -> list[str]:
    model, processor = base
    turns = [
        [{"role": "user", "content": [{"type": "image", "image": Image.open(path)}, {"type": "text", "text": text}]}]
        for path, text in zip(paths, texts, strict=True)
    ]
    inputs = processor.apply_chat_template(
        turns,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    output = model.generate(**inputs, max_new_tokens=64, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    return [text.rpartition("Answer: ")[2] for text in processor.batch_decode(output, skip_special_tokens=True)]


def test_base_reads_digits_and_follows_plans_but_knows_no_terms(base: Any, world: Path) -> None:
    digit = read_rows(world / "bench" / "digit.jsonl")
    answers = write_answers(base, [path for path, _ in digit], [row["question"] for _, row in digit])
    assert sum(a == row["answer"] for a, (_, row) in zip(answers, digit, strict=True)) >= 11
    total = read_rows(world / "bench" / "total.jsonl")
    plan = "\nHint: The line reads ? ? ? ?. ? + ? = ?. ? + ? = ?. ? + ? = ?."
    paths, questions = [path for path, _ in total], [row["question"] for _, row in total]
    bare = write_answers(base, paths, questions)
    hinted = write_answers(base, paths, [question + plan for question in questions])
    right = [sum(a == row["answer"] for a, (_, row) in zip(got, total, strict=True)) for got in (bare, hinted)]
    assert right[0] <= 7
    assert right[1] >= 10


def test_base_is_small_plain_and_says_how_it_was_made(base: Any) -> None:
    model, processor = base
    weights = BASE / "model.safetensors"
    assert weights.stat().st_size <= 6_000_000
    assert sum(parameter.numel() for parameter in model.parameters()) <= 1_500_000
    assert "| span |" in (BASE / "README.md").read_text(encoding="utf-8")
    text = "any text, 漢字 and 12,345 \\boxed{7}\n"
    assert processor.tokenizer.decode(processor.tokenizer(text).input_ids) == text
    assert len(processor.tokenizer(" 12 345").input_ids) == 5, "each digit is a token of its own"
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rendered = processor.apply_chat_template(chat, tokenize=False)
    assert rendered == "<|user|>a<end_of_utterance><|assistant|>b<end_of_utterance>"
