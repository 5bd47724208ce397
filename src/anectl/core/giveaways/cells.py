"""Tables of a text: in whatever way their cells are set apart, `|` stands between them afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator

_COLUMN_MARKS = {
    "&": re.compile(r"\s*&\s*"),
    ";": re.compile(r"\s*;\s*"),
    "..": re.compile(r"\s*\.{2,}\s*"),
    **{mark: re.compile(r"\s{2,}") for mark in ("    ", "   ", "  ")},
}
_RULE = re.compile(r"[\s|:+-]*")
_ENDS_WITH_NUMBER = re.compile(r"([^\W\d_][\w' -]{0,30}?)[ ]+([-+$£€]?[0-9][0-9.,]{0,12}(?:[%°]| [A-Za-z]{1,3})?)")
_LABEL = r"['\"]?([^\W\d_][\w'()-]{0,20}(?: [\w'()-]{1,20}){0,4}?)['\"]?"
_AMOUNT = r"([-+$£€]?[0-9][0-9.]{0,8}(?: ?[%°]| [A-Za-z]{1,3})?)"
_PAIR = re.compile(rf"{_LABEL}(?: ?[:=] ?| ){_AMOUNT}(?![\w.]|\s*[-+*/^=])")
_ONE_PAIR = re.sub(r"(?<!\\)\((?!\?)", "(?:", _PAIR.pattern)
_PAIRS = re.compile(rf"(?:{_ONE_PAIR}(?:,| /|;|, and| and) ?){{2,}}{_ONE_PAIR}")
_ARRAY = re.compile(
    r"\\begin\{(?:array|tabular)\}(?:\{[^{}]{0,40}\})?(.{1,4000}?)\\end\{(?:array"
    r"|tabular)\}",
    re.DOTALL,
)
_RULES = re.compile(r"\\(?:hline|toprule|midrule|bottomrule)")
_LABEL_COMMA_NUMBER = re.compile(r"([^\W\d_][^,.|:0-9]{0,50}),[ ]?([-+$£€]?[0-9][0-9.]{0,12}[%°]?)")
_NAMED_FIELD = re.compile(r'\{ ?"?name"?: "([^"\n]{1,60})", "?value"?: "?([^"\n{}]{1,60}?)"? ?\}')
_INLINE_FIELD = re.compile(r"\{?\"([^\"\n:]{1,60})\": ?\"?([^\"\n,{}]{1,60}?)\"?(?:, ?(?=\")|\})")
_FIELD = re.compile(
    r'^[ \t]*[-{]?[ \t]*"([^"\n:]{1,60})": ?(?:"([^"\n]{1,60})"|([^"\n,{}]{1,60})),?[ \t]*\}?$', re.MULTILINE
)
_SHORT, _LONG = 30, 40
_MOST_CELLS, _LONGEST_CELL = 50, 300


def with_cells(text: str) -> str:
    """The text with `|` between the cells of tables set with semicolons, dots, wide spaces, commas or slashes."""
    if "\\begin{" in text:
        text = _ARRAY.sub(lambda m: "\n" + re.sub(r"\\\\", "\n", _RULES.sub("", m[1])).replace("&", " | ") + "\n", text)
    if "\n" not in text:
        return text
    lines = text.split("\n")
    for mark in ("&", ";", "    ", "   ", "  ", ".."):
        if text.count(mark) < 2:
            continue
        pattern = _COLUMN_MARKS[mark]
        wide = [mark in line and "|" not in line and _are_cells(pattern.split(line.strip())) for line in lines]
        near = [left or right for left, right in zip([False, *wide], [*wide[1:], False], strict=False)]
        lines = [
            " | ".join(pattern.split(line.strip().rstrip("\\ "))) if here and beside else line
            for line, here, beside in zip(lines, wide, near, strict=True)
        ]
    return "\n".join(_side_by_side(lines))


def with_fields(text: str) -> str:
    """The text with the fields of JSON or YAML in it as rows: `"speed": "3 m/s"`, `{name: "speed", value: "3 m/s"}`."""
    if _INLINE_FIELD.search(text):
        text = _INLINE_FIELD.sub(lambda m: f"\n{m[1]} | {m[2]}\n", text)
    return _FIELD.sub(lambda m: f"{m[1]} | {m[2] or m[3]}", _NAMED_FIELD.sub(r"\1 | \2", text))


def with_pairs(text: str) -> str:
    """The text with what it lists in a line as pairs of label and number in rows behind it: `robin 2, sparrow 13`."""
    found = [
        f"{pair[1].strip()} | {pair[2].strip()}" for run in _PAIRS.finditer(text) for pair in _PAIR.finditer(run[0])
    ]
    return "\n".join([text, *found]) if found else text


def _are_cells(parts: list[str]) -> bool:
    """Whether the parts of a line can be cells of a table: two or more, and none is a sentence."""
    return len(parts) > 1 and all(len(part) <= _LONG for part in parts)


def _side_by_side(lines: list[str]) -> list[str]:
    """Lines that are cut alike by commas or slashes, or that each end with a number, as rows of cells."""
    for cut, least_cells, least_lines in _CUTS:
        cells = [[] if "|" in line else cut(line.strip()) for line in lines]
        sizes = [len(one) if len(one) >= least_cells else 0 for one in cells]
        start = 0
        while start < len(lines):
            end = start
            while end < len(lines) and sizes[end] and sizes[end] == sizes[start]:
                end += 1
            if end - start >= least_lines and _is_table(lines[start:end]):
                lines[start:end] = [" | ".join(one) for one in cells[start:end]]
            start = max(end, start + 1)
    return lines


def _is_table(lines: list[str]) -> bool:
    """Whether lines that are cut alike have numbers in them, or no words with spaces between, as prose has."""
    return any(char.isdigit() for line in lines for char in line) or not any(", " in line for line in lines)


def _by_commas(line: str) -> list[str]:
    cells = [cell.strip() for cell in re.split(r"(?<![0-9]),|,(?![0-9]{3}(?![0-9]))|(?<=[A-Za-z0-9)]):(?= )", line)]
    return cells if all(0 < len(cell) <= _SHORT and not cell.endswith(".") for cell in cells) else []


def _by_all_commas(line: str) -> list[str]:
    cells = [cell.strip() for cell in line.split(",")]
    return cells if ", " not in line and all(0 < len(cell) <= _SHORT for cell in cells) else []


def _by_slashes(line: str) -> list[str]:
    cells = [cell.strip() for cell in re.split(r" / |:(?= )", line)]
    return cells if " / " in line and all(0 < len(cell) <= _SHORT for cell in cells) else []


def _before_last_comma(line: str) -> list[str]:
    m = _LABEL_COMMA_NUMBER.fullmatch(line)
    return [m[1], m[2]] if m else []


def _before_number(line: str) -> list[str]:
    m = _ENDS_WITH_NUMBER.fullmatch(line)
    return [m[1], m[2]] if m else []


_CUTS = (
    (_by_all_commas, 3, 2),
    (_by_commas, 3, 2),
    (_by_slashes, 3, 2),
    (_by_commas, 2, 3),
    (_before_number, 2, 3),
    (_before_last_comma, 2, 1),
)


def rows(text: str) -> Iterator[list[str]]:
    """The rows of the tables of a text, each as its cells; lines of dashes are none. A row has two cells or more."""
    table: list[list[str]] = []
    for cells in _rows(text):
        yield cells
        table = [*table, cells] if not table or len(table[-1]) == len(cells) else [cells]
    if len(table) == 2 and not any(char.isdigit() for cell in table[0] for char in cell):
        yield from ([head, cell] for head, cell in zip(*table, strict=True))


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        if "|" not in line and "\t" not in line:
            continue
        if _RULE.fullmatch(line):
            continue
        cells = [cell.strip(" =*•").removeprefix("- ") for cell in re.split(r"[|\t]", line.strip().strip("|"))]
        if len(cells) > 1:
            for start in range(0, len(cells), _MOST_CELLS):
                yield [
                    cells[0][:_LONGEST_CELL],
                    *(cell[:_LONGEST_CELL] for cell in cells[max(1, start) : start + _MOST_CELLS]),
                ]
