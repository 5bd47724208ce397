"""Exact conversion between units of one dimension: 100 cm is 1 m. Why a small table: docs/decisions/0006.

Temperatures have offsets, currencies have rates, and a gallon, a ton or a calorie in joules depends on the country:
none of them is here. Factors are those of the SI and of the 1959 yard and pound agreement.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from anectl.core.grading.units import is_remark

Dimension: TypeAlias = frozenset[tuple[str, int]]
"""Base dimensions with their exponents; those with exponent 0 are left out."""

_TABLE = {
    "length": "nm=1/1000000000 \u00b5m=1/1000000 mm=1/1000 cm=1/100 dm=1/10 m=1 km=1000 in=0.0254 ft=0.3048 yd=0.9144 "
    "mi=1609.344",
    "mass": "mg=1/1000 g=1 kg=1000 t=1000000 lb=453.59237 oz=28.349523125",
    "time": "ms=1/1000 s=1 min=60 h=3600 day=86400 week=604800",
    "calendar": "month=1 year=12",
    "energy": "J=1 kJ=1000 MJ=1000000 Wh=3600 kWh=3600000",
    "heat": "cal=1 kcal=1000",
    "power": "W=1 kW=1000 MW=1000000",
    "force": "N=1 kN=1000",
    "pressure": "Pa=1 hPa=100 kPa=1000 MPa=1000000 bar=100000 mbar=100 atm=101325",
    "frequency": "Hz=1 kHz=1000 MHz=1000000 GHz=1000000000",
    "voltage": "mV=1/1000 V=1",
    "current": "mA=1/1000 A=1",
}
_UNITS: dict[str, tuple[dict[str, int], Fraction]] = {
    name: ({dimension: 1}, Fraction(factor))
    for dimension, units in _TABLE.items()
    for name, factor in (unit.split("=") for unit in units.split())
}
_UNITS |= {
    "mL": ({"length": 3}, Fraction(1, 10**6)),
    "cL": ({"length": 3}, Fraction(1, 10**5)),
    "dL": ({"length": 3}, Fraction(1, 10**4)),
    "L": ({"length": 3}, Fraction(1, 10**3)),
    "ha": ({"length": 2}, Fraction(10**4)),
}
_FACTOR = re.compile(r"([^\W\d_]+)(?:\^(-?[0-9]))?")


@lru_cache(maxsize=1024)
def factor_between(given: str, wanted: str) -> Fraction | None:
    """What a number in the folded unit `given` is multiplied by to be in `wanted`; null when nothing is exact.

    A remark behind a known unit plays no part: `m long` is converted as `m`.
    """
    (unit, _, behind), (wanted_unit, _, wanted_behind) = given.partition(" "), wanted.partition(" ")
    read, asked = _measure(unit), _measure(wanted_unit)
    if not is_remark(behind) or not is_remark(wanted_behind):
        return None
    if read is None or asked is None or read[0] != asked[0]:
        return None
    return read[1] / asked[1]


def _measure(unit: str) -> tuple[Dimension, Fraction] | None:
    """Dimension and factor of a folded unit such as `km/h` or `g/cm^3`."""
    exponents: Counter[str] = Counter()
    factor = Fraction(1)
    over, *under = unit.split("/")
    if len(under) > 1:
        return None
    for side, sign in ((over, 1), *((part, -1) for part in under)):
        for piece in re.split(r"[\u00b7*.]", side):
            m = _FACTOR.fullmatch(piece)
            if m is None or m[1] not in _UNITS:
                return None
            dimensions, size = _UNITS[m[1]]
            power = sign * int(m[2] or 1)
            factor *= size**power
            exponents.update({name: power * exponent for name, exponent in dimensions.items()})
    return frozenset((name, exponent) for name, exponent in exponents.items() if exponent), factor
