"""History and index rows -> the feature table: events as one stream, the compiled pass, and facts about the person."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.aggregates import FOREVER, KINDS, NO_VALUE, SCALE, Ints
from features.catalogue import Catalogue, Event
from features.errors import ContractError
from features.frames import connect, micros, moments, query, to_frame
from features.kernel import Events, Rows, compute, program
from features.schema import ENDS
from features.table import KEYS, FeatureInfo
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
    columns |= open_counts(tables, keyed, catalogue, [info for info in infos if info.aggregate == "open"])
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
    days = sorted({length for info in infos for length in (info.days, info.against) if length})
    codes = {name: code for code, name in enumerate(catalogue.events)}
    figures = compute(event_stream(tables, catalogue), index_rows(keyed, days, zone), program(infos, codes, days), zone)
    return dict(zip([info.name for info in infos], figures.T, strict=True))


def event_stream(tables: Mapping[str, pa.Table], catalogue: Catalogue) -> Events:
    """The history's events, code by code in the catalogue's order. Each table is gone through once for each moment
    that events of it are placed at, however many events there are."""
    pieces: dict[int, list[Ints]] = {}
    places = {(event.table, event.moment): None for event in catalogue.events.values()}
    for table, moment in places:
        mine = {c: e for c, e in enumerate(catalogue.events.values()) if (e.table, e.moment) == (table, moment)}
        pieces |= _of_table(tables, table, moment, mine)
    ordered = [pieces[code] for code in sorted(pieces)]
    begins = np.cumsum([0, *(len(piece[0]) for piece in ordered)])
    return Events(begins, *(np.concatenate(column) for column in zip(*ordered, strict=True)))


def _of_table(
    tables: Mapping[str, pa.Table], table: str, moment: str, events: dict[int, Event]
) -> dict[int, list[Ints]]:
    """For each code: person, moment, known_from, known_to and value, in the order of person, moment and values."""
    worth = list(dict.fromkeys(event.value for event in events.values()))
    values = [f"round(({value})::double * {SCALE})::bigint as value_{n}" for n, value in enumerate(worth)]
    flags = [f"coalesce({event.where}, false) as is_{code}" for code, event in events.items()]
    found = query(
        f"""select person_id, {moment} as moment, known_from, known_to, {", ".join(values + flags)}
        from {table} where {moment} is not null""",
        **{table: tables[table]},
    )
    worths = [_whole(found[f"value_{n}"], NO_VALUE) for n in range(len(worth))]
    whole = [_whole(found[name], FOREVER) for name in ("person_id", "moment", "known_from", "known_to")]
    order = _order([*whole[:2], *worths])
    chosen = {code: found[f"is_{code}"].to_numpy() for code in events}
    places = {code: np.flatnonzero(flag) if order is None else order[flag[order]] for code, flag in chosen.items()}
    columns = {value: (*whole, worths[n]) for n, value in enumerate(worth)}
    return {code: [column[places[code]] for column in columns[event.value]] for code, event in events.items()}


def _order(keys: list[Ints]) -> Ints | None:
    """The places that put rows in the order of `keys`; none where they lie so already, as a compacted store's do."""
    tied = np.ones(max(len(keys[0]) - 1, 0), bool)
    for key in keys:
        if (tied & (key[1:] < key[:-1])).any():
            return np.lexsort(keys[::-1])
        tied &= key[1:] == key[:-1]
    return None


def _whole(column: pa.ChunkedArray, null: int) -> Ints:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), null).to_numpy())


def index_rows(keyed: pd.DataFrame, days: list[int], zone: str) -> Rows:
    cuts, place = np.unique(micros(keyed["as_of"]), return_inverse=True)
    starts = np.column_stack([shift_moments(cuts, -length, zone) for length in days])
    return Rows(keyed["person_id"].to_numpy(np.int64), cuts[place], starts[place])


def window_starts(as_ofs: Iterable[datetime], days: Iterable[int], zone: str) -> pd.DataFrame:
    """as_of (each once) and, for each look-back, `start_{days}`: where it begins. A negative length looks ahead."""
    cuts = pd.Series(list(as_ofs), dtype="datetime64[us, UTC]").drop_duplicates(ignore_index=True)
    columns = {f"start_{d}": moments(shift_moments(micros(cuts), -d, zone)) for d in sorted(set(days))}
    return pd.DataFrame({"as_of": cuts, **columns})


def open_counts(
    tables: Mapping[str, pa.Table], keyed: pd.DataFrame, catalogue: Catalogue, infos: list[FeatureInfo]
) -> dict[str, np.ndarray]:
    """For each feature of aggregate `open`, how many of its rows have begun and not ended at the cut, as known then."""
    columns: dict[str, np.ndarray] = {}
    for table in ENDS:
        mine = {info.name: catalogue.events[info.of] for info in infos if catalogue.events[info.of].table == table}
        if mine:
            look = keyed.assign(row=range(len(keyed)))
            found = query(_open_sql(table, mine), look=look, **{table: tables[table]})
            columns |= {name: found[name].to_numpy().astype(np.float64) for name in mine}
    return columns


def _open_sql(table: str, events: Mapping[str, Event]) -> str:
    flags = ", ".join(f"coalesce({e.where}, false) as is_{name}, {e.moment} as at_{name}" for name, e in events.items())
    counts = ", ".join(f"count(*) filter (where is_{name} and at_{name} < as_of) as {name}" for name in events)
    return f"""
        select l.row, {counts} from look l left join (
            select person_id, known_from, known_to, {ENDS[table]} as ended, {flags} from {table}
        ) o on o.person_id = l.person_id and {IN_FORCE} and (o.ended is null or l.as_of < o.ended)
        group by l.row order by l.row"""


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
