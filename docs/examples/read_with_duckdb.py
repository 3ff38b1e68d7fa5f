"""Count the rows of the history in force at a cut, with DuckDB, and as the program itself reads them.

.venv/bin/python docs/examples/read_with_duckdb.py workspace/history 2026-01-12T06:00:00Z
"""

import json
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.compute as pc
from deltalake import DeltaTable

from pipelines.store import History

IN_FORCE = """
    select count(*) from (
        from read_parquet(?, hive_partitioning = true) where known_from <= ?::timestamptz
        qualify not deleted and row_number() over (
            partition by row_id, person_id
            order by known_from desc, batch desc, sequence desc, deleted) = 1)"""


def by_duckdb(folder: Path, version: int, cut: str) -> int:
    files = DeltaTable(str(folder), version=version).file_uris()
    row = duckdb.execute(IN_FORCE, [files, cut]).fetchone()
    return int(row[0]) if row else 0


def by_ourselves(history: History, name: str, cut: datetime) -> int:
    rows = history.read(names=(name,), known_by=cut)[name]
    return int(pc.sum(rows["known_to"].is_null()).as_py() or 0)


def main(folder: Path, cut: str) -> None:
    history = History(folder)
    versions = json.loads(history.ledger()["versions"].iloc[-1])
    for name in sorted(set(versions) - {"spoken"}):
        theirs = by_duckdb(folder / name, versions[name], cut)
        ours = by_ourselves(history, name, datetime.fromisoformat(cut))
        print(f"{name:14}{theirs:>10,}{ours:>10,}")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
