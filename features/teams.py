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

from features.aggregates import Floats, Ints
from features.events import Stream
from features.frames import connect, micros, moments, to_frame
from features.table import FeatureInfo
from features.windows import DAY, midnights, shift_moments

COUNT_COLUMNS = ("team_id", "as_of", "feature", "recorded", "held")


def team_counts(
    found: Sequence[Stream], cuts: Sequence[datetime], infos: Sequence[FeatureInfo], zone: str
) -> pd.DataFrame:
    """`COUNT_COLUMNS` for each team, cut and feature of teams: events of `among` in its window, and those of them on
    whose day (of `zone`) the team recorded an `of` about the same person, both as known at the cut.

    Counts of different people add up: `added` sums those of several buckets.
    """
    if not len(cuts):
        return added([])
    return added([_counts(found, np.unique(micros(pd.Series(list(cuts)))), info, zone) for info in infos])


def added(counts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Counts of several features or buckets as one frame."""
    if not counts:
        return pd.DataFrame(columns=list(COUNT_COLUMNS))
    return pd.concat(counts).groupby(["team_id", "as_of", "feature"], as_index=False)[["recorded", "held"]].sum()


def teams_of(tables: Mapping[str, pa.Table], keyed: pd.DataFrame) -> pd.DataFrame:
    """row, team_id: the teams to which the person of each row of `keyed` has an open referral."""
    with connect({"look": keyed.assign(row=range(len(keyed))), "referrals": tables["referrals"]}) as connection:
        return to_frame(
            connection.sql("""
            select distinct l.row, o.team_id from look l join referrals o on o.person_id = l.person_id
             and o.known_from <= l.as_of and (o.known_to is null or l.as_of < o.known_to)
             and o.received_at < l.as_of and (o.closed_at is null or l.as_of < o.closed_at)
            where o.team_id is not null order by l.row, o.team_id""")
        )


def team_shares(
    keyed: pd.DataFrame, mine: pd.DataFrame, counts: pd.DataFrame, infos: Sequence[FeatureInfo]
) -> dict[str, Floats]:
    """Each feature of teams, row for row with `keyed`: over all teams of the row (`mine`, of `teams_of`)."""
    if not infos:
        return {}
    names, team = np.unique(mine["team_id"].to_numpy(str), return_inverse=True)
    cuts, cut = np.unique(micros(keyed["as_of"]), return_inverse=True)
    row = mine["row"].to_numpy()
    known = counts[counts["team_id"].isin(names) & counts["as_of"].isin(moments(cuts))]
    shares = {}
    for info in infos:
        of_it = known[known["feature"] == info.name]
        place = np.searchsorted(names, of_it["team_id"].to_numpy(str)), np.searchsorted(cuts, micros(of_it["as_of"]))
        recorded, held = (
            np.bincount(row, _grid(of_it[column], place, (len(names), len(cuts)))[team, cut[row]], len(keyed))
            for column in ("recorded", "held")
        )
        shares[info.name] = np.divide(recorded, held, out=np.full(len(keyed), np.nan), where=held > 0)
    return shares


def _grid(counts: pd.Series, place: tuple[Ints, Ints], shape: tuple[int, int]) -> Floats:
    grid = np.zeros(shape)
    grid[place] = counts
    return grid


def _counts(found: Sequence[Stream], at: Ints, info: FeatureInfo, zone: str) -> pd.DataFrame:
    """The counts of one feature: every visit at every cut whose window it lies in."""
    starts = shift_moments(at, -info.days, zone)
    reach = (int(starts[0]) - 2 * DAY, int(at[-1]) + 2 * DAY)
    held, recorded = (_near(found, event, reach) for event in (info.among, info.of))
    names = sorted({*held.teams, *recorded.teams})
    team, reading_team = (_renamed(stream, names) for stream in (held, recorded))
    who = pd.factorize(np.concatenate([held.person, recorded.person]))[0]
    calendar = midnights(*reach, zone)
    visit_day = _days(held, team, who[: len(team)], calendar, len(names))
    reading_day = _days(recorded, reading_team, who[len(team) :], calendar, len(names))
    order = np.argsort(reading_day, kind="stable")
    first, last = (np.searchsorted(reading_day[order], visit_day, side) for side in ("left", "right"))
    counts = np.zeros((2, len(names), len(at)), np.int64)
    visits = (team, held.at, held.known_from, held.known_to, first, last)
    tally(counts, at, starts, *visits, recorded.known_from[order], recorded.known_to[order])
    made = pd.DataFrame(
        {
            "team_id": np.repeat(np.array(names, object), len(at)),
            "as_of": moments(np.tile(at, len(names))),
            "feature": info.name,
            "recorded": counts[1].ravel(),
            "held": counts[0].ravel(),
        }
    )
    return made[made["held"] > 0]


def _near(found: Sequence[Stream], event: str, reach: tuple[int, int]) -> Stream:
    """The rows of teams that are this event and lie within `reach`."""
    stream = next(s for s in found if event in s.group.events and not s.group.lasting)
    near = (stream.at >= reach[0]) & (stream.at < reach[1]) & (stream.team >= 0)
    return stream.taken(np.flatnonzero(near & stream.are(event)))


def _renamed(stream: Stream, names: list[str]) -> Ints:
    """The rows' teams as places in `names`."""
    return np.searchsorted(names, np.array(stream.teams))[stream.team] if stream.teams else stream.team


def _days(stream: Stream, team: Ints, who: Ints, calendar: Ints, teams: int) -> Ints:
    """One number for each person, calendar day and team."""
    day = np.searchsorted(calendar, stream.at, "right")
    return np.asarray((who * (len(calendar) + 1) + day) * teams + team)


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
