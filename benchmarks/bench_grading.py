"""`grade()` with its verifier against calling math-verify on every row: parse the truth, parse the completion, verify.

Usage: python benchmarks/bench_grading.py [--rows 20000] [--profile]

The rows are made from a fixed seed: 40% numbers (whole, decimal, fraction, thousands, percent, with a unit), 30%
choices, 29% LaTeX (fractions, surds, polynomials, rational functions, multiples of pi, trigonometry, tuples, intervals,
sets, equations) and 1% identities, which exact algebra leaves to the verifier. Half of them are right, in another
notation, and each answer stands behind some sentences of reasoning, in a box or after `Answer:`. One after the other in
the same process, each with cold caches: math-verify is used once before its clock starts, and `grade()` has its worker
started, so that neither pays for imports. Prints rows per second, the ratio, where the two disagree, how fast
math-verify is when it is given the answer alone, and, apart, what hostile rows among the others cost.
"""

from __future__ import annotations

import argparse
import cProfile
import logging
import pstats
import random
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from math_verify import parse, verify

from anectl.core.grading import Grade, GradeSpec, grade
from anectl.core.records import AnswerType
from anectl.engines.math_verifier import MathVerifier

HOSTILE = (
    "9^{9^{9^9}}",
    "(" * 10_000 + "1" + ")" * 10_000,
    "7" * 1_000_000,
    "99999999!",
    "(x+1)^{5000}",
    "\\frac{1}{" * 100 + "2" + "}" * 100,
    "+".join("1" * 1001),
)
THOUGHTS = (
    "We are given the figure and look for the value that is asked. ",
    "From the diagram the two sides are equal, so the angles at the base are equal as well. ",
    "Substituting $x = {a}$ gives $2x + {b} = {c}$, and the rest follows by subtraction. ",
    "The area is $\\frac{{1}}{{2}} \\cdot {a} \\cdot {b}$, which we keep for later. ",
    "Let me check the second condition: {a} + {b} is not {c}, so that case is excluded. ",
)
ENDINGS = (
    "So the final answer is \\boxed{{{}}}.",
    "Therefore, the answer is $\\boxed{{{}}}$.",
    "\n\n\\boxed{{{}}}",
    "\nAnswer: {}",
    "\nThe answer is ${}$.",
)


Made: TypeAlias = tuple[AnswerType, str, str, str, dict[str, Any]]
"""Answer type, truth, the same in another notation, something else, other fields of the spec."""
Maker: TypeAlias = Callable[[random.Random], Made]


class Row(NamedTuple):
    """A completion, what it is compared with, and whether its answer is right."""

    spec: GradeSpec
    text: str
    answer: str
    right: bool
    kind: str


def rows(count: int, seed: int = 0) -> list[Row]:
    """The mixed answers; the same for the same seed."""
    rng = random.Random(seed)
    weights = {_number: 40.0, _choice: 30.0, _identity: 1.0} | dict.fromkeys(EXPRESSIONS, 2.9)
    chosen = rng.choices(list(weights), list(weights.values()), k=count)
    return [_row(rng, maker) for maker in chosen]


def _row(rng: random.Random, maker: Maker) -> Row:
    answer_type, truth, same, other, extra = maker(rng)
    right = rng.random() < 0.5
    thoughts = "".join(
        rng.choice(THOUGHTS).format(a=rng.randint(2, 40), b=rng.randint(2, 40), c=rng.randint(2, 90))
        for _ in range(rng.randint(1, 3))
    )
    answer = same if right else other
    text = thoughts + rng.choice(ENDINGS).format(answer)
    return Row(GradeSpec(truth, answer_type, **extra), text, answer, right, maker.__name__.strip("_"))


def _number(rng: random.Random) -> Made:
    n = rng.randint(2, 9999)
    form = rng.randrange(6)
    if form == 0:
        return "number", str(n), str(n), str(n + rng.randint(1, 9)), {}
    if form == 1:
        return "number", f"{n / 100:.2f}", f"{n / 100:.2f}", f"{n / 100 + 0.1:.2f}", {}
    if form == 2:
        value = Fraction(n, rng.choice((3, 7, 8, 12)))
        frac = f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
        return "number", f"{value.numerator}/{value.denominator}", frac, frac.replace("frac{", "frac{1"), {}
    if form == 3:
        n = n % 900 + 1
        return "number", str(n * 1000), f"{n},000", f"{n + 1},000", {}
    if form == 4:
        return "number", f"{n % 100}%", f"{n % 100}\\%", f"{n % 100 + 1}\\%", {}
    return "number", str(n), f"{n} cm", f"{n + 2} cm", {"unit": "cm"}


def _choice(rng: random.Random) -> Made:
    right, wrong = rng.sample("ABCD", 2)
    form = rng.choice(("{}", "({})", "\\text{{{}}}", "{}."))
    choices = tuple(str(rng.randint(1, 9) + 10 * k) for k in range(4))
    return "choice", right, form.format(right), form.format(wrong), {"choices": choices}


def _fraction(rng: random.Random) -> Made:
    p, q = rng.randint(1, 30), rng.choice((4, 6, 9, 11, 15))
    x = rng.choice("xyab")
    truth = f"\\frac{{{p}{x}}}{{{q}}}"
    return "expression", truth, f"\\dfrac{{{2 * p}{x}}}{{{2 * q}}}", f"\\frac{{{p + 1}{x}}}{{{q}}}", {}


def _surd(rng: random.Random) -> Made:
    a, b, k = rng.randint(2, 9), rng.choice((2, 3, 5, 6, 7)), rng.randint(1, 9)
    return "expression", f"{k}+{a}\\sqrt{{{b}}}", f"\\sqrt{{{a * a * b}}}+{k}", f"{k}+{a + 1}\\sqrt{{{b}}}", {}


def _polynomial(rng: random.Random) -> Made:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    return "expression", f"(x+{a})(x-{b})", f"x^2+{a - b}x-{a * b}".replace("+-", "-"), f"x^2+{a}x-{a * b}", {}


def _rational_function(rng: random.Random) -> Made:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    truth = f"\\frac{{{a}}}{{x}}+\\frac{{{b}}}{{x+1}}"
    return "expression", truth, f"\\frac{{{a + b}x+{a}}}{{x(x+1)}}", f"\\frac{{{a + b}x+{b + 10}}}{{x^2+x}}", {}


def _pi(rng: random.Random) -> Made:
    a, b = rng.randint(2, 30), rng.randint(2, 30)
    return "expression", f"{a}\\pi-{2 * b}", f"-{2 * b} + {a} \\pi", f"{a}\\pi+{2 * b}", {}


def _trigonometry(rng: random.Random) -> Made:
    a, f = rng.randint(2, 9), rng.choice(("\\sin", "\\cos", "\\tan"))
    if rng.random() < 0.5:
        truth, same = f"{a}\\sin\\frac{{\\pi}}{{3}}", f"\\frac{{{a}\\sqrt{{3}}}}{{2}}"
        return "expression", truth, same, f"\\frac{{{a}\\sqrt{{2}}}}{{2}}", {}
    return "expression", f"{a}{f} x+1", f"1+{a}{f}(x)", f"{a}{f} x-1", {}


def _tuple(rng: random.Random) -> Made:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    return "expression", f"({a},{b})", f"\\left({a}, \\frac{{{2 * b}}}{{2}}\\right)", f"({a}, {b + 1})", {}


def _interval(rng: random.Random) -> Made:
    a, b = rng.randint(-9, 9), rng.randint(10, 20)
    return "expression", f"[{a},{b})", f"\\left[{a}, {b}\\right)", f"[{a}, {b + 1})", {}


def _set(rng: random.Random) -> Made:
    a, b = rng.randint(1, 20), rng.randint(21, 40)
    return "expression", f"\\{{{a},{b}\\}}", f"\\{{{b}, {a}\\}}", f"\\{{{a}, {b + 1}\\}}", {}


def _equation(rng: random.Random) -> Made:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    return "expression", f"y={a}x+{b}", f"y = {b} + {a}x", f"y={a}x-{b}", {}


def _identity(rng: random.Random) -> Made:
    a, b = rng.randint(1, 99), rng.randint(2, 99)
    return "expression", f"{a + b}+x", f"x+{a}+{b}\\sin^2 x+{b}\\cos^2 x", f"x+{a}+{b + 1}\\sin^2 x+{b}\\cos^2 x", {}


EXPRESSIONS = (
    _fraction,
    _surd,
    _polynomial,
    _rational_function,
    _pi,
    _trigonometry,
    _tuple,
    _interval,
    _set,
    _equation,
)


class Seconds(NamedTuple):
    """By the clock and of this processor."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Seconds:
        """The readings of both."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Seconds) -> Seconds:
        """The time between two readings."""
        return Seconds(self.clock - start.clock, self.processor - start.processor)


def time_ours(sample: list[Row], verifier: MathVerifier) -> tuple[Seconds, list[Grade]]:
    """Time and grades."""
    started = Seconds.now()
    grades = [grade(row.text, "stop", row.spec, verifier) for row in sample]
    return Seconds.now().since(started), grades


def time_math_verify(sample: list[Row]) -> tuple[Seconds, list[bool]]:
    """Time and verdicts of math-verify with its default settings."""
    started = Seconds.now()
    verdicts = [bool(verify(parse(f"${row.spec.answer}$"), parse(row.text))) for row in sample]
    return Seconds.now().since(started), verdicts


def time_answers_alone(sample: list[Row]) -> Seconds:
    """Time of math-verify when somebody else has found the answer in the completion."""
    started = Seconds.now()
    for row in sample:
        verify(parse(f"${row.spec.answer}$"), parse(f"${row.answer}$"))
    return Seconds.now().since(started)


def print_disagreement(sample: list[Row], ours: list[Grade], theirs: list[bool]) -> None:
    """How often the two agree with each other and with the truth, and an example of each kind of difference."""
    agreed = sum(grade.correct is verdict for grade, verdict in zip(ours, theirs, strict=True))
    right_ours = sum(grade.correct is row.right for row, grade in zip(sample, ours, strict=True))
    right_theirs = sum(verdict is row.right for row, verdict in zip(sample, theirs, strict=True))
    print(f"agreement: {agreed / len(sample):.2%}; right: grade {right_ours / len(sample):.2%}, math-verify ", end="")
    print(f"{right_theirs / len(sample):.2%}")
    kinds: Counter[tuple[str, bool | None, str, bool]] = Counter()
    examples: dict[tuple[str, bool | None, str, bool], tuple[str, str]] = {}
    for row, judged, verdict in zip(sample, ours, theirs, strict=True):
        if judged.correct is not verdict:
            kind = (row.kind, judged.correct, str(judged.reason), verdict)
            kinds[kind] += 1
            examples.setdefault(kind, (row.spec.answer, row.text[-40:]))
    for kind, count in kinds.most_common(15):
        name, correct, reason, verdict = kind
        print(f"  {count:5} {name}: grade {correct} ({reason}), math-verify {verdict}: {examples[kind]}")
    print("reasons:", dict(Counter(judged.reason for judged in ours).most_common()))


def print_hostile(sample: list[Row], verifier: MathVerifier) -> None:
    """What the hostile answers among ordinary ones cost, and that each row has a grade."""
    spec = GradeSpec("x^2+1", "expression")
    mixed = [Row(spec, f"So it is \\boxed{{{text}}}", text, False, "hostile") for text in HOSTILE]
    mixed += [Row(spec, f"Answer: {text}", text, False, "hostile") for text in HOSTILE]
    mixed = random.Random(2).sample(mixed + sample, len(mixed) + len(sample))
    seconds, grades = time_ours(mixed, verifier)
    reasons = Counter(judged.reason for row, judged in zip(mixed, grades, strict=True) if row.kind == "hostile")
    assert len(grades) == len(mixed)
    print(f"hostile: {2 * len(HOSTILE)} among {len(mixed)} rows, {seconds.clock:.1f} s, {len(grades)} grades; ", end="")
    print(f"theirs: {dict(reasons)}; verifier: {verifier.counts()}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="print the costliest functions of grade()")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    sample = rows(options.rows)
    with MathVerifier() as verifier:
        verifier.equal("2x", "x+x")
        if options.profile:
            with cProfile.Profile() as profile:
                time_ours(sample, verifier)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            return
        ours, grades = time_ours(sample, verifier)
        print(f"grade():     {len(sample) / ours.clock:8.0f} rows/s ({ours.clock:.2f} s), {verifier.counts()}")
        verify(parse("$x+1$"), parse("$\\frac{x}{2}$"))
        theirs, verdicts = time_math_verify(sample)
        print(f"math-verify: {len(sample) / theirs.clock:8.0f} rows/s ({theirs.clock:.2f} s)")
        print(f"ratio: {theirs.clock / ours.clock:.1f} by the clock, ", end="")
        print(f"{theirs.processor / ours.processor:.1f} by processor time (bar: at least 20)")
        print_disagreement(sample, grades, verdicts)
        part = sample[: len(sample) // 10]
        alone = time_answers_alone(part).clock / len(part)
        print(f"math-verify on the answers alone, extraction left out: {1 / alone:.0f} rows/s, ", end="")
        print(f"ratio {alone * len(sample) / ours.clock:.1f}")
        print_hostile(rows(1000, seed=1), verifier)


if __name__ == "__main__":
    main()
