"""The contact history's arithmetic: what a batch adds to it, and which version was in force when.

A stored row is never changed. It says what was believed of a fact from `known_from` on, until the next version of the
same row; a deletion is a version that says so. `known_to` is therefore worked out when the history is read. Batches of
one source are taken up in the order of what they cover; an older one that comes late adds only rows that no newer one
has spoken of, because its word on the others is out of date. A row that moves to another person ends for the one and
begins for the other at the same moment, so each person's rows can be read alone.

Each stored version carries the last quarter to which it, or any version that it follows, reaches. Whoever reads a
period therefore finds with each version everything that ends it, wherever a correction has moved the row to.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.frames import query, threads_for
from features.runs import Ints, in_order
from features.schema import COMMON, ENDS, TABLES, Table, batch_schema, history_schema

STORED = (
    pa.field("bucket", pa.int32()),
    pa.field("period", pa.int32()),
    pa.field("batch", pa.int32()),
    pa.field("content", pa.int64()),
    pa.field("moved", pa.bool_()),
)
"""Columns that only the store knows: the person's bucket; the quarter (`period_of`) to which the version, or one that
it follows, reaches; the batch that brought the row; a hash of what it says; whether versions of it differ in moment."""

VERSION_ORDER = "known_from, batch, sequence, deleted desc"
"""Of two versions known at the same moment the later batch's wins; leaving one person precedes joining another."""

ALWAYS = 99999
"""The period of what has no moment or has not ended."""
NEVER, FOREVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def stored_schema(table: Table) -> pa.Schema:
    return pa.schema([*batch_schema(table), *STORED])


def period_of(moment: datetime) -> int:
    """The quarter of a moment, in UTC, as a number in the order of time: 20263 is the third of 2026."""
    there = moment.astimezone(UTC)
    return there.year * 10 + (there.month + 2) // 3


def stamp(table: Table, rows: pa.Table, batch: int, buckets: int) -> pa.Table:
    """Batch rows as `additions` takes them. A row's content is its person, its columns and whether it is deleted."""
    said = ", ".join(f"coalesce({name}::text, chr(0))" for name in ("person_id", "deleted", *table.names))
    sql = f"""
        select *, (person_id % {buckets})::int as bucket, 0 as period, {batch}::int as batch,
               (md5_number_lower(concat_ws(chr(31), {said})) >> 1)::bigint as content, false as moved
        from given"""
    return query(sql, threads_for(rows), given=rows).cast(stored_schema(table))


def additions(table: Table, held: pa.Table, fresh: pa.Table, buckets: int) -> pa.Table:
    """The rows of `fresh` that say something new, and the endings they imply, in the order of bucket and time.

    held: stored versions of the rows that `fresh` names; fresh: stamped rows. A fresh version that repeats the one in
    force at its `known_from` is left out, as is the deletion of a row that never was. Where a row's person changes, a
    deletion is added for the person it leaves. A held version that comes to follow one which reaches further than it
    was stored to is stored again, further: the two say the same, and are read as one.
    """
    names = ", ".join(stored_schema(table).names)
    moment = f"{table.at} nulls first, " if table.at else ""
    sql = f"""
        with {_told_sql(names, buckets)}, {_placed_sql(table)}
        select {names} from placed where period > stored_to
        order by bucket, period, person_id, {moment}row_id, {VERSION_ORDER}"""
    return query(sql, threads_for(held, fresh), held=held, fresh=fresh).cast(stored_schema(table))


def _told_sql(names: str, buckets: int) -> str:
    """What there is to store, and what is stored of the same rows and how far (`stored_to`)."""
    return f"""
        known as (
            select distinct on (row_id, person_id, {VERSION_ORDER.removesuffix(" desc")}, content) * from held
            order by period desc
        ), everything as (
            select *, false as is_fresh from known union all by name select *, true as is_fresh from fresh
        ), versions as (
            select *, lag(content) over w as content_before, lag(person_id) over w as person_before,
                   coalesce(lag(deleted) over w, true) as gone_before, lag(is_fresh) over w as fresh_before,
                   count(*) over (partition by row_id) = 1 as lone
            from everything window w as (partition by row_id order by {VERSION_ORDER})
        ), said as (
            select * from versions
            where is_fresh and not (deleted and gone_before) and content is distinct from content_before
        ), left_behind as (
            select * replace (person_before as person_id, true as deleted, (person_before % {buckets})::int as bucket)
            from versions
            where (is_fresh or fresh_before) and not gone_before and person_before <> person_id
        ), together as (
            select {names}, lone, 0 as stored_to from said union all by name
            select {names}, lone, 0 as stored_to from left_behind union all by name
            select {names}, lone, period as stored_to from versions where not is_fresh
        )"""


def _placed_sql(table: Table) -> str:
    """How far each version reaches by now, and whether versions of its row differ in moment."""
    moved = f"""
        min({table.at}) over p is distinct from max({table.at}) over p or count({table.at}) over p <> count(*) over p"""
    return f"""
        reaching as (
            select * replace ({_reach(table)} as period) from together
        ), placed as (
            select * from reaching where lone union all by name
            select * replace (max(period) over w as period, {moved if table.at else "false"} as moved)
            from reaching where not lone
            window p as (partition by row_id, person_id),
                   w as (partition by row_id, person_id order by {VERSION_ORDER} rows unbounded preceding)
        )"""


def _reach(table: Table) -> str:
    """SQL of the period to which a version by itself reaches: that of the latest moment it tells of. A deletion is
    given to nobody, and needs to reach no further than what it ends."""
    if table.at is None:
        return str(ALWAYS)
    latest = f"greatest({', '.join(_moments(table))})"
    lasting = f"when {ENDS[table.name]} is null then {ALWAYS}" if table.name in ENDS else ""
    quarter = f"coalesce(year({latest}) * 10 + quarter({latest}), {ALWAYS})"
    return f"case when deleted then 1 {lasting} else {quarter} end"


def _moments(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.type == "time"]


def columns_for(table: Table, columns: Collection[str] | None, since: datetime | None) -> list[str]:
    """The stored columns that `versions` needs to give `columns`, in stored order."""
    needed = {"row_id", "person_id", "known_from", "deleted", "sequence", "batch", "moved"}
    needed |= set(table.names if columns is None else columns)
    needed |= {table.at} if table.at else set()
    needed |= set(_moments(table)) if since else set()
    return [name for name in stored_schema(table).names if name in needed]


def versions(
    table: Table, stored: pa.Table, columns: Collection[str] | None = None, since: datetime | None = None
) -> pa.Table:
    """Stored rows as versions with both clocks, in the order of person, moment and row; deletions only close what they
    end. Rows that lie in this order, or in a few runs of it, are not sorted again.

    columns: those of the table's own columns to give, all by default; `batch`, where it is named. since: only versions
    that tell of a moment at or after this, of none, or of something that has not ended.
    """
    stored = stored.combine_chunks()
    keys = _keys(table, stored)
    order = in_order(keys)
    keys = keys if order is None else np.take(keys, order, axis=1)
    known_to = _known_to(keys, _moved(stored, keys))
    standing = ~_chosen(stored["deleted"].to_numpy(), order) & (keys[KNOWN_FROM] < known_to)
    if since is not None:
        standing &= _chosen(_reaches(table, stored, since), order)
    names = [name for name in (c.name for c in COMMON) if name != "known_to"]
    names += [name for name in table.names if columns is None or name in columns]
    names += ["batch"] if columns is not None and "batch" in columns else []
    rows = stored.select(names)
    if order is not None or not standing.all():
        rows = rows.take(pa.array(np.flatnonzero(standing) if order is None else order[standing]))
        known_to = known_to[standing]
    ends = pa.array(known_to, mask=known_to == FOREVER).cast(pa.timestamp("us", tz="UTC"))
    return rows.add_column(names.index("known_from") + 1, "known_to", ends)


PERSON, AT, ROW, KNOWN_FROM = range(4)


def _keys(table: Table, stored: pa.Table) -> Ints:
    """Person, moment, row, and the three of `VERSION_ORDER`: what versions lie in the order of."""
    at = _whole(stored[table.at]) if table.at else np.zeros(stored.num_rows, np.int64)
    last = 2 * _whole(stored["sequence"]) + ~stored["deleted"].to_numpy()
    middle = [_whole(stored[name]) for name in ("row_id", "known_from", "batch")]
    return np.stack([_whole(stored["person_id"]), at, *middle, last])


def _whole(column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), NEVER).to_numpy())


def _moved(stored: pa.Table, keys: Ints) -> Ints:
    """The places in `keys` of rows that have versions at several moments, in the order of person, row and version."""
    rows = stored.filter(pc.field("moved"))["row_id"].combine_chunks()
    if not len(rows):
        return np.empty(0, np.int64)
    places = np.flatnonzero(pc.is_in(pa.array(keys[ROW]), rows).to_numpy(zero_copy_only=False))
    mine = keys[:, places]
    return places[np.lexsort(mine[[5, 4, KNOWN_FROM, ROW, PERSON]])]


def _known_to(keys: Ints, moved: Ints) -> Ints:
    """When the next version of the same row and person became known. Versions at one moment lie side by side."""
    known_to = _next_known(keys)
    known_to[moved] = _next_known(keys[:, moved])
    return known_to


def _next_known(keys: Ints) -> Ints:
    ends = np.full(keys.shape[1], FOREVER)
    same = (keys[ROW, 1:] == keys[ROW, :-1]) & (keys[PERSON, 1:] == keys[PERSON, :-1])
    ends[:-1][same] = keys[KNOWN_FROM, 1:][same]
    return ends


def _reaches(table: Table, stored: pa.Table, since: datetime) -> npt.NDArray[np.bool_]:
    """Which versions tell of a moment at or after `since`, of none, or of something that has not ended."""
    if table.at is None:
        return np.ones(stored.num_rows, bool)
    latest = np.max([_whole(stored[name]) for name in _moments(table)], axis=0)
    inside = (latest >= pa.scalar(since, pa.timestamp("us", tz="UTC")).value) | (latest == NEVER)
    if table.name in ENDS:
        inside |= stored[ENDS[table.name]].is_null().to_numpy()
    return np.asarray(inside)


def _chosen(column: npt.NDArray[np.bool_], order: Ints | None) -> npt.NDArray[np.bool_]:
    return column if order is None else column[order]


def in_stored_order(table: Table, stored: pa.Table) -> pa.Table:
    """Stored rows of one bucket and period in the order in which `versions` gives them."""
    stored = stored.combine_chunks()
    order = in_order(_keys(table, stored))
    return stored if order is None else stored.take(pa.array(order))


def standing(table: Table, held: pa.Table) -> pa.Table:
    """The last version of each row in `held`, without the rows that it deletes."""
    sql = """
        select * from held
        qualify not deleted and row_number() over (
            partition by row_id order by known_from desc, batch desc, sequence desc, deleted) = 1"""
    return query(sql, held=held).cast(stored_schema(table))


def moved(table: Table, held: pa.Table, merges: pa.Table) -> pa.Table:
    """The rows that stand for people who turn out to be someone else, as rows of that someone, for `additions`.

    merges: person_id, merged_into, known_from. The people table is not moved: both people keep their own row.
    """
    names = ", ".join(f"h.{name}" for name in table.names)
    sql = f"""
        select h.row_id, m.merged_into as person_id, m.known_from, false as deleted, -1::bigint as sequence, {names}
        from latest h join merges m using (person_id)
        where h.known_from <= m.known_from"""
    return query(sql, latest=standing(table, held), merges=merges).cast(batch_schema(table))


def merged(people: pa.Table) -> pd.DataFrame:
    """person_id, merged_into of everyone whom the latest of these versions finds to be someone else."""
    sql = """
        select person_id, merged_into from people
        where merged_into is not null and known_to is null order by person_id"""
    frame: pd.DataFrame = query(sql, people=people).to_pandas()
    return frame


def vanished(table: Table, latest: pa.Table, fresh: pa.Table, known_from: object) -> pa.Table:
    """Deletions, known at `known_from`, of the standing rows that `fresh`, which claims to be complete, leaves out."""
    columns = ", ".join(f"h.{name}" for name in table.names)
    sql = f"""
        select h.row_id, h.person_id, moment.known_from, true as deleted, -1::bigint as sequence, {columns}
        from latest h anti join fresh using (row_id), moment
        where h.known_from < moment.known_from"""
    moment = pa.table({"known_from": pa.array([known_from], pa.timestamp("us", tz="UTC"))})
    return query(sql, latest=latest, fresh=fresh.select(["row_id"]), moment=moment).cast(batch_schema(table))


def empty_history(names: Iterable[str] = TABLES) -> dict[str, pa.Table]:
    """A history in which nothing has happened."""
    return {name: history_schema(TABLES[name]).empty_table() for name in names}
