"""Who may import whom, and that a start stays light: the layout of docs/decisions holds in the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import anectl
from anectl.cli import COMMANDS, stage_of

PACKAGE = Path(anectl.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "accelerate",
    "datasets",
    "hnswlib",
    "lancedb",
    "math_verify",
    "numpy",
    "openai",
    "peft",
    "pyarrow",
    "ray",
    "sentence_transformers",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "vllm",
}
TERMINAL = {"typer", "rich", "anectl.cli", "anectl.console", "anectl.options", "anectl.stages", "anectl.engines"}
SLOW_TO_START = HEAVY | {"PIL", "yaml", "rich"}


def imports(node: ast.AST) -> Iterator[str]:
    """Dotted names that a piece of code imports, `from a import b` as a.b; type-checking imports left out."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_keep_to_the_layers(path: Path) -> None:
    names = set(imports(ast.parse(path.read_text("utf8"))))
    layer = path.relative_to(PACKAGE).parts[0]
    forbidden = {
        "core": TERMINAL,
        "stages": {"anectl.stages", "anectl.cli"},
        "engines": {"anectl.stages", "anectl.cli", "typer"},
    }.get(layer, set())
    assert [name for name in names if within(name, forbidden)] == []
    if layer != "engines":
        assert [name for name in names if within(name, HEAVY)] == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "engines").glob("*.py")), ids=name_of)
def test_engines_import_their_libraries_at_the_top(path: Path) -> None:
    tree = ast.parse(path.read_text("utf8"))
    inner = {
        name
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for name in imports(function)
    }
    assert [name for name in inner if within(name, HEAVY)] == []


def test_a_start_loads_nothing_heavy() -> None:
    program = f"""
import sys
from typer.testing import CliRunner
from anectl.cli import COMMANDS, app
for words in ([], *([name] for name in COMMANDS)):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, (words, result.output, result.exception)
    loaded = {SLOW_TO_START!r} & sys.modules.keys()
    assert not loaded, (words, loaded)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_stage_file_is_a_command() -> None:
    stages = {path.stem.rstrip("_").replace("_", "-") for path in (PACKAGE / "stages").glob("[a-z]*.py")}
    assert stages == set(COMMANDS)
    for name in COMMANDS:
        assert stage_of(name).command.__module__ == stage_of(name).__name__


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").glob("[a-z]*.py")), ids=name_of)
def test_every_stage_says_what_it_reads_and_writes(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf8"))) or ""
    for word in ("reads:", "writes:", "example:"):
        assert word in docstring
    assert (PACKAGE.parent.parent / "tests" / f"test_{path.name}").exists()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_names_have_docstrings_and_functions_fit_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text("utf8"))
    assert ast.get_docstring(tree)
    public = _public(tree, methods=name_of(path).startswith("core"))
    bare, long = [], []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if node in public and not ast.get_docstring(node):
                bare.append(node.name)
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 50 + _signature(node):
                long.append(node.name)
    assert bare == []
    assert long == []


def _public(tree: ast.Module, *, methods: bool) -> list[ast.AST]:
    """Functions and classes that other modules can name; methods too, where they are not a library's callbacks."""
    top = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"]
    inner = [child for node in top if methods and isinstance(node, ast.ClassDef) for child in node.body]
    return [*top, *(node for node in inner if isinstance(node, ast.FunctionDef) and node.name[0] != "_")]


def _signature(node: ast.FunctionDef) -> int:
    # The options of a command are its interface, not its work.
    return node.body[0].lineno - node.lineno


def test_files_stay_short() -> None:
    sizes = {name_of(path): len(path.read_text("utf8").splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > 300} == {}
