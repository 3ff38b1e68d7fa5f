"""The sections of a list: whom a team reads of first, in an order that stays calm. Nobody's rank or risk is changed."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

RISING, HIGH, NEWLY, LEAVING, POORLY = "new_and_rising", "still_high", "newly_home", "leaving", "poorly_observed"
LISTED = (RISING, HIGH, NEWLY)
"""The sections that hold the people listed, in the order of reading."""


class SectionRules(BaseModel):
    """newly_days: home from hospital, or referred, within so many days is newly.

    Poorly observed is who has been on the caseload for all of the 30 days before the cut, with at most few_contacts
    contacts held (by any team) and few_readings readings taken in them, and a risk of at least `raised` times the mean
    of the list's caseload; of those not listed the highest risks, poorly_most at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    newly_days: int = Field(default=7, ge=1)
    few_contacts: int = Field(default=2, ge=0)
    few_readings: int = Field(default=0, ge=0)
    raised: float = Field(default=1.5, gt=0)
    poorly_most: int = Field(default=3, ge=0)


def section(change: str, home_days: float, referred_days: float, newly_days: int) -> str:
    """The one section of someone listed. home_days, referred_days: since they came home from hospital, and since they
    were last referred to this list; NaN where they did not.

    A rise comes first, whatever else is so: it is the news. Then who is newly home or referred, since that explains a
    new place on the list. Then whoever else is new to it; and the rest are still high.
    """
    if change == "rising":
        return RISING
    if home_days < newly_days or referred_days < newly_days:
        return NEWLY
    return RISING if change == "new" else HIGH


def sections(ranked: pd.DataFrame, rules: SectionRules) -> list[str]:
    """Each row's section; empty for who is in none. ranked: as `ranking.rank` gives it, with home_days, referred_days,
    held_30d and readings_30d (counts)."""
    poorly = _poorly_observed(ranked, rules)
    columns: Any = zip(
        ranked["listed"], ranked["change"], ranked["home_days"], ranked["referred_days"], poorly, strict=True
    )
    return [
        section(change, home, referred, rules.newly_days) if listed else POORLY if unseen else ""
        for listed, change, home, referred, unseen in columns
    ]


def not_shown(ranked: pd.DataFrame) -> pd.Series:
    """Who is not listed, and not held back from a list either: where a ranking says in `withheld` why someone is not
    shown, nothing else on the page may show them."""
    free = ranked["withheld"].fillna("").eq("") if "withheld" in ranked else True
    return ~ranked["listed"].astype(bool) & free


def _poorly_observed(ranked: pd.DataFrame, rules: SectionRules) -> np.ndarray:
    """Of teams that are shown somebody at all."""
    mean = ranked.groupby("team_id")["risk"].transform("mean")
    begun = ranked["listed"].astype(bool).groupby(ranked["team_id"]).transform("any")
    few = (ranked["held_30d"] <= rules.few_contacts) & (ranked["readings_30d"] <= rules.few_readings)
    there = begun & not_shown(ranked) & (ranked["days_on_caseload"] >= 30)
    found = ranked[there & few & (ranked["risk"] >= rules.raised * mean)].sort_values("rank", kind="stable")
    return ranked.index.isin(found.groupby("team_id", sort=False).head(rules.poorly_most).index)
