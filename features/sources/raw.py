"""An extract as tables of text in DuckDB: one for each of the mapping's raw tables, one row for each row it gave.

Beside the mapping's columns each has `_file`, `_row` (unique within the table, in the order read), `_at` (when the row
was recorded) and `_bad_at` (that it says when, unreadably).
"""

import fnmatch
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from features.errors import ConfigError, SourceError
from features.sources.cells import moment, quoted, wall_clock
from features.sources.mapping import Mapping, RawTable
from features.sources.reading import Text, count_rows, match_columns, read_text

OTHER = "file not in the mapping"


@dataclass
class Extract:
    """What was read: where (`connection`), each raw table's files by `_file`, rows rejected on reading by (file,
    reason), rows of files that no raw table matches, and the running hash of what databases answered."""

    connection: duckdb.DuckDBPyConnection
    files: dict[str, list[str]] = field(default_factory=dict)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    answers: Any = field(default_factory=sha256)


def read_extract(connection: duckdb.DuckDBPyConnection, folder: Path, mapping: Mapping, zone: str) -> Extract:
    """Read the files of `folder` (or the one file that it is) and the mapping's databases. Raises SourceError."""
    extract = Extract(connection)
    texts = _read_files(folder, mapping, extract)
    for name, raw in mapping.files.items():
        if raw.url is not None:
            texts[name] = [(name, _from_database(name, raw, extract))]
        elif raw.query is None and raw.required and not texts[name]:
            message = f"{folder.name} must have a file {' or '.join(raw.match)} ({name}); it has none: fetch it again"
            raise SourceError(message)
    derived = [name for name, raw in mapping.files.items() if raw.query is not None and raw.url is None]
    for name in (*(name for name in mapping.files if name not in derived), *derived):
        if name in derived:
            texts[name] = [(name, _derived(connection, name, mapping, set(extract.files)))]
        _store(extract, name, mapping, texts.pop(name), zone)
    return extract


def _read_files(folder: Path, mapping: Mapping, extract: Extract) -> dict[str, list[tuple[str, Text]]]:
    """What the files of each raw table say, by file name."""
    texts: dict[str, list[tuple[str, Text]]] = {name: [] for name in mapping.files}
    for path in files_of(folder):
        data = path.read_bytes()
        names = _matching(path.name, mapping)
        for name in names:
            texts[name].append((path.name, read_text(path, data, mapping.files[name])))
        if not names and re.search(r"\.(csv|txt|parquet)(\.gz)?$", path.name.lower()):
            extract.unmapped[path.name] += count_rows(path, data)
    return texts


def fingerprint(folder: Path, mapping: Mapping, zone: str) -> str:
    """SHA-256 of the extract's bytes, the mapping and the time zone, and of the day of receipt where the folder's name
    says it: the same words on another day are news. What a database would answer is not in it."""
    digest = sha256(json.dumps([mapping.model_dump(mode="json"), mapping.zone or zone], sort_keys=True).encode())
    if mapping.receipt.column is None and (day := day_named(folder, mapping)) is not None:
        digest.update(f"{day.isoformat()}\0".encode())
    for path in files_of(folder):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            while part := file.read(1 << 22):
                digest.update(part)
    return digest.hexdigest()


def day_named(folder: Path, mapping: Mapping) -> datetime | None:
    """The day that an extract's name says, as the mapping reads it; null where it says none."""
    try:
        return datetime.strptime(folder.name, mapping.receipt.folder or "").replace(tzinfo=UTC)
    except ValueError:
        return None


def files_of(folder: Path) -> list[Path]:
    """The files of an extract by name, without hidden ones and those that an editor has open."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        message = f"{folder} must be an extract: a folder of files, or one file; there is nothing there"
        raise SourceError(message)
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "~")))


def _matching(file: str, mapping: Mapping) -> list[str]:
    """The raw tables that a file's name matches; case and a final .gz do not matter. More than one is a mistake."""
    plain = file.lower().removesuffix(".gz")
    names = [n for n, raw in mapping.files.items() if any(fnmatch.fnmatch(plain, m.lower()) for m in raw.match)]
    if len(names) > 1:
        message = f"{file} must belong to one of the mapping's files; it matches {' and '.join(names)}"
        raise ConfigError(message)
    return names


def _from_database(name: str, raw: RawTable, extract: Extract) -> Text:
    """The result of a raw table's query; $NAME in the address comes from the environment, so no password is on file."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(os.path.expandvars(raw.url or ""))
        with engine.connect() as connection:
            result = connection.execute(text(raw.query or ""))
            header, rows = list(result.keys()), [tuple(row) for row in result]
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        message = f"files.{name}: the database must answer the query; it gave {type(error).__name__}: check both"
        raise SourceError(message) from None
    columns = [[None if cell is None else str(cell) for cell in column] for column in zip(*rows, strict=True)]
    extract.answers.update(repr((header, rows)).encode())
    arrays = [pa.array(column, pa.string()) for column in columns] or [pa.array([], pa.string())] * len(header)
    return _text_of(name, header, arrays, raw)


def _text_of(name: str, header: list[str], arrays: list[Any], raw: RawTable) -> Text:
    found = match_columns(f"files.{name}", header, raw)
    height = len(arrays[0])
    empty = pa.nulls(height, pa.string())
    rows = pa.table({column: arrays[places[0]] if places else empty for column, places in found.items()})
    return Text(rows, np.arange(1, height + 1))


def _derived(connection: duckdb.DuckDBPyConnection, name: str, mapping: Mapping, read: set[str]) -> Text:
    """The result of a query over the raw tables already read, which it names."""
    raw = mapping.files[name]
    for other in read:
        connection.execute(f"create or replace temp view {quoted(other)} as from {raw_name(other)}")
    try:
        table = connection.sql(f"select columns(*)::varchar from ({raw.query})").to_arrow_table()
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        message = f"files.{name}: the query must run over the other files: {str(error).splitlines()[0]}"
        raise ConfigError(message) from None
    except duckdb.Error as error:
        message = f"files.{name}: the query must run on any text; it gave {type(error).__name__}: use try_cast in it"
        raise ConfigError(message) from None
    return _text_of(name, table.column_names, table.columns, raw)


def raw_name(name: str) -> str:
    """The DuckDB table that holds a raw table."""
    return quoted(f"raw {name}")


def queried(mapping: Mapping) -> set[str]:
    """Raw tables that another one's query reads."""
    words = {word for raw in mapping.files.values() if raw.query for word in re.findall(r"\w+", raw.query)}
    return words & set(mapping.files)


def _store(extract: Extract, name: str, mapping: Mapping, texts: list[tuple[str, Text]], zone: str) -> None:
    """One DuckDB table from a raw table's files."""
    raw = mapping.files[name]
    first = 0
    parts = []
    extract.files[name] = [file for file, _ in texts]
    for place, (file, text) in enumerate(texts):
        number = pa.array(first + text.number, pa.int64())
        label = pa.array(np.full(text.rows.num_rows, place, np.int16))
        parts.append(text.rows.append_column("_file", label).append_column("_row", number))
        first += int(text.number.max(initial=0)) + sum(text.rejected.values()) + 1
        extract.rejected.update({(file, reason): count for reason, count in text.rejected.items()})
    columns = [pa.field(column, pa.string()) for column in raw.columns]
    schema = pa.schema([*columns, pa.field("_file", pa.int16()), pa.field("_row", pa.int64())])
    recorded = quoted(raw.recorded) if raw.recorded else "null::varchar"
    extract.connection.register("_given", pa.concat_tables([schema.empty_table(), *parts]))
    extract.connection.execute(f"""
        create temp table {raw_name(name)} as
        select * exclude (_clock), {moment(recorded, "_clock", zone)} as _at,
               {recorded} is not null and _at is null as _bad_at
        from (select *, {wall_clock(recorded, mapping.date_formats)} as _clock from _given)""")
    extract.connection.unregister("_given")
