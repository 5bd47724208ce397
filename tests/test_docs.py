"""The docs cannot lie: generated pages are current, every command shown exists and parses, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from anectl.cli import COMMANDS, app, stage_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shell_commands(text: str) -> list[list[str]]:
    """Every `anectl ...` call in the bash blocks of a page, as words."""
    calls = []
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\|(?!\|)|&&|;", line.split("  #")[0]):
                words = shlex.split(re.sub(r">\s*\S+", "", part), comments=True)
                if words[:1] == ["anectl"]:
                    calls.append(words[1:])
    return calls


def test_generated_pages_are_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(("page", "least"), [("README.md", 12), ("docs/scale.md", 8), ("docs/anchors.md", 4)])
def test_every_command_shown_parses(page: str, least: int) -> None:
    calls = shell_commands((ROOT / page).read_text("utf8"))
    assert len(calls) >= least
    group = get_command(app)
    for name, *words in calls:
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        command.make_context(name, list(words))


def test_every_make_target_in_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf8")
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text("utf8"), re.MULTILINE)
    }
    assert {"demo", "test", "setup"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_to_files(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = stage_of(name).command.__doc__ or ""
    assert f"anectl {name}" in text


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text("utf8")
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []
