"""The figures of how-it-decides.md, drawn from the functions that decide; `docs/generate.py` writes them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from charts import FAILING, GOLD, GRID, INK, LEARNABLE, PLUM, SOFT, SOLVED, UNSURE, Axes, Canvas, legend

from anectl.core.adaptive import Budget
from anectl.core.backtracking import Found, Rule, search_by_halving
from anectl.core.controller import Outcome, level_in_use, new_item, update
from anectl.core.fusion import RANK_CONSTANT, default_weights, fuse
from anectl.core.metrics import mean
from anectl.core.posterior import log_beta, zone_masses, zone_of
from anectl.core.schedules import Course
from anectl.core.tuning import BANDWIDTH, Graded, reward_pass, tune

COLOURS = {"failing": FAILING, "learnable": LEARNABLE, "solved": SOLVED, "unsure": UNSURE}
SEARCH_SEED = 4
VISIT_SEED = 0
SHARES = [(0, "0"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1, "100%")]


def zones() -> str:
    """What eight completions say: three posteriors, and the zone of each count."""
    canvas = Canvas(860, 330, "Posteriors of the pass rate after eight completions, and the zone of each count")
    left = Axes(canvas, (50, 50), (370, 210), (0, 1), (0, 8))
    for name, start, end in (("failing", 0, 0.1), ("learnable", 0.1, 0.7), ("solved", 0.7, 1)):
        (x, y), (x_end, y_end) = left.at(start, 8), left.at(end, 0)
        canvas.box(x, y, x_end - x, y_end - y, fill=COLOURS[name], opacity=0.12)
    ticks = [(0, "0"), (0.1, "0.1"), (0.4, "0.4"), (0.7, "0.7"), (1, "1")]
    left.frame("Posterior of the pass rate after 8 completions", ticks, [], "pass rate")
    for correct, place in ((0, (0.13, 7.2)), (3, (0.4, 2.9)), (8, (0.83, 7.2))):
        a, b = 0.5 + correct, 8.5 - correct
        grid = [index / 400 for index in range(1, 400)]
        density = [(x, math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - log_beta(a, b))) for x in grid]
        zone, _ = zone_of(8, correct, 0.1, 0.7, 0.8)
        left.curve([(x, y) for x, y in density if y <= 8], COLOURS[zone])
        canvas.text(*left.at(*place), f"{correct} of 8", size=12, anchor="start" if correct < 8 else "middle")
    right = Axes(canvas, (490, 50), (345, 210), (-0.6, 8.6), (0, 1))
    right.frame("How much of it lies in each zone", [(c, str(c)) for c in range(9)], SHARES, "correct completions of 8")
    for correct in range(9):
        floor = 0.0
        chosen, _ = zone_of(8, correct, 0.1, 0.7, 0.8)
        for zone, mass in zone_masses(8, correct, 0.1, 0.7).items():
            (x, y), (x_end, y_end) = right.at(correct - 0.36, floor + mass), right.at(correct + 0.36, floor)
            canvas.box(x, y, x_end - x, y_end - y, fill=COLOURS[zone], opacity=1 if zone == chosen else 0.35)
            floor += mass
    canvas.line(right.at(-0.6, 0.8), right.at(8.6, 0.8), stroke=INK, dash="4 3")
    legend(canvas, 490, 316, [(COLOURS[zone], zone) for zone in ("failing", "learnable", "solved")])
    canvas.text(730, 316, "pale: unsure", size=12, fill=SOFT)
    return canvas.render()


def budget() -> str:
    """What `--until-confident 0.9` does after 8, 16, 32 and 64 completions, by how many were correct."""
    canvas = Canvas(860, 300, "What the adaptive budget decides after 8, 16, 32 and 64 completions")
    rule = Budget(0.9)
    axes = Axes(canvas, (120, 50), (715, 180), (0, 1), (0, 4))
    axes.frame("After so many completions", [], [])
    for row, total in enumerate((8, 16, 32, 64)):
        top = 3.88 - row
        canvas.text(108, axes.at(0, top - 0.42)[1] + 4, f"{total} drawn", size=12, anchor="end")
        for correct in range(total + 1):
            zone, _ = zone_of(total, correct, rule.low, rule.high, rule.until_confident)
            fill = COLOURS[zone] if rule.is_sure(total, correct) else "#ffffff"
            fill = UNSURE if rule.is_given_up(total, total, correct) or (total == 64 and fill == "#ffffff") else fill
            (x, y), (x_end, y_end) = (
                axes.at(correct / (total + 1), top),
                axes.at((correct + 1) / (total + 1), top - 0.8),
            )
            canvas.box(x, y, x_end - x, y_end - y, fill=fill, stroke="#ffffff" if fill != "#ffffff" else GRID)
            if total < 32:
                ink = SOFT if fill == "#ffffff" else "#ffffff"
                canvas.text((x + x_end) / 2, (y + y_end) / 2 + 4, str(correct), size=11, anchor="middle", fill=ink)
    canvas.text(120, 246, "none correct", size=11, fill=SOFT)
    canvas.text(835, 246, "all correct", size=11, anchor="end", fill=SOFT)
    entries = [(FAILING, "sure: failing"), (LEARNABLE, "sure: learnable"), (SOLVED, "sure: solved")]
    legend(canvas, 120, 280, [*entries, (UNSURE, "left unsure"), (GRID, "white: draw as many again")])
    return canvas.render()


# The chance of success behind each step of a made-up completion, which is lost at its eighth step.
TRUTH = (0.8, 0.8, 0.75, 0.8, 0.7, 0.72, 0.65, 0.06, 0.05, 0.04, 0.05, 0.0)
LOST_AT = 7


def searched(rng: random.Random) -> tuple[Found, list[list[tuple[int, int, int]]]]:
    """What a search finds in TRUTH, and its rounds: step, right continuations, continuations drawn."""
    search = search_by_halving(len(TRUTH), (5, 8), Rule())
    rounds: list[list[tuple[int, int, int]]] = []
    try:
        asks = next(search)
        while True:
            answers = [(sum(rng.random() < TRUTH[ask.step] for _ in range(ask.num)), ask.num) for ask in asks]
            rounds.append([(ask.step, *answer) for ask, answer in zip(asks, answers, strict=True)])
            asks = search.send(answers)
    except StopIteration as stop:
        return stop.value, rounds


def backtracking() -> str:
    """The search for the step at which a completion of twelve steps is lost, question by question."""
    found, rounds = searched(random.Random(SEARCH_SEED))
    canvas = Canvas(860, 324 + 34 * len(rounds), "Backtrack's search for the first step that is lost")
    axes = Axes(canvas, (120, 50), (710, 110), (-1.5, 11.5), (0, 1))
    axes.frame("Chance of success behind each step (which the search does not know)", [], SHARES[::2])
    axes.curve(enumerate(TRUTH), SOFT)
    canvas.line(axes.at(-1.5, 0.3), axes.at(11.5, 0.3), stroke=FAILING, dash="4 3")
    canvas.text(*axes.at(-1.4, 0.34), "--threshold", size=11, fill=FAILING)
    for step, chance in enumerate(TRUTH):
        canvas.dot(axes.at(step, chance), 4, fill=FAILING if chance < 0.3 else LEARNABLE)
        canvas.text(axes.at(step, 0)[0], 180, str(step), size=11, anchor="middle", fill=SOFT)
    canvas.text(108, 180, "step", size=11, anchor="end", fill=SOFT)
    canvas.text(120, 206, "Right continuations of those drawn", bold=True)
    for number, asked in enumerate(rounds):
        y = 222 + 34 * number
        canvas.text(108, y + 13, f"round {number + 1}", size=12, anchor="end")
        for step, correct, num in asked:
            x = axes.at(step, 0)[0]
            canvas.box(x - 24, y - 4, 48, 24, fill=FAILING if correct / num < 0.3 else LEARNABLE)
            canvas.text(x, y + 13, f"{correct} of {num}", size=12, anchor="middle", fill="#ffffff")
    y = 240 + 34 * len(rounds)
    x = axes.at(found.step or 0, 0)[0]
    canvas.path([(x, y - 14), (x - 6, y - 4), (x + 6, y - 4)], stroke=INK, fill=INK)
    canvas.text(
        x, y + 12, f"lost at step {found.step}, after {found.num_drawn} continuations", anchor="middle", bold=True
    )
    for line, words in enumerate(_how_often()):
        canvas.text(120, y + 44 + 18 * line, words, size=12, fill=SOFT)
    return canvas.render()


def _how_often() -> tuple[str, str]:
    runs = [searched(random.Random(f"run/{number}"))[0] for number in range(500)]
    exact = sum(found.step == LOST_AT for found in runs) / len(runs)
    near = sum(found.step is not None and abs(found.step - LOST_AT) <= 1 for found in runs) / len(runs)
    drawn = mean([found.num_drawn for found in runs])
    return (
        f"Of 500 such searches {exact:.0%} name step {LOST_AT}, and {near:.0%} it or a neighbour, with {drawn:.0f} "
        "continuations on average;",
        f"all steps of this completion, eight continuations each, would be {8 * (len(TRUTH) - 1)}.",
    )


def fusion() -> str:
    """Five rows of a database, ranked by five signals, and what each signal adds to their fused scores."""
    ranks = {
        "text": {"t1": 1, "t2": 2, "t3": 9, "t4": 30},
        "image": {"t5": 1, "t1": 40, "t3": 3},
        "joint": {"t1": 2, "t2": 5, "t5": 3, "t3": 8},
        "bm25": {"t2": 1, "t1": 4, "t3": 25},
        "skill": {"t3": 1, "t1": 2, "t2": 60},
    }
    names = ("t1", "t2", "t3", "t4", "t5")
    numbered = {signal: {names.index(row): place for row, place in found.items()} for signal, found in ranks.items()}
    weights = default_weights(list(ranks))
    fused = fuse(numbered, weights)
    colours = dict(zip(ranks, (SOLVED, "#6f9bd1", "#a9c4e6", GOLD, LEARNABLE), strict=True))
    canvas = Canvas(860, 290, "Reciprocal rank fusion of five signals")
    axes = Axes(canvas, (60, 56), (480, 180), (0, 0.05), (0, 5))
    axes.frame("Fused score: sum of weight / (60 + rank)", [(x / 100, f"{x / 100:.2f}") for x in range(6)], [])
    order = sorted(range(5), key=lambda row: -fused[row])
    for place, row in enumerate(order):
        start = 0.0
        for signal, weight in weights.items():
            if row not in numbered[signal]:
                continue
            part = weight / (RANK_CONSTANT + numbered[signal][row])
            (x, y), (x_end, y_end) = axes.at(start, 4.85 - place), axes.at(start + part, 4.25 - place)
            canvas.box(x, y, x_end - x, y_end - y, fill=colours[signal])
            start += part
        canvas.text(50, axes.at(0, 4.55 - place)[1] + 4, names[row], size=12, anchor="end", bold=place == 0)
    canvas.text(590, 44, "rank of each row by each signal", bold=True)
    for column, name in enumerate(names):
        canvas.text(668 + 38 * column, 70, name, size=12, anchor="middle", fill=SOFT)
    for line, signal in enumerate(ranks):
        legend(canvas, 590, 98 + 30 * line, [(colours[signal], signal)])
        for column, name in enumerate(names):
            shown = str(ranks[signal].get(name, "-"))
            canvas.text(668 + 38 * column, 98 + 30 * line, shown, size=12, anchor="middle")
    canvas.text(590, 256, "text, image and joint share one vote", size=12, fill=SOFT)
    return canvas.render()


def schedules() -> str:
    """The highest level allowed over a run of 100 steps, for each course."""
    canvas = Canvas(860, 300, "Courses of the highest scaffold level allowed")
    for place, (name, note) in enumerate(
        [("cosine", "default"), ("linear", ""), ("exponential", ""), ("staged", ""), ("constant", ""), ("binomial", "")]
    ):
        column, row = place % 3, place // 3
        axes = Axes(canvas, (50 + 275 * column, 40 + 130 * row), (235, 76), (0, 100), (0, 3))
        ticks = [(0, "0"), (80, "80"), (100, "100")]
        axes.frame(f"{name} ({note})" if note else name, ticks, [(level, str(level)) for level in (0, 3)])
        course = Course(name, 100, 3)  # type: ignore[arg-type]
        axes.curve([(step, 3 * course.fraction(step)) for step in range(100)], UNSURE, width=1.5, dash="4 3")
        if name == "binomial":
            rng = random.Random(0)
            for step in range(0, 100, 2):
                for cap in course.caps(step, 4, rng):
                    canvas.dot(axes.at(step, cap + rng.uniform(-0.15, 0.15)), 1.6, fill=PLUM)
        else:
            caps = [point for step in range(100) for point in ((step, course.cap(step)), (step + 1, course.cap(step)))]
            axes.curve(caps, PLUM)
    canvas.text(50, 288, "dashed: fraction of the top level; solid: the cap; dots: one group each.", size=12, fill=SOFT)
    return canvas.render()


def controller() -> str:
    """The life of one item under the controller: at which level it is shown, and how its groups go."""
    rng, num_visits, group = random.Random(VISIT_SEED), 26, 8
    item, course = new_item((0, 1, 2, 3), 1), Course("cosine", num_visits, 3)
    canvas = Canvas(860, 290, "One item of strip-rl: level shown, and correct completions of each group")
    axes = Axes(canvas, (60, 50), (775, 150), (-0.7, num_visits - 0.3), (-0.4, 3.4))
    levels = [(level, str(level)) for level in range(4)]
    visits = [(visit, str(visit + 1)) for visit in range(0, num_visits, 5)]
    axes.frame("Level at which the item is shown; in the dots: correct of 8", visits, levels, "visit")
    steps = [(visit + side, course.cap(visit)) for visit in range(num_visits) for side in (-0.5, 0.5)]
    axes.curve(steps, UNSURE, width=1.5, dash="4 3")
    way = []
    for visit in range(num_visits):
        level = level_in_use(item, course.cap(visit))
        # A policy that learns: success grows with the level and with the visits.
        chance = min(0.95, 0.02 + 0.2 * level + 0.03 * visit)
        won = sum(rng.random() < chance for _ in range(group))
        item = update(item, Outcome(0, level, won, group))
        way.append((visit, level, won, item.graduated))
    axes.curve([(visit, level) for visit, level, _, _ in way], SOFT, width=1)
    for visit, level, won, graduated in way:
        canvas.dot(axes.at(visit, level), 11, fill=SOLVED if graduated else FAILING if won == 0 else LEARNABLE)
        x, y = axes.at(visit, level)
        canvas.text(x, y + 4, str(won), size=11, anchor="middle", fill="#ffffff")
    entries = [(LEARNABLE, "some correct"), (FAILING, "all failed: one rung up"), (SOLVED, "graduated")]
    legend(canvas, 60, 272, entries)
    canvas.text(520, 272, "dashed: the cap of the schedule", size=12, fill=SOFT)
    return canvas.render()


def temperature() -> str:
    """Pass@16 and Reward-Pass@2 of a made-up policy at five temperatures, and what `tune` chooses."""
    grid = [round(0.3 + 0.1 * step, 1) for step in range(14)]
    values = {float(at): _drawn(at, random.Random(f"draws/{at}")) for at in (0.3, 0.6, 0.9, 1.2, 1.5)}
    tuned = tune(values, grid, seed=0, bandwidth=BANDWIDTH)
    canvas = Canvas(860, 320, "Choosing a temperature by Reward-Pass@2")
    axes = Axes(canvas, (60, 50), (560, 210), (0.2, 1.7), (0.2, 0.9))
    (x, y), (x_end, y_end) = axes.at(tuned.interval[0], 0.9), axes.at(tuned.interval[1], 0.2)
    canvas.box(x, y, max(2.0, x_end - x), y_end - y, fill=GOLD, opacity=0.15)
    ticks = [(share / 10, f"{10 * share}%") for share in range(2, 10)]
    axes.frame("Share of the validation problems", [(at, str(at)) for at in grid[::3]], ticks, "temperature")
    axes.curve([(point.temperature, point.smoothed) for point in tuned.points], LEARNABLE)
    for point in tuned.points:
        for value, interval, colour in (
            (point.pass_at_k, point.pass_interval, SOLVED),
            (point.reward_pass, point.reward_interval, LEARNABLE),
        ):
            if value is None or interval is None:
                continue
            canvas.line(axes.at(point.temperature, interval[0]), axes.at(point.temperature, interval[1]), stroke=colour)
            canvas.dot(axes.at(point.temperature, value), 4.5, fill=colour)
    canvas.line(axes.at(tuned.temperature, 0.2), axes.at(tuned.temperature, 0.9), stroke=GOLD, width=2, dash="5 3")
    legend(canvas, 650, 80, [(SOLVED, "Pass@16: it is there"), (LEARNABLE, "Reward-Pass@2: it is kept")], step=24)
    legend(canvas, 650, 128, [(GOLD, f"chosen: {tuned.temperature}")], step=24)
    low, high = tuned.interval
    canvas.text(665, 152, f"95%: {low} to {high}", size=12)
    canvas.text(650, 200, "bars: 95% intervals", size=12, fill=SOFT)
    canvas.text(650, 220, "over the problems", size=12, fill=SOFT)
    return canvas.render()


def _drawn(temperature: float, rng: random.Random) -> list[tuple[float, float]]:
    """Pass@16 and Reward-Pass@2 of 120 problems: heat finds more, and makes more noise that looks good."""
    found = []
    for number in range(120):
        skill = random.Random(f"problem/{number}").betavariate(0.5, 1.6)
        chance = min(1.0, max(0.0, skill + 0.05 * temperature - 0.22 * max(0.0, temperature - 0.8) ** 2 - 0.02))
        graded = []
        for _ in range(32):
            right = rng.random() < chance * (0.4 + 0.6 * min(1.0, temperature))
            graded.append(Graded(right, rng.gauss(0.45 if right else 0.0, 0.35 + 0.5 * temperature)))
        found.append((reward_pass(graded, 16, 16), reward_pass(graded, 16, 2)))
    assert mean([one for one, _ in found]) > 0
    return found


FIGURES: dict[str, Callable[[], str]] = {
    "zones": zones,
    "budget": budget,
    "backtrack": backtracking,
    "fusion": fusion,
    "schedules": schedules,
    "controller": controller,
    "temperature": temperature,
}
