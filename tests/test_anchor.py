"""anchor: the nearest ground truth, never the problem itself, by the embedder that built the index."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError, UsageError
from anectl.core.tiers import TIERS
from tests.conftest import problem_rows, write_rows

NUM_TRUTH = 20
SIGNALS = ("text", "image", "joint", "bm25", "skill")


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
        near = [(TIERS.index(anchor["why"]["tier"]), -anchor["score"]) for anchor in row["anchors"]]
        assert near == sorted(near)
        for anchor in row["anchors"]:
            why = anchor["why"]
            assert 0 < anchor["score"] <= 1
            assert all(-1 <= why[signal] <= 1 for signal in ("text", "image", "joint"))
            assert why["skill"] is None  # the row has neither tags nor a failing step
            assert why["ranks"].keys() == {signal for signal in SIGNALS if why[signal] is not None}
            assert why["note"].startswith(("a fact", "same "))
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
    assert "2 of 2 rows without an anchor" in result.stderr


def test_the_floor_cuts_by_similarity(here: Path) -> None:
    (row,) = lines(run("anchor", "--index", "truth.idx", stdin=stdin_of(new_problems(1))))
    cosines = sorted(max(anchor["why"][signal] for signal in SIGNALS[:3]) for anchor in row["anchors"])
    options = ("anchor", "--index", "truth.idx", "--top-k", NUM_TRUTH, "--floor")
    for floor in (cosines[1], f"image={row['anchors'][0]['why']['image']},text=0.1"):
        (cut,) = lines(run(*options, floor, stdin=stdin_of(new_problems(1))))
        assert 0 < len(cut["anchors"]) < NUM_TRUTH
        for anchor in cut["anchors"]:
            if isinstance(floor, str):
                assert anchor["why"]["image"] >= row["anchors"][0]["why"]["image"]
            else:
                assert max(anchor["why"][signal] for signal in SIGNALS[:3]) >= floor


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


TRUTH = [
    # id, question, answer, solution, tags, subject
    ("sum-1", "What is the sum of row 1?", "7", "3+4=7", ["sum", "addition"], "numbers"),
    ("sum-2", "What is the sum of row 2?", "9", "5+4=9", ["sum", "addition"], "numbers"),
    ("sum-9", "Add all digits of line 9!", "12", "6+6=12", ["sum", "addition"], "numbers"),
    ("max-1", "Name the biggest digit in row 1.", "8", "the largest of 3 8 is 8", ["largest"], "numbers"),
    ("area-1", "What is the area of the square?", "16", "4*4=16", ["area"], "geometry"),
    ("false-1", "What is the sum of row 3?", "5", "3+4=7", ["sum", "addition"], "numbers"),
    ("vague-1", "What is the sum of row 4?", "6", "Add them up", ["sum", "addition"], "numbers"),
]


@pytest.fixture(scope="module")
def lexical(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `truth.idx` of seven problems without pictures, two of which are not verified."""
    folder = tmp_path_factory.mktemp("lexical")
    rows = [
        {"id": name, "question": question, "answer": answer, "answer_type": "number", "solution": solution,
         "tags": tags, "source": {"subject": subject}}
        for name, question, answer, solution, tags, subject in TRUTH
    ]  # fmt: skip
    write_rows(folder / "truth.jsonl", rows)
    options = ("--embedder", f"policy:{tiny_model}", "--keep-unverified", "-o", folder / "truth.idx")
    done = run("build-index", folder / "truth.jsonl", *options)
    assert done.exit_code == 0, done.exception
    return folder / "truth.idx"


def asked(question: str, name: str = "q", **fields: Any) -> dict[str, Any]:
    return {"id": name, "question": question, "answer": "1", "answer_type": "number", **fields}


def ids_of(index: Path, problems: list[dict[str, Any]], *options: object) -> list[list[str]]:
    rows = lines(run("anchor", "--index", index, *options, stdin=stdin_of(problems)))
    return [[anchor["id"] for anchor in row["anchors"]] for row in rows]


def test_the_template_comes_before_the_skill_and_the_skill_before_a_fact(lexical: Path) -> None:
    query = asked("What is the sum of row 7?", tags=["sum"])
    (row,) = lines(run("anchor", "--index", lexical, "--top-k", 9, stdin=stdin_of([query])))
    assert [anchor["why"]["tier"] for anchor in row["anchors"]] == ["template"] * 2 + ["skill"] + ["fact"] * 2
    assert {anchor["id"] for anchor in row["anchors"][:2]} == {"sum-1", "sum-2"}
    assert row["anchors"][2]["id"] == "sum-9"
    assert "same template; ranks: " in row["anchors"][0]["why"]["note"]
    assert row["anchors"][0]["why"]["note"].endswith("shares `sum`")
    assert row["anchors"][0]["why"]["image"] is None  # neither has a picture


def test_unverified_anchors_are_given_only_on_request(lexical: Path) -> None:
    query = asked("What is the sum of row 7?")
    assert "vague-1" not in ids_of(lexical, [query], "--top-k", 9)[0]
    assert "vague-1" in ids_of(lexical, [query], "--top-k", 9, "--unverified")[0]
    assert "vague-1" not in ids_of(lexical, [query], "--top-k", 9, "--select", "random")[0]


def test_signals_can_be_used_alone_and_weighed(lexical: Path) -> None:
    query = asked("area of a square")
    assert ids_of(lexical, [query], "--signals", "bm25", "--top-k", 1) == [["area-1"]]
    (row,) = lines(run("anchor", "--index", lexical, "--signals", "bm25,text", stdin=stdin_of([query])))
    assert row["anchors"][0]["why"]["joint"] is None
    text = ids_of(lexical, [query], "--signals", "text", "--no-tiers")
    assert ids_of(lexical, [query], "--signals", "text,bm25", "--weight", "bm25=0", "--no-tiers") == text


def test_a_signal_named_twice_has_one_vote(lexical: Path) -> None:
    query = asked("area of a square, sum of a row")
    once, twice = (
        lines(run("anchor", "--index", lexical, "--signals", names, stdin=stdin_of([query])))
        for names in ("text,bm25", "text,text,bm25")
    )
    assert once == twice


def test_random_anchors_are_looked_for_until_there_are_enough(tiny_model: Path, tmp_path: Path) -> None:
    rows = [asked(f"Sum of row {number}?", f"p{number}", solution="Add them up") for number in range(15)]
    write_rows(tmp_path / "truth.jsonl", [*rows, asked("Sum?", "fit", solution="It is 1.")])
    options = ("--embedder", f"policy:{tiny_model}", "--keep-unverified", "-o", tmp_path / "truth.idx")
    assert run("build-index", tmp_path / "truth.jsonl", *options).exit_code == 0
    queries = [asked("Another?", f"q{number}") for number in range(9)]
    drawn = ids_of(tmp_path / "truth.idx", queries, "--select", "random", "--depth", 1, "--top-k", 1)
    assert drawn == [["fit"]] * 9


def test_random_anchors_take_no_floor_and_no_unknown_signal(lexical: Path) -> None:
    for options in (("--floor", "0.9"), ("--signals", "sound")):
        result = run("anchor", "--index", lexical, "--select", "random", *options, stdin=stdin_of([asked("Q?")]))
        assert isinstance(result.exception, UsageError), options


def test_the_failing_step_finds_what_the_question_does_not_say(lexical: Path) -> None:
    row = {
        **frontier_row(asked("Row 5, please?")),
        "first_errors": [{"completion": 0, "step": 1, "text": "largest: 3"}],
    }
    result = run("anchor", "--index", lexical, "--signals", "skill", "--top-k", 1, stdin=json.dumps(row) + "\n")
    (anchor,) = lines(result)[0]["anchors"]
    assert anchor["id"] == "max-1"
    assert "its solution has `largest` of the failing step" in anchor["why"]["note"]
    assert ids_of(lexical, [asked("Row 5, please?")], "--signals", "skill") == [[]]


def test_a_condition_limits_the_anchors(lexical: Path) -> None:
    queries = [asked("What is the sum of row 7?")]
    assert ids_of(lexical, queries, "--where", "subject='geometry'") == [["area-1"]]
    assert ids_of(lexical, queries, "--where", "subject='geometry'", "--select", "random") == [["area-1"]]
    assert isinstance(run("anchor", "--index", lexical, "--where", "subject=", stdin="").exception, UsageError)


def test_the_problem_itself_is_an_anchor_only_on_request(lexical: Path) -> None:
    query = asked("what is the SUM of row 1?", tags=["sum"])
    assert "sum-1" not in ids_of(lexical, [query], "--top-k", 9)[0]
    (row,) = lines(run("anchor", "--index", lexical, "--keep-same-item", stdin=stdin_of([query])))
    assert (row["anchors"][0]["id"], row["anchors"][0]["why"]["tier"]) == ("sum-1", "item")


def test_a_cap_of_uses_spreads_the_anchors(lexical: Path, tmp_path: Path) -> None:
    queries = [asked(f"What is the sum of row {number}?", f"q{number}") for number in range(5, 9)]
    report = tmp_path / "coverage.json"
    found = ids_of(lexical, queries, "--top-k", 2, "--max-uses", 1, "--coverage", report)
    given = [name for names in found for name in names]
    assert len(given) == len(set(given)) == 5
    assert all(found)  # the first queries do not take all
    coverage = json.loads(report.read_text())
    assert (coverage["rows"], coverage["without_anchor"], coverage["fewer_than_asked"]) == (4, 0, 3)
    assert coverage["anchors_by_uses"] == {"1": 5}


def test_the_same_command_gives_the_same_bytes(lexical: Path) -> None:
    queries = stdin_of([asked(f"What is the sum of row {number}?", f"q{number}") for number in range(4)])
    options = ("anchor", "--index", lexical, "--diversity", 0.5, "--max-uses", 2)
    assert run(*options, stdin=queries).stdout == run(*options, "--batch-size", 1, stdin=queries).stdout != ""


def test_coverage_stands_in_the_manifest(lexical: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"
    run("anchor", "--index", lexical, "--floor", 1.5, "-o", output, stdin=stdin_of([asked("What is it?")]))
    notes = json.loads((tmp_path / "a.jsonl.manifest.json").read_text())["notes"]
    assert notes["coverage"]["share_without_anchor"] == 1.0


@pytest.mark.parametrize(
    "options",
    [
        ("--signals", "sound"),
        ("--weight", "text"),
        ("--weight", "text=-1"),
        ("--signals", "text", "--weight", "text=0"),
        ("--floor", "high"),
        ("--floor", "nan"),
        ("--signals", "bm25", "--floor", "0.5"),
        ("--signals", "bm25", "--diversity", "0.5"),
    ],
)
def test_options_that_make_no_sense_are_named(lexical: Path, options: tuple[str, ...]) -> None:
    result = run("anchor", "--index", lexical, *options, stdin=stdin_of([asked("What is it?")]))
    assert isinstance(result.exception, UsageError), result.exception


@pytest.mark.parametrize(
    "line", ['{"schema": "frontier/1", "pro', '{"schema": "frontier/9"}', '{"schema": "problem/1"}']
)
def test_bad_rows_end_the_run_or_go_to_the_rejects(lexical: Path, tmp_path: Path, line: str) -> None:
    good = stdin_of([asked("What is it?")])
    result = run("anchor", "--index", lexical, stdin=good + line + "\n")
    assert isinstance(result.exception, AnectlError)
    assert "<stdin>:2" in str(result.exception)
    options = ("--on-error", "skip", "--rejects", tmp_path / "r.jsonl")
    assert len(lines(run("anchor", "--index", lexical, *options, stdin=good + line + "\n"))) == 1
    assert json.loads((tmp_path / "r.jsonl").read_text())["line"] == 2


def test_an_empty_file_is_an_error(lexical: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    assert isinstance(run("anchor", tmp_path / "empty.jsonl", "--index", lexical).exception, AnectlError)
