"""The contact history's arithmetic: what a batch adds to it, and which version was in force when.

A stored row is never changed. It says what was believed of a fact from `known_from` on, until the next version of the
same row; a deletion is a version that says so. `known_to` is therefore worked out when the history is read. Batches of
one source are taken up in the order of what they cover; an older one that comes late adds only rows that no newer one
has spoken of, because its word on the others is out of date. A row that moves to another person ends for the one and
begins for the other at the same moment, so each person's rows can be read alone.
"""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from features.frames import query
from features.schema import TABLES, Table, batch_schema, history_schema

STORED = (
    pa.field("bucket", pa.int32()),
    pa.field("batch", pa.int32()),
    pa.field("content", pa.int64()),
)
"""Columns that only the store knows: the person's bucket, the batch that brought the row, a hash of what it says."""

VERSION_ORDER = "known_from, batch, sequence, deleted desc"
"""Of two versions known at the same moment the later batch's wins; leaving one person precedes joining another."""


def stored_schema(table: Table) -> pa.Schema:
    return pa.schema([*batch_schema(table), *STORED])


def stamp(table: Table, rows: pa.Table, batch: int, buckets: int) -> pa.Table:
    """Batch rows as they would be stored. A row's content is its person, its columns and whether it is deleted."""
    said = ", ".join(f"coalesce({name}::text, chr(0))" for name in ("person_id", "deleted", *table.names))
    sql = f"""
        select *, (person_id % {buckets})::int as bucket, {batch}::int as batch,
               (md5_number_lower(concat_ws(chr(31), {said})) >> 1)::bigint as content
        from given"""
    return query(sql, threads=2, given=rows).cast(stored_schema(table))


def additions(table: Table, held: pa.Table, fresh: pa.Table, buckets: int) -> pa.Table:
    """The rows of `fresh` that say something new, and the endings they imply.

    held: stored versions of the rows that `fresh` names; fresh: stamped rows. A fresh version that repeats the one in
    force at its `known_from` is left out, as is the deletion of a row that never was. Where a row's person changes, a
    deletion is added for the person it leaves.
    """
    names = ", ".join(stored_schema(table).names)
    sql = f"""
        with everything as (
            select *, false as is_fresh from held union all by name select *, true as is_fresh from fresh
        ), versions as (
            select *, lag(content) over w as content_before, lag(person_id) over w as person_before,
                   coalesce(lag(deleted) over w, true) as gone_before, lag(is_fresh) over w as fresh_before
            from everything window w as (partition by row_id order by {VERSION_ORDER})
        ), said as (
            select * from versions
            where is_fresh and not (deleted and gone_before) and content is distinct from content_before
        ), left_behind as (
            select * replace (person_before as person_id, true as deleted, (person_before % {buckets})::int as bucket)
            from versions
            where (is_fresh or fresh_before) and not gone_before and person_before <> person_id
        )
        select {names} from said union all by name select {names} from left_behind
        order by bucket, person_id, {table.at or "known_from"}, row_id, {VERSION_ORDER}"""
    return query(sql, threads=2, held=held, fresh=fresh).cast(stored_schema(table))


def versions(table: Table, stored: pa.Table) -> pa.Table:
    """Stored rows as versions with both clocks, in the order of person and row; deletions only close what they end."""
    names = ", ".join(history_schema(table).names)
    sql = f"""
        with closed as (
            select *, lead(known_from) over (partition by row_id, person_id order by {VERSION_ORDER}) as known_to
            from stored
        )
        select {names} from closed
        where not deleted and (known_to is null or known_from < known_to)
        order by person_id, row_id, known_from"""
    return query(sql, stored=stored).cast(history_schema(table))


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
