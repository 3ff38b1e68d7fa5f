"""The features in SQL that says what it means: an independent way to the same figures as the compiled pass."""

from features.build import window_starts
from features.frames import connect, to_frame
from features.kernel import SCALE


def sql_features(tables, index, catalogue, zone):
    """Features made of events for each row of `index`, in its order."""
    keyed = index[["person_id", "as_of"]].reset_index(drop=True)
    keyed["row"] = range(len(keyed))
    infos = [info for info in catalogue.infos() if info.aggregate != "person"]
    starts = window_starts(keyed["as_of"], [info.days for info in infos], zone)
    with connect({"index_rows": keyed, "starts": starts, **tables}) as connection:
        frame = to_frame(connection.sql(_sql(catalogue, infos)))
    return frame.sort_values("row", ignore_index=True).drop(columns="row").astype("float64")


def _stream(catalogue):
    return " union all ".join(
        f"""select person_id, '{name}' as event, {event.moment} as occurred_at, known_from, known_to,
            ({event.value})::double as value from {event.table} where {event.where}"""
        for name, event in catalogue.events.items()
    )


def _sql(catalogue, infos):
    aggregates = ",\n".join(f"{_aggregate(info)} as {info.name}" for info in infos)
    return f"""
        with stream as ({_stream(catalogue)}),
        seen as (
            select i.row, s.*, e.event, e.occurred_at, e.value, e.event is not null as is_event
            from index_rows i join starts s using (as_of) left join stream e
              on e.person_id = i.person_id and e.occurred_at < i.as_of
             and e.known_from <= i.as_of and (e.known_to is null or i.as_of < e.known_to)
        )
        select row, {aggregates} from seen group by row"""


def _aggregate(info):
    mine = f"filter (where event = '{info.of}' and occurred_at >= start_{info.days})"
    valued = f"filter (where event = '{info.of}' and occurred_at >= start_{info.days} and value is not null)"
    scaled = f"round(value * {SCALE})::bigint"
    return {
        "count": f"count(*) {mine}",
        "share": f"count(*) {mine} / nullif(count(*) filter (where event = '{info.among}' "
        f"and occurred_at >= start_{info.days}), 0)",
        "days_since": f"(epoch_us(any_value(as_of)) - epoch_us(max(occurred_at) {mine})) / 86400e6",
        "mean": f"(sum({scaled}) {valued} / {SCALE}) / nullif(count(*) {valued}, 0)",
        "min": f"min({scaled}) {valued} / {SCALE}",
        "max": f"max({scaled}) {valued} / {SCALE}",
        "last": f"(max(struct_pack(at := occurred_at, v := {scaled})) {valued}).v / {SCALE}",
    }[info.aggregate]
