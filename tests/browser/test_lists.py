"""The published pages in a browser: by keyboard, on a phone, on paper, with nothing fetched and nothing run."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGES = ("DN-North/list.html", "DN-South/list.html", "index.html")

CONTRASTS = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim()) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.outerHTML.slice(0, 80)]);
  }
  return found;
}"""

TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll, .hidden, .skip, thead') && e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab that fails the test afterwards if a page fetched anything or complained."""
    page = browser.new_page(viewport={"width": 1180, "height": 900})
    fetched: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert all(url.startswith(("file:", "data:")) and url.endswith(".html") for url in fetched), fetched
    assert complaints == []


def at(tab: Any, published: Path, page: str) -> Any:
    tab.goto((published / page).as_uri())
    return tab


@pytest.mark.parametrize("page", PAGES)
def test_the_first_key_skips_to_the_content(tab: Any, published: Path, page: str) -> None:
    at(tab, published, page)
    tab.keyboard.press("Tab")
    link = tab.locator(":focus")
    assert link.inner_text().startswith("Skip to")
    assert link.bounding_box()["x"] >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("page", PAGES)
def test_all_that_can_be_used_is_reached_by_key_and_seen(tab: Any, published: Path, page: str) -> None:
    at(tab, published, page)
    wanted = tab.locator("a, [tabindex='0']").count()
    reached = []
    for _ in range(wanted):
        tab.keyboard.press("Tab")
        focus = "e => [e.outerHTML, getComputedStyle(e).outlineStyle, parseFloat(getComputedStyle(e).outlineWidth)]"
        html, style, width = tab.locator(":focus").evaluate(focus)
        assert style == "solid"
        assert width >= 2
        reached.append(html)
    assert len(set(reached)) == wanted


@pytest.mark.parametrize("width", [320, 640, 820])
@pytest.mark.parametrize("page", PAGES)
def test_no_page_scrolls_sideways(tab: Any, published: Path, page: str, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    at(tab, published, page)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(TOO_WIDE) == []


def test_on_a_phone_each_person_is_a_card_with_labels(tab: Any, published: Path) -> None:
    tab.set_viewport_size({"width": 320, "height": 800})
    at(tab, published, PAGES[0])
    assert tab.locator("tr.person").count() == 12
    first = tab.locator("tr.person").first
    assert first.evaluate("e => getComputedStyle(e).display") == "grid"
    assert first.locator(".label:visible").all_inner_texts() == [
        "Risk in nine days",
        "Why listed",
        "Last seen by this team",
    ]
    assert first.locator("td, th").evaluate_all("cells => cells.map(c => c.getAttribute('role'))") == [
        "cell",
        "rowheader",
        "cell",
        "cell",
        "cell",
    ]


def test_on_a_tablet_it_is_a_table_with_headings(tab: Any, published: Path) -> None:
    tab.set_viewport_size({"width": 820, "height": 1180})
    at(tab, published, PAGES[0])
    assert tab.locator("thead th:visible").count() == 5
    assert tab.locator(".label:visible").count() == 0
    assert tab.locator("tr.person").first.bounding_box()["y"] < 1180


@pytest.mark.parametrize("page", PAGES)
def test_every_text_stands_out_from_what_is_behind_it(tab: Any, published: Path, page: str) -> None:
    contrasts = at(tab, published, page).evaluate(CONTRASTS)
    assert len(contrasts) > 10
    assert [text for ratio, text in contrasts if ratio < 4.5] == []


def test_the_policy_lets_nothing_run(browser: Any, published: Path) -> None:
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto((published / PAGES[0]).as_uri())
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'document.title = "ran"';
        document.body.append(script);
        const image = document.createElement('img');
        image.src = 'https://example.invalid/x.png';
        document.body.append(image);
        document.body.setAttribute('style', 'display: none');
    }""")
    assert page.title() != "ran"
    assert page.locator("h1").is_visible()
    assert all("Content Security Policy" in text for text in refused)
    assert len(refused) == 3
    page.close()


def paper(tab: Any, published: Path, tmp_path: Path) -> Path:
    target = tmp_path / "list.pdf"
    at(tab, published, PAGES[0]).pdf(path=target, prefer_css_page_size=True)
    return target


def test_paper_is_a4_and_rows_are_whole(tab: Any, published: Path, tmp_path: Path) -> None:
    pdf = paper(tab, published, tmp_path).read_bytes()
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert 2 <= len(boxes) <= 3
    for width, height in boxes:
        assert (round(float(width)), round(float(height))) == (595, 842)
    tab.emulate_media(media="print")
    assert tab.locator("tr.person").first.evaluate("e => getComputedStyle(e).breakInside") == "avoid"
    assert tab.locator("thead").evaluate("e => getComputedStyle(e).display") == "table-header-group"
    assert tab.locator("a:visible").count() == 0


def test_every_printed_page_says_what_it_is(tab: Any, published: Path, tmp_path: Path) -> None:
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext on the path: apt-get install poppler-utils")
    done = subprocess.run([reader, "-layout", paper(tab, published, tmp_path), "-"], capture_output=True, check=True)
    pages = done.stdout.decode("utf-8").rstrip("\f").split("\f")
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "SIMULATED PEOPLE" in page
        assert (
            "District nursing, Stevenage North, 03-Feb-2026 06:00, data to 03-Feb-2026 01:00, model champion 14" in page
        )
        assert "Why listed" in page
    assert sum(len(re.findall(r"\bNHS 999 \d{3} \d{4}\b", page)) for page in pages) == 12
