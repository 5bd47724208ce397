"""The controller of strip-rl: levels answer to success and failure, and a step's choice depends on its state alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.controller import (
    Controller,
    Item,
    Outcome,
    Tally,
    choose,
    from_json,
    group_outcomes,
    level_counts,
    level_in_use,
    new_item,
    to_json,
    update,
    updated,
    zero_variance,
)

RUNGS = (0, 1, 2, 3)
GROUP = 8


def after(item: Item, *groups: tuple[int, int]) -> Item:
    """The item after groups of (level, successes) with GROUP completions each."""
    for level, successes in groups:
        item = update(item, Outcome(0, level, successes, GROUP))
    return item


def test_an_item_begins_at_the_highest_rung_it_has():
    assert new_item((0, 2, 4), 3).level == 2
    assert new_item((), 3).level == 0


def test_a_group_that_fails_gets_more_scaffold():
    assert after(new_item(RUNGS, 1), (1, 0)).level == 2


def test_no_item_climbs_above_its_last_rung():
    assert after(new_item(RUNGS, 3), (3, 0), (3, 0)).level == 3


def test_a_failure_below_the_own_level_changes_no_level():
    assert after(new_item(RUNGS, 2), (0, 0), (1, 0)).level == 2


def test_success_takes_scaffold_away_one_rung_at_a_time():
    item = after(new_item((0, 2, 3), 3), (3, 8))
    assert item.level == 2
    assert after(item, (2, 8)).level == 0


def test_some_success_keeps_the_level():
    assert after(new_item(RUNGS, 2), (2, 4)).level == 2


def test_an_item_solved_bare_now_and_then_graduates_at_once():
    item = after(new_item(RUNGS, 3), (0, 2))
    assert (item.level, item.graduated) == (0, True)


def test_a_graduate_gets_its_scaffold_back_only_when_it_keeps_failing():
    graduate = after(new_item(RUNGS, 1), (0, 8))
    once = after(graduate, (0, 0))
    assert (once.level, once.graduated) == (0, True)
    assert after(once, (0, 0), (0, 0)).level == 1


def test_a_group_that_could_not_be_graded_changes_nothing():
    item = new_item(RUNGS, 2)
    assert update(item, Outcome(0, 2, 0, 0)) == item


@given(st.integers(0, 5), st.integers(0, 5), st.lists(st.tuples(st.integers(0, 5), st.integers(0, GROUP)), max_size=20))
def test_levels_stay_on_the_rungs_and_under_the_cap(start, cap, groups):
    item = new_item((0, 1, 3, 4), start)
    for level, successes in groups:
        used = level_in_use(item, level)
        item = update(item, Outcome(0, used, successes, GROUP))
        assert item.level in item.rungs
        assert level_in_use(item, cap) <= min(item.level, cap)
        assert all(0 <= tally.successes <= tally.trials for tally in item.tallies)


def test_the_predicted_share_of_useless_groups():
    # 1/2 prior, G = 2: E[p^2 + (1-p)^2] = 2 (1/2 * 3/2) / (1 * 2) = 3/4.
    assert zero_variance(Tally(), 2) == pytest.approx(0.75)
    assert zero_variance(Tally(500, 1000), 8) == pytest.approx(2**-7, rel=0.1)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(2, 32))
def test_predictions_are_probabilities(successes, failures, group):
    assert 0 <= zero_variance(Tally(successes, successes + failures), group) <= 1 + 1e-9


def pool(*items: Item) -> Controller:
    return Controller(items)


def pick(controller: Controller, *, step: int = 0, slots: int = 8, cap: int = 3, bare: float = 0.25, seed: int = 0):
    return choose(controller, step=step, caps=[cap] * slots, bare_share=bare, group_size=GROUP, seed=seed)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.integers(1, 12),
    st.integers(0, 3),
    st.floats(0, 1),
    st.integers(0, 5),
)
@settings(max_examples=200)
def test_every_slot_is_filled_and_enough_of_them_are_bare(levels, slots, cap, bare, seed):
    controller = pool(*(new_item(RUNGS, level) for level in levels))
    chosen, after_it = pick(controller, slots=slots, cap=cap, bare=bare, seed=seed)
    assert len(chosen) == slots
    assert all(0 <= slot.level <= min(cap, levels[slot.item]) for slot in chosen)
    assert sum(slot.level == 0 for slot in chosen) >= math.ceil(bare * slots)
    assert len({slot.item for slot in chosen}) == min(slots, len(levels))
    assert (chosen, after_it) == pick(controller, slots=slots, cap=cap, bare=bare, seed=seed)


def test_one_round_of_steps_sees_every_item_once():
    controller, seen = pool(*(new_item(RUNGS, 2) for _ in range(24))), []
    for step in range(3):
        chosen, controller = pick(controller, step=step)
        seen += [slot.item for slot in chosen]
    assert sorted(seen) == list(range(24))


def test_items_that_promise_no_gradient_are_passed_over_but_for_a_review():
    hopeless = after(new_item((0,), 0), *[(0, 0)] * 3)
    mastered = after(new_item((0,), 0), *[(0, 8)] * 3)
    mixed = after(new_item((0,), 0), (0, 4))
    controller = pool(*([hopeless, mastered] * 50), *([mixed] * 100))
    counts = {"dull": 0, "mixed": 0}
    for step in range(200):
        chosen, controller = pick(controller, step=step)
        for slot in chosen:
            counts["dull" if slot.item < 100 else "mixed"] += 1
    assert 0.005 < counts["dull"] / 1600 < 0.05


def test_dull_items_are_better_than_an_empty_slot():
    hopeless = after(new_item((0,), 0), *[(0, 0)] * 3)
    chosen, _ = pick(pool(*[hopeless] * 10))
    assert len({slot.item for slot in chosen}) == 8


def test_the_state_survives_a_checkpoint():
    controller = pool(new_item(RUNGS, 2), new_item((0,), 0))
    chosen, controller = pick(controller, slots=2)
    controller = updated(controller, [Outcome(slot.item, slot.level, 3, GROUP) for slot in chosen])
    assert from_json(to_json(controller)) == controller


def test_levels_are_counted():
    assert level_counts(pool(new_item(RUNGS, 2), new_item(RUNGS, 0), new_item(RUNGS, 2))) == {0: 1, 2: 2}


def course(success, *, steps, hint="controller", items=60, cap=3, bare=0.0, start=2):
    """The slots of each step of a run in which `success(step, item, level)` completions of a group are right."""
    controller, slots = pool(*(new_item(RUNGS, start) for _ in range(items))), []
    for step in range(steps):
        chosen, controller = choose(
            controller, step=step, caps=[cap] * 8, bare_share=bare, group_size=GROUP, seed=0, hint=hint
        )
        outcomes = [Outcome(one.item, one.level, success(step, one.item, one.level), GROUP) for one in chosen]
        controller = updated(controller, outcomes)
        slots.append(chosen)
    return slots, controller


def test_graduates_are_looked_at_again_the_longest_unseen_first():
    """Thirty of sixty items are mastered bare: after their first visits only reviews show them."""
    slots, controller = course(lambda step, item, level: 8 if item < 30 else 4, steps=900, start=0)
    assert all(item.graduated for item in controller.items[:30])
    reviews = [slot.item for chosen in slots[100:] for slot in chosen if slot.item < 30]
    assert 0.01 < len(reviews) / (800 * 8) < 0.03
    for start in range(len(reviews) - 33):  # each one before any comes again, but for the order within a step
        assert len(set(reviews[start : start + 34])) == 30


def test_a_graduate_that_forgot_comes_back_with_its_scaffold():
    def success(step, item, level):
        if item != 7:
            return 4
        return 8 if step < 40 or level > 0 else 0

    slots, controller = course(success, steps=700)
    visits = [(step, slot.level) for step, chosen in enumerate(slots) for slot in chosen if slot.item == 7]
    found_out = next(step for step, level in visits if step >= 40)
    assert found_out < 200  # 1 of 60 items is reviewed: the next review is its own
    assert not controller.items[7].graduated
    afterwards = [level for step, level in visits if step > found_out]
    assert {0, 1} <= set(afterwards)
    assert len(afterwards) > 10  # no longer one that is passed over


def test_only_where_its_last_visit_failed_bare_is_an_item_hinted():
    slots, _ = course(lambda step, item, level: 4 if item < 30 or level else 0, steps=60, hint="failing")
    levels = {item: [slot.level for chosen in slots for slot in chosen if slot.item == item] for item in range(60)}
    assert all(set(found) == {0} for item, found in levels.items() if item < 30)
    for item in range(30, 60):
        assert levels[item][:4] == [0, 2, 0, 2]


def test_by_cap_all_items_have_the_level_of_the_schedule():
    slots, _ = course(lambda step, item, level: 8 * (item % 2), steps=20, hint="cap", cap=1)
    assert {slot.level for chosen in slots for slot in chosen} == {1}


def test_each_slot_has_a_cap_of_its_own():
    controller = pool(*(new_item(RUNGS, 3) for _ in range(8)))
    slots, _ = choose(controller, step=0, caps=[0, 1, 2, 3], bare_share=0, group_size=GROUP, seed=0)
    assert [slot.level for slot in slots] == [0, 1, 2, 3]


def test_a_further_choice_of_a_step_goes_on_in_the_queue():
    controller = pool(*(new_item(RUNGS, 3) for _ in range(24)))
    first, controller = pick(controller)
    again, _ = choose(controller, step=0, caps=[3] * 8, bare_share=0, group_size=GROUP, seed=0, attempt=1)
    assert not {slot.item for slot in first} & {slot.item for slot in again}


def test_a_group_of_two_levels_counts_at_both():
    won = [True, False, None, False, None, None, None, None]
    assert group_outcomes([5] * 4 + [6] * 4, [2, 2, 2, 0] + [1] * 4, won, 4) == [
        Outcome(5, 2, 1, 2),
        Outcome(5, 0, 0, 1),
        Outcome(6, 1, 0, 0),
    ]


def test_one_failed_completion_makes_no_graduate():
    item = update(new_item(RUNGS, 2), Outcome(0, 0, 0, 1))
    assert (item.level, item.graduated, item.failed_bare) == (2, False, True)
