"""Work in threads keeps the order, reads ahead by no more than it says, and ends with the first error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from anectl.core.ordered import ordered_map


def test_results_are_in_order_whatever_takes_long() -> None:
    def slow(number: int) -> int:
        time.sleep(0.02 if number % 7 == 0 else 0)
        return number * number

    assert list(ordered_map(slow, range(60), chunk=3)) == [number * number for number in range(60)]


def test_a_slow_one_holds_back_no_other() -> None:
    started: set[int] = set()
    gate = threading.Event()

    def wait(number: int) -> int:
        started.add(number)
        if number == 0:
            assert gate.wait(10)
        elif number == 7:
            gate.set()
        return number

    assert list(ordered_map(wait, range(8), chunk=1, ahead=8)) == list(range(8))
    assert started == set(range(8))


def test_items_are_read_ahead_by_a_bounded_number() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = ordered_map(lambda number: number, items(), chunk=2, ahead=3)
    next(results)
    assert taken <= 6
    results.close()  # type: ignore[attr-defined]


def test_the_first_error_ends_it() -> None:
    def fail(number: int) -> int:
        if number == 5:
            raise KeyError(number)
        return number

    results = ordered_map(fail, range(100), chunk=1)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError):
        next(results)
