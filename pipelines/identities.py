"""Who the pseudonyms are: kept apart from the history, joined on only when a list is written for its team."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("person_id", "nhs_number", "local_id", "family_name", "given_name", "birth_date")
SCHEMA = """
create table if not exists people (
    person_id integer primary key, nhs_number text, local_id text, family_name text, given_name text, birth_date text);
create table if not exists links (alias text primary key, person_id integer not null);
"""
KEEP_KNOWN = """
insert into people values (?, ?, ?, ?, ?, ?) on conflict (person_id) do update set
    nhs_number = coalesce(excluded.nhs_number, nhs_number), local_id = coalesce(excluded.local_id, local_id),
    family_name = coalesce(excluded.family_name, family_name), given_name = coalesce(excluded.given_name, given_name),
    birth_date = coalesce(excluded.birth_date, birth_date)
"""
ALL_LINKS = """
select json_array(json_group_array(alias), json_group_array(person_id)) from (select * from links order by alias)
"""
"""As one row: between any two, other threads that are at work would get their turn."""


class Identities:
    """The identity store in `folder`, a file that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "identities.sqlite"
        self.waiting = folder / "waiting"

    def keep(self, fingerprint: str, identities: pa.Table) -> None:
        """Put a batch's identities aside until the history holds it: a link must not be known before its merge is."""
        self.waiting.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.waiting / f"{fingerprint}.parquet"
        path.touch(mode=0o600)
        pq.write_table(identities, path)

    def settle(self, held: set[tuple[str, str]]) -> None:
        """Take up the identities that were put aside for batches that the history holds; drop the others."""
        fingerprints = {fingerprint for _, fingerprint in held}
        for path in sorted(self.waiting.glob("*.parquet")):
            if path.stem in fingerprints:
                self.add(pq.read_table(path))
            path.unlink()

    def add(self, identities: pa.Table) -> None:
        """Take up what a batch says of people; a later word replaces an earlier one, a null replaces nothing."""
        rows = [tuple(_text(row.get(name)) for name in COLUMNS) for row in identities.to_pylist()]
        with self._open() as connection:
            connection.executemany(KEEP_KNOWN, rows)
            links = [(row[2], row[0]) for row in rows if row[2]]
            connection.executemany("insert or replace into links values (?, ?)", links)

    def links(self) -> pa.Table:
        """alias (local identity as a source writes it), person_id."""
        with self._open() as connection:
            (found,) = connection.execute(ALL_LINKS).fetchone()
        alias, person = json.loads(found)
        return pa.table({"alias": pa.array(alias, pa.string()), "person_id": pa.array(person, pa.int64())})

    def people(self) -> pd.DataFrame:
        """A frame of `COLUMNS`, one row per person."""
        with self._open() as connection:
            rows = connection.execute(f"select {', '.join(COLUMNS)} from people order by person_id").fetchall()
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"person_id": "int64"})

    def of(self, people: Iterable[int]) -> pd.DataFrame:
        """As `people`, but of those only, in the order of their ids."""
        wanted = sorted({int(person) for person in people})
        sql = f"select {', '.join(COLUMNS)} from people where person_id = ?"
        with self._open() as connection:
            rows = [row for person in wanted for row in connection.execute(sql, (person,))]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"person_id": "int64"})

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            with connection:
                connection.executescript(SCHEMA)
                yield connection
        finally:
            connection.close()


def _text(value: object) -> object:
    return value if value is None or isinstance(value, int) else str(value)
