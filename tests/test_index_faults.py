"""An index that is damaged, or whose writer is killed: an error that says so, or the whole index; never a crash.

`python -m tests.faults_index` does the same at length, with the real command.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anectl.core.errors import AnectlError
from anectl.core.index_files import next_generation, read_index_manifest
from tests.index_damage import damaged
from tests.index_rows import answers, build, change, problem


def child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.index_rows", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("backend", "num_damaged"), [("hnsw", 80), ("lancedb", 40)])
def test_any_damaged_file_is_an_error_and_never_a_crash(tmp_path: Path, backend: str, num_damaged: int) -> None:
    build(tmp_path / "i", 60, backend=backend)
    whole = repr(answers(tmp_path / "i"))
    rng = random.Random(0)
    copies = [tmp_path / str(number) for number in range(num_damaged)]
    kinds = [damaged(tmp_path / "i", copy, rng) for copy in copies]
    asked = child("answers", *copies)
    out, err = asked.communicate(timeout=120)
    assert asked.returncode == 0, (asked.returncode, kinds[out.count("\n")], err)
    for kind, line in zip(kinds, out.splitlines(), strict=True):
        assert line.startswith("error: ") or line == whole, kind
        # A manifest may be spelled in other ways that mean the same.
        assert line.startswith("error: ") or kind.startswith("manifest.json"), kind


@pytest.mark.parametrize("what", ["build", "change"])
def test_a_writer_that_is_killed_leaves_the_index_before_or_after_and_can_be_run_again(
    tmp_path: Path, what: str
) -> None:
    index, rng = tmp_path / "i", random.Random(0)
    if what == "change":
        build(index, 600)
    before = repr(answers(index)) if what == "change" else None
    whole = tmp_path / "whole"
    build(whole, 600)
    if what == "change":
        change(whole, [problem(number) for number in range(600, 700)], ["t5", "t7"])
    after = repr(answers(whole))
    next_folder = index / ("generation-2" if what == "change" else "generation-1")
    for _ in range(5):
        running = child(what, index, "hnsw")
        while not next_folder.exists() and running.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.4))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        if running.returncode == 0 or ((index / "manifest.json").exists() and before is None):
            break
        assert (repr(answers(index)) if before else before) in (before, after)
        if before and repr(answers(index)) == after:
            break
    else:
        running = child(what, index, "hnsw")
        _, err = running.communicate(timeout=60)
        assert running.returncode == 0, err
        assert sorted(path.name for path in index.iterdir()) == [next_folder.name, "manifest.json"]
    assert repr(answers(index)) == after
    names = {name: entry.sha256 for name, entry in read_index_manifest(index).files.items()}
    assert names == {name: entry.sha256 for name, entry in read_index_manifest(whole).files.items()}
    # Killed behind the last step, it leaves the generation before, which the next writer removes.
    change(index, [], ["t9"])
    assert len(list(index.iterdir())) == 2


def test_a_change_that_fails_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    manifest = build(tmp_path / "i", 30)
    with pytest.raises(IsADirectoryError), next_generation(tmp_path / "i", change=True) as draft:
        (draft.folder / "text.npy").write_bytes(b"half") and draft.folder.read_bytes()
    assert read_index_manifest(tmp_path / "i") == manifest
    assert sorted(path.name for path in (tmp_path / "i").iterdir()) == ["generation-1", "manifest.json"]


def test_a_folder_that_is_no_index_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.png").write_bytes(b"x")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/manifest.json").write_text("{}")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("photos", "site", "file"):
        with pytest.raises(AnectlError, match="is no index"), next_generation(tmp_path / name, change=False):
            pass
    assert (tmp_path / "photos/one.png").exists()
    assert (tmp_path / "site/manifest.json").read_text() == "{}"


def test_an_index_whose_manifest_is_damaged_can_be_built_anew(tmp_path: Path) -> None:
    build(tmp_path / "i", 30)
    (tmp_path / "i/manifest.json").write_text("{}")
    with pytest.raises(AnectlError, match="not an index manifest"):
        read_index_manifest(tmp_path / "i")
    assert build(tmp_path / "i", 30).count == 30


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "i", 30)
    path = tmp_path / "i/manifest.json"
    path.write_text(path.read_text().replace('"index/2"', '"index/3"'))
    with pytest.raises(AnectlError, match="expected index/2, found 'index/3'"):
        read_index_manifest(tmp_path / "i")


def test_two_writers_of_one_index_do_not_mix(tmp_path: Path) -> None:
    build(tmp_path / "i", 30)
    with (
        next_generation(tmp_path / "i", change=True),
        pytest.raises(AnectlError, match="another build-index"),
        next_generation(tmp_path / "i", change=True),
    ):
        pass
