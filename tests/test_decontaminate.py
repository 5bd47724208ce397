"""anectl decontaminate: leaks leave with the row they match, everything else comes through as it was."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from anectl.core.ngrams import tokens
from anectl.core.planted_leaks import altered
from tests.conftest import Cli, write_rows

LONG = (
    "A farmer has {} sheep and {} goats, sells half of the sheep on Monday, and buys {} hens. How many animals remain?"
)


def picture(path: Path, seed: int) -> Image.Image:
    rng = random.Random(seed)
    image = Image.new("RGB", (120, 90), tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(10):
        left, top = rng.randrange(120), rng.randrange(90)
        pen.rectangle((left, top, left + 30, top + 25), fill=tuple(rng.randrange(256) for _ in range(3)))
    image.save(path)
    return image


def problem(name: str, question: str, answer: str = "4", **fields: Any) -> dict[str, Any]:
    return {"schema": "problem/1", "id": name, "question": question, "answer": answer, "answer_type": "number"} | fields


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two benchmark files: six questions of one template about pictures, and two without a picture."""
    folder = tmp_path / "bench"
    folder.mkdir()
    rows = []
    for number in range(6):
        picture(folder / f"{number}.png", number)
        rows.append(problem(f"b{number}", f"How many red tiles are in row {number}?", images=[f"{number}.png"]))
    write_rows(folder / "tiles.jsonl", rows)
    choices = {"choices": ["Rome", "Paris", "Oslo"], "answer_type": "choice"}
    words = [problem("w0", LONG.format(12, 7, 3), "16"), problem("w1", "Capital of France?", "B", **choices)]
    write_rows(folder / "words.jsonl", words)
    return folder


def test_leaks_leave_with_the_row_they_match(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    picture(tmp_path / "new.png", 77)
    copy = altered(Image.open(bench / "2.png").convert("RGB"), "cropped", random.Random(0)).ref
    swapped = {"choices": ["Oslo", "Rome", "Paris"], "answer_type": "choice"}
    rows = [
        problem("kept", "How many red tiles are in row 2?", images=["new.png"], licence="mine"),
        problem("copied", "What colour is on top?", "red", answer_type="text", images=[copy]),
        problem("worded", LONG.format("twelve", "seven", "three"), "16"),
        problem("swapped", "capital of France", "C", **swapped),
        problem("other", "Capital of Norway?", "A", **swapped),
    ]
    rows[0]["unknown"] = 1
    write_rows(tmp_path / "rows.jsonl", rows)
    done = anectl("decontaminate", "rows.jsonl", "--against", "bench", "-o", "clean.jsonl")
    kept = rows_of(tmp_path / "clean.jsonl")
    assert [row["id"] for row in kept] == ["kept", "other"]
    assert (kept[0]["unknown"], kept[0]["images"]) == (1, ["new.png"])
    leaks = rows_of(tmp_path / "clean.jsonl.rejects.jsonl")
    matches = [(leak["line"], leak["reason"], leak["match"]["id"], leak["match"]["line"]) for leak in leaks]
    assert matches == [(2, "image", "b2", 3), (3, "exact", "w0", 1), (4, "exact", "w1", 2)]
    assert leaks[0]["match"]["path"].endswith("tiles.jsonl")
    assert "bench/tiles.jsonl:3 b2" in leaks[0]["problem"]
    assert json.loads(leaks[1]["row"])["id"] == "worded"
    manifest = json.loads((tmp_path / "clean.jsonl.manifest.json").read_text())
    assert manifest["counts"]["dropped"] == {"leak: image": 1, "leak: exact": 2}
    assert manifest["notes"]["leaks"]["benchmark_rows"] == 3
    assert manifest["notes"]["against"] == {"bench/tiles.jsonl": 6, "bench/words.jsonl": 2}
    assert "3 dropped" in done.stderr or "2 dropped (leak: exact)" in done.stderr


def test_n_grams_find_what_was_written_around(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    middle = LONG.format(12, 7, 3).replace("How many animals remain?", "Now tell me the number of animals.")
    short = "Yesterday: a farmer has 12 sheep and 7 goats, sells half of the lot."
    write_rows(tmp_path / "rows.jsonl", [problem("around", middle), problem("short", short), problem("free", "2+2?")])
    anectl("decontaminate", "rows.jsonl", "--against", "bench/words.jsonl", "-o", "a.jsonl", "--checks", "overlap")
    assert [row["id"] for row in rows_of(tmp_path / "a.jsonl")] == ["short", "free"]
    options = ("--strict", "--min-overlap", "0.2", "--checks", "overlap")
    anectl("decontaminate", "rows.jsonl", "--against", "bench/words.jsonl", "-o", "b.jsonl", *options)
    assert [row["id"] for row in rows_of(tmp_path / "b.jsonl")] == ["free"]


def test_one_question_with_many_sets_of_choices_is_told_apart(anectl: Cli, tmp_path: Path) -> None:
    asked = {"answer_type": "choice"}
    rows = [
        problem(f"b{number}", "Which is the largest?", "C", choices=[str(number), "500", str(900 + number)], **asked)
        for number in range(60)
    ]
    write_rows(tmp_path / "bench.jsonl", rows)
    leaked = problem("leaked", "Which is the largest?", "A", choices=["955", "fifty-five", "500"], **asked)
    other = problem("other", "Which is the largest?", "A", choices=["999", "55", "500"], **asked)
    write_rows(tmp_path / "rows.jsonl", [leaked, other])
    anectl("decontaminate", "rows.jsonl", "--against", "bench.jsonl", "-o", "clean.jsonl", "--checks", "exact")
    assert [row["id"] for row in rows_of(tmp_path / "clean.jsonl")] == ["other"]
    assert rows_of(tmp_path / "clean.jsonl.rejects.jsonl")[0]["match"]["id"] == "b55"


def test_checks_can_be_switched_off(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows_of(bench / "words.jsonl"))
    done = anectl("decontaminate", "rows.jsonl", "--against", "bench", "--checks", "image,pair,embedding")
    assert len(done.stdout.splitlines()) == 2
    anectl("decontaminate", "rows.jsonl", "--against", "bench", "--checks", "words", ok=False)


def test_a_leaking_anchor_goes_and_its_row_stays(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    picture(tmp_path / "new.png", 77)
    near = problem("b1", "How many red tiles are in row 1?", images=["bench/1.png"])
    far = problem("far", "How many red tiles are in row 1?", images=["new.png"])
    anchors = [
        {"id": one["id"], "rank": rank, "score": 1.0, "why": {}, "problem": one}
        for rank, one in enumerate([near, far], 1)
    ]
    row = {
        "schema": "anchored/1",
        "problem": problem("mine", "Why?", images=["new.png"]),
        "policy": "p",
        "sampling": {},
        "completions": [],
        "zone": "failing",
        "posterior": {"a": 1, "b": 1, "low": 0, "high": 1, "confidence": 1},
        "anchors": anchors,
    }
    leaking = row | {"problem": problem("leaked", "Why?", images=["bench/0.png"])}
    write_rows(tmp_path / "rows.jsonl", [row, leaking])
    anectl("decontaminate", "rows.jsonl", "--against", "bench", "-o", "clean.jsonl")
    (kept,) = rows_of(tmp_path / "clean.jsonl")
    assert kept["schema"] == "anchored/1"
    assert [(anchor["id"], anchor["rank"]) for anchor in kept["anchors"]] == [("far", 1)]
    leaks = rows_of(tmp_path / "clean.jsonl.rejects.jsonl")
    assert [(leak["line"], leak["match"]["id"]) for leak in leaks] == [(1, "b1"), (2, "b0")]
    assert leaks[0]["problem"].startswith("anchor b1: leak (pair)")
    manifest = json.loads((tmp_path / "clean.jsonl.manifest.json").read_text())
    assert manifest["counts"]["kept"] == 1
    assert manifest["notes"]["leaks"]["anchors"]["pair"] == 1


def test_generated_targets_are_searched(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    said = "It is like this one: " + LONG.format(12, 7, 3)
    row = {
        "schema": "example/1",
        "problem_id": "mine",
        "prompt": [{"role": "user", "content": "Add them."}],
        "completion": [{"role": "assistant", "content": said}],
        "answer": "9",
        "answer_type": "number",
        "scaffold": {},
        "origin": "anchor/raw",
    }
    free = row | {"completion": [{"role": "assistant", "content": "4 + 5 = 9."}]}
    write_rows(tmp_path / "rows.jsonl", [row, free])
    anectl("decontaminate", "rows.jsonl", "--against", "bench", "-o", "clean.jsonl")
    (kept,) = rows_of(tmp_path / "clean.jsonl")
    assert kept["completion"][0]["content"] == "4 + 5 = 9."
    assert rows_of(tmp_path / "clean.jsonl.rejects.jsonl")[0]["reason"] == "overlap"


@pytest.mark.parametrize("own", [{"images": ["new.png"]}, {"choices": ["u", "v"], "answer_type": "choice"}])
def test_what_a_solution_quotes_is_a_leak_whatever_its_own_question(
    anectl: Cli, bench: Path, tmp_path: Path, own: dict[str, Any]
) -> None:
    picture(tmp_path / "new.png", 77)
    choices = {"choices": ["16", "17"], "answer_type": "choice"}
    write_rows(bench / "words.jsonl", [problem("w0", LONG.format(12, 7, 3), "A", **choices)])
    row = problem("quotes", "And here?", "B", solution=f"Recall: {LONG.format(12, 7, 3)} B.", **own)
    write_rows(tmp_path / "rows.jsonl", [row, problem("free", "And here?", "B", **own)])
    anectl("decontaminate", "rows.jsonl", "--against", "bench", "-o", "clean.jsonl")
    assert [kept["id"] for kept in rows_of(tmp_path / "clean.jsonl")] == ["free"]
    (leak,) = rows_of(tmp_path / "clean.jsonl.rejects.jsonl")
    assert (leak["reason"], leak["match"]["id"]) == ("overlap", "w0")


def test_of_many_rows_with_one_picture_the_one_that_asks_the_same_is_named(
    anectl: Cli, bench: Path, tmp_path: Path
) -> None:
    rows = [problem(f"s{n}", f"What is in row {n}?", str(n), images=["0.png"]) for n in range(150)]
    write_rows(bench / "shared.jsonl", rows)
    here = {"images": ["bench/0.png"]}
    asked = [
        problem("a", "what is in row 140", "140", **here),
        problem("b", "Hm", "x", answer_type="text", images=here["images"]),
    ]
    write_rows(tmp_path / "rows.jsonl", asked)
    anectl("decontaminate", "rows.jsonl", "--against", "bench/shared.jsonl", "-o", "clean.jsonl")
    leaks = rows_of(tmp_path / "clean.jsonl.rejects.jsonl")
    assert [(leak["reason"], leak["match"]["id"]) for leak in leaks] == [("pair", "s140"), ("image", "s0")]


def test_a_benchmark_named_twice_is_read_once(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    picture(tmp_path / "bench" / "drawn.png", 78)
    picture(tmp_path / "anew.png", 79)
    write_rows(bench / "drawn.jsonl", [problem("d", LONG.format(1, 2, 3), images=["drawn.png"])])
    write_rows(tmp_path / "rows.jsonl", [problem("anew", LONG.format(1, 2, 3), images=["anew.png"])])
    twice = ("--against", "bench/drawn.jsonl", "--against", "./bench/drawn.jsonl")
    done = anectl("decontaminate", "rows.jsonl", *twice)
    assert not done.stdout
    assert "1 benchmark rows of 1 files" in done.stderr


def test_a_pattern_with_two_stars_goes_into_all_folders(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [problem("worded", LONG.format(12, 7, 3), "16")])
    done = anectl("decontaminate", "rows.jsonl", "--against", "bench/**/*.jsonl")
    assert not done.stdout


def test_a_search_by_nothing_is_refused(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [problem("a", "2+2?")])
    done = anectl("decontaminate", "rows.jsonl", "--against", "bench", "--checks", "embedding", ok=False)
    assert "--embedder" in done.stderr


def test_a_damaged_picture_in_a_self_test_has_its_place(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    (bench / "3.png").write_bytes(b"no picture")
    write_rows(tmp_path / "rows.jsonl", [problem("a", "2+2?")])
    options = ("--against", "bench/tiles.jsonl", "--checks", "exact", "--self-test")
    done = anectl("decontaminate", "rows.jsonl", *options, ok=False)
    assert "bench/tiles.jsonl:4: " in done.stderr


def test_the_self_test_reports_and_writes_no_rows(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    picture(tmp_path / "new.png", 77)
    write_rows(tmp_path / "rows.jsonl", [problem("kept", "How many?", images=["new.png"])])
    done = anectl("decontaminate", "rows.jsonl", "--against", "bench", "--self-test", "--plants", "3")
    assert done.stdout == ""
    for kind in ("exact", "numbers", "jpeg", "cropped", "recoloured", "choices"):
        assert f"planted: {kind}" in done.stderr
    assert "100.0%" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"bench", "new.png", "rows.jsonl"}
    anectl("decontaminate", "rows.jsonl", "--against", "bench", "--self-test", "-o", "x.jsonl", ok=False)


def test_bad_rows_are_named_or_left_out(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    good = problem("good", "Free?")
    lines = [
        json.dumps(good),
        '{"schema": "problem/1", "id": "torn", "quest',
        json.dumps(good | {"id": "typed", "answer": 4}),
        json.dumps(good),
        json.dumps(good | {"id": "lost", "images": ["nowhere.png"]}),
        json.dumps(good | {"schema": "score/1"}),
        json.dumps(good | {"schema": "problem/9"}),
        json.dumps(good | {"id": "last"}),
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "text.png").write_text("no image")
    command = ("decontaminate", "rows.jsonl", "--against", "bench", "-o", "clean.jsonl")
    assert "rows.jsonl:2" in anectl(*command, ok=False).stderr
    assert not (tmp_path / "clean.jsonl").exists()
    anectl(*command, "--on-error", "skip")
    assert [row["id"] for row in rows_of(tmp_path / "clean.jsonl")] == ["good", "last"]
    assert [row["line"] for row in rows_of(tmp_path / "clean.jsonl.rejects.jsonl")] == [2, 3, 4, 5, 6, 7]
    write_rows(tmp_path / "rows.jsonl", [good | {"images": ["text.png"]}, good | {"id": "last"}])
    anectl(*command, "--on-error", "skip")
    assert [row["id"] for row in rows_of(tmp_path / "clean.jsonl")] == ["last"]


def test_a_bad_benchmark_ends_the_run_with_its_place(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [problem("good", "Free?")])
    write_rows(bench / "zzz.jsonl", [problem("b", "Lost?", images=["nowhere.png"])])
    assert "bench/zzz.jsonl:1" in anectl("decontaminate", "rows.jsonl", "--against", "bench", ok=False).stderr
    (bench / "nowhere.png").write_text("no image")
    assert "bench/zzz.jsonl:1" in anectl("decontaminate", "rows.jsonl", "--against", "bench", ok=False).stderr
    assert "no such benchmark" in anectl("decontaminate", "rows.jsonl", "--against", "none/*.jsonl", ok=False).stderr
    (tmp_path / "empty.jsonl").touch()
    assert "no rows" in anectl("decontaminate", "empty.jsonl", "--against", "bench/words.jsonl", ok=False).stderr


def test_a_pattern_that_the_shell_has_spread_is_refused(anectl: Cli, bench: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [problem("good", "Free?")])
    spread = ("decontaminate", "rows.jsonl", "--against", "bench/tiles.jsonl", "bench/words.jsonl")
    assert "quote the pattern" in anectl(*spread, ok=False).stderr
    done = anectl("decontaminate", "rows.jsonl", "--against", "bench/*.jsonl")
    assert json.loads(done.stdout)["id"] == "good"
    both = anectl("decontaminate", "bench/words.jsonl", "--against", "bench/words.jsonl", ok=False)
    assert "both an input and a benchmark" in both.stderr


def test_an_embedder_finds_a_near_question(anectl: Cli, bench: Path, tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [*rows_of(bench / "words.jsonl"), problem("free", "Which digit is in row 2?")])
    options = ("--checks", "embedding", "--embedder", f"policy:{tiny_model}", "--text-cosine", "0.9999")
    anectl("decontaminate", "rows.jsonl", "--against", "bench/words.jsonl", "-o", "clean.jsonl", *options)
    leaks = rows_of(tmp_path / "clean.jsonl.rejects.jsonl")
    assert [(leak["reason"], leak["match"]["id"]) for leak in leaks] == [("embedding", "w0"), ("embedding", "w1")]
    assert tokens(rows_of(tmp_path / "clean.jsonl")[0]["question"])[:2] == ("which", "digit")
