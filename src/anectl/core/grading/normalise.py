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
        "\u2063": None,
        "\u200b": None,
        "\ufeff": None,
    }
)
_WIDE_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_DIGIT_GROUPS = re.compile(r"(?<=[0-9])(?:\{,\}|,\\!|\\[,;:! ]|[\u00a0\u2007-\u2009\u202f])(?=[0-9]{3}(?![0-9]))")
_SUPERSCRIPTS = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u207b]+")
_FRACTIONS = re.compile("[\u00bc-\u00be\u2150-\u215e]")

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textup|mathrm|mathbf|mathit|mathsf|mbox|boxed|fbox)\s*\{([^{}]*)\}"
)
_MATH_DELIMITERS = re.compile(r"\$|\\[()\[\]]")
_DROPPED = re.compile(r"\\(?:left|right|bigl|bigr|Bigl|Bigr|displaystyle)(?![A-Za-z])|\\!")
_MATH_SPACES = re.compile(r"\\[,;: ]|\\q?quad(?![A-Za-z])|~")
_DEGREES = re.compile(r" ?\^ ?(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])")
_EMPHASIS = re.compile(r"\*\*|__|`")

_SOFT_PUNCTUATION = re.compile(r"(?<![0-9])[.,](?![0-9])|(?<=[0-9])[.,](?![0-9])|[;:!?'\"()\[\]{}]")
_LETTER_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_LEADING_ARTICLE = re.compile(r"^(?:a|an|the)\s+(?=\S)", re.IGNORECASE)
_INNER_ARTICLE = re.compile(r"(?<=\s)(?:a|an|the)\s+(?=\S)")

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
    text = _SUPERSCRIPTS.sub(lambda m: "^{" + unicodedata.normalize("NFKC", m[0]).replace("\u2212", "-") + "}", text)
    text = _FRACTIONS.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]).replace("\u2044", "/"), text)
    return _WIDE_SPACES.sub(" ", text)


def _ascii_char(char: str) -> str:
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return chr(ord(char) - 0xFEE0) if "\uff01" <= char <= "\uff5e" else char


def unwrapped(text: str) -> str:
    """The answer without the markup around it: LaTeX text commands and delimiters, markdown emphasis, full stop."""
    text = ascii_forms(text)
    for _ in range(4):  # wrappers nest (`\boxed{\text{A}}`), but never deeply in an honest answer
        text, count = _WRAPPER.subn(r"\1", text)
        if not count:
            break
    # A dollar sign that is money is kept apart from one that opens mathematics.
    text = _MATH_DELIMITERS.sub("", text.replace("\\$", "\x01")).replace("\x01", "$")
    text = _DEGREES.sub("\u00b0", text.replace("\\%", "%").replace("{,}", ","))
    text = _EMPHASIS.sub("", _MATH_SPACES.sub(" ", _DROPPED.sub("", text)))
    text = " ".join(text.split()).strip("*_ ")
    return text[:-1].rstrip() if text.endswith((".", "!")) and not text.endswith("..") else text


def fold_text(text: str) -> str:
    """Case, white space, articles and sentence punctuation folded; signs, operators and decimal points kept.

    Only a leading article loses its capital: `A cat` is `cat`, but `Vitamin A` stays.
    """
    bare = unwrapped(text)
    spaced = _LETTER_HYPHEN.sub(" ", _SOFT_PUNCTUATION.sub(" ", bare))
    spaced = " ".join(spaced.split())
    folded = _INNER_ARTICLE.sub("", _LEADING_ARTICLE.sub("", spaced)).casefold()
    return folded or bare.casefold()


def fold_expression(text: str) -> str:
    """A formula without white space, sizing commands and delimiters, with one spelling per symbol."""
    text = unwrapped(text)
    for symbol, command in _SYMBOLS.items():
        text = text.replace(symbol, command)
    text = _ROOT.sub(lambda m: "\\sqrt{" + (m[1] or m[2] or "") + "}", text)
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = re.sub(r"\\leq(?![A-Za-z])", r"\\le", re.sub(r"\\geq(?![A-Za-z])", r"\\ge", text))
    text = re.sub(r"\\frac\s*([0-9])\s*([0-9])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(?<=[\^_])\{([0-9A-Za-z])\}", r"\1", text)
    text = re.sub(r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}", text)
    # A space may end a command name (`\pi x`), so it is only dropped where it separates nothing.
    text = re.sub(r"(\\[A-Za-z]+) (?=[A-Za-z])", "\\1\x01", text)
    return "".join(text.split()).replace("\x01", " ")
