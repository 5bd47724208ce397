"""More completions with their grades: answers that are taken back, doubled or garbled, and honest ones like them."""

from __future__ import annotations

from anectl.core.grading import GradeSpec
from tests.grading_marker_cases import B, stated
from tests.grading_number_cases import Row, alike, number
from tests.grading_type_cases import CITIES, formula, listed

NO = GradeSpec("no", "boolean")
YES = GradeSpec("yes", "boolean")
PARIS = GradeSpec("Paris", "text")
FIVES = GradeSpec("B", "choice", ("2", "3", "4", "1"))

HEDGES: list[tuple[GradeSpec, list[Row]]] = [
    (
        number("5"),
        [
            *alike("other relations than equality", None, "unparsed", "x != 5", "x >= 5", "x <= 5", "x =/= 5"),
            *alike("an equation denied", None, "unparsed", "not x = 5", "x is not = 5"),
            *alike("the last of several values", None, "several_answers", "x = 6 or x = 5", "x=6 and x=5"),
            *alike("values of several names", None, "several_answers", "x = 6, y = 5", "x = 6; x = 5"),
            *alike("an equation for another number", None, "unparsed", "2x = 5", "x^2 = 5", "-x = 5"),
            *alike("a remark that casts doubt", None, "unparsed", "5 (wrong)", "5 (not)", "5 (or six)", "5 (six)"),
            *alike("a remark that does not", True, "numeric", "5 (five)", "5 (to the nearest integer)"),
            *alike("taken back", None, "unparsed", "5, which is wrong", "5. Wait, it is 6", "5. Actually 6"),
            *alike("another one behind it", None, "several_answers", "5. Or 6"),
            *alike("taken back in words", None, "unparsed", "5. No, 6", "5. But 6 is possible", "5. This is wrong."),
            *alike("grounds", True, "numeric", "5. No other value works.", "5. Note the 2", "5, which is the sum of 2"),
            *alike("a factorial, or an exclamation", None, "unparsed", "5!", "**5!**"),
            *stated("a sentence exclaims", True, "exact", "The answer is 5!"),
            *alike("kelvins or thousands", None, "unit", "5K"),
            *alike(
                "no units", None, "unparsed", "5 grand", "5 in binary", "5 hex", "5 doubled", "5 twice", "5 too few"
            ),
            *alike("no units either", None, "unparsed", "5 tens", "5 basis points", "5 ppm", "5 excluded", "5 hardly"),
            *alike("struck out", None, "unparsed", "~~5~~"),
            *alike("names of a number", True, "numeric", "|AB| = 5", "f(1, 2) = 5", "a + b = 5", "2\\cdot 2 + 1 = 5"),
            *stated("numbered steps are no answer", None, "unparsed", "Answer:\n5. Add them\n6. Stop", "Answer:\n- 5"),
            *stated("bullets with two answers", None, "several_answers", "Answer:\n- 6\n- 5\n"),
        ],
    ),
    (number("23"), alike("stars of a power are no emphasis", None, "unparsed", "2**3")),
    (number("-3"), alike("minus in words before digits", True, "numeric", "minus 3", "negative 3")),
    (
        GradeSpec("50%", "number", precision=0),
        [
            *alike("the precision is that of the percentage", False, "mismatch", "0.7", "0.6", "1", "49%"),
            *alike("within it", True, "numeric", "0.5", "50.4%", "0.496"),
        ],
    ),
    (GradeSpec("300", "number", unit="K"), alike("where kelvins are asked for", True, "numeric", "300K", "300 kelvin")),
    (
        B,
        [
            *alike(
                "taken back", None, "unparsed", "B, which is wrong", "B, which is incorrect", "B. Or Berlin", "B? no"
            ),
            *alike("the text of another choice", None, "several_answers", "B. Surely Paris", "B. Paris is the capital"),
            *alike("two texts", None, "several_answers", "B. London or Paris"),
            *alike("struck out", None, "unparsed", "~~B~~"),
            *alike(
                "other choices in the grounds", True, "exact", "B, since Paris is in France", "B, as Rome is in Italy"
            ),
            *alike("its own text in the remark", True, "exact", "B. London is the capital of England", "B!"),
            *stated("a bullet", True, "exact", "Answer:\n- B\n"),
            *stated("the choices echoed as a list", None, "several_answers", "Answer:\n- A. Paris\n- B. London\n"),
            *stated("a tag with a space", None, "unparsed", "<think >\\boxed{B}</think >"),
        ],
    ),
    (
        FIVES,
        [
            ("Answer: 3 (A)", None, "several_answers", "the letter in brackets is no remark"),
            ("Answer: B. 3. No, 4", None, "several_answers", "taken back behind its own text"),
            ("Answer: B. 3/4", None, "several_answers", "another text behind its own"),
        ],
    ),
    (
        GradeSpec("B", "choice", ("No, it is red", "No, it is blue", "Yes")),
        alike("a choice that begins like a change of mind", True, "exact", "B. No, it is blue", "(B) No, it is blue"),
    ),
    (
        YES,
        [
            *alike("the other value behind it", None, "several_answers", "Yes - no", "Yes! No", "Yes. Actually no."),
            *alike("a claim against it", None, "several_answers", "Yes, it is false", "Yes, that is not true"),
            *alike("taken back", None, "several_answers", "Yes, which is wrong", "Yes. Wait.", "Yes, they are not."),
            *alike("a condition", None, "several_answers", "Yes, if x, otherwise no"),
            *alike("a claim for it", True, "exact", "Yes, it is true", "Yes, that is correct", "Yes - no tile is red"),
        ],
    ),
    (
        NO,
        [
            *alike("a claim against it", None, "several_answers", "No, it is true", "No, the statement is true"),
            *alike("a claim for it", True, "exact", "No, it is not true", "No, that is incorrect", "No, but nearly"),
        ],
    ),
    (
        PARIS,
        alike("taken back", None, "several_answers", "Paris. Or London", "Paris, which is wrong", "Paris. Wait, Rome"),
    ),
    (
        GradeSpec("[2, 3)", "text"),
        alike("brackets that fold away", None, "undecided", "(2, 3]", "2, 3", "[2, 3]"),
    ),
    (GradeSpec("5'", "text"), alike("signs behind a digit", None, "undecided", '5"', "5")),
    (
        listed("(1, 2)"),
        [
            *alike("a list, or an interval", None, "undecided", "[1, 2]"),
            *alike("the same brackets, or none", True, "exact", "(1,2)", "1, 2"),
        ],
    ),
    (
        listed("1, 2"),
        [
            *alike("doubt about an item", None, "unparsed", "1, 2 (wrong)"),
            *alike("a factorial, or an exclamation", None, "undecided", "1, 2!"),
            *alike("items in brackets of their own", None, "undecided", "[[1],[2]]"),
            *stated("bullets", True, "exact", "Answer:\n- 1\n- 2\n"),
        ],
    ),
    (
        formula("x+1"),
        [
            *alike("a formula that is denied", None, "unparsed", "it is not $x+1$", "anything but $x+1$"),
            *alike("a formula that is called wrong", None, "unparsed", "$x+1$ is wrong"),
            *alike("what verifiers read over", None, "unsupported", "x+1\\ldots", "(x+1)'", "x+1 \\approx 2"),
        ],
    ),
    (formula("\\frac12"), alike("degrees, or radians", None, "unsupported", "\\sin 30", "\\cos(60)")),
    (formula("5"), alike("an inequality is no value", None, "no_verifier", "x\\ge5")),
    (
        GradeSpec("A, C", "choices", CITIES),
        alike("a part taken back", None, "unparsed", "A, C (wrong)", "A, C, which is wrong"),
    ),
]

DECEIVED = (
    ("\\pi", "3.141593"),
    ("\\sqrt{2}", "1.41421356237"),
    ("\\{2, -2\\}", "(2,-2)"),
    ("(2,-2)", "[2,-2]"),
    ("x+1", "X+1"),
    ("5", "2x=5"),
    ("2x", "x2"),
    ("x", "x'"),
    ("5", "5'"),
    ("\\pi", "\\Pi"),
)
"""Truths and answers that math-verify calls equal: it rounds, folds case and brackets, drops what it cannot read."""
