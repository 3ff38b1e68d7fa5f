"""How a team records: the share of its visits on whose day it also recorded something, over all of its people.

A team's people lie in all buckets, so this has two halves: each bucket's counts, which add up, and the shares that its
rows take from the sum.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from numba import njit

from features.aggregates import Ints
from features.catalogue import Catalogue, Event
from features.frames import connect, micros, moments, query, to_frame
from features.table import FeatureInfo
from features.windows import DAY, midnights, shift_moments

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
    """The counts of one feature: every visit at every cut whose window it lies in."""
    held, recorded = catalogue.events[info.among], catalogue.events[info.of]
    at = np.unique(micros(pd.Series(list(cuts))))
    starts = shift_moments(at, -info.days, zone)
    reach = (int(starts[0]) - 2 * DAY, int(at[-1]) + 2 * DAY)
    found = query(_sql(held, recorded, *reach), **{name: tables[name] for name in {held.table, recorded.table}})
    teams = found["team_id"].combine_chunks().dictionary_encode()
    counts = np.zeros((2, len(teams.dictionary), len(at)), np.int64)
    tally(counts, at, starts, *_matched(found, teams.indices.to_numpy(), midnights(*reach, zone)))
    made = pd.DataFrame(
        {
            "team_id": np.repeat(teams.dictionary.to_numpy(zero_copy_only=False).astype(object), len(at)),
            "as_of": np.tile(moments(at), len(teams.dictionary)),
            "feature": info.name,
            "recorded": counts[1].ravel(),
            "held": counts[0].ravel(),
        }
    )
    return made[made["held"] > 0]


def _matched(found: pa.Table, team: Ints, calendar: Ints) -> tuple[Ints, ...]:
    """For each visit its team, moment, known from and to, and which of the readings that follow are of its person, team
    and day: the first and the one behind the last. Then the readings' known from and to."""
    at, known_from, known_to, person = (
        np.asarray(found[name].cast(pa.int64()).to_numpy()) for name in ("moment", "known_from", "known_to", "person_id")
    )
    day = np.searchsorted(calendar, at, "right")
    who = np.unique(person, return_inverse=True)[1]
    place = (who * (len(calendar) + 1) + day) * (int(team.max(initial=0)) + 1) + team
    reading = found["reading"].to_numpy()
    visits, readings = np.flatnonzero(~reading), np.flatnonzero(reading)
    readings = readings[np.argsort(place[readings], kind="stable")]
    first, last = (np.searchsorted(place[readings], place[visits], side) for side in ("left", "right"))
    of_visits = (column[visits] for column in (team.astype(np.int64), at, known_from, known_to))
    return (*of_visits, first, last, known_from[readings], known_to[readings])


@njit(cache=True, nogil=True)
def tally(counts, cuts, starts, team, at, known_from, known_to, first, last, read_from, read_to):  # type: ignore[no-untyped-def]
    """Add each visit to the counts [held or recorded, team, cut] of every cut whose window holds it."""
    for v in range(len(at)):
        c = np.searchsorted(cuts, at[v], "right")
        while c < len(cuts) and starts[c] <= at[v]:
            if known_from[v] <= cuts[c] < known_to[v]:
                counts[0, team[v], c] += 1
                for r in range(first[v], last[v]):
                    if read_from[r] <= cuts[c] < read_to[r]:
                        counts[1, team[v], c] += 1
                        break
            c += 1


def _sql(held: Event, recorded: Event, first: int, last: int) -> str:
    """Visits and readings of teams between two moments (microseconds since 1970)."""
    sides = (
        f"""select {reading} as reading, person_id, team_id, {event.moment} as moment, known_from,
                   coalesce(known_to, {FAR}) as known_to
            from {event.table} where ({event.where}) and team_id is not null
             and {event.moment} between make_timestamptz({first}) and make_timestamptz({last})"""
        for reading, event in (("false", held), ("true", recorded))
    )
    return " union all ".join(sides)
