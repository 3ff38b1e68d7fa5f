"""Draws docs/list.png and docs/person.png from a published list of simulated people, and the page of the first on it:
`python docs/picture.py [path to list.html]`."""

import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
LISTS = HERE.parent / "workspace" / "lists" / "latest"
WIDTH, HEIGHT = 1180, 1000


def main(arguments: list[str]) -> int:
    page = Path(arguments[0]) if arguments else next(iter(sorted(LISTS.glob("*/list.html"))), LISTS / "list.html")
    chromium = shutil.which("chromium")
    wanting = {
        f"a list of simulated people at {page}; run `make demo` or name one": _simulated(page),
        "chromium on the path; apt-get install chromium": chromium is not None,
    }
    missing = [need for need, met in wanting.items() if not met]
    if missing:
        sys.stderr.write(f"The picture needs {'; and '.join(missing)}.\n")
        return 1
    draw(page, HERE / "list.png", str(chromium))
    if (first := _first_person(page)) is not None:
        draw(first, HERE / "person.png", str(chromium))
    return 0


def _first_person(page: Path) -> Path | None:
    found = re.search(r'href="(people/[^"]+)"', page.read_text("utf-8"))
    return page.parent / found[1] if found and _simulated(page.parent / found[1]) else None


def _simulated(page: Path) -> bool:
    """Whether the page says so of its people: a real list must never become a picture in the repository."""
    return page.is_file() and "<strong>SIMULATED PEOPLE</strong>" in page.read_text("utf-8")


def draw(page: Path, picture: Path, chromium: str) -> None:
    """The top of the page as a desktop browser shows it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
