"""Shared fixtures: a vision-language checkpoint small enough to build in a moment, problems with pictures, the CLI."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from PIL import Image

from anectl.cli import main

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A deadline for each example would measure how busy the machine is; what must be quick has a test of its own.
settings.register_profile("anectl", deadline=None)
settings.load_profile("anectl")

ROOT = Path(__file__).resolve().parents[1]
NUM_PROBLEMS = 12


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained Idefics3 (a few hundred thousand parameters) and its processor.

    Many tokens end a completion, so that its random completions have all lengths.
    """
    import torch

    sys.path.insert(0, str(ROOT / "examples/tinyworld"))
    try:
        from architecture import build_model, build_processor, build_tokenizer
    finally:
        sys.path.pop(0)
    corpus = [f"Which digit is in row {i}? Row {i} reads {i} {i + 1}. Answer: {i} \\boxed{{{i}}}" for i in range(50)]
    tokenizer = build_tokenizer(corpus)
    torch.manual_seed(0)
    model = build_model(tokenizer)
    # Sharper than a fresh network, so that its choices differ much in probability.
    model.lm_head.weight.data *= 10
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(20, len(tokenizer), 12)]
    folder = tmp_path_factory.mktemp("tiny-model")
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    return folder


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def problem_rows(folder: Path, count: int, *, per_image: int = 1) -> list[dict[str, Any]]:
    """`count` problems (answers 0, 1, 2, ...) whose pictures, of different colours, are written into `folder`."""
    rows = []
    for number in range(count):
        picture = number // per_image
        name = f"{picture}.png"
        Image.new("RGB", (64, 64), (picture * 17 % 256, picture * 53 % 256, 90)).save(folder / name)
        question = f"Which number is shown{' here' * (number % 4)}? ({number})"
        row = {"id": f"p{number}", "question": question, "images": [name], "answer": str(number)}
        rows.append({"schema": "problem/1", **row, "answer_type": "number"})
    return rows


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """A file of NUM_PROBLEMS problems with a picture each."""
    return write_rows(tmp_path / "problems.jsonl", problem_rows(tmp_path, NUM_PROBLEMS))


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def anectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in `tmp_path` through its real entry point; `ok=False` where it is to fail."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: str = "", ok: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["anectl", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert (not stop.value.code) is ok, err
        return subprocess.CompletedProcess(command, int(stop.value.code or 0), out, err)

    return run
