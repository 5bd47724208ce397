"""Rows of every benchmark in its exact published schema, with what their problems must be. All content is invented."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

from PIL import Image


def png(shade: int) -> bytes:
    """A tiny picture; each shade is another one."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 90, 255 - shade)).save(buffer, "PNG")
    return buffer.getvalue()


def image(shade: int, name: str | None = None) -> dict[str, Any]:
    """A picture as parquet files of the hub hold it."""
    return {"bytes": png(shade), "path": name}


class Case(NamedTuple):
    """A published row, and the fields that its problem must have."""

    row: dict[str, Any]
    problem: dict[str, Any]


_METADATA = {
    "category": "math-targeted-vqa",
    "context": "bar chart",
    "grade": "high school",
    "img_height": 4,
    "img_width": 6,
    "language": "english",
    "skills": ["statistical reasoning"],
    "source": "Invented",
    "split": "testmini",
    "task": "figure question answering",
}


def _mathvista(pid: str, **fields: Any) -> dict[str, Any]:
    return {
        "pid": pid,
        "question": "How tall is the bar?",
        "image": f"images/{pid}.jpg",
        "decoded_image": image(int(pid)),
        "choices": None,
        "unit": None,
        "precision": None,
        "answer": "3",
        "question_type": "free_form",
        "answer_type": "integer",
        "metadata": _METADATA,
        "query": "Hint: ...\nQuestion: How tall is the bar?",
        **fields,
    }


def _mathverse(index: str, **fields: Any) -> dict[str, Any]:
    return {
        "sample_index": index,
        "problem_index": "7",
        "problem_version": "Text Dominant",
        "question": "AB is 2. How long is BC?\nChoices:\nA:2\nB:2√{{3}}\nC:√{{3}}\nD:4",
        "image": image(20),
        "answer": "B",
        "question_type": "multi-choice",
        "metadata": {"split": "testmini", "source": "Invented", "subject": "Plane Geometry", "subfield": "Length"},
        "query_wo": "Answer with the letter.",
        "query_cot": "Think first.",
        "question_for_eval": "AB is 2. How long is BC?\nChoices:\nA:2\nB:2√{{3}}\nC:√{{3}}\nD:4",
        **fields,
    }


def _mathvision(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "question": "How many dots?\n<image1>",
        "options": [],
        "image": f"images/{id}.jpg",
        "decoded_image": image(30),
        "answer": "6",
        "solution": None,
        "level": 2,
        "subject": "counting",
        **fields,
    }


def _mmmu(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "question": "<image 1> What is the name of this curve?",
        "options": "['demand', \"buyer's surplus\", 'supply', '[1, 2]']",
        "explanation": "",
        "image_1": image(40),
        **{f"image_{number}": None for number in range(2, 8)},
        "img_type": "['Plots and Charts']",
        "answer": "B",
        "topic_difficulty": "Easy",
        "question_type": "multiple-choice",
        "subfield": "Economics",
        **fields,
    }


def _wemath(id: str, key: str, **fields: Any) -> dict[str, Any]:
    return {
        "ID": id,
        "split": "testmini",
        "knowledge concept": "Circles",
        "question": "How long is the circle?",
        "option": "A. 300, 400;B. 10π cm;    C. 5π cm.; D. B; E. No correct answer",
        "answer": "C",
        "image_path": image(50),
        "key": key,
        "question number": 1,
        "knowledge concept description": "Circles: ...",
        **fields,
    }


def _logicvista(**fields: Any) -> dict[str, Any]:
    return {
        "question": "Which choice (A, B, C, or D) completes the series?",
        "answer": "C",
        "skill": ["inductive"],
        "capability": ["diagram", "ocr"],
        "image": image(60),
        **fields,
    }


def _dynamath(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "question": "What is the period?",
        "image": f"images/{id}.png",
        "decoded_image": image(70),
        "ground_truth": "2.0944",
        "answer_type": "float",
        "subject": "analytic geometry",
        "level": "high school",
        **fields,
    }


def _mmbench(index: int, **fields: Any) -> dict[str, Any]:
    return {
        "index": index,
        "question": "What is on the table?",
        "hint": "nan",
        "A": "a cup",
        "B": "a book",
        "C": "nan",
        "D": "nan",
        "answer": "B",
        "category": "object_localization",
        "image": image(80),
        "source": "invented",
        "L2-category": "finegrained_perception",
        "comment": "nan",
        "split": "dev",
        **fields,
    }


def _m3cot(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "category": "physics-forces",
        "image_id": f"image-{id}",
        "question": "Which magnet pulls more?",
        "choices": ["the first", "the second"],
        "context": "Two magnets lie side by side.",
        "answer": "A",
        "rationale": "It is nearer.",
        "split": "test",
        "image": image(90),
        "domain": "science",
        "topic": "physics",
        **fields,
    }


def _scienceqa(**fields: Any) -> dict[str, Any]:
    return {
        "image": image(100),
        "question": "Which is farthest north?",
        "choices": ["Bergen", "Bari", "Brno"],
        "answer": 0,
        "hint": "",
        "task": "closed choice",
        "grade": "grade2",
        "subject": "social science",
        "topic": "geography",
        "category": "Geography",
        "skill": "Read a map",
        "lecture": "Maps have four directions.",
        "solution": "North is up.",
        **fields,
    }


def _virl39k(qid: str, **fields: Any) -> dict[str, Any]:
    return {
        "question": "<image>\nHow long is AB?",
        "answer": "\\boxed{5}",
        "PassRate_32BTrained": 1.0,
        "PassRate_7BBase": 0.125,
        "category": "(GradeSchool) Geometric",
        "source": "Processed",
        "qid": qid,
        "image": [f"images/{qid}.png"],
        **fields,
    }


def _mathv360k(id: str, reply: str, question: str = "<image>\nHow many cubes are there?") -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": reply}]
    return {"id": id, "image": f"CLEVR/{id}.png", "conversations": turns}


LETTERS = ("A", "B", "C", "D")

CASES: dict[str, list[Case]] = {
    "mathvista": [
        Case(_mathvista("1"), {"id": "mathvista-1", "answer": "3", "answer_type": "number", "precision": None}),
        Case(
            _mathvista("2", answer="1.2", answer_type="float", precision=1.0, unit="cm"),
            {"answer": "1.2", "answer_type": "number", "precision": 1, "unit": "cm"},
        ),
        Case(
            _mathvista("3", choices=["larger", "3", "C"], answer="C", question_type="multi_choice", answer_type="text"),
            {"answer": "C", "answer_type": "choice", "choices": ("larger", "3", "C")},
        ),
        Case(_mathvista("4", answer="[1, 2]", answer_type="list"), {"answer": "[1, 2]", "answer_type": "list"}),
        Case(
            _mathvista("5", choices=["B", "A"], answer="A", question_type="multi_choice", answer_type="text"),
            {"answer": "B", "answer_type": "choice"},
        ),
    ],
    "mathverse": [
        Case(
            _mathverse("1"),
            {
                "id": "mathverse-1",
                "question": "AB is 2. How long is BC?",
                "answer": "B",
                "answer_type": "choice",
                "choices": ("2", "2√{{3}}", "√{{3}}", "4"),
            },
        ),
        Case(
            _mathverse("2", question="", problem_version="Vision Only"),
            {"question": "Answer with the letter.", "answer": "B", "answer_type": "choice", "choices": LETTERS},
        ),
        Case(
            _mathverse("3", question="Find x.", answer="5\\sqrt{3}", question_type="free-form"),
            {"answer": "5\\sqrt{3}", "answer_type": "expression", "choices": None},
        ),
    ],
    "mathvision": [
        Case(
            _mathvision("4"),
            {
                "id": "mathvision-4",
                "question": "How many dots?",
                "answer": "6",
                "answer_type": "number",
                "tags": ("counting", "level 2"),
            },
        ),
        Case(
            _mathvision(
                "5", options=list("ABCDE"), answer="D", question="The ant <image1> walks to <image2>.\n<image3>"
            ),
            {
                "question": "The ant [image 1] walks to [image 2].\n[image 3]",
                "answer": "D",
                "answer_type": "choice",
                "choices": tuple("ABCDE"),
            },
        ),
        Case(_mathvision("6", options=["$6$", "$8$"], answer="$8$"), {"answer": "B", "answer_type": "choice"}),
        Case(_mathvision("7", answer="C"), {"answer": "C", "answer_type": "text"}),
    ],
    "wemath": [
        Case(
            _wemath("2steps_1", "2steps_1"),
            {
                "id": "wemath-2steps_1-2steps_1",
                "answer": "C",
                "answer_type": "choice",
                "choices": ("300, 400", "10π cm", "5π cm.", "B", "No correct answer"),
            },
        ),
        Case(_wemath("2steps_1", "2steps_multi", option="A. A; B. B; C. D", answer="B"), {"choices": ("A", "B", "D")}),
    ],
    "logicvista": [
        Case(_logicvista(), {"answer": "C", "answer_type": "choice", "choices": LETTERS}),
        Case(
            _logicvista(answer="A, C", question="Which belong to the group? Select from A to F."),
            {"answer": "A, C", "answer_type": "choices", "choices": (*LETTERS, "E", "F")},
        ),
        Case(
            _logicvista(answer="D", question="How much? Select from A, B, C, and D. (A) $1 (B)$2 (C)Cannot say (D) 3%"),
            {
                "question": "How much? Select from A, B, C, and D.",
                "choices": ("$1", "$2", "Cannot say", "3%"),
            },
        ),
        Case(_logicvista(answer="3", question="Select from 1-5"), {"answer": "3", "answer_type": "number"}),
    ],
    "dynamath": [
        Case(_dynamath("1"), {"id": "dynamath-1", "answer": "2.0944", "answer_type": "number", "precision": 3}),
        Case(
            _dynamath(
                "2", question="Which is it? choice: (A) + (B) - (C) *", ground_truth="B", answer_type="multiple choice"
            ),
            {"question": "Which is it?", "answer": "B", "answer_type": "choice", "choices": ("+", "-", "*")},
        ),
        Case(_dynamath("3", ground_truth="5:0", answer_type="text"), {"answer": "5:0", "answer_type": "text"}),
    ],
    "mmmu": [
        Case(
            _mmmu("validation_Economics_1"),
            {
                "id": "mmmu-validation_Economics_1",
                "question": "What is the name of this curve?",
                "answer": "B",
                "choices": ("demand", "buyer's surplus", "supply", "[1, 2]"),
            },
        ),
        Case(
            _mmmu("validation_Music_2", options="['<image 1>', '<image 2>']", question="Which one?", image_2=image(41)),
            {"question": "Which one?", "choices": ("[image 1]", "[image 2]")},
        ),
        Case(
            _mmmu("validation_Math_3", question_type="open", options="[]", answer="['3.0', 'three']"),
            {"answer": "3.0", "answer_type": "number", "choices": None},
        ),
    ],
    "mmmu-pro": [
        Case(
            {
                name: value
                for name, value in (_mmmu("test_History_1") | {"subject": "History"}).items()
                if name not in ("question_type", "subfield")
            },
            {"id": "mmmu-pro-test_History_1", "answer": "B", "answer_type": "choice"},
        ),
        Case(
            {"id": "test_Art_2", "image": image(45), "options": "['x', 'y', 'z']", "answer": "C", "subject": "Art"},
            {
                "question": "Answer the question that is written in the image.",
                "answer": "C",
                "choices": ("A", "B", "C"),
            },
        ),
    ],
    "mmstar": [
        Case(
            {
                "index": 0,
                "question": "Which option shows it best?\nOptions: A: one, two, B: A dog: small, C: three, D: none",
                "image": image(55),
                "answer": "B",
                "category": "coarse perception",
                "l2_category": "image style & quality",
                "meta_info": {"source": "Invented", "split": "val", "image_path": "images/0.jpg"},
            },
            {
                "id": "mmstar-0",
                "question": "Which option shows it best?",
                "answer": "B",
                "choices": ("one, two", "A dog: small", "three", "none"),
            },
        ),
    ],
    "mmbench": [
        Case(
            _mmbench(241),
            {"id": "mmbench-241", "answer": "B", "answer_type": "choice", "choices": ("a cup", "a book")},
        ),
        Case(
            _mmbench(1000241, hint="It is flat.", C="a pen", D="a key", answer="D"),
            {"question": "It is flat.\nWhat is on the table?", "choices": ("a cup", "a book", "a pen", "a key")},
        ),
    ],
    "ai2d": [
        Case(
            {"question": "What eats algae?", "options": ["fish", "1", "sun"], "answer": "0", "image": image(65)},
            {"answer": "A", "answer_type": "choice", "choices": ("fish", "1", "sun")},
        ),
    ],
    "chartqa": [
        Case(
            {"type": "human_test", "question": "Sum?", "answer": "12.5%", "image": image(75)}, {"answer_type": "number"}
        ),
        Case(
            {"type": "human_test", "question": "More?", "answer": "Yes", "image": image(75)}, {"answer_type": "boolean"}
        ),
        Case(
            {"type": "augmented_test", "question": "When?", "answer": "2010/11", "image": image(75)},
            {"answer": "2010/11"},
        ),
        Case({"type": "human_test", "question": "Who?", "answer": "Peru", "image": image(75)}, {"answer_type": "text"}),
    ],
    "m3cot": [
        Case(
            _m3cot("physics-1"),
            {
                "id": "m3cot-physics-1",
                "question": "Two magnets lie side by side.\nWhich magnet pulls more?",
                "answer": "A",
                "solution": "It is nearer.",
                "tags": ("science", "physics", "physics-forces"),
            },
        ),
        Case(_m3cot("physics-2", image=None, context=""), {"images": (), "question": "Which magnet pulls more?"}),
    ],
    "scienceqa": [
        Case(_scienceqa(), {"answer": "A", "solution": "Maps have four directions.\nNorth is up."}),
        Case(_scienceqa(image=None, hint="Look north.", answer=2), {"answer": "C", "images": ()}),
    ],
    "geometry3k": [
        Case(
            {"images": [image(85)], "problem": "<image>Find x.", "answer": "3 \\sqrt { 2 }"},
            {"question": "Find x.", "answer": "3 \\sqrt { 2 }", "answer_type": "expression"},
        ),
        Case({"images": [image(86)], "problem": "<image>Find y.", "answer": "12"}, {"answer_type": "number"}),
    ],
    "virl39k": [
        Case(
            _virl39k("q-1"),
            {"id": "virl39k-q-1", "question": "How long is AB?", "answer": "5", "answer_type": "number"},
        ),
        Case(
            _virl39k("q-2", answer="\\boxed{C}", question="<image>\nHow long?\nChoices:\nA. 1\nB. 2\nC. 3"),
            {"question": "How long?", "answer": "C", "answer_type": "choice", "choices": ("1", "2", "3")},
        ),
        Case(
            _virl39k("q-3", answer="\\boxed{\\frac{\\pi}{2}}", image=["images/q-1.png", "images/q-2.png"]),
            {"answer": "\\frac{\\pi}{2}", "answer_type": "expression"},
        ),
        Case(_virl39k("q-4", answer="\\boxed{the red one}"), {"answer": "the red one", "answer_type": "text"}),
    ],
    "mmk12": [
        Case(
            {"id": "k-1", "question": "<image>\nFind x.", "answer": "2x+1", "subject": "math", "image": image(95)},
            {
                "id": "mmk12-k-1",
                "question": "Find x.",
                "answer": "2x+1",
                "answer_type": "expression",
                "tags": ("math",),
            },
        ),
        Case(
            {
                "id": "e-2",
                "conversations": [{"role": "user", "content": "<image>What is it?"}],
                "answer": "$\\boxed{7}$",
                "image_urls": ["file:///pictures/e-2.png"],
            },
            {"question": "What is it?", "answer": "7", "answer_type": "number"},
        ),
    ],
    "mathv360k": [
        Case(_mathv360k("v-1", "The answer is 3."), {"answer": "3", "answer_type": "number"}),
        Case(
            _mathv360k("v-2", "B", "<image>\nHint: Please answer.\nQuestion: Which?\nChoices:\n(A) one\n(B) two"),
            {"question": "Hint: Please answer.\nQuestion: Which?", "answer": "B", "choices": ("one", "two")},
        ),
        Case(_mathv360k("v-3", "No"), {"answer": "No", "answer_type": "boolean"}),
    ],
}


def as_tsv(rows: list[dict[str, Any]]) -> str:
    """Rows as the authors of MMBench publish them: tab-separated, quoted where needed, images in base64."""
    import csv

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        plain = {name: "" if value in ("nan", None) else value for name, value in row.items()}
        if isinstance(plain.get("image"), dict):
            plain["image"] = base64.b64encode(plain["image"]["bytes"]).decode()
        writer.writerow(plain)
    return buffer.getvalue()
