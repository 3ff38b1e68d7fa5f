"""What a person's page, the -9 strip and what is beside a list say, and what hostile text cannot make them say."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from markupsafe import Markup

from pipelines.pages import Board, Person, Stamp, Team, list_page, others, page_path, person_page
from pipelines.pages.courses import courses
from pipelines.pages.strip import bars, strip_words

AS_OF = datetime(2026, 2, 3, 6, 0, tzinfo=UTC)
STAMP = Stamp(AS_OF, AS_OF - timedelta(hours=5), "champion 14", "Invented Trust", False, "Europe/London")
TEAM = Team("north", "North nursing", 412, 21, ())
NONE = float("nan")
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<!--notes--><b>x</b>", "{{ 7 * 7 }}")


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def person(**changes: Any) -> Person:
    usual: dict[str, Any] = {
        **{"person_id": 7, "rank": 2, "nhs_number": "999 000 0018", "name": "OKAFOR, Ngozi", "born": "01-Jan-1940"},
        **{"age": "86", "sex": "female", "risk": 0.125, "risk_in_words": "about 1 in 8", "band": 4, "change": "rising"},
        **{"previous_risk": 0.05, "days_on_list": 3.0, "reasons": ("2 calls",), "last_seen": "02-Feb-2026 14:30"},
        **{
            "last_seen_ago": "yesterday",
            "days_on_caseload": 43.0,
            "also_with": ("South",),
            "last_seen_by": "telephone",
        },
        **{"section": "new_and_rising", "mornings": (NONE, 0.02, 0.02, 0.02, 0.02, 0.02, 0.03, 0.05, 0.05)},
        **{
            "marks": {"seen": (9, 6, 1), "no_access": (0,)},
            "moved": "raised by visits",
            "in_hands": ("urgent response",),
        },
        **{"elsewhere": "Urgent response, today, by telephone", "next_planned": "today at 14:05"},
    }
    return Person(**(usual | changes))


def fact(kind: str, what: str, days: float, **changes: Any) -> dict[str, Any]:
    at = pd.Timestamp(AS_OF - timedelta(days=days))
    usual = {
        "person_id": 7,
        "kind": kind,
        "what": what,
        "happened_at": at,
        "ended_at": pd.NaT,
        "value": NONE,
        "place": 0,
    }
    return usual | {"known_from": at + pd.Timedelta(hours=4), "team_id": "n", "team": "North", "medium": None} | changes


FACTS = [
    fact("stay", "emergency", 20.5, ended_at=pd.Timestamp(AS_OF - timedelta(days=15))),
    fact("attendance", "admitted", 20.7),
    fact("referral", "12", 14),
    fact("contact", "held", 8.5, medium="telephone"),
    fact("reading", "NEWS2 scores", 8.5, value=2.0),
    fact("contact", "provider_cancelled", 5),
    fact("record", "records of new confusion", 2),
    fact("record", "records of new confusion", 2),
    fact("reading", "NEWS2 scores", 1.5, value=6.0),
    fact("contact", "planned", -2),
]
PULLS = [
    {"title": "Visits", "said": "2 visits", "said_before": "1 visit", "share": 0.9, "share_before": 0.2},
    {"title": "Calls", "said": "", "said_before": "3 calls", "share": -0.3, "share_before": 0.2},
    {"title": "Season", "said": "", "said_before": "", "share": 0.5, "share_before": 0.5},
    {"title": "Age", "said": "aged 86", "said_before": None, "share": 0.2, "share_before": NONE},
]


def page(facts: list[dict[str, Any]] = FACTS, pulls: list[dict[str, Any]] = PULLS, **changes: Any) -> Reader:
    told = courses(pd.DataFrame(facts), pd.DataFrame([{"person_id": 7} | pull for pull in pulls]), STAMP)
    return Reader(person_page(TEAM, person(**changes), told[7], STAMP))


def test_a_persons_page_says_each_fact_with_when_it_happened_and_when_it_was_known() -> None:
    text = page().text
    for said in (
        "OKAFOR, Ngozi NHS 999 000 0018, Born 01-Jan-1940 (86 y), female",
        "as of Tuesday 03-Feb-2026, 06:00",
        "About 1 in 8 (band 4 of 5: 1 in 10 or more)",
        "Up from 1 in 20: new and rising, on this list 3 days. Since yesterday raised by visits.",
        "Last seen by this team Yesterday, by telephone, 02-Feb-2026 14:30",
        "Seen since by another team Urgent response, today, by telephone",
        "Next planned contact Today at 14:05 In the hands of urgent response With South",
        "13-Jan-2026 18:00 Emergency admission, until 19-Jan-2026 06:00 13-Jan-2026 22:00",
        "13-Jan-2026 13:12 Attended the emergency department, and was admitted 13-Jan-2026 17:12",
        "closed in 90 days When What Known since 20-Jan-2026 06:00 Referred to North 20-Jan-2026 10:00",
        "05-Feb-2026 06:00 Planned (North)",
        "01-Feb-2026 06:00 Records of new confusion (2) 01-Feb-2026 10:00",
        "25-Jan-2026 18:00 Seen by telephone (North) 25-Jan-2026 22:00",
        "6 on 01-Feb-2026 18:00; own usual 4 (mean of 2 readings in 180 days). Known since 01-Feb-2026 22:00.",
    ):
        assert said in text


def test_each_of_nine_days_has_its_risk_and_what_happened() -> None:
    days = page().text.split("Risk that morning What happened ")[1]
    assert days.startswith("Tuesday 03-Feb-2026 About 1 in 8 Nothing on record Monday 02-Feb-2026 About 1 in 20")
    assert "Thursday 29-Jan-2026 About 1 in 50 Cancelled by the service (North), 29-Jan-2026 06:00 known since" in days
    assert "Sunday 25-Jan-2026 On no caseload Seen by telephone (North), 25-Jan-2026 18:00 known since" in days


def test_reasons_are_told_with_what_they_were_the_day_before() -> None:
    why = page().text.split("What it does to the risk ")[1]
    assert why.startswith(
        "Visits 2 visits 1 visit Raises, up since the day before Age aged 86 – Raises "
        "Calls – 3 calls Lowers, down since the day before Readings"
    )
    assert "Season" not in why


def test_someone_of_whom_little_is_known_has_a_page_too() -> None:
    text = page([fact("referral", "12", 400)], PULLS[:1], mornings=(), last_seen="", next_planned="", elsewhere="").text
    for said in ("No contact on record in 90 days.", "No hospital stay", "None known in the next nine days"):
        assert said in text
    assert "Readings against" not in text


def test_the_page_of_a_person_has_room_for_a_boards_answers() -> None:
    told = courses(pd.DataFrame(FACTS), pd.DataFrame([{"person_id": 7} | pull for pull in PULLS]), STAMP)
    board = Board(Markup("<p>above</p>"), {7: Markup("<p>beside</p>")}, {7: Markup("<p>before</p>")}, {7: "/there"})
    made = person_page(TEAM, person(), told[7], STAMP, board)
    assert made.index("<p>above</p>") < made.index("<p>beside</p>") < made.index("<p>before</p>")
    assert "../list.html" not in made
    assert "form-action &#39;self&#39;" in made
    assert '<a href="/there">' in list_page(TEAM, [person()], STAMP, board)


def test_the_name_of_a_page_tells_nothing_and_is_another_each_day_and_team() -> None:
    tomorrow = Stamp(AS_OF + timedelta(days=1), AS_OF, "champion 14", "Invented Trust", False, "Europe/London")
    south = Team("south", "South nursing", 12, 2, ())
    paths = [page_path(person(), TEAM, STAMP), page_path(person(), TEAM, tomorrow), page_path(person(), south, STAMP)]
    assert len(set(paths)) == 3
    assert all(re.fullmatch(r"people/[0-9a-f]{24}\.html", path) for path in paths)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text(hostile: str) -> None:
    facts = [one | {"team": hostile} for one in FACTS] + [
        fact("record", hostile, 3),
        fact("reading", hostile, 3, value=1.0, place=9),
    ]
    pulls = [pull | {"title": hostile, "said": hostile} for pull in PULLS]
    usual = page(
        [*FACTS, fact("record", "a", 3), fact("reading", "b", 3, value=1.0, place=9)],
        [p | {"said": "c"} for p in PULLS],
    )
    read = page(facts, pulls, name=hostile, moved=hostile, in_hands=(hostile,), elsewhere=hostile)
    assert read.tags == usual.tags
    assert hostile in read.text


def test_when_in_the_nine_days_is_said_where_the_model_tells_of_it() -> None:
    soon = tuple(0.125 * share for share in (0.15, 0.28, 0.41, 0.52, 0.63, 0.73, 0.83, 0.92, 1.0))
    usual, told = page(FACTS, PULLS), page(FACTS, PULLS, curve=soon)
    said = "About two fifths of this chance falls within three days; spread evenly over the nine, a third would."
    assert said in told.text
    assert told.text.replace(f"{said} ", "") == usual.text
    assert "About half of this chance" in person(curve=(0.02, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12)).when_words


def test_the_strip_is_told_in_words_and_drawn_day_by_day() -> None:
    assert strip_words(person()) == (
        "Risk: 8 days ago 1 in 50, 7 days ago 1 in 50, 6 days ago 1 in 50, 5 days ago 1 in 50, 4 days ago 1 in 50, "
        "3 days ago 1 in 30, 2 days ago 1 in 20, yesterday 1 in 20, today 1 in 8. "
        "Seen 9 and 6 days ago and yesterday. No access today."
    )
    drawn = bars(person())
    assert [bar.days_ago for bar in drawn] == list(range(9, -1, -1))
    assert drawn[0].height == 0
    assert drawn[1].height < drawn[6].height < drawn[8].height < drawn[9].height
    assert [bar.marks for bar in drawn if bar.marks] == [("seen",), ("seen",), ("seen",), ("no_access",)]
    assert bars(person(mornings=())) == ()
    assert "on no caseload on the nine mornings before" in strip_words(person(mornings=(NONE,) * 9, marks={}))


def told_of(rows: list[Mapping[str, Any]], ranked: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    usual = {"team_id": "north", "at": pd.NaT, "rank": NONE, "risk": NONE, "previous_risk": 0.1}
    leaving = pd.DataFrame([usual | {"person_id": n} | dict(row) for n, row in enumerate(rows)])
    columns = ["person_id", "team_id", "section", "rank", "risk", "held_30d", "readings_30d", "last_seen"]
    who = pd.DataFrame({"person_id": range(20), "nhs_number": None, "given_name": "Ann", "birth_date": None})
    found = others(pd.DataFrame(ranked, columns=columns), leaving, who.assign(family_name=who.index.astype(str)), STAMP)
    return [(other.section, other.says) for other in found["north"]]


def test_why_someone_left_is_said_calmly_deaths_last() -> None:
    since = pd.Timestamp("2026-02-01T10:00Z")
    said = told_of(
        [
            {"why": "died", "at": since},
            {"why": "in_hospital", "at": since},
            {"why": "referral_closed", "at": since},
            {"why": "referral_closed"},
            {"why": "others_higher", "rank": 30.0, "risk": 0.1},
            {"why": "others_higher", "rank": 31.0, "risk": 0.2},
            {"why": "risk_fell", "rank": 40.0, "risk": 0.05},
            {"why": "no_recent_activity"},
            {"why": "other_list"},
        ],
        [],
    )
    assert [words for _, words in said] == [
        "Risk fell from 1 in 10 to 1 in 20. On the caseload as number 40.",
        "Risk much as it was, about 1 in 10; others are higher now. On the caseload as number 30.",
        "Risk rose from 1 in 10 to 1 in 5, and others are higher still. On the caseload as number 31.",
        "No contact held in 90 days, so no longer counted as on the caseload.",
        "Referral to this team closed 01-Feb-2026.",
        "No open referral to this team.",
        "On another list now.",
        "In hospital since 01-Feb-2026, as far as is known.",
        "Died 01-Feb-2026, as recorded.",
    ]


def test_who_is_poorly_observed_is_told_with_what_is_known() -> None:
    row = {"person_id": 3, "team_id": "north", "section": "poorly_observed", "rank": 31, "risk": 0.04}
    seen = {"held_30d": 1, "readings_30d": 0, "last_seen": pd.Timestamp("2026-01-14T10:00Z")}
    unseen = {"held_30d": 2, "readings_30d": 0, "last_seen": pd.NaT, "rank": 40, "person_id": 4}
    assert told_of([{"why": "died"}], [row | seen | unseen, row | seen])[1:] == [
        (
            "poorly_observed",
            "1 contact held and 0 readings taken in 30 days; last seen 20 days ago. Risk all the same about 1 in 25: "
            "number 31 on the caseload.",
        ),
        (
            "poorly_observed",
            "2 contacts held and 0 readings taken in 30 days; not seen by this team in 90 days. Risk all the same "
            "about 1 in 25: number 40 on the caseload.",
        ),
    ]
