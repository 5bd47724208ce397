"""scaffold --read-scaffolds with a model that has learnt to read: real gradients, and leaks that the rules do not know.

In this world's scaffolds `Red says 7` tells the answer and `Blue says 7` a number that has nothing to do with it, also
where it is the same. No rule knows that; the model has learnt it from other problems.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from anectl.core.jsonl import decode
from anectl.core.leak_reading import NO_HINT, READER
from anectl.core.metrics import wilson
from anectl.core.model_prompts import ModelPrompt, load_prompt
from anectl.core.records import Problem
from anectl.core.scaffolds import ladder, leaks, load_template
from tests.conftest import ROOT
from tests.test_scaffold_models import rows_of, scaffold
from tests.training_rows import train, write_rows

TINYWORLD = ROOT / "examples/tinyworld"
TEMPLATE = load_template(TINYWORLD / "scaffold.yaml")
FAMILIES = ("digit", "count", "span")
NUM_TAUGHT, NUM_STEPS, BATCH = 8000, 250, 32


def world_problems(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Problems of the tiny world whose answers are digits, with their pictures."""
    sys.path.insert(0, str(TINYWORLD))
    try:
        from world import WorldGenerator, write_split
    finally:
        sys.path.pop(0)
    write_split(folder / "p.jsonl", "pool", WorldGenerator().split("pool", count, FAMILIES, seed))
    return rows_of(folder / "p.jsonl")


def taught(number: int, problem: Problem, prompt: ModelPrompt, rng: random.Random) -> dict[str, Any]:
    """A text of the problem's ladder, with a number that Red says, one that Blue says, both or none."""
    sentences = [f"{part.rstrip('.')}." for part in rng.choice(ladder(problem, TEMPLATE)[1:]).split(". ")]
    told = rng.randrange(10) if rng.random() < 0.5 else None
    red = rng.choice(("", "?")) if told is None else str(told)
    for colour, value in (("Red", red), ("Blue", rng.choice(("", str(rng.randrange(10)))))):
        if value:
            sentences.insert(rng.randrange(len(sentences) + 1), f"{colour} says {value}.")
    hint = " ".join(sentences)
    if rng.random() < 0.05:
        hint, told = NO_HINT, None
    messages = prompt.conversation({"question": problem.question, "choices": "", "hint": hint})
    reply = "NOT STATED" if told is None else f"Answer: {told}"
    bare = {"level": 0, "carrier": "prompt", "text": "", "question": "q", "frame": "{question}", "ladder": [""] * 6}
    return {
        "schema": "example/1",
        "problem_id": f"taught{number}",
        "prompt": [{"role": message.role, "content": message.content} for message in messages],
        "completion": [{"role": "assistant", "content": reply}],
        "answer": "0",
        "answer_type": "number",
        "scaffold": bare,
        "origin": "frontier/raw",
    }


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompt") / "brief.yaml"
    path.write_text("system: Read, or NOT STATED.\nuser: |-\n  {question}\n  Hint: {hint}\n")
    return path


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, brief: Path) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    rng = random.Random(0)
    problems = [decode(json.dumps(row).encode(), Problem) for row in world_problems(folder, 200, seed=5)]
    prompt = load_prompt(brief, READER)
    rows = [taught(number, rng.choice(problems), prompt, rng) for number in range(NUM_TAUGHT)]
    options = ("--max-steps", NUM_STEPS, "--batch-size", BATCH, "--learning-rate", 2e-3, "--warmup-steps", 20)
    model = TINYWORLD / "base"
    train("sft", write_rows(folder / "rows.jsonl", rows), "-o", folder / "m", "--model", model, *options)
    return folder / "m"


def test_a_trained_reader_finds_leaks_that_no_rule_knows_and_spares_the_same_number_in_another_role(
    tmp_path: Path, reader: Path, brief: Path
) -> None:
    """Each problem comes with a leak, with the same number told by Blue, and as it is; in a plan Red says `?`."""
    extra = {"zone": "unsure", "posterior": {"a": 1, "b": 1, "low": 0, "high": 1, "confidence": 0}, "anchors": []}
    base = {"schema": "anchored/1", "policy": "x", "sampling": {"n": 1, "instruction": ""}, "completions": []}
    rows = []
    for problem in world_problems(tmp_path, 50, seed=6):
        for kind, added in (("Red", [f"Red says {problem['answer']}."]), ("Blue", [f"Blue says {problem['answer']}."])):
            steps = [*added, *problem["steps"]]
            rows.append(base | extra | {"problem": problem | {"id": f"{kind}-{problem['id']}", "steps": steps}})
        rows.append(base | extra | {"problem": problem | {"id": f"plain-{problem['id']}"}})
    anchored = write_rows(tmp_path / "anchored.jsonl", rows)
    options = ["--template", TINYWORLD / "scaffold.yaml", "--levels", 5, "--image-root", tmp_path]
    reading = ["--read-scaffolds", "--helper-model", reader, "--reader-prompt", brief, "--helper-max-tokens", 16]
    for name, more in (("unread", []), ("read", [*reading, "--batch-size", 64])):
        done = scaffold(anchored, *options, *more, "-o", tmp_path / f"{name}.jsonl")
        assert done.exit_code == 0, done.exception
    texts: dict[str, list[bool]] = {"Red": [], "masked": [], "Blue": [], "plain": []}
    for before, after in zip(rows_of(tmp_path / "unread.jsonl"), rows_of(tmp_path / "read.jsonl"), strict=True):
        kind = before["problem_id"].partition("-")[0]
        told = f"Red says {before['answer']}."
        for text in set(before["scaffold"]["ladder"]) - {""}:
            name = kind if kind != "Red" or told in text else "masked"
            texts[name].append(text not in after["scaffold"]["ladder"])
    facts = json.loads((tmp_path / "read.jsonl.manifest.json").read_text())["notes"]["scaffolds_read"]
    taken = {kind: (sum(found), len(found)) for kind, found in texts.items()}
    assert min(count for _, count in taken.values()) >= 100
    assert facts["answered_without_scaffold"] == 0
    assert facts["told"] == sum(count for count, _ in taken.values())
    assert wilson(*taken["Red"])[0] >= 0.9, taken
    assert max(wilson(*taken[kind])[1] for kind in ("masked", "Blue", "plain")) <= 0.1, taken


def test_the_rules_know_neither(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    for row in world_problems(tmp_path, 30, seed=6):
        problem = decode(json.dumps(row).encode(), Problem)
        assert not leaks(f"Red says {problem.answer}.", problem)
        assert not leaks(f"Blue says {problem.answer}.", problem)
