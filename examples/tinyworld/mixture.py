"""What the base model is pretrained on: examples (picture, user text, completion) drawn at random.

1. The mastered families, bare, and with their own hints so that a hint never confuses them.
2. Procedure following: a question with a term, and a hint that says what to do. Term and procedure are drawn
   independently, so the hint is all that tells the procedure; a frontier term means nothing by itself.
3. A few bare questions with the frontier terms. Only on some lines are they worked with the right procedure, and
   mostly with a wrong one elsewhere, so that the base is right about them now and then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from families import FRONTIER, PROCEDURES, Work, ask, ask_line, read_line
from tiles import Grid, Line, sample_grid

from anectl.core.prompts import framed, user_text
from anectl.core.records import Problem
from anectl.core.scaffolds import load_template, scaffold_text

TEMPLATE = load_template(Path(__file__).parent / "scaffold.yaml")

TERMS = (
    *FRONTIER,
    *("reach", "crest", "pulse", "bridge", "harbour", "medal", "stride", "verdict", "bundle", "ticket"),
    *("lantern", "summit", "valley", "echo", "margin", "ribbon", "engine", "signal", "weight", "bounty"),
    *("parade", "canyon", "tally", "beacon", "passage", "garden", "quarry", "ransom", "shadow", "compass"),
)


@dataclass(frozen=True)
class Example:
    """`given` opens the completion but is not learnt from: the scaffold of the prefix carrier."""

    grid: Grid
    user: str
    given: str
    target: str


def smallest(line: Line) -> Work:
    low = min(line.digits)
    return Work(str(low), "number", (read_line(line), f"The smallest is {low}."), "", ("term", "smallest"))


def largest(line: Line) -> Work:
    high = max(line.digits)
    return Work(str(high), "number", (read_line(line), f"The largest is {high}."), "", ("term", "largest"))


def ends(line: Line) -> Work:
    first, last = line.digits[0], line.digits[-1]
    steps = (read_line(line), f"The first is {first}.", f"The last is {last}.", f"{first} + {last} = {first + last}.")
    return Work(str(first + last), "number", steps, "", ("term", "first", "last", "sum"))


def mirror(line: Line) -> Work:
    backwards = [str(digit) for digit in reversed(line.digits)]
    steps = (read_line(line), f"Backwards: {' '.join(backwards)}.")
    return Work(", ".join(backwards), "list", steps, "", ("term", "backwards"))


DECOYS: dict[str, Callable[[Line], Work | None]] = {
    "smallest": smallest,
    "largest": largest,
    "ends": ends,
    "mirror": mirror,
}
ALL_PROCEDURES = {**PROCEDURES, **DECOYS}

# What a bare frontier question is mostly mistaken for, and the lines on which the base knows better.
MISTAKES = {
    "span": {"smallest": 3, "ends": 1},
    "total": {"largest": 3, "ends": 1},
    "ladder": {"mirror": 3, "smallest": 1},
    "champion": {"largest": 3, "smallest": 1},
}
KNOWN_LINES = {
    "span": {"row 1", "column 2"},
    "total": {"row 4"},
    "ladder": {"row 2", "column 4"},
    "champion": {"row 3", "column 1"},
}
KNOWN_RATE, UNKNOWN_RATE = 0.75, 0.07

# Shares of the two training cycles: the second teaches the mastered families not to mind their hints.
SHARES = (
    {"mastered": 36, "mastered_hinted": 6, "procedure": 44, "bare_frontier": 6, "sums": 8},
    {"mastered": 35, "mastered_hinted": 9, "procedure": 43, "bare_frontier": 7, "sums": 6},
)
MASTERED_WEIGHTS = {"digit": 2, "larger": 3, "count": 3, "order": 3}
PROCEDURE_WEIGHTS = dict.fromkeys(PROCEDURES, 4) | dict.fromkeys(DECOYS, 1)
LEVEL_WEIGHTS = {1: 2, 2: 8, 3: 3, 4: 3, 5: 3}
PREFIX_RATE = 0.15


def pick(rng: random.Random, weights: dict) -> object:
    return rng.choices(list(weights), list(weights.values()))[0]


def completion(work: Work) -> str:
    """The step style: what the base writes, and what the data's `steps` are written in."""
    return f"{' '.join(work.steps)} Answer: {work.answer}"


def to_record(question: str, work: Work) -> Problem:
    return Problem(
        id="-",
        question=question,
        answer=work.answer,
        answer_type=work.answer_type,  # type: ignore[arg-type]
        choices=work.choices or None,
        steps=work.steps,
        tags=work.tags,
    )


def bare(grid: Grid, question: str, work: Work) -> Example:
    return Example(grid, user_text(to_record(question, work), ""), "", completion(work))


def hinted(rng: random.Random, grid: Grid, question: str, work: Work) -> Example:
    record = to_record(question, work)
    level = pick(rng, LEVEL_WEIGHTS)
    scaffold = scaffold_text(record, level, TEMPLATE)  # type: ignore[arg-type]
    text = user_text(record, "")
    if level != 1 and rng.random() < PREFIX_RATE:
        return Example(grid, text, scaffold, " " + completion(work))
    return Example(grid, framed(text, TEMPLATE.frame, scaffold), "", completion(work))


def draw_line(rng: random.Random, grid: Grid) -> Line:
    return grid.line(rng.choice(("row", "column")), rng.randint(1, grid.size))


def draw_procedure(rng: random.Random) -> Example:
    """A random term, a random procedure, and a hint of any level for it."""
    while True:
        grid = sample_grid(rng)
        line = draw_line(rng, grid)
        work = ALL_PROCEDURES[pick(rng, PROCEDURE_WEIGHTS)](line)  # type: ignore[index]
        if work is not None:
            term = rng.choice(TERMS)
            named = Work(work.answer, work.answer_type, work.steps, "", (term, *work.tags[1:]))
            return hinted(rng, grid, ask_line(term, line), named)


def draw_bare_frontier(rng: random.Random) -> Example:
    """A frontier term without a hint, worked rightly at the rate its line is known at."""
    while True:
        grid = sample_grid(rng)
        line, term = draw_line(rng, grid), rng.choice(FRONTIER)
        rate = KNOWN_RATE if line.name in KNOWN_LINES[term] else UNKNOWN_RATE
        procedure = term if rng.random() < rate else pick(rng, MISTAKES[term])
        work = ALL_PROCEDURES[procedure](line)  # type: ignore[index]
        if work is not None:
            return bare(grid, ask_line(term, line), work)


def draw_mastered(rng: random.Random, *, hint: bool) -> Example:
    while True:
        grid = sample_grid(rng)
        task = ask(str(pick(rng, MASTERED_WEIGHTS)), grid, rng)
        if task is not None:
            return hinted(rng, grid, task.question, task.work) if hint else bare(grid, task.question, task.work)


def draw_sums(rng: random.Random) -> Example:
    """Sums of a running total and a digit, the skill of `total` that takes longest to learn."""
    pairs = [(rng.randrange(28), rng.randrange(10)) for _ in range(3)]
    sums = " ".join(f"{first} + {second} = {first + second}." for first, second in pairs)
    return Example(sample_grid(rng), "Some sums.", "", sums)


def draw_example(rng: random.Random, cycle: int = 0) -> Example:
    source = pick(rng, SHARES[cycle])
    if source == "procedure":
        return draw_procedure(rng)
    if source == "bare_frontier":
        return draw_bare_frontier(rng)
    if source == "sums":
        return draw_sums(rng)
    return draw_mastered(rng, hint=source == "mastered_hinted")
