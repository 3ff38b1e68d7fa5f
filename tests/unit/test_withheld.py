"""A team whose list is held back alone: what its page, its spreadsheet, the index and the manifest say each day."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.publish import LATEST, MANIFEST, Published, Stamp, hold, publish
from pipelines.withheld import MARK

AS_OF = datetime(2026, 7, 3, 5, 0, tzinfo=UTC)
TEAMS = pd.DataFrame(
    {"team_id": ["north", "west"], "name": ["North nursing", "West <nursing>"], "caseload": [1, 1], "capacity": 5}
)
WHY = "Nothing has been recorded for team north for 48 hours."


def ranked(as_of: datetime) -> pd.DataFrame:
    one = {"as_of": pd.Timestamp(as_of), "rank": 1, "risk": 0.25, "listed": True, "change": "new", "also_with": ""}
    one |= {"previous_risk": np.nan, "days_on_list": 1, "days_on_caseload": 40.0, "last_seen_by": None, "age": 80}
    one |= {"last_seen": pd.Timestamp(as_of - timedelta(days=1)), "reason_1": "", "reason_2": "", "reason_3": ""}
    return pd.DataFrame([one | {"team_id": t, "person_id": p, "sex": ""} for t, p in (("north", 1), ("west", 2))])


def day(folder: Path, days: int, held: bool = True, notes: tuple[str, ...] = (), replace: bool = False) -> Published:
    as_of = AS_OF + timedelta(days=days)
    stamp = Stamp(as_of, as_of, "champion 14", "Invented Trust", True, "Europe/London", notes=notes)
    people = pd.DataFrame(
        {
            "person_id": [1, 2],
            "nhs_number": ["9990000018", "9990000026"],
            "family_name": ["Okafor", "Reid"],
            "given_name": ["Ada", "Jo"],
            "birth_date": [pd.NaT, pd.NaT],
        }
    )
    rows = ranked(as_of)
    if held:
        rows = rows[rows["team_id"] != "north"]
    withheld = {"north": WHY} if held else {}
    return publish(rows, people, TEAMS, stamp, folder, withheld=withheld, replace=replace)


def text(folder: Path, path: str) -> str:
    return (folder / LATEST / path).read_text("utf-8")


def manifest(folder: Path) -> dict:  # type: ignore[type-arg]
    return json.loads(text(folder, MANIFEST))  # type: ignore[no-any-return]


def rows(folder: Path, path: str) -> list[dict[str, str]]:
    with (folder / LATEST / path).open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def test_one_team_is_shown_its_last_good_list_marked_and_the_other_its_new_one(tmp_path: Path) -> None:
    day(tmp_path, 0, held=False, notes=("Wards are late.",))
    published = day(tmp_path, 1)
    assert (published.teams, published.listed) == (2, 1)
    page = text(tmp_path, "north/list.html")
    assert "OKAFOR" in page
    assert "as of <strong>Friday 03-Jul-2026, 06:00</strong>" in page
    note = "The list of North nursing for Saturday 04-Jul-2026 was held back: " + WHY
    order = [page.index(said) for said in ("Wards are late.", note, "This is its list of 03-Jul-2026, the last good")]
    assert order == sorted(order)
    other = text(tmp_path, "west/list.html")
    assert "as of <strong>Saturday 04-Jul-2026, 06:00</strong>" in other
    assert "held back" not in other
    index = text(tmp_path, "index.html")
    assert note in index
    assert "Held back; list of 03-Jul-2026" in index
    (row,) = rows(tmp_path, "north/list.csv")
    assert (row["name"], row["as_of"]) == ("OKAFOR, Ada", "03-Jul-2026 06:00")
    assert row[MARK].startswith(note)
    assert MARK not in rows(tmp_path, "west/list.csv")[0]
    assert manifest(tmp_path)["withheld"]["north"]["list_of"] == "2026-07-03"


def test_held_back_again_it_is_the_same_list_with_the_newest_note_alone(tmp_path: Path) -> None:
    day(tmp_path, 0, held=False, notes=("Wards are late.",))
    day(tmp_path, 1)
    day(tmp_path, 2)
    page = text(tmp_path, "north/list.html")
    assert page.count("was held back") == 1
    assert "for Sunday 05-Jul-2026 was held back" in page
    assert "This is its list of 03-Jul-2026" in page
    assert "Wards are late." in page
    (row,) = rows(tmp_path, "north/list.csv")
    assert "for Sunday 05-Jul-2026 was held back" in row[MARK]
    assert list(row).count(MARK) == 1


def test_with_no_earlier_list_the_page_says_that_there_is_none(tmp_path: Path) -> None:
    for days in (0, 1):
        day(tmp_path, days)
        page = text(tmp_path, "north/list.html")
        assert "There is no earlier list of this team." in page
        assert "There is no list for this team on" in page
        assert "Nobody is listed" not in page
        assert not (tmp_path / LATEST / "north" / "list.csv").exists()
        assert "Held back; no earlier list" in text(tmp_path, "index.html")


def test_the_same_day_again_is_the_same_bytes_and_afterwards_the_team_has_its_list_again(tmp_path: Path) -> None:
    day(tmp_path, 0, held=False)
    first = day(tmp_path, 1)
    assert day(tmp_path, 1) == Published(first.folder, False, 2, 1, first.digest)
    day(tmp_path, 2, held=False)
    assert "held back" not in text(tmp_path, "north/list.html")
    assert manifest(tmp_path)["withheld"] == {}


def test_a_list_that_is_damaged_is_not_shown_again(tmp_path: Path) -> None:
    day(tmp_path, 0, held=False)
    path = tmp_path / "2026-07-03" / "north" / "list.html"
    path.write_text(path.read_text("utf-8").replace("OKAFOR", "OTHER"), "utf-8")
    day(tmp_path, 1)
    assert "There is no earlier list of this team." in text(tmp_path, "north/list.html")


def test_a_day_that_fails_after_it_adds_its_note_to_both_teams_own(tmp_path: Path) -> None:
    day(tmp_path, 0, held=False)
    day(tmp_path, 1)
    assert hold(tmp_path, "No lists for 05-Jul-2026.", "2026-07-05")
    held, other = text(tmp_path, "north/list.html"), text(tmp_path, "west/list.html")
    assert held.index("for Saturday 04-Jul-2026 was held back") < held.index("No lists for 05-Jul-2026.")
    assert "was held back" not in other
    assert other.count("No lists for 05-Jul-2026.") == 1
    assert [row[MARK] for row in rows(tmp_path, "west/list.csv")] == ["No lists for 05-Jul-2026."]
    index = text(tmp_path, "index.html")
    assert index.index("was held back") < index.index("No lists for 05-Jul-2026.")


def test_a_note_for_one_team_is_on_its_page_alone_and_stays_when_a_later_day_fails(tmp_path: Path) -> None:
    as_of = AS_OF
    stamp = Stamp(as_of, as_of, "champion 14", "Invented Trust", True, "Europe/London")
    none = pd.DataFrame(columns=["person_id", "nhs_number", "family_name", "given_name", "birth_date"])
    publish(ranked(as_of), none, TEAMS, stamp, tmp_path, team_notes={"north": ("North is slow.",)})
    hold(tmp_path, "It failed.", "2026-07-04")
    assert "North is slow." in text(tmp_path, "north/list.html")
    assert "North is slow." not in text(tmp_path, "west/list.html") + text(tmp_path, "index.html")
