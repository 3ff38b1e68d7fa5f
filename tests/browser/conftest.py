"""Published lists of invented people (999-range NHS numbers), and a browser to read them with."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.publish import Stamp, publish

AS_OF = datetime(2026, 2, 3, 6, 0, tzinfo=UTC)
TEAMS = ("DN-North", "DN-South", "UCR/West & Central")
NAMES = (
    ("Okafor", "Ngozi"),
    ("Featherstonehaugh-Cholmondeley", "Bartholomew Alexander"),
    ("Lee", "An"),
    ("O'Dowd", "Máire"),
)
LEFT = [501, 502, 503]
REASONS = (
    "3 unscheduled visits in the last 7 days; usually 1 a month",
    "Home from an emergency stay in hospital 5 days ago",
    "NEWS2 of 5 yesterday; own usual 2",
)


def nhs_number(n: int) -> str:
    """The nth valid number of the range that is never issued."""
    for first in range(999_000_000 + 11 * n, 999_000_011 + 11 * n):
        digits = f"{first}"
        check = (11 - sum(int(d) * w for d, w in zip(digits, range(10, 1, -1), strict=True)) % 11) % 11
        if check < 10:
            return f"{digits}{check}"
    message = "no valid number in eleven in a row"
    raise AssertionError(message)


def ranked(people: int, teams: tuple[str, ...] = TEAMS) -> pd.DataFrame:
    """A ranking in which the first and last teams have `people` listed and the second has nobody."""
    rng = np.random.default_rng(9)
    rows = []
    for team in (teams[0], teams[-1]):
        risks = np.sort(np.exp(rng.uniform(np.log(0.008), np.log(0.6), people)))[::-1]
        rows += [_row(team, rank, risk, TEAMS.index(team)) for rank, risk in enumerate(risks, 1)]
    unseen = _row(teams[0], people + 1, 0.02, 0) | {"listed": False, "section": "poorly_observed"}
    return pd.DataFrame([*rows, unseen | {"held_30d": 1, "readings_30d": 0, "last_seen": pd.NaT}])


def _row(team: str, rank: int, risk: float, offset: int) -> dict[str, Any]:
    change = ("new", "rising", "steady", "falling")[rank % 4]
    previous = {"new": np.nan, "rising": risk / 2, "steady": risk, "falling": min(1.0, risk * 1.6)}[change]
    reasons = REASONS[: 3 - (rank % 5 == 0)] if rank % 7 else ()
    return {
        "team_id": team,
        "person_id": rank + 1000 * offset,
        "as_of": pd.Timestamp(AS_OF),
        "rank": rank,
        "score": float(np.log(risk)),
        "risk": risk,
        "listed": True,
        "change": change,
        "previous_risk": previous,
        "days_on_list": 1.0 if change == "new" else float(rank),
        "also_with": TEAMS[2] if rank == 2 else "",
        "days_on_caseload": float(17 * rank),
        "last_seen": pd.NaT if rank % 6 == 0 else pd.Timestamp(AS_OF - timedelta(days=rank % 9, hours=rank % 5 + 1)),
        "last_seen_by": None if rank % 6 == 0 else ("face_to_face", "telephone", "video", None)[rank % 4],
        **{f"reason_{n + 1}": reasons[n] if n < len(reasons) else "" for n in range(3)},
        "age": 61.4 + rank,
        "sex": ("female", "male")[rank % 2],
        **_beside(rank, risk, change, offset),
    }


def _beside(rank: int, risk: float, change: str, offset: int) -> dict[str, Any]:
    """What a list says beside rank, risk and reasons."""
    course = {f"risk_{days}d": np.nan if days > 5 + rank % 6 else float(risk * 0.9**days) for days in range(1, 10)}
    section = ("newly_home" if rank % 5 == 0 else "still_high") if change in ("steady", "falling") else "new_and_rising"
    seen_since = rank % 3 == 0
    return course | {
        "marks": ("seen:9,6,4,2 no_access:5,1", "attended:8 admitted:8 in_hospital:8,7,6 seen:1", "cancelled:3")[
            rank % 3
        ],
        "moved": ("raised by NEWS2, vital signs and pain; eased by planned visits", "hardly moved", "")[rank % 3],
        "in_hands": "urgent response; hospital at home" if rank % 4 == 2 else "",
        "held_by": "",
        "elsewhere_at": pd.Timestamp(AS_OF - timedelta(hours=9)) if seen_since else pd.NaT,
        "elsewhere_team": "Urgent response, West & Central" if seen_since else "",
        "elsewhere_by": "face_to_face" if seen_since else "",
        "next_planned": pd.Timestamp(AS_OF + timedelta(hours=5 + 24 * (rank % 4))) if rank % 4 else pd.NaT,
        "section": section,
        "held_30d": 7,
        "readings_30d": 3,
    }


def happened(frame: pd.DataFrame) -> pd.DataFrame:
    """Contacts, readings, a stay and all else of 90 days, of everyone in `frame`."""
    rows = []
    for person in frame["person_id"].unique():
        rows += [
            _fact(person, "contact", ("held", "held", "no_access", "unknown")[n % 4], 3.1 * n + 0.2, medium="telephone")
            for n in range(29)
        ]
        rows += [
            _fact(person, "reading", "NEWS2 scores", 6.5 * n + 0.4, value=float(n * person % 5), place=1)
            for n in range(9)
        ]
        rows += [_fact(person, "reading", "weights (kg)", 30.0 * n + 9, value=70.0 - n, place=2) for n in range(3)]
        rows += [
            _fact(person, "record", "records of new confusion", 2.0),
            _fact(person, "attendance", "admitted", 40.3),
        ]
        rows += [_fact(person, "stay", "emergency", 40.1, ended=33.0), _fact(person, "referral", "12", 60.0)]
    made = pd.DataFrame(rows).sort_values(["person_id", "happened_at"], kind="stable", ignore_index=True)
    return made.astype(dict.fromkeys(["happened_at", "ended_at", "known_from"], "datetime64[us, UTC]"))


def _fact(person: int, kind: str, what: str, days: float, ended: float | None = None, **more: Any) -> dict[str, Any]:
    at = pd.Timestamp(AS_OF - timedelta(days=days))
    usual = {
        "value": np.nan,
        "team_id": TEAMS[0],
        "team": "District nursing, Stevenage North",
        "medium": None,
        "place": 0,
    }
    until = pd.NaT if ended is None else pd.Timestamp(AS_OF - timedelta(days=ended))
    moments = {"happened_at": at, "ended_at": until, "known_from": at + pd.Timedelta(hours=3)}
    return {"person_id": person, "kind": kind, "what": what, **moments} | usual | more


def pulled(frame: pd.DataFrame) -> pd.DataFrame:
    told = (("NEWS2, vital signs and pain", 0.8, 0.2, REASONS[2]), ("Planned visits", -0.1, -0.1, "2 planned visits"))
    rows = [
        {"person_id": person, "title": title, "share": now, "share_before": then, "said": said, "said_before": said}
        for person in frame["person_id"].unique()
        for title, now, then, said in told
    ]
    return pd.DataFrame(rows)


def beside(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What is told beside the lists: three who left the first team's, and everyone's course."""
    left = pd.DataFrame(
        {
            "team_id": TEAMS[0],
            "person_id": LEFT,
            "why": ["risk_fell", "in_hospital", "died"],
            "at": pd.to_datetime([None, "2026-02-02T10:00Z", "2026-02-01T09:00Z"], utc=True),
            "rank": [40, np.nan, np.nan],
            "risk": [0.02, np.nan, np.nan],
            "previous_risk": [0.1, 0.2, 0.2],
        }
    )
    listed = frame[frame["listed"]]
    return {"happened": happened(listed), "pulled": pulled(listed), "leaving": left}


def identities(frame: pd.DataFrame) -> pd.DataFrame:
    ids = sorted({*frame["person_id"], *LEFT})
    names = [NAMES[n % len(NAMES)] for n, _ in enumerate(ids)]
    return pd.DataFrame(
        {
            "person_id": ids,
            "nhs_number": [nhs_number(n) for n, _ in enumerate(ids)],
            "family_name": [family for family, _ in names],
            "given_name": [given for _, given in names],
            "birth_date": [pd.Timestamp(1963 - n % 40, 1 + n % 12, 1 + n % 28).date() for n, _ in enumerate(ids)],
        }
    )


def teams() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "team_id": list(TEAMS),
            "name": [
                "District nursing, Stevenage North",
                "District nursing, Hertford",
                "Urgent response, West & Central",
            ],
            "caseload": [412, 187, 96],
            "capacity": [21, 10, 12],
            "excluded_already_in_hospital": [9, 4, 0],
            "excluded_under_18": [0, 0, 2],
        }
    )


def stamp(**changes: Any) -> Stamp:
    values = {
        "as_of": AS_OF,
        "data_as_of": AS_OF - timedelta(hours=5),
        "model_version": "champion 14",
        "trust": "Hertfordshire Community NHS Trust",
        "simulated": True,
        "zone": "Europe/London",
        "feed_ages": (("community", 5.2), ("hospital stays", 53.0), ("A&E attendances", 0.4)),
    }
    return Stamp(**(values | changes))


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = ranked(12)
    note = "Hospital stays are two days late: someone shown here may already be in hospital. Check before you visit."
    folder = tmp_path_factory.mktemp("published") / "lists"
    told = {"unlisted": {"no team named": 70}, "beside": beside(frame)}
    publish(frame, identities(frame), teams(), stamp(notes=(note,)), folder, **told)
    return folder / "latest"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's chromium, headless; nothing is downloaded."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the dev extra)")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()
