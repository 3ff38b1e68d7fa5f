"""What the pages say, and what hostile text cannot make them say."""

import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from pipelines.pages import (
    Board,
    Person,
    Section,
    Stamp,
    Team,
    index_page,
    list_page,
    quality_page,
    report_page,
    words,
)
from pipelines.pages.render import css_string

AS_OF = datetime(2026, 2, 3, 6, 0, tzinfo=UTC)
NEVER_OPEN = ("script", "iframe", "object", "embed", "link", "form", "base", "b", "i")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; @import 'https://example.invalid/x'; '",
    "</style><script>alert(1)</script>",
    "<!--notes--><b>x</b><!--/notes-->",
    "\u202egnitsil",
    "{{ 7 * 7 }}",
    "x" * 3000,
)


class Reader(HTMLParser):
    """Collects a page's tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def stamp(**changes: Any) -> Stamp:
    usual: dict[str, Any] = {
        "as_of": AS_OF,
        "data_as_of": AS_OF - timedelta(hours=5),
        "model_version": "champion 14",
        "trust": "Invented Trust",
        "simulated": False,
        "zone": "Europe/London",
        "feed_ages": (("Community contacts", 5.0),),
    }
    return Stamp(**(usual | changes))


def person(**changes: Any) -> Person:
    usual: dict[str, Any] = {
        "person_id": 7,
        "rank": 1,
        "nhs_number": "999 000 0018",
        "name": "OKAFOR, Ngozi",
        "born": "01-Jan-1940",
        "age": "86",
        "sex": "female",
        "risk": 0.125,
        "risk_in_words": "about 1 in 8",
        "band": 4,
        "change": "new",
        "previous_risk": float("nan"),
        "days_on_list": 1.0,
        "reasons": ("3 unscheduled visits in 7 days",),
        "last_seen": "02-Feb-2026 14:30",
        "last_seen_ago": "yesterday",
        "days_on_caseload": 43.0,
        "also_with": (),
        "last_seen_by": "telephone",
    }
    return Person(**(usual | changes))


TEAM = Team("north", "North nursing", 412, 21, (("Already in hospital", 9), ("Under 18", 0)))


def text(*people: Person, team: Team = TEAM, **changes: Any) -> str:
    return Reader(list_page(team, people, stamp(**changes))).text


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0.4, "less than an hour old"),
        (1, "1 hour old"),
        (47, "47 hours old"),
        (48, "2 days old"),
        (71.9, "2 days old"),
        (float("nan"), "never received"),
        (float("inf"), "never received"),
    ],
)
def test_age_of_feed(hours: float, said: str) -> None:
    assert words.age_of_feed(hours) == said


@pytest.mark.parametrize(
    ("seen", "ago", "when"),
    [
        ("2026-02-03T05:00+00:00", "today", "03-Feb-2026 05:00"),
        ("2026-02-02T23:59+00:00", "yesterday", "02-Feb-2026 23:59"),
        ("2026-02-01T00:00+00:00", "2 days ago", "01-Feb-2026"),
        ("2025-07-01T22:30+00:00", "217 days ago", "01-Jul-2025 23:30"),
        ("2025-06-30T23:00+00:00", "217 days ago", "01-Jul-2025"),
    ],
)
def test_last_seen_is_in_local_time(seen: str, ago: str, when: str) -> None:
    at = datetime.fromisoformat(seen)
    assert words.days_before(at, AS_OF, "Europe/London") == ago
    assert words.event_moment(at, "Europe/London") == when


def test_a_day_of_25_hours_is_one_day() -> None:
    london = ZoneInfo("Europe/London")
    before, after = datetime(2026, 10, 24, 23, 30, tzinfo=london), datetime(2026, 10, 26, 0, 15, tzinfo=london)
    assert words.days_before(before, after, "Europe/London") == "2 days ago"


@pytest.mark.parametrize(
    ("digits", "shown"),
    [("9990000018", "999 000 0018"), ("", ""), ("999000001", ""), ("999000001X", ""), ("٩٩٩٠٠٠٠٠١٨", "")],
)
def test_nhs_numbers_are_three_three_four(digits: str, shown: str) -> None:
    assert words.nhs_number(digits) == shown


@pytest.mark.parametrize(
    ("family", "given", "shown"),
    [("O'Dowd", "Máire", "O'DOWD, Máire"), ("Lee", "", "LEE"), ("", "Ann", "Ann"), (" ", " ", "")],
)
def test_names(family: str, given: str, shown: str) -> None:
    assert words.full_name(family, given) == shown


@pytest.mark.parametrize(("risk", "band"), [(0, 1), (0.0199, 1), (0.02, 2), (0.05, 3), (0.1, 4), (0.2, 5), (1, 5)])
def test_bands(risk: float, band: int) -> None:
    assert words.band(risk) == band


def test_a_list_says_whose_when_and_from_what() -> None:
    page = text(person())
    for said in (
        "Invented Trust North nursing",
        "as of Tuesday 03-Feb-2026, 06:00",
        "On the caseload 412 people",
        "Listed 1 person",
        "Data up to 03-Feb-2026 01:00",
        "Model champion 14",
        "Community contacts feed 5 hours old",
        "Not a triage order, and not a reason to cancel or delay anyone’s visit.",
        "People who are not listed may still be at risk.",
        "already in hospital (9).",
    ):
        assert said in page
    assert "under 18" not in page


def test_a_person_is_told_in_words() -> None:
    page = text(person(also_with=("South nursing", "Urgent response")))
    for said in (
        "OKAFOR, Ngozi NHS 999 000 0018 Born 01-Jan-1940 (86 y), female",
        "Also with South nursing , Urgent response",
        "About 1 in 8 (band 4 of 5: 1 in 10 or more) New",
        "3 unscheduled visits in 7 days",
        "Yesterday, by telephone 02-Feb-2026 14:30 On caseload 43 days",
    ):
        assert said in page


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ("face_to_face", "Yesterday, face to face"),
        ("telephone", "Yesterday, by telephone"),
        ("video", "Yesterday, by video"),
        ("message", "Yesterday, by message"),
        ("other", "Yesterday, by other means"),
        ("", "Yesterday"),
    ],
)
def test_last_seen_says_by_what_means(means: str, said: str) -> None:
    assert f"{said} 02-Feb-2026 14:30" in text(person(last_seen_by=means))


def test_how_far_back_a_contact_is_looked_for_is_the_stamps() -> None:
    assert "Not seen by this team in 30 days" in text(person(last_seen=""), active_days=30)


def test_a_feed_is_called_one() -> None:
    assert "Community feed never received" in text(feed_ages=(("community", float("nan")),))


@pytest.mark.parametrize(
    ("change", "previous", "days", "said"),
    [
        ("new", float("nan"), 1, "New Why"),
        ("rising", 0.05, 2, "Up from 1 in 20 , 2 days on this list"),
        ("rising", float("nan"), 2, "Up , 2 days on this list"),
        ("falling", 0.6, 3, "Down from more likely than not , 3 days on this list"),
        ("steady", 0.12, 9, "Same , 9 days on this list"),
    ],
)
def test_change_since_the_last_list(change: str, previous: float, days: float, said: str) -> None:
    assert said in text(person(change=change, previous_risk=previous, days_on_list=days))


def test_what_is_not_known_is_said() -> None:
    unknown = person(nhs_number="", born="", age="", sex="", reasons=(), last_seen="", days_on_caseload=float("nan"))
    page = text(unknown)
    for said in ("NHS number not held", "Date of birth not held", "No single reason stands out."):
        assert said in page
    assert page.split("Not seen by this team in 90 days")[1].startswith(" “About 1 in 8” means")


def test_a_board_puts_its_own_beside_the_person_it_is_about() -> None:
    board = Board(Markup("<p>above</p>"), {7: Markup("<p>beside</p>")})
    page = list_page(TEAM, [person(), person(person_id=8, rank=2)], stamp(), board)
    assert page.count("<p>above</p>") == page.count("<p>beside</p>") == 1
    assert page.index("above") < page.index("beside") < page.index('<td role="cell" class="rank">2')
    assert "form-action &#39;self&#39;" in page
    assert "form-action &#39;none&#39;" in list_page(TEAM, [person()], stamp())


def test_an_empty_list_is_a_sentence() -> None:
    assert "Nobody is listed for Tuesday 03-Feb-2026. 412 people were considered." in text()
    assert "this team had nobody on its open caseload" in text(team=Team("west", "West", 0, 5, ()))
    left_out = text(team=Team("west", "West", 0, 5, (("Already in hospital", 2),)))
    assert "nobody on this team’s caseload could be considered" in left_out
    assert "already in hospital (2)." in left_out


def test_simulated_people_and_notes_are_announced() -> None:
    assert "SIMULATED PEOPLE" not in list_page(TEAM, (), stamp())
    page = text(person(), simulated=True, notes=("Wards are two days late.",))
    assert "SIMULATED PEOPLE" in page
    assert page.index("Before you use this Wards are two days late.") < page.index("OKAFOR")
    assert "SIMULATED PEOPLE" in index_page({TEAM: ()}, stamp(simulated=True))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text(hostile: str) -> None:
    team = Team("north", hostile, 3, 1, ((hostile, 2),))
    who = person(name=hostile, reasons=(hostile, hostile), also_with=(hostile,), sex=hostile, nhs_number=hostile)
    where = stamp(trust=hostile, model_version=hostile, notes=(hostile,), feed_ages=((hostile, 1.0),))
    usual = Reader(list_page(TEAM, (person(reasons=("a", "b"), also_with=("c",)),), stamp(notes=("d",))))
    read = Reader(list_page(team, (who,), where))
    assert read.tags == usual.tags
    assert [name for name, _ in read.attributes] == [name for name, _ in usual.attributes]
    assert " ".join(hostile.split()) in read.text
    index = Reader(index_page({team: (who,)}, where))
    assert not set(NEVER_OPEN) & set(index.tags)


@pytest.mark.parametrize("hostile", [*HOSTILE, '"', "\\", "a\nb", "}", "é\U0001f600"])
def test_css_strings_cannot_end_early(hostile: str) -> None:
    quoted = css_string(hostile)
    assert re.fullmatch(r'"([A-Za-z0-9]|\\[0-9a-f]{1,6} )*"', quoted)
    back = re.sub(r"\\([0-9a-f]+) ", lambda code: chr(int(code[1], 16)), quoted[1:-1])
    assert back == hostile


def test_every_page_is_whole_in_itself() -> None:
    pages = (
        list_page(TEAM, (person(),), stamp()),
        index_page({TEAM: (person(),)}, stamp()),
        quality_page({"Rows": pd.DataFrame({"rows": [1]})}, {"Source": "csds"}),
        report_page("How good", "On later days.", {}, [Section("Risks", ("As said.",), {"Calibration": "<svg/>"})]),
    )
    for page in pages:
        read = Reader(page)
        assert not set(NEVER_OPEN) & set(read.tags)
        assert not {"style", "onclick", "onload"} & {name for name, _ in read.attributes}
        assert read.tags.count("h1") == read.tags.count("main") == 1
        assert ("lang", "en-GB") in read.attributes
        assert not re.search(r"https?://|url\(|@import", page)
        for name, value in read.attributes:
            if name in ("href", "src"):
                assert re.match(
                    r"#|\.\./index\.html$|list\.csv$|north/list\.html$|data:image/svg\+xml;base64,", value or ""
                )


def test_the_index_leads_to_each_team_and_counts() -> None:
    south = Team("south/1", "South nursing", 1200, 12, (("Died", 1),))
    page = index_page({TEAM: (person(), person(rank=2, risk=0.3)), south: ()}, stamp())
    read = Reader(page)
    assert "North nursing 412 2 21 About 1 in 3" in read.text
    assert "South nursing 1,200 0 12 Nobody listed" in read.text
    assert "Team Already in hospital Under 18 Died North nursing 9 0 0 South nursing 0 0 1" in read.text
    assert [value for name, value in read.attributes if name == "href"][1:] == [
        "north/list.html",
        f"{south.slug}/list.html",
    ]


def test_the_index_counts_those_no_list_can_show() -> None:
    unlisted = {"no team named": 1070, "<b>closed</b> team": 3, "no such": 0}
    page = Reader(index_page({TEAM: ()}, stamp(), unlisted))
    told = "no team’s list can show them Reason People <b>closed</b> team 3 No team named 1,070 A list is"
    assert told in page.text
    assert page.text.index("not considered, by reason") < page.text.index("no team’s list can show")
    assert "no such" not in page.text.lower()
    assert "can show them" not in Reader(index_page({TEAM: ()}, stamp())).text


def test_an_index_without_teams_is_a_sentence() -> None:
    assert "No team has a list." in Reader(index_page({}, stamp())).text


def test_the_quality_report_prints_every_row() -> None:
    frame = pd.DataFrame(
        {
            "file": ["CYP201.csv", "<b>x</b>"],
            "rows": [12345, 7],
            "null_share": [0.125, np.nan],
            "late": [True, False],
            "first_day": [date(2026, 1, 2), None],
            "newest": pd.to_datetime(["2026-02-03T05:04Z", None]),
        }
    )
    page = quality_page({"rows_by_file": frame, "Rejects": frame.iloc[:0]}, {"Received": "03-Feb-2026"}, simulated=True)
    read = Reader(page)
    assert "Rows by file File Rows Null share Late First day Newest" in read.text
    assert "CYP201.csv 12,345 12.5% yes 02-Jan-2026 03-Feb-2026 05:04" in read.text
    assert "<b>x</b> 7 – no – –" in read.text
    assert "Rejects Nothing to report." in read.text
    assert read.tags.count("svg") == 1
    assert "SIMULATED PEOPLE" in read.text


def test_a_report_says_it_in_short_first_and_holds_its_figures_as_images() -> None:
    figure = '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "http://www.w3.org/x"><svg><script>alert(1)</script></svg>'
    table = pd.DataFrame({"model": ["leader"], "auroc": [0.81234], "ppv": [0.1], "listed": [1200.0], "rows": [3]})
    part = Section("Risks", ("Do they mean <b>it</b>?",), {"Calibration": figure}, {"Overall": table})
    page = report_page("How good", "On later days.", {"Model": "champion 14"}, [part], in_short=["One in 14."])
    read = Reader(page)
    assert read.text.index("One in 14.") < read.text.index("Risks Do they mean <b>it</b>?")
    assert "Model AUROC PPV Listed Rows leader 0.812 0.100 1,200 3" in read.text
    assert "script" not in read.tags
    assert ("alt", "Chart: Calibration. The tables on this page hold its figures.") in read.attributes
