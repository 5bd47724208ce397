"""rollout: grades what it samples, resumes to the same file, and says where a row is bad."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines.fake import FakeSampler
from tests.conftest import NUM_PROBLEMS, Cli, problem_rows, write_rows

GUESSES = ["Answer: 1", "Answer: 2", "I think the answer is far too hard to find here"]
FAKE = ["--engine", "fake", "-m", "script.jsonl", "-n", "3"]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A fake engine that answers 1, 2, and with words without an answer."""
    return write_rows(tmp_path / "script.jsonl", [{"texts": GUESSES}])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def prompt(text: str, num_samples: int = 3) -> PromptRequest:
    return PromptRequest("k1", (Message(role="user", content=text),), (), tuple(range(10, 10 + num_samples)))


def test_fake_takes_the_first_line_that_matches_and_goes_around_its_texts(tmp_path: Path) -> None:
    rows = [
        {"match": "digit", "texts": ["a", "b"]},
        {"match": "k1", "texts": ["key"]},
        {"texts": ["x y z"], "pick": "seed"},
    ]
    fake = FakeSampler(str(write_rows(tmp_path / "s.jsonl", rows)))
    digit, key = fake.sample([prompt("Which digit?"), prompt("else")], SamplingParams(1, 1, 2))
    assert [draw.text for draw in digit] == ["a", "b", "a"]
    assert [draw.text for draw in key] == ["key"] * 3
    other = PromptRequest("k2", (Message(role="user", content="else"),), (), (7,))
    ((cut,),) = fake.sample([other], SamplingParams(1, 1, 2))
    assert (cut.text, cut.finish_reason, cut.num_tokens) == ("x y", "length", 2)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"text": ["a"]}', "unknown field"),
        ('{"texts": []}', "needs `texts` or `error`"),
        ('{"texts": ["a"], "match": "("}', "regular expression"),
        ('{"texts": "a"}', "array"),
        ("{", "truncated"),
    ],
)
def test_a_bad_script_line_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"texts": ["a"], "match": "never"}\n' + row + "\n")
    with pytest.raises(AnectlError, match=words) as caught:
        FakeSampler(str(path))
    assert str(caught.value).startswith(f"{path}:2: ")


def test_a_prompt_without_a_script_line_is_an_error(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    write_rows(tmp_path / "script.jsonl", [{"match": "never", "texts": ["a"]}])
    assert "no line is for the prompt" in anectl("rollout", problems, *FAKE, ok=False).stderr


def test_every_problem_gets_its_graded_completions_in_input_order(anectl: Cli, script: Path, problems: Path) -> None:
    done = anectl("rollout", problems, *FAKE, "--batch-size", 5, "--instruction", "")
    rows = lines(done.stdout)
    assert [row["problem"]["id"] for row in rows] == [f"p{number}" for number in range(NUM_PROBLEMS)]
    verdicts = [[completion["correct"] for completion in row["completions"]] for row in rows]
    assert verdicts[:3] == [[False, False, None], [True, False, None], [False, True, None]]
    first = rows[1]
    assert first["policy"] == "fake:script.jsonl"
    assert first["sampling"] | {"n": 3, "temperature": 1.0, "max_tokens": 512, "seed": 0} == first["sampling"]
    assert [completion["reason"] for completion in first["completions"]] == ["exact", "mismatch", "unparsed"]
    assert first["problem"]["images"] == ["1.png"]
    assert "pass rate 0.083" in done.stderr  # 2 of the 24 that could be judged
    assert "12 completions not judged" in done.stderr


def test_a_failed_draw_is_data_and_never_counts_as_wrong(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    write_rows(tmp_path / "script.jsonl", [{"match": r"\(3\)", "error": "out of memory"}, {"texts": ["Answer: 1"]}])
    done = anectl("rollout", problems, *FAKE)
    (failed,) = [row for row in lines(done.stdout) if row["problem"]["id"] == "p3"]
    for completion in failed["completions"]:
        assert (completion["finish_reason"], completion["correct"]) == ("error", None)
        assert completion["error"] == "out of memory"
    assert "3 engine errors (the first: problem p3: out of memory)" in done.stderr


def test_expression_answers_are_judged_by_the_verifier(anectl: Cli, tmp_path: Path) -> None:
    row = {"id": "e", "question": "x?", "answer": "\\frac{1}{2}x", "answer_type": "expression"}
    write_rows(tmp_path / "script.jsonl", [{"texts": ["\\boxed{x/2}", "\\boxed{x/3}"]}])
    done = anectl("rollout", *FAKE[:-1], 2, stdin=json.dumps(row) + "\n")
    assert [completion["correct"] for completion in lines(done.stdout)[0]["completions"]] == [True, False]


def test_equal_problems_share_seeds_and_others_do_not(anectl: Cli, tmp_path: Path) -> None:
    rows = problem_rows(tmp_path, 6)
    rows.append({**rows[2], "id": "twin"})
    write_rows(tmp_path / "script.jsonl", [{"texts": [f"Answer: {i}" for i in range(1000)], "pick": "seed"}])
    drawn = lines(anectl("rollout", write_rows(tmp_path / "p.jsonl", rows), *FAKE).stdout)
    texts = [[completion["text"] for completion in row["completions"]] for row in drawn]
    assert texts[2] == texts[6]
    assert len({text for group in texts[:6] for text in group}) > 14
    other = lines(anectl("rollout", "p.jsonl", *FAKE, "--seed", 1).stdout)
    assert [completion["text"] for completion in other[0]["completions"]] != texts[0]


def test_the_reader_may_leave_early(tmp_path: Path, script: Path, problems: Path) -> None:
    call = f"{sys.executable} -m anectl rollout problems.jsonl {' '.join(FAKE)} --batch-size 1 | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", call], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(lines(done.stdout)) == 1
    assert "Error" not in done.stderr


def test_a_dry_run_checks_everything_and_writes_nothing(
    anectl: Cli, tmp_path: Path, problems: Path, tiny_model: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    asked = ["rollout", problems, "--model", tiny_model, "--dry-run", "-o", "out.jsonl"]
    done = anectl(*asked, "-n", 4)
    assert done.stdout == ""
    assert f"{NUM_PROBLEMS} problems and their {NUM_PROBLEMS} images" in done.stderr
    assert f"{NUM_PROBLEMS} x 4 completions" in done.stderr
    assert "image tokens (min/median/max)" in done.stderr
    (tmp_path / "3.png").write_bytes(b"not a picture")
    failed = anectl(*asked, ok=False)
    assert f"{problems}:4: image '3.png' cannot be decoded" in failed.stderr
    skipped = anectl(*asked, "--on-error", "skip")
    assert [row["line"] for row in lines(skipped.stdout)] == [4]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def bad_input(tmp_path: Path) -> Path:
    """Twelve rows, of which 2 to 6 are bad in five ways."""
    rows = problem_rows(tmp_path, NUM_PROBLEMS)
    (tmp_path / "torn.png").write_bytes((tmp_path / "1.png").read_bytes()[:-30])
    texts = [json.dumps(row) for row in rows]
    texts[1] = json.dumps({**rows[1], "images": ["nowhere.png"]})
    texts[2] = json.dumps({**rows[2], "images": ["torn.png"]})
    texts[3] = json.dumps({**rows[3], "id": "p0"})
    texts[4] = texts[4][:40]
    texts[5] = texts[5].replace('"number"', '"number", "weight": NaN')
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(texts) + "\n")
    return path


def test_each_bad_row_is_named_with_its_place(anectl: Cli, tmp_path: Path, script: Path) -> None:
    path = bad_input(tmp_path)
    texts = path.read_text().splitlines()
    words = ["not found", "torn.png", "duplicate id 'p0', first seen at", "not a JSON object", "not a JSON object"]
    for number, word in enumerate(words, 2):
        # The bad row alone behind good ones, on the line where it stood.
        path.write_text("\n".join([texts[0], *[texts[6 + i] for i in range(number - 2)], texts[number - 1]]) + "\n")
        failed = anectl("rollout", path, *FAKE, "-o", "out.jsonl", ok=False)
        assert f"error: {path}:{number}: " in failed.stderr
        assert word in failed.stderr
        assert "hint: " in failed.stderr
        assert failed.stdout == ""
        assert not (tmp_path / "out.jsonl").exists()


def test_skipped_rows_are_listed_and_the_row_law_holds(anectl: Cli, tmp_path: Path, script: Path) -> None:
    anectl("rollout", bad_input(tmp_path), *FAKE, "--on-error", "skip", "-o", "out.jsonl")
    kept = [row["problem"]["id"] for row in lines((tmp_path / "out.jsonl").read_text())]
    assert kept == ["p0", *(f"p{number}" for number in range(6, NUM_PROBLEMS))]
    rejects = lines((tmp_path / "out.jsonl.rejects.jsonl").read_text())
    assert [row["line"] for row in rejects] == [2, 3, 4, 5, 6]
    counts = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())["counts"]
    assert (counts["read"], counts["kept"], counts["rejected"]) == (NUM_PROBLEMS, 7, 5)


def test_killed_twice_and_resumed_equals_the_uninterrupted_run(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    slow = [{"texts": GUESSES, "pick": "seed", "delay_s": 0.04}]
    write_rows(tmp_path / "script.jsonl", slow)
    arguments = ["rollout", str(problems), *FAKE, "--batch-size", "3", "--resume"]
    anectl(*arguments, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    rng = random.Random(0)
    partial = tmp_path / "killed.jsonl.partial"
    for _ in range(2):
        command = [sys.executable, "-m", "anectl", *arguments, "-o", "killed.jsonl"]
        running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        wanted = (partial.stat().st_size if partial.exists() else 0) + rng.randrange(1, len(whole) // 3)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size >= wanted):
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert 0 < partial.stat().st_size < len(whole)
    with partial.open("ab") as file:
        file.write(whole[:50])  # a line torn by the kill
    anectl(*arguments, "-o", "killed.jsonl")
    assert (tmp_path / "killed.jsonl").read_bytes() == whole
    assert not partial.exists()


def test_resume_in_the_middle_of_a_block_gives_the_same_bytes_with_a_real_model(
    anectl: Cli, tmp_path: Path, problems: Path, tiny_model: Path
) -> None:
    options = ["rollout", problems, "-m", tiny_model, "-n", 3, "--max-tokens", 16, "--batch-size", 4]
    anectl(*options, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    (tmp_path / "again.jsonl.partial").write_bytes(b"".join(whole.splitlines(keepends=True)[:6]) + whole[:99])
    done = anectl(*options, "-o", "again.jsonl", "--resume")
    assert (tmp_path / "again.jsonl").read_bytes() == whole
    assert f"{NUM_PROBLEMS} rows in, 6 out" in done.stderr


def test_a_real_model_draws_the_same_in_parts(anectl: Cli, tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "p.jsonl", problem_rows(tmp_path, 3))
    asked = ["rollout", "p.jsonl", "-m", tiny_model, "--max-tokens", 6]
    whole = lines(anectl(*asked, "-n", 8).stdout)
    parts = lines(anectl(*asked, "-n", 2, "--until-confident", 0.999, "--max-n", 8).stdout)
    for row, other in zip(parts, whole, strict=True):
        assert len(row["completions"]) in (2, 4, 8)
        texts = [one["text"] for one in row["completions"]]
        assert texts == [one["text"] for one in other["completions"][: len(texts)]]


def test_resume_of_a_finished_run_loads_no_model(anectl: Cli, tmp_path: Path, script: Path, problems: Path) -> None:
    anectl("rollout", problems, *FAKE, "-o", "out.jsonl")
    before = (tmp_path / "out.jsonl").read_bytes()
    script.unlink()
    anectl("rollout", problems, *FAKE, "-o", "out.jsonl", "--resume")
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_resume_refuses_changed_settings_with_the_difference(
    anectl: Cli, tmp_path: Path, script: Path, problems: Path
) -> None:
    anectl("rollout", problems, *FAKE, "-o", "out.jsonl")
    failed = anectl("rollout", problems, *FAKE, "-o", "out.jsonl", "--resume", "--temperature", 0.7, ok=False)
    assert "temperature: 1.0 before, 0.7 now" in failed.stderr
    (tmp_path / "out.jsonl.manifest.json").unlink()
    failed = anectl("rollout", problems, *FAKE, "-o", "out.jsonl", "--resume", "--top-p", 0.7, ok=False)
    assert "top_p: 1.0 before, 0.7 now" in failed.stderr
    # The refused run has left no manifest of its settings, which would now refuse the right ones.
    before = (tmp_path / "out.jsonl").read_bytes()
    anectl("rollout", problems, *FAKE, "-o", "out.jsonl", "--resume")
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_settings_without_sense_are_usage_errors(anectl: Cli, script: Path, problems: Path) -> None:
    for options, words in (
        (["--temperature", 0], "the same completion 3 times"),
        (["--top-p", 0], "must be over 0"),
        (["--temperature", "nan"], "temperature"),
    ):
        failed = anectl("rollout", problems, *FAKE, *options, ok=False)
        assert failed.returncode == 2
        assert words in failed.stderr
