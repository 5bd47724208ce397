"""Keys that come twice are found with their first place, whatever the number of keys."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from anectl.core.seen import Seen


@given(st.lists(st.text(max_size=3) | st.integers(0, 9) | st.tuples(st.text(max_size=1), st.integers(0, 3))))
def test_a_key_is_seen_again_and_another_is_not(keys: list[object]) -> None:
    first: dict[str, int] = {}
    with Seen() as seen:
        for number, key in enumerate(keys, 1):
            found = seen.add(key, "a.jsonl", number)
            expected = first.setdefault(repr(key), number)
            assert found == (None if expected == number else f"a.jsonl:{expected}")


def test_the_first_place_names_its_own_file() -> None:
    with Seen() as seen:
        for path, line, key in (("a", 1, "x"), ("b", 1, "y"), ("a", 9, "z"), ("b", 2, "w")):
            assert seen.add(key, path, line) is None
        assert seen.add("z", "c", 3) == "a:9"
        assert seen.add("x", "c", 4) == "a:1"


def test_keys_of_half_a_character_are_kept_apart() -> None:
    with Seen() as seen:
        assert seen.add("\ud800", "a", 1) is None
        assert seen.add("\ud801", "a", 2) is None
        assert seen.add("\ud800", "a", 3) == "a:1"


def test_a_row_costs_microseconds() -> None:
    started = time.process_time()
    with Seen() as seen:
        for number in range(50_000):
            seen.add(f"problem-{number}", "a.jsonl", number)
    # 1.4 us alone; the bound leaves room for a busy machine.
    assert time.process_time() - started < 50_000 * 5e-6


def test_memory_does_not_grow_with_the_keys() -> None:
    program = """
import resource, sys
from anectl.core.seen import Seen
with Seen() as seen:
    for number in range(int(sys.argv[1])):
        seen.add(f"problem-{number * 7919 % 1000003}", "a.jsonl", number)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    small, large = (
        int(subprocess.run([sys.executable, "-c", program, str(count)], capture_output=True, check=True).stdout)
        for count in (20_000, 200_000)
    )
    assert large < small + 2000


def test_a_full_disk_is_an_error_of_the_user(tmp_path: Path) -> None:
    program = """
from anectl.core.errors import AnectlError
from anectl.core.seen import Seen
with Seen() as seen:
    try:
        for number in range(500_000):
            seen.add(f"problem-{number}", "a.jsonl", number)
    except AnectlError as error:
        print(error, error.hint)
"""
    # The system refuses to let the temporary file grow past a megabyte.
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)),
    )
    assert done.stderr == ""
    assert "no room for temporary data" in done.stdout
    assert "TMPDIR" in done.stdout


def test_nothing_is_left_on_disk_even_by_a_kill() -> None:
    with Seen() as seen:
        for number in range(50_000):
            seen.add(f"problem-{number}", "a.jsonl", number)
        # It has spilled, into a file without a name; `etilqs` is how SQLite calls its temporary files.
        files = [link for link in open_files() if "etilqs" in link]
    assert files
    assert all(link.endswith("(deleted)") for link in files)


def open_files() -> list[str]:
    """What the descriptors of this process point to; some close while they are read."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(descriptor.readlink()))
    return links
