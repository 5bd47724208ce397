"""Shell completion: commands, options and values, fast and without any library, and scripts for the shells."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from anectl import completion
from anectl.cli import COMMANDS
from anectl.core.profiles import PROFILES
from anectl.core.records import RECORDS

PROGRAM = """
import sys
sys.argv[0] = "anectl"
from anectl.cli import main
try:
    main()
finally:
    heavy = {"torch", "transformers", "trl", "numpy", "datasets", "huggingface_hub"} & sys.modules.keys()
    print("heavy:", sorted(heavy), file=sys.stderr)
"""


def complete(line: str) -> list[str]:
    """What bash is offered behind this line; fails where it took a library to find out."""
    place = len(line.split(" ")) - 1
    asked = {"_ANECTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(place)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert done.stderr == "heavy: []\n"
    return done.stdout.split()


def test_commands_are_completed() -> None:
    assert complete("anectl ") == list(COMMANDS)
    assert complete("anectl tr") == ["train-prm", "trace"] if "trace" in COMMANDS else ["train-prm"]
    assert {"--version", "--help", "--install-completion"} <= set(complete("anectl --"))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("anectl sft --push", {"--push-to-hub"}),
        ("anectl doctor --", {"--extra", "--torch", "--no-torch", "--output", "--config", "--help"}),
        ("anectl sft --scheduler ", {"cosine", "linear", "constant"}),
        ("anectl strip-rl --schedule b", {"binomial"}),
        ("anectl rollout --engine ", {"transformers", "vllm", "openai", "fake"}),
        ("anectl doctor --extra vl", {"vllm"}),
        ("anectl sft --report-to wandb,te", {"wandb,tensorboard"}),
        ("anectl eval --profile math", {name for name in PROFILES if name.startswith("math")}),
        ("anectl schema p", {name for name in RECORDS if name.startswith("p")}),
    ],
)
def test_options_and_values_are_completed(line: str, offered: set[str]) -> None:
    assert set(complete(line)) == offered


def test_a_file_is_left_to_the_shell() -> None:
    assert complete("anectl check prob") == []


@pytest.mark.parametrize("line", ["anectl ", "anectl sft --", "anectl strip-rl --schedule "])
def test_completing_takes_no_half_second_of_a_core(line: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    complete(line)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.5


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --com")])
def test_each_shell_gets_its_script(shell: str, words: str, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "_ANECTL_COMPLETE": f"source_{shell}"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert words in done.stdout
    assert "_ANECTL_COMPLETE" in done.stdout
    # Else typer takes the shell that runs these tests, and no name of another.
    environment["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    del environment["_ANECTL_COMPLETE"]
    install = [sys.executable, "-c", PROGRAM, "--install-completion", shell]
    done = subprocess.run(install, env=environment, capture_output=True, text=True, check=True)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and words in path.read_text()]
    assert written, done.stdout


def test_bash_completes_by_the_script_it_is_given(tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "_ANECTL_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = 'COMP_WORDS=(anectl locate); COMP_CWORD=1; _anectl_completion anectl; echo "${COMPREPLY[@]}"'
    (tmp_path / "anectl").write_text(f"#!{sys.executable}\nfrom anectl.cli import main\nmain()\n")
    (tmp_path / "anectl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", f"{script}\n{line}"], env=environment, capture_output=True, text=True)
    assert done.stdout == "locate-frontier\n", done.stderr


def test_an_extra_is_completed_only_where_the_package_is_known() -> None:
    assert "train" in completion.extras("")
