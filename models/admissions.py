"""Lists seen from the admissions: how long before them people were listed; and from the lists: how long people stay."""

import numpy as np
import pandas as pd

from features.windows import HORIZON_DAYS
from models.listings import listed
from models.resampling import Resampling

NOTICE_DAYS = (1, 2, 3, 5)
EPISODE_GAP_DAYS = 3
NEXT_DAY = pd.Timedelta(hours=36)
"""A cut within so long is the next day's, whatever the clocks do in between."""
SHARE = ["admissions", "listed", "share", "low", "high"]


def admission_days(places: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """person_id, admitted_at, days_before, and for each model whether any team's list held the person that day.

    An admission within a day of the cut is 1 day before; the hour that a clock change adds stays with the last day.
    """
    rows = places[places["label"] == 1]
    ahead = (rows["admitted_at"] - rows["as_of"]).dt.total_seconds() // 86_400
    keyed = rows.assign(days_before=np.minimum(ahead + 1, HORIZON_DAYS).astype(np.int64))
    by_day = keyed.groupby(["person_id", "admitted_at", "days_before"])
    return by_day[[listed(model) for model in names]].max().reset_index()


def lead_time(days: pd.DataFrame, names: dict[str, str], resampling: Resampling) -> pd.DataFrame:
    """model, days_before (1 .. 9), admissions of people on a caseload that day, listed, share, low, high."""
    rows = []
    for model in names:
        for day in range(1, HORIZON_DAYS + 1):
            held = days[days["days_before"] == day]
            shown = held[listed(model)]
            rows.append((model, day, len(held), int(shown.sum()), *resampling.rate(shown, held["person_id"])))
    return pd.DataFrame(rows, columns=["model", "days_before", *SHARE])


def notice(days: pd.DataFrame, names: dict[str, str], resampling: Resampling) -> pd.DataFrame:
    """model, days_before, admissions (all), listed on at least one day so long before or longer, share, low, high."""
    rows = []
    for model in names:
        for least in NOTICE_DAYS:
            early = days[listed(model)] & (days["days_before"] >= least)
            ever = early.groupby([days["person_id"], days["admitted_at"]]).max()
            share = resampling.rate(ever, ever.index.get_level_values("person_id"))
            rows.append((model, least, len(ever), int(ever.sum()), *share))
    return pd.DataFrame(rows, columns=["model", "days_before", *SHARE])


def episodes(places: pd.DataFrame, names: dict[str, str], resampling: Resampling) -> pd.DataFrame:
    """model, lists, people, episodes (runs on one list, gaps of up to 3 days bridged), new_per_list, mean_days, ppv
    (share of episodes with an admission to follow), low, high, retention (share of a day's places that have the same
    holder on the next day)."""
    places = places.sort_values(["team_id", "person_id", "as_of"])
    cuts = places["as_of"].drop_duplicates().sort_values()
    following = dict(zip(cuts, cuts.shift(-1).where(cuts.diff(-1) > -NEXT_DAY), strict=True))
    lists = places["group"].nunique()
    rows = []
    for model in names:
        shown = places[places[listed(model)]]
        gap = shown.groupby(["team_id", "person_id"])["as_of"].diff().dt.total_seconds() / 86_400
        runs = shown.groupby((gap.isna() | (gap.round() > EPISODE_GAP_DAYS)).cumsum())
        lengths = (runs["as_of"].max() - runs["as_of"].min()).dt.total_seconds() / 86_400 + 1
        hits = resampling.rate(runs["label"].max(), runs["person_id"].first())
        found = (len(lengths), len(lengths) / lists, float(lengths.mean()), *hits)
        rows.append((model, lists, shown["person_id"].nunique(), *found, _retention(shown, following)))
    columns = ["model", "lists", "people", "episodes", "new_per_list", "mean_days", "ppv", "low", "high", "retention"]
    return pd.DataFrame(rows, columns=columns)


def _retention(shown: pd.DataFrame, following: dict[pd.Timestamp, pd.Timestamp]) -> float:
    """`shown` is in the order of team, person and cut, so that whoever stays is in the next row."""
    due = shown["as_of"].map(following)
    after = shown[["team_id", "person_id", "as_of"]].shift(-1)
    same = (after["team_id"] == shown["team_id"]) & (after["person_id"] == shown["person_id"])
    kept = (same & (after["as_of"] == due))[due.notna()]
    return float(kept.mean()) if len(kept) else float("nan")
