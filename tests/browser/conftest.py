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
    return pd.DataFrame(rows)


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
    }


def identities(frame: pd.DataFrame) -> pd.DataFrame:
    ids = sorted(frame["person_id"].unique())
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
    publish(frame, identities(frame), teams(), stamp(notes=(note,)), folder, unlisted={"no team named": 70})
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
