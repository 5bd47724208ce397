"""Placeholder while this stage is written."""

from anectl.core.errors import AnectlError


def command() -> None:
    """Not built yet."""
    raise AnectlError("not built yet")
