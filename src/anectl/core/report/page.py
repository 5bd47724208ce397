"""The page as bytes, piece by piece: what is seen first comes first, the data of the problems after it.

Its Content-Security-Policy allows nothing but the one style sheet and the one script that stand in it, by their
hashes, and images that are data. There is no inline handler, no style attribute and no address in it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources

from anectl.core.report.figures import PALETTE
from anectl.core.report.markup import Content, Markup, joined, tag

CHUNK = 25
"""Problems whose details the page unpacks at a time."""
_KEYS = (
    ("j, k", "next and previous problem"),
    ("/", "search"),
    ("Esc", "clear the search, leave a field"),
    ("t", "dark or light"),
    ("?", "this list"),
)
_SORTS = (
    ("worst", "worst first"),
    ("rate", "pass rate, rising"),
    ("best", "pass rate, falling"),
    ("id", "id"),
    ("length", "longest completion"),
)


def style() -> str:
    """The style sheet with the colours of the figures in it."""
    text = _file("page.css")
    light, dark = (" ".join(f"--f-{name}: {pair[place]};" for name, pair in PALETTE.items()) for place in (0, 1))
    for word, colours, place in (("light", light, 0), ("dark", dark, 1), ("print", light, 0)):
        text = text.replace(f"/*{word}*/", f"--learnable: {PALETTE['learnable'][place]}; {colours}")
    return text + "".join(
        f".f-{name}{{fill:var(--f-{name})}}.s-{name}{{stroke:var(--f-{name});fill:none}}\n" for name in PALETTE
    )


def script() -> str:
    """The script of the page."""
    return _file("page.js")


def _file(name: str) -> str:
    return (resources.files("anectl") / "report_page" / name).read_text("utf8")


def policy(styles: str, scripts: str) -> str:
    """The Content-Security-Policy for exactly these two elements."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (styles, scripts)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def opening(title: str, kicker: str, lede: Content, menu: Iterable[tuple[str, str]], sections: Content) -> bytes:
    """The page up to the data: all that is there without the script."""
    styles = style()
    head = (
        tag("meta", charset="utf-8")
        + tag("meta", http_equiv="Content-Security-Policy", content=policy(styles, script()))
        + tag("meta", name="viewport", content="width=device-width, initial-scale=1")
        + tag("meta", name="referrer", content="no-referrer")
        + tag("title", title)
        # Else a browser would ask the server of the page for one.
        + tag("link", rel="icon", href="data:,")
        + f"<style>{styles}</style>"
    )
    links = [tag("a", text, href=f"#{identity}") for identity, text in menu]
    buttons = [
        tag("button", "Keys", type="button", id="help-open", class_="push", aria_haspopup="dialog"),
        tag("button", "Dark", type="button", id="theme", aria_label="Dark or light theme"),
    ]
    body = (
        tag("a", "Skip to the problems", href="#problems", class_="skip")
        + tag("header", tag("p", kicker, class_="kicker"), tag("h1", title), tag("div", lede, class_="lede"))
        + tag("nav", tag("div", links, buttons), aria_label="Parts of the report")
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}\n<main>{joined(sections)}</main>'.encode()
    )


def gallery(note: str) -> Markup:
    """The part of the page that the script fills: filters, the list of problems, and one of them."""
    search = tag(
        "input",
        type="search",
        id="search",
        autocomplete="off",
        spellcheck="false",
        placeholder="all words, anywhere in a problem",
    )
    fields = [tag("label", "Search", search, class_="wide")]
    for name in ("state", "benchmark", "family", "tag"):
        fields.append(tag("label", name, tag("select", tag("option", "all", value=""), id=f"by-{name}")))
    fields.append(
        tag("label", "order", tag("select", [tag("option", text, value=name) for name, text in _SORTS], id="sort"))
    )
    fields.append(tag("button", "Reset", type="button", id="reset"))
    fields.append(tag("output", id="count", aria_live="polite"))
    panes = tag(
        "div",
        tag("div", id="list", role="listbox", tabindex=0, aria_label="Problems"),
        tag("article", id="detail", tabindex=0, aria_label="The problem that is chosen"),
        class_="split",
    )
    return tag(
        "section",
        tag("h2", "Problems", id="problems-title"),
        tag("p", note, class_="note") if note else None,
        tag("form", fields, id="filters", role="search"),
        panes,
        id="problems",
        aria_labelledby="problems-title",
    )


def closing(footer: str) -> bytes:
    """The end of the page: footer, list of keys, script. The data stands before it."""
    keys = [(tag("dt", tag("kbd", key)), tag("dd", text)) for key, text in _KEYS]
    dialog = tag(
        "dialog",
        tag("h3", "Keys", id="help-title"),
        tag("dl", keys),
        tag("button", "Close", type="button", id="help-close"),
        id="help",
        aria_labelledby="help-title",
    )
    return f"{dialog}{tag('footer', footer)}\n<script>{script()}</script>\n</body></html>\n".encode()
