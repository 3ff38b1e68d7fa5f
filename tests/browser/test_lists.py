"""The published pages in a browser: by keyboard, on a phone, on paper, with nothing fetched and nothing run."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGES = ("DN-North/list.html", "DN-South/list.html", "index.html", "DN-North/people")
"""A folder stands for the first page in it."""
LISTED, LEFT_OR_UNSEEN = 12, 4

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
    path = published / page
    tab.goto((min(path.iterdir()) if path.is_dir() else path).as_uri())
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
    wanted = tab.locator("a, summary, [tabindex='0']").count()
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
    assert tab.locator("tr.person").count() == LISTED
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
    assert tab.locator(".people").first.locator("thead th:visible").count() == 5
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
    at(page, published, PAGES[0])
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
    assert 3 <= len(boxes) <= 4
    for width, height in boxes:
        assert (round(float(width)), round(float(height))) == (595, 842)
    tab.emulate_media(media="print")
    assert tab.locator("tr.person").first.evaluate("e => getComputedStyle(e).breakInside") == "avoid"
    assert tab.locator("thead").first.evaluate("e => getComputedStyle(e).display") == "table-header-group"
    assert tab.locator("a:visible:not(.name a)").count() == 0, "but for names, there is nothing to press on paper"


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
    numbers = sum(len(re.findall(r"\bNHS 999 \d{3} \d{4}\b", page)) for page in pages)
    assert numbers == LISTED + LEFT_OR_UNSEEN


WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("width", [1180, 768, 360])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(tab: Any, published: Path, page: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (the dev extra)")
    tab.set_viewport_size({"width": width, "height": 900})
    rules = {"runOnly": {"type": "tag", "values": WCAG}}
    found = axe.Axe().run(at(tab, published, page), options=rules).response
    assert [(one["id"], node["html"][:120]) for one in found["violations"] for node in one["nodes"]] == []
    assert len(found["passes"]) > 10


def test_the_strip_says_what_it_shows(tab: Any, published: Path) -> None:
    strip = at(tab, published, PAGES[0]).locator("tr.person .strip").first
    told = strip.get_attribute("aria-label")
    assert told.startswith("Risk: ")
    assert "today 1 in" in told or "today more likely" in told
    assert strip.locator("rect.latest").count() == 1
    assert strip.locator("rect.morning, path.gap").count() == 9


def test_a_list_leads_to_each_persons_page_and_back(tab: Any, published: Path) -> None:
    at(tab, published, PAGES[0])
    row = tab.locator("tr.person").nth(1)
    name = row.locator(".name").inner_text()
    row.locator(".name a").focus()
    with tab.expect_navigation():
        tab.keyboard.press("Enter")
    assert tab.locator("h1").inner_text() == name
    assert tab.locator("h2").all_inner_texts() == [
        "Before you use this",
        "Risk in nine days",
        "The last nine days",
        "Why today, and what changed",
        "Readings against own usual",
        "Ninety days",
    ]
    with tab.expect_navigation():
        tab.get_by_role("link", name="Back to the list").click()
    assert tab.locator("tr.person").count() == LISTED


def test_the_parts_of_a_list_are_reached_by_their_names(tab: Any, published: Path) -> None:
    at(tab, published, PAGES[0])
    parts = tab.locator("nav.contents a").all_inner_texts()
    assert parts == [
        "New and rising",
        "Still high",
        "Newly home or newly referred",
        "Leaving the list",
        "Poorly observed",
    ]
    for part in parts:
        tab.get_by_role("link", name=part).click()
        assert tab.evaluate("document.querySelector(':target').innerText").startswith(part)


def test_at_twice_the_size_nothing_is_lost(tab: Any, published: Path) -> None:
    wide = at(tab, published, PAGES[0]).locator("main").inner_text()
    tab.set_viewport_size({"width": 590, "height": 450})
    narrow = at(tab, published, PAGES[0]).locator("main").inner_text()
    assert set(wide.split()) <= set(narrow.split())


def test_a_printed_heading_is_never_alone(tab: Any, published: Path, tmp_path: Path) -> None:
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext on the path: apt-get install poppler-utils")
    done = subprocess.run([reader, "-layout", paper(tab, published, tmp_path), "-"], capture_output=True, check=True)
    for page in done.stdout.decode("utf-8").rstrip("\f").split("\f"):
        last = [line for line in page.splitlines() if line.strip()][-2]
        assert not re.search(r"No\.\s+Person|highest\.$|by this team$|New and rising|Still high|Newly home", last)
