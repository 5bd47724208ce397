"""Recursive descent from tokens to exact values; refuses (Undecided) whatever readers disagree about."""

from __future__ import annotations

from fractions import Fraction

from anectl.core.grading.algebra import functions
from anectl.core.grading.algebra.cursor import END, Cursor
from anectl.core.grading.algebra.field import Field, Value, number, rational, variable
from anectl.core.grading.algebra.polynomial import Undecided
from anectl.core.grading.algebra.tokens import Token

MAX_DEPTH = 20
_GROUPS = {"(": ")", "{": "}"}
_NAMES_OF_FUNCTIONS = frozenset("fgh")


class Parser(Cursor):
    """Reads values from the front of a list of tokens; `infinite` tells that infinity was among them."""

    def __init__(self, tokens: list[Token], field: Field) -> None:
        super().__init__(tokens)
        self.field = field
        self.infinite = False
        self._depth = 0
        self._in_angle = False
        self._bars = 0
        self._open = False

    def whole(self) -> Value:
        """The value of all tokens. Raises Undecided when they are not one expression."""
        value = self._sum()
        if self.next != END:
            raise Undecided
        return value

    def _sum(self) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Undecided
        sign = self.sign()
        total = self._product()
        if sign < 0:
            total = self.field.multiply(number(-1), total)
        while True:
            if self.take("+"):
                sign = 1
            elif self.take("-"):
                sign = -1
            else:
                break
            total = self.field.add(total, self._product(), sign)
        self._depth -= 1
        return total

    def _product(self) -> Value:
        total, is_mixed = self._mixed_number()
        divided = False
        while True:
            opened = self._ends_open()
            if self.take("*"):
                sign = self.sign()
                total = self.field.multiply(total, self._signed(sign))
            elif self.take("/"):
                sign = self.sign()
                total = self.field.divide(total, self._signed(sign))
                divided = True
            elif self._begins_factor():
                # 1/2x is x/2 or 1/(2x); a number after something else is no product that people write.
                if divided or is_mixed or self.next.kind == "number":
                    raise Undecided
                if opened and self.next.kind != "function":
                    raise Undecided
                total = self.field.multiply(total, self._factor())
                continue
            else:
                return total
            if opened:
                raise Undecided

    def _signed(self, sign: int) -> Value:
        value = self._factor()
        return value if sign > 0 else self.field.multiply(number(-1), value)

    def _ends_open(self) -> bool:
        """Whether the factor just read was a function of an argument without parentheses, as in `sin 2x`."""
        opened, self._open = self._open, False
        return opened

    def _mixed_number(self) -> tuple[Value, bool]:
        """The first factor; 2 1/3 with a fraction is a sum, where the fraction is proper."""
        whole, after = self.next, self.tokens[min(self.position + 1, len(self.tokens) - 1)]
        if whole.kind != "number" or after != ("op", "frac"):
            return self._factor(), False
        self.position += 1
        start = self.position
        part = rational(self._factor())
        if part is None:
            self.position = start
            return _constant(whole.text), False
        if not whole.text.isdecimal() or not 0 < part < 1 or self.next == ("op", "^"):
            raise Undecided
        return number(int(whole.text) + part), True

    def _begins_factor(self) -> bool:
        kind, text = self.next
        if kind != "op":
            return True
        return text in ("(", "{", "frac", "sqrt", "root", "infinity", "binom") or (text == "|" and not self._bars)

    def _factor(self) -> Value:
        value = self._primary()
        while True:
            if self.take("!"):
                if self.next == ("op", "!"):
                    raise Undecided
                value = functions.factorial(value)
            elif self.take("\u00b0"):
                if not self._in_angle:
                    raise Undecided
                value = self.field.multiply(value, self.field.divide(variable("pi"), number(180)))
            elif self.take("^"):
                value = self.field.power(value, self._exponent())
                if self.next in (("op", "^"), ("op", "!")):
                    raise Undecided
            else:
                return value

    def _exponent(self) -> Value:
        if self.take("-"):
            return self.field.multiply(number(-1), self._unsigned_exponent())
        return self._unsigned_exponent()

    def _unsigned_exponent(self) -> Value:
        token = self.next
        if token.kind == "number":
            self.position += 1
            return _constant(token.text)
        if token.kind == "function":
            raise Undecided
        return self._primary()

    def _primary(self) -> Value:
        kind, text = self.next
        self.position += 1
        if kind == "number":
            return _constant(text)
        if kind == "letter":
            return self._variable(text)
        if kind == "function":
            return self._function(text)
        if text in _GROUPS:
            value = self._sum()
            self.expect(_GROUPS[text])
            return value
        if text == "|":
            return self._absolute()
        if text == "frac":
            top = self._argument()
            return self.field.divide(top, self._argument())
        if text in ("sqrt", "root"):
            return self._radical(text)
        if text == "binom":
            upper = self._argument()
            return functions.binomial(upper, self._argument())
        if text == "infinity":
            self.infinite = True
            return variable("infinity")
        raise Undecided

    def _variable(self, name: str) -> Value:
        if self.take("_"):
            name += "_" + self._subscript()
        elif self.next == ("op", "(") and self._is_application(name):
            raise Undecided
        return variable(name)

    def _subscript(self) -> str:
        braced = self.take("{")
        start = self.position
        while self.next.kind in ("number", "letter") and (braced or self.position == start):
            self.position += 1
        if self.position == start or (braced and not self.take("}")):
            raise Undecided
        return "".join(token.text for token in self.tokens[start : self.position] if token.kind != "op")

    def _is_application(self, name: str) -> bool:
        """`f(x)` is no product, and of `x(y)` and `n(2)` nobody knows."""
        inner, after = (self.tokens[min(self.position + k, len(self.tokens) - 1)] for k in (1, 2))
        return name in _NAMES_OF_FUNCTIONS or (inner.kind in ("letter", "number") and after == ("op", ")"))

    def _argument(self) -> Value:
        """The argument of a command: a group, or one digit or letter."""
        kind, text = self.next
        if kind == "number":
            if not text.isdecimal():
                raise Undecided
            if len(text) == 1:
                self.position += 1
            else:
                self.tokens[self.position] = Token(kind, text[1:])
            return number(int(text[0]))
        if kind == "letter":
            self.position += 1
            return variable(text)
        if self.take("{"):
            value = self._sum()
            self.expect("}")
            return value
        raise Undecided

    def _radical(self, name: str) -> Value:
        degree = 2
        if name == "sqrt" and self.take("["):
            token = self.next
            self.position += 1
            self.expect("]")
            if token.kind != "number" or not token.text.isdecimal() or not 1 < int(token.text[:3]) < 100:
                raise Undecided
            degree = int(token.text[:3])
        token = self.next
        if token.kind == "number" and (len(token.text) == 1 or name == "root"):
            self.position += 1
            base = _constant(token.text)
        elif token.kind == "number" or (token.kind == "op" and token.text not in _GROUPS):
            raise Undecided
        else:
            base = self._primary()
        return self.field.power(base, number(Fraction(1, degree)))

    def _absolute(self) -> Value:
        if self._bars:
            raise Undecided
        self._bars += 1
        value = self._sum()
        self.expect("|")
        self._bars -= 1
        return functions.apply(self.field, "abs", value)

    def _function(self, name: str) -> Value:
        power = number(1)
        if self.take("^"):
            power = self._exponent()
            if name in ("ln", "log", "sqrt", "exp", "abs") or (rational(power) or -1) < 0:
                if rational(power) != -1 or name not in ("sin", "cos", "tan"):
                    raise Undecided
                name, power = "arc" + name, number(1)
        base = self._base_of_logarithm(name)
        value = self._function_argument(name)
        if base is not None:
            of_value, of_base = (functions.apply(self.field, "ln", part) for part in (value, base))
            return self.field.divide(of_value, of_base)
        return self.field.power(functions.apply(self.field, name, value), power)

    def _base_of_logarithm(self, name: str) -> Value | None:
        if not self.take("_"):
            return None
        if name != "log":
            raise Undecided
        return self._argument()

    def _function_argument(self, name: str) -> Value:
        outer, self._in_angle = self._in_angle, name in ("sin", "cos", "tan", "cot", "sec", "csc")
        if self.next.text in ("(", "{", "|") and self.next.kind == "op":
            value = self._primary()
        elif name in ("sqrt", "exp", "abs"):
            raise Undecided
        else:
            value = self._open_argument()
            self._open = True
        self._in_angle = outer
        return value

    def _open_argument(self) -> Value:
        """The argument of `sin 2x`: numbers, fractions and roots, and one variable at most, side by side."""
        value, count, sign = number(1), 0, self.sign()
        start = self.position
        while True:
            kind, text = self.next
            if kind == "letter" and text != "pi":
                count += 1
            elif kind == "number" and self.position > start:
                raise Undecided
            elif kind == "function" or (kind == "op" and text not in ("frac", "sqrt", "root")):
                break
            value = self.field.multiply(value, self._factor())
        if self.position == start or count > 1:
            raise Undecided
        return self.field.multiply(number(sign), value)


def _constant(text: str) -> Value:
    return number(int(text) if text.isdecimal() else Fraction(text))
