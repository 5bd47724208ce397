"""Foldings under which two ways of writing an answer become one string. Each is idempotent and never raises."""

from __future__ import annotations

import re
import unicodedata

_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2013\ufe63", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        "\u2044": "/",
        "\u3001": ",",
        "\u3002": ".",
        "\u2063": None,
        "\u200b": None,
        "\ufeff": None,
    }
)
_WIDE_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_DIGIT_GROUPS = re.compile(r"(?<=[0-9])(?:\{,\}|,\\!|\\[,;:! ]|[\u00a0\u2007-\u2009\u202f])(?=[0-9]{3}(?![0-9]))")
_SUPERSCRIPTS = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u207b]+")
_FRACTIONS = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_RAISED_OVER_LOWERED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+[\u2044/][\u2080-\u2089]+")
_MARKUP = re.compile(r"[^ A-Za-z0-9,.()+/:;%=-]")

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textup|mathrm|mathbf|mathit|mathsf|mbox|boxed|fbox)\s*\{([^{}]*)\}"
)
_MONEY = re.compile(r"\$\s*[+-]?[0-9.]|[0-9]\s*\$")
_MATH_DELIMITERS = re.compile(r"\$|\\[()\[\]]")
_DROPPED = re.compile(r"\\(?:left|right|bigl|bigr|Bigl|Bigr|displaystyle)(?![A-Za-z])|\\!")
_MATH_SPACES = re.compile(r"\\[,;: ]|\\q?quad(?![A-Za-z])|(?<!~)~(?!~)")
_DEGREES = re.compile(r" ?\^ ?(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])")
_EMPHASIS = re.compile(r"\*\*|__|`")
# `2**3` is a power, `**2**` is bold; the two are told apart by what stands before the first pair of stars.
_STARS_AS_POWER = re.compile(r"^[^*]*[A-Za-z0-9)}]\s*\*\*\s*[-(0-9A-Za-z]")
# A full stop or an exclamation mark, but no factorial: `5!`, `n!`, `(n+1)!`.
_LAST_STOP = re.compile(r"(?<!\.)\.$|(?<=[^\W\d_]{2})!$")

_SOFT_PUNCTUATION = re.compile(r"(?<![0-9])[.,](?![0-9])|(?<=[0-9])[.,](?![0-9])|[;:!?'\"()\[\]{}]")
_LETTER_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
# A word must follow at once: in `A, C` and `A C` the A is a letter.
_LEADING_ARTICLE = re.compile(r"^(['\"(\[{]*)(?:a|an|the)\s+(?=[^\W_])(?![A-Za-z](?!\w))", re.IGNORECASE)
_INNER_ARTICLE = re.compile(r"(?<=\s)(?:a|an|the)\s+(?=[^\W_])(?![A-Za-z](?!\w))")

_SYMBOLS = {
    "\u03c0": "\\pi ",
    "\u221e": "\\infty ",
    "\u00d7": "\\times ",
    "\u00b7": "\\cdot ",
    "\u22c5": "\\cdot ",
    "\u00f7": "/",
    "\u2264": "\\le ",
    "\u2265": "\\ge ",
    "\u2260": "\\ne ",
    "\u00b1": "\\pm ",
}
_PLAIN_TEXT = re.compile(r"[ A-Za-z0-9,.()+/:;=-]*")
_COMMAND_SPACE = re.compile(r"(\\[A-Za-z]+) (?=[A-Za-z])")
_SPELLINGS = (
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\geq(?![A-Za-z])"), r"\\ge"),
    (re.compile(r"\\leq(?![A-Za-z])"), r"\\le"),
    (re.compile(r"\\frac\s*([0-9])\s*([0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"(?<=[\^_])\{([0-9A-Za-z])\}"), r"\1"),
    (re.compile(r"\\sqrt\s*([0-9A-Za-z])"), r"\\sqrt{\1}"),
)
_ROOT = re.compile("\u221a\\s*(?:\\(([^()]*)\\)|([0-9]+|[A-Za-z]))")


def ascii_forms(text: str) -> str:
    """Digits of any script, full-width letters, minus signs, quotes, superscripts and vulgar fractions in ASCII.

    Not NFKC, which would turn `x\u00b2` into `x2`. Spaces used as thousands separators become commas.
    """
    text = _DIGIT_GROUPS.sub(",", text)
    if text.isascii():
        return text
    text = "".join(map(_ascii_char, text)).translate(_PUNCTUATION)
    text = _DIGIT_GROUPS.sub(",", text)
    text = _RAISED_OVER_LOWERED.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]).replace("\u2044", "/"), text)
    text = _SUPERSCRIPTS.sub(lambda m: "^{" + unicodedata.normalize("NFKC", m[0]).replace("\u2212", "-") + "}", text)
    text = _FRACTIONS.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]).replace("\u2044", "/"), text)
    return _WIDE_SPACES.sub(" ", text)


def _ascii_char(char: str) -> str:
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return chr(ord(char) - 0xFEE0) if "\uff01" <= char <= "\uff5e" else char


def unwrapped(text: str) -> str:
    """The answer without the markup around it: LaTeX text commands and delimiters, markdown emphasis, full stop."""
    if _MARKUP.search(text):
        text = _without_markup(ascii_forms(text))
    text = " ".join(text.split()).strip("*_ ")
    return text[:-1].rstrip() if _LAST_STOP.search(text, max(0, len(text) - 3)) else text


def _without_markup(text: str) -> str:
    for _ in range(4):  # wrappers nest (`\boxed{\text{A}}`), but never deeply in an honest answer
        text, count = _WRAPPER.subn(r"\1", text)
        if not count:
            break
    # A dollar sign that is money is kept apart from one that opens mathematics.
    text = _DEGREES.sub("\u00b0", text.replace("\\$", "\x01").replace("\\%", "%").replace("{,}", ","))
    if text.count("$") == 1 and _MONEY.search(text):
        text = text.replace("$", "\x01")
    text = _MATH_DELIMITERS.sub("", text).replace("\x01", "$")
    if "**" in text and _STARS_AS_POWER.match(text):
        text = text.replace("**", "^")
    return _EMPHASIS.sub("", _MATH_SPACES.sub(" ", _DROPPED.sub("", text)))


def fold_text(text: str) -> str:
    """Case, white space, articles and sentence punctuation folded; signs, operators and decimal points kept.

    Only a leading article loses its capital: `A cat` is `cat`, but `Vitamin A` stays.
    """
    bare = unwrapped(text)
    plain = _INNER_ARTICLE.sub("", _LEADING_ARTICLE.sub(r"\1", bare))
    spaced = _LETTER_HYPHEN.sub(" ", _SOFT_PUNCTUATION.sub(" ", plain))
    return " ".join(spaced.split()).casefold() or bare.casefold()


def fold_expression(text: str) -> str:
    """A formula without white space, sizing commands and delimiters, with one spelling per symbol."""
    text = unwrapped(text)
    if _PLAIN_TEXT.fullmatch(text):
        return "".join(text.split())
    for symbol, command in _SYMBOLS.items():
        text = text.replace(symbol, command)
    text = _ROOT.sub(lambda m: "\\sqrt{" + (m[1] or m[2] or "") + "}", text)
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    # A space may end a command name (`\pi x`), so it is only dropped where it separates nothing.
    text = _COMMAND_SPACE.sub("\\1\x01", text)
    return "".join(text.split()).replace("\x01", " ")
