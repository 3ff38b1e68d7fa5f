"""History and index rows -> the feature table: events as one stream, the compiled pass, and facts about the person."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import Catalogue
from features.frames import connect, query, to_frame
from features.kernel import FOREVER, NO_VALUE, SCALE, Events, Ints, Rows, compute, program
from features.table import KEYS
from features.windows import shift_days

IN_FORCE = "o.known_from <= l.as_of and (o.known_to is null or l.as_of < o.known_to)"
STREAM_ORDER = "person_id, occurred_at, code, value, known_from"


def event_stream(tables: Mapping[str, pa.Table], catalogue: Catalogue) -> pa.Table:
    """The history as one sorted stream: person_id, code (the event's place in the catalogue), occurred_at, known_from,
    known_to, value (whole ten-thousandths, or null)."""
    selects = [
        f"""select person_id, {code} as code, {event.moment} as occurred_at, known_from, known_to,
            round(({event.value})::double * {SCALE})::bigint as value
            from {event.table} where ({event.where}) and {event.moment} is not null"""
        for code, event in enumerate(catalogue.events.values())
    ]
    return query(f"select * from ({' union all '.join(selects)}) order by {STREAM_ORDER}", **tables)


def build(tables: Mapping[str, pa.Table], index: pd.DataFrame, catalogue: Catalogue, zone: str) -> pd.DataFrame:
    """One row of features for each (person_id, as_of) of `index`, in its order, as `catalogue.contract` says.

    A null means that nothing was known to make the feature of. Only versions in force at as_of count.
    """
    keyed = index[list(KEYS)].reset_index(drop=True)
    made = [info for info in catalogue.infos() if info.aggregate != "person"]
    days = sorted({info.days for info in made})
    codes = {name: code for code, name in enumerate(catalogue.events)}
    figures = compute(_events(event_stream(tables, catalogue)), _rows(keyed, days, zone), program(made, codes, days))
    columns = dict(zip([info.name for info in made], figures.T, strict=True)) | personal(tables, keyed, zone)
    return pd.concat([keyed, pd.DataFrame({name: columns[name] for name in catalogue.contract.names})], axis=1)


def _events(stream: pa.Table) -> Events:
    value = pc.fill_null(stream["value"], NO_VALUE)
    known_to = pc.fill_null(stream["known_to"].cast(pa.int64()), FOREVER)
    whole = [stream[name].cast(pa.int64()) for name in ("person_id", "code", "occurred_at", "known_from")]
    return Events(*(np.ascontiguousarray(column.to_numpy()) for column in (*whole, known_to, value)))


def _rows(keyed: pd.DataFrame, days: list[int], zone: str) -> Rows:
    starts = window_starts(keyed["as_of"], days, zone)
    place = pd.Index(starts["as_of"]).get_indexer(pd.Index(keyed["as_of"]))
    by_cut = np.column_stack([_micros(starts[f"start_{length}"]) for length in days]) if days else np.empty((1, 0))
    return Rows(keyed["person_id"].to_numpy(np.int64), _micros(keyed["as_of"]), by_cut[place].astype(np.int64))


def _micros(moments: pd.Series) -> Ints:
    return np.asarray(moments.dt.as_unit("us").astype("int64"))


def window_starts(as_ofs: Iterable[datetime], days: Iterable[int], zone: str) -> pd.DataFrame:
    """as_of (each once) and, for each look-back, `start_{days}`: where it begins. A negative length looks ahead."""
    cuts = pd.DatetimeIndex(pd.Series(list(as_ofs)).drop_duplicates())
    columns = {f"start_{d}": [shift_days(cut.to_pydatetime(), -d, zone) for cut in cuts] for d in sorted(set(days))}
    frame = pd.DataFrame({"as_of": cuts, **columns})
    return frame.astype(dict.fromkeys(frame.columns, "datetime64[us, UTC]"))


def personal(tables: Mapping[str, pa.Table], keyed: pd.DataFrame, zone: str) -> dict[str, np.ndarray]:
    """Facts about the person and the day, row for row with `keyed`: columns of `catalogue.PERSONAL`."""
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
