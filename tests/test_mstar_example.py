"""examples/mstar compares like with like: its commands parse, its arms draw and train equally much."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from anectl.cli import app
from anectl.core.records import Completion, Problem
from tests.test_qwen_example import calls, printed

HERE = Path(__file__).resolve().parent.parent / "examples/mstar"
TRAINING = ("iterative", "continuous-100", "continuous-50", "continuous-25", "continuous-12", "continuous-6")
REWARD = ("random-2", "prm-above", "prm-top-1", "prm-top-2", "prm-top-4", "prm-own")
ARMS = (*TRAINING, *REWARD, "tuned", "tuned-pass", "joint")
VOTED = {"more-voted": 1, "more-voted-25": 2, "more-voted-50": 3, "more-voted-75": 4}
SLICES = [f"{number:02d}" for number in range(1, 17)]
sys.path.insert(0, str(HERE))

from judged import sound_steps  # noqa: E402
from table import said  # noqa: E402


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The words of every anectl command of one seed."""
    made = shutil.ignore_patterns("data", "runs")
    folder = shutil.copytree(HERE, tmp_path_factory.mktemp("example") / "mstar", ignore=made)
    lines = printed(folder, "arms", "SEEDS=7", "ANECTL=anectl").replace("|", "\n").splitlines()
    return calls("\n".join(line.strip() for line in lines if line.strip().startswith("anectl ")))


def of(commands: list[list[str]], arm: str, name: str) -> list[list[str]]:
    """The commands of this name that write below an arm's folder, validation left out."""
    found = [words for words in commands if words[0] == name and words[-1].startswith(f"runs/seed-7/{arm}/")]
    return [words for words in found if "valid-" not in words[-1]]


def test_every_command_parses(commands: list[list[str]]) -> None:
    group = get_command(app)
    context = group.make_context("anectl", ["schema"], resilient_parsing=True)
    assert len(commands) > 500
    for name, *words in commands:
        command = group.get_command(context, name)
        assert command is not None, name
        # The temperature's record is read as the option is.
        command.make_context(name, ["1.0" if word.startswith("@") else word for word in words], parent=context)


@pytest.mark.parametrize("arm", [*ARMS, "more-answers", "more-answers-prm", "more-voted"])
def test_all_arms_take_as_many_steps_and_draw_every_slice_twice(commands: list[list[str]], arm: str) -> None:
    steps = [int(words[words.index("--max-steps") + 1]) for words in of(commands, arm, "sft")]
    assert sum(steps) == 64
    first = "" if arm.startswith(("tuned", "more-answers")) else f"runs/seed-7/first-{len(steps)}.jsonl"
    rollouts = of(commands, arm, "rollout") + [words for words in commands if first and words[-1] == first]
    drawn = [word for words in rollouts for word in words if word.startswith("data/pool-")]
    assert sorted(drawn) == sorted(2 * [f"data/pool-{number}.jsonl" for number in SLICES])
    more = [word for words in rollouts for word in words if word.startswith("data/more-")]
    assert sorted(more) == sorted(2 * [f"data/more-{number}.jsonl" for number in SLICES if arm.startswith("more")])
    assert {words[words.index("-n") + 1] for words in rollouts} == {"16"}


def test_an_arm_that_votes_from_a_later_round_on_is_the_reward_arm_until_then(commands: list[list[str]]) -> None:
    for arm, first in VOTED.items():
        trained = of(commands, arm, "sft")
        assert len(trained) == 5 - first
        before = f"runs/seed-7/prm-top-2/m{first - 1}" if first > 1 else "runs/warm-up"
        assert before in trained[0]
        asked = [words[words.index("--unlabelled") + 1] for words in of(commands, arm, "select")]
        assert asked == [f"runs/seed-7/{arm}/{number}.asked.solver.jsonl" for number in range(first, 5)]


def test_what_goes_on_from_round_to_round_is_what_the_arm_says(commands: list[list[str]]) -> None:
    warm_up = "runs/warm-up"
    for arm in (*ARMS, "more-voted", "more-answers"):
        first, *later = of(commands, arm, "sft")
        assert first[first.index("--model") + 1] == warm_up
        for number, words in enumerate(later, start=1):
            before = f"runs/seed-7/{arm}/m{number}"
            if arm == "iterative":
                assert words[words.index("--model") + 1] == before
            else:
                assert words[words.index("--continue-from") + 1] == before
                assert "--learning-rate" not in words, "the schedule of the first round goes on"


def test_rest_em_starts_its_second_round_from_the_first_policy_with_the_rows_of_iterative_rft(
    commands: list[list[str]],
) -> None:
    (words,) = of(commands, "rest-em", "sft")
    (_, other) = of(commands, "iterative", "sft")
    assert words[1] == other[1] == "runs/seed-7/iterative/2.train.jsonl"
    changed = {one for pair in zip(words, other, strict=True) if pair[0] != pair[1] for one in pair}
    assert changed == {"runs/warm-up", "runs/seed-7/iterative/m1", "runs/seed-7/rest-em/m2", "runs/seed-7/iterative/m2"}


def test_the_temperature_is_tuned_before_every_other_round(commands: list[list[str]]) -> None:
    for arm, kept in (("tuned", "2"), ("tuned-pass", "16")):
        tuned = of(commands, arm, "tune-temperature")
        assert sorted(words[-1] for words in tuned) == [
            f"runs/seed-7/{arm}/{number}.temperature.json" for number in (1, 3)
        ]
        assert {words[words.index("--num-kept") + 1] for words in tuned} == {kept}
        used = [words[words.index("--temperature") + 1] for words in of(commands, arm, "rollout")]
        assert sorted(used) == sorted(f"@runs/seed-7/{arm}/{number}.temperature.json" for number in (1, 1, 3, 3))


@pytest.mark.parametrize(
    ("paper", "low", "high", "verdict"),
    [
        (2.0, 0.01, 0.03, "as in the paper"),
        (2.0, -0.03, -0.01, "against the paper"),
        (-2.0, -0.03, -0.01, "as in the paper"),
        (2.0, -0.01, 0.03, "no difference seen"),
        (0.0, 0.01, 0.03, "up"),
        (None, -0.03, -0.01, "down"),
    ],
)
def test_a_direction_is_claimed_only_where_the_interval_excludes_zero(
    paper: float | None, low: float, high: float, verdict: str
) -> None:
    assert said(paper, (low + high) / 2, low, high) == verdict


def test_a_step_is_sound_while_all_before_it_are() -> None:
    problem = Problem(id="p", question="?", answer="3", answer_type="number", steps=("1 + 1 = 2.", "2 + 1 = 3."))
    right = Completion(text="", finish_reason="stop", num_tokens=1, steps=("1 + 1 = 2.", " 2 + 1 = 3.", " Answer: 3"))
    assert sound_steps(problem, right) == [True, True, True]
    lucky = Completion(text="", finish_reason="stop", num_tokens=1, steps=("1 + 2 = 3.", " 2 + 1 = 3.", " Answer: 3"))
    assert sound_steps(problem, lucky) == [False, False, False]
