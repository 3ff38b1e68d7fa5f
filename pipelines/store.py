"""The history on disk: six Delta Lake tables in person buckets, and a ledger that decides what of them is visible.

The ledger's last row names the version of each table that belongs together. Readers open those versions; a writer
first rolls the tables back to them (undoing whatever a killed run left), appends to each table, and makes the batch
visible in all of them at once by appending one row to the ledger.
"""

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from features.batch import Batch
from features.errors import NotReadyError
from features.frames import query
from features.history import additions, moved, stamp, standing, stored_schema, vanished, versions
from features.schema import TABLES, Table, batch_schema

LEDGER = pa.schema(
    [
        pa.field("batch", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("name", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("received_at", pa.timestamp("us", tz="UTC")),
        pa.field("covers_to", pa.timestamp("us", tz="UTC")),
        pa.field("ingested_at", pa.timestamp("us", tz="UTC")),
        pa.field("buckets", pa.int32()),
        pa.field("rows", pa.int64()),
        pa.field("added", pa.string()),
        pa.field("versions", pa.string()),
    ]
)
FILES_BEFORE_COMPACTION = 24
INGEST_THREADS = 2
SPOKEN = "spoken"
"""row_id, batch: the rows of which a batch said what the history held already."""


@dataclass(frozen=True)
class Ingested:
    """What one batch did to the history. added: rows by table; already: the same bytes had been ingested before."""

    source: str
    name: str
    added: Mapping[str, int]
    already: bool = False


class History:
    """The contact history in `folder`, created on first use. `buckets` is fixed when the first batch arrives."""

    def __init__(self, folder: Path, buckets: int = 8) -> None:
        self.folder = folder
        self._opened: dict[tuple[str, int], Any] = {}
        self.buckets = self._settled_buckets(buckets)

    def ledger(self) -> pd.DataFrame:
        """The batches that are visible, in the order of ingestion (columns of `LEDGER`)."""
        if not DeltaTable.is_deltatable(str(self.folder / "ledger")):
            rows = LEDGER.empty_table()
        else:
            rows = DeltaTable(str(self.folder / "ledger")).to_pyarrow_table()
        frame: pd.DataFrame = rows.to_pandas()
        return frame.sort_values("batch", ignore_index=True)

    def fingerprints(self) -> set[tuple[str, str]]:
        """(source, fingerprint) of everything that has been ingested."""
        return _fingerprints(self.ledger())

    def ingest(self, batch: Batch, ingested_at: datetime) -> Ingested:
        """Make `batch` part of the history: in all tables at once or, if anything fails, in none."""
        with self._alone():
            ledger = self.ledger()
            if (batch.source, batch.fingerprint) in _fingerprints(ledger):
                return Ingested(batch.source, batch.name, {}, already=True)
            self._roll_back()
            number = int(ledger["batch"].max() + 1) if len(ledger) else 1
            added = {name: self._append(table, batch, number) for name, table in TABLES.items()}
            self._compact()
            self._commit(batch, number, added, ingested_at)
            return Ingested(batch.source, batch.name, added)

    def read(
        self, bucket: int | None = None, names: Iterable[str] = TABLES, known_by: datetime | None = None
    ) -> dict[str, pa.Table]:
        """Tables by name as versions (`schema.history_schema`) of one bucket's people, or of everyone's.

        known_by: leave out whatever became known after this moment, as if it had not been ingested.
        """
        condition, visible = self._condition(bucket, known_by), self._visible()
        return {name: versions(TABLES[name], self._stored(TABLES[name], visible, condition)) for name in names}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer at a time: a second waits. The system lets go of the lock of a process that dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes where the history is and which batches must be found there."""
        seen = list(self.ledger()["fingerprint"])
        return _reopened, (self.folder.absolute(), self.buckets, len(seen), _digest(seen))

    def _settled_buckets(self, wanted: int) -> int:
        ledger = self.ledger()
        return int(ledger["buckets"].iloc[0]) if len(ledger) else wanted

    def _path(self, name: str) -> str:
        return str(self.folder / name)

    def _visible(self) -> dict[str, int]:
        ledger = self.ledger()
        return dict(json.loads(ledger["versions"].iloc[-1])) if len(ledger) else {}

    def _stored(self, table: Table, visible: Mapping[str, int], condition: pc.Expression | None = None) -> pa.Table:
        if table.name not in visible:
            return stored_schema(table).empty_table()
        found = self._dataset(table, visible).to_table(columns=stored_schema(table).names, filter=condition)
        return found.cast(stored_schema(table))

    def _dataset(self, table: Table, visible: Mapping[str, int]) -> Any:
        """A table at its visible version; a version never changes, so it is opened once."""
        at = (table.name, visible[table.name])
        if at not in self._opened:
            self._opened[at] = DeltaTable(self._path(table.name), version=at[1]).to_pyarrow_dataset()
        return self._opened[at]

    def _condition(self, bucket: int | None, known_by: datetime | None) -> pc.Expression | None:
        parts = [] if bucket is None else [pc.field("bucket") == bucket]
        if known_by is not None:
            parts.append(pc.field("known_from") <= pa.scalar(known_by, pa.timestamp("us", tz="UTC")))
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else parts[0] & parts[1]

    def _roll_back(self) -> None:
        """Undo what a run that never reached the ledger left in the tables."""
        visible = self._visible()
        for name in self._made():
            table = DeltaTable(self._path(name))
            if name not in visible:
                self._refuse_lost_ledger(table)
                table.delete()
            elif table.version() != visible[name]:
                table.restore(visible[name])

    def _refuse_lost_ledger(self, table: DeltaTable) -> None:
        """A table that no batch has made visible holds one killed batch at most."""
        batches = table.to_pyarrow_dataset().to_table(["batch"])["batch"].unique()
        if len(batches) > 1:
            message = (
                f"The history's ledger must name its batches; {self.folder / 'ledger'} does not know {len(batches)} "
                "that the tables hold. Restore it from a backup; nothing was changed."
            )
            raise NotReadyError(message)

    def _append(self, table: Table, batch: Batch, number: int) -> int:
        given = batch.tables.get(table.name, batch_schema(table).empty_table())
        given = pa.concat_tables([given, self._carried(table, batch), self._left_out(table, batch, given)])
        if not given.num_rows:
            return 0
        fresh = stamp(table, given, number, self.buckets)
        held = self._held(table, fresh)
        fresh = fresh.filter(~pc.field("row_id").isin(self._outdated(held, batch)))
        rows = additions(table, held, fresh, self.buckets)
        if rows.num_rows:
            write_deltalake(self._path(table.name), rows, mode="append", partition_by=["bucket"])
        self._remember(fresh, rows, number)
        return int(rows.num_rows)

    def _outdated(self, held: pa.Table, batch: Batch) -> pa.Array:
        """Rows of which batches of the same source that tell of a later time have spoken, in new words or the same."""
        newer = self._newer_batches(batch)
        spoken = [held.filter(pc.field("batch").isin(newer))["row_id"].combine_chunks()]
        visible = self._visible()
        if newer and SPOKEN in visible:
            again = DeltaTable(self._path(SPOKEN), version=visible[SPOKEN]).to_pyarrow_dataset()
            spoken.append(again.to_table(["row_id"], filter=pc.field("batch").isin(newer))["row_id"].combine_chunks())
        return pa.concat_arrays(spoken)

    def _remember(self, fresh: pa.Table, rows: pa.Table, number: int) -> None:
        """Keep which rows a batch repeated, since a late older batch must not undo what was said again."""
        same = fresh.filter(~pc.field("row_id").isin(rows["row_id"].combine_chunks()))
        if same.num_rows:
            again = pa.table(
                {"row_id": same["row_id"], "batch": pa.repeat(pa.scalar(number, pa.int32()), same.num_rows)}
            )
            write_deltalake(self._path(SPOKEN), again, mode="append")

    def _held(self, table: Table, fresh: pa.Table) -> pa.Table:
        """Every stored version of the rows that `fresh` names, wherever their people are."""
        visible = self._visible()
        if table.name not in visible:
            return stored_schema(table).empty_table()
        sql = "select * from stored where row_id in (select row_id from fresh)"
        given = {"stored": self._dataset(table, visible), "fresh": fresh.select(["row_id"])}
        found = query(sql, threads=INGEST_THREADS, **given)
        return found.select(stored_schema(table).names).cast(stored_schema(table))

    def _carried(self, table: Table, batch: Batch) -> pa.Table:
        """Rows of people whom this batch finds to be someone else, moved to that someone."""
        people = batch.tables.get("people")
        if table.name == "people" or people is None:
            return batch_schema(table).empty_table()
        merges = people.filter(pc.is_valid(people["merged_into"])).select(["person_id", "merged_into", "known_from"])
        if not merges.num_rows:
            return batch_schema(table).empty_table()
        held = self._stored(table, self._visible(), pc.field("person_id").isin(merges["person_id"].combine_chunks()))
        return moved(table, held, merges)

    def _left_out(self, table: Table, batch: Batch, given: pa.Table) -> pa.Table:
        """Deletions of what this batch claims to be complete for and does not contain."""
        gone = [batch_schema(table).empty_table()]
        for scope in (s for s in batch.scopes if s.table == table.name and table.at):
            start, end = (pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in (scope.start, scope.end))
            inside = (pc.field(table.at) >= start) & (pc.field(table.at) < end)
            mine = inside & pc.field("batch").isin(self._batches_of(batch.source))
            held = self._held(table, self._stored(table, self._visible(), mine))
            latest = standing(table, held).filter(mine)
            gone.append(vanished(table, latest, given, batch.received_at))
        return pa.concat_tables(gone)

    def _newer_batches(self, batch: Batch) -> list[int]:
        """Batches of the same source that tell the state of things at a later time than this one does."""
        ledger = self.ledger()
        newer = (ledger["source"] == batch.source) & (ledger["covers_to"] > pd.Timestamp(batch.tells_until))
        return [int(number) for number in ledger.loc[newer, "batch"]]

    def _batches_of(self, source: str) -> list[int]:
        ledger = self.ledger()
        return [int(number) for number in ledger.loc[ledger["source"] == source, "batch"]]

    def _compact(self) -> None:
        """Keep the files of each table few, so that reading does not slow down with the number of days."""
        for name in self._made():
            table = DeltaTable(self._path(name))
            if len(table.file_uris()) > FILES_BEFORE_COMPACTION * self.buckets:
                table.optimize.compact()

    def _made(self) -> list[str]:
        return [name for name in (*TABLES, SPOKEN) if DeltaTable.is_deltatable(self._path(name))]

    def _commit(self, batch: Batch, number: int, added: Mapping[str, int], ingested_at: datetime) -> None:
        at = {name: DeltaTable(self._path(name)).version() for name in self._made()}
        row = {
            "batch": number,
            "source": batch.source,
            "name": batch.name,
            "fingerprint": batch.fingerprint,
            "received_at": batch.received_at,
            "covers_to": batch.tells_until,
            "ingested_at": ingested_at,
            "buckets": self.buckets,
            "rows": sum(table.num_rows for table in batch.tables.values()),
            "added": json.dumps(added, sort_keys=True),
            "versions": json.dumps(at, sort_keys=True),
        }
        write_deltalake(self._path("ledger"), pa.Table.from_pylist([row], schema=LEDGER), mode="append")


def _reopened(folder: Path, buckets: int, batches: int, digest: str) -> History:
    history = History(folder, buckets)
    seen = list(history.ledger()["fingerprint"])[:batches]
    if _digest(seen) != digest:
        message = (
            f"Every process that works on a history must see the same one; {folder} has {batches} batches where the "
            f"run began and {len(seen)} of them, or others, where a worker is. Share the workspace with all workers."
        )
        raise NotReadyError(message)
    return history


def _digest(fingerprints: list[str]) -> str:
    return sha256("\n".join(fingerprints).encode()).hexdigest()


def _fingerprints(ledger: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(ledger["source"], ledger["fingerprint"], strict=True))
