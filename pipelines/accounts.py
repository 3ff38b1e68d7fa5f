"""What each extract was like: rows, rejects, empty cells and codes, kept so that later extracts can be held against it.

No cell is kept: a code is a keyed number. What is written before an extract becomes part of the history, and is of no
effect unless it does.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.batch import Batch
from features.schema import TABLES, Column
from pipelines.fingerprints import digest_of
from pipelines.workspace import write_private

FOLDER = "extracts"
UNKNOWN_CODE = "unknown code: "
MOST_CODES = 300
"""A column with more different values in one extract is no list of codes."""
DATED = re.compile(r"\d{4}-\d\d-\d\d|\d{4,}")
NO_CODES = re.compile(r"(_id|_code|provider)$")


@dataclass(frozen=True)
class Account:
    """files: rows and rejected, by file (dates in its name left out). columns: by file and column, rows and how many
    are empty. codes: by table and column, its rows, how many had a code that the mapping does not know, and how many
    each keyed code."""

    source: str
    received_at: datetime
    tells_until: datetime
    files: Mapping[str, Mapping[str, int]]
    columns: Mapping[str, Mapping[str, list[int]]]
    codes: Mapping[str, Mapping[str, Any]]

    def day(self, zone: str) -> date:
        """The local day up to which it tells: an extract that is delivered again tells of the same."""
        return min(self.received_at, self.tells_until).astimezone(ZoneInfo(zone)).date()


def keep(folder: Path, batch: Batch, keyed: Callable[[list[str]], list[int]]) -> None:
    """Write what an extract was like under `folder`. keyed: a number for each text, telling nothing else."""
    found = Account(
        batch.source,
        batch.received_at.astimezone(UTC),
        batch.tells_until.astimezone(UTC),
        _files(batch.account),
        _columns(batch.nulls),
        dict(_codes(batch, keyed)),
    )
    moments = {"received_at": found.received_at.isoformat(), "tells_until": found.tells_until.isoformat()}
    path = _path(folder, batch.source, batch.fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(asdict(found) | moments, sort_keys=True).encode())


def kept(folder: Path, ledger: pd.DataFrame) -> list[Account]:
    """The accounts of these batches of a ledger, in the order in which they were received; those that have none are
    left out."""
    rows = ledger.sort_values(["received_at", "batch"], kind="stable")
    paths = [_path(folder, str(row.source), str(row.fingerprint)) for row in rows.itertuples()]
    return [_read(path) for path in paths if path.is_file()]


def _path(folder: Path, source: str, fingerprint: str) -> Path:
    return folder / FOLDER / f"{digest_of([source, fingerprint])}.json"


def _read(path: Path) -> Account:
    told = json.loads(path.read_bytes())
    return Account(**told | {name: datetime.fromisoformat(told[name]) for name in ("received_at", "tells_until")})


def _plain(file: str) -> str:
    return DATED.sub("*", file)


def _files(account: pd.DataFrame) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    counted = account.loc[account["outcome"] != "note", ["file", "outcome", "rows"]]
    for file, outcome, rows in counted.itertuples(index=False, name=None):
        mine = found.setdefault(_plain(file), {"rows": 0, "rejected": 0})
        mine["rows"] += int(rows)
        mine["rejected"] += int(rows) if outcome == "rejected" else 0
    return found


def _columns(nulls: pd.DataFrame) -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = {}
    told = nulls[["file", "column", "rows", "nulls"]]
    for file, column, rows, empty in told.itertuples(index=False, name=None):
        mine = found.setdefault(_plain(file), {}).setdefault(column, [0, 0])
        mine[0] += int(rows)
        mine[1] += int(empty)
    return found


def _codes(batch: Batch, keyed: Callable[[list[str]], list[int]]) -> Iterator[tuple[str, dict[str, Any]]]:
    notes = batch.account[batch.account["reason"].str.startswith(UNKNOWN_CODE)]
    unknown = notes.groupby(["table", "reason"])["rows"].sum().to_dict()
    for name, rows in batch.tables.items():
        for column in filter(_is_code, TABLES[name].columns):
            counted = pc.value_counts(rows[column.name].combine_chunks().drop_null())
            if rows.num_rows and len(counted) <= MOST_CODES:
                told = {"rows": rows.num_rows, "unknown": int(unknown.get((name, UNKNOWN_CODE + column.name), 0))}
                yield f"{name}.{column.name}", told | {"codes": _counts(counted, keyed)}


def _is_code(column: Column) -> bool:
    return column.type == "code" or (column.type == "text" and not NO_CODES.search(column.name))


def _counts(counted: pa.StructArray, keyed: Callable[[list[str]], list[int]]) -> dict[str, int]:
    numbers = keyed([f"code:{code}" for code in counted.field("values").to_pylist()])
    return {str(number): count for number, count in zip(numbers, counted.field("counts").to_pylist(), strict=True)}
