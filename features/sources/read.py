"""Reading one extract by its mapping into a batch: canonical rows, identities, and what became of every row."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from features.batch import Batch, Scope
from features.errors import ConfigError, SourceError
from features.frames import connect
from features.sources.account import account, nulls
from features.sources.cells import literal, moment, quoted, wall_clock
from features.sources.compile import Compiled, compile_spec
from features.sources.mapping import HEADER, Mapping
from features.sources.raw import Extract, day_named, files_of, fingerprint, raw_name, read_extract
from features.sources.resolve import LINKS, Readers, identities, read_tables, resolve_people

LARGE_BYTES = 1 << 24
"""In extracts smaller than this a second thread costs more than it helps."""
ARRIVAL = "nothing says when it was received: the time of its files was taken"


def read_batch(
    folder: Path,
    mapping: Mapping,
    *,
    source: str,
    pseudonym: Callable[[Sequence[str]], Sequence[int]],
    zone: str,
    known_from: Literal["recorded", "receipt"],
    received_at: datetime | None = None,
    arrived_at: datetime | None = None,
    links: pa.Table | None = None,
) -> Batch:
    """Read the extract in `folder`, which may be one file.

    pseudonym: identity texts ('nhs:9990000018', 'local:RYX:12345') -> person ids. zone: of times without an offset,
    unless the mapping has its own. known_from: 'recorded' trusts the rows' own recorded times where there are any;
    'receipt' does not. received_at: when the extract arrived, whatever the mapping finds out. arrived_at: when its
    files did, where the mapping does not find out; not where all that is known hangs on it ('receipt') and the mapping
    has a rule. links: alias (a local id as in `Batch.identities`), person_id of earlier extracts' people.

    Raises SourceError where the extract cannot be read at all, ConfigError where the mapping's SQL does not run. Rows
    that cannot be used are left out, and counted in `Batch.account`.
    """
    zone = mapping.zone or zone
    with connect({}, 2 if _large(folder, mapping) else 1) as connection:
        extract = read_extract(connection, folder, mapping, zone)
        found_out = _receipt(folder, mapping, extract, zone)
        hangs_on_it = known_from == "receipt" and (mapping.receipt.column or mapping.receipt.folder)
        received = received_at or found_out or (None if hangs_on_it else arrived_at)
        if received is None:
            raise SourceError(_no_receipt(folder, mapping))
        received = received.astimezone(UTC)
        receipt = f"timestamptz {literal(received.isoformat())}"
        compiled = _run(mapping, connection, zone, receipt)
        readers = Readers(pseudonym, LINKS.empty_table() if links is None else links, receipt, known_from == "recorded")
        resolve_people(connection, compiled, readers)
        scopes = _scopes(mapping, extract, zone)
        tables = read_tables(connection, compiled, readers)
        notes = [] if received_at or found_out else [(folder.name, "", "note", ARRIVAL, 1)]
        return Batch(
            source=source,
            name=folder.name,
            fingerprint=_fingerprint(folder, extract, mapping, zone),
            received_at=received,
            tables=tables,
            identities=identities(connection, [one for one in compiled if not one.table]),
            account=account(mapping, extract, compiled, receipt, notes),
            nulls=nulls(mapping, extract),
            scopes=scopes,
            covers_to=min(scopes[0].end, received) if scopes else None,
        )


def _large(folder: Path, mapping: Mapping) -> bool:
    """What a database will answer is taken for large."""
    return mapping.asks_databases or sum(path.stat().st_size for path in files_of(folder)) >= LARGE_BYTES


def _run(mapping: Mapping, connection: duckdb.DuckDBPyConnection, zone: str, receipt: str) -> list[Compiled]:
    found: list[Compiled] = []
    made: set[str] = set()
    for table, number, spec in mapping.specs:
        place = f"{table or 'identities'} {number}"
        one = compile_spec(mapping, table, spec, f"spec {place}", zone, receipt)
        for statement in (*(sql for made_name, sql in one.prepare.items() if made_name not in made), one.create):
            _execute(connection, statement, f"mapping '{mapping.name}', {place}")
        made.update(one.prepare)
        found.append(one)
    return found


def _execute(connection: duckdb.DuckDBPyConnection, statement: str, where: str) -> None:
    """Run a mapping's SQL. Only a fault in the SQL itself is told in DuckDB's words: others may quote a cell."""
    try:
        connection.execute(statement)
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        message = f"{where}: its SQL must run over the columns it names: {str(error).splitlines()[0]}"
        raise ConfigError(message) from None
    except duckdb.Error as error:
        message = f"{where}: its SQL must run on any text; it gave {type(error).__name__}: use try_cast in it"
        raise ConfigError(message) from None


def _receipt(folder: Path, mapping: Mapping, extract: Extract, zone: str) -> datetime | None:
    """When the extract arrived, as the mapping finds out; null where it does not."""
    if HEADER in mapping.files:
        _refuse_other_headers(mapping, extract)
    rule = mapping.receipt
    if rule.column is not None:
        text = quoted(rule.column)
        select = moment(text, wall_clock(text, mapping.date_formats), zone)
        found = extract.connection.sql(f"select {select} from {raw_name(HEADER)}").fetchall()
        if found and found[0][0] is not None:
            return cast(datetime, found[0][0])
    if rule.folder is not None and (day := day_named(folder, mapping)) is not None:
        return datetime.combine(day, rule.time, tzinfo=ZoneInfo(zone))
    return None


def _no_receipt(folder: Path, mapping: Mapping) -> str:
    rule = mapping.receipt
    places = [f"header column '{rule.column}'"] if rule.column else []
    places += [f"folder name like {rule.folder}"] if rule.folder else []
    return (
        f"{folder.name} must say when it was received ({' or '.join(places) or 'its mapping has no receipt'}); "
        "it does not: give the time of receipt as `received_at` of its source in the configuration, or rename it"
    )


def _refuse_other_headers(mapping: Mapping, extract: Extract) -> None:
    raw = mapping.files[HEADER]
    count = extract.connection.sql(f"select count(*) from {raw_name(HEADER)}").fetchall()[0][0]
    if count != 1:
        message = (
            f"{' or '.join(raw.match)} must have one row, the extract's header; it has {count}: fetch one submission"
        )
        raise SourceError(message)


def _fingerprint(folder: Path, extract: Extract, mapping: Mapping, zone: str) -> str:
    found = fingerprint(folder, mapping, zone)
    return sha256(f"{found} {extract.answers.hexdigest()}".encode()).hexdigest() if mapping.asks_databases else found


def _read_whole(mapping: Mapping, extract: Extract, table: str) -> bool:
    """Whether the files behind a table had rows, all of which could be read: what a damaged file leaves out is not
    deleted for that."""
    files = {file for spec in mapping.tables[table] for file in extract.files.get(spec.from_, [])}
    damaged = any(file in files and rows for (file, _), rows in extract.rejected.items())
    rows = (
        extract.connection.sql(f"select count(*) from {raw_name(s.from_)}").fetchall() for s in mapping.tables[table]
    )
    return not damaged and any(found[0][0] for found in rows)


def _scopes(mapping: Mapping, extract: Extract, zone: str) -> tuple[Scope, ...]:
    """The period for which the header says that the extract is complete."""
    rule = mapping.complete
    if rule is None:
        return ()
    first, last = (wall_clock(quoted(column), mapping.date_formats) for column in (rule.first, rule.last))
    statement = f"select coalesce({rule.when}, false), {first}, {last} from {raw_name(HEADER)} as {HEADER}"
    complete, start, end = extract.connection.sql(statement).fetchall()[0]
    if not complete or start is None or end is None or not _read_whole(mapping, extract, rule.table):
        return ()
    days = (start, end + timedelta(days=1))
    start, end = (day.replace(hour=0, minute=0, second=0, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in days)
    return (Scope(rule.table, start, end),)
