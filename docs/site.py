"""Lay out the pages for a site builder, where their links to each other still hold: python docs/site.py FOLDER

The pages link across the repository (README, examples, decisions), so the site is built of a copy of all Markdown pages
and pictures that git knows, at the same places. A folder that is linked to gets a page that lists its own pages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".md", ".svg", ".png"}
_LINK = re.compile(r"(?<=\]\()[^()\s#:]+(?=\))")
LEFT_OUT = ("tests", "src")


def copied(folder: Path) -> list[Path]:
    """Copy the pages and pictures; their paths in the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [Path(name) for name in listed.split("\0") if name and Path(name).parts[0] not in LEFT_OUT]
    paths = [path for path in paths if path.suffix in SUFFIXES or path.parent.name == "results"]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return paths


def title_of(page: Path) -> str:
    """The first heading of a page."""
    headings = (line[2:].strip() for line in page.read_text("utf-8").splitlines() if line.startswith("# "))
    return next(headings, page.stem)


def write_listings(folder: Path, paths: list[Path]) -> None:
    """A README.md for each folder below the first level that has pages and no such page."""
    for place in {path.parent for path in paths if path.suffix == ".md" and path.parent != Path()}:
        if (folder / place / "README.md").exists() or (folder / place / "index.md").exists():
            continue
        pages = sorted(path for path in paths if path.parent == place and path.suffix == ".md")
        lines = [f"- [{title_of(folder / page)}]({page.name})" for page in pages]
        (folder / place / "README.md").write_text("\n".join([f"# {place.name}", "", *lines, ""]), "utf-8")


def link_listings(folder: Path) -> None:
    """Links to a folder become links to its page."""
    for page in folder.rglob("*.md"):

        def to_page(link: re.Match[str], place: Path = page.parent) -> str:
            return f"{link[0].rstrip('/')}/README.md" if (place / link[0]).is_dir() else link[0]

        page.write_text(_LINK.sub(to_page, page.read_text("utf-8")), "utf-8")


def main() -> None:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_listings(folder, copied(folder))
    link_listings(folder)


if __name__ == "__main__":
    main()
