"""Who each row is about, and which version of each fact an extract ends up saying."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from features.schema import TABLES, Column, Table, batch_schema
from features.sources.cells import DUCK, hashed, quoted
from features.sources.compile import IDENTITY_TABLE, Compiled

Pseudonym = Callable[[Sequence[str]], Sequence[int]]
FATES = (
    ("kept", ""),
    ("rejected", "duplicate row"),
    ("unused", "superseded in the same extract"),
    ("unused", "same as the version before"),
)
"""What became of a row that nothing was wrong with: outcome and reason."""


LINKS = pa.schema([pa.field("alias", pa.string()), pa.field("person_id", pa.int64())])
IDENTITIES = pa.schema([pa.field("person_id", pa.int64()), *(column.arrow for column in IDENTITY_TABLE)])


@dataclass(frozen=True)
class Readers:
    """What resolving needs beside the compiled rows. as_recorded: rows become known when they were recorded."""

    pseudonym: Pseudonym
    links: pa.Table
    receipt: str
    as_recorded: bool


def resolve_people(connection: duckdb.DuckDBPyConnection, compiled: Sequence[Compiled], readers: Readers) -> None:
    """Make `persons` (identity, person_id) and `merges` (old_id, person_id, _t).

    A local identity that this extract pairs with a better one is that person's. Otherwise it is whoever an earlier
    extract said it was, or else a person of its own. Where an earlier extract took it for a person of its own and this
    one knows better, the two are merged.
    """
    connection.register("given_links", readers.links.cast(LINKS))
    connection.execute("""
        create temp table links as
        select case when alias like 'local:%' then alias else 'local:' || alias end as alias,
               max(person_id) as person_id
        from given_links group by all""")
    every, paired = (_accepted(group) for group in (compiled, [c for c in compiled if len(c.spec.person) > 1]))
    connection.execute(f"""
        create temp table edges as
        select _alias as alias, arg_max(_identity, (_t, _row, _identity)) as identity, arg_max(_t, (_t, _row)) as _last
        from ({paired}) where _alias is not null group by _alias""")
    connection.execute(f"""
        create temp table named as
        select distinct identity from (
            select _identity as identity from ({every}) union all from edges select alias
            union all from edges select identity)
        where identity is not null order by identity""")
    identities = connection.sql("select identity from named").to_arrow_table()["identity"].to_pylist()
    ids = np.asarray(readers.pseudonym(identities) if identities else [], dtype=np.int64)
    connection.register("ids", pa.table({"identity": pa.array(identities, pa.string()), "own_id": pa.array(ids)}))
    connection.execute("""
        create temp table persons as
        select i.identity, coalesce(target.own_id, k.person_id, i.own_id) as person_id, i.own_id
        from ids i left join edges e on e.alias = i.identity left join ids target on target.identity = e.identity
        left join links k on k.alias = i.identity""")
    connection.execute(f"""
        create temp table merges as
        select p.own_id as old_id, p.person_id, min(s._t) as _t
        from edges e join persons p on p.identity = e.alias join links k on k.alias = e.alias and k.person_id = p.own_id
        join ({paired}) s on s._alias = e.alias and s._identity = e.identity
        where p.person_id <> p.own_id group by all""")


def _accepted(compiled: Sequence[Compiled]) -> str:
    nobody = "select '' as _identity, '' as _alias, null::timestamptz as _t, 0::bigint as _row where false"
    parts = [
        f"select _identity, _alias, _t, _row from {quoted(one.name)} where _reason is null and _used"
        for one in compiled
    ]
    return " union all ".join([nobody, *parts])


def settled_name(table: str) -> str:
    """The DuckDB table saying what became of each accepted row: `_spec`, `_place`, `_row`, `_fate` (in `FATES`)."""
    return quoted(f"settled {table}")


def resolve_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, compiled: Sequence[Compiled], readers: Readers
) -> pa.Table:
    """The batch rows of one table. Of versions of a row known at one moment the last recorded is kept, the last in the
    extract where that is a tie; a version that says the same as the one before it is not kept."""
    parts = [_slim(table, one, number, readers) for number, one in enumerate(compiled)]
    if table.name == "people":
        parts.append(_merged_slim(readers))
    connection.execute(f"""
        create temp table {settled_name(table.name)} as
        with told as (
            select *, lead(known_from) over same_row as next_from, lead(content) over same_row as next_content
            from ({" union all ".join(parts)})
            window same_row as (partition by row_id order by known_from, sequence, _spec, _row, content)
        ), judged as (
            select *, case when next_from is distinct from known_from then 0
                           when next_content = content then 1 else 2 end as fate
            from told
        )
        select row_id, person_id, known_from, _spec, _place, _row,
               (case when fate = 0 and lag(content) over (partition by row_id, fate order by known_from)
                               is not distinct from content then 3 else fate end)::tinyint as _fate
        from judged""")
    whole = [_whole(table, one, number) for number, one in enumerate(compiled)]
    if table.name == "people":
        whole.append(_merged_whole(table))
    names = ", ".join(quoted(name) for name in batch_schema(table).names)
    rows = connection.sql(f"select {names} from ({' union all by name '.join(whole)}) order by row_id, known_from")
    return rows.to_arrow_table().cast(batch_schema(table))


def _slim(table: Table, compiled: Compiled, number: int, readers: Readers) -> str:
    """Of each accepted row what it takes to tell its versions apart."""
    known = "s._t" if readers.as_recorded else readers.receipt
    row_id = hashed(table.name, ("s._key", "case when s._by_person then p.person_id end"))
    content = ", ".join(("p.person_id", "s._deleted", *(_column(table, compiled, c) for c in table.columns)))
    return f"""
        select {row_id} as row_id, p.person_id, {known} as known_from, epoch_us(s._t) as sequence,
               {number} as _spec, s.rowid as _place, s._row, hash({content}) as content
        from {quoted(compiled.name)} s join persons p on p.identity = s._identity
        where s._reason is null and s._used"""


def _whole(table: Table, compiled: Compiled, number: int) -> str:
    columns = [f"{_column(table, compiled, c)} as {quoted(c.name)}" for c in table.columns]
    return f"""
        select d.row_id, d.person_id, d.known_from, s._deleted as deleted, epoch_us(s._t) as sequence,
               {", ".join(columns)}
        from {quoted(compiled.name)} s join {settled_name(table.name)} d on d._place = s.rowid
        where d._spec = {number} and d._fate = 0"""


def _column(table: Table, compiled: Compiled, column: Column) -> str:
    filled = column.name in compiled.columns or (table.name == "observations" and column.name in ("value", "unit"))
    return f"s.{quoted(column.name)}" if filled else f"null::{DUCK[column.type]}"


def _merged_slim(readers: Readers) -> str:
    """People of an earlier extract who turned out to be someone else: rows of their own that say so."""
    known = "_t" if readers.as_recorded else readers.receipt
    return f"""
        select {hashed("people", ("''", "old_id"))}, old_id, {known}, epoch_us(_t), -1, rowid, 0, hash(person_id)
        from merges"""


def _merged_whole(table: Table) -> str:
    empty = [f"null::{DUCK[c.type]} as {quoted(c.name)}" for c in table.columns if c.name != "merged_into"]
    return f"""
        select d.row_id, d.person_id, d.known_from, false as deleted, epoch_us(m._t) as sequence, {", ".join(empty)},
               m.person_id as merged_into
        from merges m join {settled_name(table.name)} d on d._place = m.rowid where d._spec = -1 and d._fate = 0"""


def identities(connection: duckdb.DuckDBPyConnection, compiled: Sequence[Compiled]) -> pa.Table:
    """One row for each person and local id (`IDENTITIES`), as last recorded."""
    parts = [
        "select p.person_id, s._t, s._row, "
        + ", ".join(f"s.{quoted(c)}" if c in one.columns else f"null as {quoted(c)}" for c in IDENTITIES.names[1:])
        + f" from {quoted(one.name)} s join persons p on p.identity = s._identity where s._reason is null and s._used"
        for one in compiled
    ]
    if not parts:
        return IDENTITIES.empty_table()
    rows = connection.sql(f"""
        select {", ".join(IDENTITIES.names)} from ({" union all by name ".join(parts)})
        qualify row_number() over (partition by person_id, local_id order by _t desc, _row desc) = 1
        order by person_id, local_id""")
    return rows.to_arrow_table().cast(IDENTITIES)


def read_tables(
    connection: duckdb.DuckDBPyConnection, compiled: Sequence[Compiled], readers: Readers
) -> dict[str, pa.Table]:
    """Every canonical table that has rows."""
    found = {}
    for name, table in TABLES.items():
        mine = [one for one in compiled if one.table == name]
        if mine:
            found[name] = resolve_rows(connection, table, mine, readers)
    return {name: rows for name, rows in found.items() if rows.num_rows}
