"""Units behind a number: which words may stand there, and when two of them are the same. Nothing is converted."""

from __future__ import annotations

import re

_SYMBOL_LIST = (
    "mm cm dm m km in ft yd mi g kg mg lb oz s ms min h hr L l mL ml cL N J kJ W kW V A C F Pa kPa Hz kHz MHz K mol "
    "rad eV keV Wh kWh mph kmh bar atm cal kcal \u00b0 \u00b0C \u00b0F \u03a9 \u00b5m \u03bcm % $ "
    "\u20ac \u00a3 \u00a5"
)
_SYMBOLS = frozenset(_SYMBOL_LIST.split())
_ALIASES = {
    "degree": "\u00b0",
    "deg": "\u00b0",
    "percent": "%",
    "dollar": "$",
    "usd": "$",
    "euro": "\u20ac",
    "pound": "lb",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "meter": "m",
    "metre": "m",
    "kilometer": "km",
    "kilometre": "km",
    "inch": "in",
    "inche": "in",
    "foot": "ft",
    "feet": "ft",
    "yard": "yd",
    "mile": "mi",
    "gram": "g",
    "kilogram": "kg",
    "second": "s",
    "sec": "s",
    "minute": "min",
    "hour": "h",
    "hr": "h",
    "liter": "L",
    "litre": "L",
    "l": "L",
    "ml": "mL",
    "joule": "J",
    "watt": "W",
    "volt": "V",
    "newton": "N",
    "ohm": "\u03a9",
    "\u03bcm": "\u00b5m",
}
# Words that change the number or the claim: dropping them as if they were a unit would misread the answer.
_MEANINGFUL_LIST = (
    "or and not nor to than times plus minus over divided multiplied squared cubed half halves third thirds quarter "
    "quarters fourth fourths fifth fifths sixth sixths eighth eighths tenth tenths hundredth hundredths hundred "
    "hundreds thousand thousands million millions billion billions trillion trillions dozen dozens score point is was "
    "isn't but mod sqrt sin cos tan log ln exp pi less more fewer between from factorial power maybe perhaps possibly "
    "probably unless if incorrect wrong false mil bn sum product root base then because "
    "one two three four five six seven eight nine ten eleven twelve"
)
_MEANINGFUL = frozenset(_MEANINGFUL_LIST.split())
_AREA = re.compile(r"^(?:square|sq\.?)\s+(\S+)$|^(\S+)\s+squared$", re.IGNORECASE)
_VOLUME = re.compile(r"^(?:cubic|cu\.?)\s+(\S+)$|^(\S+)\s+cubed$", re.IGNORECASE)
_PART = re.compile(r"^([^\W\d_]+|[\u00b0%$\u20ac\u00a3\u00a5][CF]?)(?:\^\{?-?[0-9]\}?)?$")
_MAX_WORDS = 3


def parse_unit(tail: str) -> str | None:
    """The folded unit that `tail` names, empty when nothing is there, null when it is no unit (`5x`, `5 or 6`)."""
    tail = tail.strip()
    if not tail:
        return ""
    if tail.casefold() in ("%", "percent", "per cent", "pct"):
        return "%"
    for pattern, power in ((_AREA, "^2"), (_VOLUME, "^3")):
        if m := pattern.match(tail):
            inner = parse_unit(m[1] or m[2])
            return inner + power if inner else None
    words = tail.split()
    if len(words) > _MAX_WORDS or not all(_is_unit_word(word, alone=len(words) == 1) for word in words):
        return None
    return " ".join(map(_fold_word, words))


def same_unit(given: str, wanted: str) -> bool:
    """Whether a folded unit is the wanted one, or begins with it (`cm long` for `cm`)."""
    wanted = parse_unit(wanted) or wanted.strip()
    return given == wanted or given.startswith(wanted + " ")


def _is_unit_word(word: str, *, alone: bool) -> bool:
    parts = [_PART.match(part) for part in re.split(r"[/\u00b7*.]", word.rstrip(",.;"))]
    if not parts or any(part is None for part in parts):
        return False
    names = [part[1] for part in parts if part is not None]
    if any(name.casefold() in _MEANINGFUL for name in names):
        return False
    # A single unknown letter or two is algebra (`5x`, `5ab`), not a unit.
    return all(name in _SYMBOLS or len(name) >= (3 if alone else 2) for name in names)


def _fold_word(word: str) -> str:
    word = word.rstrip(",.;").replace("{", "").replace("}", "")
    return "".join(piece if piece in "/\u00b7*.^" else _fold_name(piece) for piece in re.split(r"([/\u00b7*.^])", word))


def _fold_name(name: str) -> str:
    if name in _SYMBOLS:
        return _ALIASES.get(name, name)
    lower = name.casefold()
    singular = lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith("ss") else lower
    return _ALIASES.get(singular, _ALIASES.get(lower, singular))
