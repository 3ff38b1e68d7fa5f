"""What the feeds told, counted by source and period of telling: rows, empty cells, codes, and how late things came."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from features.frames import query
from features.schema import TABLES, Column, Table

CODED = ("code", "text", "flag")
TOLD = "told"
LATEST_HOURS = 24 * 400
"""Lags beyond this are counted as this."""


@dataclass(frozen=True)
class Tallies:
    """Tidy counts; what a deletion says is not counted. period: 0 for what became known after the first edge, up to
    and with the second, and so on.

    rows: source, table, period, rows. nulls: source, table, column, period, rows (empty). codes: source, table, column,
    code, period, rows, people. lags: source, table, period, hours (whole hours from when a fact occurred to when it was
    first told; facts told beforehand left out), rows.
    """

    rows: pd.DataFrame
    nulls: pd.DataFrame
    codes: pd.DataFrame
    lags: pd.DataFrame


def tally(tables: Mapping[str, pa.Table], sources: Mapping[int, str], edges: Sequence[datetime]) -> Tallies:
    """Counts of some people's versions, which come with the column `batch`. sources: of each batch. edges: in order."""
    by_table = [_of_table(TABLES[name], rows, sources, edges) for name, rows in tables.items()]
    return _joined(by_table, [])


def added(parts: Iterable[Tallies]) -> Tallies:
    """The counts of all people, from those of parts that share nobody."""
    return _joined(list(parts), ["rows", "people"])


def _joined(parts: Sequence[Tallies], counts: list[str]) -> Tallies:
    frames = []
    for field in fields(Tallies):
        frame = pd.concat([getattr(part, field.name) for part in parts], ignore_index=True)
        if counts:
            keys = [column for column in frame.columns if column not in counts]
            frame = frame.groupby(keys, as_index=False, sort=True).sum()
        frames.append(frame)
    return Tallies(*frames)


def _of_table(table: Table, rows: pa.Table, sources: Mapping[int, str], edges: Sequence[datetime]) -> Tallies:
    at = np.array([round(edge.timestamp() * 1_000_000) for edge in edges], np.int64)
    known = rows["known_from"].cast(pa.int64()).to_numpy()
    period = np.searchsorted(at, known, side="left") - 1
    period[period == len(at) - 1] = -1
    told = rows.append_column("period", pa.array(period, pa.int32()))
    named = pd.DataFrame({"batch": pd.Series(list(sources), dtype="int32"), "source": list(sources.values())})
    nulls = " union all ".join(_nulls(column) for column in table.columns)
    codes = " union all ".join(_codes(column) for column in table.columns if column.type in CODED)
    parts = {
        "rows": f"select source, period, count(*) as rows from {TOLD} group by all",
        "nulls": f"select * from ({nulls}) where rows > 0",
        "codes": codes,
        "lags": _lags(table),
    }
    return Tallies(**{name: _counted(table, sql, told, named) for name, sql in parts.items()})


def _counted(table: Table, sql: str, told: pa.Table, named: pd.DataFrame) -> pd.DataFrame:
    frame: pd.DataFrame = query(
        f"with {TOLD} as (select * from given join named using (batch) where period >= 0) {sql}",
        given=told,
        named=named,
    ).to_pandas()
    frame.insert(1, "table", table.name)
    return frame.astype({"rows": "int64"})


def _nulls(column: Column) -> str:
    return f"""select source, '{column.name}' as "column", period, count(*) filter ("{column.name}" is null) as rows
        from {TOLD} group by all"""


def _codes(column: Column) -> str:
    return f"""select source, '{column.name}' as "column", "{column.name}"::text as code, period, count(*) as rows,
        count(distinct person_id) as people from {TOLD} where "{column.name}" is not null group by all"""


def _lags(table: Table) -> str:
    if table.at is None:
        return f"select source, period, 0 as hours, 0 as rows from {TOLD} where false"
    return f"""
        select source, period, least((epoch(known_first) - epoch(occurred)) // 3600, {LATEST_HOURS})::int as hours,
               count(*) as rows
        from (
            select row_id, min_by(source, known_from) as source, min_by(period, known_from) as period,
                   min(known_from) as known_first, min_by({table.at}, known_from) as occurred
            from {TOLD} where {table.at} <= known_from group by row_id
        ) group by all"""
