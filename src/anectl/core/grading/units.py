"""Units behind a number: which words may stand there, and when two of them are the same."""

from __future__ import annotations

import re
from functools import lru_cache

from anectl.core.grading.words import NUMBER_WORDS

_SYMBOL_LIST = (
    "nm mm cm dm m km in ft yd mi g kg mg t lb oz s ms min h hr L l mL ml cL dL ha N kN J kJ MJ W kW MW V mV A mA C F "
    "Pa hPa kPa MPa Hz kHz MHz GHz K mol rad eV keV Wh kWh mph kmh kph bar mbar atm cal kcal \u00b0 \u00b0C \u00b0F "
    "\u03a9 \u00b5m \u03bcm cc \u00a2 % \u2030 $ \u20ac \u00a3 \u00a5 \u20b9 \u20a9 \u20bd"
)
_SYMBOLS = frozenset(_SYMBOL_LIST.split())
_ALIAS_LIST = (
    "degree=\u00b0 deg=\u00b0 percent=% dollar=$ usd=$ euro=\u20ac eur=\u20ac gbp=\u00a3 yen=\u00a5 jpy=\u00a5 "
    "rupee=\u20b9 inr=\u20b9 cent=\u00a2 pound=lb ounce=oz tonne=t "
    "nanometer=nm nanometre=nm micrometer=\u00b5m micrometre=\u00b5m \u03bcm=\u00b5m "
    "millimeter=mm millimetre=mm centimeter=cm centimetre=cm decimeter=dm decimetre=dm meter=m metre=m "
    "kilometer=km kilometre=km inch=in inche=in foot=ft feet=ft yard=yd mile=mi hectare=ha "
    "milligram=mg gram=g kilogram=kg millisecond=ms second=s sec=s minute=min hour=h hr=h "
    "liter=L litre=L l=L milliliter=mL millilitre=mL ml=mL cc=cm^3 joule=J watt=W volt=V newton=N ohm=\u03a9 "
    "celsiu=\u00b0C fahrenheit=\u00b0F pascal=Pa hertz=Hz calorie=cal kelvin=K mph=mi/h kmh=km/h kph=km/h"
)
_ALIASES = dict(pair.split("=") for pair in _ALIAS_LIST.split())
_DEGREES_OF = {f"\u00b0 {name}": f"\u00b0{name[-1]}" for name in ("C", "F", "\u00b0C", "\u00b0F")}
# Words that change the number or the claim: dropping them as if they were a unit would misread the answer.
_MEANINGFUL_LIST = (
    "or and not nor to than times plus over divided multiplied squared cubed hundredth hundredths hundreds thousandth "
    "thousandths thousands millions billions trillions dozens score is was isn't but mod sqrt sin cos tan log ln exp "
    "pi less more fewer between from factorial power maybe perhaps possibly probably unless if incorrect wrong false "
    "mil bn mn mio mrd lakhs crores pair pairs couple gross sum product root base then because per grand binary hex "
    "hexadecimal octal doubled tripled halved twice thrice too few many below above under over hardly barely except "
    "excluded excluding rejected eliminated ruled discarded invalid impossible mistaken unlikely untrue nope "
    "tens basis bps ppm ppb fold percentage"
)
_MEANINGFUL = NUMBER_WORDS | frozenset(_MEANINGFUL_LIST.split())
_AREA = re.compile(r"^(?:square|sq\.?)\s+(\S+)$|^(\S+)\s+squared$|^([mcdk]?m|in|ft|yd|mi)2$", re.IGNORECASE)
_VOLUME = re.compile(r"^(?:cubic|cu\.?)\s+(\S+)$|^(\S+)\s+cubed$|^([mcdk]?m|in|ft|yd|mi)3$", re.IGNORECASE)
_PART = re.compile(r"^([^\W\d_]+|[\u00b0%\u2030$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u00a2][CF]?)(?:\^\{?-?[0-9]\}?)?$")
_PER = re.compile(r"\s+per\s+")
_MAX_WORDS = 3
_MAX_LENGTH = 80


@lru_cache(maxsize=4096)
def parse_unit(tail: str) -> str | None:
    """The folded unit that `tail` names, empty when nothing is there, null when it is no unit (`5x`, `5 or 6`)."""
    tail = tail.strip()
    if not tail:
        return ""
    if len(tail) > _MAX_LENGTH:
        return None
    if tail.casefold() in ("%", "percent", "per cent", "pct"):
        return "%"
    over, *under = _PER.split(tail)
    if under:
        folded = [parse_unit(part) for part in (over, *under)]
        return "/".join(filter(None, folded)) if all(folded) and len(under) == 1 else None
    for pattern, power in ((_AREA, "^2"), (_VOLUME, "^3")):
        if m := pattern.match(tail):
            inner = parse_unit(m[1] or m[2] or m[3])
            return inner + power if inner else None
    words = tail.split()
    if len(words) > _MAX_WORDS or not all(_is_unit_word(word, alone=len(words) == 1) for word in words):
        return None
    folded_words = " ".join(map(_fold_word, words))
    return _DEGREES_OF.get(folded_words, folded_words)


@lru_cache(maxsize=4096)
def same_unit(given: str, wanted: str) -> bool:
    """Whether a folded unit is the wanted one, or begins with it (`cm long` for `cm`)."""
    wanted = parse_unit(wanted) or wanted.strip()
    return given == wanted or (given.startswith(wanted + " ") and is_remark(given[len(wanted) + 1 :]))


def is_remark(words: str) -> bool:
    """Whether folded words behind a unit are no units themselves: `long` is a remark, the `m` of `N m` is a factor."""
    return not _SYMBOLS.intersection(words.split())


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
