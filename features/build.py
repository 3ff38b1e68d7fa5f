"""History and index rows -> the feature table, in SQL that says what it means.

Sums are taken over whole ten-thousandths, so that they are exact and the same whatever the order of the rows.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import pandas as pd
import pyarrow as pa

from features.catalogue import Catalogue, Feature
from features.frames import connect, query, to_frame
from features.table import KEYS
from features.windows import shift_days

SCALE = 10_000
"""Values are kept to four decimals."""

IN_FORCE = "o.known_from <= l.as_of and (o.known_to is null or l.as_of < o.known_to)"


def events(tables: dict[str, pa.Table], catalogue: Catalogue) -> pa.Table:
    """The history as one stream: person_id, event (name), occurred_at, known_from, known_to, value (number or null)."""
    selects = [
        f"""select person_id, '{name}' as event, {event.moment} as occurred_at, known_from, known_to,
            ({event.value})::double as value
            from {event.table} where ({event.where}) and {event.moment} is not null"""
        for name, event in catalogue.events.items()
    ]
    return query(" union all ".join(selects), **tables)


def build(tables: dict[str, pa.Table], index: pd.DataFrame, catalogue: Catalogue, zone: str) -> pd.DataFrame:
    """One row of features for each (person_id, as_of) of `index`, in its order, as `catalogue.contract` says.

    A null means that nothing was known to make the feature of. Only versions in force at as_of count.
    """
    keyed = index[list(KEYS)].reset_index(drop=True)
    keyed["row"] = range(len(keyed))
    starts = window_starts(keyed["as_of"], _look_backs(catalogue), zone)
    given = {"index_rows": keyed, "starts": starts, "stream": events(tables, catalogue), **tables}
    with connect(given) as connection:
        frame = to_frame(connection.sql(_sql(catalogue, zone)))
    frame = keyed[list(KEYS)].join(frame.set_index("row")).astype(dict.fromkeys(catalogue.contract.names, "float64"))
    return frame[[*KEYS, *catalogue.contract.names]]


def window_starts(as_ofs: Iterable[datetime], days: Iterable[int], zone: str) -> pd.DataFrame:
    """as_of and, for each look-back, `start_{days}`: where it begins."""
    cuts = pd.DatetimeIndex(pd.Series(list(as_ofs)).drop_duplicates())
    columns = {f"start_{d}": [shift_days(cut.to_pydatetime(), -d, zone) for cut in cuts] for d in sorted(set(days))}
    frame = pd.DataFrame({"as_of": cuts, **columns})
    return frame.astype(dict.fromkeys(frame.columns, "datetime64[us, UTC]"))


def _look_backs(catalogue: Catalogue) -> list[int]:
    return [catalogue.longest, *(info.days for info in catalogue.infos() if info.days)]


def _sql(catalogue: Catalogue, zone: str) -> str:
    aggregates = ",\n".join(expression for expression in _expressions(catalogue))
    personal = ", ".join(f"p.{info.name}" for info in catalogue.infos() if info.aggregate == "person")
    return f"""
        with look as (select i.row, i.person_id, s.* from index_rows i join starts s using (as_of)),
        seen as (
            select l.*, e.event, e.occurred_at, e.value
            from look l join stream e
              on e.person_id = l.person_id
             and e.occurred_at >= l.start_{catalogue.longest} and e.occurred_at < l.as_of
             and e.known_from <= l.as_of and (e.known_to is null or l.as_of < e.known_to)
        ), counted as (select row, {aggregates} from seen group by row),
        personal as ({_personal_sql(zone)})
        select l.row, {_columns(catalogue)} {"," if personal else ""} {personal}
        from look l left join counted c using (row) left join personal p using (row)
        order by l.row"""


def _columns(catalogue: Catalogue) -> str:
    infos = [info for info in catalogue.infos() if info.aggregate != "person"]
    return ", ".join(f"coalesce(c.{i.name}, {i.empty if i.empty is not None else 'null'}) as {i.name}" for i in infos)


def _expressions(catalogue: Catalogue) -> Iterator[str]:
    for name, family in catalogue.families.items():
        for feature in family.features:
            for info in feature.infos(name) if feature.aggregate != "person" else ():
                yield f"{_aggregate(feature, info.days)} as {info.name}"


def _aggregate(feature: Feature, days: int) -> str:
    """The SQL of one aggregate. `last` of several at the same moment is the greatest of them."""
    mine = f"filter (where event = '{feature.of}' and occurred_at >= start_{days})"
    valued = f"filter (where event = '{feature.of}' and occurred_at >= start_{days} and value is not null)"
    scaled = f"round(value * {SCALE})::bigint"
    if feature.aggregate == "share":
        among = f"filter (where event = '{feature.among}' and occurred_at >= start_{days})"
        return f"count(*) {mine} / nullif(count(*) {among}, 0)"
    return {
        "count": f"count(*) {mine}",
        "days_since": f"(epoch_us(any_value(as_of)) - epoch_us(max(occurred_at) {mine})) / 86400e6",
        "mean": f"(sum({scaled}) {valued} / {SCALE}) / nullif(count(*) {valued}, 0)",
        "min": f"min(value) {valued}",
        "max": f"max(value) {valued}",
        "last": f"max(struct_pack(at := occurred_at, v := value)) {valued}.v",
    }[feature.aggregate]


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
        ) r on r.row = l.row"""


def _newest(column: str) -> str:
    """Several sources may describe one person: what became known last, and is not null, holds."""
    return f"arg_max({column}, struct_pack(k := o.known_from, r := o.row_id)) as {column}"
