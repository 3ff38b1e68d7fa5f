"""What is told of a person: each fact with when it happened and when it became known, as known at the cut."""

from concurrent.futures import Future
from typing import Any

import pandas as pd
import pytest
from drawn import london

from features.catalogue import load_catalogue
from features.cohort import CaseloadRules, left_out, observed
from features.labels import OutcomeRules
from pipelines.beside import Beside
from pipelines.config import ListsConfig
from pipelines.happenings import happenings
from pipelines.listing import gone, leaving, told

ZONE, AS_OF = "Europe/London", london("2026-01-12 06:00")
CATALOGUE = load_catalogue(
    """
events:
  visit: {table: contacts, where: "seen"}
  news2: {table: observations, where: "code = 'news2' and value < 21", value: value, words: NEWS2 scores}
  confusion: {table: observations, where: "code = 'confusion'", words: records of new confusion}
families:
  all: {title: All, features: [{count: visit, days: 7}], sentences: [{say: "{count_visit_7d:visit}"}]}
""",
    "a test",
)
PEOPLE = """
    person_id | birth_date | died_at
    1         | 1940-01-01 | -
    2         | 1941-01-01 | -
    3         | 1942-01-01 | -
    4         | 1943-01-01 | 2026-01-11 09:00
    5         | 1944-01-01 | -
    6         | 1945-01-01 | -
    7         | 1946-01-01 | -
"""
REFERRALS = """
    person_id | team_id | team_type | received_at      | closed_at
    1         | dn      | 12        | 2025-12-01 09:00 | -
    1         | ucr     | 51        | 2026-01-08 09:00 | -
    1         | old     | 14        | 2025-12-02 09:00 | 2026-01-02 09:00
    2         | dn      | 12        | 2025-12-01 09:00 | -
    3         | dn      | 12        | 2025-12-01 09:00 | 2026-01-11 12:00
    4         | dn      | 12        | 2025-12-01 09:00 | 2026-01-11 12:00
    5         | dn      | 12        | 2025-12-01 09:00 | -
    6         | dn      | 12        | 2025-01-01 09:00 | -
    7         | dn      | 12        | 2025-12-01 09:00 | -
"""
CONTACTS = """
person_id | team_id | occurred_at      | status             | seen | medium       | known_from       | known_to
1         | dn      | 2025-10-01 09:00 | attended           | yes  | face_to_face | 2025-10-01 10:00 | -
1         | dn      | 2026-01-04 09:00 | no_access          | no   | face_to_face | 2026-01-04 10:00 | 2026-01-06 10:00
1         | dn      | 2026-01-04 09:00 | attended           | yes  | face_to_face | 2026-01-06 10:00 | -
1         | dn      | 2026-01-07 09:00 | no_access          | no   | face_to_face | 2026-01-07 10:00 | -
1         | dn      | 2026-01-08 09:00 | provider_cancelled | no   | -            | 2026-01-08 10:00 | -
1         | dn      | 2026-01-09 09:00 | unknown            | -    | telephone    | 2026-01-09 10:00 | -
1         | ucr     | 2026-01-11 23:30 | attended           | yes  | telephone    | 2026-01-12 01:00 | -
1         | dn      | 2026-01-11 23:40 | attended           | yes  | telephone    | 2026-01-12 07:00 | -
1         | dn      | 2026-01-14 09:00 | planned            | -    | face_to_face | 2026-01-01 10:00 | -
1         | dn      | 2026-01-22 09:00 | planned            | -    | face_to_face | 2026-01-01 10:00 | -
"""
OBSERVATIONS = """
    person_id | code      | value | occurred_at      | known_from
    1         | news2     | 6     | 2026-01-10 09:00 | 2026-01-10 10:00
    1         | news2     | 99    | 2026-01-10 09:00 | 2026-01-10 10:00
    1         | confusion | -     | 2026-01-09 09:00 | 2026-01-10 10:00
    1         | confusion | -     | 2025-10-01 09:00 | 2025-10-01 10:00
"""
STAYS = """
    person_id | method | patient_class | admitted_at      | discharged_at
    1         | 21     | 1             | 2026-01-02 22:00 | 2026-01-03 09:00
    1         | 11     | 2             | 2026-01-05 09:00 | 2026-01-05 17:00
    5         | 21     | 1             | 2026-01-11 22:00 | -
    6         | 21     | 1             | 2025-02-01 22:00 | -
"""
ATTENDANCES = """
    person_id | arrived_at       | admitted
    1         | 2026-01-02 20:00 | yes
"""


@pytest.fixture
def tables(history: Any) -> Any:
    drawn = {"people": PEOPLE, "referrals": REFERRALS, "contacts": CONTACTS, "stays": STAYS}
    return history(**drawn, observations=OBSERVATIONS, attendances=ATTENDANCES)


@pytest.fixture
def happened(tables: Any) -> pd.DataFrame:
    return happenings(tables, AS_OF, CATALOGUE, OutcomeRules(), CaseloadRules(), ZONE)


def test_each_fact_is_told_once_as_known_at_the_cut(happened: pd.DataFrame) -> None:
    mine = happened[happened["person_id"] == 1]
    assert [tuple(row) for row in mine[["kind", "what"]].itertuples(index=False)] == [
        ("referral", "12"),
        ("referral", "14"),
        ("attendance", "admitted"),
        ("stay", "emergency"),
        ("contact", "held"),
        ("contact", "no_access"),
        ("contact", "provider_cancelled"),
        ("referral", "51"),
        ("contact", "unknown"),
        ("record", "records of new confusion"),
        ("reading", "NEWS2 scores"),
        ("contact", "held"),
        ("contact", "planned"),
    ]
    seen = mine[mine["what"] == "held"].iloc[0]
    assert (seen["happened_at"], seen["known_from"]) == (london("2026-01-04 09:00"), london("2026-01-06 10:00"))
    assert (happened["known_from"] <= pd.Timestamp(AS_OF)).all()


def test_a_stay_whose_end_was_never_sent_is_not_believed(happened: pd.DataFrame) -> None:
    assert set(happened.loc[happened["kind"] == "stay", "person_id"]) == {1, 5}


def found(tables: Any, happened: pd.DataFrame) -> Beside:
    pulled = pd.DataFrame(
        {"person_id": [1, 1], "title": ["NEWS2, and pain", "Visits"], "share": [0.9, 0.1], "share_before": [0.1, 0.9]}
    )
    mornings = pd.DataFrame({"person_id": [1, 1], "days_before": [1, 9], "risk": [0.1, 0.02]})
    left = left_out(tables, AS_OF, CaseloadRules(), ZONE)
    deaths = pd.DataFrame({"person_id": [4], "died_at": pd.to_datetime(["2026-01-11 09:00"], utc=True)})
    judged: Future[tuple[pd.DataFrame, pd.DataFrame]] = Future()
    judged.set_result((mornings, pulled))
    return Beside(happened, left[left["person_id"] != 7], deaths, pd.Series([7]).to_numpy(), judged)


def ranked(**people: dict[str, Any]) -> pd.DataFrame:
    usual = {"team_id": "dn", "as_of": pd.Timestamp(AS_OF), "model_version": "m", "days_on_list": 1, "change": "steady"}
    usual |= {"held_30d": 9, "readings_30d": 9, "days_on_caseload": 42.0}
    rows = [usual | {"person_id": int(name[1:])} | facts for name, facts in people.items()]
    return pd.DataFrame(rows).astype({"as_of": "datetime64[us, UTC]"})


def test_what_a_list_says_of_a_person(tables: Any, happened: pd.DataFrame) -> None:
    lists = ListsConfig(team_names={"ucr": "Urgent response team"})
    frame = ranked(p1={"rank": 1, "risk": 0.2, "listed": True}, p2={"rank": 2, "risk": 0.1, "listed": False})
    one, other = told(frame, found(tables, happened), lists, AS_OF, ZONE).to_dict("records")
    assert one["marks"] == "cancelled:4 in_hospital:9 no_access:5 seen:8,1 unknown:3"
    assert one["in_hands"] == "urgent response"
    assert one["moved"] == "raised by NEWS2, and pain; eased by visits"
    assert (one["elsewhere_team"], one["elsewhere_by"]) == ("Urgent response team", "telephone")
    assert one["next_planned"] == pd.Timestamp(london("2026-01-14 09:00"))
    assert (one["risk_1d"], one["risk_9d"]) == (0.1, 0.02)
    assert pd.isna(one["risk_5d"])
    assert one["home_days"] == pytest.approx(8.875)
    assert one["referred_days"] == pytest.approx(41.875)
    assert one["section"] == "still_high"
    assert (other["marks"], other["section"]) == ("", "")


@pytest.mark.parametrize(("later", "says"), [("dn", ""), ("old", "Old team")])
def test_the_last_contact_is_told_however_long_ago(later: str, says: str, tables: Any, happened: pd.DataFrame) -> None:
    long_ago = happened[happened["what"] == "held"].head(1)
    seen = [
        long_ago.assign(team_id=team, happened_at=pd.Timestamp(london(at)))
        for team, at in (("ucr", "2025-11-20 09:00"), (later, "2025-11-28 09:00"))
    ]
    rest = happened[happened["kind"] != "contact"]
    known = pd.concat([*seen, rest], ignore_index=True).astype(happened.dtypes.to_dict())
    frame = ranked(p1={"rank": 1, "risk": 0.2, "listed": True})
    lists = ListsConfig(team_names={"old": "Old team"})
    (one,) = told(frame, found(tables, known), lists, AS_OF, ZONE).to_dict("records")
    assert one["elsewhere_team"] == says
    moment = None if pd.isna(one["elsewhere_at"]) else one["elsewhere_at"]
    assert moment == (pd.Timestamp(london("2025-11-28 09:00")) if says else None)
    assert one["marks"] == "in_hospital:9"


def test_on_a_shared_list_the_latest_referral_counts_and_its_teams_are_named(
    tables: Any, happened: pd.DataFrame
) -> None:
    lists = ListsConfig(groups={"Hub": ("dn", "ucr")}, team_names={"ucr": "Urgent response team"})
    frame = ranked(p1={"rank": 1, "risk": 0.2, "listed": True}).assign(team_id="Hub")
    (one,) = told(frame, found(tables, happened), lists, AS_OF, ZONE).to_dict("records")
    assert one["held_by"] == "dn; Urgent response team"
    assert (one["elsewhere_team"], one["section"]) == ("", "newly_home")
    assert one["in_hands"] == "urgent response"


def test_who_left_a_list_and_why(tables: Any, happened: pd.DataFrame) -> None:
    before = ranked(**{f"p{n}": {"rank": n, "risk": 0.2, "listed": True} for n in range(1, 8)})
    before = before.assign(as_of=pd.Timestamp(AS_OF) - pd.Timedelta(days=1))
    today = ranked(
        p1={"rank": 1, "risk": 0.2, "listed": True},
        p2={"rank": 2, "risk": 0.1, "listed": False},
    )
    off = gone(today, before)
    assert list(off["person_id"]) == [2, 3, 4, 5, 6, 7]
    shown = leaving(today, off, found(tables, happened), ListsConfig())
    assert dict(zip(shown["person_id"], shown["why"], strict=True)) == {
        2: "risk_fell",
        3: "referral_closed",
        4: "died",
        5: "in_hospital",
        6: "no_recent_activity",
    }
    when = dict(zip(shown["person_id"], shown["at"], strict=True))
    assert (when[3], when[5]) == (london("2026-01-11 12:00"), london("2026-01-11 22:00"))
    kept = today.assign(withheld=["", "by lot"])
    assert 2 not in set(gone(kept, before)["person_id"])
    other = gone(today.assign(model_version="n"), before)
    assert other["previous_risk"].isna().all()
    assert set(leaving(today, other, found(tables, happened), ListsConfig())["why"]) >= {"others_higher"}


def test_how_much_was_recorded_of_someone(tables: Any) -> None:
    counts = observed(tables, AS_OF, ZONE).set_index("person_id")
    assert counts.loc[1].to_dict() == {"held_30d": 3, "readings_30d": 3}
    assert list(counts.index) == [1]
