"""The ingest step: every new extract of every source into the history, with a report of what became of the rows."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa

from features.batch import ACCOUNT_COLUMNS, Batch
from features.errors import SourceError
from features.sources.read import read_batch
from features.sources.resolve import Pseudonym
from pipelines import accounts
from pipelines.fingerprints import Fingerprints
from pipelines.identities import Identities
from pipelines.pages import quality_page
from pipelines.quality import quality
from pipelines.service import Service
from pipelines.store import Ingested
from pipelines.workspace import pseudonyms

Tell = Callable[[str], None]
R = TypeVar("R")
PAUSES = (1.0, 5.0, 25.0)
"""Seconds before each further try at reading a source."""
PASSING = {
    *(errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.ESTALE, errno.ENOTCONN, errno.ECONNRESET),
    *(errno.ECONNABORTED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET),
}
"""Faults of a disk or a network that may be gone in a moment."""
LASTING = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
OUTDATED = "left out: an extract that tells of a later time had spoken of the row"
GONE = "deleted from the history: the extract is complete for its period and leaves the row out"
CAPTIONS = {
    "files": "Rows read, kept, rejected and unused, by file",
    "reasons": "Why rows were rejected, unused or changed",
    "nulls": "Empty cells by column and provider",
    "lags": "Days from when something occurred to when it was known",
    "newest": "Newest record of each feed",
}


@dataclass(frozen=True)
class IngestResult:
    """What an ingestion did. report: its page; null where there was nothing new. useless: of which files no row could
    be used, and why, in a sentence each."""

    ingested: tuple[Ingested, ...]
    rows: int
    rejected: int
    report: Path | None
    useless: tuple[str, ...] = ()


def ingest(service: Service, now: datetime, tell: Tell) -> IngestResult:
    """Take up every extract that has not been taken up, oldest first within each source.

    An extract that cannot be read raises SourceError with the ones before it taken up and itself not at all. An extract
    received after `now` is left for later.
    """
    done: list[Ingested] = []
    batches: list[Batch] = []
    held = service.history.fingerprints()
    service.identities.settle(held)
    remembered = Fingerprints(service.workspace.fingerprints)
    try:
        for name in service.config.sources:
            for path, found in steadily(name, partial(_fingerprinted, service, name, remembered), tell):
                if (name, found) in held:
                    done.append(Ingested(name, path.name, {}, already=True))
                else:
                    _take_up(service, name, path, now, done, batches, tell)
    finally:
        remembered.keep()
        report = _report(service, batches, now)
    account = pd.concat([b.account for b in batches]) if batches else pd.DataFrame({"outcome": [], "rows": []})
    rows = account.groupby("outcome")["rows"].sum() if len(account) else pd.Series(dtype="int64")
    counts = int(rows.get("kept", 0)), int(rows.get("rejected", 0))
    return IngestResult(tuple(done), *counts, report, tuple(line for batch in batches for line in _useless(batch)))


def _useless(batch: Batch) -> Iterator[str]:
    """The files of which every row was rejected: a slip in the mapping as a rule."""
    told = batch.account[batch.account["outcome"] != "note"]
    for file, found in told.groupby("file"):
        if set(found["outcome"]) == {"rejected"}:
            most = found.sort_values("rows")["reason"].iloc[-1]
            yield f"{batch.name}, {file}: all {found['rows'].sum():,} rows were rejected, most of them for: {most}"


def _fingerprinted(service: Service, name: str, remembered: Fingerprints) -> list[tuple[Path, str]]:
    """A source's extracts with their fingerprints; of what a database would answer there is none before it is asked."""
    source, extracts = service.config.sources[name], service.extracts(name)
    mapping = service.mapping(source) if extracts else None
    if mapping is None or mapping.asks_databases:
        return [(path, "") for path in extracts]
    return list(remembered.of(extracts, mapping, source.zone or service.config.zone))


def _take_up(
    service: Service, name: str, path: Path, now: datetime, done: list[Ingested], batches: list[Batch], tell: Tell
) -> None:
    tell(f"{name}: {path.name}")
    batch = read_extract(service, name, path, tell)
    if batch.received_at <= now:
        service.identities.keep(batch.fingerprint, batch.identities)
        key = service.workspace.key()
        accounts.keep(service.workspace.quality, batch, lambda texts: pseudonyms(texts, key))
        done.append(service.history.ingest(batch, now))
        service.identities.settle(service.history.fingerprints())
        batches.append(_counted(batch, done[-1]))
    else:
        done.append(Ingested(name, path.name, {}, ahead=True))
        tell(f"{name}: {path.name} says that it was received after now; it is left for later")


def _counted(batch: Batch, done: Ingested) -> Batch:
    """What the report needs of a batch: its counts and clocks, without the rest of its rows."""
    clocks = {"known_from", "occurred_at", "received_at", "admitted_at", "arrived_at"}
    slim = {name: rows.select([c for c in rows.column_names if c in clocks]) for name, rows in batch.tables.items()}
    kinds = ((OUTDATED, done.outdated), (GONE, done.gone))
    notes = [(batch.name, table, "note", reason, rows) for reason, found in kinds for table, rows in found.items()]
    account = pd.concat([batch.account, pd.DataFrame(notes, columns=list(ACCOUNT_COLUMNS))]) if notes else batch.account
    return replace(batch, tables=slim, identities=pa.table({}), account=account)


def read_extract(service: Service, name: str, path: Path, tell: Tell) -> Batch:
    """One extract of a source as a batch, people by their pseudonyms."""
    key = service.workspace.key()

    def pseudonym(identities: Sequence[str]) -> list[int]:
        return pseudonyms(identities, key)

    return steadily(name, partial(read_under, service, name, path, pseudonym, service.identities), tell)


def read_under(service: Service, name: str, path: Path, pseudonym: Pseudonym, known: Identities) -> Batch:
    """One extract of a source, people by `pseudonym`, with what is `known` of local identities by then."""
    source = service.config.sources[name]
    return read_batch(
        path,
        service.mapping(source),
        source=name,
        pseudonym=pseudonym,
        zone=source.zone or service.config.zone,
        known_from=source.known_from,
        received_at=source.received_at,
        arrived_at=_arrived_at(path),
        links=known.links(),
    )


def steadily(source: str, read: Callable[[], R], tell: Tell) -> R:
    """What `read` gives, tried again after a while where a disk or a network fails; SourceError where it goes on to, or
    where a file may not be read."""
    for pause in (*PAUSES, None):
        try:
            return read()
        except OSError as error:
            again = error.errno in PASSING and pause is not None
            if not again and error.errno not in PASSING | LASTING:
                raise
            if not again:
                raise SourceError(_unread(source, error)) from error
            tell(f"{source}: cannot be read ({error.strerror}); trying again in {pause:.0f} s")
            time.sleep(pause or 0)
    raise AssertionError


def _unread(source: str, error: OSError) -> str:
    tries = f", and {len(PAUSES) + 1} tries gave the same" if error.errno in PASSING else ""
    return (
        f"Source '{source}' must be readable; reading an extract of it gave '{error.strerror}'{tries}. See to its "
        "disk, share or rights, and run again: what came before is in the history."
    )


def _arrived_at(path: Path) -> datetime:
    """The newest modification time of an extract's files."""
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return datetime.fromtimestamp(max((file.stat().st_mtime for file in files), default=0.0), UTC)


def _report(service: Service, batches: list[Batch], now: datetime) -> Path | None:
    if not batches:
        return None
    frames = quality(batches)
    folder = service.workspace.quality / f"{now:%Y-%m-%dT%H%M%S}Z-{batches[0].fingerprint[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    header = {"Trust": service.config.trust, "Ingested": f"{now:%d-%b-%Y %H:%M} UTC", "Extracts": str(len(batches))}
    captioned = {CAPTIONS[name]: frames[name] for name in frames if name in CAPTIONS}
    page = folder / "report.html"
    page.write_text(quality_page(captioned, header, simulated=service.config.simulated), encoding="utf-8")
    return page
