"""Only unsure rows are drawn on, the draws are those of one large run, and what a fitted prior says comes true."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.adaptive import Budget, Spending, tally
from anectl.core.drawing import draw_completions
from anectl.core.posterior import JEFFREYS, Part, mixture_cdf, updated, zone_of
from anectl.core.prior import expected_error, fit_prior
from anectl.core.problem_rows import Row
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Completion, Problem, Sampling
from tests.chat_server import Body, ChatServer, completion, prompt_of
from tests.conftest import NUM_PROBLEMS, Cli, write_rows

FAKE = ["--engine", "fake", "-m", "script.jsonl"]
SURE = Budget(0.9)
ADAPTIVE = [*FAKE, "-n", 8, "--until-confident", 0.9, "--max-n", 64]


def completions(verdicts: str, error: str | None = None) -> tuple[Completion, ...]:
    correct = {"+": True, "-": False, "?": None}
    return tuple(Completion(text="", finish_reason="stop", correct=correct[v], error=error) for v in verdicts)


@pytest.mark.parametrize(
    ("verdicts", "further"),
    [
        ("+" * 8, 0),  # 0.98 solved
        ("-" * 8, 8),  # 0.81 failing
        ("-" * 16, 0),
        ("+-------", 8),
        ("+-" * 4, 8),  # 0.89 learnable
        ("+++-----", 0),  # 0.95
        ("++--" + "?" * 4, 8),
        ("?" * 8, 8),
        ("?" * 32, 32),
        ("?" * 64, 0),
        ("+" * 3 + "-" * 37, 24),
        ("?" * 48, 16),
    ],
)
def test_a_row_is_doubled_while_no_zone_is_sure_and_ends_at_the_most(verdicts: str, further: int) -> None:
    assert Budget(0.9).further(completions(verdicts)) == further


def test_a_row_of_nothing_but_engine_errors_is_not_drawn_on() -> None:
    assert Budget(0.9).further(completions("?" * 8, error="out of memory")) == 0
    assert Budget(0.9).further((*completions("?" * 7, error="out of memory"), *completions("-"))) == 8


@given(st.text("+-?", min_size=1, max_size=80), st.floats(0.5, 0.99), st.integers(1, 100))
def test_no_row_gets_more_than_the_most_or_any_once_it_is_sure(verdicts: str, confident: float, most: int) -> None:
    known = completions(verdicts)
    further = Budget(confident, most).further(known)
    correct, judged = tally(known)
    assert 0 <= further <= max(0, most - len(known))
    assert not (further and zone_of(judged, correct, 0.1, 0.7, confident)[0] != "unsure")


class Guesser:
    """Right with a chance that stands in the key of the problem; what a sample says follows from its seed alone.

    Reads `ahead` requests before it answers, and neighbours change places where the order is free.
    """

    name = "guesser"

    def __init__(self, *, continuous: bool = True, ahead: int = 3) -> None:
        self.continuous = continuous
        self.ahead, self.calls, self.num_read = ahead, 0, 0

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        """In order."""
        self.calls += 1
        begun: list[tuple[Draw, ...]] = []
        for request in requests:
            self.num_read += 1
            chance = float(request.key)
            draws = [random.Random(seed).random() < chance for seed in request.seeds]
            begun.append(
                tuple(
                    Draw("+" if right else "-", "stop", seed % 1000)
                    for right, seed in zip(draws, request.seeds, strict=True)
                )
            )
            if len(begun) > self.ahead:
                yield begun.pop(0)
        yield from begun

    def sample_unordered(
        self, requests: Iterable[PromptRequest], params: SamplingParams
    ) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        """Pairs of neighbours change places."""
        numbered = enumerate(self.sample(requests, params))
        for first in numbered:
            second = next(numbered, None)
            if second is not None:
                yield second
            yield first

    def close(self) -> None:
        """Nothing is held."""


def rows(count: int, finished: frozenset[int] = frozenset()) -> Iterator[Row]:
    rng = random.Random(1)
    for number in range(count):
        problem = Problem(id=f"p{number}", question="?", answer="1", answer_type="number")
        yield Row(problem, (), f"{rng.random():.9f}", "c", "b", number in finished)


def drawn(
    sampler: Guesser,
    count: int = 60,
    *,
    n: int = 8,
    budget: Budget | None = SURE,
    finished: frozenset[int] = frozenset(),
    unordered: bool = False,
) -> dict[str, list[tuple[str, int]] | None]:
    def judge(row: Row, new: tuple[Completion, ...]) -> tuple[Completion, ...]:
        return tuple(
            Completion(text=one.text, finish_reason="stop", num_tokens=one.num_tokens, correct=one.text == "+")
            for one in new
        )

    found = draw_completions(
        rows(count, finished),
        Sampling(n=n),
        batch_size=7,
        load_sampler=lambda: sampler,
        prompt_of=lambda problem: problem.question,
        unordered=unordered,
        judge=judge,
        follow=budget.further if budget else lambda known: 0,
    )
    return {
        row.problem.id: None if known is None else [(one.text, one.num_tokens) for one in known] for row, known in found
    }


@pytest.mark.parametrize("continuous", [True, False])
def test_what_is_drawn_of_a_row_is_the_beginning_of_what_a_uniform_run_draws(continuous: bool) -> None:
    adaptive = drawn(Guesser(continuous=continuous))
    uniform = drawn(Guesser(continuous=continuous), n=64, budget=None)
    assert list(adaptive) == list(uniform) == [f"p{number}" for number in range(60)]
    sizes = Counter(len(known or ()) for known in adaptive.values())
    assert set(sizes) == {8, 16, 32, 64}
    for name, known in adaptive.items():
        whole = uniform[name]
        assert known is not None
        assert whole is not None
        assert known == whole[: len(known)]


@settings(max_examples=30)
@given(st.frozensets(st.integers(0, 19)), st.integers(0, 30))
def test_every_kind_of_engine_draws_the_same_for_each_row(finished: frozenset[int], ahead: int) -> None:
    expected = drawn(Guesser(continuous=False), 20)
    expected |= dict.fromkeys((f"p{number}" for number in finished), None)
    in_order = drawn(Guesser(ahead=ahead), 20, finished=finished)
    assert in_order == expected
    assert list(in_order) == list(expected)
    assert drawn(Guesser(continuous=False), 20, finished=finished) == expected
    assert drawn(Guesser(ahead=ahead), 20, finished=finished, unordered=True) == expected


def test_a_continuous_engine_is_fed_in_few_calls_and_reads_a_bounded_number_of_rows_ahead() -> None:
    sampler = Guesser(ahead=10)
    read = given_back = most = 0

    def counted() -> Iterator[Row]:
        nonlocal read
        for row in rows(400):
            read += 1
            yield row

    for _ in draw_completions(
        counted(),
        Sampling(n=8),
        batch_size=1,
        load_sampler=lambda: sampler,
        prompt_of=lambda problem: "?",
        follow=Budget(0.9).further,  # nothing is judged, so every row goes to the most
    ):
        given_back += 1
        most = max(most, read - given_back)
    assert given_back == 400
    assert sampler.num_read == 4 * 400
    assert sampler.calls <= 4
    assert most <= 4 * (sampler.ahead + 2)


def test_a_fitted_prior_is_the_one_that_pass_rates_come_from() -> None:
    rng = random.Random(3)
    counts: Counter[tuple[int, int]] = Counter()
    rates = [rng.betavariate(0.3, 6) if rng.random() < 0.7 else rng.betavariate(8, 2) for _ in range(4000)]
    for rate in rates:
        counts[16, sum(rng.random() < rate for _ in range(16))] += 1
    prior = fit_prior(counts)
    assert sum(part.share for part in prior) == pytest.approx(1)
    for border in (0.1, 0.5, 0.7):
        truth = sum(rate < border for rate in rates) / len(rates)
        assert mixture_cdf(border, prior) == pytest.approx(truth, abs=0.03)


def test_a_few_rows_make_no_prior_of_their_own() -> None:
    assert fit_prior({}) == JEFFREYS
    assert fit_prior({(0, 0): 50}) == JEFFREYS
    assert zone_of(8, 8, 0.1, 0.7, 0.8, fit_prior({(8, 0): 2}))[0] == "solved"
    with pytest.raises(ValueError, match="more correct"):
        fit_prior({(2, 3): 1})


@given(st.integers(0, 64), st.data())
def test_a_mixture_is_updated_as_its_parts_are(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    prior = (Part(0.3, 1, 9), Part(0.7, 6, 2))
    parts = updated(prior, n, c)
    assert sum(part.share for part in parts) == pytest.approx(1)
    posterior = zone_of(n, c, 0.1, 0.7, 0.8, prior)[1]
    assert 0 <= posterior.low < posterior.high <= 1
    assert posterior.a / (posterior.a + posterior.b) == pytest.approx(
        sum(part.share * part.a / (part.a + part.b) for part in parts)
    )
    assert zone_of(n, c, 0.1, 0.7, 0.8, (Part(0.5, 0.5, 0.5), Part(0.5, 0.5, 0.5)))[1].confidence == pytest.approx(
        zone_of(n, c, 0.1, 0.7, 0.8)[1].confidence
    )


def test_more_completions_are_expected_to_place_more_problems_right() -> None:
    errors = [expected_error(JEFFREYS, n, 0.1, 0.7) for n in (1, 8, 32, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] == pytest.approx(0.064, abs=0.004)  # as simulated: benchmarks/bench_adaptive.py


def test_spending_says_what_was_saved() -> None:
    spending = Spending(Budget(0.9))
    rng = random.Random(0)
    for _ in range(300):
        rate, known = rng.betavariate(0.5, 0.5), completions("")
        while owed := Budget(0.9).further(known) if known else 8:
            known += completions("".join("-+"[rng.random() < rate] for _ in range(owed)))
        spending.add(known)
    facts = spending.facts()
    assert facts["samples_of_uniform_max_n"] == 300 * 64
    assert 2 * (facts["samples"] or 0) < 300 * 64
    assert facts["uniform_n"] in (40, 48, 56, 64)
    said = spending.summary(facts)
    assert "samples, 3" in said or "samples, 4" in said
    few = Spending(Budget(0.9))
    few.add(completions("++++++++"))
    assert few.facts()["uniform_n"] is None
    assert "12% of the 64" in few.summary(few.facts())


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def half_right(folder: Path, **fields: object) -> Path:
    """A fake engine that answers 0 to 11 by its seed, and 3 always where `here` is in the question twice."""
    texts = [f"Answer: {number}" for number in range(NUM_PROBLEMS)]
    always = {"match": "here here here", "texts": ["Answer: 3"]}
    return write_rows(folder / "script.jsonl", [always, {"texts": texts, "pick": "seed", **fields}])


def test_rollout_draws_on_what_is_unsure_and_records_it(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    half_right(tmp_path)
    done = anectl("rollout", problems, *ADAPTIVE, "-o", "out.jsonl")
    written = lines((tmp_path / "out.jsonl").read_text())
    assert [row["problem"]["id"] for row in written] == [f"p{number}" for number in range(NUM_PROBLEMS)]
    sizes = [len(row["completions"]) for row in written]
    assert sizes[3] == 8
    assert set(sizes) > {8}
    assert all(size in (8, 16, 32, 64) for size in sizes)
    assert {
        (row["sampling"]["n"], row["sampling"]["max_n"], row["sampling"]["until_confident"]) for row in written
    } == {(8, 64, 0.9)}
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert manifest["notes"]["adaptive"]["samples"] == sum(sizes)
    assert manifest["notes"]["adaptive"]["samples_of_uniform_max_n"] == 64 * NUM_PROBLEMS
    assert f"drew {sum(sizes)} samples" in done.stderr
    anectl("rollout", problems, *FAKE, "-n", 64, "-o", "uniform.jsonl")
    for row, whole in zip(written, lines((tmp_path / "uniform.jsonl").read_text()), strict=True):
        assert row["completions"] == whole["completions"][: len(row["completions"])]


def test_a_row_that_cannot_be_judged_ends_at_the_most(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    write_rows(tmp_path / "script.jsonl", [{"texts": ["no answer in all these many words of mine"]}])
    done = anectl("rollout", problems, *FAKE, "-n", 3, "--until-confident", 0.9, "--max-n", 10, "--limit", 1)
    assert [len(row["completions"]) for row in lines(done.stdout)] == [10]
    assert "1 problems are still unsure" in done.stderr


@pytest.mark.parametrize("order", [(), ("--unordered",)])
def test_a_server_is_asked_on_for_unsure_rows_only(
    anectl: Cli, tmp_path: Path, problems: Path, order: tuple[str, ...]
) -> None:
    def say(body: Body, number: int) -> Body:
        named = int(prompt_of(body).partition("(")[2].partition(")")[0])
        answers = (f"Answer: {named if named % 3 else (body['seed'] + i) % 2 + named}" for i in range(body["n"]))
        return completion(body, *answers)

    with ChatServer(say) as server:
        engine = ["--engine", "openai", "-m", "m", "--url", server.url, "--concurrency", 2]
        done = anectl("rollout", problems, *engine, "-n", 8, "--until-confident", 0.9, "--max-n", 20, *order)
        found = lines(done.stdout)
        sizes = {row["problem"]["id"]: len(row["completions"]) for row in found}
    assert len(sizes) == NUM_PROBLEMS
    assert order or list(sizes) == [f"p{number}" for number in range(NUM_PROBLEMS)]
    assert all(sizes[f"p{number}"] == (8 if number % 3 else 16) for number in range(NUM_PROBLEMS))
    assert Counter(body["n"] for body in server.requests) == {8: NUM_PROBLEMS + 4}
    assert len({body["seed"] for body in server.requests}) == NUM_PROBLEMS + 4


def test_failed_rows_are_drawn_on_from_the_beginning_when_asked(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    write_rows(tmp_path / "script.jsonl", [{"match": r"\(1\)", "error": "out of luck"}, {"texts": ["Answer: 3"]}])
    anectl("rollout", problems, *ADAPTIVE, "-o", "r.jsonl")
    sizes = {row["problem"]["id"]: len(row["completions"]) for row in lines((tmp_path / "r.jsonl").read_text())}
    assert (sizes["p1"], sizes["p3"], sizes["p2"]) == (8, 8, 16)
    write_rows(tmp_path / "script.jsonl", [{"texts": ["Answer: 3"]}])
    done = anectl("rollout", problems, *ADAPTIVE, "-o", "r.jsonl", "--resume", "--retry-failed")
    rows = lines((tmp_path / "r.jsonl").read_text())
    assert rows[-1]["problem"]["id"] == "p1"
    assert len(rows[-1]["completions"]) == 16
    assert f"drew {sum(len(row['completions']) for row in rows)} samples" in done.stderr


def test_killed_and_resumed_equals_the_uninterrupted_adaptive_run(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    half_right(tmp_path, delay_s=0.03)
    arguments = ["rollout", problems, *ADAPTIVE, "--batch-size", 3, "--resume"]
    anectl(*arguments, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    partial = tmp_path / "killed.jsonl.partial"
    command = [sys.executable, "-m", "anectl", *map(str, arguments), "-o", "killed.jsonl"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size > len(whole) // 4):
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert 0 < partial.stat().st_size < len(whole)
    with partial.open("ab") as file:
        file.write(whole[:50])
    anectl(*arguments, "-o", "killed.jsonl")
    assert (tmp_path / "killed.jsonl").read_bytes() == whole
    failed = anectl(*arguments, "-o", "killed.jsonl", "--max-n", 32, ok=False)
    assert "max_n" in failed.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--low", 0.2], "borders: (0.1, 0.7) before, (0.2, 0.7) now"),
        (["--growth", 1.5], "growth: 2.0 before, 1.5 now"),
        (["--no-give-up"], "gives_up: True before, False now"),
    ],
)
def test_a_file_without_its_manifest_still_tells_how_rows_were_drawn_on(
    anectl: Cli, tmp_path: Path, problems: Path, change: list[object], words: str
) -> None:
    half_right(tmp_path)
    arguments = ["rollout", problems, *ADAPTIVE, "--resume", "-o", "r.jsonl"]
    anectl(*arguments, "--limit", 2)
    (tmp_path / "r.jsonl.manifest.json").unlink()
    failed = anectl(*arguments, *change, ok=False)
    assert words in failed.stderr


def test_rows_that_are_given_up_are_counted_and_unsure(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    """Three of sixteen right are not quite sure to be learnable, and hardly get surer."""
    texts = [f"Answer: {(number + (seed >= 3)) % NUM_PROBLEMS}" for seed in range(16) for number in [3]]
    write_rows(tmp_path / "script.jsonl", [{"match": r"\(3\)", "texts": texts}, {"texts": ["Answer: 99"]}])
    done = anectl("rollout", problems, *FAKE, "-n", 16, "--until-confident", 0.9, "-o", "r.jsonl")
    notes = json.loads((tmp_path / "r.jsonl.manifest.json").read_text())["notes"]["adaptive"]
    assert (notes["given_up"], notes["unsure"]) == (1, 1)
    assert "1 problems are still unsure, 1 of them given up, as more would not have been worth it" in done.stderr
    sizes = [len(row["completions"]) for row in lines((tmp_path / "r.jsonl").read_text())]
    assert set(sizes) == {16}
    anectl("rollout", problems, *FAKE, "-n", 16, "--until-confident", 0.9, "--no-give-up", "-o", "on.jsonl")
    sizes = [len(row["completions"]) for row in lines((tmp_path / "on.jsonl").read_text())]
    assert sizes[3] > 16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-n", 64], "--max-n goes with --until-confident"),
        (["--low", 0.2], "--low and --high go with --until-confident"),
        (["--growth", 1.5], "--growth goes with --until-confident"),
        (["--no-give-up"], "--no-give-up goes with --until-confident"),
        (["--until-confident", 0.9, "--growth", 1], "--growth 1.0: must be a number from 1.1 up"),
        (["--until-confident", 1], "between 0 and 1"),
        (["--until-confident", 0.9, "--max-n", 4], "fewer than the first 8"),
        (["--until-confident", 0.9, "--low", 0.8], "0 < low < high < 1"),
        (["--until-confident", 0.9, "--temperature", 0, "-n", 1], "temperature 0"),
    ],
)
def test_senseless_budgets_are_usage_errors(
    anectl: Cli, tmp_path: Path, problems: Path, options: list[object], words: str
) -> None:
    half_right(tmp_path)
    failed = anectl("rollout", problems, *FAKE, *options, ok=False)
    assert failed.returncode == 2
    assert words in failed.stderr


def test_a_dry_run_says_what_an_adaptive_run_would_draw(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    half_right(tmp_path)
    done = anectl("rollout", problems, *ADAPTIVE, "--dry-run")
    assert f"would draw {NUM_PROBLEMS} x 8 completions, where they leave a problem unsure up to 64" in done.stderr


def test_an_adaptive_file_merges_with_another_one(anectl: Cli, tmp_path: Path, problems: Path) -> None:
    half_right(tmp_path)
    anectl("rollout", problems, *ADAPTIVE, "-o", "a.jsonl")
    anectl("rollout", problems, *FAKE, "-n", 4, "--seed", 1, "-o", "b.jsonl")
    done = anectl("locate-frontier", "a.jsonl", "b.jsonl", "--zones", "failing,learnable,solved,unsure")
    sizes = [len(row["completions"]) for row in lines((tmp_path / "a.jsonl").read_text())]
    merged = lines(done.stdout)
    assert [len(row["completions"]) for row in merged] == [size + 4 for size in sizes]
    assert [row["sampling"]["n"] for row in merged] == [size + 4 for size in sizes]
    assert merged[0]["sampling"]["until_confident"] is None
