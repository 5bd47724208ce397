"""Calibration: the smallest level at which a policy succeeds often enough, found by halving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.calibration import (
    MOST_PROBES,
    NOT_DRAWN,
    OUT_OF_REACH,
    Band,
    Calibration,
    parse_band,
    rungs_of,
    smallest_in_reach,
)
from anectl.core.drafts import Draft
from anectl.core.errors import UsageError
from anectl.core.keys import sample_seed
from anectl.core.probing import Job, run_jobs
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import LevelTally, Problem

BAND = Band()
LADDER = ("", "one", "two", "two", "four", "five")
PARAMS = SamplingParams(temperature=1, top_p=1, max_tokens=8)


def found(rates: dict[int, float], known: LevelTally | None = None) -> tuple[int | None, list[int]]:
    """What halving finds over levels whose success is known, and the levels it asked for."""
    asked: list[int] = []
    search = smallest_in_reach(sorted(rates), BAND, known)
    try:
        level = next(search)
        while True:
            asked.append(level)
            level = search.send(LevelTally(level=level, correct=round(100 * rates[level]), judged=100))
    except StopIteration as stop:
        return stop.value, asked


RATES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(RATES)
def test_where_success_rises_the_smallest_level_in_reach_is_found_in_three_probes(rates: list[float]) -> None:
    rising = dict(enumerate(sorted(rates)))
    level, asked = found(rising)
    reached = [level for level, rate in rising.items() if round(100 * rate) >= 30]
    assert level == (reached[0] if reached else None)
    assert len(asked) == len(set(asked)) <= MOST_PROBES


@given(RATES)
def test_where_it_does_not_rise_a_level_that_reached_the_band_is_found(rates: list[float]) -> None:
    any_order = dict(enumerate(rates))
    level, asked = found(any_order)
    if level is None:
        assert round(100 * any_order[len(rates) - 1]) < 30
        return
    assert level in asked
    assert round(100 * any_order[level]) >= 30
    # The next lower one was tried, and failed.
    assert level == 0 or (level - 1 in asked and round(100 * any_order[level - 1]) < 30)


@given(RATES, st.booleans())
def test_what_is_known_of_the_bare_problem_is_not_asked_for_again(rates: list[float], solves: bool) -> None:
    known = LevelTally(level=0, correct=8 * solves, judged=8)
    level, asked = found(dict(enumerate(sorted(rates))), known)
    assert 0 not in asked
    assert (level == 0) is solves
    assert not (solves and asked)


def test_a_band_is_two_rates() -> None:
    assert parse_band("0.2, 0.8") == Band(0.2, 0.8)
    for text in ("", "0.3", "0.7,0.3", "0,0.5", "0.5,1", "a,b", "nan,nan", "0.1,0.2,0.3"):
        with pytest.raises(UsageError):
            parse_band(text)


def test_nothing_judged_reaches_nothing() -> None:
    assert not BAND.reached(LevelTally(level=1, correct=0, judged=0))
    assert Band(0.25, 0.5).reached(LevelTally(level=1, correct=2, judged=8))
    assert not Band(0.25, 0.5).passed(LevelTally(level=1, correct=4, judged=8))


def test_rungs_are_the_levels_that_say_something_new() -> None:
    assert rungs_of(LADDER) == [0, 1, 2, 4, 5]
    assert rungs_of(("",) * 6) == [0]


class Policy:
    """Succeeds at the levels that its rule names; counts what it is asked, call by call."""

    name = "policy"
    continuous = False

    def __init__(self, right: dict[str, float], error: str | None = None, finish_reason: str = "stop") -> None:
        self.right, self.error, self.finish_reason = right, error, finish_reason
        self.calls: list[list[PromptRequest]] = []

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        self.calls.append(list(requests))
        for request in self.calls[-1]:
            shown = f"{request.messages[0].content}{request.prefix}"
            rate = next(rate for word, rate in self.right.items() if word in shown)
            answers = ["Answer: 4" if seed % 100 < 100 * rate else "Answer: 3" for seed in request.seeds]
            yield tuple(Draw(text, self.finish_reason, 2, error=self.error) for text in answers)  # type: ignore[arg-type]

    def close(self) -> None:
        """Nothing is held."""


def draft(name: str = "a", ladder: tuple[str, ...] = LADDER, tried: tuple[LevelTally, ...] = ()) -> Draft:
    problem = Problem(id=name, question="q", answer="4", answer_type="number")
    return Draft(
        problem=problem,
        images=(),
        question="q",
        answer_format="Answer: {answer}",
        template="t",
        frame="{question} [{scaffold}]",
        ladder=ladder,
        level=0,
        anchor_ids=(),
        source="frontier",
        tried=tried,
    )


def judge(problem: Problem, text: str) -> bool:
    return text.endswith(problem.answer)


def calibrated(policy: Policy, drafts: Sequence[Draft], **settings: Any) -> tuple[list[Any], Calibration]:
    plan = replace(Calibration(BAND, 8, PARAMS, judge, 0, "prompt"), **settings)
    jobs = [Job(partial(plan.level, one)) for one in drafts]
    return list(run_jobs(jobs, load_sampler=lambda: policy, window=64)), plan


RISING = {"[five]": 1.0, "[four]": 0.5, "[two]": 0.0, "[one]": 0.0, "q": 0.0}


def test_the_level_found_and_all_that_was_tried_are_kept() -> None:
    ((one,), plan) = calibrated(Policy(RISING), [draft()], num_samples=40)
    assert one is not None
    assert one.level == 4
    assert [tally.level for tally in one.tried] == [2, 5, 4]
    assert [tally.judged for tally in one.tried] == [40] * 3
    assert one.tried[0].correct == 0
    assert one.tried[1].correct == 40
    assert 12 <= one.tried[2].correct <= 28
    assert plan.findings.facts() == {
        "levels": {"4": 1},
        "unreached": 0,
        "above_band": 0,
        "samples": 120,
        "samples_of_every_level": 200,
        "engine_errors": 0,
    }
    assert "1 at level 4" in plan.findings.summary()
    assert "120 samples (60% of trying every level)" in plan.findings.summary()


def test_one_round_asks_for_all_problems_together() -> None:
    policy = Policy(RISING)
    calibrated(policy, [draft(str(number)) for number in range(10)])
    assert [len(call) for call in policy.calls] == [10, 10, 10]


def test_draws_depend_on_seed_problem_level_and_number_alone() -> None:
    alone, among = Policy(RISING), Policy(RISING)
    calibrated(alone, [draft("x")])
    calibrated(among, [draft("w"), draft("x"), draft("y")])
    mine = [request for call in among.calls for request in call if request.key.startswith("x/")]
    assert mine == [request for call in alone.calls for request in call]
    assert mine[0].seeds == tuple(sample_seed(0, "x/calibrate/2", number) for number in range(8))


def test_a_problem_that_is_solved_bare_stays_bare() -> None:
    policy = Policy({"q": 1.0})
    bare = LevelTally(level=0, correct=8, judged=8)
    ((one, known), plan) = calibrated(policy, [draft("a"), draft("b", tried=(bare,))])
    assert one is not None
    assert known is not None
    assert (one.level, known.level, known.tried) == (0, 0, (bare,))
    assert plan.findings.num_passed == 2
    assert {request.key.split("/")[0] for call in policy.calls for request in call} == {"a"}


def test_a_problem_out_of_reach_is_kept_at_its_top_or_dropped() -> None:
    never = {"q": 0.0}
    ((one,), plan) = calibrated(Policy(never), [draft()])
    assert one is not None
    assert one.level == 5
    assert plan.findings.num_unreached == 1
    ((dropped,), _) = calibrated(Policy(never), [draft()], drop_unreached=True)
    assert dropped == OUT_OF_REACH


def test_a_cut_completion_is_a_failure_and_a_failed_one_no_evidence() -> None:
    ((cut,), _) = calibrated(Policy({"q": 1.0}, finish_reason="length"), [draft()])
    assert cut is not None
    assert {(tally.correct, tally.judged) for tally in cut.tried} == {(0, 8)}
    ((failed,), plan) = calibrated(Policy({"q": 1.0}, error="away"), [draft()])
    assert failed == NOT_DRAWN
    assert plan.findings.num_failed == 8


def test_a_prefix_opens_the_answer() -> None:
    policy = Policy({"five": 1.0, "q": 0.0})
    ((one,), _) = calibrated(policy, [draft()], carrier="prefix")
    assert one is not None
    assert one.level == 5
    assert [request.prefix for call in policy.calls for request in call] == ["two", "five", "four"]
    assert {request.messages[0].content for call in policy.calls for request in call} == {"q"}


def test_counts_of_the_summary_add_up() -> None:
    names = [str(number) for number in range(40)]
    (drafts, plan) = calibrated(Policy({"[five]": 0.6, "[four]": 0.4, "q": 0.2}), [draft(name) for name in names])
    levels = Counter(one.level for one in drafts if one is not None)
    assert plan.findings.levels == levels
    assert plan.findings.num_drawn == sum(tally.judged for one in drafts if one is not None for tally in one.tried)
