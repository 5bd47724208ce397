"""The docs cannot lie: generated pages are current, every block is parsed or run, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
import yaml
from typer.main import get_command

from anectl.cli import COMMANDS, app, stage_of
from anectl.core import records
from anectl.core.formats import BENCHMARKS, SHAPES, load_format
from anectl.core.jsonl import decode
from anectl.core.records import RECORDS
from anectl.core.table_rows import read_delimited
from tests.doc_blocks import Block, anchors, blocks, commands, links, spans

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")), *ROOT.glob("examples/*/README.md")]
BLOCKS = [(page, block) for page in PAGES for block in blocks(page.read_text("utf8"))]
LANGUAGES = {"bash", "json", "yaml", "python", "csv", "text", ""}
# What is not ours: tools of a Unix system, of a cluster, and those that docs/anectl-or-x.md hands over to.
FOREIGN = {"cat", "cd", "head", "jq", "ls", "make", "mkdir", "pip", "python", "ray", "set", "source", "split", "srun"}
FOREIGN |= {"accelerate", "inspect", "llamafactory-cli", "swift", "torchrun", "trl", "vllm"}


def blocks_of(*languages: str) -> list[Any]:
    """The blocks in these languages, with their places as the names of test cases."""
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT)}:{block.line}")
        for page, block in BLOCKS
        if block.language in languages
    ]


def test_generated_pages_are_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert check.returncode == 0, check.stderr


def test_every_block_is_of_a_kind_that_a_test_reads() -> None:
    unknown = [(str(page), block.line) for page, block in BLOCKS if block.language not in LANGUAGES]
    unnamed = [(str(page), block.line) for page, block in BLOCKS if not block.language and page.name != "cli.md"]
    assert unknown + unnamed == []


@lru_cache(maxsize=1)
def group() -> Any:
    return get_command(app)


def parse(words: list[str]) -> None:
    """Parse the words behind `anectl` by the real command line; files of --config need not be there."""
    while words[:1] and words[0].startswith("-"):
        option = next((one for one in group().params if words[0].partition("=")[0] in one.opts), None)
        assert option is not None or words[0] == "--help", f"no global option {words[0]}"
        takes_value = option is not None and not option.is_flag and "=" not in words[0]
        words = words[1 + takes_value :]
    if not words:
        return
    name, *rest = words
    if "--config" in rest:
        at = rest.index("--config")
        del rest[at : at + 2]
    command = group().get_command(None, name)
    assert command is not None, f"no command {name}"
    if "--help" not in rest:
        command.make_context(name, rest)


@pytest.mark.parametrize("block", blocks_of("bash"))
def test_every_command_shown_parses(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # `--temperature @FILE` reads the file as it is parsed.
    (tmp_path / "temperature.json").write_text((ROOT / "tests/golden/temperature-1.jsonl").read_text("utf8"), "utf8")
    checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    for name, *words in commands(block.text):
        if name == "anectl":
            parse(words)
        else:
            assert name in FOREIGN, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_named_in_a_sentence_exists(page: Path) -> None:
    unknown = []
    for code in spans(page.read_text("utf8")):
        words = code.removeprefix("anectl ").split()
        at = next((place for place, word in enumerate(words) if word in COMMANDS), None)
        if at is None or not (at == 0 or code.startswith("anectl -")):
            continue
        parameters = [*group().params, *group().get_command(None, words[at]).params]
        known = {option for one in parameters for option in (*one.opts, *one.secondary_opts)} | {"--help"}
        named = re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
        unknown += [f"{code}: {option}" for option in named if option not in known]
    assert unknown == []


def test_commands_are_read_from_scripts_as_a_shell_reads_them() -> None:
    script = """
NAME=x anectl rollout a.jsonl --model "a b" -n 8 2> log | anectl scaffold > b.jsonl  # a remark
for t in 0.3 0.6; do anectl rollout a.jsonl --temperature $t \\
  -o out-$t.jsonl; done
set -o pipefail && anectl eval 'bench/*.jsonl' -k 2 > c.jsonl; cat c.jsonl
"""
    assert list(commands(script)) == [
        ["anectl", "rollout", "a.jsonl", "--model", "a b", "-n", "8"],
        ["anectl", "scaffold"],
        ["anectl", "rollout", "a.jsonl", "--temperature", "0.3", "-o", "out-0.3.jsonl"],
        ["set", "-o", "pipefail"],
        ["anectl", "eval", "bench/*.jsonl", "-k", "2"],
        ["cat", "c.jsonl"],
    ]


def test_blocks_links_and_anchors_are_found_in_a_page() -> None:
    page = (
        "# A `b`: c\n\n[x](y.md#z) `[no](link)`\n\n- item\n\n  ```bash run\n  ls\n  ```\n\n## A `b`: c\n![p](q.svg)\n"
    )
    assert blocks(page) == [Block("bash", ("run",), "ls\n", 7)]
    assert links(page) == ["y.md#z", "q.svg"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}


def test_every_trouble_has_a_thread_and_something_to_type() -> None:
    troubles = (DOCS / "troubleshooting.md").read_text("utf8").split("\n### ")[1:]
    assert len(troubles) == 27
    for trouble in troubles:
        assert "**Symptom.**" in trouble
        assert "https://" in trouble
        assert "```bash" in trouble or "anectl-or-x.md" in trouble


def test_enough_commands_are_shown() -> None:
    least = {"README.md": 20, "scale.md": 8, "anchors.md": 4, "tutorial.md": 12, "anectl-or-x.md": 6}
    least |= {"your-data.md": 8, "troubleshooting.md": 20, "qwen-vl.md": 3, "how-it-decides.md": 5}
    for name, number in least.items():
        page = next(page for page in PAGES if page.name == name)
        shown = [
            words for _, block in BLOCKS if _ == page and block.language == "bash" for words in commands(block.text)
        ]
        assert sum(words[0] == "anectl" for words in shown) >= number, name


class _Anywhere:
    """Takes every image, as if it were found."""

    def put(self, image: object) -> str:
        return "image.png"


def read_row(row: Any, block: Block, name: str | None) -> None:
    """Decode one object as the record its schema or the block names, or as a row of the format that it names."""
    assert isinstance(row, dict)
    if "schema" in row:
        decode(msgspec.json.encode(row), RECORDS[row["schema"].partition("/")[0]])
    elif name in BENCHMARKS | SHAPES:
        to_record = load_format(str(name)).to_record
        assert to_record is not None
        to_record(row, _Anywhere())
    else:
        assert name is not None, "a row without a schema: say behind ```json which record or format it is"
        msgspec.convert(row, getattr(records, name), strict=True)


@pytest.mark.parametrize("block", blocks_of("json"))
def test_every_row_shown_is_the_record_it_names(block: Block) -> None:
    try:
        rows = [msgspec.json.decode(block.text)]
    except msgspec.DecodeError:
        rows = [msgspec.json.decode(line) for line in block.text.splitlines()]
    for row in rows:
        read_row(row, block, *block.words or (None,))


@pytest.mark.parametrize("block", blocks_of("csv"))
def test_every_table_shown_can_be_imported(block: Block, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(block.text, "utf8")
    rows = list(read_delimited(str(tmp_path / "table.csv"), ","))
    assert rows
    for row in rows:
        read_row(dict(row.fields()), block, *block.words)


@pytest.mark.parametrize("block", blocks_of("yaml"))
def test_every_setting_shown_is_one(block: Block, tmp_path: Path) -> None:
    values = yaml.safe_load(block.text)
    assert isinstance(values, dict)
    if block.words:
        (tmp_path / "settings.yaml").write_text(block.text, "utf8")
        command = group().get_command(None, block.words[0])
        needed = [
            word
            for parameter in command.params
            if parameter.required and parameter.name not in {name.replace("-", "_") for name in values}
            for word in ([parameter.opts[0], "x"] if parameter.param_type_name == "option" else ["x"])
        ]
        command.make_context(block.words[0], ["--config", str(tmp_path / "settings.yaml"), *needed])


@pytest.mark.parametrize("block", blocks_of("python"))
def test_every_program_shown_compiles(block: Block) -> None:
    compile(block.text, "docs", "exec")


def test_every_make_target_in_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf8")
    named = {
        target
        for page in PAGES
        if page.parent.parent != ROOT / "examples"
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text("utf8"), re.MULTILINE)
    }
    assert {"demo", "test", "setup"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf8")
    lost = []
    for link in links(text):
        parts = urlsplit(link)
        if parts.scheme:
            sound = parts.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc)
        else:
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            sound = target.exists() and target.is_relative_to(ROOT)
            if sound and parts.fragment:
                sound = target.suffix == ".md" and parts.fragment in anchors(target.read_text("utf8"))
        if not sound:
            lost.append(link)
    assert lost == []


def test_the_index_names_every_page() -> None:
    index = DOCS / "index.md"
    named = {(DOCS / link.partition("#")[0]).resolve() for link in links(index.read_text("utf8")) if "://" not in link}
    pages = {page for page in DOCS.glob("*.md") if page != index}
    assert pages - named == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = stage_of(name).command.__doc__ or ""
    example = text.rpartition("Example: ")[2]
    assert example.startswith(f"anectl {name}")
    for program, *words in commands(" ".join(example.split())):
        assert program == "anectl"
        parse(words)


def test_the_memory_on_the_page_for_qwen_is_that_of_the_example() -> None:
    rows = re.findall(r"^\| (\w[^|]*) \| ([0-9.]+) \|", (DOCS / "qwen-vl.md").read_text("utf8"), re.MULTILINE)
    example = (ROOT / "examples/qwen-vl/README.md").read_text("utf8")
    assert len(rows) == 6
    assert [row for row in rows if f"| {row[0]} | {row[1]} |" not in example] == []


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text("utf8")
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []


def test_the_docs_name_no_module_that_is_not_there() -> None:
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`((?:src|docs|examples|benchmarks|tests)/[\w./-]+\.\w+)`", page.read_text("utf8"))
    }
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_of_the_sites_menu_is_laid_out(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("the pages are those that git knows")
    subprocess.run([sys.executable, ROOT / "docs/site.py", tmp_path / "pages"], check=True)
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf8"))["nav"]
    pages = [page for entry in menu for page in ([entry] if isinstance(entry, str) else next(iter(entry.values())))]
    assert [page for page in pages if not (tmp_path / "pages" / page).is_file()] == []
    assert not re.search(r"\]\(decisions/?\)", (tmp_path / "pages/docs/index.md").read_text("utf8"))
