"""Texts that would do something to a terminal, or to rich, if they were printed as they are."""

from __future__ import annotations

import re

HOSTILE = {
    "nul": "a\0b",
    "bell": "a\a\a\ab",
    "backspaces": "right" + "\b" * 5 + "wrong",
    "carriage return": "wrong\rright",
    "tabs": "\t" * 3000,
    "vertical tab and form feed": "a\vb\fc",
    "shift out": "a\x0elqk\x0f",
    "delete": "a\x7f\x7fb",
    "red": "\x1b[31mred\x1b[0m",
    "concealed": "\x1b[8mhidden",
    "clear the screen": "\x1b[2J\x1b[3J\x1b[H",
    "move the cursor": "\x1b[1;1H\x1b[KPASSED",
    "line up": "x\x1b[1A\x1b[2Kforged",
    "scroll region": "\x1b[10;20r",
    "alternate screen": "\x1b[?1049h",
    "report the cursor": "\x1b[6n",
    "report the device": "\x1b[>c\x1b[c",
    "mouse": "\x1b[?1003h",
    "bracketed paste": "\x1b[201~rm -rf x\n",
    "reset": "\x1bc",
    "line drawing": "\x1b(0lqqk",
    "title": "\x1b]0;owned\x07",
    "title of the window": "\x1b]2;owned\x1b\\",
    "title of tmux": "\x1bkowned\x1b\\",
    "link": "\x1b]8;;https://evil.example\x1b\\https://good.example\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "font": "\x1b]50;?\x07",
    "image": "\x1b]1337;File=inline=1:AAAA\x07",
    "notification": "\x1b]777;notify;a;b\x07",
    "colours of the palette": "\x1b]4;1;rgb:00/00/00\x07",
    "sixel": "\x1bPq#0;2;0;0;0#0~~\x1b\\",
    "application command": "\x1b_Ga=T;AAAA\x1b\\",
    "privacy message": "\x1b^x\x1b\\",
    "an escape cut off": "x\x1b",
    "an escape in an escape": "\x1b\x1b[[A[31m",
    "c1 csi": "\x9b31mred\x9b0m",
    "c1 osc": "\x9d0;owned\x9c",
    "c1 dcs": "\x90q~\x9c",
    "c1 next line": "a\x85forged",
    "right to left override": "\u202egnp.exe",
    "left to right override": "\u202dabc\u202c",
    "isolates": "\u2066abc\u2069 \u2067def\u2069",
    "marks of direction": "a\u200fb\u200ec\u061cd",
    "separators": "a\u2028error: forged\u2029b",
    "no width": "pay\u200bpal\ufeff\u2060",
    "soft hyphens": "a\u00ad" * 50,
    "tags": "a\U000e0041\U000e0042\U000e007f",
    "annotations": "\ufff9a\ufffab\ufffb",
    "heap of marks": "a" + "\u0336\u0489\u0300" * 100,
    "markup": "[red]x[/red] [bold]y",
    "markup closed": "[/] [/nothing]",
    "markup link": "[link=https://evil.example]x[/link]",
    "markup action": "[@click=app.bell]x[/]",
    "emoji code": ":skull: :smile:",
    "format": "{task.fields[note]} {0} %s %(x)s %n",
    "forged lines": "x\nerror: all is lost\nhint: send money\ncheck: 0 rows",
    "five thousand lines": "y\n" * 5000,
    "a million letters": "x" * 1_000_000,
    "many wide letters": "\u5b57" * 50_000,
    "many escapes": "\x1b[31m" * 40_000,
}
FORGERIES = ("error: all is lost", "hint: send money", "check: 0 rows", "error: forged")
_SGR = re.compile(r"\x1b\[[0-9;]*m")
_SPACES = "\n\u00a0\u202f\u2007\u3000\u200c\u200d"
_LONGEST_LINE = 100_000


def assert_harmless(shown: str, *, colours: bool = False) -> None:
    """Nothing but printable characters, no line that passes for one of ours, no flood; `colours`: SGR is ours."""
    if colours:
        shown = _SGR.sub("", shown).replace("\r\n", "\n")
    bad = {character for character in shown if not (character.isprintable() or character in _SPACES)}
    assert bad == set()
    lines = shown.splitlines()
    assert [line for line in lines if line.startswith(FORGERIES)] == []
    assert max(map(len, lines), default=0) < _LONGEST_LINE
