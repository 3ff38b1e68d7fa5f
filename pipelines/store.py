"""The history on disk: six Delta Lake tables in person buckets, and a ledger that decides what of them is visible.

The ledger's last row names the version of each table that belongs together. Readers open those versions; a writer
first rolls the tables back to them (undoing whatever a killed run left), appends to each table, and makes the batch
visible in all of them at once by appending one row to the ledger.

Tables lie by bucket and period (`history.period_of`), each file in the order of person and moment. A batch adds a file
or two to each bucket; a bucket's period with many files is written anew as one.
"""

import fcntl
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, reduce
from operator import and_
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.batch import Batch
from features.errors import NotReadyError
from features.history import (
    additions,
    columns_for,
    in_stored_order,
    moved,
    period_of,
    stamp,
    standing,
    stored_schema,
    vanished,
    versions,
)
from features.runs import Ints
from features.schema import TABLES, Table, batch_schema
from pipelines import delta
from pipelines.fingerprints import digest_of

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
        pa.field("outdated", pa.string()),
        pa.field("versions", pa.string()),
    ]
)
FILES_BEFORE_COMPACTION = 16
"""So many files what is not partitioned may have before they become one."""
PARTITIONS, ASKED = ("bucket", "period"), ("person_id", "known_from")
Buckets = int | Sequence[int] | None
SPOKEN = "spoken"
"""row_id, batch: the rows of which a batch said what the history held already."""


@dataclass(frozen=True)
class Ingested:
    """What one batch did to the history, in rows by table. added; outdated: not taken up, since a batch that tells of a
    later time had spoken of them; gone: deleted, since a batch that is complete for their period left them out.
    already: the same bytes had been ingested before; ahead: it was received later than now, and left for later."""

    source: str
    name: str
    added: Mapping[str, int]
    outdated: Mapping[str, int] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)
    already: bool = False
    ahead: bool = False


class History:
    """The contact history in `folder`, created on first use. `buckets` is fixed when the first batch arrives.

    until: read it as it was when so many batches had been ingested; nothing can be added to that.
    """

    def __init__(self, folder: Path, buckets: int = 8, until: int | None = None) -> None:
        self.folder = folder
        self.until = until
        self._datasets, self._tables = delta.Datasets(folder), delta.Tables(folder)
        self._read: tuple[str, pd.DataFrame] | None = None
        self.buckets = self._settled_buckets(buckets)

    def ledger(self) -> pd.DataFrame:
        """The batches that are visible, in the order of ingestion (columns of `LEDGER`)."""
        rows = self._whole_ledger()
        return rows.copy() if self.until is None else rows[rows["batch"] <= self.until]

    def _whole_ledger(self) -> pd.DataFrame:
        newest = delta.newest_commit(self._path("ledger"))
        if self._read is None or self._read[0] != newest:
            rows = delta.opened(self._path("ledger")).to_table() if newest else LEDGER.empty_table()
            self._refuse_other_layout(rows.column_names)
            self._read = newest, rows.to_pandas().sort_values("batch", ignore_index=True)
        return self._read[1]

    def fingerprints(self) -> set[tuple[str, str]]:
        """(source, fingerprint) of everything that has been ingested."""
        return _fingerprints(self.ledger())

    def ingest(self, batch: Batch, ingested_at: datetime) -> Ingested:
        """Make `batch` part of the history: in all tables at once or, if anything fails, in none."""
        assert self.until is None, "a history as it was is not added to"
        with self._alone():
            ledger = self.ledger()
            if (batch.source, batch.fingerprint) in _fingerprints(ledger):
                return Ingested(batch.source, batch.name, {}, already=True)
            self._roll_back()
            number = int(ledger["batch"].max() + 1) if len(ledger) else 1
            counts = {name: self._append(table, batch, number) for name, table in TABLES.items()}
            done = Ingested(
                batch.source,
                batch.name,
                {name: added for name, (added, _, _) in counts.items()},
                {name: outdated for name, (_, outdated, _) in counts.items() if outdated},
                {name: gone for name, (_, _, gone) in counts.items() if gone},
            )
            self._compact()
            self._commit(batch, number, done, ingested_at)
            return done

    def read(
        self,
        bucket: Buckets = None,
        names: Iterable[str] = TABLES,
        known_by: datetime | None = None,
        columns: Mapping[str, Collection[str]] | None = None,
        since: datetime | None = None,
        coded: bool = False,
        people: Ints | None = None,
    ) -> dict[str, pa.Table]:
        """Tables by name as versions of a bucket's people, some buckets', or everyone's, by person, moment and row.

        The columns are those of `schema.history_schema`. known_by: leave out whatever became known after this moment,
        as if it had not been ingested. columns: for a table, the only ones of its own columns to read; identity and
        clocks always come. since: leave out versions all of whose moments lie before this one, unless they tell of
        something that has not ended; people are always whole. Files of earlier periods stay shut. coded: texts come as
        dictionaries, which are quicker to read and to work with. people: only what is told of these.
        """
        visible, wanted = self._visible(), columns or {}
        condition = _condition(bucket, known_by, since, self.until, people)

        def of(table: Table) -> pa.Table:
            own = wanted.get(table.name)
            stored = self._stored(table, visible, condition, columns_for(table, own, since), coded)
            return versions(table, stored, own, since)

        return {name: of(TABLES[name]) for name in names}

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
        return _reopened, (self.folder.absolute(), self.buckets, len(seen), digest_of(seen), self.until)

    def _settled_buckets(self, wanted: int) -> int:
        ledger = self.ledger()
        return int(ledger["buckets"].iloc[0]) if len(ledger) else wanted

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _visible(self) -> dict[str, int]:
        """The newest version of each table: rows of later batches than `until` are left out in reading."""
        ledger = self._whole_ledger()
        return dict(json.loads(ledger["versions"].iloc[-1])) if len(ledger) else {}

    def _stored(
        self,
        table: Table,
        visible: Mapping[str, int],
        condition: pc.Expression | None = None,
        columns: Collection[str] | None = None,
        coded: bool = False,
    ) -> pa.Table:
        names = stored_schema(table).names if columns is None else columns
        if table.name not in visible:
            return stored_schema(table).empty_table().select(names)
        return self._dataset(table, visible, coded).to_table(columns=names, filter=condition)

    def _dataset(self, table: Table, visible: Mapping[str, int], coded: bool = False) -> Any:
        """A table at its visible version."""
        texts = [column.name for column in table.columns if coded and pa.types.is_string(column.arrow.type)]
        return self._datasets.at(table.name, visible[table.name], tuple(texts))

    def _roll_back(self) -> None:
        """Undo what a run that never reached the ledger left in the tables."""
        visible = self._visible()
        for name in self._made():
            table = self._tables[name]
            if name not in visible:
                self._refuse_lost_ledger(self._path(name))
                table.empty()
            elif table.version() != visible[name]:
                table.restore(visible[name])

    def _refuse_lost_ledger(self, path: Path) -> None:
        """A table that no batch has made visible holds one killed batch at most."""
        batches = delta.opened(path).to_table(["batch"])["batch"].unique()
        if len(batches) > 1:
            message = (
                f"The history's ledger must name its batches; {self.folder / 'ledger'} does not know {len(batches)} "
                "that the tables hold. Restore it from a backup; nothing was changed."
            )
            raise NotReadyError(message)

    def _append(self, table: Table, batch: Batch, number: int) -> tuple[int, int, int]:
        """How many rows were added, how many left out because a newer batch had spoken of them, how many deleted
        because this batch should have named them."""
        given = batch.tables.get(table.name, batch_schema(table).empty_table())
        gone = self._left_out(table, batch, given)
        given = pa.concat_tables([given, self._carried(table, batch), gone])
        if not given.num_rows:
            return 0, 0, 0
        fresh = stamp(table, given, number, self.buckets)
        held = self._held(table, fresh)
        current = fresh.filter(~pc.field("row_id").isin(self._outdated(held, batch)))
        rows = additions(table, held, current, self.buckets)
        if rows.num_rows:
            self._write(table.name, rows)
        self._remember(current, rows, number)
        return int(rows.num_rows), int(fresh.num_rows - current.num_rows), int(gone.num_rows)

    def _write(self, name: str, rows: pa.Table) -> None:
        partitions, asked = (PARTITIONS, ASKED) if name in TABLES else ((), ("batch",))
        self._tables[name].write(rows, partitions, asked)

    def _outdated(self, held: pa.Table, batch: Batch) -> pa.Array:
        """Rows of which batches of the same source that tell of a later time have spoken, in new words or the same."""
        newer = self._newer_batches(batch)
        spoken = [held.filter(pc.field("batch").isin(newer))["row_id"].combine_chunks()]
        visible = self._visible()
        if newer and SPOKEN in visible:
            again = delta.opened(self._path(SPOKEN), visible[SPOKEN])
            spoken.append(again.to_table(["row_id"], filter=pc.field("batch").isin(newer))["row_id"].combine_chunks())
        return pa.concat_arrays(spoken)

    def _remember(self, fresh: pa.Table, rows: pa.Table, number: int) -> None:
        """Keep which rows a batch repeated, since a late older batch must not undo what was said again."""
        same = fresh.filter(~pc.field("row_id").isin(rows["row_id"].combine_chunks()))
        if same.num_rows:
            again = pa.table(
                {"row_id": same["row_id"], "batch": pa.repeat(pa.scalar(number, pa.int32()), same.num_rows)}
            )
            self._write(SPOKEN, again)

    def _held(self, table: Table, fresh: pa.Table) -> pa.Table:
        """Every stored version of the rows that `fresh` names, wherever their people are."""
        visible = self._visible()
        if table.name not in visible:
            return stored_schema(table).empty_table()
        dataset = self._dataset(table, visible, coded=True)
        named = pc.field("row_id").isin(fresh["row_id"].combine_chunks())
        files = dataset.to_table(columns=["__filename"], filter=named)["__filename"].unique().to_pylist()
        found = delta.only(dataset, files).to_table(columns=stored_schema(table).names, filter=named)
        return found.cast(stored_schema(table))

    def _carried(self, table: Table, batch: Batch) -> pa.Table:
        """Rows of people whom this batch finds to be someone else, moved to that someone."""
        people = batch.tables.get("people")
        if table.name == "people" or people is None:
            return batch_schema(table).empty_table()
        merges = people.filter(pc.is_valid(people["merged_into"])).select(["person_id", "merged_into", "known_from"])
        if not merges.num_rows:
            return batch_schema(table).empty_table()
        theirs = pc.field("person_id").isin(merges["person_id"].combine_chunks())
        theirs = theirs & pc.field("bucket").isin(sorted({n % self.buckets for n in merges["person_id"].to_pylist()}))
        return moved(table, self._stored(table, self._visible(), theirs), merges)

    def _left_out(self, table: Table, batch: Batch, given: pa.Table) -> pa.Table:
        """Deletions of what this batch claims to be complete for and does not contain."""
        gone = [batch_schema(table).empty_table()]
        for scope in (s for s in batch.scopes if s.table == table.name and table.at):
            start, end = (pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in (scope.start, scope.end))
            inside = (pc.field(table.at) >= start) & (pc.field(table.at) < end)
            mine = inside & pc.field("batch").isin(self._batches_of(batch.source))
            there = mine & (pc.field("period") >= period_of(scope.start))
            held = self._held(table, self._stored(table, self._visible(), there))
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
        """Keep files few, so that a day costs what it did however long the history. What is visible stays on disk."""
        visible = self._visible()
        for name in self._made():
            crowded = delta.crowded(self._tables[name].sizes(PARTITIONS)) if name in TABLES else []
            if crowded:
                names, ordered = stored_schema(TABLES[name]).names, partial(in_stored_order, TABLES[name])
                self._tables[name].rewrite(PARTITIONS, crowded, names, ordered, ASKED)
            many = name not in TABLES and self._in_many_files(name)
            if many:
                self._tables[name].compact()
            if many or crowded:
                self._tables[name].vacuum([visible[name]] if name in visible else [])

    def _in_many_files(self, name: str) -> bool:
        return any(files > FILES_BEFORE_COMPACTION for files, _ in self._tables[name].sizes().values())

    def _made(self) -> list[str]:
        return [name for name in (*TABLES, SPOKEN) if self._tables[name].exists()]

    def _commit(self, batch: Batch, number: int, done: Ingested, ingested_at: datetime) -> None:
        at = {name: self._tables[name].version() for name in self._made()}
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
            "added": json.dumps(done.added, sort_keys=True),
            "outdated": json.dumps(done.outdated, sort_keys=True),
            "versions": json.dumps(at, sort_keys=True),
        }
        self._write("ledger", pa.Table.from_pylist([row], schema=LEDGER))
        if self._in_many_files("ledger"):
            self._tables["ledger"].compact()
            self._tables["ledger"].vacuum()

    def _refuse_other_layout(self, columns: list[str]) -> None:
        if set(columns) != set(LEDGER.names):
            message = (
                f"A history must have the layout of this version of Minus Nine; the one in {self.folder} has another. "
                "Ingest its extracts again into an empty workspace."
            )
            raise NotReadyError(message)


def _condition(
    bucket: Buckets, known_by: datetime | None, since: datetime | None, until: int | None, people: Ints | None
) -> pc.Expression | None:
    buckets = [bucket] if isinstance(bucket, int) else bucket
    parts = [] if buckets is None else [pc.field("bucket").isin(buckets)]
    if until is not None:
        parts.append(pc.field("batch") <= until)
    if since is not None:
        parts.append(pc.field("period") >= period_of(since))
    if known_by is not None:
        parts.append(pc.field("known_from") <= pa.scalar(known_by, pa.timestamp("us", tz="UTC")))
    if people is not None:
        parts.append(pc.field("person_id").isin(pa.array(people)))
    return reduce(and_, parts) if parts else None


def _reopened(folder: Path, buckets: int, batches: int, digest: str, until: int | None) -> History:
    history = History(folder, buckets, until)
    seen = list(history.ledger()["fingerprint"])[:batches]
    if digest_of(seen) != digest:
        message = (
            f"Every process that works on a history must see the same one; {folder} has {batches} batches where the "
            f"run began and {len(seen)} of them, or others, where a worker is. Share the workspace with all workers."
        )
        raise NotReadyError(message)
    return history


def _fingerprints(ledger: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(ledger["source"], ledger["fingerprint"], strict=True))
