"""What is exported for another tool comes back as it was, and rows of others come in as problems or are refused."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anectl.core.errors import RowError
from anectl.core.formats import ExportOptions, Format, load_format
from anectl.core.formats.placeholders import escape, unescape
from anectl.core.prompts import DEFAULT_INSTRUCTION
from anectl.core.records import Example, Message, Problem, Scaffold

EXPORTED = ("llamafactory", "swift", "easyr1", "verl", "trl", "openai-batch")
PARTS = ("trl", "openai-batch")
ROUNDS = settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Folder:
    """Real pictures in a folder: the image source of an export and the image sink of an import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[bytes, str] = {}
        for number in range(3):
            name = f"{number}.png"
            Image.new("RGB", (8, 8), (number * 80, 10, 200)).save(folder / name)
            self.names[hashlib.sha256((folder / name).read_bytes()).digest()] = name

    def path(self, reference: str) -> str:
        return str(self.folder / reference)

    def data_uri(self, reference: str) -> str:
        return "data:image/png;base64," + base64.b64encode((self.folder / reference).read_bytes()).decode()

    def put(self, image: object) -> str:
        if isinstance(image, dict):
            image = image["bytes"] or image["path"]
        if isinstance(image, str):
            data = image.partition("base64,")[2]
            image = base64.b64decode(data) if data else (self.folder / image).read_bytes()
        assert isinstance(image, bytes)
        Image.open(BytesIO(image)).load()
        return self.names[hashlib.sha256(image).digest()]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("pictures"))


TRAPS = (
    "<image>",
    "<image\u2060>",
    "<image\u2060\u2060>",
    "<video>",
    "<audio>",
    "<image 2>",
    "\n",
    " ",
    "🧮",
    "ישר",
    "\u202e",
)
TRAPS += ("\\boxed{", "}", "(A) ", "Answer: ", DEFAULT_INSTRUCTION, "|", "\r\n", "\\", "½", "<answer>", "</think>")
texts = st.lists(st.one_of(st.sampled_from(TRAPS), st.text(max_size=8)), max_size=6).map("".join)
filled = st.tuples(texts, st.sampled_from(["x", "?", "<image>", "<image 2>", "é"])).map("".join)
plain = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)
unknown = st.dictionaries(
    st.sampled_from(["level", "note", "анкер", "anectl", "messages", "prefix"]), plain, max_size=2
)
pictured = st.sampled_from([(), ("1.png",), ("0.png", "2.png", "1.png"), ("0.png", "0.png")])


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """Answer, answer type and choices that fit each other."""
    kind = draw(st.sampled_from(["choice", "choices", "number", "expression", "text", "list", "boolean"]))
    choices = draw(st.one_of(st.none(), st.lists(texts, min_size=2, max_size=5).map(tuple)))
    answer = draw(filled)
    if kind in ("choice", "choices"):
        choices = choices or ("3", "4")
        letters = [chr(ord("A") + i) for i in range(len(choices))]
        picked = draw(st.lists(st.sampled_from(letters), min_size=1, max_size=1 if kind == "choice" else 3))
        answer = ", ".join(picked)
    return {"answer_type": kind, "answer": answer, "choices": choices}


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    return Problem(
        id=draw(filled),
        question=draw(st.tuples(texts, st.sampled_from(TRAPS), filled).map("".join)),
        images=draw(pictured),
        **draw(answers()),
        precision=draw(st.one_of(st.none(), st.integers(0, 5))),
        unit=draw(st.one_of(st.none(), texts)),
        solution=draw(st.one_of(st.none(), texts)),
        steps=draw(st.one_of(st.none(), st.lists(texts, max_size=3).map(tuple))),
        tags=draw(st.lists(texts, max_size=2).map(tuple)),
        source=draw(st.dictionaries(texts, plain, max_size=2)),
        extra=draw(unknown),
    )


@st.composite
def examples(draw: st.DrawFn) -> Example:
    user = Message(role="user", content=draw(filled), extra=draw(unknown))
    system = draw(st.sampled_from([(), (Message(role="system", content="Look first."),)]))
    prefix = draw(st.one_of(st.just(()), texts.map(lambda text: (Message(role="assistant", content=text),))))
    answer = draw(answers())
    return Example(
        problem_id=draw(filled),
        prompt=(*system, user, *prefix),
        completion=(Message(role="assistant", content=draw(texts), extra=draw(unknown)),),
        images=draw(pictured),
        answer=answer["answer"],
        answer_type=answer["answer_type"],
        choices=answer["choices"] or (),
        unit=draw(st.one_of(st.none(), texts)),
        scaffold=Scaffold(level=2, text=draw(texts), question=draw(texts), ladder=("", "a", "b", "c", "d", "e")),
        origin="anchor/template",
        extra=draw(unknown),
    )


def through_json(form: Format, record: Problem | Example, pictures: Folder, **options: Any) -> Problem | Example:
    assert form.from_record
    assert form.to_record
    row = form.from_record(record, pictures, ExportOptions(model="m", **options))
    return form.to_record(json.loads(json.dumps(row)), pictures)


@given(text=texts)
@ROUNDS
def test_escaping_is_one_to_one_and_leaves_no_placeholder(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not any(mark in escape(text) for mark in ("<image>", "<video>", "<audio>"))


def test_problems_come_back_as_they_were(pictures: Folder) -> None:
    seen: Counter[object] = Counter()

    @given(problem=problems(), instruction=st.one_of(st.just(DEFAULT_INSTRUCTION), texts), inline=st.booleans())
    @ROUNDS
    def check(problem: Problem, instruction: str, inline: bool) -> None:
        seen.update([len(problem.images), problem.answer_type, "choices" if problem.choices else "no choices"])
        seen.update(mark for mark in TRAPS if mark in problem.question)
        seen["all"] += 1
        for name in EXPORTED:
            assert through_json(load_format(name), problem, pictures, instruction=instruction, inline=inline) == problem

    check()
    assert seen["all"] >= 200
    kinds = ("choice", "choices", "number", "expression", "text", "list", "boolean")
    assert {what for what in (0, 1, 3, *kinds, "choices", "no choices") if seen[what] < 5} == set()
    assert set(TRAPS) - seen.keys() == set()


@given(row=examples())
@ROUNDS
def test_examples_come_back_as_they_were(pictures: Folder, row: Example) -> None:
    for name in EXPORTED:
        refused = name in ("easyr1", "verl", "openai-batch") and row.prompt[-1].role == "assistant"
        if refused or (name == "easyr1" and len(row.prompt) > 1):
            with pytest.raises(RowError, match="prompt"):
                through_json(load_format(name), row, pictures)
        else:
            assert through_json(load_format(name), row, pictures) == row


ROW = {"from": "human", "value": "<image>How many?"}, {"from": "gpt", "value": "Two and one. \\boxed{3}"}
CHAT = [{"role": "user", "content": "<image>How many?"}, {"role": "assistant", "content": "Answer: 3"}]
PARTS_TURN = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]}


def come_in(name: str, row: dict[str, Any], pictures: Folder) -> Problem | Example:
    form = load_format(name)
    assert form.to_record
    return form.to_record(row, pictures)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("llamafactory", {"conversations": list(ROW), "images": ["1.png"]}),
        ("llamafactory", {"messages": CHAT, "images": ["1.png"]}),
        ("swift", {"messages": CHAT, "images": ["1.png"]}),
        (
            "swift",
            {"messages": [{"role": "user", "content": "How many?"}], "images": "1.png", "solution": "\\boxed{3}"},
        ),
        ("easyr1", {"problem": "<image>How many?", "answer": "3", "images": [{"bytes": None, "path": "1.png"}]}),
        ("easyr1", {"problem": "How many?\n<image>", "answer": 3, "images": ["1.png"]}),
        (
            "verl",
            {
                "data_source": "x",
                "prompt": [{"role": "user", "content": f"<image>How many?\n{DEFAULT_INSTRUCTION}"}],
                "images": [{"image": "file://1.png"}],
                "reward_model": {"style": "rule", "ground_truth": "3"},
            },
        ),
        ("trl", {"messages": [PARTS_TURN, CHAT[1]], "images": ["1.png"]}),
        ("trl", {"prompt": [PARTS_TURN], "completion": [CHAT[1]], "image": "1.png"}),
        ("trl", {"prompt": [{"role": "user", "content": "How many?"}], "solution": "\\boxed{3}", "images": ["1.png"]}),
        ("trl", {"prompt": "How many?", "completion": "3", "image": "1.png"}),
        ("vlm-r1", {"id": 7, "image": "1.png", "conversations": list(ROW)}),
        ("r1v", {"image": "1.png", "problem": "How many?", "solution": "<answer> 3 </answer>"}),
        (
            "openai",
            {
                "messages": [
                    {"role": "system", "content": "Count."},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "How many?"},
                            {"type": "image_url", "image_url": {"url": "1.png", "detail": "low"}},
                        ],
                    },
                    {"role": "assistant", "content": [{"type": "text", "text": "It is \\boxed{3}."}]},
                ]
            },
        ),
        ("openai-batch", {"custom_id": "a", "body": {"messages": [PARTS_TURN, CHAT[1]]}, "images": ["1.png"]}),
    ],
)
def test_rows_of_others_become_problems(name: str, row: dict[str, Any], pictures: Folder) -> None:
    problem = come_in(name, row, pictures)
    assert isinstance(problem, Problem)
    assert (problem.question, problem.answer, problem.answer_type) == ("How many?", "3", "number")
    assert problem.images == ("1.png",)
    assert problem.id.startswith(name)


def test_the_rest_of_a_row_of_others_is_kept_in_the_source(pictures: Folder) -> None:
    chat = [{"role": "system", "content": "Count."}, {"role": "user", "content": "How many?"}, CHAT[1]]
    problem = come_in("swift", {"messages": chat, "id": "q7", "level": 3}, pictures)
    assert isinstance(problem, Problem)
    assert problem.id == "swift-q7"
    assert problem.source["fields"] == {"level": 3, "system": "Count."}


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Which?\n(A) red (B) blue", "B", ("Which?", "B", "choice", ("red", "blue"))),
        ("Which?\nChoices:\n(A) red\n(B) blue", "red", ("Which?", "A", "choice", ("red", "blue"))),
        ("Which?\n(A) red (B) blue", "7", ("Which?\n(A) red (B) blue", "7", "number", None)),
        ("Is it?", "Yes", ("Is it?", "Yes", "boolean", None)),
        ("Solve.", "\\boxed{x+1}", ("Solve.", "x+1", "expression", None)),
        ("How long?", "3.5 cm", ("How long?", "3.5 cm", "number", None)),
        ("Which?", "B", ("Which?", "B", "text", None)),
        ("Who?", "the left one", ("Who?", "the left one", "text", None)),
        ("See <image\u2060>.", "the <image>", ("See <image>.", "the <image>", "text", None)),
    ],
)
def test_the_form_of_an_answer_tells_its_type(question: str, answer: str, expected: object, pictures: Folder) -> None:
    problem = come_in("easyr1", {"problem": question, "answer": answer}, pictures)
    assert isinstance(problem, Problem)
    assert (problem.question, problem.answer, problem.answer_type, problem.choices) == expected


def test_images_amid_the_words_become_words(pictures: Folder) -> None:
    row = {"problem": "<image>Is <image> like <image>?", "answer": "no", "images": ["0.png"] * 3}
    row["images"] = [pictures.path(name) for name in row["images"]]
    problem = come_in("easyr1", row, pictures)
    assert isinstance(problem, Problem)
    assert problem.question == "Is [image 2] like [image 3]?"


def turn(role: object, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("name", "row", "problem"),
    [
        ("llamafactory", {}, "conversations"),
        ("llamafactory", {"conversations": "hi"}, "list of messages"),
        ("llamafactory", {"conversations": []}, "list of messages"),
        ("llamafactory", {"conversations": ["hi"]}, "not a message"),
        ("llamafactory", {"conversations": [ROW[1]]}, "the turns are assistant"),
        ("llamafactory", {"conversations": [*ROW, *ROW], "images": ["0.png", "0.png"]}, "the turns are"),
        ("llamafactory", {"conversations": list(ROW), "images": []}, "1 <image> in the text but 0 images"),
        ("llamafactory", {"conversations": list(ROW), "images": ["0.png", "1.png"]}, "1 <image> in the text but 2"),
        ("swift", {"messages": [turn("tool", "x")]}, "role 'tool'"),
        ("swift", {"messages": [turn(None, "x")]}, "role None"),
        ("swift", {"messages": [turn(["user"], "x")]}, "role"),
        ("swift", {"messages": [turn("user", 5)], "solution": "3"}, "neither text nor a list"),
        ("swift", {"messages": [turn("user", None)], "solution": "3"}, "neither text nor a list"),
        ("swift", {"messages": [{"role": "user"}], "solution": "3"}, "neither text nor a list"),
        ("swift", {"messages": [turn("user", "<video>What?")], "solution": "3"}, "only images"),
        ("swift", {"messages": [turn("user", "What?")]}, "no answer"),
        ("swift", {"messages": [turn("user", "")], "solution": "3"}, "no question"),
        ("swift", {"messages": [turn("user", "What?"), turn("assistant", "long " * 40)]}, "no final answer"),
        ("swift", {"messages": [turn("user", "What?")], "solution": ["3"]}, "solution"),
        ("easyr1", {"problem": "What?"}, "answer"),
        ("easyr1", {"problem": ["What?"], "answer": "3"}, "problem"),
        ("easyr1", {"problem": "What?", "answer": " "}, "answer"),
        ("verl", {"prompt": [turn("user", "What?")], "reward_model": "3"}, "reward_model"),
        ("verl", {"prompt": [turn("user", "What?")], "reward_model": {}}, "ground_truth"),
        ("verl", {"prompt": "What?", "reward_model": {"ground_truth": "3"}}, "list of messages"),
        ("trl", {}, "prompt"),
        ("trl", {"prompt": 5}, "list of messages"),
        ("trl", {"prompt": [turn("user", [{"type": "audio"}])], "answer": "3"}, "neither text nor an image"),
        ("trl", {"prompt": [turn("user", [{"type": "text", "text": 3}])], "answer": "3"}, "neither text nor an image"),
        ("trl", {"prompt": [turn("user", ["hi"])], "answer": "3"}, "neither text nor an image"),
        ("trl", {"prompt": [PARTS_TURN], "answer": "3"}, "1 <image> in the text but 0 images"),
        ("openai", {"messages": [turn("user", "What?")]}, "no answer"),
        ("openai-batch", {"body": "x"}, "body"),
        ("openai-batch", {"body": {}}, "messages"),
        ("r1v", {"problem": "What?"}, "solution"),
        ("vlm-r1", {"image": "0.png"}, "conversations"),
        ("swift", {"messages": CHAT[1:], "anectl": "{"}, "not JSON"),
        ("swift", {"messages": [turn("user", "What?")], "anectl": "[]"}, "holds no record"),
        ("swift", {"messages": [turn("user", "What?")], "anectl": '{"version": 9, "record": {}}'}, "version 9"),
        ("swift", {"messages": [turn("user", "What?")], "anectl": '{"version": 1, "record": {}}'}, "answer|id"),
        (
            "swift",
            {"messages": [turn("user", "What?")], "anectl": '{"version": 1, "record": {"schema": "example/1"}}'},
            "damaged",
        ),
    ],
)
def test_a_bad_row_says_what_is_wrong(name: str, row: dict[str, Any], problem: str, pictures: Folder) -> None:
    with pytest.raises(RowError, match=problem):
        come_in(name, row, pictures)


COUNTED = Problem(id="p", question="How many?", answer="3", answer_type="number", solution="1 + 2 = 3.", tags=("sum",))


def exported(name: str, record: Problem | Example, pictures: Folder, **options: Any) -> dict[str, Any]:
    form = load_format(name)
    assert form.from_record
    return form.from_record(record, pictures, ExportOptions(model="m", **options))


def test_what_was_edited_after_the_export_wins(pictures: Folder) -> None:
    row = exported("easyr1", COUNTED, pictures)
    row |= {"problem": row["problem"].replace("How many?", "How many dots?"), "answer": "4"}
    problem = come_in("easyr1", row, pictures)
    assert problem == msgspec.structs.replace(COUNTED, question="How many dots?", answer="4")

    row = exported("llamafactory", COUNTED, pictures)
    row["conversations"][1]["value"] = "2 + 2 = 4. \\boxed{4}"
    problem = come_in("llamafactory", row, pictures)
    assert problem == msgspec.structs.replace(COUNTED, answer="4", solution="2 + 2 = 4. \\boxed{4}")

    row = exported("swift", COUNTED, pictures) | {"solution": "\\boxed{5}"}
    assert come_in("swift", row, pictures) == msgspec.structs.replace(COUNTED, answer="5")


@pytest.mark.parametrize("name", ["llamafactory", "swift", "easyr1", "verl", "trl"])
def test_a_plain_export_comes_in_like_a_row_of_others(name: str, pictures: Folder) -> None:
    asked = Problem(id="p", question="Which?", answer="B", answer_type="choice", choices=("red", "blue"))
    row = exported(name, asked, pictures, carry=False)
    assert "anectl" not in json.dumps(row)
    problem = come_in(name, row, pictures)
    assert isinstance(problem, Problem)
    assert problem.question == "Which?"
    assert (problem.answer, problem.answer_type, problem.choices) == ("B", "choice", ("red", "blue"))


def test_a_batch_request_does_not_tell_the_answer_to_the_model(pictures: Folder) -> None:
    secret = Problem(id="p", question="How many?", answer="31415", answer_type="number", solution="It is 31415.")
    assert "31415" not in json.dumps(exported("openai-batch", secret, pictures)["body"])
    assert "31415" not in json.dumps(exported("openai-batch", secret, pictures, carry=False))
