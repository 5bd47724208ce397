"""A place in a list of tokens."""

from __future__ import annotations

from anectl.core.grading.algebra.polynomial import Undecided
from anectl.core.grading.algebra.tokens import Token

END = Token("op", "end")


class Cursor:
    """Tokens, followed by `END`, and the position of the next one."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = [*tokens, END, END]  # a step beyond the last token is still on one
        self.position = 0

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.position]

    def take(self, text: str) -> bool:
        """Step over the operator `text` if it is next."""
        if self.tokens[self.position] == ("op", text):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Step over the operator `text`. Raises Undecided when something else is next."""
        if not self.take(text):
            raise Undecided

    def sign(self) -> int:
        """Step over a sign, if there is one; -1 for a minus."""
        if self.take("-"):
            return -1
        self.take("+")
        return 1
