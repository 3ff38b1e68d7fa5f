"""A new pseudonym key for a whole workspace: every store that holds pseudonyms is made again under it, and switched.

The history is not translated, since some rows' identities are made from pseudonyms: its extracts are read again, in
the order in which they were taken up, and must give as many rows as they did. Which former pseudonym is which new one
is known only while this runs.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ConfigError, NotReadyError
from pipelines import runs
from pipelines.fingerprints import Fingerprints
from pipelines.identities import Identities
from pipelines.ingesting import read_under
from pipelines.service import Service
from pipelines.staging import staged
from pipelines.store import History
from pipelines.workspace import KEY_CHECK, KEY_VARIABLE, key_check, new_key, pseudonyms, read_key, write_private

Tell = Callable[[str], None]
LOGGED_LISTS = "list.parquet"
"""The pseudonymised list of each day that MLflow keeps."""


@dataclass(frozen=True)
class Rotated:
    """What was made again, in counts. outside: whether the new key has to be put where the former one came from."""

    extracts: int
    people: int
    publications: int
    exposures: int
    outside: bool


class Renaming:
    """Pseudonyms under a new key, and of each person met on the way the former one with it."""

    def __init__(self, former: bytes, new: bytes) -> None:
        self.former, self.new = former, new
        self._met: dict[int, int] = {}

    def pseudonym(self, identities: Sequence[str]) -> list[int]:
        made = pseudonyms(identities, self.new)
        self._met.update(zip(pseudonyms(identities, self.former), made, strict=True))
        return made

    def __len__(self) -> int:
        return len(self._met)

    def of(self, people: pd.Series, where: str) -> pd.Series:
        """The new pseudonyms of former ones; NotReadyError where one is of nobody in the extracts."""
        found = people.map(self._met)
        lost = int(found.isna().sum())
        if lost:
            message = f"A new key needs everyone's identity; of {lost} rows of {where} no extract has it."
            message = f"{message} Restore the extracts; nothing was changed."
            raise NotReadyError(message)
        return found.astype(np.int64)


def rotate(service: Service, to: Path | None, now: datetime, tell: Tell) -> Rotated:
    """Make the workspace again under the key in the file `to`, or under a fresh one, whole or not at all.

    NotReadyError where an extract is not there any more, or does not say what it said; ConfigError where the key or the
    place of the exposure log does not allow it. Nothing is changed then.
    """
    workspace = service.workspace
    former = workspace.key()
    outside = bool(os.environ.get(KEY_VARIABLE)) or workspace.key_file is not None
    renaming = Renaming(former, _new(service, to, outside))
    if service.config.exposure.url:
        message = "A new key is given to an exposure log in the workspace; exposure.url names a database elsewhere. "
        raise ConfigError(message + "Nothing was changed; docs/operations.md says what can be done.")
    with staged(workspace.root) as aside:
        extracts = _read_again(service, renaming, aside, tell)
        if not outside:
            write_private(aside / workspace.identity.name / workspace.own_key.name, renaming.new)
        tell("publications and the exposure log")
        publications = _runs(workspace.runs, aside / workspace.runs.name, renaming)
        exposures = _exposures(workspace.exposure, aside / workspace.exposure.name, renaming, now)
        _logged(workspace.mlflow, aside / f"{workspace.mlflow.name}+", renaming)
    return Rotated(extracts, len(renaming), publications, exposures, outside)


def _new(service: Service, to: Path | None, outside: bool) -> bytes:
    if to is None and outside:
        message = f"The key comes from {KEY_VARIABLE} or access.key_file, so --to must name a file with the new one."
        message = f"{message} Make one, open to its owner alone, and put it in the former's place afterwards."
        raise ConfigError(message)
    key = new_key() if to is None else read_key(to)
    if key_check(key) == (service.workspace.history / KEY_CHECK).read_bytes():
        message = "A new key must be another than the one that the history was made with; it is the same."
        raise ConfigError(message)
    return key


def _read_again(service: Service, renaming: Renaming, aside: Path, tell: Tell) -> int:
    """The history and the identities, from every extract that the ledger names, in its order."""
    ledger, places = service.history.ledger(), _places(service)
    extracts: list[Any] = ledger.to_dict("records")
    history = History(aside / service.workspace.history.name, service.history.buckets)
    identities = Identities(aside / service.workspace.identity.name)
    lost = [row["name"] for row in extracts if (row["source"], row["fingerprint"]) not in places]
    if lost:
        message = f"A new key needs every extract that was taken up; {len(lost)} of {len(ledger)} are not there as they"
        message = f"{message} were, first {lost[0]}. Restore them; nothing was changed."
        raise NotReadyError(message)
    for row in extracts:
        tell(f"{row['source']}: {row['name']}")
        path = places[row["source"], row["fingerprint"]]
        batch = read_under(service, row["source"], path, renaming.pseudonym, identities)
        identities.keep(batch.fingerprint, batch.identities)
        history.ingest(batch, row["ingested_at"].to_pydatetime())
        identities.settle(history.fingerprints())
    _require_same(ledger, history.ledger())
    write_private(history.folder / KEY_CHECK, key_check(renaming.new))
    return len(ledger)


def _places(service: Service) -> dict[tuple[str, str], Path]:
    """Where each extract is that is still to be found as it was taken up."""
    remembered = Fingerprints(service.workspace.fingerprints)
    found: dict[tuple[str, str], Path] = {}
    for name, source in service.config.sources.items():
        extracts, mapping = service.extracts(name), service.mapping(source)
        if not mapping.asks_databases:
            pairs = remembered.of(extracts, mapping, source.zone or service.config.zone)
            found |= {(name, fingerprint): path for path, fingerprint in pairs}
    return found


def _require_same(was: pd.DataFrame, made: pd.DataFrame) -> None:
    columns = ["batch", "source", "fingerprint", "received_at", "covers_to", "rows", "added", "outdated"]
    unlike = (was[columns].reset_index(drop=True) != made[columns].reset_index(drop=True)).any(axis=1)
    if unlike.any():
        message = f"Extracts read again must give what they gave; {int(unlike.sum())} of {len(was)} do not, first "
        first = was["name"].iloc[int(unlike.to_numpy().argmax())]
        message = f"{message}{first}. Look at its files' times; nothing was changed."
        raise NotReadyError(message)


def _runs(folder: Path, aside: Path, renaming: Renaming) -> int:
    """Every publication's folder, with its tables under the new pseudonyms and a mark that they are."""
    if not folder.exists():
        return 0
    shutil.copytree(folder, aside, ignore=shutil.ignore_patterns("*.parquet", ".*"))
    for path in sorted(folder.glob("[0-9]*/[0-9]*/*.parquet")):
        target = aside / path.relative_to(folder)
        write_private(target, runs.as_parquet(_renamed(pd.read_parquet(path), renaming, "a publication")))
        write_private(target.with_name(runs.REKEYED), b"")
    return len(list(aside.glob(f"[0-9]*/[0-9]*/{runs.RANKED}")))


def _renamed(frame: pd.DataFrame, renaming: Renaming, where: str) -> pd.DataFrame:
    return frame.assign(person_id=renaming.of(frame["person_id"], where))


def _exposures(folder: Path, aside: Path, renaming: Renaming, now: datetime) -> int:
    """A copy of the log with the new pseudonyms in every table that names people, as append-only as it was; what the
    former held stays on record as counts and a hash."""
    log = folder / "exposure.sqlite"
    if not log.exists():
        return 0
    shutil.copytree(folder, aside, ignore=shutil.ignore_patterns(f"{log.name}*"))
    (aside / log.name).touch(mode=0o600)
    with closing(sqlite3.connect(log)) as was, closing(sqlite3.connect(aside / log.name)) as made:
        was.backup(made)
        counts = _rename_tables(made, renaming)
        made.execute("vacuum")
    told = {"rotated_at": now.isoformat(), "sha256": sha256(log.read_bytes()).hexdigest(), "rows": counts}
    record = aside / "rotations.jsonl"
    before = record.read_bytes() if record.exists() else b""
    write_private(record, before + json.dumps(told).encode() + b"\n")
    return counts.get("exposures", 0)


def _rename_tables(log: sqlite3.Connection, renaming: Renaming) -> dict[str, int]:
    """The rows of each table that has a person_id, all of them renamed; triggers are off meanwhile."""
    triggers = log.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
    for name, _ in triggers:
        log.execute(f'drop trigger "{name}"')
    names = [name for (name,) in log.execute("select name from sqlite_master where type = 'table'").fetchall()]
    counts = {name: _rename_table(log, name, renaming) for name in names if "person_id" in _columns(log, name)}
    for _, sql in triggers:
        log.execute(sql)
    log.commit()
    return counts


def _columns(log: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in log.execute(f'pragma table_info("{table}")')]


def _rename_table(log: sqlite3.Connection, table: str, renaming: Renaming) -> int:
    """By row, since a new pseudonym may be another's former one."""
    rows: list[tuple[Any, ...]] = log.execute(f'select rowid, person_id from "{table}"').fetchall()
    named = pd.Series([person for _, person in rows], dtype="int64")
    new = renaming.of(named, f"the exposure log's {table}").tolist()
    log.execute(f'update "{table}" set person_id = -1 - person_id')
    log.executemany(
        f'update "{table}" set person_id = ? where rowid = ?',
        [(person, row) for person, (row, _) in zip(new, rows, strict=True)],
    )
    return len(rows)


def _logged(folder: Path, aside: Path, renaming: Renaming) -> None:
    for path in sorted((folder / "artifacts").glob(f"**/{LOGGED_LISTS}")):
        target = aside / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(runs.as_parquet(_renamed(pd.read_parquet(path), renaming, "a logged list")))
