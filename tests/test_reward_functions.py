"""Reward functions of the user: found by their path, called with TRL's names, their faults told with their place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from anectl.core.errors import AnectlError
from anectl.core.records import Example, Message, Scaffold
from anectl.core.reward_functions import called, load_reward, short_names

SOURCE = '''
"""Rewards."""

def short(completions, answer, level, **rest):
    """One point for each character below ten."""
    return [10.0 - len(turn[0]["content"]) for turn in completions]

def divides(completions, **rest):
    return [1 / 0 for _ in completions]

def needs_names(completions):
    return [0.0 for _ in completions]

async def slow(completions, **rest):
    return [0.0]

class Group:
    @staticmethod
    def half(completions, **rest):
        return [0.5, None]

NUMBER = 3
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_rewards_of_test.py").write_text(SOURCE)
    (tmp_path / "broken_rewards_of_test.py").write_text("import math\n\nraise RuntimeError('no data')\n")
    (tmp_path / "misspelt_rewards_of_test.py").write_text("import math\n\ndef f(:\n")
    (tmp_path / "lacking_rewards_of_test.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(name: str) -> Example:
    turns = (Message(role="user", content="?"),)
    return Example(
        problem_id=name,
        prompt=turns,
        completion=turns,
        answer="5",
        answer_type="number",
        scaffold=Scaffold(),
        origin="frontier/raw",
    )


EXAMPLES = [example("p0"), example("p1")]
GIVEN: dict[str, Any] = {"completions": [[{"role": "assistant", "content": text}] for text in ("ab", "abcd")]}


def test_a_function_in_the_current_folder_is_called_with_the_fields_of_the_example() -> None:
    function = load_reward("my_rewards_of_test:short")
    assert called(function, "short", EXAMPLES, {**GIVEN, "level": [0, 1]}) == [8.0, 6.0]


def test_null_says_that_it_does_not_apply() -> None:
    assert called(load_reward("my_rewards_of_test:Group.half"), "half", EXAMPLES, GIVEN) == [0.5, None]


@pytest.mark.parametrize(
    ("dotted", "problem"),
    [
        ("my_rewards_of_test", "not of the form"),
        ("my_rewards_of_test:", "not of the form"),
        ("no_such_package.rewards:f", "there is no module 'no_such_package'"),
        ("my_rewards_of_test:long", "has no 'long'"),
        ("my_rewards_of_test:NUMBER", "is not a function"),
        ("my_rewards_of_test:slow", "asynchronous"),
        ("my_rewards_of_test:short(1)", "has no"),
        ("broken_rewards_of_test:f", r"broken_rewards_of_test.py:3: .*RuntimeError: no data"),
        ("misspelt_rewards_of_test:f", r"misspelt_rewards_of_test.py:3: .*SyntaxError"),
        ("lacking_rewards_of_test:f", r"lacking_rewards_of_test.py:1: .*no_such_library"),
    ],
)
def test_what_cannot_be_loaded_is_refused(dotted: str, problem: str) -> None:
    with pytest.raises(AnectlError, match=problem):
        load_reward(dotted)


def test_a_failing_function_is_told_with_its_file_and_line() -> None:
    with pytest.raises(AnectlError) as caught:
        called(load_reward("my_rewards_of_test:divides"), "divides", EXAMPLES, GIVEN)
    assert str(caught.value).endswith("my_rewards_of_test.py:9: reward divides: ZeroDivisionError: division by zero")


def test_a_function_that_does_not_take_what_is_given_is_told_how() -> None:
    with pytest.raises(AnectlError, match="unexpected keyword") as caught:
        called(load_reward("my_rewards_of_test:needs_names"), "needs_names", EXAMPLES, GIVEN)
    assert "**rest" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ([0.0, math.nan], "nan for 'p1'"),
        ([math.inf, 0.0], "inf for 'p0'"),
        ([0.0, "1"], "'1' for 'p1'"),
        ([0.0], "one number per completion"),
        (1.0, "one number per completion"),
    ],
)
def test_what_is_no_list_of_numbers_is_refused(returned: object, problem: str) -> None:
    with pytest.raises(AnectlError, match=problem):
        called(lambda **given: returned, "mine", EXAMPLES, {})


def test_functions_of_the_same_name_are_told_apart() -> None:
    assert short_names(["a.b:f", "c:g", "d:f"]) == ["a.b.f", "g", "d.f"]
