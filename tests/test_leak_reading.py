"""scaffold --read-scaffolds: a model reads every scaffold for the answer, without the picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from anectl.core.drafts import Draft, Drafter
from anectl.core.leak_reading import NO_HINT, READER, SOLVES, LeakReader
from anectl.core.model_prompts import load_prompt
from anectl.core.probing import Probe
from anectl.core.protocols import Draw, SamplingParams
from anectl.core.records import Anchor, Message, Problem, Why
from anectl.core.scaffolds import Help, leaks, load_template
from tests.chat_server import Answer, Body, ChatServer, completion, failure, prompt_of
from tests.conftest import write_rows
from tests.test_scaffold import anchored_rows, judge
from tests.test_scaffold_models import interrupted, rows_of, scaffold

TEMPLATE = load_template(None)
SUM = Problem(id="a", question="How many marbles are there?", answer="11", answer_type="number")
# The rules know no dozen that lacks one.
SLY = "the marbles lack one to be a dozen"


@pytest.fixture
def anchored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_rows(tmp_path / "anchored.jsonl", anchored_rows(tmp_path))


def reader(drafter: Drafter) -> LeakReader:
    return LeakReader(load_prompt(None, READER), SamplingParams(0.0, 1.0, 16), judge, drafter, 0)


def draft_of(problem: Problem, *helps: Help, level: int = 1) -> tuple[Drafter, Draft]:
    drafter = Drafter(TEMPLATE, (level,))
    draft = drafter.draft(problem, (), "frontier", "", None)
    for help in reversed(helps):
        draft = drafter.helped(draft, help)
    return drafter, draft


def said(probe: Probe) -> str:
    return probe.request.messages[-1].content


def read(one: LeakReader, draft: Draft, replies: dict[str, str]) -> tuple[Draft, list[list[Probe]]]:
    """What becomes of a draft when a prompt that holds a key gets its reply, and any other `Answer: NOT STATED`."""
    rounds: list[list[Probe]] = []
    work = one.read(draft)
    try:
        rounds.append(next(work))
        while True:
            rounds.append(work.send([(reply_to(probe, replies),) for probe in rounds[-1]]))
    except StopIteration as stop:
        found: Draft = stop.value
        return found, rounds


def reply_to(probe: Probe, replies: dict[str, str]) -> Draw:
    text = next((reply for part, reply in replies.items() if part in said(probe)), "Answer: NOT STATED")
    if text.startswith("HTTP"):
        return Draw("", "error", 0, error=text)
    return Draw(text, "length" if text.startswith("CUT") else "stop", 4)


def test_a_level_that_the_reader_reads_the_answer_from_takes_its_next_source() -> None:
    assert not leaks(SLY, SUM)
    drafter, draft = draft_of(SUM, Help("model", {"knowledge": SLY}), Help("other", {"knowledge": "counting"}))
    assert SLY in draft.ladder[1]
    one = reader(drafter)
    found, rounds = read(one, draft, {SLY: "Answer: 11"})
    assert found.ladder[1] != draft.ladder[1]
    assert "counting" in found.ladder[found.level]
    assert found.sources[1] == "other"
    assert found.notes == ("level 1 of model gives the answer away (read)",)
    assert ["counting" in said(probe) for probe in rounds[2]] == [True], "what takes its place is read as well"
    assert len(rounds) == 3
    assert one.readings.facts() == {
        "problems": 1, "answered_without_scaffold": 0, "texts": 2, "told": 1, "cut": 0, "engine_errors": 0,
    }  # fmt: skip


def test_with_no_clean_source_left_the_row_is_bare() -> None:
    drafter, draft = draft_of(SUM, Help("model", {"knowledge": SLY}), Help("other", {"knowledge": f"{SLY} again"}))
    found, _ = read(reader(drafter), draft, {SLY: "Answer: 11"})
    assert not any(found.ladder)
    assert found.level == 0
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("reply", "tells"),
    [
        ("Answer: 11", True),
        ("The hint lacks one of a dozen.\nAnswer: eleven", True),
        ("<think>NOT STATED? No: a dozen less one.</think>Answer: 11", True),
        ("<think>Is it 11?</think>Answer: NOT STATED", False),
        ("It could be 11, but the hint leaves it open.\nAnswer: not stated.", False),
        ("NOT STATED", False),
        ("Answer: **NOT STATED**", False),
        ("Answer: NOT STATED (5 + 6 = 11 would be, but the sum is left open)", False),
        ("The answer is 11? NOT STATED.", False),
        ("It is not stated as a figure but as a dozen less one. Answer: 11", True),
        ("Answer: 11\n(not stated in words)", True),
        ("Answer: 12 - 1", True),
        ("Answer: XI", True),
        ("Answer: 5 + 7", False),
        ("Answer: 12", False),
        ("", False),
    ],
)
def test_a_reply_tells_only_if_it_ends_in_the_right_answer(reply: str, tells: bool) -> None:
    drafter, draft = draft_of(SUM, Help("model", {"knowledge": SLY}))
    found, _ = read(reader(drafter), draft, {SLY: reply})
    assert (found.ladder == draft.ladder) is not tells


def test_a_reader_that_answers_without_a_scaffold_judges_none() -> None:
    drafter, draft = draft_of(SUM, Help("model", {"knowledge": SLY}))
    one = reader(drafter)
    found, rounds = read(one, draft, {NO_HINT: "Answer: 11", SLY: "Answer: 11"})
    assert found.ladder == draft.ladder
    assert found.notes == (f"not read for leaks: {SOLVES}",)
    assert len(rounds) == 1
    assert one.readings.facts()["answered_without_scaffold"] == 1
    assert "1 problems it answers without one" in one.readings.summary()


@pytest.mark.parametrize(
    ("reply", "why"), [("HTTP 500", "HTTP 500"), ("CUT Answer: 11", "the reply was cut at 16 tokens")]
)
def test_a_scaffold_that_could_not_be_read_stays_and_the_row_says_so(reply: str, why: str) -> None:
    drafter, draft = draft_of(SUM, Help("model", {"knowledge": SLY}))
    one = reader(drafter)
    found, _ = read(one, draft, {SLY: reply})
    assert found.ladder == draft.ladder
    assert found.notes == (f"not all read for leaks: {why}",)
    assert (one.readings.num_texts, one.readings.num_told) == (0, 0)
    assert one.readings.num_failed + one.readings.num_cut == 1
    assert ("1 replies cut" if one.readings.num_cut else "1 engine errors") in one.readings.summary()


@pytest.mark.parametrize("reply", ["HTTP 500", "CUT Answer: 11"])
def test_without_the_reply_to_the_bare_question_nothing_is_judged(reply: str) -> None:
    """The reader may know the answer by itself: then every scaffold would be thrown away."""
    drafter, draft = draft_of(SUM, Help("model", {"knowledge": SLY}))
    found, rounds = read(reader(drafter), draft, {NO_HINT: reply, SLY: "Answer: 11"})
    assert found.ladder == draft.ladder
    assert found.notes[0].startswith("not read for leaks: ")
    assert len(rounds) == 1


def test_a_question_that_marks_the_place_of_its_picture_is_read_without_the_mark() -> None:
    """An engine would look for the picture that the reader does not get."""
    problem = Problem(id="a", question="<image> How many?", answer="11", answer_type="number", images=("x.png",))
    drafter, draft = draft_of(problem, Help("model", {"knowledge": SLY}))
    _, rounds = read(reader(drafter), draft, {})
    assert all("[image] How many?" in said(probe) for asked in rounds for probe in asked)
    assert not any("<image>" in said(probe) for asked in rounds for probe in asked)


def test_a_row_whose_borrowed_scaffolds_are_all_read_names_no_anchor() -> None:
    borrowed = Anchor(
        id="t0",
        rank=1,
        score=0.9,
        why=Why(joint=0.9, tier="template"),
        problem=Problem(id="t0", question="q", answer="3", answer_type="number", steps=("Count.",), tags=(SLY,)),
    )
    drafter = Drafter(TEMPLATE, (1,), scaffold_from="anchor")
    draft = drafter.draft(SUM, (), "frontier", "", borrowed)
    assert draft.anchor_ids == ("t0",)
    some, _ = read(reader(drafter), draft, {SLY: "Answer: 11"})
    assert some.anchor_ids == ("t0",), "its plan is still used"
    none, _ = read(reader(drafter), draft, {SLY: "Answer: 11", "Count.": "Answer: 11"})
    assert (none.anchor_ids, any(none.ladder)) == ((), False)


def test_a_bare_row_asks_nothing() -> None:
    drafter, draft = draft_of(SUM)
    found, rounds = read(reader(drafter), draft, {})
    assert found is draft
    assert rounds == []


def test_the_reader_sees_question_choices_and_hint_but_no_picture_and_no_answer() -> None:
    problem = Problem(
        id="a", question="Which {hint}?", answer="B", answer_type="choice", choices=("red", "blue"), images=("x.png",)
    )
    drafter, draft = draft_of(problem, Help("model", {"knowledge": "colours of light"}))
    _, rounds = read(reader(drafter), draft, {})
    for probe in (probe for asked in rounds for probe in asked):
        assert probe.request.images == ()
        assert probe.params.temperature == 0
        assert "Which {hint}?" in said(probe)
        assert "(A) red (B) blue" in said(probe)
    assert NO_HINT in said(rounds[0][0])
    assert "colours of light" in said(rounds[1][0])


def test_the_prompt_that_comes_with_anectl_asks_for_one_line() -> None:
    system, user = load_prompt(None, READER).conversation({"question": "Q", "choices": "", "hint": "H"})
    assert isinstance(system, Message)
    assert "Answer: NOT STATED" in system.content
    assert user.content.endswith("Hint:\nH")


def one_short(body: Body, number: int) -> Answer | Body:
    """Writes a scaffold that tells the answer by the number that follows it, and reads just that."""
    told = prompt_of(body)
    if "Hint:" not in told:
        answer = int(told.rsplit("hint: ", 1)[1].split()[0])
        return completion(body, f"KNOWLEDGE: what goes before {answer + 1}\nPLAN: look at the picture")
    hint = told.rsplit("Hint:\n", 1)[1]
    if "13" in hint:
        return failure(400, "too hard")
    before = [int(word) for word in hint.replace(".", " ").split() if word.isdigit()]
    return completion(body, f"Answer: {before[0] - 1}" if "goes before" in hint else "Answer: NOT STATED")


OPTIONS = ("--read-scaffolds", "--helper-model", "m", "--helper-engine", "openai", "--from", "anchors", "--levels", 1)


def test_what_a_helper_writes_it_reads_without_the_picture(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    with ChatServer(one_short) as server:
        given = (anchored, "--scaffold-from", "model", *OPTIONS, "--helper-url", server.url, "-o", out)
        result = scaffold(*given)
        assert result.exit_code == 0, result.exception
        asked = [body["messages"][-1]["content"] for body in server.requests]
    texts = [prompt_of(body) for body in server.requests]
    for content, text in zip(asked, texts, strict=True):
        has_image = not isinstance(content, str) and any(part["type"] == "image_url" for part in content)
        assert has_image is ("Hint:" not in text)
    rows = {row["answer"]: row["scaffold"] for row in rows_of(out)}
    assert rows["10"]["sources"][:3] == ["", "gold", "model"]
    assert "level 1 of model gives the answer away (read)" in rows["10"]["notes"]
    assert rows["12"]["sources"][1] == "model", "a scaffold that could not be read is kept"
    assert "too hard" in rows["12"]["notes"][-1]
    notes = json.loads((tmp_path / "x.jsonl.manifest.json").read_text())["notes"]
    assert notes["scaffolds_read"]["told"] == len(rows) - 1
    assert notes["scaffolds_read"]["problems"] == len(rows)
    assert notes["scaffolds_read"]["engine_errors"] == notes["engine_errors"] == 1
    assert f"{len(rows) - 1} tell the answer" in result.stderr


def odd_ones(body: Body, number: int) -> Body:
    """Reads the answer of every other problem from every scaffold of it."""
    told = prompt_of(body)
    number = int(told.split("(", 1)[1].split(")")[0])
    return completion(body, "Answer: NOT STATED" if NO_HINT in told or number % 2 else f"Answer: {number + 10}")


def test_scaffolds_of_the_data_are_read_too(anchored: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    with ChatServer(odd_ones) as server:
        result = scaffold(anchored, *OPTIONS, "--helper-url", server.url, "-o", out)
    assert result.exit_code == 0, result.exception
    assert {row["answer"]: row["scaffold"]["level"] for row in rows_of(out)} == {
        str(10 + number): number % 2 for number in range(7)
    }


@pytest.mark.parametrize("keep", [0, 2, 5])
def test_a_killed_run_resumed_gives_what_the_whole_run_gave(
    anchored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.setattr("anectl.stages.scaffold._WINDOW", 2)
    out = tmp_path / "x.jsonl"
    with ChatServer(odd_ones) as server:
        options = (*OPTIONS, "--helper-url", server.url, "-o", out)
        assert scaffold(anchored, *options).exit_code == 0
        whole = out.read_bytes()
        interrupted(whole, keep, out)
        num_before = len(server.requests)
        result = scaffold(anchored, *options, "--resume")
        assert result.exit_code == 0, result.exception
        assert (len(server.requests) - num_before < num_before) is (keep == 5), "what is written is not asked again"
    assert out.read_bytes() == whole
    assert "since the resume, read" in result.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--read-scaffolds"], "--read-scaffolds, and --helper-model, go together"),
        (["--helper-model", "m"], "--read-scaffolds, and --helper-model, go together"),
        (["--read-scaffolds", "--helper-model", "m", "--targets", "raw"], "raw solutions have no scaffold"),
        (["--reader-prompt", "r.yaml"], "--reader-prompt has no effect without --read-scaffolds"),
        (
            ["--read-scaffolds", "--helper-model", "m", "--helper-prompt", "h.yaml"],
            "--helper-prompt has no effect without --scaffold-from model",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(anchored: Path, options: Sequence[str], complaint: str) -> None:
    assert complaint in str(scaffold(anchored, *options).exception)


def test_a_real_model_reads_through_the_same_engine(anchored: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Untrained, it reads nothing: the scaffolds are those of a run without it, and all were asked about."""
    brief = tmp_path / "brief.yaml"
    brief.write_text("system: NOT STATED\nuser: '{question} {hint}'\n")
    options = ("--from", "anchors", "--levels", 5)
    reading = ("--read-scaffolds", "--helper-model", tiny_model, "--reader-prompt", brief, "--helper-max-tokens", 8)
    result = scaffold(anchored, *reading, *options, "-o", tmp_path / "read.jsonl")
    assert result.exit_code == 0, result.exception
    assert scaffold(anchored, *options, "-o", tmp_path / "own.jsonl").exit_code == 0
    found, own = rows_of(tmp_path / "read.jsonl"), rows_of(tmp_path / "own.jsonl")
    assert [row["scaffold"] | {"notes": []} for row in found] == [row["scaffold"] for row in own]
    facts = json.loads((tmp_path / "read.jsonl.manifest.json").read_text())["notes"]["scaffolds_read"]
    assert facts["problems"] == len(found)
    assert facts["engine_errors"] == facts["told"] == 0
    assert facts["texts"] + facts["cut"] >= len(found)
    assert sum("cut at 8 tokens" in note for row in found for note in row["scaffold"]["notes"]) <= facts["cut"]


def test_replayed_rows_keep_no_scaffold_that_was_not_read(anchored: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "own.jsonl", tmp_path / "x.jsonl"
    solved = {
        "schema": "rollout/1",
        "problem": rows_of(anchored)[0]["anchors"][0]["problem"],
        "policy": "base",
        "sampling": {"n": 1},
        "completions": [{"text": "Answer: 10", "finish_reason": "stop", "correct": True}],
    }
    replay = ("--replay", write_rows(tmp_path / "rollouts.jsonl", [solved]))
    with ChatServer(odd_ones) as server:
        for path, options in ((out, (*OPTIONS, "--helper-url", server.url)), (own, ("--from", "anchors"))):
            assert scaffold(anchored, *options, *replay, "-o", path).exit_code == 0
    ladders = [
        [row["scaffold"]["ladder"] for row in rows_of(path) if row["origin"].startswith("replay/")]
        for path in (own, out)
    ]
    assert [[any(ladder) for ladder in found] for found in ladders] == [[True], [False]]
