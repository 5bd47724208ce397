"""The linter of scaffold templates: every fault with its line, and what to do about it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from anectl.core.errors import AnectlError
from anectl.core.templates import lint_template, load_template

SOUND = """\
name: own
frame: "{question}\\nHint: {scaffold}"
levels:
  1: "{knowledge}"
  2: "{plan}"
  3: "{facts}"
  4: "{partial}"
  5: "{worked}"
"""
EXAMPLE = Path(__file__).parents[1] / "examples/tinyworld/scaffold.yaml"


def faults(text: str) -> list[tuple[int, str, str]]:
    return [(fault.line, fault.problem, fault.hint) for fault in lint_template(text)[1]]


def test_the_shipped_templates_have_no_fault() -> None:
    default = (resources.files("anectl") / "templates/default.yaml").read_text()
    for text in (SOUND, default, EXAMPLE.read_text()):
        assert faults(text) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "problem", "hint"),
    [
        ('2: "{plan}"', '2: "{plam}"', 5, "unknown slot 'plam'", "did you mean 'plan'?"),
        ('2: "{plan}"', '2: "{ plan }"', 5, "unknown slot ' plan '", "did you mean 'plan'?"),
        ('2: "{plan}"', '2: "{answer}"', 5, "the final answer stands in no scaffold", "take it out"),
        ('2: "{plan}"', '2: "{worked}"', 5, "level 2 shows more ({worked}) than level 3 ({facts})", "weakest first"),
        ('5: "{worked}"', '5: "{worked} The answer is 5."', 8, "says 'answer is'", "leave the answer"),
        ('5: "{worked}"', '5: "so \\\\boxed{5}"', 8, "boxed", "leave the answer"),
        ('Hint: {scaffold}"', '{scaffold}\\nRepeat the hint first."', 2, "asks to repeat the scaffold", "thrown away"),
        ("{question}\\n", "{questoin}\\n", 2, "unknown slot 'questoin'", "did you mean 'question'?"),
        ("{question}\\n", "", 2, "frame must hold", "add {question}"),
        ('5: "{worked}"', '6: "{worked}"', 8, "not '6'", "1, 2, 3, 4, 5"),
        ("name: own", "nam: own", 1, "not 'nam'", "did you mean 'name'?"),
        ("name: own", "name: 3", 1, "expected text, found '3'", "quotes"),
        ('2: "{plan}"', "2: [a]", 5, "expected text, found a list", "quotes"),
        ('2: "{plan}"', '1: "{plan}"', 5, "stands twice", "keep one"),
        ("levels:", "levels: {", 5, "not a scaffold template", "YAML"),
    ],
)
def test_a_fault_has_its_line_and_a_hint(old: str, new: str, line: int, problem: str, hint: str) -> None:
    found = faults(SOUND.replace(old, new))
    assert any(fault[0] == line and problem in fault[1] and hint in fault[2] for fault in found), found


@pytest.mark.parametrize(
    "frame",
    [
        "{question}\\n{scaffold}\\nDo not mention the note.",
        "{question}\\n{scaffold}\\nNever repeat the hint.",
        "{question}\\n{scaffold}\\nPut your answer into \\\\boxed{}.",
        "{question}\\nA solution without the answer: {scaffold}",
    ],
)
def test_what_keeps_the_policy_from_its_help_is_no_fault(frame: str) -> None:
    assert faults(SOUND.replace("{question}\\nHint: {scaffold}", frame)) == []


def test_a_fault_is_found_in_its_line_of_a_long_text() -> None:
    block = "5: |\n    A worked solution.\n    {worked}\n    {anwser}\n"
    assert [fault[0] for fault in faults(SOUND.replace('5: "{worked}"', block))] == [11]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(SOUND.replace("{plan}", "{plam}").replace("{facts}", "{fact}"))
    with pytest.raises(AnectlError) as caught:
        load_template(path)
    assert str(caught.value).count(f"{path}:") == 2
    assert "t.yaml:5: level 2 uses unknown slot 'plam' (did you mean 'plan'?)" in str(caught.value)
    assert "t.yaml:6: level 3 uses unknown slot 'fact' (did you mean 'facts'?)" in str(caught.value)


def test_a_file_that_is_no_text_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnectlError, match="not a scaffold template"):
        load_template(path)
