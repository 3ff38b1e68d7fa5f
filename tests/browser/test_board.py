"""A nurse's morning at the board, from signing in to the printed list, in a real browser; and by keyboard alone."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from pipelines import steps
from pipelines.board.accounts import Accounts
from pipelines.board.app import make_app
from pipelines.board.desk import Desk
from pipelines.board.passwords import hashed
from pipelines.board.records import Records
from pipelines.config import BoardConfig, ServiceConfig
from pipelines.service import Service
from pipelines.status import Status

PASSWORD = "a long enough password"
NHS_NUMBER = re.compile(r"\bNHS 999 \d{3} \d{4}\b")
BESIDE = "css=.answers"


@dataclass
class Served:
    """A board that is served, and what it knows of the time."""

    address: str
    config: ServiceConfig
    now: list[datetime]
    team: str
    complaints: list[str]


def quiet(_said: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def served(browser: Any, trained: ServiceConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The small trust's board on the last morning but one, for the team with the longest list."""
    workspace = tmp_path_factory.mktemp("morning") / "workspace"
    shutil.copytree(trained.workspace, workspace, symlinks=True)
    config = trained.model_copy(update={"workspace": workspace, "board": BoardConfig()})
    first = steps.as_of_day(config, steps.simulated_last_day(config)) - timedelta(days=1)
    steps.daily(config, first, first, quiet)
    service = Service(config)
    listed = service.exposures.listed()
    team = str(listed["team_id"].value_counts().index[0])
    now, complaints = [first + timedelta(minutes=90)], []
    desk = Desk(
        config=config,
        accounts=Accounts(service.workspace.board),
        records=Records(service.exposures),
        clock=lambda: now[0],
        state=lambda at: Status("fresh", (f"As of {at:%H:%M}.",)),
    )
    desk.accounts.add("nurse", "A. Nurse", "member", [team], hashed(PASSWORD))
    desk.accounts.add("lead", "A. Lead", "lead", [team], hashed(PASSWORD))
    server = uvicorn.Server(
        uvicorn.Config(make_app(desk, complaints.append), port=0, log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://localhost:{port}", config, now, team, complaints)
    server.should_exit = True
    thread.join()


@pytest.fixture
def tab(browser: Any, served: Served) -> Iterator[Any]:
    """A tab of a browser of its own, without scripts, that fails the test if a page complains or fetches from afar."""
    context = browser.new_context(viewport={"width": 1180, "height": 900}, java_script_enabled=False)
    page = context.new_page()
    fetched: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    context.close()
    assert all(url.startswith(served.address) or url.startswith("data:") for url in fetched), fetched
    assert complaints == []
    assert served.complaints == []


def follow(tab: Any, control: Any) -> None:
    """Clicks what leads to another page, and waits for that page: the one before must not be read in its place."""
    with tab.expect_navigation():
        control.click()


def sign_in(tab: Any, served: Served, name: str = "nurse") -> Any:
    tab.goto(served.address)
    assert tab.url.endswith("/sign-in")
    tab.get_by_label("Name").fill(name)
    tab.get_by_label("Password").fill(PASSWORD)
    follow(tab, tab.get_by_role("button", name="Sign in"))
    assert tab.url.endswith("/list.html")
    return tab


def person(tab: Any, number: int) -> Any:
    return tab.locator(".answers").nth(number)


def names(tab: Any) -> list[str]:
    found: list[str] = tab.locator(".person .name").all_inner_texts()
    return found


def violations(served: Served, browser: Any, cookies: list[Any], path: str) -> list[str]:
    """What axe finds wrong with a page: it needs scripts, and that the page's policy lets it in."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (the dev extra)")
    context = browser.new_context(bypass_csp=True, viewport={"width": 1180, "height": 900})
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(served.address + path)
    found = axe.Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    context.close()
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found.response["violations"]]


def test_a_nurses_morning(tab: Any, served: Served, tmp_path: Path) -> None:
    sign_in(tab, served)
    listed = names(tab)
    assert len(listed) >= 4
    assert "SIMULATED PEOPLE" in tab.inner_text("header")
    assert f"0 of {len(listed)} people answered" in tab.inner_text(".today")
    follow(tab, person(tab, 0).get_by_role("button", name="Visited", exact=True))
    follow(tab, person(tab, 1).get_by_role("button", name="Escalated to urgent response"))
    person(tab, 2).locator("summary", has_text="Snooze").click()
    follow(tab, person(tab, 2).get_by_role("button", name="Snooze", exact=True))
    assert f"3 of {len(listed)} people answered; 1 snoozed and folded" in tab.inner_text(".today")
    assert names(tab) == listed, "nobody is hidden"
    assert not tab.locator(".person").nth(2).locator(".why li").first.is_visible()
    person(tab, 2).locator("summary", has_text="Show in full").click()
    assert tab.locator(".person").nth(2).locator(".why").is_visible()
    follow(tab, person(tab, 1).get_by_role("button", name="Undo"))
    assert f"2 of {len(listed)} people answered" in tab.inner_text(".today")
    assert "Visited, " in person(tab, 0).inner_text()
    assert "A. Nurse" in person(tab, 0).inner_text()
    assert "Escalated to urgent response," not in person(tab, 1).inner_text()
    printed(tab, tmp_path, len(listed))
    next_morning(tab, served, listed[0])


def printed(tab: Any, tmp_path: Path, people: int) -> None:
    """As it would come out of a printer: everybody, those leaving the list too, what was answered, and nothing to
    press."""
    tab.emulate_media(media="print")
    assert tab.locator("button:visible, summary:visible, select:visible").count() == 0
    assert tab.locator(".person:visible").count() == people
    reader = shutil.which("pdftotext")
    if reader is not None:
        target = tmp_path / "list.pdf"
        tab.pdf(path=target, prefer_css_page_size=True)
        done = subprocess.run([reader, "-layout", target, "-"], capture_output=True, check=True)
        text = done.stdout.decode("utf-8")
        shown = [NHS_NUMBER.findall(words) for words in tab.locator(".person").all_inner_texts()]
        assert [len(numbers) for numbers in shown] == [1] * people
        assert sorted(NHS_NUMBER.findall(text)) == sorted(NHS_NUMBER.findall(tab.inner_text("body")))
        assert {number for (number,) in shown} <= set(NHS_NUMBER.findall(text))
        assert len(NHS_NUMBER.findall(text)) == people + tab.locator("tr.other").count()
        assert "Visited," in text
        assert "Already known" not in text
    tab.emulate_media(media="screen")


def next_morning(tab: Any, served: Served, visited: str) -> None:
    last = steps.as_of_day(served.config, steps.simulated_last_day(served.config))
    steps.daily(served.config, last, last, quiet)
    served.now[0] = last + timedelta(minutes=90)
    sign_in(tab, served)
    assert last.date().isoformat() in tab.url
    listed = names(tab)
    assert f"0 of {len(listed)} people answered" in tab.inner_text(".today")
    if visited in listed:
        assert "Visited, " in person(tab, listed.index(visited)).inner_text()
    follow(tab, tab.get_by_role("link", name=re.compile(r"\d\d-\w{3}-\d{4}")).first)
    assert "This is an earlier list." in tab.inner_text(".notes")
    assert "Visited, " in person(tab, names(tab).index(visited)).inner_text()


def test_by_keyboard_alone(tab: Any, served: Served) -> None:
    tab.goto(served.address)
    for keys in ("Tab", "Tab"):
        tab.keyboard.press(keys)
    tab.keyboard.type("nurse")
    tab.keyboard.press("Tab")
    tab.keyboard.type(PASSWORD)
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/list.html")
    known = [person(tab, n).get_by_role("button", name="Already known") for n in range(len(names(tab)))]
    number = next(n for n, button in enumerate(known) if n and button.is_visible())  # a snoozed person is folded
    wanted = known[number]
    for _ in range(80):
        tab.keyboard.press("Tab")
        if wanted.evaluate("e => e === document.activeElement"):
            break
    style = wanted.evaluate("e => [getComputedStyle(e).outlineStyle, parseFloat(getComputedStyle(e).outlineWidth)]")
    assert style[0] == "solid"
    assert style[1] >= 2
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/list.html#p*")
    assert "Already known," in person(tab, number).inner_text()
    undo = person(tab, number).get_by_role("button", name="Undo")
    for _ in range(80):
        tab.keyboard.press("Tab")
        if undo.evaluate("e => e === document.activeElement"):
            break
    with tab.expect_navigation():
        tab.keyboard.press("Space")
    assert "Already known," not in person(tab, number).inner_text()


def test_axe_finds_nothing_wrong(tab: Any, browser: Any, served: Served) -> None:
    steps.work_out_outcomes(served.config, served.now[0] + timedelta(days=40))
    sign_in(tab, served, "lead")
    path = tab.url.removeprefix(served.address)
    cookies = tab.context.cookies()
    for place in (path, "/lists", "/results", "/nowhere"):
        assert violations(served, browser, cookies, place) == [], place
    assert violations(served, browser, [], "/sign-in") == []
    tab.goto(served.address + "/results")
    assert "what came of the lists" in tab.inner_text("main")


@pytest.mark.parametrize("width", [320, 820])
def test_it_does_not_scroll_sideways(tab: Any, served: Served, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 1000})
    sign_in(tab, served)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    small = tab.locator("button:visible, summary:visible").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).filter(b => b.width < 24 || b.height < 24).length"
    )
    assert small == 0
