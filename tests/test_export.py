"""`anectl export`: the other tools load its rows, `anectl import` gives the records back, and bad rows are named."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from anectl.core.jsonl import decode
from anectl.core.records import Example, Problem
from tests.bad_input import encoded, file_faults, image_faults, write_images
from tests.conftest import ROOT, Cli, problem_rows, write_rows

PARQUET = ("llamafactory", "swift", "easyr1", "verl", "trl")
TO = (*PARQUET, "openai-batch")
MODEL = {"openai-batch": ["--model", "m"]}


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Six problems with 0, 1 and 3 pictures, choices, unknown fields and `<image>` in the text."""
    rows = problem_rows(tmp_path, 6)
    rows[0] |= {"images": [], "question": "Is <image> a tag?", "answer": "yes", "answer_type": "boolean"}
    rows[1] |= {"images": [f"{n}.png" for n in (1, 2, 1)], "source": {"set": "x", "n": 2}, "level": {"a": [1, None]}}
    rows[2] |= {"choices": ["one\n", "שתיים", "🧮"], "answer": "B", "answer_type": "choice"}
    rows[3] |= {"solution": "So it is 3.", "steps": ["It is 3."], "unit": "cm", "precision": 1}
    return write_rows(tmp_path / "mixed.jsonl", rows)


def example_row(number: int) -> dict[str, Any]:
    return {
        "schema": "example/1",
        "problem_id": f"p{number}",
        "prompt": [{"role": "user", "content": f"How many? ({number})"}],
        "completion": [{"role": "assistant", "content": "1 + 2 = 3. \\boxed{3}"}],
        "images": ["0.png"] if number % 2 else [],
        "answer": "3",
        "answer_type": "number",
        "scaffold": {},
        "origin": "anchor/raw",
    }


def pixels(folder: Path, references: tuple[str, ...]) -> list[bytes]:
    return [Image.open(folder / reference).convert("RGB").tobytes() for reference in references]


@pytest.mark.parametrize(
    ("to", "ending"), [("openai-batch", "jsonl"), *product(PARQUET, ["jsonl", "parquet", "inline"])]
)
def test_import_gives_back_what_was_exported(to: str, ending: str, mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    out = "out." + ending.replace("inline", "parquet")
    anectl("export", "--to", to, mixed, "-o", out, *MODEL.get(to, []), *["--inline-images"] * (ending == "inline"))
    anectl("import", to, out, "-o", "back.jsonl")
    before, after = (
        [decode(line, Problem) for line in path.read_bytes().splitlines()] for path in (mixed, tmp_path / "back.jsonl")
    )
    for one, other in zip(before, after, strict=True):
        assert msgspec.structs.replace(one, images=other.images) == other
        assert pixels(tmp_path, one.images) == pixels(tmp_path, other.images)


@pytest.mark.parametrize("to", TO)
def test_examples_come_back_too(to: str, tmp_path: Path, anectl: Cli) -> None:
    problem_rows(tmp_path, 1)
    path = write_rows(tmp_path / "train.jsonl", [example_row(n) for n in range(4)])
    anectl("export", "--to", to, path, "-o", "out.jsonl", *MODEL.get(to, []))
    anectl("import", to, "out.jsonl", "-o", "back.jsonl")
    before, after = (
        [decode(line, Example) for line in file.read_bytes().splitlines()] for file in (path, tmp_path / "back.jsonl")
    )
    assert [msgspec.structs.replace(row, images=()) for row in before] == [
        msgspec.structs.replace(row, images=()) for row in after
    ]
    assert [len(row.images) for row in before] == [len(row.images) for row in after]


def test_the_policy_sees_what_rollout_shows(mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    anectl("export", "--to", "easyr1", mixed, "-o", "out.jsonl", "--instruction", "Answer shortly.")
    row = rows_of(tmp_path / "out.jsonl")[2]
    question = rows_of(mixed)[2]["question"]
    assert row["problem"] == f"<image>{question}\n(A) one\n (B) שתיים (C) 🧮\nAnswer shortly."
    assert (row["answer"], row["images"]) == ("B", ["2.png"])


def test_the_fields_are_those_of_each_tool(mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    rows = {}
    for to in TO:
        anectl("export", "--to", to, mixed, "-o", "out.jsonl", "--plain", *MODEL.get(to, []))
        rows[to] = rows_of(tmp_path / "out.jsonl")[1]
    user = rows["swift"]["messages"][0]["content"]
    assert user.startswith("<image><image><image>Which")
    assert rows["llamafactory"] == {
        "conversations": [{"from": "human", "value": user}, {"from": "gpt", "value": "\\boxed{1}"}],
        "images": ["1.png", "2.png", "1.png"],
    }
    assert rows["swift"].keys() == {"messages", "images", "solution"}
    assert rows["swift"]["solution"] == "\\boxed{1}"
    assert rows["easyr1"].keys() == {"problem", "answer", "images"}
    assert rows["verl"]["prompt"] == [{"role": "user", "content": user}]
    assert rows["verl"]["reward_model"] == {"style": "rule", "ground_truth": "1"}
    assert rows["verl"]["images"][0] == {"image": f"file://{tmp_path.resolve()}/1.png"}
    assert [part["type"] for part in rows["trl"]["prompt"][0]["content"]] == ["image", "image", "image", "text"]
    assert rows["openai-batch"].keys() == {"custom_id", "method", "url", "body"}
    parts = rows["openai-batch"]["body"]["messages"][0]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_paths_are_relative_to_the_output_or_absolute(mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    anectl("export", "--to", "swift", mixed, "-o", "data/out.jsonl")
    assert rows_of(tmp_path / "data/out.jsonl")[2]["images"] == ["../2.png"]
    anectl("export", "--to", "swift", mixed, "-o", "data/out.jsonl", "--absolute")
    assert rows_of(tmp_path / "data/out.jsonl")[2]["images"] == [str(tmp_path.resolve() / "2.png")]


def test_dataset_info_gets_an_entry_and_keeps_the_others(mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    info = tmp_path / "data" / "dataset_info.json"
    info.parent.mkdir()
    info.write_text('{"other": {"file_name": "o.json"}}')
    anectl("export", "--to", "llamafactory", mixed, "-o", "data/mine.jsonl", "--dataset-info", info)
    entries = json.loads(info.read_text())
    assert entries["other"] == {"file_name": "o.json"}
    assert entries["mine"] == {
        "file_name": "mine.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "images"},
    }
    info.write_text("[]")
    failed = anectl("export", "--to", "llamafactory", mixed, "-o", "data/b.jsonl", "--dataset-info", info, ok=False)
    assert "not a dataset_info.json" in failed.stderr


@pytest.mark.parametrize("to", TO)
def test_the_next_step_names_the_file(to: str, mixed: Path, anectl: Cli) -> None:
    done = anectl("export", "--to", to, mixed, "-o", "out.jsonl", *MODEL.get(to, []))
    assert "out.jsonl" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--to", "openai-batch"], "go together"),
        (["--to", "trl", "--model", "m"], "go together"),
        (["--to", "openai-batch", "--model", "m", "-o", "out.parquet"], "JSON Lines"),
        (["--to", "llamafactory", "--inline-images"], "by path"),
        (["--to", "easyr1", "--inline-images", "-o", "out.jsonl"], "by path"),
        (["--to", "swift", "--dataset-info", "x.json", "-o", "out.jsonl"], "llamafactory"),
        (["--to", "llamafactory", "--dataset-info", "x.json"], "-o FILE"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], problem: str, mixed: Path, anectl: Cli) -> None:
    failed = anectl("export", mixed, *arguments, ok=False)
    assert failed.returncode == 2
    assert problem in failed.stderr
    assert not list(mixed.parent.glob("out.*"))


def test_mixed_kinds_are_an_error_with_its_line(tmp_path: Path, anectl: Cli) -> None:
    rows = [example_row(0), {"id": "p", "question": "How many?", "answer": "3", "answer_type": "number"}]
    write_rows(tmp_path / "mixed.jsonl", rows)
    failed = anectl("export", "--to", "trl", "mixed.jsonl", "-o", "out.jsonl", ok=False)
    assert "mixed.jsonl:2: problem/1 among rows of example/1" in failed.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_batch_needs_a_name_per_request(tmp_path: Path, anectl: Cli) -> None:
    write_rows(tmp_path / "twice.jsonl", [row | {"id": "p"} for row in problem_rows(tmp_path, 2)])
    failed = anectl("export", "--to", "openai-batch", "twice.jsonl", "--model", "m", ok=False)
    assert "twice.jsonl:2: duplicate id 'p', first seen at twice.jsonl:1" in failed.stderr


def test_an_image_without_a_file_of_its_own_must_be_in_the_row(tmp_path: Path, anectl: Cli) -> None:
    uri = "data:image/png;base64,iVBORw0KGgo="
    (row,) = problem_rows(tmp_path, 1)
    write_rows(tmp_path / "uri.jsonl", [row | {"images": [uri]}])
    failed = anectl("export", "--to", "swift", "uri.jsonl", ok=False)
    assert "not a file of its own" in failed.stderr
    assert json.loads(anectl("export", "--to", "swift", "uri.jsonl", "--inline-images").stdout)["images"] == [uri]
    batch = json.loads(anectl("export", "--to", "openai-batch", "uri.jsonl", "--model", "m").stdout)
    assert batch["body"]["messages"][0]["content"][0]["image_url"]["url"] == uri


def test_a_prompt_that_opens_the_answer_is_told(tmp_path: Path, anectl: Cli) -> None:
    row = example_row(0)
    row["prompt"].append({"role": "assistant", "content": "1 + 2"})
    row["completion"][0]["content"] = " = 3. \\boxed{3}"
    write_rows(tmp_path / "opened.jsonl", [row])
    done = anectl("export", "--to", "llamafactory", "opened.jsonl")
    assert json.loads(done.stdout)["conversations"][1]["value"] == "1 + 2 = 3. \\boxed{3}"
    assert "1 prompts open the answer" in done.stderr
    assert "does not end with a user turn" in anectl("export", "--to", "verl", "opened.jsonl", ok=False).stderr


# An export reads images and looks how they begin; whether they decode is the business of `anectl check`.
UNSEEN = {"truncated image", "bomb image"}


@pytest.mark.parametrize("kind", ["problem", "example"])
def test_broken_files_are_named_and_nothing_is_half_written(kind: str, tmp_path: Path, anectl: Cli) -> None:
    for fault in [*file_faults(kind), *image_faults()]:
        if fault.name in UNSEEN:
            continue
        folder = tmp_path / fault.name.replace(" ", "-")
        folder.mkdir()
        write_images(folder)
        path = folder / "broken.jsonl"
        fault.build(path, *encoded(kind))
        failed = anectl("export", "--to", "trl", path, "-o", folder / "out.parquet", "--inline-images", ok=False)
        place = str(path) if fault.line is None else f"{path}:{fault.line}"
        assert f"error: {place}" in failed.stderr, fault.name
        assert not list(folder.glob("out.parquet*")), fault.name


def test_bad_rows_can_be_left_out(mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    rows = rows_of(mixed)
    rows[1]["images"] = ["none.png"]
    write_rows(mixed, rows)
    anectl("export", "--to", "verl", mixed, "-o", "out.parquet", "--inline-images", "--on-error", "skip")
    (reject,) = rows_of(tmp_path / "out.parquet.rejects.jsonl")
    assert (reject["line"], "not found" in reject["problem"]) == (2, True)
    manifest = json.loads((tmp_path / "out.parquet.manifest.json").read_text())
    assert (manifest["counts"]["kept"], manifest["counts"]["rejected"]) == (5, 1)


def test_help_ends_with_an_example(anectl: Cli) -> None:
    assert "Example: anectl export --to llamafactory" in anectl("export", "--help").stdout


def test_a_reader_that_has_enough_is_no_error(mixed: Path) -> None:
    command = f"{sys.executable} -m anectl export --to swift {mixed} --image-root {mixed.parent} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0
    assert json.loads(done.stdout)["messages"][0]["role"] == "user"


@pytest.mark.parametrize("to", PARQUET)
def test_datasets_loads_the_rows(to: str, mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    import datasets

    def load(kind: str, name: str) -> Any:
        return datasets.load_dataset(kind, data_files=str(tmp_path / name), split="train", cache_dir=tmp_path / "cache")

    anectl("export", "--to", to, mixed, "-o", "out.jsonl")
    anectl("export", "--to", to, mixed, "-o", "out.parquet")
    anectl("export", "--to", to, mixed, "-o", "inline.parquet", "--inline-images")
    assert [len(row["images"]) for row in load("json", "out.jsonl")] == [0, 3, 1, 1, 1, 1]
    # Parquet writes out that the image part of a message has no text.
    assert str(list(load("parquet", "out.parquet"))).replace(", 'text': None", "") == str(
        list(load("json", "out.jsonl"))
    )
    pictures = [row["images"] for row in load("parquet", "inline.parquet")]
    assert [picture.size for picture in pictures[1]] == [(64, 64)] * 3
    assert pictures[0] == []
    assert pictures[2][0].convert("RGB").tobytes() == pixels(tmp_path, ("2.png",))[0]


def test_trl_formats_the_rows(mixed: Path, tmp_path: Path, anectl: Cli) -> None:
    from transformers import AutoProcessor
    from trl.data_utils import apply_chat_template, is_conversational, prepare_multimodal_messages

    processor = AutoProcessor.from_pretrained(ROOT / "examples/tinyworld/base")
    anectl("export", "--to", "trl", mixed, "-o", "out.jsonl")
    for row in rows_of(tmp_path / "out.jsonl"):
        assert is_conversational(row)
        images = [Image.open(tmp_path / name) for name in row["images"]]
        messages = prepare_multimodal_messages(row["prompt"], images)
        assert sum(part["type"] == "image" for part in messages[0]["content"]) == len(images)
        shown = apply_chat_template({"prompt": row["prompt"], "completion": row["completion"]}, processor)
        # The placeholder of this model is `<image>` itself: one that is only text must not count as one.
        assert shown["prompt"].count("<image>") == len(images)
        assert "\\boxed{" in shown["completion"]
