"""What stands from day to day: marks on held lists, days with nobody to list, people no list can show."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.publish import LATEST, MANIFEST, Published, Stamp, hold, publish

AS_OF = datetime(2026, 7, 3, 5, 0, tzinfo=UTC)
THIRD, FOURTH, FIFTH = "2026-07-03", "2026-07-04", "2026-07-05"
TEAMS = pd.DataFrame(
    {"team_id": ["north", "west"], "name": ["North nursing", "West nursing"], "caseload": [1, 0], "capacity": 5}
)
IDENTITIES = pd.DataFrame(
    {
        "person_id": [1],
        "nhs_number": ["9990000018"],
        "family_name": ["Okafor"],
        "given_name": ["Ada"],
        "birth_date": [pd.NaT],
    }
)


def ranked(as_of: datetime, risk: float = 0.25) -> pd.DataFrame:
    one = {"team_id": "north", "person_id": 1, "as_of": pd.Timestamp(as_of), "rank": 1, "risk": risk, "listed": True}
    list_ = {"change": "new", "previous_risk": np.nan, "days_on_list": 1, "also_with": "", "days_on_caseload": 40.0}
    seen = {"last_seen": pd.Timestamp(as_of - timedelta(days=1)), "last_seen_by": None}
    return pd.DataFrame([one | list_ | seen | {"reason_1": "", "reason_2": "", "reason_3": "", "age": 80, "sex": ""}])


def run(
    folder: Path, days: int = 0, risk: float = 0.25, replace: bool = False, notes: tuple[str, ...] = ()
) -> Published:
    as_of = AS_OF + timedelta(days=days)
    stamp = Stamp(as_of, as_of, "champion 14", "Invented Trust", True, "Europe/London", notes=notes)
    return publish(ranked(as_of, risk), IDENTITIES, TEAMS, stamp, folder, replace=replace)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("**/*")) if path.is_file()}


def page(folder: Path, path: str = "north/list.html") -> str:
    return (folder / LATEST / path).read_text("utf-8")


def test_hold_marks_yesterdays_lists_until_the_next_ones_come(tmp_path: Path) -> None:
    note = "No list for 04-Jul-2026: contacts are <30 hours> late."
    assert not hold(tmp_path, note, FOURTH)
    day = run(tmp_path).folder
    before = contents(day)
    assert hold(tmp_path, note, FOURTH)
    assert not hold(tmp_path, note, FOURTH)
    for path in ("index.html", "north/list.html", "west/list.html"):
        assert page(tmp_path, path).count("No list for 04-Jul-2026: contacts are &lt;30 hours&gt; late.") == 1
    assert contents(day) == before
    run(tmp_path, 1)
    assert (tmp_path / LATEST).readlink() == Path(FOURTH)
    assert "Before you use this" not in page(tmp_path)
    assert len(list((tmp_path / ".versions").iterdir())) == 2


def test_each_failed_day_has_one_note_after_the_lists_own(tmp_path: Path) -> None:
    run(tmp_path, notes=("Wards are late.",))
    assert hold(tmp_path, "Fifth failed.", FIFTH)
    assert hold(tmp_path, "Fourth failed once.", FOURTH)
    assert hold(tmp_path, "Fourth failed twice.", FOURTH)
    told = page(tmp_path)
    order = [told.index(said) for said in ("Wards are late.", "Fourth failed twice.", "Fifth failed.")]
    assert order == sorted(order)
    assert "once" not in told
    manifest = json.loads(page(tmp_path, MANIFEST))
    assert manifest["held"] == {FOURTH: "Fourth failed twice.", FIFTH: "Fifth failed."}
    assert manifest["stamp"]["notes"] == ["Wards are late."]


@pytest.mark.parametrize("failed", ["2026-06-30", THIRD])
def test_lists_no_older_than_the_day_that_failed_are_not_marked(tmp_path: Path, failed: str) -> None:
    run(tmp_path)
    before = contents(tmp_path)
    assert not hold(tmp_path, "It failed.", failed)
    assert contents(tmp_path) == before
    assert (tmp_path / LATEST).readlink() == Path(THIRD)


def test_marked_lists_are_no_newer_than_their_own_day(tmp_path: Path) -> None:
    run(tmp_path)
    hold(tmp_path, "Fifth failed.", FIFTH)
    assert not hold(tmp_path, "Third failed.", THIRD)
    assert hold(tmp_path, "Fourth failed.", FOURTH)


def test_a_day_that_is_no_date_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ValueError, match="isoformat"):
        hold(tmp_path, "It failed.", "03-Jul-2026")


@pytest.mark.parametrize("risk", [0.25, 0.5])
def test_publishing_the_marked_day_again_brings_latest_back_to_it(tmp_path: Path, risk: float) -> None:
    run(tmp_path)
    hold(tmp_path, "Fourth failed.", FOURTH)
    assert (tmp_path / LATEST).readlink() != Path(THIRD)
    assert run(tmp_path, risk=risk, replace=True).changed == (risk != 0.25)
    assert (tmp_path / LATEST).readlink() == Path(THIRD)
    assert "Fourth failed." not in page(tmp_path)
    assert len(list((tmp_path / ".versions").iterdir())) == 1


def test_an_older_day_published_again_leaves_the_mark(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, 1)
    hold(tmp_path, "Fifth failed.", FIFTH)
    run(tmp_path)
    assert "Fifth failed." in page(tmp_path)


EMPTY = {
    "columns without types": pd.DataFrame(columns=ranked(AS_OF).columns),
    "typed columns": ranked(AS_OF).iloc[:0],
    "nobody listed": ranked(AS_OF).assign(listed=False),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_day_with_nobody_to_list_has_every_page(tmp_path: Path, name: str) -> None:
    stamp = Stamp(AS_OF, AS_OF, "champion 14", "Invented Trust", True, "Europe/London")
    published = publish(EMPTY[name], IDENTITIES, TEAMS, stamp, tmp_path)
    assert (published.teams, published.listed) == (2, 0)
    assert "<strong>Nobody is listed for Friday 03-Jul-2026.</strong> 1 person was considered." in page(tmp_path)
    assert "because this team had nobody on its open caseload" in page(tmp_path, "west/list.html")
    assert page(tmp_path, "index.html").count("Nobody listed") == 2
    assert page(tmp_path, "west/list.csv").count("\n") == 1


def test_those_no_list_can_show_are_counted(tmp_path: Path) -> None:
    stamp = Stamp(AS_OF, AS_OF, "champion 14", "Invented Trust", True, "Europe/London")
    reasons = {"no team named": 70, "a team of another trust": 2}
    first = publish(ranked(AS_OF), IDENTITIES, TEAMS, stamp, tmp_path, unlisted=reasons)
    assert json.loads(page(tmp_path, MANIFEST))["unlisted"] == reasons
    assert '<th scope="row">No team named</th><td class="number">70</td>' in page(tmp_path, "index.html")
    again = publish(ranked(AS_OF), IDENTITIES, TEAMS, stamp, tmp_path, unlisted=dict(reversed(reasons.items())))
    assert again == Published(first.folder, False, 2, 1, first.digest)
