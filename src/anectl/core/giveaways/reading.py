"""A scaffold as the leak check reads it: notation folded, cut into sentences, clauses and rows of tables."""

from __future__ import annotations

import re
import unicodedata

from anectl.core.giveaways.cells import with_cells, with_fields, with_pairs
from anectl.core.giveaways.spelling import with_years, without_abbreviations
from anectl.core.grading.normalise import ascii_forms
from anectl.core.grading.words import NUMBER_WORDS, leading_number

_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|emph)\s*\{([^{}]{0,300})\}")
_HTML = (
    (re.compile(r"</t[dh]>\s*<t[dh][^<>]{0,100}>", re.IGNORECASE), " | "),
    (re.compile(r"</?tr[^<>]{0,100}>", re.IGNORECASE), "\n"),
    (re.compile(r"</?(?:t[dhr]|table|thead|tbody|b|i|p)(?:\s[^<>]{0,100})?>", re.IGNORECASE), " "),
)
_NUMERAL_SIGN = re.compile("[\u2160-\u216b\u2170-\u217b\u2460-\u2473]")  # Roman numerals and circled numbers
_IDEOGRAPH_EDGE = re.compile("(?<=[\u3040-\u9fff\uac00-\ud7af])(?=[0-9])|(?<=[0-9])(?=[\u3040-\u9fff\uac00-\ud7af])")
_DEGREES = re.compile(r"\s?\^\s?(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))")
_SPACING = re.compile(r"\\[,;:! ]|\\q?quad(?![A-Za-z])|\\(?:left|right|displaystyle)(?![A-Za-z])")
_MIXED = re.compile(r"(?<=[0-9])\s*\\[dtc]?frac\s*\{?([0-9]+)\}?\s*\{?([0-9]+)\}?")
_LAST_BRACED = re.compile(r"\\[dtc]?frac\s*([0-9])\s*\{([0-9]+)\}")
_SMALL_FRACTION = re.compile(r"\\[dtc]?frac\s*([0-9])\s*([0-9])")
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]{1,100})\}\s*\{([^{}]{1,100})\}")
_SIMPLE = re.compile(r"[0-9.]+|[A-Za-z]")
_ROOT_SIGN = re.compile(
    r"√\s*(?:\(([^()]{1,60})\)|([0-9.]+|[A-Za-z]))|\b(?:the )?(?:square )?root of ([0-9.]+)(?![0-9])"
)
_EMPHASIS = re.compile(r"(?<![*\w])\*\*(?=\S)([^*\n]{1,200})\*\*(?![*\w])|__([^_\n]{1,200})__|`([^`\n]{1,200})`")
_REPLACED = (
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·⋅∙]"), "*"),
    (re.compile(r"\\div(?![A-Za-z])|÷"), "/"),
    (re.compile(r"\\(?:approx|equiv)(?![A-Za-z])|[≈≡]"), "="),
    (re.compile(r"\\(?:Rightarrow|implies|to|rightarrow|Longrightarrow)(?![A-Za-z])|[⇒⟹➜]|[=-]>"), "→"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\{,\}"), ""),
    (re.compile(r"\\\$|[$€£¥₹]|\\[()\[\]]"), " "),
    (re.compile(r"(?<=[0-9])k(?![\w])"), "000"),
    (re.compile(rf"\bits (?=[0-9]|[A-H]\b|(?:{'|'.join(NUMBER_WORDS)})\b)", re.IGNORECASE), "it is "),
    (re.compile(r"\bthats\b", re.IGNORECASE), "that is"),
    (re.compile(r"\bhalf a dozen\b", re.IGNORECASE), "6"),
    (re.compile(r"\b(that|it|this|here|there|what|which|he|she)'s (?!been\b|got\b)", re.IGNORECASE), r"\1 is "),
)
# `five-sided`, `3-year-old`: the number is one that is stated.
_COMPOUND = re.compile(rf"\b([0-9]+|{'|'.join(NUMBER_WORDS)})-(?=[a-z]{{3}})", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!;])\s+|(?<=[\w)]\?)\s+|\.(?=[^\x00-\x7f])|\s*\n\s*")
_CLAUSE_END = re.compile(
    r",\s+(?![-+.0-9])|\s+(?:and|but)\s+(?=(?:the|its|so|therefore|then|you|we|it|that|this)\b)"
    r"|\s+(?=(?:so|because|since|which)\s)",
    re.IGNORECASE,
)
_DAY_LIST = (
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April June July August September "
    "October November December"
)
_DAYS = {short: day for day in _DAY_LIST.split() for short in (day[:3], day[:4])}
_DAYS |= {"Tues": "Tuesday", "Thurs": "Thursday"}
_AMBIGUOUS = ("Sun", "Sat", "Mar", "Jun", "Jul", "Sund", "Satu", "Marc", "June", "July")
# Abbreviations of days and months: those that are other words too only where they fill a cell.
_DAY = re.compile(
    rf"\b({'|'.join(short for short in _DAYS if short not in _AMBIGUOUS)})\b\.?(?! ?[a-z]+ing\b)"
    rf"|(?:(?<=\| )|^)({'|'.join(_DAYS)})(?=\.?\s*(?:\||:))",
    re.MULTILINE,
)
_NUMBERED_LINE = re.compile(r"^[ \t]*[0-9]{1,2}[.)] (?=[A-Za-z(])", re.MULTILINE)
_HEAD = re.compile(
    r"^(?:[-*•] )?(?:note|hint|tip|remark|reminder|plan|knowledge|spoiler|check|goal|step [0-9]+)\s*: ?(?=\S)"
    r"|^(?:remember|note|recall|keep in mind|bear in mind|mind|observe|notice"
    r"|(?:do not|don't) be surprised(?: to (?:see|find))?) that ",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[ \t]*#{1,6} +|^\*(?=[A-Z])|(?<=[.\w])\*$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n[ \t\r\n]*\n")
# Letters that a pattern takes for `i`, `s` or `k` where case is ignored, and that no table has.
LIKE_ASCII = str.maketrans("ıİſ\u212a", "iIsK")
_QUOTES = re.compile("[“”„«»]")
_LETTERS = re.compile(r"\b[a-z](?:-[a-z]){2,}\b", re.IGNORECASE)
_EQUAL = re.compile(r"\((= [^()=?]{1,30})\)")
_ANNOUNCED = re.compile(r"(?<=[a-z]): (?=(?:The|It|There|[A-Z][a-z]+) [a-z])")
_BRACKETS = re.compile(r"(?:^|\s)\(((?=[^()]*[A-Za-z]{3})[^()=]{5,200})\)")
_ENUMERATOR = re.compile(r"^\s*(?:[-*•]|[0-9]{1,2}[.)])\s+")

# Digits of Chinese and Japanese, and the words of Russian and Arabic, that are no digits to Unicode.
_HAN = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_HAN_NUMBER = re.compile("(?:[零〇一二两三四五六七八九]?[十百]){0,3}[零〇一二两三四五六七八九]?")
_HAN_START = re.compile("[零〇一二两三四五六七八九十百]")
_FOREIGN_LIST = (
    "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать",
    "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة",
)
_FOREIGN = {word: str(value) for words in _FOREIGN_LIST for value, word in enumerate(words.split())}
_FOREIGN_WORD = re.compile(rf"(?<!\w)(?:{'|'.join(_FOREIGN)})(?!\w)", re.IGNORECASE)
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))}|a)\b", re.IGNORECASE)
_LONGEST_NUMBER = 120
# No honest sentence is longer; what comes after is read as another one.
_PIECE = re.compile(r".{1,600}(?:\s|$)|.{1,600}", re.DOTALL)


def folded(text: str) -> str:
    """The text with one notation: ASCII digits and letters, plain fractions, no LaTeX delimiters, no emphasis."""
    text = _BLANK_LINES.sub("\n", text.translate(LIKE_ASCII))
    text = _QUOTES.sub('"', text)
    text = _LETTERS.sub(lambda m: m[0].replace("-", ""), _HEADING.sub("", text))
    text = without_abbreviations(with_pairs(with_cells(with_fields(_NUMBERED_LINE.sub("- ", ascii_forms(text))))))
    text = _DAY.sub(_full_day, re.sub(" {2,}", " ", text))
    if "<" in text:
        for pattern, plain in _HTML:
            text = pattern.sub(plain, text)
    if not text.isascii():
        text = _NUMERAL_SIGN.sub(lambda m: f" {int(unicodedata.numeric(m[0]))} ", text)
        text = _FOREIGN_WORD.sub(lambda m: _FOREIGN.get(m[0].lower(), m[0]), text)
        if _HAN_START.search(text):
            text = _HAN_NUMBER.sub(lambda m: f" {_han(m[0])} " if m[0] else "", text)
        text = _IDEOGRAPH_EDGE.sub(" ", text)
    text = _DEGREES.sub("°", text)
    for _ in range(2):
        text = _WRAPPER.sub(r"\1", text)
    text = _SPACING.sub(" ", text)
    text = _LAST_BRACED.sub(r" \1/\2", text)
    text = _SMALL_FRACTION.sub(r" \1/\2", _MIXED.sub(r" \1/\2", text))
    text = _FRACTION.sub(lambda m: f"{_operand(m[1])}/{_operand(m[2])}", text)
    text = _ROOT_SIGN.sub(lambda m: f"\\sqrt{{{m[1] or m[2] or m[3]}}}", text)
    for pattern, plain in _REPLACED:
        text = pattern.sub(plain, text)
    text = re.sub(" {2,}", " ", text)
    text = _EMPHASIS.sub(lambda m: m[1] or m[2] or m[3], text)
    return _COMPOUND.sub(r"\1 ", with_years(text))


def _full_day(m: re.Match[str]) -> str:
    return _DAYS[m[1] or m[2]]


def _operand(text: str) -> str:
    return text.strip() if _SIMPLE.fullmatch(text.strip()) else f"({text})"


def _han(numeral: str) -> int:
    """The value of a numeral such as 七 or 二十三."""
    total, digit = 0, None
    for char in numeral:
        if char in "十百":
            total += (1 if digit is None else digit) * (10 if char == "十" else 100)
            digit = None
        else:
            digit = (digit or 0) * 10 + _HAN[char]
    return total + (digit or 0)


def sentences(text: str) -> list[str]:
    """The sentences and lines of a folded text, without list marks; a masked value (`? - 3`) ends none."""
    parts = (_HEAD.sub("", part.strip()) for part in _SENTENCE_END.split(text))
    parts = (one for part in parts for one in _ANNOUNCED.split(part, maxsplit=1))
    apart = [one for part in parts if part for one in _without_brackets(part)]
    return [piece for part in apart for piece in _PIECE.findall(part)]


def _without_brackets(part: str) -> list[str]:
    """A sentence and what it has in brackets behind it, as sentences: `count them (you should get three then)`."""
    said = [m[1] for m in _BRACKETS.finditer(part) if len(m[1].split()) > 2 or ": " in m[1]]
    said += [m[1] for m in _EQUAL.finditer(part)]
    return [part] if not said else [one for one in (_BRACKETS.sub(_short, part).strip(" ."), *said) if one]


def _short(brackets: re.Match[str]) -> str:
    return "" if len(brackets[1].split()) > 2 or ": " in brackets[1] else brackets[0]


def clauses(sentence: str) -> list[str]:
    """The parts of a sentence that can each state something; rows of numbers (`3, 5 and 6`) stay whole."""
    return [part for part in (piece.strip() for piece in _CLAUSE_END.split(sentence)) if part]


def without_mark(line: str) -> str:
    """A line of a list without its bullet or number."""
    return _ENUMERATOR.sub("", line)


def in_digits(phrase: str) -> str:
    """A phrase with its number words as digits, and words between numbers as signs: `three plus four` is `3 + 4`."""
    parts: list[str] = []
    place = 0
    while (word := _NUMBER_WORD.search(phrase, place)) is not None:
        found = leading_number(phrase[word.start() : word.start() + _LONGEST_NUMBER])
        if found is None:
            parts.append(phrase[place : word.end()])
            place = word.end()
        else:
            parts += phrase[place : word.start()], str(found[0])
            place = word.start() + found[2]
    text = "".join([*parts, phrase[place:]])
    for pattern, sign in _SIGNS:
        text = pattern.sub(sign, text)
    return text


_SIGNS = (
    (re.compile(r"(?<=[0-9])\s+(?:plus|and another)\s+(?=[0-9])"), " + "),
    (re.compile(r"(?<=[0-9])\s+(?:minus|less|take away)\s+(?=[0-9])"), " - "),
    (re.compile(r"(?<=[0-9])\s+(?:times|multiplied by)\s+(?=[0-9])"), " * "),
    (re.compile(r"(?<=[0-9]/[0-9])\s+of (?:(?:the|those|these|all)\s+)?(?=[0-9])"), " * "),
    (re.compile(r"\b(?:twice|double)\s+(?=[0-9])", re.IGNORECASE), "2 * "),
    (re.compile(r"\b(?:thrice|triple)\s+(?=[0-9])", re.IGNORECASE), "3 * "),
    (re.compile(r"(?<=[0-9])\s+(?:divided by|over)\s+(?=[0-9])"), " / "),
)
