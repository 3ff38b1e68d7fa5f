"""A day's lists for those who commission care and may not know whose they are: pseudonyms of their own, and counts from
which nobody can be told.

`commissioner/DAY/` is written whole, beside the lists and apart from them. Its pseudonyms are made from the inside ones
with the workspace's key, so that neither leads to the other without it, and the same person keeps the same one.
"""

import hmac
import json
import shutil
from hashlib import sha256
from typing import Any

import pandas as pd

from models.ranking import in_words
from models.settings import SMALLEST
from pipelines.pages import Section, report_page, words
from pipelines.publish import MANIFEST
from pipelines.runs import Run
from pipelines.service import Service

NOT_SHOWN = f"fewer than {SMALLEST}"
HIGH_BAND = 4
"""From this band on a risk is 1 in 10 or more."""


def write(service: Service, run: Run) -> None:
    """The day of a run, where the configuration asks for it."""
    if not service.config.forms.commissioner:
        return
    manifest = json.loads((service.workspace.lists / run.day / MANIFEST).read_bytes())
    ranked, teams = run.ranked(), pd.DataFrame(manifest["teams"])
    counted, people = counts(ranked, teams), pseudonymised(ranked, teams, service.workspace.key())
    folder = service.workspace.commissioner / run.day
    aside = folder.with_name(f".{run.day}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    counted.to_csv(aside / "counts.csv", index=False)
    people.to_csv(aside / "people.csv", index=False)
    (aside / "index.html").write_text(_page(counted, people, manifest["stamp"]), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def counts(ranked: pd.DataFrame, teams: pd.DataFrame) -> pd.DataFrame:
    """team_id, team, caseload, listed, listed_at_1_in_10_or_more: numbers as text, `NOT_SHOWN` for those below
    `SMALLEST`, 0 included, and for those that another would give away. There are no totals to subtract from."""
    shown = ranked[ranked["listed"].astype(bool)]
    high = shown[shown["risk"].map(words.band) >= HIGH_BAND].groupby("team_id").size()
    listed = teams["team_id"].map(shown.groupby("team_id").size()).fillna(0).astype(int)
    at_high = teams["team_id"].map(high).fillna(0).astype(int)
    tells = (at_high >= SMALLEST) & (listed - at_high >= SMALLEST)
    return pd.DataFrame(
        {
            "team_id": teams["team_id"],
            "team": teams["name"],
            "caseload": _large(teams["caseload"], teams["caseload"] >= SMALLEST),
            "listed": _large(listed, listed >= SMALLEST),
            "listed_at_1_in_10_or_more": _large(at_high, tells),
        }
    )


def pseudonymised(ranked: pd.DataFrame, teams: pd.DataFrame, key: bytes) -> pd.DataFrame:
    """team_id, rank, person (16 hex digits), risk_in_words, change, days_on_list, of the lists of at least `SMALLEST`
    people. Neither age nor sex nor moments: with a small team they would say who it is."""
    shown = ranked[ranked["listed"].astype(bool) & ranked["team_id"].isin(teams["team_id"])]
    large = shown.groupby("team_id")["person_id"].transform("size") >= SMALLEST
    rows = shown[large].sort_values(["team_id", "rank"], ignore_index=True)
    return pd.DataFrame(
        {
            "team_id": rows["team_id"],
            "rank": rows["rank"],
            "person": [_pseudonym(int(person), key) for person in rows["person_id"]],
            "risk_in_words": rows["risk"].map(in_words),
            "change": rows["change"],
            "days_on_list": rows["days_on_list"],
        }
    )


def _pseudonym(person: int, key: bytes) -> str:
    return hmac.digest(key, f"commissioner {person}".encode(), sha256)[:8].hex()


def _large(numbers: pd.Series, tells: pd.Series) -> pd.Series:
    return numbers.astype(int).astype(str).where(tells, NOT_SHOWN)


def _page(counted: pd.DataFrame, people: pd.DataFrame, stamp: dict[str, Any]) -> str:
    as_of = words.moment(pd.Timestamp(stamp["as_of"]).to_pydatetime(), stamp["zone"])
    return report_page(
        "Lists for commissioners",
        "How many people each team's list shows, and who, by a pseudonym.",
        {"Trust": stamp["trust"], "As of": as_of, "Model": stamp["model_version"]},
        [
            Section("Teams", tables={"people by team": counted}),
            Section("People", (f"Of lists of {SMALLEST} people and more.",), tables={"people listed": people}),
        ],
        closing=f"Numbers below {SMALLEST} are not shown, nor what would give them away.",
        simulated=stamp["simulated"],
    )
