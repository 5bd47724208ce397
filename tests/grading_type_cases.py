"""More completions with their grades: intervals, sets, tuples, lists, letters, yes and no."""

from __future__ import annotations

from anectl.core.grading import GradeSpec
from tests.grading_number_cases import Row, alike

CITIES = ("Paris", "London", "Rome", "Berlin")
PRICES = ("$5", "$10", "$15", "$20")
ANGLES = ("30\u00b0", "45\u00b0", "60\u00b0", "90\u00b0")


def listed(answer: str) -> GradeSpec:
    """The spec of a problem of type list."""
    return GradeSpec(answer, "list")


def formula(answer: str) -> GradeSpec:
    """The spec of a problem of type expression."""
    return GradeSpec(answer, "expression")


INTERVALS: list[tuple[GradeSpec, list[Row]]] = [
    (
        listed("(0,1]"),
        [
            *alike("the same interval", True, "exact", "(0,1]", "(0, 1]", "$(0,1]$", "\\left(0,1\\right]"),
            *alike(
                "as an inequality", True, "numeric", "0 < x <= 1", "0 < x \\le 1", "1 \u2265 x > 0", "x \\in (0, 1]"
            ),
            *alike("ends in another notation", True, "numeric", "(0.0,1.0]", "(0, 2/2]"),
            *alike("an end more or less", False, "mismatch", "[0,1]", "(0,1)", "0<x<1", "0 \u2264 x \u2264 1", "(0,2]"),
            *alike("a list is no interval", False, "mismatch", "0, 1", "1, 0"),
        ],
    ),
    (
        listed("[0, \\infty)"),
        [
            *alike("the sign of infinity", True, "exact", "[0, \u221e)", "$[0,\\infty)$"),
            *alike("no upper end", True, "numeric", "x >= 0", "x \\ge 0", "[0, inf)", "[0,+\\infty)", "0 <= x"),
            *alike("an end less", False, "mismatch", "x > 0", "(0, \u221e)", "[0, 100)"),
            *alike("infinity is no member", False, "mismatch", "[0, \u221e]"),
        ],
    ),
    (
        formula("(-\\infty,1)\\cup(3,\\infty)"),
        [
            *alike("pieces in any order", True, "numeric", "(3,\\infty)\\cup(-\\infty,1)", "(3, inf) U (-inf, 1)"),
            *alike("as inequalities", True, "numeric", "x<1 or x>3", "x < 1 \\text{ or } x > 3", "x > 3 or x < 1"),
            *alike("one piece, or a closed end", False, "mismatch", "x<1", "(-\\infty,1]\\cup(3,\\infty)", "1 < x < 3"),
        ],
    ),
    (
        formula("[0,3]"),
        [
            *alike("whether brackets are a list or an interval is open", None, "undecided", "0 \\le x \\le 3", "0<x<3"),
            *alike("the same brackets", True, "exact", "[0,3]", "[0, 3]"),
        ],
    ),
    (formula("[0,2]\\cup[1,3)"), alike("pieces that overlap", True, "numeric", "[0,3)", "0 <= x < 3")),
    (
        formula("x>1"),
        [
            *alike("as an interval", True, "numeric", "(1,\\infty)", "1<x", "x > 1.0", "x>2/2"),
            *alike("another interval", False, "mismatch", "x\\geq 1", "x<1", "(1,2)"),
            *alike("another variable", None, "undecided", "y>1"),
        ],
    ),
    (
        formula("x \\ne 2"),
        [
            *alike("all but a point", True, "numeric", "(-\\infty,2)\\cup(2,\\infty)", "x<2 or x>2", "x\\neq 2.0"),
            *alike("all", False, "mismatch", "\\mathbb{R}", "all real numbers"),
        ],
    ),
    (formula("\\mathbb{R}"), alike("all real numbers", True, "numeric", "(-\\infty,\\infty)", "all real numbers")),
    (
        formula("[0,\\sqrt{2})"),
        [
            *alike("an end that is a formula", True, "exact", "[0,\\sqrt2)", "0\\le x<\\sqrt{2}"),
            *alike("one end is open", False, "mismatch", "[0,\\sqrt{2}]", "(0,\\sqrt{2})"),
        ],
    ),
]

COLLECTIONS: list[tuple[GradeSpec, list[Row]]] = [
    (
        formula("\\{1,2\\}"),
        [
            *alike("a set has no order", True, "exact", "\\{2,1\\}", "\\{1,2,2\\}", "{2, 1}", "2, 1", "1 and 2"),
            *alike("alternatives are a set", True, "numeric", "x=1 \\text{ or } x=2", "x = 2 or x = 1", "x = 1, x = 2"),
            *alike("a set with its name", True, "exact", "x \\in \\{1,2\\}", "S = \\{2, 1\\}", "x \u2208 {1, 2}"),
            *alike("the empty set is another", False, "mismatch", "\\{\\}"),
            *alike("a member less or more", False, "mismatch", "\\{1\\}", "\\{1,3\\}", "\\{1,2,3\\}"),
            ("\\boxed{1} and \\boxed{2}", True, "exact", "one box each"),
            ("\\boxed{1} and \\boxed{3}", False, "mismatch", "one box each, one wrong"),
        ],
    ),
    (
        listed("\\{1,2\\}"),
        [
            *alike("a set has no order", True, "exact", "{2, 1}", "1 and 2", "2 or 1", "x=2 or x=1", "2.0, 1", "2; 1"),
            *alike("another set", False, "mismatch", "1, 3", "{1}", "1, 2, 3"),
        ],
    ),
    (
        listed("x=1 or x=2"),
        [
            *alike("alternatives in the truth are a set", True, "exact", "2, 1", "x = 1 or x = 2", "\\{1,2\\}"),
            ("\\boxed{1}, \\boxed{2}", True, "exact", "one box each"),
        ],
    ),
    (listed("x=\\pm 2"), alike("both signs", True, "exact", "x = 2 or x = -2", "\u00b12", "-2, 2", "x = \\pm2")),
    (formula("\\pm 2"), alike("both signs", True, "numeric", "2,-2", "x=2 \\text{ or } x=-2", "\\{-2,2\\}")),
    (formula("\\pm 2"), alike("one sign only", False, "mismatch", "2", "-2", "\\pm 3")),
    (
        formula("(1,3)"),
        [
            *alike("a point", True, "exact", "(1, 3)", "$(1,3)$", "\\left(1,3\\right)"),
            *alike("another point", False, "mismatch", "(3,1)", "(1,4)", "(1,3,0)"),
            *alike("may be a point", None, "undecided", "1<x<3", "[1,3)"),
        ],
    ),
    (
        listed("(1, 3)"),
        [
            *alike("a tuple, brackets or not", True, "exact", "(1,3)", "1, 3", "(1; 3)", "(x,y) = (1,3)"),
            *alike("a tuple, or an open and a closed interval", None, "undecided", "[1, 3]"),
            *alike("named parts in their order", True, "exact", "x=1, y=3", "x = 1 and y = 3"),
            *alike("named parts in another order", None, "order", "y=3, x=1"),
            *alike("order counts", False, "mismatch", "(3, 1)", "(1, 3, 3)"),
            *alike("an interval is no tuple", None, "undecided", "1<x<3", "(1,3]"),
        ],
    ),
    (formula("\\{\\}"), alike("the empty set has other names", None, "undecided", "\\emptyset", "\\{1\\}")),
    (
        listed("3, 4"),
        alike("words among the numbers", None, "unparsed", "they are 3, 4", "first 3, then 4", "in order: 3, 4"),
    ),
    (listed("x=1, y=3"), alike("named parts in any order", True, "exact", "y=3, x=1", "x = 1, y = 3", "(1, 3)")),
    (
        formula("1,-2"),
        [
            *alike("the same row", True, "numeric", "1.0, -2", "x=1, x=-2", "1, -4/2"),
            *alike("whether order counts is open", None, "order", "-2,1"),
            *alike("another row", False, "mismatch", "1,2", "1,-2,3"),
        ],
    ),
    (formula("1,000"), alike("a grouped number is no row", True, "numeric", "1000", "1000.0", "10^3")),
    (
        listed("(1,2),(3,4)"),
        [
            *alike(
                "points in a row", True, "exact", "(1,2), (3,4)", "(1, 2); (3, 4)", "[[1,2],[3,4]]", "(1,2) and (3,4)"
            ),
            *alike("one of them is another", False, "mismatch", "(1,2), (3,5)", "(2,1), (3,4)", "(1,2)"),
        ],
    ),
    (
        listed("1/2, 3"),
        [
            *alike("items as numbers", True, "exact", "0.5, 3", "\\frac{1}{2}, 3.0", "[\u00bd, 3]", "one half, three"),
            *alike("items that differ", False, "mismatch", "0.5, 4", "0.5", "3, 0.5"),
        ],
    ),
    (
        listed("red, green, blue"),
        [
            *alike(
                "words",
                True,
                "exact",
                "red, green, blue",
                "Red; Green; Blue",
                "red, green, and blue",
                "[red, green, blue]",
            ),
            *alike("another order", False, "mismatch", "green, red, blue"),
            *alike("hedging", None, "several_answers", "red, green, blue or black"),
            *alike("a word more", False, "mismatch", "red, green, dark blue"),
        ],
    ),
]

LETTERS: list[tuple[GradeSpec, list[Row]]] = [
    (
        GradeSpec("A, C", "choices", ("A", "B", "C", "D")),
        [
            ("Answer: A, C", True, "exact", "an article is followed by a word, never by a comma"),
            ("Answer: A C", True, "exact", "nor by a lone letter"),
            ("Answer: C", False, "mismatch", "one of the two"),
        ],
    ),
    (
        GradeSpec("C", "choice", ("A", "B", "C", "D")),
        [("Answer: A, C", None, "several_answers", "the A is a second letter where choices are letters themselves")],
    ),
    (GradeSpec("C", "text"), [("Answer: A, C", False, "mismatch", "the A is no article")]),
    (
        GradeSpec("A, C", "choices", CITIES),
        [
            *alike(
                "every way to name two",
                True,
                "exact",
                "A,C",
                "AC",
                "A and C",
                "(A)(C)",
                "[A][C]",
                "Both A and C",
                "A & C",
            ),
            *alike("with their texts", True, "exact", "A. Paris and C. Rome", "Paris and Rome", "(A) Paris, (C) Rome"),
            *alike("Chinese comma", True, "exact", "A\u3001C", "A\uff0cC"),
            *alike("a slash may be an or", None, "unparsed", "A/C"),
            *alike("small letters run together are a word", None, "unparsed", "ac"),
            *alike("other sets", False, "mismatch", "ACD", "A and B", "(B)(C)", "Both B and D"),
            ("Both A and C are correct.", True, "exact", "a confirmation"),
            ("A and C are the correct answers.", True, "exact", "letters before the marker"),
            ("A is correct. B is wrong. C is correct.", True, "exact", "confirmations one by one"),
            ("\u7b54\u6848\uff1aAC", True, "exact", "a Chinese marker"),
        ],
    ),
    (
        GradeSpec("B", "choice", CITIES),
        [
            *alike("hedging", None, "several_answers", "A or B", "B, A", "(A) and (B)"),
            *alike("hedging in words", None, "unparsed", "either A or B", "probably B", "B?", "B/A", "Both A and B"),
            *alike(
                "letter and text", True, "exact", "B. London", "(B) London", "London (B)", "B - London", "[B]", "{B}"
            ),
            *alike("not a choice", None, "unparsed", "F", "AB1", "none of the above", "Londonderry"),
        ],
    ),
    (
        GradeSpec("B", "choice", PRICES),
        [
            *alike("a price by its value", True, "choice_text", "$10", "\\$10", "10 dollars", "10", "$10.00", "USD 10"),
            *alike("another price", False, "mismatch", "$15", "15", "(C)"),
            *alike("another currency", None, "unparsed", "\u20ac10"),
        ],
    ),
    (
        GradeSpec("C", "choice", ANGLES),
        [
            *alike(
                "an angle by its value",
                True,
                "choice_text",
                "60\u00b0",
                "$60^\\circ$",
                "60 degrees",
                "60",
                "60^{\\circ}",
            ),
            *alike("no such angle", None, "unparsed", "61\u00b0", "60 cm"),
        ],
    ),
]

YES_AND_NO: list[tuple[GradeSpec, list[Row]]] = [
    (
        GradeSpec("yes", "boolean"),
        [
            *alike(
                "yes in other languages",
                True,
                "exact",
                "ja",
                "Oui",
                "s\u00ed",
                "\u662f",
                "\u662f\u7684",
                "\u5bf9\u3002",
                "\u6b63\u786e",
            ),
            *alike(
                "yes in more languages", True, "exact", "\u0434\u0430", "\u306f\u3044", "sim", "true", "correct", "vrai"
            ),
            *alike(
                "no in other languages",
                False,
                "mismatch",
                "nein",
                "non",
                "n\u00e3o",
                "\u5426",
                "\u4e0d\u662f",
                "\u9519\u8bef",
            ),
            *alike(
                "no in more languages", False, "mismatch", "\u043d\u0435\u0442", "\u3044\u3044\u3048", "false", "falso"
            ),
            *alike(
                "grounds behind it",
                True,
                "exact",
                "\u662f\uff0c\u56e0\u4e3a\u5b83\u662f\u7ea2\u8272",
                "Ja, denn es ist rot",
                "Yes!",
            ),
            *alike("both", None, "several_answers", "ja, nein", "yes or no", "yes/no"),
            *alike(
                "neither", None, "unparsed", "maybe", "perhaps yes", "\u5426\u5b9a\u7684", "yesterday", "unsure", "y"
            ),
            ("Answer: No. Checking again, the answer is correct.", False, "mismatch", "a remark on the answer is none"),
            ("\u7b54\u6848\u662f\uff1a\u662f", True, "exact", "a Chinese marker"),
            ("\u7b54\u6848\u662f\u5426\u5b9a\u7684", None, "unparsed", "a word that begins with no"),
        ],
    ),
    (
        GradeSpec("\u6b63\u786e", "boolean"),
        [
            *alike("a truth in another language", True, "exact", "true", "\u5bf9", "yes"),
            *alike("its opposite", False, "mismatch", "\u9519", "false"),
        ],
    ),
    (GradeSpec("perhaps", "boolean"), alike("a truth that is neither", None, "truth_unparsed", "yes", "no")),
]

TYPE_TABLE = [*INTERVALS, *COLLECTIONS, *LETTERS, *YES_AND_NO]
