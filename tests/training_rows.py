"""Training rows with pictures, and ways to run the two training commands on them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from typer.testing import CliRunner

from anectl.cli import app

FRAME = "{question}\nHint: {scaffold}"
COLOURS = ("red", "green", "blue", "white")


def example_row(folder: Path, number: int, *, level: int = 0, carrier: str = "prompt") -> dict[str, Any]:
    """A row that asks for a colour; level 1 names the subject, level 2 and 3 (the same text) how to look."""
    colour = COLOURS[number % len(COLOURS)]
    name = f"{number}.png"
    Image.new("RGB", (64, 64), colour).save(folder / name)
    question = f"Which number is picture {number}?"
    ladder = ["", "numbers", "look at it", "look at it", "look at it", "look at it"]
    text = ladder[level]
    user = f"{question}\nHint: {text}" if text and carrier == "prompt" else question
    prompt = [{"role": "user", "content": user}]
    if text and carrier == "prefix":
        prompt.append({"role": "assistant", "content": text + "."})
    return {
        "schema": "example/1",
        "problem_id": f"p{number}",
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": f" Row {number % 4} reads \\boxed{{{number % 4}}}"}],
        "images": [name],
        "answer": str(number % 4),
        "answer_type": "number",
        "scaffold": {
            "level": level,
            "carrier": carrier,
            "text": text,
            "question": question,
            "frame": FRAME,
            "ladder": ladder,
        },
        "origin": "frontier/raw",
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def invoke(*arguments: object, ok: bool = True) -> Any:
    """Run a command in this process, which has the libraries loaded; its failure is raised where `ok`."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if ok and done.exception is not None:
        raise done.exception
    return done


def train(*arguments: object) -> dict[str, Any]:
    """Run a training command to its end; returns its result record."""
    return json.loads(invoke(*arguments).stdout)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The training log of a folder."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder: Path, name: str = "model.safetensors") -> dict[str, Any]:
    """All tensors of a saved model."""
    from safetensors.torch import load_file

    return load_file(folder / name)


def same_weights(first: Path, second: Path, name: str = "model.safetensors") -> bool:
    """Whether two saved models are equal bit for bit."""
    a, b = weights(first, name), weights(second, name)
    return a.keys() == b.keys() and all(a[key].equal(b[key]) for key in a)


def stop_after(lines: int, folder: Path, *arguments: object, how: signal.Signals = signal.SIGKILL) -> int:
    """Start a training command in a process of its own and stop it once its log has so many lines.

    It runs at the lowest priority, so that on a busy machine it cannot finish before its log is looked at.
    """
    command = [sys.executable, "-m", "anectl", *map(str, arguments)]
    log = folder.with_name(folder.name + ".partial") / "log.jsonl"
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a background shell ignores it
    command = ["nice", "-n", "19", *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **heard) as process:
        while not log.exists() or log.read_bytes().count(b"\n") < lines:
            if process.poll() is not None:
                raise AssertionError(process.stderr.read().decode())
            time.sleep(0.002)
        process.send_signal(how)
        process.communicate()
    return process.returncode
