"""What became of the data: counts of rows and reasons, empty cells, lags and the newest record of each feed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.batch import Batch
from features.schema import TABLES

QUANTILES = (0.5, 0.9, 0.95, 0.99)


def quality(batches: Sequence[Batch]) -> dict[str, pd.DataFrame]:
    """Tidy frames by name over the batches of one ingestion.

    account: the batches' own accounts, by source and extract. newest and the rest are sums over extracts.
    files: source, file, extracts, read, kept, rejected, unused. reasons: source, file, table, outcome, reason, rows,
    share (of the file's rows). nulls: source, provider, file, column, rows, empty_share. lags: source, table, rows and
    quantiles of days from when a fact occurred to when it was known (facts still ahead of that moment left out).
    newest: source, extracts, received_at, newest_occurred, newest_known.
    """
    account = _stacked(batches, "account")
    nulls = _stacked(batches, "nulls")
    return {
        "newest": _newest(batches),
        "reasons": _reasons(account),
        "lags": _lags(batches),
        "files": _files(account),
        "nulls": _nulls(nulls),
        "account": account,
    }


def _stacked(batches: Sequence[Batch], attribute: str) -> pd.DataFrame:
    frames: list[pd.DataFrame] = [getattr(b, attribute).assign(source=b.source, extract=b.name) for b in batches]
    return pd.concat(frames, ignore_index=True)


def _files(account: pd.DataFrame) -> pd.DataFrame:
    counted = account[account["outcome"] != "note"]
    keys = ["source", "file"]
    wide = counted.pivot_table(index=keys, columns="outcome", values="rows", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=["kept", "rejected", "unused"], fill_value=0).reset_index()
    extracts = counted.groupby(keys, as_index=False).agg(extracts=("extract", "nunique"))
    wide.insert(2, "read", wide[["kept", "rejected", "unused"]].sum(axis=1))
    return extracts.merge(wide, on=keys)


def _reasons(account: pd.DataFrame) -> pd.DataFrame:
    read = account[account["outcome"] != "note"].groupby(["source", "file"], as_index=False).agg(read=("rows", "sum"))
    told = account[(account["outcome"] != "kept") & (account["rows"] > 0)]
    keys = ["source", "file", "table", "outcome", "reason"]
    rows = told.groupby(keys, as_index=False).agg({"rows": "sum"}).merge(read, on=["source", "file"], how="left")
    rows["share"] = rows["rows"] / rows["read"]
    return rows.drop(columns="read")


def _nulls(nulls: pd.DataFrame) -> pd.DataFrame:
    keys = ["source", "provider", "file", "column"]
    rows = nulls.groupby(keys, as_index=False).agg({"rows": "sum", "nulls": "sum"})
    rows["empty_share"] = rows["nulls"] / rows["rows"].where(rows["rows"] > 0)
    return rows[rows["nulls"] > 0].drop(columns="nulls").reset_index(drop=True)


def _lags(batches: Sequence[Batch]) -> pd.DataFrame:
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for batch in batches:
        for name, rows in batch.tables.items():
            at = TABLES[name].at
            if at is not None and rows.num_rows:
                lag = pc.subtract(rows["known_from"].cast(pa.int64()), rows[at].cast(pa.int64())).to_numpy() / 86_400e6
                found.setdefault((batch.source, name), []).append(lag[lag >= 0])
    columns = ["source", "table", "rows", *(f"days_{int(q * 100)}_percent" for q in QUANTILES)]
    joined = {key: np.concatenate(lags) for key, lags in found.items()}
    rows = [(*key, len(lag), *np.quantile(lag, QUANTILES).round(2)) for key, lag in joined.items() if len(lag)]
    return pd.DataFrame(rows, columns=columns)


def _newest(batches: Sequence[Batch]) -> pd.DataFrame:
    rows = []
    for batch in batches:
        known = [pc.max(rows["known_from"]).as_py() for rows in batch.tables.values() if rows.num_rows]
        occurred = [
            pc.max(rows[TABLES[name].at]).as_py()
            for name, rows in batch.tables.items()
            if TABLES[name].at and rows.num_rows
        ]
        rows.append((batch.source, 1, batch.received_at, max(occurred, default=None), max(known, default=None)))
    frame = pd.DataFrame(rows, columns=["source", "extracts", "received_at", "newest_occurred", "newest_known"])
    newest = {"extracts": "sum", "received_at": "max", "newest_occurred": "max", "newest_known": "max"}
    return frame.groupby("source", as_index=False, sort=False).agg(newest)
