"""Index rows, outcomes and assignments given as tables, for a task that is not a caseload's nine days."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import duckdb
import pyarrow as pa
from pydantic import model_validator

from features.errors import ConfigError, SourceError
from features.frames import connect
from features.schema import ARROW_TYPES
from features.sources.cells import literal, moment, quoted, wall_clock
from features.sources.compile import identity_sql
from features.sources.mapping import Identity, Part, RawTable
from features.sources.reading import read_text

FrameKind = Literal["index", "outcomes", "assignment"]
COLUMNS: dict[FrameKind, dict[str, str]] = {
    "index": {"as_of": "time", "team_id": "text"},
    "outcomes": {"at": "time", "kind": "text"},
    "assignment": {"as_of": "time", "part": "text"},
}
"""The columns of each kind of table beside person_id; text columns of index and outcomes may be left out."""

DATE_FORMATS = ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%Y%m%d")


class FrameSpec(Part):
    """A table given by whoever sets the task: a CSV or Parquet file (`path`), or a `query` over `files`, which it
    names. person: as in a mapping, best first; columns: ours -> the table's, where the names differ."""

    path: str | None = None
    files: dict[str, str] = {}
    query: str | None = None
    person: tuple[Identity, ...]
    columns: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.query is None) or bool(self.files) != (self.query is not None):
            message = "needs either 'path', or 'query' and the 'files' that it names"
            raise ValueError(message)
        return self


def read_frame(
    spec: FrameSpec, where: Path, *, kind: FrameKind, pseudonym: Callable[[Sequence[str]], Sequence[int]], zone: str
) -> pa.Table:
    """person_id and the columns of `kind` (`COLUMNS`), in order and without repetitions.

    where: the folder that the spec's paths start from. Every row must have a person and a moment that can be read:
    SourceError otherwise, since rows that whoever set the task counts on cannot be left out silently.
    """
    wanted = COLUMNS[kind]
    _refuse_unknown(spec, kind)
    with connect({}) as connection:
        connection.register("given", _given(connection, spec, where, kind))
        who = ", ".join(identity_sql(identity, lambda name: f"given.{quoted(name)}") for identity in spec.person)
        columns = ", ".join(_column(spec, name, type_, zone) for name, type_ in wanted.items())
        found = _run(connection, f"select coalesce({who}) as person, {columns} from given", kind)
        connection.register("found", found)
        _refuse_incomplete(connection, kind)
        identities = connection.sql("select distinct person from found order by person").to_arrow_table()["person"]
        ids = pa.array(pseudonym(identities.to_pylist()) if len(identities) else [], pa.int64())
        connection.register("ids", pa.table({"person": identities, "person_id": ids}))
        names = ["person_id", *map(quoted, wanted)]
        rows = connection.sql(f"select distinct {', '.join(names)} from found join ids using (person) order by all")
        fields = [pa.field("person_id", pa.int64()), *(pa.field(n, ARROW_TYPES[t]) for n, t in wanted.items())]
        return rows.to_arrow_table().cast(pa.schema(fields))


def _refuse_unknown(spec: FrameSpec, kind: FrameKind) -> None:
    for name in spec.columns:
        if name not in COLUMNS[kind]:
            message = f"{kind}: there is no column '{name}'; known: {', '.join(COLUMNS[kind])}"
            raise ConfigError(message)


def _given(connection: duckdb.DuckDBPyConnection, spec: FrameSpec, where: Path, kind: FrameKind) -> pa.Table:
    """The table as text; columns that may be left out, and are, are null."""
    names = [spec.columns.get(name, name) for name in COLUMNS[kind]]
    optional = {spec.columns.get(name, name) for name in ("team_id", "kind")}
    identity = [column for one in spec.person for column in one.columns]
    needs = tuple(dict.fromkeys((*identity, *(name for name in names if name not in optional))))
    if spec.path is not None:
        raw = RawTable(match=("*",), columns=dict.fromkeys((*identity, *names), ()), needs=needs)
        text = read_text(where / spec.path, _bytes(where / spec.path, kind), raw)
        if text.rejected:
            message = f"{kind}: {spec.path} must be readable throughout; {sum(text.rejected.values())} rows are not"
            raise SourceError(message)
        return text.rows
    for name, path in spec.files.items():
        _bytes(where / path, kind)
        read = "read_parquet" if path.endswith(".parquet") else "read_csv"
        how = "" if read == "read_parquet" else ", all_varchar = true, header = true"
        connection.execute(f"create temp view {quoted(name)} as from {read}({literal(str(where / path))}{how})")
    found = _run(connection, f"select columns(*)::varchar from ({spec.query})", kind)
    for name in (need for need in needs if need not in found.column_names):
        message = f"{kind}: the query must give a column '{name}'; it gives {', '.join(found.column_names)}"
        raise ConfigError(message)
    missing = [name for name in names if name not in found.column_names]
    for name in missing:
        found = found.append_column(name, pa.nulls(found.num_rows, pa.string()))
    return found


def _bytes(path: Path, kind: FrameKind) -> bytes:
    if not path.is_file():
        message = f"{kind}: there must be a file {path}; there is none: correct the path in the configuration"
        raise SourceError(message)
    return path.read_bytes()


def _column(spec: FrameSpec, name: str, type_: str, zone: str) -> str:
    text = f"given.{quoted(spec.columns.get(name, name))}"
    value = moment(text, wall_clock(text, DATE_FORMATS), zone) if type_ == "time" else text
    return f"{value} as {quoted(name)}"


def _run(connection: duckdb.DuckDBPyConnection, statement: str, kind: FrameKind) -> pa.Table:
    try:
        return connection.sql(statement).to_arrow_table()
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        message = f"{kind}: its query must run over the files it names: {str(error).splitlines()[0]}"
        raise ConfigError(message) from None
    except duckdb.Error as error:
        message = f"{kind}: its files must be readable and its query must run; it gave {type(error).__name__}"
        raise SourceError(message) from None


def _refuse_incomplete(connection: duckdb.DuckDBPyConnection, kind: FrameKind) -> None:
    at = next(iter(COLUMNS[kind]))
    bad = connection.sql(f"select count(*) from found where person is null or {quoted(at)} is null").fetchall()[0][0]
    if bad:
        message = f"{kind}: every row must name a person and a moment '{at}' that can be read; {bad} rows do not"
        raise SourceError(message)
