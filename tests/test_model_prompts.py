"""Prompts of a model that writes scaffolds, reads them or judges: every fault is named, by command and by `check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from anectl.cli import app
from anectl.core.errors import AnectlError
from anectl.core.helper_prompt import HEADINGS, HELPER
from anectl.core.judging import JUDGE
from anectl.core.leak_reading import READER
from anectl.core.model_prompts import PromptKind, lint_prompt, load_prompt
from tests.conftest import ROOT

TEMPLATES = ROOT / "src/anectl/templates"
ALL = " ".join(HEADINGS)


def check(path: Path) -> Result:
    return CliRunner().invoke(app, ["check", "--template", str(path)])


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        (HELPER, "system: [", "not a helper's prompt"),
        (HELPER, "user: a", "a helper's prompt has exactly the keys system and user"),
        (HELPER, f"system: {ALL}\nuser: '{{question}}'", "lacks {solution}"),
        (
            HELPER,
            f"system: {ALL}\nuser: '{{question}} {{solution}} {{gold}}'",
            "unknown slot 'gold'",
        ),
        (HELPER, "system: KNOWLEDGE PLAN STEPS\nuser: '{question} {solution}'", "asks for no PERCEPTION"),
        (HELPER, "system: ''\nuser: '{question} {solution}'", "expected text"),
        (READER, "system: [", "not a reader's prompt"),
        (READER, "user: a", "a reader's prompt has exactly the keys system and user"),
        (READER, "system: NOT STATED\nuser: '{question}'", "lacks {hint}"),
        (READER, "system: NOT STATED\nuser: '{question} {hint} {answer}'", "unknown slot 'answer'"),
        (READER, "system: say it\nuser: '{question} {hint}'", "asks for no NOT STATED"),
        (READER, "system: NOT STATED\nuser: 'it says{hint}, {question} of{answer}'", "unknown slot 'answer'"),
        (JUDGE, "user: a", "a judge's prompt has exactly the keys system and user"),
        (JUDGE, "system: VERDICT\nuser: '{question} {answer} {response}'", "lacks {fence}"),
        (JUDGE, "system: judge\nuser: '{question} {answer} {fence} {response}'", "asks for no VERDICT"),
    ],
)
def test_every_fault_of_a_prompt_is_named(tmp_path: Path, kind: PromptKind, text: str, complaint: str) -> None:
    assert any(complaint in fault.problem for fault in lint_prompt(text, kind)[1])
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(AnectlError, match=r"p\.yaml"):
        load_prompt(path, kind)


@pytest.mark.parametrize("kind", [HELPER, READER, JUDGE], ids=lambda kind: kind.name)
def test_the_prompts_that_come_with_anectl_are_sound(kind: PromptKind) -> None:
    assert f"a sound {kind.name}'s prompt" in check(TEMPLATES / f"{kind.name}.yaml").stderr


@pytest.mark.parametrize(
    ("kind", "changes", "complaints"),
    [
        (
            HELPER,
            {"{solution}": "{gold}", "PERCEPTION": "FACTS"},
            ("lacks {solution}", "unknown slot 'gold'", "asks for no PERCEPTION"),
        ),
        (READER, {"{choices}": "{gold}"}, ("unknown slot 'gold'",)),
        (READER, {"{hint}": "hint"}, ("lacks {hint}",)),
        (
            JUDGE,
            {"{answer}": "{gold}", "VERDICT": "Answer"},
            ("lacks {answer}", "unknown slot 'gold'", "for no VERDICT"),
        ),
    ],
)
def test_check_names_all_faults_of_a_prompt(
    tmp_path: Path, kind: PromptKind, changes: dict[str, str], complaints: tuple[str, ...]
) -> None:
    text = (TEMPLATES / f"{kind.name}.yaml").read_text("utf8")
    for old, new in changes.items():
        text = text.replace(old, new)
    path = tmp_path / "p.yaml"
    path.write_text(text)
    faults = str(check(path).exception)
    assert [complaint for complaint in complaints if complaint not in faults] == []


def test_a_comment_makes_no_helpers_prompt_a_readers(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("# no {hint} here, NOT STATED\n" + (TEMPLATES / "helper.yaml").read_text("utf8"))
    assert "a sound helper's prompt" in check(path).stderr


def test_arguments_of_tex_are_no_slots(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    tex = r"\frac{1}{2} is 0.5, \boxed{x} is x, x^{n}"
    path.write_text((TEMPLATES / "judge.yaml").read_text("utf8").replace("system: |-", f"system: |-\n  {tex}"))
    assert "a sound judge's prompt" in check(path).stderr
    assert r"\frac{1}{2} is 0.5" in load_prompt(path, JUDGE).conversation({"answer": "7"})[0].content
