"""One way to run SQL over Arrow tables: in memory, UTC, one thread, so that the same rows give the same bytes."""

from collections.abc import Mapping
from datetime import UTC
from functools import cache
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

LARGE_ROWS = 100_000


def connect(tables: Mapping[str, pa.Table | pd.DataFrame], threads: int = 1) -> duckdb.DuckDBPyConnection:
    """A connection that sees `tables` by name."""
    connection = _database(threads).cursor()
    connection.execute("set enable_progress_bar = false")
    for name, table in tables.items():
        connection.register(name, table)
    return connection


@cache
def _database(threads: int) -> duckdb.DuckDBPyConnection:
    """Opened once, since opening costs more than many a query does; each cursor of it sees only its own tables."""
    database = duckdb.connect(
        config={"threads": threads, "autoinstall_known_extensions": False, "python_enable_replacements": False}
    )
    database.execute("set global TimeZone = 'UTC'")
    return database


def query(sql: str, threads: int = 1, **tables: pa.Table | pd.DataFrame) -> pa.Table:
    """The result of `sql` over `tables`, which it names."""
    with connect(tables, threads) as connection:
        return connection.sql(sql).to_arrow_table()


def threads_for(*tables: pa.Table) -> int:
    """With few rows a second thread costs more than it helps."""
    return 2 if sum(table.num_rows for table in tables) >= LARGE_ROWS else 1


def to_frame(relation: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """A relation as a pandas frame, by way of Arrow."""
    frame: pd.DataFrame = relation.to_arrow_table().to_pandas()
    return frame


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as pandas' own `to_dict("records")` gives them, but moments as plain datetimes, None for null: whatever is
    asked of many of them is answered several times as fast."""
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*(_plain(frame[name]) for name in names), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        return list(column.tolist())
    moments = pd.DatetimeIndex(column.dt.as_unit("us").dt.tz_convert(UTC)).to_pydatetime()
    return [None if moment is pd.NaT else moment for moment in moments]


def micros(moments: pd.Series) -> npt.NDArray[np.int64]:
    """Moments as microseconds since 1970."""
    return np.asarray(moments.astype("datetime64[us, UTC]").astype("int64"))


def moments(micros: npt.NDArray[np.int64]) -> pd.Series:
    """Microseconds since 1970 as moments."""
    return pd.Series(micros.astype("datetime64[us]")).dt.tz_localize("UTC")
