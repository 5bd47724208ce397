"""report: one page says how a run went, whatever stands in its files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from anectl.cli import app
from anectl.core.errors import AnectlError, RowError
from anectl.core.report.artifacts import Artifact
from anectl.core.report.building import name_series
from anectl.core.report.curves import Curve, is_log_line
from anectl.core.report.figure_svg import standalone, svg
from anectl.core.report.figures import Axis, Block, Figure, Line, number_axis
from anectl.core.report.gathering import Series
from anectl.core.report.markup import Markup, inert_json, joined, tag
from anectl.core.report.page import policy, script, style
from anectl.core.report.provenance import Step, in_order
from anectl.core.report.safe_text import Cut, cut, short, visible
from anectl.core.report.thumbnails import Thumbnails
from tests.report_rows import HOSTILE, make_hostile_run, make_run, problem, rollout, score, write
from tests.test_architecture import HEAVY

Made = Callable[..., "Page"]


class Page(HTMLParser):
    """The parts of a page that tests ask about."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.bytes = path.read_bytes()
        self.blocks: dict[str, Any] = {}
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._open: str | None = None
        self._kept: list[str] = []
        self.feed(self.bytes.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        found = dict(attrs)
        if tag == "script":
            self._open, self._kept = found.get("id") or "", []

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._open is not None:
            text = "".join(self._kept)
            if self._open:
                self.blocks[self._open] = json.loads(text)
            else:
                self.scripts.append(text)
            self._open = None

    def handle_data(self, data: str) -> None:
        (self.words if self._open is None else self._kept).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def details(self) -> dict[str, dict[str, Any]]:
        found = [one for name, block in self.blocks.items() if name.startswith("details-") for one in block]
        return {one["name"]: one for one in found}


@pytest.fixture
def report(tmp_path: Path) -> Made:
    def make(*arguments: object, code: int = 0) -> Page:
        out = tmp_path / "report.html"
        done = CliRunner().invoke(app, ["report", *map(str, arguments), "-o", str(out)], catch_exceptions=False)
        assert done.exit_code == code, done.stderr
        assert done.stdout == ""
        page = Page(out)
        page.log = done.stderr  # type: ignore[attr-defined]
        return page

    return make


def failure(*arguments: object) -> AnectlError:
    with pytest.raises(AnectlError) as raised:
        CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False)
    return raised.value


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\u202eabc", "⟦U+202E⟧abc"),
        ("\x1b[31m", "⟦U+001B⟧[31m"),
        ("a\u2028b", "a⟦U+2028⟧b"),
        ("\ud800", "⟦U+D800⟧"),
        ("العربية", "العربية"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_piled_up_marks_do_not_paint_over_other_lines() -> None:
    assert len(visible("Z" + "\u0300" * 500)) < 20


@given(st.text(max_size=300), st.integers(3, 100))
def test_a_cut_text_keeps_both_ends_and_says_how_much_is_gone(text: str, most: int) -> None:
    found = cut(text, most)
    if len(text) <= most:
        assert found == visible(text)
    else:
        assert isinstance(found, Cut)
        assert found.left_out == len(text) - most
        assert found.length == len(text)
        assert found.head == visible(text[: most - most // 3])


@given(st.text())
def test_a_short_text_is_one_line_that_can_be_encoded(text: str) -> None:
    assert "\n" not in short(text, 20)
    short(text, 20).encode()


@given(
    st.recursive(
        st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_in_a_script_is_inert_and_comes_back(value: Any) -> None:
    data = inert_json(_seen(value))
    assert not re.search(rb"[<>&]|\xe2\x80[\xa8\xa9]", data)
    assert json.loads(data) == _seen(value)


def _seen(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_seen(one) for one in value]
    return {visible(key): _seen(one) for key, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_in_markup_stays_text(text: str) -> None:
    element = ElementTree.fromstring(tag("p", text, title=text))
    assert element.text == visible(text).replace("\r", "\n") or not text
    assert list(element) == []


def test_markup_is_not_escaped_twice() -> None:
    assert joined([tag("b", "<"), "<", None, 3]) == "<b>&lt;</b>&lt;3"
    assert isinstance(tag("b"), Markup)


# --- figures ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_an_axis_holds_its_values_between_ticks_that_differ(values: list[float]) -> None:
    axis = number_axis("", values)
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low - slack <= min(values) <= max(values) <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 8
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)


def test_a_figure_is_wellformed_and_needs_no_style_attribute() -> None:
    axis = Axis("<x>", 0, 2, ((0, "0"), (2, "2")))
    marks = (Line(((0, 0), (1, 1)), "c0", "a<b"), Block(0, 0, 1, 1, "failing", '"hint"'))
    figure = Figure("name", "a & b", axis, axis, marks, (("<legend>", "c0"),))
    for text in (svg(figure), standalone(figure)):
        element = ElementTree.fromstring(text)
        assert all("style" not in one.attrib for one in element.iter())
    assert "http" not in svg(figure)
    assert "fill:#" in standalone(figure)


def test_a_long_log_becomes_a_curve_of_bounded_size() -> None:
    curve = Curve()
    for step in range(1, 100_001):
        curve.add({"step": step, "loss": float(step)})
    points = curve.values("loss")
    assert 200 <= len(points) <= 800
    assert curve.width * len(points) >= 100_000 > curve.width * (len(points) - 1)
    assert all(abs(x - y) < 1e-6 for x, y in points)


@pytest.mark.parametrize(
    ("row", "is_log"),
    [
        ({"step": 1, "loss": 0.5}, True),
        ({"step": 1, "loss": "0.5"}, False),
        ({"step": "1", "loss": 0.5}, False),
        ({"step": True, "loss": 0.5}, False),
        ({"step": 1, "seconds": 3.0}, False),
        ({"loss": 0.5}, False),
    ],
)
def test_a_log_line_is_a_step_with_numbers(row: dict[str, Any], is_log: bool) -> None:
    assert is_log_line(row) is is_log


def test_policies_are_called_by_the_shortest_end_of_their_path() -> None:
    artifact = Artifact(0, 0, "x.jsonl", "sub/x.jsonl")
    policies = ("runs/a/model", "runs/b/model", "base", "base", "base")
    each = [Series(number, artifact, policy, 1.0 if number < 4 else 0.5) for number, policy in enumerate(policies)]
    name_series(each, runs=1)
    assert [one.label for one in each] == ["a/model", "b/model", "base", "base, T=1", "base, T=0.5"]


def test_commands_are_ordered_by_what_they_read_and_not_by_the_age_of_copies() -> None:
    def step(name: str, age: float, *inputs: str) -> Step:
        entries = [{"path": path} for path in inputs]
        return Step(f"run/{name}.manifest.json", 0, age, {"options": {"output": name}, "inputs": entries})

    steps = [step("c", 1.0, "b"), step("b", 3.0, "a"), step("a", 2.0), step("x", 0.5)]
    assert [one.output for one in in_order(steps)] == ["run/x", "run/a", "run/b", "run/c"]
    circle = [step("a", 1.0, "b"), step("b", 2.0, "a")]
    assert [one.output for one in in_order(circle)] == ["run/a", "run/b"]


# --- images ----------------------------------------------------------------------------------------------------------


def test_images_are_made_small_once_and_missing_ones_leave_a_note(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 600), "red").save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "bad.png").write_bytes(b"<svg onload=x>")
    made = Thumbnails(tmp_path, 100, 10**6)
    assert made.add("a.png", None) == made.add("b.png", None) == made.add("a.png", None) == 0
    assert made.count == 1
    assert "not found" in str(made.add("none.png", None))
    assert "cannot be decoded" in str(made.add("bad.png", None))
    assert "remote" in str(made.add("https://example.org/x.png", None))
    assert "outside" in str(made.add("../../../../etc/passwd", None))
    assert made.num_missing == 4
    ((name, images),) = made.blocks(last=True)
    assert name == "images-0"
    assert len(images) == 1


def test_images_end_where_the_page_is_full(tmp_path: Path) -> None:
    for number in range(4):
        Image.effect_noise((64, 64), 90 + number).save(tmp_path / f"{number}.png")
    made = Thumbnails(tmp_path, 64, 5000)
    found = [made.add(f"{number}.png", None) for number in range(4)]
    assert found[0] == 0
    assert "left out" in str(found[-1])


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_page_tells_the_whole_run(tmp_path: Path, report: Made) -> None:
    page = report(make_run(tmp_path / "run"))
    assert {"evaluation", "frontier", "training", "rounds", "problems", "card", "files"} <= {
        value for name, value in page.attributes if name == "id"
    }
    assert "Accuracy, sums, base to m2: 30.0 to 60.0%, +30.0 points" in page.text
    assert "From base to m2: 12 problems" in page.text
    assert "strip-rl from base: 1 examples, 30 steps" in page.text
    assert "2 zone solved" in page.text
    row = {one["name"]: one for one in page.blocks["index"]}["p0"]
    assert row["states"] == ["learnable"]  # it is a problem's last series that counts
    detail = page.details()["p0"]
    looked = next(one for one in detail["draws"] if one["policy"] == "base" and "first" in one["completions"][0])
    assert looked["completions"][0]["first"] == {"step": 1, "text": "Two.", "drawn": 8}
    assert looked["completions"][0]["values"] == [[3, 4], [0, 4]]
    assert [one["id"] for one in detail["anchors"][0]["items"]] == ["p100", "p101", "p102"]
    assert detail["anchors"][0]["items"][0]["signals"] == {"text": [0.81, 1], "bm25": [12.5, 2]}
    assert detail["examples"][0]["ladder"][1] == "This is about: sum."
    assert detail["examples"][0]["level"] == 2
    gained = page.details()["p203"]
    assert gained["states"] == ["gained"]
    assert [(one["label"], one["correct"]) for one in gained["scores"]] == [("base", False), ("m2", True)]
    assert page.details()["p200"]["states"] == ["lost"]
    assert "12 images" in page.log  # type: ignore[attr-defined]


def test_the_page_lets_nothing_run_and_asks_for_nothing(tmp_path: Path, report: Made) -> None:
    page = report(make_run(tmp_path / "run"))
    assert page.scripts == [script()]
    assert ("content", policy(style(), script())) in page.attributes
    assert [name for name, _ in page.attributes if name.startswith("on") or name in ("style", "srcdoc", "action")] == []
    links = [value or "" for name, value in page.attributes if name in ("href", "src")]
    assert [link for link in links if not link.startswith(("#", "data:,"))] == []
    assert "innerHTML" not in script()
    assert not re.search(r"https?:|url\(|@import|eval\(|gradient", script() + style())


def test_hostile_text_is_data_everywhere(tmp_path: Path, report: Made) -> None:
    plain = report(make_run(tmp_path / "run"))
    page = report(make_hostile_run(tmp_path / "hostile"))
    assert set(page.names) <= set(plain.names)
    assert page.scripts == [script()]
    allowed = {name for name, _ in plain.attributes}
    assert {name for name, _ in page.attributes} <= allowed
    assert len(page.blocks["index"]) == len(HOSTILE)
    assert len(page.bytes) < 6_000_000
    assert b"\xe2\x80\xae" not in page.bytes
    assert b"\x1b" not in page.bytes
    long = next(
        one for one in page.details().values() if isinstance(one["question"], list) and one["question"][0][:1] == "x"
    )
    assert long["question"][3] == 1_000_000


def test_files_that_are_none_of_ours_are_named_and_not_fatal(tmp_path: Path, report: Made) -> None:
    run = make_run(tmp_path / "run")
    (run / "notes.json").write_text("not json")
    write(run / "odd.jsonl", [{"schema": "strange/7"}, {"schema": "strange/7"}])
    (run / "empty.jsonl").write_text("")
    (run / "half.jsonl.partial").write_text("{")
    (run / "m2" / "config.json").write_text("{}")
    (run / "m2" / "tokenizer.json").write_text("{}")
    page = report(run)
    for words in ("notes.json", "2 rows of unknown schema 'strange/7'", "no rows in it", "rows of an interrupted run"):
        assert words in page.text
        assert words in page.log  # type: ignore[attr-defined]
    assert "tokenizer" not in page.text


def test_a_torn_row_ends_the_report_unless_it_is_to_be_skipped(tmp_path: Path, report: Made) -> None:
    run = make_run(tmp_path / "run")
    with open(run / "rollouts.jsonl", "a") as file:
        file.write('{"schema": "rollout/1", "prob')
    error = failure(run)
    assert isinstance(error, RowError)
    assert str(error).startswith(f"{run / 'rollouts.jsonl'}:13: ")
    page = report(run, "--on-error", "skip")
    assert "rollouts.jsonl:13" in page.text


def test_a_folder_without_records_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    assert "no records" in str(failure(tmp_path))
    assert "no folder" in str(failure(tmp_path / "none"))
    assert not (tmp_path / "report.html").exists()


def test_two_runs_are_compared(tmp_path: Path, report: Made) -> None:
    a, b = make_run(tmp_path / "a", gain=1), make_run(tmp_path / "b", gain=5)
    page = report(a, b)
    assert "B: m2 (b) against A: m2 (a)" in page.text
    assert "+40.0 points" in page.text
    assert "From A: base to B: base: 12 problems" in page.text
    assert {one["where"][:2] for one in page.details()["p203"]["scores"]} == {"A:", "B:"}


def test_files_of_all_runs_are_added_and_a_baseline_can_be_named(tmp_path: Path, report: Made) -> None:
    run = make_run(tmp_path / "run")
    other = write(tmp_path / "other.jsonl", [score(problem(200 + n), n < 8, "third") for n in range(10)])
    page = report(run, "--add", other, "--baseline", "third")
    assert "base (b) against third (a)" in page.text
    assert "is not among the scores" in str(failure(run, "--baseline", "none", "-o", tmp_path / "x.html"))


def test_scores_without_their_problem_are_those_of_its_id(tmp_path: Path, report: Made) -> None:
    run = make_run(tmp_path / "run")
    bare = [score(problem(200 + n), False, "third") for n in range(10)]
    for row in bare:
        del row["problem"]
    write(run / "third.jsonl", bare)
    page = report(run)
    assert len([name for name in page.details() if name.startswith("p20")]) == 10
    assert len(page.details()["p204"]["scores"]) == 3


def test_two_problems_of_one_id_stay_apart(tmp_path: Path, report: Made) -> None:
    rows = [score(problem(1, question=f"Question of {name}?"), False, "base", name) for name in ("first", "second")]
    write(tmp_path / "run" / "s.jsonl", rows)
    page = report(tmp_path / "run")
    assert {name: one["question"] for name, one in page.details().items()} == {
        "first/p1": "Question of first?",
        "second/p1": "Question of second?",
    }


def test_completions_drawn_with_the_answer_measure_nothing(tmp_path: Path, report: Made) -> None:
    row = rollout(problem(1), 8)
    row["sampling"]["reveal"] = "hint"
    write(tmp_path / "run" / "r.jsonl", [row, rollout(problem(2), 0)])
    page = report(tmp_path / "run")
    assert "1 failing" in page.text
    assert list(page.details()) == ["p2"]


def test_the_page_keeps_to_its_size(tmp_path: Path, report: Made) -> None:
    rows = [rollout(problem(n), 0) for n in range(60)]
    for n, row in enumerate(rows):
        row["completions"] = [
            {"text": f"{n} {k} " + "long words " * 1000, "finish_reason": "stop", "correct": False} for k in range(8)
        ]
    write(tmp_path / "run" / "r.jsonl", rows)
    page = report(tmp_path / "run", "--max-mb", "1")
    assert len(page.bytes) < 1_000_000
    assert len(page.blocks["index"]) == 60
    assert len(report(tmp_path / "run", "--max-problems", "7").blocks["index"]) == 7


def test_the_page_is_about_the_policy_that_is_named(tmp_path: Path, report: Made) -> None:
    run = make_run(tmp_path / "run")
    write(run / "zz.jsonl", [score(problem(200 + n, images=["1.png"]), False, "worse") for n in range(10)])
    page = report(run, "--after", "runs/m2")
    assert "base to m2: 30.0 to 60.0%" in page.text
    assert page.details()["p203"]["states"] == ["gained"]


def test_a_report_needs_no_heavy_library(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    program = f"""
import sys
from typer.testing import CliRunner
from anectl.cli import app
done = CliRunner().invoke(app, ["report", {str(tmp_path / "run")!r}, "-o", {str(tmp_path / "r.html")!r}])
assert done.exit_code == 0, done.stderr
loaded = {HEAVY | {"matplotlib"}!r} & sys.modules.keys()
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_figures_are_written_for_papers(tmp_path: Path, report: Made) -> None:
    pytest.importorskip("matplotlib")
    report(make_run(tmp_path / "run"), "--plots", tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"frontier-0.svg", "frontier-0.png", "zones.svg", "accuracy-strict.png", "training-0-reward.svg"} <= names
    for path in (tmp_path / "plots").iterdir():
        if path.suffix == ".svg":
            ElementTree.fromstring(path.read_text())
        else:
            assert Image.open(path).size[0] > 600


def test_the_same_run_gives_the_same_page(tmp_path: Path, report: Made) -> None:
    run = make_run(tmp_path / "run")
    assert report(run).bytes == report(run).bytes
