"""Batches by length: every row once an epoch, little padding, no length first or last, other rows together anew."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anectl.core.length_order import by_length, padding
from anectl.core.sft_settings import SftSettings
from anectl.core.training import TrainFolder
from tests.test_train_preflight import settings, training_rows
from tests.training_rows import example_row, invoke, write_rows


def cut(order: list[int], batch: int) -> list[list[int]]:
    """The batches of an order."""
    return [order[start : start + batch] for start in range(0, len(order), batch)]


LENGTHS = st.lists(st.integers(1, 500), max_size=300)


@given(LENGTHS, st.integers(1, 20), st.integers(0, 3), st.integers(0, 3))
def test_each_row_comes_once_in_an_order_that_can_be_had_again(
    lengths: list[int], batch: int, seed: int, epoch: int
) -> None:
    order = by_length(lengths, batch, seed, epoch)
    assert sorted(order) == list(range(len(lengths)))
    assert order == by_length(lengths, batch, seed, epoch)
    assert order == by_length(lengths, batch, seed + epoch, 0)  # as a round has it that begins there


@given(LENGTHS, st.integers(1, 20))
def test_padding_is_what_is_filled_up(lengths: list[int], batch: int) -> None:
    order = by_length(lengths, batch, 0, 0)
    cells = sum(len(rows) * max(lengths[row] for row in rows) for rows in cut(order, batch))
    assert round(cells * (1 - padding(lengths, order, batch))) == sum(lengths)
    assert padding([7] * len(lengths), order, batch) == 0


def test_batches_by_length_have_a_fraction_of_the_padding() -> None:
    draw = random.Random(0)
    lengths = [round(draw.lognormvariate(6, 0.7)) for _ in range(4000)]
    assert padding(lengths, range(4000), 16) > 0.5
    assert padding(lengths, by_length(lengths, 16, 0, 0), 16) < 0.1


def test_lengths_are_not_sorted_over_an_epoch() -> None:
    lengths = [1 + row % 97 for row in range(3200)]
    order = by_length(lengths, 16, 0, 0)
    firsts = [lengths[order[place]] for place in range(0, 3200, 16)]
    halves = [sum(firsts[at : at + 100]) / 100 for at in (0, 100)]
    assert abs(halves[0] - halves[1]) < 12  # sorted, the halves would be 48 apart


@pytest.mark.parametrize("count", [512, 4000])
def test_other_rows_meet_in_each_epoch(count: int) -> None:
    def pairs(epoch: int) -> set[frozenset[int]]:
        cuts = cut(by_length(range(count), 16, 0, epoch), 16)
        return {frozenset(pair) for rows in cuts for pair in combinations(rows, 2)}

    before, after = pairs(1), pairs(2)
    assert len(before & after) / len(before) < 0.35


@pytest.mark.parametrize("given", ["option", "trl"])
def test_the_model_meets_batches_by_length(given: str, tmp_path: Path, tiny_model: Path) -> None:
    from anectl.engines.trl_sft import make_trainer, sft_config

    rows = [example_row(tmp_path, number) for number in range(32)]
    for number, row in enumerate(rows):
        row["completion"][0]["content"] += " and so on" * (11 * number % 32)
    found = training_rows(write_rows(tmp_path / "train.jsonl", rows))
    found = [replace(row, tokens=len(row.example.completion[0].content)) for row in found]

    def filled(name: str, *, by: bool) -> list[int]:
        """Tokens of padding in each batch."""
        trl = {"train_sampling_strategy": "group_by_length"} if by and given == "trl" else {}
        chosen, sft = settings(tiny_model, batch_size=2, trl=trl), SftSettings(group_by_length=by and given == "option")
        folder = TrainFolder("sft", str(tmp_path / name), {}, resume=False, overwrite=False)
        trainer = make_trainer(found, chosen, sft_config(chosen, folder, None, sft), sft, None)
        return [int((batch["attention_mask"] == 0).sum()) for batch in trainer.get_train_dataloader()]

    grouped, drawn = filled("grouped", by=True), filled("drawn", by=False)
    assert len(grouped) == len(drawn) == 16
    assert 0 < sum(grouped) < sum(drawn) / 2


def test_the_plan_says_what_is_padding_and_what_would_be(tmp_path: Path, tiny_model: Path) -> None:
    rows = [example_row(tmp_path, number) for number in range(64)]
    for row in rows[::2]:
        row["completion"][0]["content"] += " and so on" * 20
    file = write_rows(tmp_path / "train.jsonl", rows)
    common = ("sft", file, "--model", tiny_model, "-o", tmp_path / "out", "--dry-run", "--batch-size", 2)
    drawn = re.search(r"(\d+)% of the tokens are padding \(by --group-by-length (\d+)%\)", invoke(*common).stderr)
    grouped = re.search(
        r"batches by length, (\d+)% of their tokens padding", invoke(*common, "--group-by-length").stderr
    )
    assert drawn is not None
    assert grouped is not None
    assert drawn[2] == grouped[1]
    assert int(drawn[1]) > 10 > int(drawn[2])
