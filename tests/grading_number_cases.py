"""More completions with their grades: how numbers and their units may be written, and how not."""

from __future__ import annotations

from anectl.core.grading import GradeSpec

Row = tuple[str, bool | None, str, str]


def alike(why: str, correct: bool | None, reason: str, *answers: str) -> list[Row]:
    """Rows that are there for the same reason."""
    return [(f"Answer: {answer}", correct, reason, why) for answer in answers]


def number(answer: str, unit: str | None = None, precision: int | None = None) -> GradeSpec:
    """The spec of a problem of type number."""
    return GradeSpec(answer, "number", unit=unit, precision=precision)


WORDS: list[tuple[GradeSpec, list[Row]]] = [
    (
        number("21"),
        [
            *alike("tens and ones in words", True, "numeric", "twenty-one", "Twenty One", "twenty one apples"),
            *alike("an ordinal is no number", None, "unparsed", "twenty third", "21st", "the twenty-first"),
            *alike("a word more is another number", False, "mismatch", "twenty-two", "two hundred and twenty-one"),
            *alike("half a number word", None, "unparsed", "twentyone-ish or", "twenty one two"),
        ],
    ),
    (
        number("105"),
        alike("hundreds", True, "numeric", "one hundred and five", "one hundred five", "A hundred and five"),
    ),
    (
        number("3200"),
        [
            *alike("thousands", True, "numeric", "three thousand two hundred", "thirty-two hundred", "3.2 thousand"),
            *alike("a comma between the words lists", None, "several_answers", "three thousand, two hundred"),
            *alike("and within", True, "numeric", "three thousand and two hundred"),
            *alike("two numbers joined", None, "several_answers", "three and two hundred"),
        ],
    ),
    (
        number("-5"),
        [
            *alike("a sign in words", True, "numeric", "minus five", "negative five", "Negative Five apples"),
            *alike("the sign is missing", False, "mismatch", "five"),
        ],
    ),
    (
        number("1/2"),
        [
            *alike(
                "a half",
                True,
                "numeric",
                "one half",
                "one-half",
                "a half",
                "half",
                "\u00bd",
                "0.5",
                "5/10",
                "\\dfrac{1}{2}",
            ),
            *alike("half of something else", None, "unparsed", "half a dozen", "half of 10"),
        ],
    ),
    (
        number("2/3"),
        [
            *alike("thirds", True, "numeric", "two thirds", "two-thirds", "\\frac23", "\u00b2\u2044\u2083", "\u2154"),
            *alike("a decimal that repeats", True, "numeric", "0.\\overline{6}", "0.(6)", "$0.\\bar{6}$", "0.6\u0305"),
            *alike("a decimal that breaks off", False, "mismatch", "0.666", "0.67"),
            *alike("dots say nothing exact", None, "unparsed", "0.66...", "0.666\\ldots"),
        ],
    ),
    (number("3/4"), alike("quarters", True, "numeric", "three quarters", "three fourths", "0.75", "75/100")),
    (
        number("1.5"),
        [
            *alike(
                "a mixed number", True, "numeric", "one and a half", "one and one half", "1\u00bd", "1 1/2", "1\\frac12"
            ),
            *alike("and between", True, "numeric", "1 and 1/2"),
            *alike("a decimal comma where the truth has one decimal", True, "numeric", "1,5", "1,5 apples"),
            *alike("a decimal comma, another value", False, "mismatch", "1,6"),
            *alike("two decimals where the truth has one: may be a list", None, "several_answers", "1,50"),
            *alike("a list", None, "several_answers", "1, 5"),
        ],
    ),
    (
        number("1/3"),
        [
            *alike("exact thirds", True, "numeric", "one third", "0.\\overline{3}", "0.(3)", "2/6", "a third"),
            *alike("without a precision a rounded decimal is another number", False, "mismatch", "0.333", "0.33333333"),
            *alike("exact and rounded side by side", None, "unparsed", "1/3 \u2248 0.33", "1/3 = 0.33"),
        ],
    ),
    (number("1/3", precision=3), alike("with a precision it is the same", True, "numeric", "0.333", "0.3333", "1/3.0")),
    (number("3.14"), alike("point, digit by digit", True, "numeric", "three point one four")),
    (number("24"), alike("dozens", True, "numeric", "two dozen", "2 dozen eggs", "twenty-four")),
    (number("0"), alike("zero", True, "numeric", "zero", "0.0", "-0", "0/5", "0 apples")),
]

DIGITS: list[tuple[GradeSpec, list[Row]]] = [
    (
        number("12345"),
        [
            *alike(
                "thousands grouped in every usual way",
                True,
                "numeric",
                "12,345",
                "12 345",
                "12\u00a0345",
                "12\u2009345",
                "12\u202f345",
                "12'345",
                "12\u2019345",
                "12_345",
                "12{,}345",
                "12\\,345",
                "12,345.00",
            ),
            *alike("a point groups nothing in English", False, "mismatch", "12.345"),
            *alike("groups of the wrong size", None, "unparsed", "12 34 5", "123 45", "1 2345"),
            *alike("commas in the wrong places list", None, "several_answers", "1,2345", "123,45"),
        ],
    ),
    (
        number("100000"),
        [
            *alike(
                "Indian groups and scale words", True, "numeric", "1,00,000", "1 lakh", "100 thousand", "0.1 million"
            ),
            *alike("powers of ten", True, "numeric", "10^5", "10^{5}", "1e5", "1E+5", "1\u00d710\u2075", "0.1 x 10^6"),
        ],
    ),
    (number("1234567"), alike("Indian groups", True, "numeric", "12,34,567", "1,234,567", "1 234 567")),
    (
        number("3.14"),
        [
            *alike("a decimal comma where the truth has two decimals", True, "numeric", "3,14", "$3{,}14$", "+3,14"),
            *alike("the same, wrong", False, "mismatch", "3,15"),
            *alike("a comma and a space list", None, "several_answers", "3, 14"),
        ],
    ),
    (
        number("3.142"),
        [
            *alike("thousands in English, 3.142 elsewhere: not decided", None, "several_answers", "3,142"),
            *alike("neither reading is right", False, "mismatch", "3,143"),
        ],
    ),
    (
        number("3142"),
        [
            *alike("three digits behind the comma group", True, "numeric", "3,142"),
            *alike("a decimal point is not a group", False, "mismatch", "3.142"),
        ],
    ),
    (number("0.125"), alike("zero groups no thousands", True, "numeric", "0,125", ".125", "1/8", "12.5%")),
    (number("1234.56"), alike("point and comma change places", True, "numeric", "1.234,56", "1 234,56", "1,234.56")),
    (number("3,14"), alike("a truth with a decimal comma", True, "numeric", "3.14", "3.140", "157/50")),
    (
        number("0.0012"),
        [
            *alike(
                "scientific",
                True,
                "numeric",
                "1.2e-3",
                "1.2\u00d710^{-3}",
                "1.2 \u00d7 10\u207b\u00b3",
                "1.2 \\cdot 10^{-3}",
            ),
            *alike("another power", False, "mismatch", "1.2e-2", "1.2 x 10^-4"),
            *alike("brackets in the exponent are left alone", None, "unparsed", "1.2*10^(-3)"),
        ],
    ),
    (
        number("5"),
        [
            *alike(
                "leading zeros, wholes as fractions, brackets", True, "numeric", "005", "5/1", "(5)", "5.", "10/2", "+5"
            ),
            *alike("digits of other scripts", True, "numeric", "\u0665", "\u096b", "\uff15"),
            *alike("comparisons are no values", None, "unparsed", "> 5", "\u2265 5", "at least 5", "less than 5"),
            *alike("ranges and tolerances", None, "unparsed", "5-6", "5 \u00b1 1", "from 5 to 6", "5 to 6"),
            *alike("clock times and ratios", None, "unparsed", "5:00", "5:1", "5 in 6"),
            *alike("algebra is not evaluated", None, "unparsed", "2+3", "\\sqrt{25}", "5x", "3!-1", "2^2+1"),
            *alike("a word that changes the number", None, "unparsed", "5 pairs", "5 less", "5 squared", "almost 5"),
            *alike(
                "words of approximation", True, "numeric", "about 5", "approximately 5", "\u2248 5", "~5", "exactly 5"
            ),
        ],
    ),
    (
        number("3.1416", precision=1),
        [
            *alike(
                "rounded to the precision", True, "numeric", "approximately 3.1", "\u2248 3.1", "3.14", "x \u2248 3.1"
            ),
            *alike("outside the precision", False, "mismatch", "3.2", "3.0", "3"),
        ],
    ),
]

UNITS: list[tuple[GradeSpec, list[Row]]] = [
    (
        number("1", unit="m"),
        [
            *alike(
                "exact conversion of a length", True, "numeric", "100 cm", "1000 mm", "0.001 km", "1 m long", "10 dm"
            ),
            *alike("converted and wrong", False, "mismatch", "10 cm", "3.28 ft", "1 km", "1 cm"),
            *alike("another dimension", None, "unit", "1 kg", "1 m^2", "1 s", "1 m/s", "1 apple", "1 N m"),
        ],
    ),
    (
        number("5 cm", unit="m"),
        alike("a truth in a unit of its own", True, "numeric", "0.05 m", "5cm", "0.05", "50 mm"),
    ),
    (number("0.3048", unit="m"), alike("a foot is exact", True, "numeric", "1 ft", "12 inches", "1 foot", "1/3 yd")),
    (
        number("1", unit="m^2"),
        [
            *alike(
                "areas",
                True,
                "numeric",
                "10000 cm^2",
                "10,000 cm\u00b2",
                "10000 square centimeters",
                "0.0001 ha",
                "1m2",
            ),
            *alike("a length is no area", None, "unit", "1 m", "100 cm"),
        ],
    ),
    (
        number("2", unit="L"),
        [
            *alike(
                "volumes", True, "numeric", "2000 mL", "2000 cm^3", "2 litres", "2 dm^3", "0.002 m\u00b3", "2000 cc"
            ),
            *alike("a gallon depends on the country", None, "unit", "2 gallons"),
        ],
    ),
    (number("1500", unit="g"), alike("masses", True, "numeric", "1.5 kg", "1500 grams", "0.0015 t", "1500000 mg")),
    (
        number("90", unit="min"),
        [
            *alike(
                "times",
                True,
                "numeric",
                "1.5 h",
                "1.5 hours",
                "5400 s",
                "one and a half hours",
                "90 minutes",
                "1/16 day",
            ),
            *alike("two units are not added", None, "unparsed", "1 h 30 min"),
        ],
    ),
    (number("2", unit="years"), alike("a year has twelve months", True, "numeric", "24 months", "2 years", "2 year")),
    (number("2", unit="years"), alike("but not so many days", None, "unit", "730 days")),
    (
        number("36", unit="km/h"),
        [
            *alike(
                "speeds", True, "numeric", "10 m/s", "36 km per hour", "36 kilometers per hour", "36 kph", "600 m/min"
            ),
            *alike("converted and wrong", False, "mismatch", "22 mph", "36 m/s"),
            *alike("a distance is no speed", None, "unit", "36 km", "36 h"),
        ],
    ),
    (number("5", unit="cm"), alike("a speed begins with a length", None, "unit", "5 cm per second", "5 cm/s")),
    (number("1", unit="kWh"), alike("energies", True, "numeric", "3600 kJ", "3.6 MJ", "1000 Wh")),
    (number("1", unit="kJ"), alike("a calorie has several values in joules", None, "unit", "0.239 kcal", "239 cal")),
    (number("1", unit="bar"), alike("pressures", True, "numeric", "100 kPa", "1000 hPa", "100000 Pa")),
    (number("1", unit="g/cm^3"), alike("densities", True, "numeric", "1000 kg/m^3", "1 kg/L", "1 g/mL")),
    (number("9.8", unit="m/s^2"), alike("accelerations", True, "numeric", "980 cm/s^2", "9.8 m/s\u00b2")),
    (
        number("20", unit="\u00b0C"),
        [
            *alike(
                "the unit in words", True, "numeric", "20\u00b0C", "20 degrees Celsius", "20 \u00b0 C", "$20^\\circ$C"
            ),
            *alike("temperatures have offsets", None, "unit", "68 \u00b0F", "293.15 K", "20\u00b0"),
        ],
    ),
    (
        number("30.25", unit="degrees"),
        [
            *alike(
                "minutes and seconds of arc",
                True,
                "numeric",
                "30\u00b015\u2032",
                "30^\\circ 15'",
                "30\u00b015'0\"",
                "30.25\u00b0",
            ),
            *alike("another angle", False, "mismatch", "30\u00b016\u2032", "30.15\u00b0"),
            *alike("no such minute", None, "unparsed", "30\u00b0 75'"),
            *alike("radians need pi", None, "unit", "30.25 rad"),
        ],
    ),
    (
        number("5", unit="dollars"),
        [
            *alike(
                "the same currency",
                True,
                "numeric",
                "$5",
                "\\$5",
                "5 USD",
                "5 dollars",
                "US$5",
                "USD 5",
                "$5.00",
                "$5 USD",
            ),
            *alike("currencies have rates", None, "unit", "\u20ac5", "5 euros", "\u00a35", "\u00a55"),
            *alike("cents are not dollars", None, "unit", "5 cents", "500 cents", "500\u00a2"),
        ],
    ),
    (number("$5"), alike("a currency in the truth", None, "unit", "\u00a35", "5 euros", "5 cents")),
    (number("$5"), alike("the currency of the truth", True, "numeric", "5 dollars", "5", "$5.00")),
    (number("5 cents"), alike("cents against cents", True, "numeric", "5\u00a2", "5 cent", "5")),
    (
        number("5"),
        [
            *alike("cents only against cents", None, "unit", "5 cents", "5\u00a2"),
            *alike("any other unit where none is asked for", True, "numeric", "$5", "5 euros", "5 kg", "5 red apples"),
            *alike("a scale word may be the problem's own", None, "unit", "5 million", "five thousand", "5 hundred"),
            *alike("per mille is a tenth of a percent", False, "mismatch", "5\u2030"),
        ],
    ),
    (number("0.5%"), alike("per mille", True, "numeric", "5\u2030", "0.5 percent", "0.005")),
    (
        number("2500000"),
        [
            *alike(
                "scale words",
                True,
                "numeric",
                "2.5 million",
                "2,500,000",
                "two and a half million",
                "2.5 million people",
            ),
            *alike("another value", False, "mismatch", "2.5 billion", "2.6 million", "2.5"),
            *alike("abbreviations have several meanings", None, "unparsed", "2.5M", "2.5 mil", "2500k"),
        ],
    ),
    (
        number("2.5 million"),
        [
            *alike("a scale word in the truth", True, "numeric", "2500000", "2,500,000 people", "2500 thousand"),
            *alike("the scale word may be understood", None, "unit", "2.5"),
        ],
    ),
    (
        number("2.5", unit="million dollars"),
        alike("a scale word in the unit", None, "unit", "$2.5 million", "2.5 million dollars", "$2,500,000"),
    ),
    (
        number("5", unit="apples"),
        alike("counted things", True, "numeric", "5 apples", "five apples", "5 apple", "five"),
    ),
    (number("5", unit="apples"), alike("other things", None, "unit", "5 oranges", "5 apples per day")),
    (number("75", unit="%"), alike("percent in the unit", True, "numeric", "75%", "75 percent", "75.0\\%")),
    (number("75", unit="%"), alike("a share of one is another figure", False, "mismatch", "0.75")),
]

NUMBER_TABLE = [*WORDS, *DIGITS, *UNITS]
