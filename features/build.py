"""History and index rows -> the feature table: events as one stream, the compiled pass, and facts about the person."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from features.aggregates import KINDS
from features.catalogue import Catalogue
from features.errors import ContractError
from features.events import event_streams, groups
from features.frames import connect, micros, moments, to_frame
from features.kernel import compute, index_rows, program
from features.table import KEYS
from features.teams import team_shares
from features.windows import shift_moments

IN_FORCE = "o.known_from <= l.as_of and (o.known_to is null or l.as_of < o.known_to)"


def build(
    tables: Mapping[str, pa.Table],
    index: pd.DataFrame,
    catalogue: Catalogue,
    zone: str,
    teams: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row of features for each (person_id, as_of) of `index`, in its order, as `catalogue.contract` says.

    A null means that nothing was known to make the feature of. Only versions in force at as_of count.
    teams: where the catalogue has features of teams, the sum of `teams.team_counts` over all buckets at these cuts.
    """
    keyed = index[list(KEYS)].reset_index(drop=True)
    infos = list(catalogue.infos())
    if teams is None and catalogue.of_teams:
        message = "Features of teams need the counts of every bucket's people; found none. Give build the team counts."
        raise ContractError(message)
    columns = made_of_events(tables, keyed, catalogue, zone)
    if any(info.aggregate == "person" for info in infos):
        columns |= personal(tables, keyed, zone)
    if teams is not None:
        columns |= team_shares(tables, keyed, teams, catalogue.of_teams)
    return pd.concat([keyed, pd.DataFrame({name: columns[name] for name in catalogue.contract.names})], axis=1)


def made_of_events(
    tables: Mapping[str, pa.Table], keyed: pd.DataFrame, catalogue: Catalogue, zone: str
) -> dict[str, np.ndarray]:
    """The features that the compiled pass makes, row for row with `keyed`."""
    infos = [info for info in catalogue.infos() if info.aggregate in KINDS]
    if not infos:
        return {}
    events = event_streams(tables, catalogue, groups(catalogue, infos))
    rows = index_rows(keyed["person_id"].to_numpy(np.int64), micros(keyed["as_of"]), infos, zone)
    figures = compute(events, rows, program(infos, events, rows.days), zone)
    return dict(zip([info.name for info in infos], figures.T, strict=True))


def window_starts(as_ofs: Iterable[datetime], days: Iterable[int], zone: str) -> pd.DataFrame:
    """as_of (each once) and, for each look-back, `start_{days}`: where it begins. A negative length looks ahead."""
    cuts = pd.Series(list(as_ofs), dtype="datetime64[us, UTC]").drop_duplicates(ignore_index=True)
    columns = {f"start_{d}": moments(shift_moments(micros(cuts), -d, zone)) for d in sorted(set(days))}
    return pd.DataFrame({"as_of": cuts, **columns})


def personal(tables: Mapping[str, pa.Table], keyed: pd.DataFrame, zone: str) -> dict[str, np.ndarray]:
    """Facts about the person and the day, row for row with `keyed`: columns of `vocabulary.PERSONAL`."""
    look = keyed.assign(row=range(len(keyed)))
    with connect({"look": look, "people": tables["people"], "referrals": tables["referrals"]}) as connection:
        found = to_frame(connection.sql(_personal_sql(zone)))
    return {str(name): found[name].to_numpy(np.float64, na_value=np.nan) for name in found.columns.drop("row")}


def _personal_sql(zone: str) -> str:
    """Facts about the person and the day: whole years of age, days on the caseload since the oldest open referral."""
    local = f"(l.as_of at time zone '{zone}')"
    angle = f"2 * pi() * (dayofyear({local}) - 1) / 365.25"
    return f"""
        select l.row, date_diff('year', pe.birth_date, {local}::date)
                 - (strftime({local}, '%m%d') < strftime(pe.birth_date, '%m%d'))::int as age,
               case pe.sex when 'female' then 1 when 'male' then 0 end as female,
               pe.deprivation_decile, pe.care_home::int as care_home, r.open_referrals,
               (epoch_us(l.as_of) - epoch_us(r.since)) / 86400e6 as days_on_caseload,
               isodow({local}) as weekday, cos({angle}) as season_cos, sin({angle}) as season_sin
        from look l
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
