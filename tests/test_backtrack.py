"""backtrack: finds the step at which a failure begins, with few continuations, and resumes to the same file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.backtracking import Found, Rule, Search, search_all, search_by_halving, verdict
from anectl.core.grading import grade
from anectl.core.jsonl import decode
from anectl.core.probing import Job, Probe, Work, run_jobs
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Frontier, Message, StepValue
from anectl.core.steps import split_sentences
from tests.chat_server import Body, ChatServer, completion
from tests.conftest import ROOT, Cli, problem_rows, write_rows

RULE = Rule()
Values = Sequence[float]


def follow(search: Search, values: Values, start: float = 1.0, seed: int = 0, *, judge: bool = True) -> Found:
    """The end of a search in which each continuation behind a step is right with the chance `values` say.

    With `judge` off, none can be judged.
    """
    rng = random.Random(seed)
    try:
        asks = next(search)
        while True:
            chances = [(start if ask.step < 0 else values[ask.step], ask.num) for ask in asks]
            counts = [(sum(rng.random() < chance for _ in range(num)), num) for chance, num in chances]
            asks = search.send(counts if judge else [(0, 0)] * len(counts))
    except StopIteration as stop:
        found: Found = stop.value
        return found


def chain(num_steps: int, error: int) -> list[float]:
    return [1.0 if step < error else 0.0 for step in range(num_steps)]


def test_no_bare_zero_decides() -> None:
    assert [verdict(0, judged, 0.3, 0.9) for judged in range(5)] == ["unsure"] * 4 + ["unlikely"]
    assert verdict(1, 1, 0.3, 0.9) == "likely"
    assert verdict(1, 2, 0.3, 0.9) == "unsure"
    assert verdict(0, 8, 0.01, 0.9) == "unsure"


@given(st.integers(1, 60).flatmap(lambda steps: st.tuples(st.just(steps), st.integers(0, steps - 1))))
def test_the_error_is_found_wherever_it_is(case: tuple[int, int]) -> None:
    num_steps, error = case
    for search in (search_by_halving, search_all):
        found = follow(search(num_steps, (5, 8), RULE), chain(num_steps, error))
        assert found.step == error
        assert len(found.values) == num_steps
        assert found.values[-1] == StepValue(correct=0, judged=1)
    assert follow(search_by_halving(num_steps, (5, 8), RULE), chain(num_steps, error)).num_drawn < 8 * RULE.most


def test_halving_takes_a_few_values_where_scoring_takes_all() -> None:
    few = follow(search_by_halving(64, (5, 8), RULE), chain(64, 37))
    every = follow(search_all(64, (5, 8), RULE), chain(64, 37))
    assert every.num_drawn == 63 * 8
    # Six to halve, one beside the border and two behind it, and the last, which costs nothing.
    assert few.num_drawn <= 9 * 4
    assert sum(value is not None for value in few.values) <= 10


def test_where_success_is_unlikely_from_the_start_no_step_makes_the_difference() -> None:
    assert follow(search_by_halving(9, (0, 16), RULE), [0.0] * 9, start=0.0).step is None
    assert follow(search_all(9, (0, 16), RULE), [0.0] * 9, start=0.0).step is None
    # Without any rollouts to go by, the start is probed too.
    assert follow(search_by_halving(9, (0, 0), RULE), [0.0] * 9, start=0.0).step is None
    assert follow(search_by_halving(9, (0, 0), RULE), [0.0] * 9, start=1.0).step == 0
    assert follow(search_by_halving(0, (0, 8), RULE), []) == Found(None, (), 0)


def test_an_error_that_is_taken_back_is_not_where_the_failure_begins() -> None:
    # Step 2 was wrong and step 3 put it right; halving alone ends at 2 when it does not look behind it.
    values = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert follow(search_all(9, (8, 8), RULE), values).step == 6
    assert follow(search_by_halving(9, (8, 8), RULE), values).step == 6
    assert follow(search_by_halving(9, (0, 8), RULE), [0.0] * 7 + [1.0, 0.0]).step == 8
    early = [1.0, 0.0, 1.0, 0.0, 0.0]
    assert follow(search_by_halving(5, (8, 8), Rule(confirm=0)), early).step == 1
    assert follow(search_by_halving(5, (8, 8), Rule(confirm=1)), early).step == 3


def test_confirmation_sees_through_lucky_guesses() -> None:
    """Continuations of lost steps are right one time in six: one right guess makes a lost step look likely."""
    values = [0.95] * 3 + [0.16] * 6 + [0.0]

    def exact(search: Callable[[int, tuple[int, int], Rule], Search], confirm: int) -> int:
        rule = Rule(confirm=confirm)
        return sum(follow(search(10, (7, 8), rule), values, seed=seed).step == 3 for seed in range(300))

    bare, sure, every = exact(search_by_halving, 0), exact(search_by_halving, 1), exact(search_all, 0)
    assert bare < 180 < sure < every


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 60), st.integers(0, 3), st.booleans())
def test_no_search_goes_over_its_budget_or_on_for_ever(
    values: list[float], budget: int, confirm: int, all_steps: bool
) -> None:
    rule = Rule(budget=budget, confirm=confirm)
    found = follow((search_all if all_steps else search_by_halving)(len(values), (1, 4), rule), values, start=0.5)
    assert found.num_drawn <= budget
    assert all(value is None or value.judged <= rule.most for value in found.values)


def test_a_budget_spreads_the_scored_steps_evenly() -> None:
    found = follow(search_all(21, (8, 8), Rule(budget=40)), chain(21, 12))
    assert [step for step, value in enumerate(found.values) if value] == [2, 6, 10, 14, 18, 20]
    assert found.is_cut
    assert found.step == 14


def test_a_budget_of_nothing_finds_nothing() -> None:
    for search in (search_by_halving, search_all):
        assert follow(search(5, (4, 8), Rule(budget=0)), chain(5, 2)).step is None


def test_steps_that_cannot_be_judged_are_no_evidence() -> None:
    found = follow(search_by_halving(5, (4, 8), RULE), [1.0] * 5, judge=False)
    assert found.step is None
    assert found.num_drawn > 0
    # Of one step there is only the start to ask for.
    for search in (search_by_halving, search_all):
        assert follow(search(1, (0, 0), RULE), [0.0], judge=False).step is None
        assert follow(search(1, (0, 0), RULE), [0.0]).step == 0
        assert follow(search(1, (8, 8), RULE), [0.0], judge=False) == Found(0, (StepValue(correct=0, judged=1),), 0)


@pytest.mark.parametrize("search", [search_by_halving, search_all])
def test_no_step_is_named_where_success_was_never_seen_to_be_likely(search: Callable[..., Search]) -> None:
    """The budget ends before the start, of which nothing is known, has its turn."""
    found = follow(search(3, (0, 0), Rule(budget=8)), [0.0] * 3, start=0.0)
    assert (found.step, found.is_cut) == (None, True)
    assert follow(search(3, (8, 8), Rule(budget=8)), [0.0] * 3).step in (0, 1)


def test_a_budget_without_room_for_the_start_ends_the_search() -> None:
    found = follow(search_all(3, (0, 0), Rule(budget=16)), [0.0] * 3, start=1.0)
    assert (found.num_drawn, found.is_cut) == (16, True)


def test_scoring_every_step_asks_for_a_few_at_a_time() -> None:
    search = search_all(1000, (8, 8), RULE)
    asks, numbers = next(search), []
    while asks:
        assert len(asks) <= 64
        numbers += [ask.step for ask in asks]
        try:
            asks = search.send([(0, ask.num) for ask in asks])
        except StopIteration:
            break
    assert numbers == list(range(999))


# --- many rows at a time ------------------------------------------------------------------------------------------


def counting(name: str, rounds: int, width: int) -> Work[str]:
    """Asks `width` probes `rounds` times, and tells what came of them."""
    told = [name]
    for turn in range(rounds):
        params = SamplingParams(1.0 if name < "p5" else 0.5, 1.0, 8)
        message = (Message(role="user", content=name),)
        probes = [Probe(PromptRequest(f"{name}/{turn}/{one}", message, (), (turn,)), params) for one in range(width)]
        draws = yield probes
        told += [draw.text for (draw,) in draws]
    return " ".join(told)


class Block:
    """Says the key of each request, all of a call together."""

    name = "block"
    continuous = False

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.closed = False

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """In order."""
        self.calls.append([request.key for request in requests])
        for key in self.calls[-1]:
            yield (Draw(f"{key}@{params.temperature}", "stop", 1),)

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Fed(Block):
    """Reads up to five requests ahead and answers the latest first."""

    continuous = True

    def sample_unordered(
        self, requests: Iterable[PromptRequest], params: SamplingParams
    ) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        """Out of order."""
        self.calls.append([])
        ahead: list[tuple[int, PromptRequest]] = []
        numbered = enumerate(requests)
        while True:
            while len(ahead) < 5 and (pair := next(numbered, None)) is not None:
                self.calls[-1].append(pair[1].key)
                ahead.append(pair)
            if not ahead:
                return
            number, request = ahead.pop()
            yield number, (Draw(f"{request.key}@{params.temperature}", "stop", 1),)


def jobs(finished: set[int], count: int = 9) -> Iterator[Job[str]]:
    for number in range(count):
        yield Job(partial(counting, f"p{number}", number % 4, 1 + number % 3), number in finished)


def results(sampler: Block, finished: set[int], **options: Any) -> list[str | None]:
    return list(run_jobs(jobs(finished), load_sampler=lambda: sampler, window=4, **options))


@pytest.mark.parametrize("finished", [set(), {0}, {8}, {0, 1, 2, 3}, {1, 4, 5}, set(range(9))])
@pytest.mark.parametrize("make", [Block, Fed])
def test_every_job_gets_its_own_draws_in_order(make: Callable[[], Block], finished: set[int]) -> None:
    sampler = make()
    whole = results(Block(), set())
    assert whole[2] == "p2 p2/0/0@1.0 p2/0/1@1.0 p2/0/2@1.0 p2/1/0@1.0 p2/1/1@1.0 p2/1/2@1.0"
    assert whole[5] == "p5 p5/0/0@0.5 p5/0/1@0.5 p5/0/2@0.5"
    expected = [None if number in finished else text for number, text in enumerate(whole)]
    assert results(sampler, finished) == expected
    assert sampler.closed is (len(finished) < 9)
    for most_active in (1, 2, 3):
        assert results(make(), finished, most_active=most_active) == expected


def test_unordered_results_are_the_same_results() -> None:
    found = results(Fed(), {3}, unordered=True)
    assert sorted(map(str, found)) == sorted(map(str, results(Fed(), {3})))


def test_a_resumed_window_asks_in_the_same_company() -> None:
    whole, again = Block(), Block()
    results(whole, set())
    results(again, {0, 1, 2, 3, 5})
    assert again.calls == whole.calls[-len(again.calls) :]


def test_an_engine_that_is_fed_gets_new_jobs_while_old_ones_wait() -> None:
    sampler = Fed()
    results(sampler, set())
    # One call for all rows drawn in one way, as long as there is anything to ask.
    assert len(sampler.calls) <= 4


# --- the command --------------------------------------------------------------------------------------------------

WRONG = "Row 1 reads 3 4. Place 1 has 4. So it is 4. Answer: 4"
FAKE = ["backtrack", "in.jsonl", "--engine", "fake", "-m", "script.jsonl"]


def frontier_rows(folder: Path, count: int, *, schema: str = "frontier/1") -> list[dict[str, Any]]:
    """Rows with one right and two wrong completions; the true answer is the row's number."""
    rows = []
    for number, problem in enumerate(problem_rows(folder, count)):
        wrong = WRONG.replace("4", str(number + 50))
        texts = [(f"Answer: {number}", True), (wrong, False), ("No. " + wrong, False), ("Who knows", None)]
        completions = [{"text": text, "finish_reason": "stop", "correct": correct} for text, correct in texts]
        row = {"schema": schema, "key": f"k{number}", "problem": problem, "policy": "p", "sampling": {"n": 4}}
        row["completions"] = completions
        if schema != "rollout/1":
            posterior = {"a": 1.5, "b": 2.5, "low": 0.1, "high": 0.7, "confidence": 0.8}
            row |= {"zone": "learnable", "posterior": posterior, "failures": [1, 2]}
        if schema == "anchored/1":
            row["anchors"] = []
        rows.append(row)
    return rows


def write_script(folder: Path, count: int, **options: Any) -> None:
    """A model that is lost once it has said `Place 1 has`, and right before that."""
    right = [{"match": rf"\({number}\)", "texts": [f" Answer: {number}"], **options} for number in range(count)]
    write_rows(folder / "script.jsonl", [{"match": "Place 1 has", "texts": [" Answer: 999"], **options}, *right])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("schema", ["frontier/1", "anchored/1"])
def test_the_first_error_is_written_into_the_row(anectl: Cli, tmp_path: Path, schema: str) -> None:
    rows = frontier_rows(tmp_path, 3, schema=schema)
    rows[0]["mine"] = {"kept": 1}
    write_rows(tmp_path / "in.jsonl", rows)
    write_script(tmp_path, 3)
    done = anectl(*FAKE, "--max-failures", 2)
    found = lines(done.stdout)
    assert [row["schema"] for row in found] == [schema] * 3
    assert found[0]["mine"] == {"kept": 1}
    for row in found:
        first, second = row["first_errors"]
        assert (first["completion"], first["step"], first["text"].split()[0]) == (1, 1, "Place")
        assert (second["completion"], second["step"]) == (2, 2)
        completion = row["completions"][1]
        assert "".join(completion["steps"]) == completion["text"]
        assert len(completion["values"]) == len(completion["steps"]) == 4
        assert completion["values"][1] == {"correct": 0, "judged": 4}
        assert completion["values"][0]["correct"] == completion["values"][0]["judged"] > 0
        assert row["completions"][0].get("steps") is None
    assert "6 of 6 failures begin at a step" in done.stderr


def test_of_rollouts_every_wrong_completion_is_a_failure(anectl: Cli, tmp_path: Path) -> None:
    rows = frontier_rows(tmp_path, 2, schema="rollout/1")
    rows[1]["completions"] = rows[1]["completions"][:1]
    write_rows(tmp_path / "in.jsonl", rows)
    write_script(tmp_path, 2)
    found = lines(anectl(*FAKE, "--max-failures", 9, "--all-steps", "-n", 4).stdout)
    assert [row["schema"] for row in found] == ["rollout/1"] * 2
    assert [one.get("steps") is not None for one in found[0]["completions"]] == [False, True, True, False]
    assert [value["correct"] for value in found[0]["completions"][1]["values"]] == [4, 0, 0, 0]
    assert [value["judged"] for value in found[0]["completions"][1]["values"]] == [4, 4, 4, 1]
    assert found[1]["completions"] == [one | {} for one in found[1]["completions"]]
    assert "first_errors" not in found[0]


def test_right_completions_get_values_and_no_error(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 1))
    write_script(tmp_path, 1)
    done = anectl(*FAKE, "--max-failures", 1, "--all-steps", "--max-right", 1, "-n", 4)
    (row,) = lines(done.stdout)
    assert [one.get("values") is not None for one in row["completions"]] == [True, True, False, False]
    right = row["completions"][0]
    assert right["correct"] is True
    assert len(right["values"]) == len(right["steps"])
    assert right["values"][-1] == {"correct": 1, "judged": 1}
    assert [error["completion"] for error in row["first_errors"]] == [1]
    assert "1 of 1 failures begin at a step" in done.stderr
    refused = anectl(*FAKE, "--max-right", 1, ok=False)
    assert refused.returncode == 2
    assert "goes with --all-steps" in refused.stderr


def test_the_budget_is_shared_by_the_failures_of_a_row(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 2))
    write_script(tmp_path, 2)
    done = anectl(*FAKE, "--max-failures", 2, "--budget", 6, "-o", "out.jsonl")
    for row in lines((tmp_path / "out.jsonl").read_text()):
        assert sum(error["num_continuations"] for error in row["first_errors"]) <= 6
    assert "ended by the budget" in done.stderr
    notes = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())["notes"]["backtracked"]
    assert notes["continuations"] <= 12
    assert notes["failures"] == 4


def test_engine_errors_name_no_step(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 1))
    write_rows(tmp_path / "script.jsonl", [{"error": "out of memory"}])
    done = anectl(*FAKE)
    (row,) = lines(done.stdout)
    assert row["first_errors"][0] | {"step": None, "text": ""} == row["first_errors"][0]
    assert "engine errors (the first: problem p0: out of memory)" in done.stderr


def test_rollouts_of_the_same_policy_tell_how_likely_success_was_at_first(anectl: Cli, tmp_path: Path) -> None:
    rows = frontier_rows(tmp_path, 1)
    rows[0]["completions"][0] |= {"correct": False}
    rows[0]["completions"] += [rows[0]["completions"][1]] * 4
    write_rows(tmp_path / "script.jsonl", [{"texts": [" Answer: 999"]}])
    drawn = []
    for policy in ("another", "fake:script.jsonl"):
        write_rows(tmp_path / "in.jsonl", [rows[0] | {"policy": policy}])
        (row,) = lines(anectl(*FAKE).stdout)
        assert row["first_errors"][0]["step"] is None
        drawn.append(row["first_errors"][0]["num_continuations"])
    assert drawn[1] == drawn[0] - 4


def test_order_and_company_change_nothing(anectl: Cli, tmp_path: Path) -> None:
    rows = frontier_rows(tmp_path, 6)
    guesses = [" Answer: 2", " Answer: 3", " Answer: 4"]
    write_rows(tmp_path / "script.jsonl", [{"texts": guesses, "pick": "seed"}])
    write_rows(tmp_path / "in.jsonl", rows)
    whole = lines(anectl(*FAKE).stdout)
    write_rows(tmp_path / "in.jsonl", rows[::-1])
    assert lines(anectl(*FAKE, "--batch-size", 1).stdout)[::-1] == whole
    assert lines(anectl(*FAKE, "--seed", 5).stdout)[::-1] != whole


def test_killed_twice_and_resumed_equals_the_uninterrupted_run(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 12))
    guesses = [f" Answer: {number}" for number in range(3)]
    write_rows(tmp_path / "script.jsonl", [{"texts": guesses, "pick": "seed", "delay_s": 0.01}])
    arguments = [*FAKE, "--batch-size", "1", "--resume"]
    anectl(*arguments, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    rng = random.Random(0)
    partial_file = tmp_path / "killed.jsonl.partial"
    for _ in range(2):
        command = [sys.executable, "-m", "anectl", *arguments, "-o", "killed.jsonl"]
        running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        wanted = (partial_file.stat().st_size if partial_file.exists() else 0) + rng.randrange(1, len(whole) // 4)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (partial_file.exists() and partial_file.stat().st_size >= wanted):
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert 0 < partial_file.stat().st_size < len(whole)
    with partial_file.open("ab") as file:
        file.write(whole[:50])  # a line torn by the kill
    anectl(*arguments, "-o", "killed.jsonl")
    assert (tmp_path / "killed.jsonl").read_bytes() == whole


def test_resume_within_a_window_gives_the_same_bytes_with_a_real_model(
    anectl: Cli, tmp_path: Path, tiny_model: Path
) -> None:
    rows = frontier_rows(tmp_path, 7)
    for row in rows:
        row["sampling"] |= {"max_tokens": 8}
    write_rows(tmp_path / "in.jsonl", rows)
    options = ["backtrack", "in.jsonl", "-m", tiny_model, "-n", 4, "--batch-size", 1]
    anectl(*options, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    (tmp_path / "again.jsonl.partial").write_bytes(b"".join(whole.splitlines(keepends=True)[:5]) + whole[:99])
    done = anectl(*options, "-o", "again.jsonl", "--resume")
    assert (tmp_path / "again.jsonl").read_bytes() == whole
    assert "7 rows in, 2 out" in done.stderr


def test_resume_refuses_changed_settings(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 2))
    write_script(tmp_path, 2)
    anectl(*FAKE, "-o", "out.jsonl")
    failed = anectl(*FAKE, "-o", "out.jsonl", "--resume", "--split", "lines", ok=False)
    assert "split: 'sentences' before, 'lines' now" in failed.stderr


def test_a_server_is_fed_as_answers_come_and_gives_what_blocks_give(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 8))
    write_script(tmp_path, 8)
    expected = lines(anectl(*FAKE).stdout)

    def script(body: Body, number: int) -> Body:
        prefix = body["messages"][-1]["content"]
        question = str(body["messages"][0]["content"])
        number = next(row for row in range(8) if f"({row})" in question)
        texts = [" Answer: 999" if "Place 1 has" in prefix else f" Answer: {number}"] * body.get("n", 1)
        return completion(body, *texts)

    with ChatServer(script) as server, ChatServer(owner=None) as other:
        asked = ["backtrack", "in.jsonl", "-m", "m", "--engine", "openai", "--concurrency", 4]
        assert lines(anectl(*asked, "--url", server.url).stdout) == expected
        found = lines(anectl(*asked, "--url", server.url, "--unordered").stdout)
        assert sorted(found, key=lambda row: row["key"]) == expected
        failed = anectl(*asked, "--url", other.url, ok=False)
        assert "not known to continue a text" in failed.stderr


def bad_rows(folder: Path) -> list[tuple[str, str]]:
    """Bad lines, each with what is said of it."""
    rows = frontier_rows(folder, 10)
    missing = rows[1] | {"problem": rows[1]["problem"] | {"images": ["nowhere.png"]}}
    (folder / "torn.png").write_bytes((folder / "1.png").read_bytes()[:-30])
    torn = rows[2] | {"problem": rows[2]["problem"] | {"images": ["torn.png"]}}
    return [
        (json.dumps(missing), "not found"),
        (json.dumps(torn), "torn.png"),
        (json.dumps(rows[3] | {"failures": [7]}), "failures name completion 7"),
        (json.dumps(rows[9] | {"failures": [1, 0]}), "failures name completion 0, which is not wrong"),
        (json.dumps(rows[4] | {"sampling": {"temperature": 0}}), "drawn greedily"),
        (json.dumps(rows[5] | {"profile": "mathvist"}), "did you mean mathvista?"),
        (json.dumps(rows[6] | {"failures": "1"}), "Expected `array`"),
        (json.dumps(rows[7] | {"schema": "frontier/7"}), "unknown version"),
        (json.dumps(rows[0]), "duplicate id 'p0'"),
        (json.dumps(rows[8])[:50], "not a JSON object"),
    ]


def test_each_bad_row_is_named_with_its_place(anectl: Cli, tmp_path: Path) -> None:
    good = json.dumps(frontier_rows(tmp_path, 1)[0])
    write_script(tmp_path, 9)
    for bad, words in bad_rows(tmp_path):
        (tmp_path / "in.jsonl").write_text(f"{good}\n{bad}\n")
        failed = anectl(*FAKE, ok=False)
        assert "error: in.jsonl:2: " in failed.stderr
        assert words in failed.stderr


def test_skipped_rows_are_listed_and_the_row_law_holds(anectl: Cli, tmp_path: Path) -> None:
    good = frontier_rows(tmp_path, 10)
    write_script(tmp_path, 10)
    bad = [line for line, _ in bad_rows(tmp_path)]
    (tmp_path / "in.jsonl").write_text("\n".join([json.dumps(good[0]), *bad, json.dumps(good[9])]) + "\n")
    anectl(*FAKE, "--on-error", "skip", "-o", "out.jsonl")
    assert [row["problem"]["id"] for row in lines((tmp_path / "out.jsonl").read_text())] == ["p0", "p9"]
    assert [row["line"] for row in lines((tmp_path / "out.jsonl.rejects.jsonl").read_text())] == list(range(2, 12))
    counts = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())["counts"]
    assert (counts["read"], counts["kept"], counts["rejected"]) == (12, 2, 10)


def test_rows_without_a_failure_go_through(anectl: Cli, tmp_path: Path) -> None:
    rows = frontier_rows(tmp_path, 2)
    rows[0] |= {"failures": []}
    rows[1]["completions"][1]["text"] = ""
    write_rows(tmp_path / "in.jsonl", rows)
    write_script(tmp_path, 2)
    first, second = lines(anectl(*FAKE).stdout)
    assert first["first_errors"] == []
    assert second["first_errors"] == [{"completion": 1, "step": None, "text": "", "num_continuations": 0}]
    assert second["completions"][1]["steps"] == []


def test_a_dry_run_counts_and_writes_nothing(anectl: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 3))
    done = anectl(*FAKE, "--dry-run", "-o", "out.jsonl")
    assert "3 rows; 3 failures of 12 steps, 72 continuations if every step were scored" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", 0], "--threshold"),
        (["--temperature", "nan"], "--temperature"),
        (["--temperature", "inf"], "--temperature"),
        (["--min-confidence", 0.2], "--min-confidence"),
        (["--split", "words"], "unknown rule"),
        (["--unordered"], "works block by block"),
    ],
)
def test_settings_without_sense_are_usage_errors(anectl: Cli, tmp_path: Path, options: list[Any], words: str) -> None:
    write_rows(tmp_path / "in.jsonl", frontier_rows(tmp_path, 1))
    write_script(tmp_path, 1)
    failed = anectl(*FAKE, *options, ok=False)
    assert failed.returncode == 2
    assert words in failed.stderr


@pytest.mark.parametrize("slips", [False, True])
def test_planted_errors_are_where_the_generator_says(tmp_path: Path, slips: bool) -> None:
    planting = [sys.executable, ROOT / "examples/tinyworld/planted.py", tmp_path, "--per-family", "6"]
    subprocess.run([*planting, *(["--slips"] if slips else [])], check=True, capture_output=True)
    rows = [decode(line.encode(), Frontier) for line in (tmp_path / "planted.jsonl").read_text().splitlines()]
    assert len(rows) == 6 * (4 if slips else 8)
    for row in rows:
        problem, text = row.problem, row.completions[0].text
        planted = problem.source["planted"]
        steps = [step.strip() for step in split_sentences(text)]
        right = [*(problem.steps or ()), f"Answer: {problem.answer}"]
        assert len(steps) == len(right)
        wrong = [number for number, (step, truth) in enumerate(zip(steps, right, strict=True)) if step != truth]
        assert wrong[0] == planted.get("slipped", planted["step"])
        assert planted["step"] in wrong
        assert steps[-1] != right[-1]
        assert grade(text, "stop", problem).correct is False


def test_plants_of_a_policy_are_failures_that_the_error_caused(tmp_path: Path) -> None:
    """The base solves the four families it has mastered, and fails the others whatever is planted."""
    planting = [sys.executable, ROOT / "examples/tinyworld/planted.py", tmp_path, "--per-family", "1"]
    command = [*planting, "--model", ROOT / "examples/tinyworld/base"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    rows = [decode(line.encode(), Frontier) for line in (tmp_path / "planted.jsonl").read_text().splitlines()]
    fates = json.loads((tmp_path / "candidates.json").read_text())
    assert {"larger", "count", "order"} <= {row.problem.source["family"] for row in rows}
    assert sum(fates["ladder"].values()) == sum(fates["order"].values()) == 8
    assert fates["order"]["kept"] > 4
    assert fates["ladder"].get("kept", 0) < 4
    for row in rows:
        *own, planted = row.completions
        assert row.failures == (8,)
        assert sum(one.correct is True for one in own) >= 4
        assert grade(planted.text, "stop", row.problem).correct is False
        steps = [step.strip() for step in split_sentences(planted.text)]
        right = [*(row.problem.steps or ()), f"Answer: {row.problem.answer}"]
        number = row.problem.source["planted"]["step"]
        assert steps[:number] == right[:number]
        assert steps[number] != right[number]
