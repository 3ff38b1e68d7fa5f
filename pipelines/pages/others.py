"""Who is told of on a list's page without being on the list: who left it, and who is poorly observed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from models.ranking import FALLING, RISING, in_words
from models.sections import LEAVING, POORLY
from pipelines.pages import words
from pipelines.pages.people import identified
from pipelines.pages.stamp import Stamp

ORDER = ("risk_fell", "others_higher", "no_recent_activity", "referral_closed", "other_list", "in_hospital", "died")
"""Why someone left, in the order of the page."""


@dataclass(frozen=True)
class Other:
    """section: `LEAVING` or `POORLY`. says: why they are told of, in sentences. No page shows `person_id`."""

    person_id: int
    section: str
    nhs_number: str
    name: str
    born: str
    says: str


def others(
    ranked: pd.DataFrame, leaving: pd.DataFrame, identities: pd.DataFrame, stamp: Stamp
) -> dict[str, tuple[Other, ...]]:
    """By team. ranked: as for `people`, with `section`; leaving: as `listing.leaving` gives it."""
    if "section" not in ranked:
        return {}
    poorly = ranked[ranked["section"] == POORLY].sort_values("rank", kind="stable")
    left = leaving.assign(order=leaving["why"].map(ORDER.index)).sort_values(["order", "person_id"], kind="stable")
    told = [(row, LEAVING, _left(row, stamp)) for row in identified(left, identities)]
    told += [(row, POORLY, _unseen(row, stamp)) for row in identified(poorly, identities)]
    found: dict[str, tuple[Other, ...]] = {}
    for row, section, says in told:
        other = Other(int(row["person_id"]), section, row["nhs_number"], row["name"], row["born"], says)
        found[row["team_id"]] = (*found.get(row["team_id"], ()), other)
    return found


def _left(row: Mapping[Any, Any], stamp: Stamp) -> str:
    since = "" if pd.isna(row["at"]) else f" {words.date(row['at'], stamp.zone)}"
    sentences = {
        "no_recent_activity": f"No contact held in {words.count(stamp.active_days, 'day')}, so no longer counted as on "
        "the caseload.",
        "referral_closed": f"Referral to this team closed{since}." if since else "No open referral to this team.",
        "other_list": "On another list now.",
        "in_hospital": f"In hospital since{since}, as far as is known.",
        "died": f"Died{since}, as recorded.",
    }
    return sentences.get(row["why"]) or _still_there(row)


def _still_there(row: Mapping[Any, Any]) -> str:
    now, before = in_words(row["risk"]), row["previous_risk"]
    ratio = row["risk"] / before if before > 0 else float("nan")
    if ratio <= FALLING:
        told = f"Risk fell from {_short(before)} to {_short(row['risk'])}."
    elif ratio >= RISING:
        told = f"Risk rose from {_short(before)} to {_short(row['risk'])}, and others are higher still."
    else:
        told = f"Risk much as it was, {now}; others are higher now."
    return f"{told} On the caseload as number {int(row['rank'])}."


def _short(risk: float) -> str:
    return in_words(risk).removeprefix("about ")


def _unseen(row: Mapping[Any, Any], stamp: Stamp) -> str:
    held, readings = words.count(row["held_30d"], "contact"), words.count(row["readings_30d"], "reading")
    seen = row["last_seen"]
    last = stamp.not_seen if pd.isna(seen) else f"last seen {words.days_before(seen, stamp.as_of, stamp.zone)}"
    told = f"{held} held and {readings} taken in 30 days; {last}. Risk all the same {in_words(row['risk'])}"
    return f"{told}: number {int(row['rank'])} on the caseload."
