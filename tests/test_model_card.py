"""Model cards: true, harmless, never over a person's own words; trackers only when asked for."""

from __future__ import annotations

import html
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from anectl.core.card_facts import (
    CardFacts,
    DataFacts,
    Step,
    card_facts,
    command_line,
    data_facts,
    lineage_of,
    measured,
    stated_licence,
)
from anectl.core.card_sources import ancestors, tally
from anectl.core.errors import AnectlError, UsageError
from anectl.core.jsonl import decode
from anectl.core.manifest import file_hash
from anectl.core.model_card import CARD_FILE, SPARE_FILE, escape, is_ours, render, signed, write_card
from anectl.core.records import Drift, Example, Forgetting, Result, Surprise
from anectl.core.trackers import trackers
from tests.conftest import write_rows
from tests.training_rows import example_row, invoke, train

PAGE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
GOLDEN = Path(__file__).parent / "golden"
HOSTILE = [
    "<script>alert(1)</script>",
    "a | b |\n|---|\n# heading",
    "[x](javascript:alert(1)) ![y](http://e.x/p.png)",
    "`code` *a* __b__ ~~c~~ $x$ \\*",
    "https://example.org www.example.org me@example.org",
    "&lt;b&gt; &amp;",
    "\u202eevil\u2066 \x1b[31mred\x00",
    "-->\n<!-- written by anectl, sha256 " + "0" * 64 + " -->",
]


def shown(text: str) -> str:
    """What a reader sees of a text from data; fails where it becomes more than text."""
    page = PAGE.render(f"begin {escape(text)} end")
    (inside,) = re.fullmatch(r"<p>begin (.*) end</p>\n", page, re.DOTALL).groups()  # type: ignore[union-attr]
    assert "<" not in inside
    return html.unescape(inside)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_data_stays_text(text: str) -> None:
    visible = "".join(one for one in " ".join(text.split()) if one.isprintable())
    assert shown(text) == visible


@given(st.text(st.sampled_from("ab1 <>&|`*_[]()!~$\\#-+.:/@w\n\"'"), max_size=60))
def test_no_text_becomes_markup(text: str) -> None:
    assert " ".join(shown(text).split()) == " ".join(text.split())


def test_a_long_text_is_cut() -> None:
    assert len(escape("a" * 10_000)) == 200


def result(**more: Any) -> Result:
    given_fields = {"command": "sft", "base": "org/base", "checkpoint": "runs/m1", "num_examples": 4, "steps": 2}
    return Result(**{**given_fields, "seconds": 1.5, "metrics": {"loss": 0.5}, **more})


def facts(folder: Path, *, done: Result | None = None, **options: Any) -> CardFacts:
    rows = [decode(json.dumps(example_row(folder, n, level=n % 2)).encode(), Example) for n in range(4)]
    manifest = {"argv": ["sft", "train.jsonl"], "versions": {"anectl": "0.1.0"}, "git_commit": "abc+"}
    return card_facts(done or result(), data_facts(rows, [], "f" * 32), {"model": "org/base", **options}, manifest)


def head(card: str) -> dict[str, Any]:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)[1])  # type: ignore[index, no-any-return]


def test_the_head_is_what_the_hub_reads(tmp_path: Path) -> None:
    full = head(render(facts(tmp_path)))
    assert full == {
        "base_model": "org/base",
        "base_model_relation": "finetune",
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["anectl", "sft", "trl"],
    }
    adapter = head(render(facts(tmp_path, lora=True)))
    assert (adapter["library_name"], adapter["base_model_relation"]) == ("peft", "adapter")
    assert "lora" in adapter["tags"]
    merged = head(render(facts(tmp_path, lora=True, merge=True)))
    assert (merged["library_name"], merged["base_model_relation"]) == ("transformers", "finetune")
    prm = head(render(facts(tmp_path, done=result(command="train-prm"))))
    assert "pipeline_tag" not in prm
    assert "reward-model" in prm["tags"]


def test_a_folder_is_no_base_model_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/base").mkdir(parents=True)
    assert "base_model" not in head(render(facts(tmp_path, done=result(base="runs/base"))))


def test_the_licence_is_that_which_the_base_states(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    assert stated_licence(card) == {}
    card.write_text("---\nlicense: other\nlicense_name: qwen\ntags: [x]\n---\n# Base\n")
    assert stated_licence(card) == {"license": "other", "license_name": "qwen"}
    made = facts(tmp_path, done=result(base=str(tmp_path)))
    assert head(render(made))["license"] == "other"
    for text in ("no head", "---\n[1, 2]\n---\n", "---\n: : :\n---\n"):
        card.write_text(text)
        assert stated_licence(card) == {}


def test_the_card_tells_levels_replay_drift_and_forgetting(tmp_path: Path) -> None:
    forgotten = Forgetting(
        rows=8, tokens=9, nll_before=0.1, nll_after=0.2, kl=0.03, kl_low=0.02, kl_high=0.04, greedy_before=8,
        greedy_after=7, lost=1,
    )  # fmt: skip
    worst = msgspec.structs.replace(forgotten, tag="count | <b>")
    drift = Drift(targets=Surprise(rows=4, tokens=40, nll=1.25, low=1.0, high=1.5), held_out=forgotten, tags=(worst,))
    made = facts(tmp_path, done=result(drift=drift))
    origins = {"frontier/raw": 3, "replay/self": 1}
    made = msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, origins=origins))
    card = render(made)
    for words in (
        "25.0% of the rows are replayed",
        "| L1 | 2 |",
        "1.250 nats",
        "| 8 | all | 0.1000",
        "count \\| &lt;b",
    ):
        assert words in card
    assert "anectl sft train.jsonl" in card


def test_secrets_and_the_home_folder_stay_out_of_the_card() -> None:
    home = Path.home()
    line = command_line(["sft", f"{home}/data/a.jsonl", "--trl", "hub_token=hf_abc", "--trl", "my_api_key=1"])
    assert line == "anectl sft ~/data/a.jsonl --trl 'hub_token=***' --trl 'my_api_key=***'"


def test_a_card_that_a_person_edited_stays(tmp_path: Path) -> None:
    made = facts(tmp_path)
    assert write_card(tmp_path, made) == CARD_FILE
    first = (tmp_path / CARD_FILE).read_bytes()
    assert is_ours(first)
    later = msgspec.structs.replace(made, commit="later")
    assert write_card(tmp_path, later) == CARD_FILE
    assert b"later" in (tmp_path / CARD_FILE).read_bytes()
    edited = first.replace(b"# m1", b"# My model")
    assert not is_ours(edited)
    (tmp_path / CARD_FILE).write_bytes(edited)
    assert write_card(tmp_path, later) == SPARE_FILE
    assert (tmp_path / CARD_FILE).read_bytes() == edited
    assert is_ours((tmp_path / SPARE_FILE).read_bytes())


@given(st.text(max_size=80), st.integers(0, 200), st.text(min_size=1, max_size=3))
def test_any_edit_is_noticed(text: str, place: int, more: str) -> None:
    card = signed(text)
    assert is_ours(card.encode("utf8", "surrogatepass")) or "\ud800" <= max(text) <= "\udfff"
    place = min(place, len(card))
    edited = card[:place] + more + card[place:]
    assert not is_ours(edited.encode("utf8", "surrogatepass"))


def test_the_lineage_goes_back_to_the_first_model(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("m1", "m2")]
    for base, name in zip(["org/base", names[0]], names, strict=True):
        Path(name).mkdir()
        write_card(Path(name), facts(tmp_path, done=result(base=base, checkpoint=name)))
    third = facts(tmp_path, done=result(command="strip-rl", base=names[1], checkpoint="m3"))
    assert [step.command for step in third.lineage] == ["sft", "sft", "strip-rl"]
    assert third.root == "org/base"
    assert head(render(third))["tags"] == ["anectl", "sft", "grpo", "reinforcement-learning", "trl"]
    assert head(render(third))["base_model"] == "org/base"
    adapters = facts(tmp_path, done=result(command="strip-rl", base=names[1], checkpoint="m3"), lora=True)
    assert "base_model" not in head(render(adapters))  # they fit m2 alone, which is a folder


def test_folders_of_an_earlier_version_have_a_lineage_too(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, base in ((first, second), (second, first)):  # each written over from the other
        folder.mkdir()
        (folder / "result.json").write_bytes(msgspec.json.encode(result(base=str(base), checkpoint=str(folder))))
    assert len(lineage_of(str(first))) == 2
    assert lineage_of("org/base") == []
    (first / "card.json").write_text("{torn")
    assert len(lineage_of(str(first))) == 2


def anchored_row(number: int, licence: str | None) -> dict[str, Any]:
    row = json.loads((GOLDEN / "anchored-1.jsonl").read_text().splitlines()[0])
    row["problem"]["id"] = f"p{number}"
    anchor = row["anchors"][0]
    anchor["problem"] |= {"id": f"a{number}", "source": {"benchmark": "org/truth", "fields": {"license": licence}}}
    return {**row, "anchors": [anchor]}


def test_licences_are_found_through_the_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("anchored.jsonl"), [anchored_row(0, "CC-BY-4.0"), anchored_row(1, None)])
    Path("train.jsonl").write_text("{}\n")
    entry = {"path": "anchored.jsonl", "bytes": 1, "sha256": file_hash("anchored.jsonl")}
    Path("train.jsonl.manifest.json").write_text(json.dumps({"command": "scaffold", "inputs": [entry]}))
    files = ancestors(["train.jsonl", "-"])
    assert [(one.path, one.command) for one in files] == [("train.jsonl", "scaffold"), ("anchored.jsonl", "")]
    found = tally(files, {"a0", "a1", "elsewhere"})
    assert found.licences == {"unknown": 2, "CC-BY-4.0": 1}
    assert found.places == {"org/truth": 2, "unknown": 1}
    with open("anchored.jsonl", "a") as file:
        file.write("{}\n")
    assert [one.path for one in ancestors(["train.jsonl"])] == ["train.jsonl"]  # no longer what was used


def test_scores_are_told_by_policy_with_their_intervals() -> None:
    (one,) = measured([str(GOLDEN / "score-1.jsonl")])
    assert one.problems >= 1
    assert 0 <= one.low <= one.accuracy <= one.high <= 1
    with pytest.raises(AnectlError):
        measured([str(GOLDEN / "problem-1.jsonl")])


def test_a_tracker_must_be_known_and_installed() -> None:
    assert trackers("none") == ["none"]
    with pytest.raises(UsageError, match="no tracker") as error:
        trackers("wandbb")
    assert error.value.hint == "did you mean wandb?"
    missing = [name for name in ("swanlab", "clearml", "neptune") if find_spec(name) is None]
    with pytest.raises(AnectlError, match="not installed") as lacking:
        trackers(missing[0])
    assert lacking.value.hint == f"pip install {missing[0]}"
    for impossible in ("", ",", "none,later", "non"):
        with pytest.raises(UsageError):
            trackers(impossible)
    assert trackers("of_a_later_transformers") == ["of_a_later_transformers"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A folder with training rows and a finished run of sft on them."""
    folder = tmp_path_factory.mktemp("card")
    rows = write_rows(folder / "train.jsonl", [example_row(folder, n, level=n % 3) for n in range(8)])
    train("sft", rows, "--model", tiny_model, "-o", folder / "m1", "--max-steps", 1)
    return rows, folder / "m1"


def test_trackers_are_refused_before_anything_is_loaded(trained: tuple[Path, Path], tmp_path: Path) -> None:
    rows, _ = trained
    for option in (["--report-to", "wandbb"], ["--trl", "report_to=wandbb"]):
        with pytest.raises(UsageError, match="no tracker"):
            train("sft", rows, "--model", "no-such-model", "-o", tmp_path / "out", *option)
    with pytest.raises(AnectlError, match="push_to_hub is set by anectl"):
        train("sft", rows, "--model", "no-such-model", "-o", tmp_path / "out", "--trl", "push_to_hub=true")


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_the_log(trained: tuple[Path, Path], tmp_path: Path, tiny_model: Path) -> None:
    rows, _ = trained
    common = ("--model", tiny_model, "--max-steps", 1, "--report-to", "tensorboard")
    train("sft", rows, "-o", tmp_path / "out", *common)
    assert list((tmp_path / "out").rglob("events.out.tfevents.*"))


def test_every_checkpoint_has_its_card(trained: tuple[Path, Path], tmp_path: Path) -> None:
    rows, first = trained
    card = (first / CARD_FILE).read_bytes()
    assert is_ours(card)
    assert b"8 rows of 8 problems" in card
    second = tmp_path / "m2"
    train("sft", rows, "--model", first, "-o", second, "--max-steps", 1, "--lora", "--merge")
    made = msgspec.json.decode((second / "card.json").read_bytes(), type=CardFacts)
    assert [step.checkpoint.rpartition("/")[2] for step in made.lineage] == ["m1", "m2"]
    assert made.kind == "merged"
    # A second run into the same folder leaves what a person wrote.
    (second / CARD_FILE).write_text("my own words\n")
    command = ("sft", rows, "--model", first, "-o", second, "--max-steps", 1, "--lora", "--overwrite")
    done = invoke(*command)
    assert "README.md was edited by hand and stays" in done.stderr
    assert (second / CARD_FILE).read_text() == "my own words\n"
    spare = (second / SPARE_FILE).read_text()
    assert head(spare)["library_name"] == "peft"
    assert not list(second.parent.glob("*.partial"))


def test_scores_come_into_the_card_of_a_finished_run(trained: tuple[Path, Path], tiny_model: Path) -> None:
    rows, folder = trained
    scores = GOLDEN / "score-1.jsonl"
    common = ("sft", rows, "--model", tiny_model, "-o", folder, "--max-steps", 1, "--resume")
    train(*common, "--card-scores", scores)
    card = (folder / CARD_FILE).read_text()
    assert "clustered by image" in card
    assert is_ours(card.encode())
    with pytest.raises(AnectlError):
        train(*common, "--card-scores", GOLDEN / "problem-1.jsonl")
    assert (folder / CARD_FILE).read_text() == card


def test_empty_rows_make_a_card_too() -> None:
    nothing = DataFacts(0, 0, 0, {}, {}, {})
    step = Step("sft", "b", "m", 0, 0)
    assert "0.0% of the rows" in render(CardFacts([step], "b", "full", nothing, result()))
