"""Scoring profiles: by which rule a completion is judged. `strict` is ours, the others follow a published script.

A benchmark's own rule is needed to compare with published numbers; `strict` is for decisions. A profile is a module of
this package with a `PROFILE`, loaded when it is asked for. It reads the official fields of a problem from
`problem.source["fields"]`, where `anectl import` puts every field of the row but its images, and falls back to the
problem's own fields where they are missing. Where an official script picks at random, the grade is null with
reason `random_pick` and the odds in `chance`; where it asks a language model, null with reason `needs_judge`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from anectl.core.errors import UsageError
from anectl.core.grading.spec import Grade
from anectl.core.protocols import Verifier
from anectl.core.records import Problem

# One line a profile: the rule in few words.
PROFILES = {
    "strict": "typed grading: nothing is guessed, what cannot be judged is null",
    "mathvista": "MathVista: normalised by answer type, nearest choice, equality as strings",
    "mathverse": "MathVerse: the rule part, exact match of the extracted answer",
    "mathvision": "MATH-Vision: boxed answer equal to the letter or the value of the option",
    "wemath": "We-Math: first letter after the last `Answer`; four-dimensional metrics",
    "logicvista": "LogicVista: the set of extracted letters",
    "dynamath": "DynaMath: short answer by type, 0.001 on numbers; average and worst case over variants",
    "mmmu": "MMMU and MMMU-Pro: last option named, key phrases of open answers; random pick as odds",
    "mmstar": "MMStar: first character; micro and macro average",
    "mmbench": "MMBench: option by letter or text; circular evaluation",
    "chartqa": "ChartQA: relaxed accuracy, 5% on numbers",
    "m3cot": "M3CoT: last option after `[Answer]`",
    "ai2d": "AI2D: option letter, else exact text",
    "scienceqa": "ScienceQA: option letter, else exact text",
    "geometry3k": "Geometry3K as scored in RL: boxed answer, mathematical equality",
    "lmms-eval": "the rule lmms-eval applies to the problem's benchmark",
    "vlmevalkit": "the rule VLMEvalKit applies to the problem's benchmark before any judge",
}

Score: TypeAlias = Callable[[str, str, Problem, Verifier | None], Grade]
"""`(text, finish_reason, problem, verifier) -> Grade`; never raises for any text."""


class GroupMetric(Protocol):
    """A benchmark's figures over groups of problems (variants, rotations, categories), gathered row by row."""

    def add(self, problem: Problem, share: float) -> None:
        """Count one problem; `share` of its completions is correct, 0..1."""
        ...

    def results(self) -> Mapping[str, float]:
        """Name and value (a share in 0..1 unless the name says otherwise) of each figure."""
        ...


@dataclass(frozen=True, slots=True)
class Profile:
    """A rule and where it is published; `metrics` makes an empty GroupMetric where the benchmark has one."""

    name: str
    rule: str
    score: Score
    metrics: Callable[[], GroupMetric] | None = None


def load_profile(name: str) -> Profile:
    """The profile of that name. Raises UsageError for an unknown one."""
    if name not in PROFILES:
        near = difflib.get_close_matches(name, PROFILES, n=1)
        hint = f"did you mean {near[0]}?" if near else "profiles: " + ", ".join(PROFILES)
        raise UsageError(f"unknown profile {name!r}", hint=hint)
    module = importlib.import_module(f"anectl.core.profiles.{name.replace('-', '_')}")
    return cast(Profile, module.PROFILE)


def official(problem: Problem) -> Mapping[str, Any]:
    """The fields of the benchmark's row as it was published, images left out; empty for a problem from elsewhere."""
    fields = problem.source.get("fields")
    return fields if isinstance(fields, dict) else {}
