"""The worked examples of how-it-decides.md, made by the functions that decide; `docs/generate.py` puts them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anectl.core.giveaways import giveaway
from anectl.core.grading import grade
from anectl.core.records import Completion, Problem
from anectl.core.scaffolds import ladder, load_template
from anectl.core.selection import Selection, process_reward

TEMPLATE = Path(__file__).resolve().parent.parent / "examples/tinyworld/scaffold.yaml"
LEVELS = ("bare", "knowledge", "plan", "facts", "partial", "worked")


def problem(answer_type: Any, answer: str, **fields: Any) -> Problem:
    """A problem with nothing but what grading looks at."""
    return Problem(**{"id": "p", "question": "?", "answer": answer, "answer_type": answer_type} | fields)


TOTAL = problem(
    "number",
    "16",
    question="What is the total of column 3?",
    tags=("total", "sum", "addition"),
    steps=("The line reads 4 7 2 3.", "4 + 7 = 11.", "11 + 2 = 13.", "13 + 3 = 16."),
)
COLOURS = ("red", "blue", "green")
GRADED: tuple[tuple[str, str, Problem], ...] = (
    ("Half of it, so \\boxed{0.5}.", "stop", problem("number", "1/2")),
    ("The length is \\boxed{120 cm}.", "stop", problem("number", "1.2", unit="m")),
    ("Answer: 3.14", "stop", problem("number", "3.1416", precision=2)),
    ("Answer: 1,000", "stop", problem("number", "1000")),
    ("Answer: 50%", "stop", problem("number", "50")),
    ("The answer is (B).", "stop", problem("choice", "B", choices=COLOURS)),
    ("Answer: blue", "stop", problem("choice", "B", choices=COLOURS)),
    ("It is not A.", "stop", problem("choice", "A", choices=COLOURS)),
    ("\\boxed{(x+1)^2}", "stop", problem("expression", "x^2+2x+1")),
    ("Answer: 7, 3, 1", "stop", problem("list", "1, 3, 7")),
    ("\\boxed{4} or \\boxed{5}", "stop", problem("number", "4")),
    ("I think it is about seven.", "stop", problem("number", "7")),
    ("Answer: 13", "length", problem("number", "135")),
)
HINTS = (
    "Add up the digits of the column, one after the other.",
    "The line reads 4 7 2 3. Begin with 4 + 7 = 11.",
    "13 + 3 = ?",
    "The total is 16.",
    "The answer is 13 + 3.",
    "It is four squared.",
)
SCORED: tuple[tuple[str, bool, tuple[float, ...]], ...] = (
    ("a", True, (0.9, 0.8, 0.7)),
    ("b", True, (0.9, 0.2, 0.9)),
    ("c", True, (0.6, 0.6, 0.6)),
    ("d", False, (0.9, 0.9, 0.9)),
)


def grades() -> str:
    """What `grade` says of some completions."""
    rows = ["| completion | truth, type | grade | reason |", "|---|---|---|---|"]
    names = {True: "correct", False: "wrong", None: "null"}
    for text, finish_reason, truth in GRADED:
        found = grade(text, finish_reason, truth)
        cut = " (cut off)" if finish_reason == "length" else ""
        unit = f" {truth.unit}" if truth.unit else ""
        rows.append(
            f"| `{text}`{cut} | {truth.answer}{unit}, {truth.answer_type} | {names[found.correct]} | `{found.reason}` |"
        )
    return "\n".join(rows)


def scaffold_levels() -> str:
    """The ladder of a problem of the tiny world."""
    texts = ladder(TOTAL, load_template(TEMPLATE))
    steps = " ".join(TOTAL.steps or ())
    rows = [f"question  {TOTAL.question}", f"solution  {steps}", f"answer    {TOTAL.answer}", ""]
    rows += [f"{level} {name:<9} {text}".rstrip() for level, (name, text) in enumerate(zip(LEVELS, texts, strict=True))]
    return "```text\n" + "\n".join(rows) + "\n```"


def giveaways() -> str:
    """What the leak check says of some hints for the same problem."""
    rows = ["| hint for that problem | gives the answer away? |", "|---|---|"]
    for hint in HINTS:
        found = giveaway(hint, TOTAL)
        rows.append(f"| {hint} | {f'yes: {found.kind}, `{found.quote}`' if found else 'no'} |")
    return "\n".join(rows)


def selections() -> str:
    """Which of four completions each rule keeps."""
    rules = {
        "prm-top, k 1": Selection(rule="prm-top", k=1, alpha=0.5, aggregate="min", seed=0),
        "prm-above 0.5": Selection(rule="prm-above", k=None, alpha=0.5, aggregate="min", seed=0),
        "all": Selection(rule="all", k=None, alpha=0.5, aggregate="min", seed=0),
    }
    made = {
        name: Completion(text=name, finish_reason="stop", correct=right, step_scores=scores)
        for name, right, scores in SCORED
    }
    right = [one for one in made.values() if one.correct]
    kept = {rule: {one.text for one in chosen.choose("key", right)} for rule, chosen in rules.items()}
    rows = [f"| completion | correct | step scores | least | {' | '.join(rules)} |", "|---|---|---|---:|---|---|---|"]
    for name, is_right, scores in SCORED:
        marks = " | ".join("kept" if name in kept[rule] else "" for rule in rules)
        shown = ", ".join(map(str, scores))
        rows.append(
            f"| {name} | {'yes' if is_right else 'no'} | {shown} | {process_reward(made[name], 'min')} | {marks} |"
        )
    return "\n".join(rows)


SHOWN = {"grades": grades, "ladder": scaffold_levels, "giveaways": giveaways, "selections": selections}
