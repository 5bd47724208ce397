"""The page of report in a real browser: it is driven, not only drawn, and nothing in it runs but its own script."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from anectl.cli import app
from tests.report_rows import HOSTILE, HOSTILE_IDS, make_hostile_run, make_run, training_log, write

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its chromedriver on this machine")
FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update "
    "disable-sync window-size=1300,900"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = {"plain": make_run(folder / "run", problems=120), "hostile": make_hostile_run(folder / "hostile")}
    write(folder / "bare" / "log.jsonl", training_log(20))
    runs["bare"] = folder / "bare"
    for name, run in runs.items():
        out = str(folder / f"{name}.html")
        assert CliRunner().invoke(app, ["report", str(run), "-o", out], catch_exceptions=False).exit_code == 0
    # What is escaped must not need the policy: the same page without it has to stay as quiet.
    whole = (folder / "hostile.html").read_text("utf8")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", whole)
    assert len(bare) < len(whole)
    (folder / "no-policy.html").write_text(bare, "utf8")
    return {name: folder / f"{name}.html" for name in (*runs, "no-policy")}


class Driven:
    """A page that is open in the browser."""

    def __init__(self, browser: Any, path: Path, fragment: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get_log("browser")
        browser.get_log("performance")
        browser.get(path.as_uri() + fragment)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.run(
                "const to = document.activeElement || document.body;"
                "to.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true, cancelable: true}))",
                key,
            )

    def type(self, identity: str, text: str) -> None:
        self.run(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event(e.matches('select') ? 'change' : 'input', {bubbles: true}))",
            identity,
            text,
        )
        # The search waits for the end of a word.
        self.browser.execute_async_script("setTimeout(arguments[0], 250)")

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def complaints(self) -> list[Any]:
        return list(self.browser.get_log("browser"))

    def requests(self) -> list[str]:
        """The addresses that the page asked for, besides itself and its own data."""
        sent = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        urls = [one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("file:", "data:", "about:"))]

    def quiet(self) -> None:
        assert self.run("return document.documentElement.dataset.ready") == "yes"
        assert self.complaints() == []
        assert self.requests() == []


def test_problems_are_filtered_searched_and_sorted(browser: Any, pages: dict[str, Path]) -> None:
    page = Driven(browser, pages["plain"])
    assert page.text("#count") == "130 of 130"
    page.type("by-state", "learnable")
    assert page.text("#count") != "130 of 130"
    states = page.run("return [...document.querySelectorAll('#list .state')].map(e => e.textContent)")
    assert set(states) == {"learnable"}
    page.type("by-state", "")
    page.type("by-family", "family-1")
    page.type("search", "what is 100 plus")
    assert page.text("#count") == "1 of 130"
    page.run("document.getElementById('reset').click()")
    page.type("search", "no such words")
    assert page.text("#count") == "0 of 130"
    page.run("document.getElementById('reset').click()")
    page.type("sort", "id")
    assert page.text("#list .row .id") == "p0"
    page.type("sort", "best")
    assert page.text("#list .row .id") != "p0"
    page.quiet()


def test_a_link_leads_to_its_problem(browser: Any, pages: dict[str, Path]) -> None:
    page = Driven(browser, pages["plain"], "#p=p77")
    assert page.text("#detail h3") == "p77"
    page.type("search", "what is 3 plus")
    page.run("location.hash = '#p=p201'")
    page.browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert page.text("#detail h3") == "p201"
    assert page.run("return document.querySelector('#list [aria-selected=true] .id').textContent") == "p201"
    page.run(
        "document.querySelectorAll('details').forEach(e => e.open = true); document.querySelector('.flips a').click()"
    )
    page.browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert page.text("#detail h3") == page.text(".flips a")
    page.run("location.hash = '#p=not-there'")
    page.browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert page.text("#detail") == "No problem not-there in this report."
    page.quiet()


def test_the_keyboard_does_what_the_list_of_keys_says(browser: Any, pages: dict[str, Path]) -> None:
    page = Driven(browser, pages["plain"])
    first = page.text("#detail h3")
    page.press("j")
    second = page.text("#detail h3")
    assert second != first
    assert page.run("return location.hash") == f"#p={second}"
    page.press("k")
    assert page.text("#detail h3") == first
    page.press("/")
    assert page.run("return document.activeElement.id") == "search"
    page.press("j")
    assert page.text("#detail h3") == first
    page.type("search", "plus")
    page.press("Escape")
    assert page.run("return document.getElementById('search').value") == ""
    page.press("Escape")
    assert page.run("return document.activeElement.id") != "search"
    page.press("?")
    assert page.run("return document.getElementById('help').open")
    page.run("document.getElementById('help-close').click()")
    for _ in range(60):
        page.press("j")
    chosen = page.run("return document.querySelector('#list [aria-selected=true]').getBoundingClientRect().top")
    assert 0 < chosen < 900
    assert page.run("return document.querySelectorAll('#list .row').length") < 60
    page.quiet()


def test_the_theme_follows_the_system_and_the_button(browser: Any, pages: dict[str, Path]) -> None:
    def ground(page: Driven) -> str:
        return str(page.run("return getComputedStyle(document.body).backgroundColor"))

    def axis(page: Driven) -> str:
        return str(page.run("return getComputedStyle(document.querySelector('.figure .f-c0')).fill"))

    seen = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        page = Driven(browser, pages["plain"])
        page.run("localStorage.clear()")
        page = Driven(browser, pages["plain"])
        seen[scheme] = (ground(page), axis(page))
    assert seen["light"] != seen["dark"]
    page.press("t")
    assert (ground(page), axis(page)) == seen["light"]
    page.run("document.getElementById('theme').click()")
    assert (ground(page), axis(page)) == seen["dark"]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert ground(page) == "rgb(255, 255, 255)"
    assert page.run("return getComputedStyle(document.getElementById('list')).display") == "none"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    page.run("localStorage.clear()")
    page.quiet()


@pytest.mark.parametrize("name", ["hostile", "no-policy"])
def test_nothing_hostile_runs_or_breaks_the_layout(browser: Any, pages: dict[str, Path], name: str) -> None:
    page = Driven(browser, pages[name])
    title = browser.title
    seen = set()
    for _ in HOSTILE:
        seen.add(page.text("#detail h3"))
        page.run("document.querySelectorAll('details').forEach(e => e.open = true)")
        width, height = page.run("const e = document.documentElement; return [e.scrollWidth - innerWidth, innerHeight]")
        assert width <= 0
        inside = page.run("const d = document.getElementById('detail'); return d.scrollWidth - d.clientWidth")
        assert inside <= 0
        assert page.run("return document.querySelector('.problem > div:last-child').clientWidth") > 300
        row = page.run("return [...document.querySelectorAll('#list .row')].map(e => e.offsetHeight)")
        assert set(row) == {54}
        page.press("j")
    assert len(seen) == len(HOSTILE)
    page.type("search", "<script>")
    page.type("by-tag", page.run("return document.getElementById('by-tag').options[1].value"))
    page.run("document.querySelectorAll('main *').forEach(e => { e.dispatchEvent(new MouseEvent('mouseover')); })")
    page.browser.execute_async_script("setTimeout(arguments[0], 300)")
    assert page.run("return window.canary") is None
    assert browser.title == title
    foreign = (
        "return document.querySelectorAll('iframe, object, embed, base, video, math, main form:not(#filters)').length"
    )
    assert page.run(foreign) == 0
    assert height == page.run("return innerHeight")
    page.quiet()


def test_a_run_without_problems_has_a_page_too(browser: Any, pages: dict[str, Path]) -> None:
    page = Driven(browser, pages["bare"])
    assert page.run("return document.querySelectorAll('#training svg').length") > 3
    assert page.run("return document.getElementById('filters').offsetParent") is None
    page.quiet()


@pytest.mark.parametrize("identity", HOSTILE_IDS)
def test_hostile_ids_can_be_linked_to(browser: Any, pages: dict[str, Path], identity: str) -> None:
    shown = identity.replace("\u202e", "⟦U+202E⟧")
    page = Driven(browser, pages["hostile"], f"#p={quote(shown)}")
    assert page.text("#detail h3") == shown
    page.quiet()
