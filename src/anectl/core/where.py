"""Conditions over the records of an index, such as `subject='geometry' and not tag:sum`.

A condition is read here and turned into SQL whose every name and value is a parameter: nothing that a person writes
becomes part of a statement.

    condition  = all, "or" all ...          all  = one, "and" one ...
    one        = "not" one | "(" condition ")" | tag:NAME | tag:'NAME' | FIELD test
    test       = = != < <= > >= VALUE | in (VALUE, ...) | is null | is not null
    VALUE      = 'text' (a quote in it is written twice) | number | true | false
    FIELD      = id, answer_type, licence, provenance, or a field of `source` (`a.b` is b inside a)

A test is false where the row has no such field or one of another type; `!=` is the opposite of `=`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from anectl.core.errors import UsageError

COLUMNS: Final = ("id", "answer_type", "licence", "provenance")
_HINT = 'such as "subject=\'geometry\' and level>=3" or "tag:sum"'
_MAX_DEPTH = 50
_MAX_TESTS = 300  # SQLite stops at expressions 1,000 deep
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?)(?![\w.])
      | (?P<tag>tag:)
      | (?P<name>[^\W\d][\w-]*(?:\.[\w-]+)*)
      | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL over the columns of `records`, its parameters in order, and the `source` fields it asks about."""

    sql: str
    parameters: tuple[str | int | float, ...]
    fields: frozenset[str]


def parse(text: str) -> Condition:
    """Read a condition. Raises UsageError saying where it stops making sense."""
    return _Parser(text).whole()


class _Parser:
    """Reads one condition from left to right, gathering the parameters of its SQL as they come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._parameters: list[str | int | float] = []
        self._fields: set[str] = set()
        self._num_tests = 0

    def whole(self) -> Condition:
        sql = self._any(0)
        if self._peek()[0] != "end":
            raise self._unexpected("the end")
        return Condition(sql, tuple(self._parameters), frozenset(self._fields))

    def _any(self, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise UsageError("the condition is nested too deeply", hint=_HINT)
        terms = [self._all(depth)]
        while self._takes("or"):
            terms.append(self._all(depth))
        return f"({' OR '.join(terms)})"

    def _all(self, depth: int) -> str:
        terms = [self._one(depth)]
        while self._takes("and"):
            terms.append(self._one(depth))
        return f"({' AND '.join(terms)})"

    def _one(self, depth: int) -> str:
        self._count()
        if self._takes("not"):
            if depth >= _MAX_DEPTH:
                raise UsageError("the condition is nested too deeply", hint=_HINT)
            return f"(NOT {self._one(depth + 1)})"
        if self._takes("("):
            inner = self._any(depth + 1)
            self._expect(")")
            return inner
        kind, value = self._next()
        if kind == "tag":
            return self._tag()
        if kind == "name":
            return self._test(value)
        self._at -= 1
        raise self._unexpected("a field, tag:NAME, `not` or `(`")

    def _count(self) -> None:
        self._num_tests += 1
        if self._num_tests > _MAX_TESTS:
            raise UsageError(f"the condition has more than {_MAX_TESTS} tests", hint=_HINT)

    def _tag(self) -> str:
        kind, value = self._next()
        if kind not in ("name", "text", "number"):
            self._at -= 1
            raise self._unexpected("the name of a tag")
        self._parameters.append(_unquoted(value) if kind == "text" else value)
        return "EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)"

    def _test(self, field: str) -> str:
        if self._takes("is"):
            negated = self._takes("not")
            self._expect("null")
            return f"({self._column(field)} IS {'NOT ' if negated else ''}NULL)"
        if self._takes("in"):
            self._expect("(")
            tests = [self._compare(field, "=")]
            while self._takes(","):
                self._count()
                tests.append(self._compare(field, "="))
            self._expect(")")
            return f"({' OR '.join(tests)})"
        kind, sign = self._next()
        if kind != "sign" or sign in ("(", ")", ","):
            self._at -= 1
            raise self._unexpected(f"=, !=, <, <=, >, >=, in or is after {field}")
        if sign in ("!=", "<>"):
            return f"(NOT {self._compare(field, '=')})"
        return self._compare(field, "=" if sign == "==" else sign)

    def _compare(self, field: str, sign: str) -> str:
        """True or false, never null: SQL puts text above all numbers, and null beside both."""
        kinds = self._column(field)
        kind, value = self._next()
        if kind == "text":
            types = "'text'"
            parameter: str | int | float = _unquoted(value)
        elif kind == "number":
            types, parameter = "'integer', 'real'", float(value) if re.search(r"[.eE]", value) else int(value)
        elif kind == "name" and value.lower() in ("true", "false"):
            types, parameter = "'integer', 'real'", int(value.lower() == "true")
        else:
            self._at -= 1
            raise self._unexpected("a value: 'text' in quotes, a number, true or false")
        if isinstance(parameter, int) and abs(parameter) >= 1 << 63:
            parameter = float(parameter)
        column = self._column(field)
        self._parameters.append(parameter)
        return f"(typeof({kinds}) IN ({types}) AND {column} {sign} ?)"

    def _column(self, field: str) -> str:
        if field.lower() in COLUMNS:
            return field.lower()
        if field.lower() == "license":
            return "licence"
        name = field.removeprefix("source.")
        self._fields.add(name.partition(".")[0])
        self._parameters.append("$" + "".join(f'."{part}"' for part in name.split(".")))
        return "json_extract(source, ?)"

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _takes(self, word: str) -> bool:
        kind, value = self._peek()
        found = kind in ("name", "sign") and value.lower() == word
        self._at += found
        return found

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise self._unexpected(f"`{word}`")

    def _unexpected(self, wanted: str) -> UsageError:
        kind, value = self._peek()
        found = "it ends" if kind == "end" else f"there is {value!r}"
        return UsageError(f"cannot read the condition {self._text!r}: {found} where {wanted} should be", hint=_HINT)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            rest = text[at:].strip()[:20]
            raise UsageError(f"cannot read the condition {text!r} from {rest!r} on", hint=_HINT)
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _unquoted(value: str) -> str:
    return value[1:-1].replace("''", "'")
