"""What came of a team's lists: admissions caught, answered about and admitted anyway, and how long before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from pipelines.board.outcomes import keep, kept, outcome

FIRST = datetime(2026, 2, 3, 6, 0, tzinfo=UTC)
ADMITTED = {1: FIRST + timedelta(days=4), 2: FIRST + timedelta(days=2, hours=12), 3: FIRST + timedelta(days=1)}
LISTED = {1: (0, 1, 3), 2: (2,), 4: (0,)}
"""On which days each person was listed; 3 never was."""


def rows() -> pd.DataFrame:
    """A week of lists of one team with five people, three of whom were admitted in an emergency."""
    made = []
    for day in range(7):
        as_of = FIRST + timedelta(days=day)
        for person in range(1, 6):
            at = ADMITTED.get(person)
            hit = at is not None and as_of <= at < as_of + timedelta(days=9)
            row = {"team_id": "T", "person_id": person, "as_of": as_of, "listed": day in LISTED.get(person, ())}
            made.append(row | {"label": int(hit), "admitted_at": at if hit else pd.NaT})
    frame = pd.DataFrame(made)
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("as_of", "admitted_at")})


def answers(*given: tuple[str, int, int, str]) -> pd.DataFrame:
    frame = pd.DataFrame(given, columns=["team_id", "person_id", "as_of", "kind"])
    moments = [pd.Timestamp(FIRST) + pd.Timedelta(days=day) for day in frame["as_of"]]
    return frame.assign(as_of=pd.Series(moments, dtype="datetime64[us, UTC]"))


def test_each_admission_counts_once_with_the_longest_notice() -> None:
    found = outcome(rows(), answers())
    assert (found.places, found.people, found.admissions, found.caught, found.answered) == (5, 5, 3, 2, 0)
    assert sorted(found.notice) == [0.5, 4.0]
    assert (found.first, found.last) == ("2026-02-03", "2026-02-09")


def test_admitted_anyway_is_what_was_answered_about_while_it_could_help() -> None:
    given = answers(
        ("T", 1, 0, "visited"), ("T", 1, 3, "visited"), ("T", 1, 1, "seen"), ("T", 4, 0, "seen"), ("U", 2, 2, "known")
    )
    found = outcome(rows(), given)
    assert found.answered == 1
    assert {kind: number for kind, number in found.after.items() if number} == {"visited": 1, "seen": 1}


def test_a_team_with_no_admission_has_none() -> None:
    found = outcome(rows().assign(label=0), answers())
    assert (found.admissions, found.caught, list(found.notice)) == (0, 0, [])


def test_what_was_worked_out_is_kept_for_the_page(tmp_path: Path) -> None:
    assert kept(tmp_path) is None
    found = {"T": outcome(rows(), answers(("T", 1, 0, "visited")))}
    keep(tmp_path, found, FIRST)
    assert kept(tmp_path) == (FIRST, found)
