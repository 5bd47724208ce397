"""Benchmarks come in by their published schema: answers by type, images once, bad rows named, nothing lost."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError, RowError
from anectl.core.formats import BENCHMARKS, load_format
from anectl.core.formats.answers import unboxed
from anectl.core.formats.marks import place_marks
from anectl.core.formats.nearest import nearest
from anectl.core.formats.options import drawn_choices, letter_of, letters_in, parse_list, split_options
from anectl.core.formats.rows import published
from anectl.core.grading import grade
from anectl.core.image_store import ImageStore
from anectl.core.images import ImageRoot
from anectl.core.jsonl import decode
from anectl.core.records import Problem
from anectl.core.table_files import files_of
from tests.format_rows.benchmarks import CASES, as_tsv, image, png

Rows = list[dict[str, Any]]


class Names:
    """An image sink that stores nothing."""

    def put(self, image: object) -> str:
        return f"{abs(hash(str(image)))}.png"


def imported(*arguments: object, input: str = "") -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], input=input)


def problems_in(path: Path) -> list[Problem]:
    return [decode(line, Problem) for line in path.read_bytes().splitlines()]


def failure(result: Result) -> AnectlError:
    assert isinstance(result.exception, AnectlError), result.exception
    return result.exception


def to_parquet(path: Path, rows: Rows, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def to_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chart(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "human_test",
        "question": f"How many? ({number})",
        "answer": str(number),
        "image": image(number % 256),
        **fields,
    }


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_published_row_becomes_the_problem_its_schema_means(name: str) -> None:
    form = load_format(name)
    assert form.to_record is not None
    for row, wanted in CASES[name]:
        assert form.required <= row.keys()
        problem = form.to_record(row, Names())
        assert isinstance(problem, Problem)
        assert {field: getattr(problem, field) for field in wanted} == wanted
        assert problem.id.startswith(f"{name}-")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_published_field_but_image_data_stays_as_it_was(name: str) -> None:
    for row, _ in CASES[name]:
        problem = load_format(name).to_record(row, Names())  # type: ignore[misc]
        assert problem.source["benchmark"] == name
        fields = problem.source["fields"]
        for field, value in row.items():
            is_image = isinstance(value, dict) and "bytes" in value
            assert (field not in fields) if is_image or field == "images" else value is None or fields[field] == value
        json.dumps(fields, allow_nan=False)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_published_answer_is_right_under_strict_grading(name: str) -> None:
    for row, _ in CASES[name]:
        problem = load_format(name).to_record(row, Names())  # type: ignore[misc]
        assert isinstance(problem, Problem)
        # In brackets a letter is a letter, also where it is the text of another choice.
        answer = f"({problem.answer})" if problem.answer_type == "choice" else problem.answer
        if problem.answer_type == "choices":
            answer = " and ".join(f"({letter})" for letter in problem.answer.split(", "))
        unit = f" {problem.unit}" if problem.unit else ""
        assert grade(f"So it is \\boxed{{{answer}{unit}}}.", "stop", problem).correct


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("mathvista", {"answer": None}, "'answer' is empty"),
        ("mathvista", {"question": float("nan")}, "'question' is empty"),
        ("mathvista", {"question": ["no", "text"]}, "'question' is list, not text"),
        ("mathvista", {"precision": 0.5}, "'precision': '0.5' is no count"),
        ("mathvista", {"answer_type": "interval"}, "'answer_type': unknown value 'interval'"),
        ("mathvista", {"question_type": "multi_choice", "choices": ["1", "2"]}, "'answer': '3' is none of the 2"),
        ("mathvista", {"question_type": "multi_choice", "choices": [{}]}, "'choices' is not a list of texts"),
        ("mathverse", {"answer": "G"}, "'answer': 'G' is none of the 4 choices"),
        ("wemath", {"option": "none"}, "'option' is no list of options"),
        ("mmmu", {"options": "__import__('os').getcwd()"}, "'options' is not the text of a list"),
        ("mmmu", {"options": "[" * 5000}, "'options' is not the text of a list"),
        ("mmmu", {"answer": "?"}, "'answer': '?' is none of the 4 choices"),
        ("mmbench", {"answer": "nan"}, "'answer' is empty"),
        ("mmbench", {"B": "nan", "C": "a pen"}, "an option is missing before the last"),
        ("ai2d", {"answer": "3"}, "'answer': '3' is no index of the 3 options"),
        ("ai2d", {"answer": "-1"}, "'answer': '-1' is no index"),
        ("scienceqa", {"answer": True}, "'answer': 'True' is no index"),
        ("scienceqa", {"choices": None}, "is no index of the 0 choices"),
        ("mathv360k", {"conversations": [{"from": "human", "value": "x"}]}, "found 1 turns"),
        ("mathv360k", {"conversations": "x"}, "'conversations' is not a list of turns"),
        ("mmk12", {"question": None}, "neither a field 'question' nor one user turn"),
        ("virl39k", {"answer": "\\boxed{}"}, "the row has no answer"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_by_field(name: str, change: dict[str, Any], complaint: str) -> None:
    form = load_format(name)
    row = CASES[name][0].row | change
    with pytest.raises(RowError) as error:
        form.to_record(row, Names())  # type: ignore[misc]
    assert complaint in error.value.problem


@pytest.mark.parametrize(
    ("question", "others", "numbers", "expected"),
    [
        ("<image>\nHow many?", (), [1], ("How many?", ())),
        ("How many?\n<image1>", (), [1], ("How many?", ())),
        ("<image><image>Which?", (), [1, 2], ("Which?", ())),
        ("See <image 1> and <image 2>.", (), [1, 2], ("See [image 1] and [image 2].", ())),
        ("<image 1> or <image 2>?", (), [1, 2], ("or [image 2]?", ())),
        ("From <image> to <image>", (), [1, 2], ("From [image 1] to", ())),
        ("<image 2> before <image 1>", (), [1, 2], ("[image 2] before [image 1]", ())),
        ("Which?", ("<image 1>", "<image 2>"), [1, 2], ("Which?", ("[image 1]", "[image 2]"))),
        ("<image 1> Which?", ("<image 1>",), [1], ("[image 1] Which?", ("[image 1]",))),
        ("<image1> a <image7>", (), [1], ("[image 1] a [image 7]", ())),
        ("What does the tag <image> do?", ("<image>",), [], ("What does the tag <image> do?", ("<image>",))),
        ("Is <imagery> a tag?", (), [1], ("Is <imagery> a tag?", ())),
    ],
)
def test_image_marks_become_words_and_those_at_the_ends_go(
    question: str, others: tuple[str, ...], numbers: list[int], expected: tuple[str, tuple[str, ...]]
) -> None:
    assert place_marks(question, others, numbers) == expected


@given(st.text("ab <>image123\n", max_size=40), st.integers(0, 4))
def test_marks_never_outlive_images_and_other_text_stays(text: str, count: int) -> None:
    placed, _ = place_marks(text, (), range(1, count + 1))
    if not count:
        assert placed == text
    elif "<image" not in text:
        assert placed == text.strip()
    else:
        assert "<image>" not in placed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Q (A) 1 (B) 2", ("Q", ("1", "2"))),
        ("Q\nOptions: A: x, B: y: z, C: A", ("Q", ("x", "y: z", "A"))),
        ("A. 1;B. 2;C. B", ("", ("1", "2", "B"))),
        ("Q A) 10 B) 12 C) 14", ("Q", ("10", "12", "14"))),
        ("By (A) and (B), which? Choices: (A) both (B) none", ("By (A) and (B), which?", ("both", "none"))),
        ("Q (A) the first (B) both (A) and (C) (C) none", ("Q", ("the first", "both (A) and", "(C) none"))),
        ("Which of A and B?", None),
        ("Q (A) (B) 2", None),
        ("Q (B) 1 (C) 2", None),
        ("", None),
    ],
)
def test_options_are_cut_out_of_a_question(text: str, expected: tuple[str, tuple[str, ...]] | None) -> None:
    assert split_options(text) == expected


@given(
    st.lists(st.text("xyz0 +", min_size=1, max_size=6).filter(str.strip), min_size=2, max_size=9),
    st.sampled_from(["({}) ", "{}. ", "{}: "]),
)
def test_options_that_were_written_out_are_read_back(options: list[str], style: str) -> None:
    written = "\n".join(style.format(chr(ord("A") + i)) + option for i, option in enumerate(options))
    assert split_options(f"Which?\n{written}") == ("Which?", tuple(option.strip() for option in options))


def test_long_texts_take_no_long_time() -> None:
    for text in ("(A) " * 100_000, "(A) x (B) y " * 40_000, "A: " * 100_000, "<image " * 60_000, "\\boxed{" * 60_000):
        started = time.process_time()
        split_options(text)
        place_marks(text, (), [1])
        unboxed(text)
        letters_in(text)
        assert time.process_time() - started < 10, text[:12]  # quadratic time would be minutes


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Which (A, B, C, or D)?", "B", "ABCD"),
        ("Select from A-F.", "B", "ABCDEF"),
        ("Options A to C?", "B", "ABC"),
        ("Which one?", "F", "ABCDEF"),
        ("Which one?", "A", "ABCD"),
    ],
)
def test_choices_in_the_picture_are_as_many_as_the_question_says(question: str, answer: str, expected: str) -> None:
    assert drawn_choices(question, (answer,)) == tuple(expected)


def test_a_letter_wins_over_the_text_of_another_choice() -> None:
    assert letter_of("B", ("B", "A")) == "B"
    assert letter_of("a", ("b", "a")) == letter_of("b", ("x", "y")) == "B"
    assert letter_of("7", ("6", "7")) == "B"
    assert letters_in("(A), c") == ("A", "C")
    assert letters_in("3") is None


def test_lists_in_text_are_literals_only() -> None:
    assert parse_list("['a', \"b's\", 3]", field="options") == ("a", "b's", "3")
    for hostile in ("[f(1)]", "['a' for x in y]", "{'a'}", "[[1]]", "[b'x']", "['" + "x" * 200_000 + "']"):
        with pytest.raises(RowError):
            parse_list(hostile, field="options")


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("\\boxed{5}", "5"),
        ("$\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
        ("\\boxed{5} cm", "\\boxed{5} cm"),
        ("\\boxed{5", "\\boxed{5"),
        ("5", "5"),
    ],
)
def test_only_an_answer_that_is_one_box_is_taken_out_of_it(text: str, inner: str) -> None:
    assert unboxed(text) == inner


def test_published_fields_are_json_without_pictures() -> None:
    row = {
        "a": float("nan"),
        "image": "x" * 5000,
        "images": [image(1)],
        "deep": {"list": [1, {"bytes": b""}], "b": b"1"},
        "path": "a.png",
    }
    assert published(row, ("image",)) == {"a": None, "deep": {}, "path": "a.png"}


def test_the_nearest_format_is_the_one_whose_fields_are_all_there() -> None:
    for name in ("mathvista", "wemath", "virl39k", "mmmu", "mathverse"):
        assert nearest(frozenset(CASES[name][0].row)) == name
    assert nearest(frozenset({"colour"})) is None


def test_equal_images_are_stored_once_and_keep_their_bytes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 5)).save(buffer, "JPEG", quality=11)
    jpeg = buffer.getvalue()
    store = ImageStore(tmp_path / "pictures", tmp_path / "p.jsonl")
    uri = "data:image/png;base64," + base64.b64encode(jpeg).decode()
    given = [jpeg, {"bytes": jpeg, "path": "a.png"}, uri, base64.b64encode(jpeg).decode(), memoryview(jpeg)]
    references = {store.put(value) for value in given}
    (reference,) = references
    assert reference.startswith("pictures/")
    assert reference.endswith(".jpg")  # by the true format, whatever the table says
    assert ImageRoot().resolve(reference, str(tmp_path / "p.jsonl")).read() == jpeg
    assert len([path for path in (tmp_path / "pictures").rglob("*") if path.is_file()]) == store.num_stored == 1


def _huge_png() -> bytes:
    """A PNG whose header claims 60,000 by 60,000 pixels; the checksum of the header is right."""
    data = png(1)
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (b"no image", "cannot be opened"),
        (b"", "cannot be opened"),
        (None, "expected an image"),
        (7, "expected an image"),
        ({"bytes": None, "path": None}, "expected an image"),
        ("missing.png", "not found"),
        ("../secret.png", "outside the image root"),
        ("link.png", "outside the image root"),
        ("/etc/hosts", "outside the image root"),
        ("file:///etc/hosts", "outside the image root"),
        ("http://example.org/a.png", "is remote"),
        ("data:text/plain;base64,AAAA", "must be data:image"),
        ("x" * 5000 + ".png", "found a text of 5004 characters"),
        ("text.png", "cannot be opened"),
        (_huge_png(), "pixels"),
    ],
)
def test_what_is_no_image_or_not_to_be_opened_is_refused(value: object, complaint: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret.png").write_bytes(png(3))
    (source / "link.png").symlink_to(tmp_path / "secret.png")
    (source / "text.png").write_text("no picture")
    store = ImageStore(tmp_path / "pictures", tmp_path / "p.jsonl", [source])
    with pytest.raises(RowError, match=complaint):
        store.put(value)


def test_images_that_the_output_can_name_stay_where_they_are_and_others_are_copied(tmp_path: Path) -> None:
    for folder in ("out", "elsewhere"):
        (tmp_path / folder / "images").mkdir(parents=True)
        (tmp_path / folder / "images" / "1.png").write_bytes(png(1))
        with zipfile.ZipFile(tmp_path / folder / "images.zip", "w") as archive:
            archive.writestr("images/2.png", png(2))
    output = tmp_path / "out" / "p.jsonl"
    with ImageStore(tmp_path / "out" / "p-images", output, [tmp_path / "out"]) as store:
        assert store.put("images/1.png") == "images/1.png"
        assert store.put("./images/2.png") == "zip://images.zip!images/2.png"
        assert store.num_stored == 0
        store.roots = (tmp_path / "elsewhere",)
        references = [store.put("images/1.png"), store.put("images/2.png")]
    assert all(reference.startswith("p-images/") for reference in references)
    for reference, shade in zip(
        ("images/1.png", "zip://images.zip!images/2.png", *references), (1, 2, 1, 2), strict=True
    ):
        assert ImageRoot().resolve(reference, str(output)).read() == png(shade)


def test_splits_and_subsets_of_a_folder(tmp_path: Path) -> None:
    names = ("Art/test-00000-of-00002.parquet", "Art/test-00001-of-00002.parquet", "Art/dev-00000-of-00001.parquet")
    for name in (*names, "Law/test-00000-of-00001.parquet", "notes/extra.jsonl", ".cache/x.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    def found(split: str | None, subset: str | None) -> list[str]:
        return [str(file.relative_to(tmp_path)) for file in files_of(tmp_path, split, subset)]

    assert found("test", "Art") == list(names[:2])
    assert found("test", None) == [*names[:2], "Law/test-00000-of-00001.parquet"]
    assert found(None, "Law") == ["Law/test-00000-of-00001.parquet"]
    for split, subset, hint in (
        (None, "Art", "dev, test"),
        ("val", None, "splits: dev, test"),
        (None, "Biology", "folder"),
    ):
        with pytest.raises(AnectlError) as error:
            found(split, subset)
        assert hint in str(error.value.hint)


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - {"virl39k", "mmk12", "mathv360k"}))
def test_a_parquet_file_of_each_benchmark_comes_in(name: str, tmp_path: Path) -> None:
    rows = [case.row for case in CASES[name]]
    if name == "mmmu-pro":  # its subsets have files of their own
        rows = rows[:1]
    path, output = to_parquet(tmp_path / "source" / "data.parquet", rows), tmp_path / "p.jsonl"
    result = imported(name, path, "-o", output)
    assert result.exit_code == 0, result.exception
    problems = problems_in(output)
    assert len(problems) == len(rows)
    for problem in problems:
        for reference in problem.images:
            ImageRoot().resolve(reference, str(output)).open()
    counts = json.loads((tmp_path / "p.jsonl.manifest.json").read_text())["counts"]
    assert counts == {"read": len(rows), "kept": len(rows), "dropped": {}, "rejected": 0, "written": len(rows)}


def test_images_beside_the_table_come_in_from_folder_and_zip(tmp_path: Path) -> None:
    source = tmp_path / "ViRL39K"
    to_parquet(source / "39Krelease.parquet", [case.row for case in CASES["virl39k"]])
    with zipfile.ZipFile(source / "images.zip", "w") as archive:
        for number in range(1, 5):
            archive.writestr(f"images/q-{number}.png", png(number))
    output = tmp_path / "v.jsonl"
    assert imported("virl39k", source, "-o", output).exit_code == 0
    assert problems_in(output)[2].images == tuple(f"zip://ViRL39K/images.zip!images/q-{n}.png" for n in (1, 2))
    located = CliRunner().invoke(app, ["locate-frontier", str(output), "--pass-rate-field", "PassRate_32BTrained"])
    assert "4 dropped (zone solved)" in located.stderr
    data = tmp_path / "MathV360K"
    (data / "CLEVR").mkdir(parents=True)
    for number in range(1, 4):
        (data / "CLEVR" / f"v-{number}.png").write_bytes(png(number))
    (data / "train.json").write_text(json.dumps([case.row for case in CASES["mathv360k"]], indent=1))
    assert imported("mathv360k", data / "train.json", "-o", output, "--limit", "2").exit_code == 0
    assert [problem.images for problem in problems_in(output)] == [(f"MathV360K/CLEVR/v-{n}.png",) for n in (1, 2)]


def test_file_urls_come_in_under_the_root_that_the_user_names(tmp_path: Path) -> None:
    (tmp_path / "e-2.png").write_bytes(png(1))
    row = CASES["mmk12"][1].row | {"image_urls": [f"file://{tmp_path}/e-2.png"]}
    path = to_jsonl(tmp_path / "mm.jsonl", [row])
    result = imported("mmk12", path, "-o", tmp_path / "p.jsonl", "--image-root", tmp_path)
    assert result.exit_code == 0, result.exception
    assert problems_in(tmp_path / "p.jsonl")[0].images == ("e-2.png",)


def test_all_kinds_of_files_give_the_same_problems(tmp_path: Path) -> None:
    rows = [case.row for case in CASES["mmbench"]]
    plain = [{**row, "image": base64.b64encode(row["image"]["bytes"]).decode()} for row in rows]
    (tmp_path / "b.tsv").write_text(as_tsv([{**rows[1], "hint": 'It is "flat",\nand\tthin.' + "x" * 200_000}, rows[0]]))
    files = {
        "parquet": to_parquet(tmp_path / "b.parquet", rows),
        "jsonl": to_jsonl(tmp_path / "b.jsonl", plain),
        "json": tmp_path / "b.json",
        "lines": to_jsonl(tmp_path / "lines.json", plain),
        "object": tmp_path / "object.json",
        "tsv": tmp_path / "b.tsv",
    }
    files["json"].write_text(json.dumps(plain, indent=1))
    files["object"].write_text(json.dumps({"x": plain[0], "y": plain[1]}))
    found = {}
    for kind, path in files.items():
        result = imported("mmbench", path, "-o", tmp_path / f"{kind}-p.jsonl", "--images", tmp_path / "pictures")
        assert result.exit_code == 0, (kind, result.exception)
        problems = sorted(problems_in(tmp_path / f"{kind}-p.jsonl"), key=lambda problem: problem.id)
        found[kind] = [(p.id, p.answer, p.choices, p.images) for p in problems]
        assert kind != "tsv" or problems[0].question.startswith('It is "flat",\nand\tthin.xxx')
    assert all(value == found["parquet"] for value in found.values())
    assert len([path for path in (tmp_path / "pictures").rglob("*") if path.is_file()]) == 1


def test_a_row_may_name_the_image_of_an_earlier_row_by_its_index(tmp_path: Path) -> None:
    row = CASES["mmbench"][0].row
    encoded = base64.b64encode(row["image"]["bytes"]).decode()
    rows = [{**row, "index": 241, "image": encoded}, {**row, "index": 1000241, "image": "241"}]
    path = to_jsonl(tmp_path / "b.jsonl", rows)
    result = imported("mmbench", path, "-o", tmp_path / "p.jsonl")
    assert result.exit_code == 0, result.exception
    first, second = problems_in(tmp_path / "p.jsonl")
    assert first.images == second.images
    path = to_jsonl(tmp_path / "b.jsonl", rows[::-1])
    assert "image is that of row '241'" in failure(imported("mmbench", path, "-o", tmp_path / "p.jsonl")).problem


def test_images_above_the_folder_of_a_table_are_found_inside_the_image_root(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(png(1))
    (tmp_path / "data").mkdir()
    row = {
        "messages": [{"role": "user", "content": "<image>How many?"}, {"role": "assistant", "content": "\\boxed{3}"}]
    }
    path = to_jsonl(tmp_path / "data" / "t.jsonl", [row | {"images": ["../pictures/a.png"]}])
    output = tmp_path / "p.jsonl"
    assert "outside the image root" in failure(imported("swift", path, "-o", output)).problem
    result = imported("swift", path, "-o", output, "--image-root", tmp_path)
    assert result.exit_code == 0, result.exception
    assert problems_in(output)[0].images == ("pictures/a.png",)
    (tmp_path / "secret").mkdir()
    path = to_jsonl(tmp_path / "data" / "t.jsonl", [row | {"images": ["../pictures/a.png"]}])
    result = imported("swift", path, "-o", output, "--image-root", tmp_path / "secret")
    assert "outside the image root" in failure(result).problem


def test_stdin_is_json_lines_and_files_are_named_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CLEVR").mkdir()
    (tmp_path / "CLEVR" / "v-1.png").write_bytes(png(1))
    line = json.dumps(CASES["mathv360k"][0].row)
    result = imported("mathv360k", input=line + "\n")
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["images"] == ["CLEVR/v-1.png"]
    error = failure(imported("ai2d", to_parquet(tmp_path / "a.parquet", [CASES["ai2d"][0].row])))
    assert (error.exit_code, error.hint) == (2, "-o FILE, or --images DIR")


def test_saved_data_sets_come_in_by_split(tmp_path: Path) -> None:
    import datasets

    rows = [{**case.row, "image": case.row["image"]} for case in CASES["chartqa"]]
    features = datasets.Features(
        {
            "type": datasets.Value("string"),
            "question": datasets.Value("string"),
            "answer": datasets.Value("string"),
            "image": datasets.Image(),
        }
    )
    table = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"test": table, "val": table.select([0])}).save_to_disk(tmp_path / "saved")
    output = tmp_path / "p.jsonl"
    assert "one of test, val" in str(failure(imported("chartqa", tmp_path / "saved", "-o", output)).hint)
    assert imported("chartqa", tmp_path / "saved", "--split", "test", "-o", output).exit_code == 0
    assert len(problems_in(output)) == len(rows)
    assert imported("chartqa", tmp_path / "saved" / "val", "-o", output).exit_code == 0
    assert ImageRoot().resolve(problems_in(output)[0].images[0], str(output)).read() == rows[0]["image"]["bytes"]


def test_named_data_sets_are_streamed_with_their_images_undecoded(tmp_path: Path) -> None:
    from anectl.engines.hub_tables import read_named

    folder = tmp_path / "hub"
    to_parquet(folder / "data" / "test-00000-of-00001.parquet", [chart(1), chart(2)])
    rows = list(read_named(str(folder), "test", None))
    assert [row.number for row in rows] == [1, 2]
    assert rows[1].fields()["image"]["bytes"] == png(2)
    with pytest.raises(AnectlError, match="cannot load the data set"):
        list(read_named(str(folder), "train", None))
    assert failure(imported("chartqa", "no/such.parquet")).problem == "no such file or folder"


def test_bad_rows_are_named_by_file_and_row_and_go_to_the_rejects(tmp_path: Path) -> None:
    rows = [chart(1), chart(2, answer=None), chart(3, image={"bytes": b"no image", "path": None}), chart(4)]
    path, output = to_parquet(tmp_path / "c.parquet", rows), tmp_path / "p.jsonl"
    error = failure(imported("chartqa", path, "-o", output))
    assert str(error) == f"{path}:2: row 2: field 'answer' is empty"
    assert not output.exists()
    result = imported("chartqa", path, "-o", output, "--on-error", "skip")
    assert "4 rows in, 2 out, 2 rejected" in result.stderr
    rejects = [json.loads(line) for line in (tmp_path / "p.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3]
    assert json.loads(rejects[1]["row"]) == {"type": "human_test", "question": "How many? (3)", "answer": "3"}


def test_a_row_of_another_shape_is_told_what_it_looks_like(tmp_path: Path) -> None:
    path = to_parquet(tmp_path / "m.parquet", [CASES["mathvista"][0].row])
    error = failure(imported("mathverse", path, "-o", tmp_path / "p.jsonl"))
    assert "no field 'problem_index', which every mathverse row has" in error.problem
    assert error.hint == "the row looks like the format mathvista"


def test_repeated_ids_are_refused_where_ids_are_unique_and_numbered_where_they_are_not(tmp_path: Path) -> None:
    twice = [CASES["mathvista"][0].row] * 2
    error = failure(imported("mathvista", to_parquet(tmp_path / "m.parquet", twice), "-o", tmp_path / "p.jsonl"))
    assert "duplicate id 'mathvista-1', first seen at" in error.problem
    thrice = to_parquet(tmp_path / "c.parquet", [chart(1), chart(1), chart(1), chart(2)])
    assert imported("chartqa", thrice, "-o", tmp_path / "p.jsonl").exit_code == 0
    first, second, third, other = (problem.id for problem in problems_in(tmp_path / "p.jsonl"))
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert other not in (first, second, third)
    ids = [first, second, third, other]
    assert imported("chartqa", thrice, "-o", tmp_path / "q.jsonl", "--images", tmp_path / "other").exit_code == 0
    assert [problem.id for problem in problems_in(tmp_path / "q.jsonl")] == ids


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("x.parquet", "no parquet", "not a parquet file"),
        ("x.arrow", "no arrow", "not an Arrow stream"),
        ("x.json", "{", "not a JSON list of rows"),
        ("x.json", "3", "not a JSON list of rows"),
        ("x.json", "[" * 100_000, "not a JSON list of rows"),
        ("x.jsonl", "", "no rows in it"),
        ("x.jsonl", "{torn", "not a JSON object"),
        ("x.json", '[{"id": 1}, 3]', "no field"),
        ("x.csv", 'a,b\n"torn', "not a CSV file"),
        ("x.csv", "a,b\n1,2,3\n", "the row has 3 fields, the header 2"),
        ("x.tsv", "", "no rows in it"),
        ("x.xlsx", "x", "is of no kind that can be read"),
    ],
)
def test_files_that_are_no_tables_are_refused(name: str, text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    error = failure(imported("mathvista", tmp_path / name, "-o", tmp_path / "p.jsonl"))
    assert complaint in error.problem
    assert error.path == str(tmp_path / name)
    assert not (tmp_path / "p.jsonl").exists()


def test_the_answer_type_of_free_answers_can_be_set(tmp_path: Path) -> None:
    path = to_parquet(tmp_path / "m.parquet", [case.row for case in CASES["mathvision"]])
    assert imported("mathvision", path, "-o", tmp_path / "p.jsonl", "--answer-type", "text").exit_code == 0
    assert [problem.answer_type for problem in problems_in(tmp_path / "p.jsonl")] == [
        "text",
        "choice",
        "choice",
        "text",
    ]
    error = failure(imported("mathvision", path, "-o", tmp_path / "p.jsonl", "--answer-type", "choice"))
    assert "--answer-type" in error.problem


def test_images_must_lie_where_problems_can_name_them(tmp_path: Path) -> None:
    path = to_parquet(tmp_path / "c.parquet", [chart(1)])
    error = failure(imported("chartqa", path, "-o", tmp_path / "a" / "p.jsonl", "--images", tmp_path / "b"))
    assert error.exit_code == 2
    assert "is outside the output's folder" in error.problem


def test_a_file_has_no_splits_and_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    path = to_parquet(tmp_path / "c.parquet", [chart(1)])
    error = failure(imported("chartqa", path, "-o", tmp_path / "p.jsonl", "--split", "test"))
    assert (error.exit_code, error.problem.endswith("is a file")) == (2, True)
    assert failure(imported("chartq", path)).hint == "did you mean chartqa?"


def test_memory_does_not_grow_with_the_rows_of_a_parquet_file(tmp_path: Path) -> None:
    peaks = []
    for count in (1000, 6000):
        noise = [image(number % 50) | {"path": "x" * 10_000} for number in range(count)]
        path = to_parquet(
            tmp_path / f"{count}.parquet",
            [chart(number, image=noise[number]) for number in range(count)],
            row_group_size=count,
            use_dictionary=False,
            compression="none",
        )
        program = (
            "import sys; from anectl.cli import app; app(sys.argv[1:], standalone_mode=False);"
            "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
        )
        arguments = [sys.executable, "-c", program, "import", "chartqa", str(path), "-o", str(tmp_path / "p.jsonl")]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        peaks.append(int(done.stderr.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 35  # MiB; the long file has 50 more
