"""Every command meets every broken artifact it could be given with a clear error, and loses and half-writes nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from anectl.cli import main
from tests.bad_input import Broken, duplicate, encoded, file_faults, good_rows, image_faults, write_images

BACKTRACK = {"backtrack": ["--model", "script.jsonl", "--engine", "fake", "-o", "out.jsonl"]}
DECONTAMINATE = {"decontaminate": ["--against", "bench.jsonl", "-o", "out.jsonl"]}
READERS = {
    "problem": {
        **DECONTAMINATE,
        "rollout": ["--model", "script.jsonl", "--engine", "fake", "-o", "out.jsonl"],
        "eval": ["--model", "script.jsonl", "--engine", "fake", "-o", "out.jsonl"],
        "build-index": ["--embedder", "policy:{model}", "-o", "out.idx"],
    },
    "rollout": {
        "locate-frontier": ["-o", "out.jsonl"],
        "grade": ["-o", "out.jsonl"],
        "select": ["-o", "out.jsonl"],
        "log-round": ["--round", "1", "-o", "out.jsonl"],
        "train-prm": ["--model", "{model}", "-o", "out"],
        "tune-temperature": ["--num-drawn", "1", "--num-kept", "1", "--reward", "logprob", "-o", "out.jsonl"],
        **BACKTRACK,
    },
    "frontier": {"anchor": ["--index", "truth.idx", "-o", "out.jsonl"], **BACKTRACK},
    "anchored": {"scaffold": ["-o", "out.jsonl"], **DECONTAMINATE},
    "example": {
        **DECONTAMINATE,
        "sft": ["--model", "{model}", "-o", "out"],
        "strip-rl": ["--model", "{model}", "-o", "out"],
    },
    "score": {"compare": ["good.jsonl", "-o", "out.jsonl"], "grade": ["-o", "out.jsonl"]},
}
WITH_IMAGES = {"problem", "example"}
# Of rows that say more than a problem, only these two open the images.
OPENERS = {"backtrack", "decontaminate"}
UNIQUE = {"problem", "frontier", "anchored", "score"}


def cases() -> list[tuple[str, str, Broken]]:
    """(command, kind, artifact) for every command that reads the kind; `check` reads them all."""
    found = []
    for kind, readers in READERS.items():
        faults = [*file_faults(kind), *(image_faults() if kind in WITH_IMAGES else [])]
        faults += [duplicate()] if kind in UNIQUE else []
        found += [(command, kind, fault) for command in readers for fault in faults]
        found += [("check", kind, fault) for fault in faults]
        if kind not in WITH_IMAGES:
            found += [(command, kind, fault) for command in OPENERS & readers.keys() for fault in image_faults()]
    return found


@pytest.fixture(scope="module")
def truth_index(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A real index of two rows."""
    folder = tmp_path_factory.mktemp("truth")
    write_images(folder)
    (folder / "truth.jsonl").write_bytes(b"".join(encoded("problem")))
    arguments = ["build-index", "truth.jsonl", "--embedder", f"policy:{tiny_model}", "-o", "truth.idx"]
    subprocess.run([sys.executable, "-m", "anectl", *arguments], cwd=folder, check=True, capture_output=True)
    return folder / "truth.idx"


def run_main(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit status and stderr of a command run through the real entry point, in this process."""
    monkeypatch.setattr(sys, "argv", ["anectl", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0), capfd.readouterr().err


@pytest.mark.parametrize(("command", "kind", "fault"), cases(), ids=lambda value: getattr(value, "name", value))
def test_broken_artifact(
    command: str,
    kind: str,
    fault: Broken,
    tmp_path: Path,
    truth_index: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_images(folder)
    first, second = encoded(kind)
    (folder / "good.jsonl").write_bytes(first + second)
    (folder / "script.jsonl").write_text('{"match": "", "texts": ["Answer: 3"]}\n')
    (folder / "truth.idx").symlink_to(truth_index)
    (folder / "bench.jsonl").write_text(
        '{"id": "b", "question": "What is red?", "answer": "it", "answer_type": "text"}\n'
    )
    fault.build(folder / "bad.jsonl", first, second)
    before = sorted(folder.iterdir())

    options = [] if command == "check" else [word.format(model=tiny_model) for word in READERS[kind][command]]
    code, err = run_main([command, "bad.jsonl", *options], monkeypatch, capfd)

    assert code == 1, err
    assert "Traceback" not in err
    assert ("bad.jsonl" if fault.line is None else f"bad.jsonl:{fault.line}:") in err
    # A resumable command keeps the rows it has finished, as its .partial file with its manifest; nothing else may stay.
    kept = {path.name for path in folder.glob("out.jsonl.partial") if path.stat().st_size}
    kept |= {"out.jsonl.manifest.json"} if kept else set()
    assert [path.name for path in sorted(folder.iterdir()) if path not in before and path.name not in kept] == []


SKIPPERS = [
    (command, kind) for kind, readers in READERS.items() for command in readers if command in ("rollout", "eval")
]


@pytest.mark.parametrize(("command", "kind"), SKIPPERS)
def test_skipping_bad_rows_keeps_the_good_ones_and_lists_the_others(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path)
    first, second = encoded(kind)
    faults = [f for f in [*file_faults(kind), *image_faults()] if f.line == 2 and f.name != "torn last line"]
    bad = []
    for fault in faults:
        fault.build(tmp_path / "one.jsonl", first, second)
        bad.append((tmp_path / "one.jsonl").read_bytes().removeprefix(first))
    (tmp_path / "mixed.jsonl").write_bytes(first + b"".join(bad) + second)
    (tmp_path / "script.jsonl").write_text('{"match": "", "texts": ["Answer: 3"]}\n')
    options = READERS[kind][command]
    monkeypatch.setattr(sys, "argv", ["anectl", command, "mixed.jsonl", *options, "--on-error", "skip"])
    main_exit = run_main([command, "mixed.jsonl", *options, "--on-error", "skip"], monkeypatch, capfd)
    assert main_exit[0] == 0, main_exit[1]
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 2
    assert len((tmp_path / "out.jsonl.rejects.jsonl").read_bytes().splitlines()) == len(bad)


def anectl(arguments: list[str], folder: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "anectl", *arguments], cwd=folder, stderr=subprocess.PIPE, check=False, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("kind", "command"), [("rollout", "locate-frontier"), ("score", "compare"), ("anchored", "scaffold")]
)
def test_full_disk_behind_stdout_is_a_clear_error(kind: str, command: str, tmp_path: Path) -> None:
    write_images(tmp_path)
    for name in ("good.jsonl", "other.jsonl"):
        (tmp_path / name).write_bytes(b"".join(encoded(kind)))
    with open("/dev/full", "wb") as full:
        other = ["other.jsonl"] if command == "compare" else []
        done = anectl([command, "good.jsonl", *other], tmp_path, stdout=full)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("kind", "command"), [("rollout", "locate-frontier"), ("anchored", "scaffold")])
def test_full_disk_behind_a_file_leaves_no_half_output(kind: str, command: str, tmp_path: Path) -> None:
    write_images(tmp_path)
    rows = b"".join(row for name in range(200) for row in [_row(kind, str(name))])
    (tmp_path / "good.jsonl").write_bytes(rows)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = anectl([command, "good.jsonl", "-o", "out.jsonl"], tmp_path, preexec_fn=small_files)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    assert not list(tmp_path.glob("out.jsonl*"))


def _row(kind: str, name: str) -> bytes:
    from anectl.core.jsonl import encode

    return encode(good_rows(name)[kind])
