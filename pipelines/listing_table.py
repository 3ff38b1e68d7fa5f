"""The newest lists as a database table, for a record system or a reporting tool that reads SQL.

`lists` has a row for each person on each team's newest list, in the words of its spreadsheet; `list_state` has one row,
which says what day they are of, from when they are out of date, and what a reader must know first. Both are replaced
in one transaction. They hold identities: whoever may read them is the database's to say.
"""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Column,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from features.errors import StorageError
from pipelines.databases import address, engine, found
from pipelines.folders import CSV_NAME
from pipelines.pages.lists import CSV_COLUMNS
from pipelines.publish import MANIFEST
from pipelines.storage import storage_fault
from pipelines.withheld import MARK, notes_of

SETTING = "forms.database"
TABLES = MetaData()
NUMBERS: dict[str, Any] = {
    "rank": Integer,
    "risk": Float,
    "previous_risk": Float,
    "age": Integer,
    "days_on_list": Integer,
    "days_on_caseload": Integer,
}
LISTS = Table(
    "lists",
    TABLES,
    Column("team_id", String(200), primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("day", Date, nullable=False),
    Column("valid_until", DateTime(timezone=True), nullable=False),
    Column("team", Text, nullable=False),
    *(Column(name, NUMBERS.get(name, Text)) for name in CSV_COLUMNS if name != "rank"),
    Column(MARK, Text),
)
STATE = Table(
    "list_state",
    TABLES,
    Column("day", Date, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True), nullable=False),
    Column("listed", Integer, nullable=False),
    Column("notes", Text, nullable=False),
)


@dataclass(frozen=True)
class ListingTable:
    """The tables in the database at `url` ($NAME in it comes from the environment); without one, nothing is done."""

    url: str

    def show(self, folder: Path) -> None:
        """Put a published day's lists in place of what the tables hold, unless that is of a later day.

        folder: the day's. StorageError where the database does not take it; then it holds what it held.
        """
        if not self.url:
            return
        manifest = json.loads((folder / MANIFEST).read_bytes())
        state = _state(manifest)
        rows = [row for team in manifest["teams"] for row in _rows(team, folder, state)]
        with self._open() as connection:
            if any(day > state["day"] for day in connection.execute(select(STATE.c.day)).scalars()):
                return
            connection.execute(delete(LISTS))
            connection.execute(delete(STATE))
            connection.execute(insert(STATE), state)
            if rows:
                connection.execute(insert(LISTS), rows)

    def mark(self, latest: Path) -> None:
        """Say of the lists that the tables hold what the marked copy of them in `latest` says first."""
        if not self.url:
            return
        manifest = json.loads((latest / MANIFEST).read_bytes())
        notes = "\n".join([*_notes(manifest), *(note for _, note in sorted(manifest["held"].items()))])
        with self._open() as connection:
            same_day = STATE.c.day == _state(manifest)["day"]
            connection.execute(update(STATE).where(same_day).values(notes=notes))

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        """A transaction; errors tell nothing of the address."""
        database = engine(address(self.url, SETTING), SETTING)
        try:
            TABLES.create_all(database)
            with database.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            message = (
                f"The lists stand, and the database that {SETTING} names must show them; it did not: "
                f"{storage_fault(error) or found(error)}. It holds what it held. See to it, and run again."
            )
            raise StorageError(message) from error


def _state(manifest: dict[str, Any]) -> dict[str, Any]:
    stamp = manifest["stamp"]
    as_of = datetime.fromisoformat(stamp["as_of"])
    return {
        "day": as_of.astimezone(ZoneInfo(stamp["zone"])).date(),
        "as_of": as_of,
        "valid_until": datetime.fromisoformat(stamp["valid_until"]),
        "listed": manifest["listed"],
        "notes": "\n".join(_notes(manifest)),
    }


def _notes(manifest: dict[str, Any]) -> list[str]:
    """What the index says before all else."""
    return notes_of(manifest, "index.html")


def _rows(team: dict[str, Any], folder: Path, state: dict[str, Any]) -> list[dict[str, Any]]:
    """A team's spreadsheet as rows: empty cells are null, figures are numbers. A list that is not the day's own, of a
    team that is held back, says so in its `MARK`; where there is none, there are no rows."""
    path = folder / team["folder"] / CSV_NAME
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8-sig")
    key = {"team_id": team["team_id"], "team": team["name"], "day": state["day"], "valid_until": state["valid_until"]}
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [key | {MARK: None} | {name: _typed(name, cell) for name, cell in row.items()} for row in rows]


def _typed(name: str, cell: str) -> Any:
    if not cell:
        return None
    kind = NUMBERS.get(name)
    return cell if kind is None else float(cell) if kind is Float else int(cell)
