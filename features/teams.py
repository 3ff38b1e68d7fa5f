"""How a team records: the share of its visits on whose day it also recorded something, over all of its people.

A team's people lie in all buckets, so this has two halves: each bucket's counts, which add up, and the shares that its
rows take from the sum.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from features.aggregates import Ints
from features.catalogue import Catalogue, Event
from features.frames import connect, micros, moments, query, to_frame
from features.kernel import Events, Rows, compute, program
from features.table import FeatureInfo
from features.windows import shift_moments

FAR = "timestamptz '9999-01-01'"
COUNT_COLUMNS = ("team_id", "as_of", "feature", "recorded", "held")


def team_counts(
    tables: Mapping[str, pa.Table], cuts: Sequence[datetime], catalogue: Catalogue, zone: str
) -> pd.DataFrame:
    """`COUNT_COLUMNS` for each team, cut and feature of teams: events of `among` in its window, and those of them on
    whose day (of `zone`) the team recorded an `of` about the same person, both as known at the cut.

    Counts of different people add up: `added` sums those of several buckets.
    """
    frames = [_counts(tables, cuts, catalogue, info, zone) for info in catalogue.of_teams]
    return added(frames)


def added(counts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Counts of several features or buckets as one frame."""
    if not counts:
        return pd.DataFrame(columns=list(COUNT_COLUMNS))
    return pd.concat(counts).groupby(["team_id", "as_of", "feature"], as_index=False)[["recorded", "held"]].sum()


def team_shares(
    tables: Mapping[str, pa.Table], keyed: pd.DataFrame, counts: pd.DataFrame, infos: Sequence[FeatureInfo]
) -> dict[str, np.ndarray]:
    """Each feature of teams, row for row with `keyed`: over all teams to which the person has an open referral."""
    look = keyed.assign(row=range(len(keyed)))
    shares = ", ".join(
        f"sum(recorded) filter (where feature = '{i.name}') / sum(held) filter (where feature = '{i.name}') as {i.name}"
        for i in infos
    )
    with connect({"look": look, "counts": counts, "referrals": tables["referrals"]}) as connection:
        found = to_frame(
            connection.sql(f"""
            with mine as (
                select distinct l.row, l.as_of, o.team_id from look l join referrals o on o.person_id = l.person_id
                 and o.known_from <= l.as_of and (o.known_to is null or l.as_of < o.known_to)
                 and o.received_at < l.as_of and (o.closed_at is null or l.as_of < o.closed_at)
            ),
            shares as (select row, {shares} from mine join counts using (team_id, as_of) group by row)
            select * from look left join shares using (row) order by row""")
        )
    return {info.name: found[info.name].to_numpy(np.float64, na_value=np.nan) for info in infos}


def _counts(
    tables: Mapping[str, pa.Table], cuts: Sequence[datetime], catalogue: Catalogue, info: FeatureInfo, zone: str
) -> pd.DataFrame:
    """The counts of one feature: the compiled pass, with teams in the place of people."""
    held, recorded = catalogue.events[info.among], catalogue.events[info.of]
    found = query(_sql(held, recorded, zone), **{name: tables[name] for name in {held.table, recorded.table}})
    names, team = np.unique(found["team_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    at = np.unique(micros(pd.Series(list(cuts))))
    rows = _rows(len(names), at, info.days, zone)
    count = [FeatureInfo(of, "", "count", of, info.days, 0, 0.0) for of in ("recorded", "held")]
    events = _events(found, team.astype(np.int64))
    figures = compute(events, rows, program(count, {"held": 0, "recorded": 1}, [info.days]), zone)
    frame = {"team_id": names[rows.person].astype(object), "as_of": moments(rows.as_of), "feature": info.name}
    made = pd.DataFrame(frame | {"recorded": figures[:, 0], "held": figures[:, 1]})
    return made[made["held"] > 0]


def _rows(teams: int, cuts: Ints, days: int, zone: str) -> Rows:
    starts = shift_moments(cuts, -days, zone)
    each = np.repeat(np.arange(teams), len(cuts))
    return Rows(each, np.tile(cuts, teams), np.tile(starts, teams)[:, None])


def _events(found: pa.Table, team: Ints) -> Events:
    begins = np.searchsorted(found["code"].to_numpy(), [0, 1, 2])
    at, known_from, known_to = (
        found[name].cast(pa.int64()).to_numpy() for name in ("moment", "known_from", "known_to")
    )
    return Events(begins, team, at, known_from, known_to, np.zeros(len(team), np.int64))


def _sql(held: Event, recorded: Event, zone: str) -> str:
    """What was held (code 0), and of it what was recorded at (code 1): for each, the periods in which that was known.
    Of several records on one day, periods that meet or overlap are one."""
    return f"""
        with held as (
            select row_number() over () as number, person_id, team_id, {held.moment} as moment,
                   ({held.moment} at time zone '{zone}')::date as day, known_from, coalesce(known_to, {FAR}) as known_to
            from {held.table} where ({held.where}) and team_id is not null and {held.moment} is not null
        ),
        recorded as (
            select person_id, team_id, ({recorded.moment} at time zone '{zone}')::date as day, known_from,
                   coalesce(known_to, {FAR}) as known_to
            from {recorded.table} where ({recorded.where}) and team_id is not null
        ),
        pairs as (
            select h.number, h.team_id, h.moment, greatest(h.known_from, r.known_from) as known_from,
                   least(h.known_to, r.known_to) as known_to
            from held h join recorded r using (person_id, team_id, day)
            where h.known_from < r.known_to and r.known_from < h.known_to
        ),
        ordered as (
            select *, max(known_to) over (partition by number order by known_from, known_to
                                          rows between unbounded preceding and 1 preceding) as before from pairs
        ),
        apart as (
            select *, sum((before is null or known_from > before)::int)
                        over (partition by number order by known_from, known_to rows unbounded preceding) as period
            from ordered
        )
        select 0 as code, team_id, moment, known_from, known_to from held
        union all
        select 1, any_value(team_id), any_value(moment), min(known_from), max(known_to)
        from apart group by number, period
        order by code, team_id, moment, known_from"""
