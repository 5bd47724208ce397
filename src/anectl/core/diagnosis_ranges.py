"""Versions and the ranges that packages ask for, read as far as PEP 440 and PEP 508 are needed here.

The library that reads them in full is not among the core dependencies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_CLAUSE = re.compile(r"(===|==|~=|!=|<=|>=|<|>)\s*([^\s,]+)")
_EXTRA = re.compile(r"""\s*extra\s*==\s*['"]([\w.-]+)['"]\s*""")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)[._-]?(dev|a|alpha|b|beta|rc|c|pre|post)?[._-]?(\d*)", re.IGNORECASE)
_STAGES = {"dev": -4, "a": -3, "alpha": -3, "b": -2, "beta": -2, "rc": -1, "c": -1, "pre": -1, "": 0, "post": 1}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of `Requires-Dist`: a package, the clauses on its version, and the extra that asks for it.

    `conditional` is true where it also depends on something else, such as the platform.
    """

    name: str
    clauses: tuple[tuple[str, str], ...]
    extra: str | None = None
    conditional: bool = False

    @property
    def range(self) -> str:
        """The clauses as people write them."""
        return ",".join(operator + bound for operator, bound in self.clauses)

    def allows(self, version: str) -> bool:
        """Whether a version lies within the range."""
        return all(_holds(version, operator, bound) for operator, bound in self.clauses)


@dataclass(frozen=True, slots=True)
class Packages:
    """The installed packages that were asked about, by normalised name: versions and requirements."""

    versions: Mapping[str, str]
    requirements: Mapping[str, tuple[Requirement, ...]]

    def of_extra(self, package: str, extra: str | None) -> tuple[Requirement, ...]:
        """What a package asks for under an extra, or without any; the package itself left out."""
        asked = self.requirements.get(package, ())
        return tuple(one for one in asked if one.extra == extra and not one.conditional and one.name != package)

    def extras(self, package: str) -> tuple[str, ...]:
        """The extras of a package, in their order."""
        return tuple(dict.fromkeys(one.extra for one in self.requirements.get(package, ()) if one.extra))


def normalised(name: str) -> str:
    """A package name as registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_packages(names: Iterable[str]) -> Packages:
    """Versions and requirements of the named packages, as far as they are installed; nothing is imported."""
    from importlib import metadata  # 12 ms that other commands should not pay

    versions, requirements = {}, {}
    for name in dict.fromkeys(map(normalised, names)):
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        versions[name] = found.version
        requirements[name] = tuple(parse_requirements(found.requires or ()))
    return Packages(versions, requirements)


def parse_requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """The requirements of a package's metadata; a line that cannot be read is left out."""
    for line in lines:
        found = _REQUIREMENT.match(line.strip())
        if found is None:
            continue
        marker = found[3] or ""
        extra = _EXTRA.fullmatch(marker)
        clauses = tuple(_CLAUSE.findall(found[2]))
        conditional = bool(marker.strip()) and extra is None
        yield Requirement(normalised(found[1]), clauses, extra[1] if extra else None, conditional)


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version: (2, 13, 0) of `2.13.0rc1+cpu`; empty where it is none."""
    found = _VERSION.match(version)
    return tuple(map(int, found[1].split("."))) if found else ()


def _order(version: str) -> tuple[tuple[int, ...], int, int]:
    """What versions are compared by: numbers without trailing zeros, then dev < alpha < beta < rc < final < post."""
    found = _VERSION.match(version)
    if found is None:
        return (), 0, 0
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), _STAGES[(found[2] or "").lower()], int(found[3] or 0)


def _holds(version: str, operator: str, bound: str) -> bool:
    if bound.endswith(".*"):
        stem = release(bound[:-2])
        same = tuple(have for _, have in zip_longest(stem, release(version)[: len(stem)], fillvalue=0)) == stem
        return same is (operator == "==")
    if operator in ("==", "===", "!="):
        # A local label (+cpu) counts only where the bound has one.
        same = version == bound if "+" in bound else _order(version) == _order(bound)
        return same is (operator != "!=")
    have, limit = _order(version), _order(bound)
    if operator == "~=":
        stem = release(bound)[:-1]
        return have >= limit and release(version)[: len(stem)] == stem
    if operator == "<" and have[0] == limit[0] and have[1] < 0 <= limit[1]:
        return False  # PEP 440: 5.20rc1 is not below 5.20
    compare: dict[str, Callable[[], bool]] = {
        "<": lambda: have < limit,
        "<=": lambda: have <= limit,
        ">": lambda: have > limit,
        ">=": lambda: have >= limit,
    }
    return compare[operator]()
