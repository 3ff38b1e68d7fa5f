"""Delta Lake tables on a local disk: the only module that imports deltalake."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import and_, or_
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import ColumnProperties, DeltaTable, WriterProperties, write_deltalake
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

RETENTION_HOURS = 24 * 7
"""Files that no version names any more are kept so long, for whoever still reads an older version."""
ROWS_IN_GROUP = 128 * 1024
COMMITS_BETWEEN_CHECKPOINTS = 20
PARTITIONS_AT_ONCE, ROWS_AT_ONCE = 32, 500_000
"""So many partitions, with no more rows together, are written anew in one commit: more of them would take longer, since
each file is looked for among all, and the rows are in memory."""
ROWS_A_FILE, ROWS_A_PARTITION, SPARE_FILES = 2000, 5000, 32
"""What a spare file costs a day, since it is opened several times, and what a partition that is written anew costs
beside its rows, both in rows written anew (as measured); and how many spare files are worth a commit."""
Values = tuple[Any, ...]


def newest_commit(path: Path) -> str:
    """The name of a table's last commit, which changes whenever the table does; empty where there is no table."""
    return max((commit.name for commit in (path / "_delta_log").glob("*.json")), default="")


def opened(path: Path, at: int | None = None, coded: Collection[str] = ()) -> ds.FileSystemDataset:
    """A table at a version, or as it is. The partitions of its files stand in the dataset, so that a filter on them
    opens no other file. coded: texts to be read as dictionaries, as they lie in the files."""
    return DeltaTable(str(path), version=at).to_pyarrow_dataset(
        filesystem=SubTreeFileSystem(str(path), LocalFileSystem()),
        parquet_read_options=ds.ParquetReadOptions(dictionary_columns=coded),
    )


class Datasets:
    """The tables in the folders within a folder, by name, for whoever reads: a version never changes, so that it is
    opened once, by the first of several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._opened: dict[tuple[str, Sequence[str]], tuple[int, ds.FileSystemDataset]] = {}

    def at(self, name: str, version: int, coded: tuple[str, ...] = ()) -> ds.FileSystemDataset:
        """As `opened`. Of each table the version that was asked for last is kept."""
        with self._lock:
            if self._opened.get((name, coded), (None,))[0] != version:
                self._opened[name, coded] = version, opened(self._folder / name, version, coded)
            return self._opened[name, coded][1]


def only(dataset: ds.FileSystemDataset, files: Collection[str]) -> ds.FileSystemDataset:
    """The dataset without its other files. files: as the column `__filename` names them."""
    mine = [fragment for fragment in dataset.get_fragments() if fragment.path in files]
    return ds.FileSystemDataset(mine, dataset.schema, dataset.format, dataset.filesystem)


class Table:
    """The table in a folder as its one writer sees it: opened once, then brought up to date from the log, which costs a
    tenth of opening it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._opened: DeltaTable | None = None

    def exists(self) -> bool:
        return self._opened is not None or DeltaTable.is_deltatable(self.path)

    def version(self) -> int:
        return int(self._now().version())

    def write(
        self,
        rows: pa.Table,
        partitions: Sequence[str] = (),
        asked: Sequence[str] = (),
        in_place_of: str | None = None,
    ) -> None:
        """Append rows in one commit, or put them in the place of the partitions that SQL names.

        asked: columns to keep statistics of in the log. Numbers without order are not tried as dictionaries.
        """
        hashes = [name for name in ("row_id", "content", "referral_id") if name in rows.column_names]
        plain = {name: ColumnProperties(dictionary_enabled=False) for name in hashes}
        how: dict[str, Any] = {"mode": "overwrite", "predicate": in_place_of} if in_place_of else {"mode": "append"}
        write_deltalake(
            self._now() if self.exists() else self.path,
            rows,
            **how,
            partition_by=list(partitions) or None,
            writer_properties=_writer(plain),
            configuration={
                "delta.checkpointInterval": str(COMMITS_BETWEEN_CHECKPOINTS),
                "delta.dataSkippingStatsColumns": ",".join(asked),
            },
        )

    def rewrite(
        self,
        partitions: Sequence[str],
        crowded: Sequence[Values],
        names: Sequence[str],
        ordered: Callable[[pa.Table], pa.Table],
        asked: Sequence[str],
    ) -> None:
        """Each of some partitions, by its values, as one file; several in a commit, but for large ones. The next are
        read and `ordered` while some are written."""
        dataset = opened(Path(self.path))

        def read(some: Sequence[Values]) -> pa.Table:
            inside = reduce(or_, (reduce(and_, map(_equals, partitions, values)) for values in some))
            return ordered(dataset.to_table(columns=list(names), filter=inside))

        groups = list(_in_groups(crowded, {values: rows for values, (_, rows) in self.sizes(partitions).items()}))
        with ThreadPoolExecutor(1) as apart:
            coming = (apart.submit(read, some) for some in groups)
            ahead = next(coming)
            for some in groups:
                rows, ahead = ahead.result(), next(coming, ahead)
                places = (" and ".join(map("{} = {}".format, partitions, values)) for values in some)
                self.write(rows, partitions, asked, " or ".join(f"({place})" for place in places))

    def sizes(self, partitions: Sequence[str] = ()) -> dict[Values, tuple[int, int]]:
        """How many files and rows each partition has, by its values; a table without partitions is one, ()."""
        files = pa.table(self._now().get_add_actions(flatten=True))
        by_values = files.group_by([f"partition.{name}" for name in partitions])
        sizes = by_values.aggregate([([], "count_all"), ("num_records", "sum")])
        rows = (tuple(row.values()) for row in sizes.to_pylist())
        return {tuple(values): (files, records) for *values, files, records in rows}

    def compact(self) -> None:
        """Join small files, in the order of their rows."""
        self._now().optimize.compact(writer_properties=_writer({}))

    def vacuum(self, keep: Sequence[int] = ()) -> None:
        """Remove the files that neither the table as it is nor the versions in `keep` name, once they are old."""
        self._now().vacuum(
            RETENTION_HOURS, dry_run=False, enforce_retention_duration=False, full=True, keep_versions=list(keep)
        )

    def restore(self, to: int) -> None:
        self._now().restore(to)

    def empty(self) -> None:
        self._now().delete()

    def _now(self) -> DeltaTable:
        if self._opened is None:
            self._opened = DeltaTable(self.path)
        else:
            self._opened.update_incremental()
        return self._opened


class Tables(dict[str, Table]):
    """The tables in the folders within a folder, by name, for whoever holds its lock."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, name: str) -> Table:
        return self.setdefault(name, Table(self.folder / name))


def crowded(sizes: Mapping[Values, tuple[int, int]]) -> list[Values]:
    """The partitions, of so many files and rows, that it is time to write anew: their spare files, of which one came a
    day, have cost about as much by now. None where there are few such files in all."""
    spare = {
        values: files - 1
        for values, (files, rows) in sizes.items()
        if (files - 1) ** 2 / 2 * ROWS_A_FILE > ROWS_A_PARTITION + rows
    }
    return sorted(spare) if sum(spare.values()) >= SPARE_FILES else []


def _in_groups(partitions: Iterable[Values], rows: Mapping[Values, int]) -> Iterator[list[Values]]:
    """As many partitions as may be written at once; one alone may have more rows."""
    some: list[Values] = []
    for values in partitions:
        full = len(some) == PARTITIONS_AT_ONCE or sum(rows[one] for one in (*some, values)) > ROWS_AT_ONCE
        if some and full:
            yield some
            some = []
        some.append(values)
    if some:
        yield some


def _equals(name: str, value: object) -> pc.Expression:
    return pc.field(name) == value


def _writer(columns: dict[str, ColumnProperties]) -> WriterProperties:
    return WriterProperties(compression="ZSTD", max_row_group_size=ROWS_IN_GROUP, column_properties=columns)
