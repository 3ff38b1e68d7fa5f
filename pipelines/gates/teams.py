"""When something was last recorded for each team, beside the service as a whole, and whether that is usual for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import inf
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.daysoff import counts_as, is_day_off
from features.windows import cut
from models.usual import Limits, around, usual
from pipelines.config import ServiceConfig
from pipelines.gates.outcome import TEAM, UNKNOWN, Outcome, held

Moments = npt.NDArray[np.datetime64]
HOUR = np.timedelta64(1, "h")


def recordings(contacts: pa.Table, since: datetime) -> pd.DataFrame:
    """team_id, hour, rows: how many versions of contacts became known of each team in each hour; of the hours up to
    `since` (`looked_back_to`) each team's last alone, since a trust's hours of a year are more than its people."""
    rows = contacts.select(["team_id", "known_from"]).drop_null()
    hours = pc.floor_temporal(rows["known_from"].cast(pa.timestamp("us")), unit="hour")  # many times as fast as of UTC
    hours = pa.table({"team_id": rows["team_id"], "hour": hours.cast(pa.timestamp("us", tz="UTC"))})
    counted = hours.group_by(["team_id", "hour"]).aggregate([([], "count_all")]).rename_columns({"count_all": "rows"})
    found = summed(counted.to_pandas()).astype({"team_id": str})
    early = found["hour"] <= since
    return pd.concat([found[early].drop_duplicates("team_id", keep="last"), found[~early]], ignore_index=True)


def summed(frame: pd.DataFrame, keys: Sequence[str] = ("team_id", "hour")) -> pd.DataFrame:
    return frame.groupby(list(keys), as_index=False, observed=True).agg({"rows": "sum"})


def _looked_back(config: ServiceConfig) -> int:
    """Days: while anybody is on a team's caseload, its history before it fell silent is within them."""
    return 7 * config.gates.weeks + config.caseload.active_days


def looked_back_to(as_of: datetime, config: ServiceConfig) -> datetime:
    """The first cut at which the ages of teams are looked at."""
    return cut(_days(as_of, config)[0], config.cut, config.zone)


def _days(as_of: datetime, config: ServiceConfig) -> list[date]:
    today = as_of.astimezone(ZoneInfo(config.zone)).date()
    return [today - timedelta(days=back) for back in range(_looked_back(config), -1, -1)]


@dataclass(frozen=True)
class _Calendar:
    """The cuts up to the first after which nothing was recorded for any team, oldest first, with what weekday each
    counts as; `newest` is when something was last recorded by then, `off` the days off."""

    cuts: Moments
    kinds: npt.NDArray[np.int64]
    newest: Moments
    off: Moments


def team_outcomes(
    seen: pd.DataFrame, teams: Sequence[str], as_of: datetime, config: ServiceConfig
) -> Iterator[Outcome]:
    """What the gate says of each of `teams`. seen: as `recordings` gives it.

    A team's age is by how many hours its newest record lies behind the service's, days off left out: where a whole feed
    is late, that is the feed's finding, and teams are looked at as they stood when it stopped. It is held against its
    ages at earlier cuts of the same weekday, up to when the team last recorded anything. The limit is not reached
    before `team_contacts` contacts are missing that it would usually have recorded.
    """
    if config.gates.team_feed.level == "off":
        return
    by_team = {str(name): _series(rows) for name, rows in seen.groupby("team_id")}
    calendar = _calendar(_series(summed(seen, ["hour"])), as_of, config)
    for team in teams:
        yield _outcome(team, by_team.get(team), calendar, config)


def _series(rows: pd.DataFrame) -> tuple[Moments, npt.NDArray[np.int64]]:
    ordered = rows.sort_values("hour")
    hours = ordered["hour"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[s]")
    return hours, ordered["rows"].to_numpy(np.int64)


def _calendar(whole: tuple[Moments, Any], as_of: datetime, config: ServiceConfig) -> _Calendar:
    days = _days(as_of, config)
    moments = [cut(day, config.cut, config.zone).replace(tzinfo=None) for day in days]
    off = config.gates.days_off
    cuts = np.array([*moments[:-1], as_of.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)], dtype="datetime64[s]")
    kinds = np.array([counts_as(day, off) for day in days])
    rests = np.array([day for day in days if is_day_off(day, off)], dtype="datetime64[D]")
    end = 1 + int(np.searchsorted(cuts[:-1], whole[0][-1])) if len(whole[0]) else len(cuts)
    return _Calendar(cuts[:end], kinds[:end], _newest(whole[0], cuts[:end]), rests)


def _newest(hours: Moments, cuts: Moments) -> Moments:
    """The last of `hours` at or before each cut; NaT where there is none."""
    at = np.searchsorted(hours, cuts, side="right") - 1
    padded = np.append(hours, np.datetime64("NaT", "s"))
    return padded[np.where(at < 0, len(hours), at)]


def _outcome(team: str, own: Any, calendar: _Calendar, config: ServiceConfig) -> Outcome:
    rule, gates = config.gates.team_feed, config.gates
    if own is None:
        return Outcome(TEAM, team, rule.level, UNKNOWN)
    ages = _ages(_newest(own[0], calendar.cuts), calendar)
    value = float(ages[-1])
    last = own[0][-1]
    first = last - np.timedelta64(7 * gates.weeks, "D")
    usable = (calendar.cuts[:-1] >= first) & (calendar.cuts[:-1] <= last + HOUR) & np.isfinite(ages[:-1])
    like = usable & (calendar.kinds[:-1] == calendar.kinds[-1])
    found = usual(ages[:-1][like])
    if found is None or found.count < gates.least:
        return Outcome(TEAM, team, rule.level, UNKNOWN, value)
    limit = around(found, rule.times, rule.floor).high
    if value > limit and (missing := _missing(own, calendar, usable)) < gates.team_contacts:
        limit = value * gates.team_contacts / missing if missing > 0 else inf
    return held(TEAM, team, rule, value, found.centre, Limits(high=limit))


def _ages(newest: Moments, calendar: _Calendar) -> npt.NDArray[np.float64]:
    """Hours by which a team lies behind the service at each cut, but for days off in between; NaN where it has not
    recorded yet."""
    hours = (calendar.newest - newest) / HOUR
    days, today = newest.astype("datetime64[D]"), calendar.cuts.astype("datetime64[D]")
    rests = [int(((calendar.off > day) & (calendar.off < end)).sum()) for day, end in zip(days, today, strict=True)]
    ages: npt.NDArray[np.float64] = np.maximum(hours - 24 * np.array(rests), 0.0)
    return ages


def _missing(own: Any, calendar: _Calendar, usable: npt.NDArray[np.bool_]) -> float:
    """How many contacts the team would usually have recorded since its last ones, by the same weekdays."""
    upto = np.concatenate([[0], np.cumsum(own[1])])[np.searchsorted(own[0], calendar.cuts, side="right")]
    counts = np.diff(upto)
    silent = np.flatnonzero(calendar.cuts[:-1] >= own[0][-1])
    told = usable[1:]
    by_kind = {
        kind: median(values)
        for kind in range(7)
        if (values := counts[:-1][told & (calendar.kinds[1:-1] == kind)].tolist())
    }
    return float(sum(by_kind.get(int(calendar.kinds[1:][at]), 0) for at in silent))
