"""Who was on which list, in SQL: rows are added and never changed, and removed only by a pruning that is on record.

Each publication of a day's lists is a version. The database itself refuses every other change. Times are UTC. Whom a
roll-out shows by lot stands in `chances` too, and whom it withholds in `withheld`; elsewhere both are empty.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pandas as pd
from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from features.errors import StorageError
from pipelines.databases import address, engine, found
from pipelines.storage import storage_fault

SETTING = "exposure.url"
TABLES = MetaData()
PUBLICATIONS = Table(
    "publications",
    TABLES,
    Column("as_of", DateTime(timezone=True), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("model", String(200), nullable=False),
    Column("lists", String(64), nullable=False),
    Column("listed", Integer, nullable=False),
)
EXPOSURES = Table(
    "exposures",
    TABLES,
    Column("as_of", DateTime(timezone=True), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("team_id", String(200), primary_key=True),
    Column("person_id", BigInteger, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("risk", Float, nullable=False),
    ForeignKeyConstraint(["as_of", "version"], ["publications.as_of", "publications.version"]),
)
CHANCES = Table(
    "chances",
    TABLES,
    Column("as_of", DateTime(timezone=True), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("team_id", String(200), primary_key=True),
    Column("person_id", BigInteger, primary_key=True),
    Column("chance", Float, nullable=False),
    ForeignKeyConstraint(["as_of", "version"], ["publications.as_of", "publications.version"]),
)
WITHHELD = Table(
    "withheld",
    TABLES,
    Column("as_of", DateTime(timezone=True), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("team_id", String(200), primary_key=True),
    Column("person_id", BigInteger, primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("risk", Float, nullable=False),
    Column("chance", Float, nullable=False),
    Column("reason", String(40), nullable=False),
    ForeignKeyConstraint(["as_of", "version"], ["publications.as_of", "publications.version"]),
)
OF_PEOPLE = (EXPOSURES, CHANCES, WITHHELD)
"""Tables that name people, of which old rows may be pruned."""
PRUNINGS = Table(
    "prunings",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("pruned_at", DateTime(timezone=True), nullable=False),
    Column("kept_from", DateTime(timezone=True), nullable=False),
    Column("exposures", Integer, nullable=False),
)
PRUNED = "coalesce((select max(kept_from) from prunings), '0001-01-01')"
REFUSAL = "the exposure log is append-only"


def append_only(table: Table, kept: str = "1 = 1") -> None:
    """Have the database itself refuse that rows of the table are changed, or deleted where they are `kept`, a condition
    in SQL on `old`."""
    for change, guarded in (("update", "1 = 1"), ("delete", kept)):
        name = f"{table.name}_refuse_{change}"
        sqlite = f"""create trigger if not exists {name} before {change} on {table.name} when {guarded}
            begin select raise(abort, '{REFUSAL}'); end"""
        function = f"""create or replace function {name}() returns trigger as $$ begin
            if {guarded} then raise exception '{REFUSAL}'; end if; return old; end $$ language plpgsql"""
        trigger = f"""create or replace trigger {name} before {change} on {table.name}
            for each row execute function {name}()"""
        for dialect, statement in (("sqlite", sqlite), ("postgresql", function), ("postgresql", trigger)):
            ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table.metadata, "after_create", ddl)


append_only(PUBLICATIONS)
append_only(PRUNINGS)
for table in OF_PEOPLE:
    append_only(table, f"old.as_of >= {PRUNED}")


class Exposures:
    """The log in the database at `url`, by default in a file in `folder` that only its owner can read."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.path = None if url else folder / "exposure.sqlite"
        self.url = address(url, SETTING) if url else f"sqlite:///{self.path}"

    @contextmanager
    def appending(self, version: dict[str, Any], ranked: pd.DataFrame) -> Iterator[None]:
        """Adds who is listed by a publication, and who is withheld, for good when what is done inside is done; not if
        it fails.

        version: a value for each column of `PUBLICATIONS`. ranked: as `models.ranking.rank` gives it. A version that is
        there already stays as it is. StorageError where the database cannot be written to.
        """
        with self._open() as connection:
            if not _there(connection, version):
                connection.execute(insert(PUBLICATIONS), version)
                for table, rows in _rows(version, ranked):
                    if rows:
                        connection.execute(insert(table), rows)
            yield

    def versions(self) -> pd.DataFrame:
        """A frame of the columns of `PUBLICATIONS`, in their order."""
        return self._frame(PUBLICATIONS)

    def listed(self) -> pd.DataFrame:
        """A frame of the columns of `EXPOSURES`, in the order of publications, teams and ranks."""
        return self._frame(EXPOSURES).sort_values(["as_of", "version", "team_id", "rank"], ignore_index=True)

    def withheld(self) -> pd.DataFrame:
        """A frame of the columns of `WITHHELD`: who had a chance to be listed, or a team that waits, and was not."""
        return self._frame(WITHHELD).sort_values(["as_of", "version", "team_id", "rank"], ignore_index=True)

    def weighted(self) -> pd.DataFrame:
        """Everyone who was listed or withheld: the columns of `EXPOSURES`, shown, chance (of having been shown, 0-1)
        and reason (empty where shown). Weigh who was shown by 1 / chance, who was withheld by 1 / (1 - chance)."""
        keys = [column.name for column in CHANCES.columns if column.name != "chance"]
        listed = self.listed().merge(self._frame(CHANCES), on=keys, how="left").fillna({"chance": 1.0})
        rows = [listed.assign(shown=True, reason=""), self.withheld().assign(shown=False)]
        whole = pd.concat([frame for frame in rows if len(frame)] or rows, ignore_index=True)
        return whole.sort_values(["as_of", "version", "team_id", "rank"], ignore_index=True)

    def prune(self, before: datetime, now: datetime) -> int:
        """Remove who was on lists of cuts before that moment, or withheld, on record; how many rows went. The
        publications stay."""
        with self._open() as connection:
            old = {table: table.c.as_of < before.astimezone(UTC) for table in OF_PEOPLE}
            rows = sum(connection.execute(select(func.count()).select_from(t).where(old[t])).scalar_one() for t in old)
            if rows:
                told = {"pruned_at": now.astimezone(UTC), "kept_from": before.astimezone(UTC), "exposures": rows}
                connection.execute(insert(PRUNINGS), told)
                for table in OF_PEOPLE:
                    connection.execute(delete(table).where(old[table]))
            return int(rows)

    def _frame(self, table: Table) -> pd.DataFrame:
        with self._open() as connection:
            keys = list(table.primary_key.columns)
            rows = connection.execute(select(table).order_by(*keys)).mappings().all()
        frame = pd.DataFrame([dict(row) for row in rows], columns=[column.name for column in table.columns])
        times = [column.name for column in table.columns if isinstance(column.type, DateTime)]
        return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in times})

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        """A transaction; StorageError, telling nothing of the address, where the database does not take it."""
        database = engine(self.url, SETTING)
        try:
            self._make()
            TABLES.create_all(database)
            with database.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError(_lost(error)) from error

    def _make(self) -> None:
        if self.path is not None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600, exist_ok=True)


def _lost(error: SQLAlchemyError) -> str:
    return (
        "The exposure log must take up what is published; its database did not: "
        f"{storage_fault(error) or found(error)}. No list is shown that the log does not hold, once the next run has "
        f"ended. See to the database that {SETTING} names, and run again."
    )


def _there(connection: Connection, version: dict[str, Any]) -> bool:
    same = (PUBLICATIONS.c.as_of == version["as_of"]) & (PUBLICATIONS.c.version == version["version"])
    return connection.execute(select(PUBLICATIONS.c.lists).where(same)).first() is not None


def _rows(version: dict[str, Any], ranked: pd.DataFrame) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """What each of `OF_PEOPLE` takes up of a publication."""
    key = {"as_of": version["as_of"], "version": version["version"]}
    listed = ranked[ranked["listed"].astype(bool)]
    found = {EXPOSURES: listed}
    if "withheld" in ranked.columns:
        withheld = ranked[ranked["withheld"] != ""].rename(columns={"withheld": "reason"})
        found |= {CHANCES: listed[listed["chance"] < 1], WITHHELD: withheld}
    for table, rows in found.items():
        names = [column.name for column in table.columns if column.name not in key]
        yield table, [key | cast("dict[str, Any]", row) for row in rows[names].to_dict("records")]
