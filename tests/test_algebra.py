"""Exact algebra: what it proves, what it refuses, and that it never contradicts math-verify on honest answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anectl.core.grading import GradeSpec, grade
from anectl.core.grading.algebra import equal

# Families of groups: two notations of one group are equal, two of different groups of a family are not.
FAMILIES = [
    [
        ["\\frac{1}{2}", "0.5", "\\frac{2}{4}", "1/2", "\\dfrac12", "2^{-1}", "\\tfrac{3}{6}"],
        ["\\frac{1}{3}", "2/6", "\\frac{\\frac{1}{2}}{\\frac{3}{2}}"],
        ["-\\frac{3}{4}", "-0.75", "\\frac{-3}{4}", "\\frac{3}{-4}"],
        ["\\frac{17}{12}", "1\\frac{5}{12}", "\\frac{2}{3}+\\frac{3}{4}"],
        ["\\frac{3}{4}", "0.75"],
    ],
    [
        ["2\\sqrt{3}", "\\sqrt{12}", "\\frac{6}{\\sqrt{3}}", "\\sqrt{3}+\\sqrt{3}", "2 \\cdot \\sqrt{3}"],
        ["3\\sqrt{2}", "\\sqrt{18}", "\\frac{6}{\\sqrt2}"],
        ["\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}", "\\sqrt{\\frac{1}{2}}"],
        ["1+\\sqrt{5}", "\\sqrt{5}+1", "\\frac{4}{\\sqrt{5}-1}"],
        ["\\frac{1+\\sqrt{5}}{2}", "0.5+\\frac{\\sqrt5}{2}"],
        ["\\sqrt[3]{16}", "2\\sqrt[3]{2}"],
        ["\\sqrt{6}", "\\sqrt{2}\\cdot\\sqrt{3}"],
        ["2-\\sqrt{3}", "\\frac{1}{2+\\sqrt{3}}"],
    ],
    [
        ["x^2-1", "(x-1)(x+1)", "(x+1)(x-1)", "-1+x^2", "-(1-x^2)"],
        ["x^2+2x+1", "(x+1)^2", "x(x+2)+1"],
        ["x^2+1", "1+x^{2}"],
        ["x^2-2x+1", "(x-1)^{2}", "(1-x)^2"],
        ["x^3-1", "(x-1)(x^2+x+1)"],
        ["2x^2-2", "2(x^2-1)", "2(x-1)(x+1)"],
    ],
    [
        ["\\frac{x}{2}", "0.5x", "\\frac{1}{2}x", "x/2"],
        ["\\frac{x+1}{x-1}", "\\frac{-x-1}{1-x}", "1+\\frac{2}{x-1}"],
        ["\\frac{1}{x}+\\frac{1}{x+1}", "\\frac{2x+1}{x(x+1)}", "\\frac{2x+1}{x^2+x}"],
        ["\\frac{1}{x^2}", "x^{-2}"],
        ["2x", "x+x"],
    ],
    [
        ["\\pi", "\\frac{2\\pi}{2}"],
        ["\\frac{\\pi}{6}", "\\frac{1}{6}\\pi", "\\pi/6"],
        ["2\\pi+4", "4+2\\pi", "2(\\pi+2)"],
        ["\\frac{4}{3}\\pi", "\\frac{4\\pi}{3}"],
        ["9\\pi", "3^2\\pi", "\\pi\\cdot 9"],
        ["16-4\\pi", "4(4-\\pi)", "-4\\pi+16"],
        ["100\\pi", "10^2 \\pi"],
    ],
    [
        ["\\sin\\frac{\\pi}{6}", "\\frac12", "\\cos\\frac{\\pi}{3}", "\\sin(\\frac{5\\pi}{6})"],
        ["\\cos\\frac{\\pi}{6}", "\\frac{\\sqrt{3}}{2}", "\\sin\\left(\\frac{\\pi}{3}\\right)"],
        ["\\tan\\frac{\\pi}{4}", "1", "\\sin\\frac{\\pi}{2}"],
        ["\\tan\\frac{\\pi}{3}", "\\sqrt3"],
        ["\\cos\\pi", "-1", "\\cos 0 - 2"],
        ["\\sin(\\frac{\\pi}{12})", "\\frac{\\sqrt6-\\sqrt2}{4}"],
    ],
    [
        ["2\\sin x", "\\sin x+\\sin x", "2 \\sin(x)"],
        ["\\sin 2x", "\\sin(2x)"],
        ["\\cos x", "\\cos(-x)"],
        ["\\sin x\\cos x", "\\cos x \\sin x", "\\cos(x)\\sin(x)"],
        ["\\sin^2 x", "(\\sin x)^2", "\\sin(x)^2"],
        ["\\tan x", "\\frac{\\sin x}{\\cos x}"],
        ["\\ln x", "\\ln(x)"],
        ["\\ln 8", "3\\ln 2"],
        ["e^{x}", "\\exp(x)"],
        ["e^{2x}", "e^x e^x"],
    ],
    [
        ["(1,2)", "\\left(1, 2\\right)", "(\\frac{2}{2},\\sqrt{4})"],
        ["(2,1)", "(\\frac{4}{2},1)"],
        ["(1,3)"],
        ["(-1,2)", "(-1, \\frac{4}{2})"],
    ],
    [["(1,2,3)", "(1, 2, \\sqrt{9})"], ["(1,3,2)"], ["(0,2,3)"]],
    [
        ["[0,\\infty)", "\\left[0,\\infty\\right)"],
        ["(0,\\infty)"],
        ["(-\\infty,0]", "\\left(-\\infty, 0\\right]"],
        ["[1,\\infty)"],
    ],
    [
        ["\\{1,2\\}", "\\{2,1\\}", "\\left\\{1,2\\right\\}"],
        ["\\{1,3\\}"],
        ["\\{-1,2\\}", "\\{2,-1\\}"],
        ["\\{\\sqrt{4},3\\}", "\\{3,2\\}"],
    ],
    [["(-\\infty,1)\\cup(2,\\infty)", "(2,\\infty)\\cup(-\\infty,1)"]],
    [["y=2x+1", "y = 1+2x"], ["y=2x-1"], ["y=3x+1"]],
    [["x=5", "x = \\frac{10}{2}", "5"], ["x=6", "6"]],
    [["x>3", "3<x"], ["x<3", "3 > x"], ["x>4"], ["x\\ge 3", "x \\geq 3"]],
    [
        ["a+b", "b+a"],
        ["a-b", "-(b-a)"],
        ["ab", "ba", "a\\cdot b"],
        ["\\frac{a}{b}", "a/b"],
        ["(a+b)^2", "a^2+2ab+b^2"],
        ["a^2-b^2", "(a-b)(a+b)"],
        ["a^2b", "ba^2"],
    ],
    [
        ["3x+2y", "2y+3x"],
        ["3x-2y"],
        ["x_1+x_2", "x_2+x_1"],
        ["5n", "5 \\cdot n"],
        ["n(n+1)/2", "\\frac{n^2+n}{2}", "\\frac{n(n+1)}{2}"],
        ["2^n"],
        ["2^{n+1}", "2\\cdot 2^n"],
        ["k"],
    ],
    [
        ["|x|"],
        ["|2x|", "2|x|"],
        ["\\sqrt{x}", "x^{1/2}", "x^{\\frac{1}{2}}"],
        ["x\\sqrt{x}", "x^{3/2}"],
        ["\\sqrt{x+1}", "(x+1)^{1/2}"],
    ],
    [
        ["10^6", "1000000"],
        ["3\\cdot10^{8}", "300000000"],
        ["2^{10}", "1024", "32^2"],
        ["7^0", "1"],
        ["120", "4!+96"],
        ["\\binom{5}{2}", "10"],
    ],
    [["\\alpha+\\beta", "\\beta+\\alpha"], ["2\\theta", "\\theta+\\theta"], ["\\alpha-\\beta"]],
]


def pairs() -> Iterator[tuple[str, str, bool]]:
    """Each notation against the first of its group, and the first of each group against the last of the others."""
    for family in FAMILIES:
        for number, group in enumerate(family):
            yield from ((group[0], other, True) for other in group)
            yield from ((other, group[0], True) for other in group[1:])
            yield from ((group[0], other[-1], False) for other in family if other is not group)
            yield from ((group[-1], other[0], False) for other in family[:number])


PAIRS = sorted(set(pairs()))
# (truth, given, here, math-verify): where the two differ on purpose.
DIFFERENCES = [
    ("\\sin 30^\\circ", "\\frac12", True, False),  # degrees are degrees
    ("sin(x)", "\\sin x", True, False),  # it reads s i n(x)
    ("pi", "\\pi", True, False),  # it reads p i
    ("x^2/x", "x", True, False),  # cancelled here
    ("x^{-1}+x-x", "\\frac1x", True, True),
    ("2x>6", "x>3", True, False),  # one inequality, scaled
    ("0.0000001", "0.0000002", False, True),  # it rounds to six places
    ("0.333333", "1/3", None, True),  # neither equal nor clearly apart
    ("\\sin^2 x+\\cos^2 x", "1", None, True),  # identities of functions need the verifier
    ("\\sqrt{3+2\\sqrt2}", "1+\\sqrt2", None, True),  # so do nested roots
    ("\\log 100", "2", None, True),  # of base 10 or e
    ("1/2x", "\\frac{1}{2x}", None, True),  # readers disagree
    ("2^3^2", "512", None, False),
    ("2 1/3", "7/3", None, False),
    ("x(y)", "xy", None, False),
    ("f(x)", "fx", None, False),
    ("5", "5m", None, True),  # it takes the letter for a unit
    ("X", "x", None, True),
    ("1e-9", "2e-9", None, False),
    ("50\\%", "0.5", None, True),
    ("30^\\circ", "30", None, True),
    ("(1,2)", "1,2", None, True),
    ("\\sqrt[3]{-8}", "-2", None, False),
    ("(1+i)^2", "2i", None, False),  # i is a variable or the imaginary unit
    ("\\frac{1}{0}", "1", None, False),
    ("0^0", "1", None, True),
]
HOSTILE = [
    "9^{9^{9^{9}}}",
    "99999999!",
    "(" * 140 + "1" + ")" * 140,
    "\\frac{1}{" * 25 + "2" + "}" * 25,
    "{" * 150 + "}" * 150,
    "x^" * 149 + "x",
    "-" * 300,
    "2^{300000000}",
    "(x+1)^{5000}",
    "(a+b+c+d+f+g)^{50}",
    "(((x+y+1)^{9})^{9})^{9}",
    "+".join(["(x+1)^{50}"] * 25),
    "+".join([f"\\frac{{1}}{{x+{k}}}" for k in range(20)]),
    "\\sin(" * 18 + "x" + ")^5+x)^5" * 18,
    "7" * 300 + "!",
    "\\sqrt{" * 19 + "x+1" + "}" * 19,
    "\\sqrt[12]{" + "9" * 250 + "}",
    "|" * 300,
    "7" * 1_000_000,
    "(" * 1_000_000,
]


@pytest.mark.parametrize(("truth", "stated", "expected"), PAIRS)
def test_the_corpus(truth: str, stated: str, expected: bool) -> None:
    assert equal(truth, stated) is expected


def test_the_corpus_is_large_enough() -> None:
    assert len(PAIRS) >= 300
    assert sum(expected for *_, expected in PAIRS) > 100
    assert sum(not expected for *_, expected in PAIRS) > 100


@pytest.mark.parametrize(("truth", "stated", "here"), [row[:3] for row in DIFFERENCES])
def test_what_readers_disagree_about_is_left_open(truth: str, stated: str, here: bool | None) -> None:
    assert equal(truth, stated) is here


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_soon_refused(text: str) -> None:
    for truth, stated in (("1", text), (text, "x"), (text, text + " "), (f"x+{text[:280]}", text)):
        started = time.process_time()
        equal(truth, stated)
        assert time.process_time() - started < 1


_PLAIN = "0 1 2 12 0.5 x y e i m ( ) { } [ ] | , ; + - * / ^ _ ! = < > \u00b0 \u221a \u221e sin ln sqrt pi"
_COMMANDS = "frac sqrt sqrt[ pi sin cos tan ln log log_ arcsin infty cup in cdot binom left( right) { }"
PIECES = [" ", *_PLAIN.split(), *("\\" + name for name in _COMMANDS.split())]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
@settings(deadline=None, max_examples=1500)
def test_no_formula_raises(text: str) -> None:
    found = equal(text, text + " ")
    assert found is not False
    assert equal(text, "x+1") in (True, False, None)


@given(st.text("0123456789xyab+-*/^_=<>(){}[]|,.!\u00b0\\ fracsqtinloge", max_size=60))
@settings(deadline=None, max_examples=400)
def test_no_text_raises(text: str) -> None:
    started = time.process_time()
    equal("x+1", text)
    equal(text, text[::-1])
    assert time.process_time() - started < 1


def _sums(children: Any) -> Any:
    joined = st.tuples(children, st.sampled_from("+-*"), children)
    return joined.map(lambda t: (f"({t[0][0]}{t[1]}{t[2][0]})", _joined(t[0][1], t[1], t[2][1])))


def _joined(left: Fraction, sign: str, right: Fraction) -> Fraction:
    return left + right if sign == "+" else left - right if sign == "-" else left * right


_leaves = st.fractions(-9, 9, max_denominator=9).map(
    lambda f: (f"\\frac{{{f.numerator}}}{{{f.denominator}}}" if f.denominator > 1 else f"({f.numerator})", f)
)


@given(st.recursive(_leaves, _sums, max_leaves=8))
def test_arithmetic_is_exact(case: tuple[str, Fraction]) -> None:
    text, value = case
    assert equal(text, f"{value.numerator}/{value.denominator}") is True
    assert equal(f"({value})x", f"{text}*x") is True
    assert equal(f"{value + 1}", text) is False


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=4), st.integers(-9, 9))
def test_a_product_of_factors_is_its_expansion(roots: list[int], other: int) -> None:
    coefficients = [1]
    for root in roots:  # times (x - root), highest power first
        coefficients = [a - root * b for a, b in zip([*coefficients, 0], [0, *coefficients], strict=True)]
    expanded = "+".join(f"({c})x^{{{len(roots) - k}}}" for k, c in enumerate(coefficients))
    factored = "".join(f"(x-({root}))" for root in roots)
    assert equal(expanded, factored) is True
    assert equal(f"{expanded}+({other})", factored) is (other == 0)


@given(st.integers(2, 400), st.integers(1, 30))
def test_roots_are_taken_out_and_rationalised(inside: int, outside: int) -> None:
    assert equal(f"\\sqrt{{{inside * outside**2}}}", f"{outside}\\sqrt{{{inside}}}") is True
    assert (
        equal(f"\\frac{{{outside}}}{{\\sqrt{{{inside}}}}}", f"\\frac{{{outside}\\sqrt{{{inside}}}}}{{{inside}}}")
        is True
    )
    assert equal(f"{outside}\\sqrt{{{inside}}}", f"{outside + 1}\\sqrt{{{inside}}}") is False


def test_it_decides_without_a_verifier_and_says_so() -> None:
    spec = GradeSpec("\\frac{x^2-1}{2}", "expression")
    assert grade("\\boxed{0.5(x-1)(x+1)}", "stop", spec).reason == "algebra"
    assert grade("\\boxed{0.5(x-1)^2}", "stop", spec).reason == "mismatch"
    assert grade("\\boxed{\\sin^2 x}", "stop", GradeSpec("1-\\cos^2 x", "expression")).reason == "no_verifier"


@pytest.mark.parametrize(
    "text", ["+".join("1" * 1001), "\\frac{1}{" * 100 + "2" + "}" * 100, "2^{300000000} \\bmod 7", "9^{9^{9^{9}}}"]
)
def test_known_false_positives_stay_undecided(text: str) -> None:
    for truth in ("1", "\\frac{1}{2}", "7"):
        assert equal(truth, text) is None
        assert grade(f"\\boxed{{{text}}}", "stop", GradeSpec(truth, "expression")).correct is None


def test_it_agrees_with_math_verify() -> None:
    math_verify = pytest.importorskip("math_verify")

    @cache
    def parsed(text: str) -> list[Any]:
        # Its timeouts need alarms of the main thread; these inputs are small.
        return math_verify.parse(f"${text}$", fallback_mode="no_fallback", parsing_timeout=None)  # type: ignore[no-any-return]

    def verified(truth: str, stated: str) -> bool:
        return bool(math_verify.verify(parsed(truth), parsed(stated), timeout_seconds=None))

    chosen = [pair for pair in PAIRS if pair[0] != pair[1]]
    against = [(truth, stated, verified(truth, stated)) for truth, stated, _ in chosen[:: len(chosen) // 320]]
    assert len(against) >= 300
    assert [row for row in against if equal(row[0], row[1]) not in (row[2], None)] == []
    assert [row for row in DIFFERENCES if verified(*row[:2]) is not row[3]] == []
