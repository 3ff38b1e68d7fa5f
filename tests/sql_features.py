"""The features in SQL that says what it means: an independent way to the same figures as the compiled pass."""

from features.aggregates import SCALE
from features.frames import connect, to_frame
from features.schema import ENDS
from features.windows import window_starts

DAY = "86400e6"
NOT_COMPILED = ("person", "team_share", "log_odds", "evidence")


def sql_features(tables, index, catalogue, zone):
    """Every feature but facts about the person, features of teams and of states, for each row of `index`, in its
    order."""
    keyed = index[["person_id", "as_of"]].reset_index(drop=True)
    keyed["row"] = range(len(keyed))
    infos = [info for info in catalogue.infos() if info.aggregate not in NOT_COMPILED]
    lengths = {length for info in infos for length in (info.days, info.against, catalogue.longest)}
    starts = window_starts(keyed["as_of"], lengths, zone)
    with connect({"index_rows": keyed, "starts": starts, **tables}) as connection:
        frame = to_frame(connection.sql(_sql(catalogue, infos, zone)))
    return frame.sort_values("row", ignore_index=True).drop(columns="row").astype("float64")


def _stream(catalogue):
    return " union all ".join(
        f"""select person_id, '{name}' as event, {event.moment} as occurred_at, known_from, known_to,
            ({event.value})::double as value, {ENDS.get(event.table, "null::timestamptz")} as ended
            from {event.table} where {event.where}"""
        for name, event in catalogue.events.items()
    )


def _sql(catalogue, infos, zone):
    aggregates = ",\n".join(f"{_aggregate(info, catalogue.longest, zone)} as {info.name}" for info in infos)
    return f"""
        with stream as ({_stream(catalogue)}),
        seen as (
            select i.row, s.*, e.event, e.occurred_at, e.ended, round(e.value * {SCALE})::bigint as v,
                   (epoch_us(e.occurred_at) - epoch_us(s.as_of)) / {DAY} as day
            from index_rows i join starts s using (as_of) left join stream e
              on e.person_id = i.person_id and e.occurred_at < i.as_of
             and e.known_from <= i.as_of and (e.known_to is null or i.as_of < e.known_to)
        )
        select row, {aggregates} from seen group by row"""


def _aggregate(info, longest, zone):
    mine, wide = _filter(info.of, info.days), _filter(info.of, info.against)
    valued = f"{mine[:-1]} and v is not null)"
    moments = f"list_sort(list(epoch_us(occurred_at)) {mine})"
    steps = f"list_transform(generate_series(2, len({moments})), lambda n: ({moments})[n] - ({moments})[n - 1])"
    since = f"epoch_us(min(occurred_at) filter (where occurred_at >= start_{longest}))"
    covered = (
        f"coalesce((epoch_us(any_value(as_of)) - "
        f"greatest(epoch_us(any_value(start_{info.against or info.days})), {since})) / {DAY}, 0)"
    )
    last = f"(max(struct_pack(at := occurred_at, v := v)) {valued}).v / {SCALE}"
    weight = f"pow(2, day / {info.half_life or 1})"
    return {
        "count": lambda: f"count(*) {mine}",
        "distinct_days": lambda: f"count(distinct (occurred_at at time zone '{zone}')::date) {mine}",
        "share": lambda: f"count(*) {mine} / nullif(count(*) {_filter(info.among, info.days)}, 0)",
        "run": lambda: (
            f"coalesce(list_count(list_filter(list(occurred_at) {mine}, lambda m: m > "
            f"coalesce(max(occurred_at) {_filter(info.until, info.days)}, '-infinity'::timestamptz))), 0)"
        ),
        "days_since": lambda: f"-max(day) {mine}",
        "days_since_first": lambda: f"-min(day) {mine}",
        "longest_gap": lambda: f"list_max({steps}) / {DAY}",
        "cadence": lambda: f"-max(day) {mine} / nullif((max(day) {mine} - min(day) {mine}) / (count(*) {mine} - 1), 0)",
        "rate": lambda: f"count(*) {mine} / greatest({covered}, 1)",
        "ratio": lambda: (
            f"(count(*) {mine} + 0.25) / (count(*) {wide} * {info.days} / greatest({covered}, {info.days}) + 0.5)"
        ),
        "decayed": lambda: f"coalesce(sum({weight}) {mine}, 0)",
        "decayed_mean": lambda: f"sum({weight} * v) {valued} / sum({weight}) {valued} / {SCALE}",
        "decayed_excess": lambda: (
            f"coalesce((sum({weight} * v) {valued} - avg(v) {wide} * sum({weight}) {valued}) / {SCALE}, 0)"
        ),
        "sum": lambda: f"coalesce(sum(v) {valued}, 0) / {SCALE}",
        "mean": lambda: f"(sum(v) {valued} / {SCALE}) / nullif(count(*) {valued}, 0)",
        "min": lambda: f"min(v) {valued} / {SCALE}",
        "max": lambda: f"max(v) {valued} / {SCALE}",
        "first": lambda: f"(min(struct_pack(at := occurred_at, v := v)) {valued}).v / {SCALE}",
        "last": lambda: last,
        "change": lambda: f"{last} - avg(v) {wide} / {SCALE}",
        "slope": lambda: (
            f"case when min(occurred_at) {valued} < max(occurred_at) {valued} "
            f"then regr_slope(v, day) {valued} / {SCALE} end"
        ),
        "open": lambda: f"count(*) filter (where event = '{info.of}' and (ended is null or as_of < ended))",
    }[info.aggregate]()


def _filter(event, days):
    return f"filter (where event = '{event}' and occurred_at >= start_{days})"
