"""History and index rows -> the feature table: events as one stream, the compiled pass, and facts about the person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from features.aggregates import KINDS, Floats
from features.catalogue import Catalogue
from features.events import Stream, joined, streams
from features.filtering import of_states
from features.frames import connect, micros, to_frame
from features.kernel import compute, index_rows, program
from features.table import KEYS, FeatureInfo
from features.teams import team_counts, team_shares, teams_of

NO_TEAMS = pd.DataFrame({"row": pd.Series(dtype="int64"), "team_id": pd.Series(dtype=object)})
IN_FORCE = "o.known_from <= l.as_of and (o.known_to is null or l.as_of < o.known_to)"


@dataclass(frozen=True)
class Part:
    """The rows of one bucket's people, before those of the other buckets are known.

    keyed: person_id, as_of; figures: row by feature of the catalogue, without the features of teams, whose people lie
    in all buckets. counts (of `teams.team_counts`) add up over buckets; teams (row, team_id) says which teams' each row
    takes.
    """

    keyed: pd.DataFrame
    figures: Floats
    teams: pd.DataFrame
    counts: pd.DataFrame


def build(tables: Mapping[str, pa.Table], index: pd.DataFrame, catalogue: Catalogue, zone: str) -> pd.DataFrame:
    """One row of features for each (person_id, as_of) of `index`, in its order, as `catalogue.contract` says, from the
    tables of everyone. A null means that nothing was known to make the feature of."""
    part = build_part(tables, index, catalogue, zone, list(index["as_of"].unique()))
    return finish(part, part.counts, catalogue)


def build_part(
    tables: Mapping[str, pa.Table], index: pd.DataFrame, catalogue: Catalogue, zone: str, cuts: Sequence[datetime]
) -> Part:
    """The rows of `index`, whose people have all of their history in `tables`. Only versions in force at as_of count.

    cuts: those of all buckets, at which the teams' people are counted.
    """
    keyed = index[list(KEYS)].reset_index(drop=True)
    found, infos = streams(tables, catalogue), list(catalogue.infos())
    figures = np.full((len(keyed), len(infos)), np.nan)
    fill_from_events(figures, found, keyed, catalogue, zone)
    if any(info.aggregate == "person" for info in infos):
        facts = personal(tables, keyed, zone)
        fill_columns(figures, infos, {info.name: facts[info.name] for info in infos if info.aggregate == "person"})
    fill_columns(figures, infos, of_states(tables, found, keyed, catalogue, zone))
    teams = teams_of(tables, keyed) if catalogue.of_teams else NO_TEAMS
    return Part(keyed, figures, teams, team_counts(found, cuts, catalogue.of_teams, zone))


def finish(part: Part, counts: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """The feature table of a part, given the counts of all parts together (`teams.added`)."""
    shares = team_shares(part.keyed, part.teams, counts, catalogue.of_teams)
    fill_columns(part.figures, list(catalogue.infos()), shares)
    return pd.concat([part.keyed, pd.DataFrame(part.figures, columns=catalogue.contract.names, copy=False)], axis=1)


def fill_columns(figures: Floats, infos: Sequence[FeatureInfo], columns: Mapping[str, Floats]) -> None:
    for place, info in enumerate(infos):
        if info.name in columns:
            figures[:, place] = columns[info.name]


def fill_from_events(
    figures: Floats, found: Sequence[Stream], keyed: pd.DataFrame, catalogue: Catalogue, zone: str
) -> None:
    """Put in the features that the compiled pass makes, row for row with `keyed`."""
    places = {place: info for place, info in enumerate(catalogue.infos()) if info.aggregate in KINDS}
    if places and len(keyed):
        events, infos = joined(found, catalogue), list(places.values())
        rows = index_rows(keyed["person_id"].to_numpy(np.int64), micros(keyed["as_of"]), infos, zone)
        compute(figures, events, rows, program(infos, list(places), events, rows.days), zone)


def personal(tables: Mapping[str, pa.Table], keyed: pd.DataFrame, zone: str) -> dict[str, np.ndarray]:
    """Facts about the person and the day, row for row with `keyed`: columns of `vocabulary.PERSONAL`."""
    look = keyed.assign(row=range(len(keyed)))
    with connect({"look": look, "people": tables["people"], "referrals": tables["referrals"]}) as connection:
        found = to_frame(connection.sql(_personal_sql(zone)))
    return {str(name): found[name].to_numpy(np.float64, na_value=np.nan) for name in found.columns.drop("row")}


def _personal_sql(zone: str) -> str:
    """Facts about the person and the day: whole years of age, days on the caseload since the oldest open referral."""
    angle = "2 * pi() * (dayofyear(today) - 1) / 365.25"
    return f"""
        with days as (
            select as_of, today, isodow(today) as weekday, cos({angle}) as season_cos, sin({angle}) as season_sin
            from (select distinct as_of, (as_of at time zone '{zone}')::date as today from look)
        )
        select l.row, date_diff('year', pe.birth_date, today)
                 - (month(today) * 100 + day(today) < month(pe.birth_date) * 100 + day(pe.birth_date))::int as age,
               case pe.sex when 'female' then 1 when 'male' then 0 end as female,
               pe.deprivation_decile, pe.care_home::int as care_home, r.open_referrals,
               (epoch_us(l.as_of) - epoch_us(r.since)) / 86400e6 as days_on_caseload,
               weekday, season_cos, season_sin
        from look l join days using (as_of)
        left join (
            select l.row, {_newest("birth_date")}, {_newest("sex")}, {_newest("deprivation_decile")},
                   {_newest("care_home")}
            from look l join people o on o.person_id = l.person_id and {IN_FORCE}
            group by l.row
        ) pe on pe.row = l.row
        left join (
            select l.row, count(*) as open_referrals, min(o.received_at) as since
            from look l join referrals o on o.person_id = l.person_id and {IN_FORCE}
             and o.received_at < l.as_of and (o.closed_at is null or l.as_of < o.closed_at)
            group by l.row
        ) r on r.row = l.row
        order by l.row"""


def _newest(column: str) -> str:
    """Several sources may describe one person: what became known last, and is not null, holds."""
    return f"arg_max({column}, struct_pack(k := o.known_from, r := o.row_id)) as {column}"
