"""scaffold: which examples come of an anchored row, what they teach, and that TRL takes them as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.drafts import Draft, Drafter
from anectl.core.errors import AnectlError, UsageError
from anectl.core.grading import grade
from anectl.core.grading.extract import find_answer
from anectl.core.images import ImageRef
from anectl.core.jsonl import decode
from anectl.core.making import Made, Maker, choose, to_example
from anectl.core.probing import Failures, Job, Work, run_jobs
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Anchored, Completion, Problem, Writing
from anectl.core.replay import Solved
from anectl.core.rewriting import Rewriter
from anectl.core.scaffolds import leaks, load_template
from anectl.core.screens import owns_up, quotes, work_before_answer
from anectl.core.targets import raw_target, template_target
from anectl.engines.fake import FakeSampler
from anectl.scaffold_options import parse_levels
from tests.conftest import problem_rows, write_rows

TEMPLATE = load_template(None)
BOXED = "Think, then give the answer in \\boxed{}."
NUM_ROWS = 6


def judge(problem: Problem, text: str) -> bool:
    return grade(text, "stop", problem).correct is True


def solved(number: int, row: dict[str, Any], prefix: str = "p") -> dict[str, Any]:
    """The row as problem `<prefix><number>`, worked in two steps to 10 + number."""
    steps = [f"The picture shows {number + 4}.", f"{number + 4} + 6 = {number + 10}."]
    own = {"id": f"{prefix}{number}", "answer": str(number + 10), "steps": steps, "tags": ["sum"]}
    return {**row, **own, "solution": f"{number + 4}+6={number + 10}"}


def anchored_rows(folder: Path, count: int = NUM_ROWS, *, instruction: str = "") -> list[dict[str, Any]]:
    """Rows n0..n5 whose own problems have no solution; anchors t<i>, t<i+1>, so neighbours share one."""
    rows = problem_rows(folder, count + 1)
    truth = [solved(number, row, "t") for number, row in enumerate(rows)]
    failed = {"text": "9", "finish_reason": "stop", "correct": False, "reason": "mismatch"}
    return [
        {
            "schema": "anchored/1",
            "problem": {**row, "id": f"n{number}"},
            "policy": "base",
            "sampling": {"n": 1, "instruction": instruction},
            "completions": [failed],
            "zone": "failing",
            "posterior": {"a": 0.5, "b": 1.5, "low": 0, "high": 0.8, "confidence": 0.5},
            "anchors": [
                {"id": anchor["id"], "rank": rank, "score": 0.9, "why": {"joint": 0.9}, "problem": anchor}
                for rank, anchor in enumerate(truth[number : number + 2], 1)
            ],
        }
        for number, row in enumerate(rows[:count])
    ]


@pytest.fixture
def anchored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_rows(tmp_path / "anchored.jsonl", anchored_rows(tmp_path))


def scaffold(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["scaffold", *map(str, arguments)])


def examples(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def draft(**fields: Any) -> Draft:
    problem = Problem(
        id="a", question="What is 5 - 1?", answer="4", answer_type="number", steps=("The first is 5.", "5 - 1 = 4.")
    )
    defaults = {
        "problem": problem,
        "images": (),
        "question": problem.question,
        "answer_format": "Answer: {answer}",
        "template": "t",
        "frame": "{question} [{scaffold}]",
        "ladder": ("", "one", "two", "two", "four", "five"),
        "level": 0,
        "anchor_ids": (),
        "source": "anchor",
    }
    return Draft(**{**defaults, **fields})


def test_template_targets_are_the_steps_and_the_answer() -> None:
    assert template_target(draft(), judge).text == "The first is 5. 5 - 1 = 4. Answer: 4"  # type: ignore[union-attr]
    boxed = template_target(draft(answer_format="\\boxed{{answer}}"), judge)
    assert boxed is not None
    assert boxed.text.endswith("5 - 1 = 4. \\boxed{4}")
    bare = Problem(id="a", question="q", answer="4", answer_type="number")
    assert template_target(draft(problem=bare), judge) is None


def test_a_target_that_the_grader_does_not_accept_is_none() -> None:
    assert template_target(draft(answer_format="{answer}!?"), judge) is None


@pytest.mark.parametrize(
    ("solution", "target"),
    [("5-1=4", "5-1=4 Answer: 4"), ("The answer is 4.", "The answer is 4."), ("So \\boxed{4}", "So \\boxed{4}")],
)
def test_raw_targets_get_the_answer_only_where_they_lack_it(solution: str, target: str) -> None:
    problem = Problem(id="a", question="q", answer="4", answer_type="number", solution=solution)
    assert raw_target(draft(problem=problem), judge).text == target  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    ["As the hint says, 4.", "From the note: 4", "The reference answer is 4", "5 - ? = 4", "Row ? is 3", "the Hints"],
)
def test_completions_that_own_up_to_help_are_told(text: str) -> None:
    assert owns_up(text, "What is 5 - 1?")


@pytest.mark.parametrize("text", ["Note that 5 > 1, so 4.", "Is it 4? Yes.", "A whole note lasts 4.", "(why?) 4"])
def test_ordinary_words_are_no_owning_up(text: str) -> None:
    assert not owns_up(text, "What is 5 - 1?")


def test_words_of_the_question_may_be_used() -> None:
    assert not owns_up("The hint on the card is 4", "Which hint is on the card?")


class LengthScorer:
    """Takes long completions for unlikely ones."""

    def mean_nll(self, requests: Sequence[tuple[PromptRequest, str]]) -> list[float]:
        self.prompts = [request.messages[0].content for request, _ in requests]
        return [float(len(text)) for _, text in requests]


class Listening:
    """Passes requests on to a scripted sampler, and keeps them."""

    name = "listening"
    continuous = False

    def __init__(self, sampler: FakeSampler) -> None:
        self.sampler = sampler
        self.requests: list[PromptRequest] = []
        self.params: list[SamplingParams] = []

    def sample(self, requests: Iterable[PromptRequest], params: SamplingParams) -> Iterator[tuple[Draw, ...]]:
        kept = list(requests)
        self.requests += kept
        self.params += [params] * len(kept)
        return self.sampler.sample(kept, params)

    def close(self) -> None:
        self.sampler.close()

    def shown(self) -> list[str]:
        """The prompts of the rewrites, without those of answer probes."""
        return [request.messages[0].content for request in self.requests if not request.key.endswith("/probe")]


def listening(tmp_path: Path, script: list[dict[str, Any]]) -> Listening:
    return Listening(FakeSampler(str(write_rows(tmp_path / "script.jsonl", script))))


def finished(sampler: Listening, *works: Work[Any]) -> list[Any]:
    """The results of pieces of work, drawn by the sampler."""
    jobs = [Job(partial(next, iter([work]))) for work in works]
    return list(run_jobs(jobs, load_sampler=lambda: sampler, window=8))


PARAMS = SamplingParams(temperature=1, top_p=1, max_tokens=64)


def rewrites(
    tmp_path: Path, script: list[dict[str, Any]], *drafts: Draft, carrier: str = "prompt", probe: bool = False
) -> tuple[list[Made], Listening]:
    sampler = listening(tmp_path, script)
    write = Rewriter(judge, PARAMS, 4, 0, carrier, ("{question} [{scaffold}]",), probe)  # type: ignore[arg-type]
    maker = Maker(lambda draft: None, carrier, None, write)  # type: ignore[arg-type]
    (made,) = finished(sampler, maker.make(drafts))
    return made, sampler


def test_of_the_correct_and_clean_rewrites_the_likeliest_bare_one_wins(tmp_path: Path) -> None:
    texts = ["5-1. Answer: 4", "Five less one makes it. Answer: 4", "Answer: 3", "By the hint: Answer: 4"]
    made, sampler = rewrites(tmp_path, [{"texts": texts}], draft(level=1))
    scorer = LengthScorer()
    (target,) = choose(made, "prompt", scorer, Failures())
    assert target is not None
    assert (target.text, target.kind) == ("5-1. Answer: 4", "rewrite")
    assert target.writing == Writing(kind="rewrite", level=1, candidates=4, correct=3, clean=2, nll=14.0)
    assert sampler.shown() == ["What is 5 - 1? [one]"]
    assert set(scorer.prompts) == {"What is 5 - 1?"}


def test_without_a_scorer_the_rewrite_of_median_length_is_taken(tmp_path: Path) -> None:
    texts = ["5-1. Answer: 4", "Five less one makes it. Answer: 4", "5 - 1 = 4. Answer: 4", "Answer: 3"]
    made, _ = rewrites(tmp_path, [{"texts": texts}], draft(level=1))
    (target,) = choose(made, "prompt", None, Failures())
    assert target is not None
    assert target.text == "5 - 1 = 4. Answer: 4"
    assert target.writing is not None
    assert target.writing.nll is None


def test_a_row_without_a_good_rewrite_is_tried_at_each_higher_level(tmp_path: Path) -> None:
    script = [{"match": "five", "texts": ["Answer: 4"]}, {"texts": ["Answer: 3"]}]
    (made,), sampler = rewrites(tmp_path, script, draft(level=1))
    assert made.targets[0].writing == Writing(
        kind="rewrite", level=5, candidates=16, correct=4, clean=4, fallback="no rewrite at level 1"
    )
    # Level 3 says what level 2 said.
    assert sampler.shown() == [f"What is 5 - 1? [{word}]" for word in ("one", "two", "four", "five")]
    assert len({seed for request in sampler.requests for seed in request.seeds}) == 16


def test_a_row_that_no_level_solves_has_no_rewrite(tmp_path: Path) -> None:
    made, _ = rewrites(tmp_path, [{"texts": ["Answer: 3", "Answer: 4 (see the hint)"]}], draft(), draft(level=2))
    assert [one.targets for one in made] == [(), ()]


def test_a_rewrite_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    (made,), _ = rewrites(tmp_path, [{"texts": ["Answer: 4"], "finish_reason": "length"}], draft())
    assert made.targets == ()


@pytest.mark.parametrize(
    ("text", "work"),
    [
        ("5 - 1 = 4. Answer: 4", "5 - 1 = 4."),
        ("5 - 1 = 4. Answer: 4. So the answer is 4.", "5 - 1 = 4."),
        ("The difference is \\boxed{4}", "The difference is"),
        ("Answer: 4. This is since 5 - 1 = 4. Answer: 4", ""),
        ("4", ""),
        ("", ""),
    ],
)
def test_work_ends_where_the_answer_is_first_stated(text: str, work: str) -> None:
    assert work_before_answer(text) == work


@given(st.text(max_size=80), st.integers(0, 30))
def test_work_is_the_beginning_of_the_text_and_states_nothing(text: str, count: int) -> None:
    told = text + " Answer: 4." * count
    work = work_before_answer(told)
    assert told.startswith(work)
    assert find_answer(work) is None


def test_a_rewrite_must_follow_from_its_own_work(tmp_path: Path) -> None:
    """The policy comes from `5 - 1 = 4.` to the answer by itself, from a bare assertion it does not."""
    texts = ["5 - 1 = 4. Answer: 4", "Answer: 4", "It looks so. Answer: 4", "It looks so. Answer: 4"]
    script = [
        {"match": "\\[one\\]", "texts": texts},
        {"match": "= 4\\.$", "texts": [" Answer: 4"]},
        {"texts": ["Answer: 2"]},
    ]
    (made,), sampler = rewrites(tmp_path, script, draft(level=1), probe=True)
    assert [target.text for target in made.targets] == ["5 - 1 = 4. Answer: 4"]
    assert made.targets[0].writing == Writing(kind="rewrite", level=1, candidates=4, correct=4, clean=1)
    probes = [(one.messages[0].content, one.prefix) for one in sampler.requests if one.key.endswith("/probe")]
    assert probes == [("What is 5 - 1?", work) for work in ("", "5 - 1 = 4.", "It looks so.")]
    assert {params.temperature for params in sampler.params[1:]} == {0.0}


def test_what_was_written_without_help_needs_no_answer_probe(tmp_path: Path) -> None:
    (made,), sampler = rewrites(tmp_path, [{"texts": ["Answer: 4"]}], draft(), probe=True)
    assert len(made.targets) == 1
    assert len(sampler.requests) == 1


def test_a_rewrite_that_quotes_the_frame_is_thrown_away(tmp_path: Path) -> None:
    frame = "{question} A way to go about it: {scaffold}"
    assert quotes("As a way to go about this: Answer: 4", (frame,), "q")
    assert not quotes("One way to see it. Answer: 4", (frame,), "q")
    assert not quotes("a way to go about it", (frame,), "What is a way to go about it?")


def test_a_rewrite_goes_on_from_its_prefix_and_the_row_takes_its_level(tmp_path: Path) -> None:
    script = [{"match": "\\nfive$", "texts": [" less one is 4. Answer: 4"]}, {"texts": ["Answer: 3"]}]
    (made,), sampler = rewrites(tmp_path, script, draft(level=2), carrier="prefix")
    assert [request.prefix for request in sampler.requests] == ["two", "four", "five"]
    assert {request.messages[0].content for request in sampler.requests} == {"What is 5 - 1?"}
    assert made.draft.level == 5
    example = to_example(made.draft, made.targets[0], "prefix")
    assert example.prompt[1].content + example.completion[0].content == "five less one is 4. Answer: 4"


@pytest.mark.parametrize("text", ["", "6", "0,-1", "0;1", "a", "0,,1"])
def test_levels_out_of_range_are_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_levels(text)


def test_a_level_named_twice_is_drawn_twice_as_often() -> None:
    drafter = Drafter(TEMPLATE, parse_levels("0, 2,2"))
    levels = []
    for number in range(300):
        problem = Problem(id=str(number), question="q", answer="4", answer_type="number", steps=draft().problem.steps)
        levels.append(drafter.draft(problem, (), "frontier", "", None).level)
    assert 70 < levels.count(0) < 130
    assert levels.count(0) + levels.count(2) == 300


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(0, 9)), max_size=8))
def test_replay_takes_the_correct_completion_of_median_length(drawn: list[tuple[bool | None, int]]) -> None:
    completions = [Completion(text="x" * size, finish_reason="stop", correct=correct) for correct, size in drawn]
    solved = Solved(Problem(id="a", question="q", answer="1", answer_type="number"), (), "")
    for completion in completions:
        solved.add([completion])
    chosen = solved.typical(0.7)
    judged = [correct for correct, _ in drawn if correct is not None]
    sizes = sorted(size for correct, size in drawn if correct)
    if not sizes or sum(judged) < 0.7 * len(judged):
        assert chosen is None
    else:
        assert chosen is not None
        assert len(chosen) == sizes[(len(sizes) - 1) // 2]


def test_by_default_anchors_teach_and_a_problem_without_a_solution_does_not(anchored: Path) -> None:
    result = scaffold(anchored)
    rows = examples(result)
    assert sorted(row["problem_id"] for row in rows) == [f"t{i}" for i in range(NUM_ROWS + 1)]
    assert {row["origin"] for row in rows} == {"anchor/template"}
    assert "6 rows in, 7 out" in result.stderr
    assert "7 anchor/template" in result.stderr
    for row in rows:
        shown = row["scaffold"]
        assert shown["anchor_ids"] == [row["problem_id"]]
        assert shown["text"] == shown["ladder"][shown["level"]]
        assert shown["leak"] is False
        assert row["completion"][0]["content"].endswith(f"Answer: {row['answer']}")
        assert row["prompt"][0]["content"].startswith(shown["question"])
        assert shown["text"] in row["prompt"][0]["content"]
        problem = Problem(id="a", question="q", answer=row["answer"], answer_type="number")
        assert not any(leaks(text, problem) for text in shown["ladder"])


def test_the_bare_question_is_that_of_the_rollouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_rows(tmp_path / "a.jsonl", anchored_rows(tmp_path, instruction=BOXED))
    for row in examples(scaffold(path, "--levels", "0")):
        assert row["prompt"][0]["content"] == row["scaffold"]["question"]
        assert row["prompt"][0]["content"].endswith(BOXED)
        assert row["completion"][0]["content"].endswith(f"\\boxed{{{row['answer']}}}")


def test_a_prefix_begins_the_answer_that_the_completion_goes_on_with(anchored: Path) -> None:
    for row in examples(scaffold(anchored, "--carrier", "prefix", "--levels", "2")):
        user, opened = row["prompt"]
        assert user["content"] == row["scaffold"]["question"]
        assert opened == {"role": "assistant", "content": row["scaffold"]["text"]}
        assert row["completion"][0]["content"].startswith(" The picture shows")


def test_raw_solutions_stand_bare(anchored: Path) -> None:
    rows = examples(scaffold(anchored, "--targets", "raw"))
    assert {row["origin"] for row in rows} == {"anchor/raw"}
    for row in rows:
        assert row["scaffold"]["level"] == 0
        assert len(row["scaffold"]["ladder"]) == 6
        assert row["completion"][0]["content"].split()[-2:] == ["Answer:", row["answer"]]


def test_an_anchor_is_used_as_often_as_the_cap_says(anchored: Path) -> None:
    rows = examples(scaffold(anchored, "--per-anchor-cap", 2))
    assert len(rows) == 2 * NUM_ROWS
    assert max(sum(row["problem_id"] == f"t{i}" for row in rows) for i in range(NUM_ROWS)) == 2


def test_rows_that_give_nothing_are_dropped_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = anchored_rows(tmp_path, 3)
    rows[1]["anchors"] = rows[0]["anchors"]
    rows[2]["anchors"] = []
    path = write_rows(tmp_path / "a.jsonl", rows)
    result = scaffold(path, "--from", "anchors")
    assert len(examples(result)) == 2
    assert "1 dropped (anchors already used), 1 dropped (no anchor)" in result.stderr
    assert "3 dropped (no solution and no steps)" in scaffold(path, "--from", "frontier").stderr


def test_a_frontier_problem_borrows_only_the_plan_of_its_anchor(tmp_path: Path) -> None:
    row = decode(json.dumps(anchored_rows(tmp_path, 1)[0]).encode(), Anchored)
    drafter = Drafter(TEMPLATE, (5,), from_anchors=False)
    (made,), _ = drafter.drafts(row, lambda refs: tuple(ImageRef(ref, ref) for ref in refs))
    assert made.level == 2
    assert made.ladder[2].endswith("The picture shows ?. ? + ? = ?.")
    assert made.anchor_ids == ("t0",)


def test_max_examples_ends_the_output(anchored: Path) -> None:
    result = scaffold(anchored, "--max-examples", 3)
    assert len(examples(result)) == 3
    assert "dropped (enough examples)" in result.stderr


def test_the_same_seed_gives_the_same_file_and_another_one_other_levels(anchored: Path) -> None:
    first, again, other = (scaffold(anchored, "--seed", seed).stdout for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.fixture
def rollouts(anchored: Path, tmp_path: Path) -> Path:
    """Forty solved problems and ten that are failed half of the time."""
    rows = []
    for number in range(50):
        right = {"text": f"It is {number}. Answer: {number}", "finish_reason": "stop", "correct": True}
        wrong = {**right, "text": "Answer: no", "correct": False}
        problem = {"id": f"r{number}", "question": f"q{number}", "images": ["0.png"], "answer": str(number)}
        rows.append(
            {
                "schema": "rollout/1",
                "problem": {**problem, "answer_type": "number"},
                "policy": "base",
                "sampling": {"n": 2, "instruction": "Be brief."},
                "completions": [right, right if number < 40 else wrong],
            }
        )
    return write_rows(tmp_path / "rollouts.jsonl", rows)


def test_replay_has_its_share_in_every_beginning(anchored: Path, rollouts: Path) -> None:
    rows = examples(scaffold(anchored, "--per-anchor-cap", 2, "--replay", rollouts, "--replay-share", 0.4))
    origins = [row["origin"] for row in rows]
    assert origins.count("replay/self") == 8
    assert len(rows) == 20
    for end in range(1, len(rows) + 1):
        assert abs(origins[:end].count("replay/self") - 0.4 * end) < 1
    for row in rows:
        if row["origin"] == "replay/self":
            assert row["prompt"] == [{"role": "user", "content": f"q{row['answer']}\nBe brief."}]
            assert row["completion"][0]["content"] == f"It is {row['answer']}. Answer: {row['answer']}"
            assert int(row["answer"]) < 40
            assert row["scaffold"]["level"] == 0


def test_too_little_replay_is_all_used(anchored: Path, rollouts: Path) -> None:
    lines = rollouts.read_text().splitlines(keepends=True)
    rollouts.write_text("".join(lines[:2]))
    rows = examples(scaffold(anchored, "--replay", rollouts, "--replay-share", 0.9))
    assert sum(row["origin"] == "replay/self" for row in rows) == 2


def test_bad_replay_rows_are_errors_with_their_place(anchored: Path, rollouts: Path) -> None:
    rollouts.write_text(rollouts.read_text() + '{"schema": "rollout/2"}\n')
    result = scaffold(anchored, "--replay", rollouts)
    assert isinstance(result.exception, AnectlError)
    assert f"{rollouts}:51: unknown version" in str(result.exception)


@pytest.mark.parametrize(
    "options",
    [
        ("--targets", "rewrite"),
        ("--calibrate",),
        ("--calibrate", "--model", "x", "--levels", "0"),
        ("--calibrate", "--model", "x", "--targets", "raw"),
        ("--calibrate", "--model", "x", "--band", "0.7,0.3"),
        ("--scaffold-from", "model"),
        ("--helper-model", "x"),
        ("--answer-format", "Answer"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(anchored: Path, options: tuple[str, ...]) -> None:
    assert isinstance(scaffold(anchored, *options).exception, UsageError)


def test_rewrites_of_an_untrained_policy_fall_back_to_the_template(anchored: Path, tiny_model: Path) -> None:
    options = ("--targets", "rewrite", "--model", tiny_model, "--num-candidates", 2, "--max-tokens", 8)
    result = scaffold(anchored, *options)
    assert {row["origin"] for row in examples(result)} <= {"anchor/template", "anchor/rewrite"}
    assert len(examples(result)) == NUM_ROWS + 1


@pytest.mark.slow
@pytest.mark.parametrize("carrier", ["prompt", "prefix"])
def test_trl_trains_on_the_file_as_it_is(
    anchored: Path, rollouts: Path, tiny_model: Path, tmp_path: Path, carrier: str
) -> None:
    from datasets import load_dataset
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import SFTConfig, SFTTrainer

    output = tmp_path / "x.jsonl"
    assert scaffold(anchored, "--replay", rollouts, "--carrier", carrier, "-o", output).exit_code == 0
    rows = load_dataset("json", data_files=str(output), split="train", cache_dir=str(tmp_path / "cache"))
    assert set(rows.column_names) >= {"prompt", "completion", "images", "scaffold", "answer"}
    config = SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
    )
    processor = AutoProcessor.from_pretrained(tiny_model, padding_side="left")
    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=processor)
    assert trainer.train().global_step == 2


def test_the_loop_up_to_the_examples_is_one_pipe_with_defaults(tmp_path: Path, tiny_model: Path) -> None:
    import subprocess
    import sys

    problems = problem_rows(tmp_path, 4)
    write_rows(tmp_path / "pool.jsonl", problems)
    write_rows(tmp_path / "truth.jsonl", [solved(number, row, "t") for number, row in enumerate(problems)])
    anectl = f"{sys.executable} -m anectl"
    pipe = (
        f"set -o pipefail; {anectl} build-index truth.jsonl --embedder policy:{tiny_model} -o truth.idx && "
        f"{anectl} rollout pool.jsonl --model {tiny_model} --max-tokens 8 | {anectl} locate-frontier "
        f"| {anectl} anchor --index truth.idx | {anectl} scaffold > x.jsonl"
    )
    done = subprocess.run(["bash", "-c", pipe], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert {row["schema"] for row in rows} == {"example/1"}
    assert all((tmp_path / image).exists() for row in rows for image in row["images"])
