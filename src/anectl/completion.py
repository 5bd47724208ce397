"""What the shell completes beyond options and their fixed values: commands, profiles, records, extras, trackers.

A shell asks at every press of a key, so that nothing is imported here that is not light.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import NamedTuple


class Item(NamedTuple):
    """One value that a shell may put in, in the shape that typer asks for."""

    value: str
    help: str
    type: str = "plain"


def commands(known: Mapping[str, str], incomplete: str) -> list[Item]:
    """The commands that begin like this, each with its line of help; no stage is imported."""
    return [Item(name, text) for name, text in known.items() if name.startswith(incomplete)]


def profiles(incomplete: str) -> list[tuple[str, str]]:
    """The scoring profiles that begin like this, each with its rule."""
    from anectl.core.profiles import PROFILES  # 50 ms that other completions should not pay

    return [(name, rule) for name, rule in PROFILES.items() if name.startswith(incomplete)]


def records(incomplete: str) -> list[str]:
    """The records that begin like this."""
    from anectl.core.records import RECORDS  # 30 ms that other completions should not pay

    return _beginning(RECORDS, incomplete)


def extras(incomplete: str) -> list[str]:
    """The extras of the installed package that begin like this."""
    try:
        found = metadata.metadata("anectl").get_all("Provides-Extra") or ()
    except metadata.PackageNotFoundError:
        return []
    return _beginning(map(str, found), incomplete)


def trackers(incomplete: str) -> list[str]:
    """The trackers that begin like this, behind those that are named already."""
    from anectl.core.trackers import NAMES  # light, but only training commands need it

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in _beginning(NAMES, last)]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
