"""A mapping: one YAML file that says how an extract's files become the contact history's tables. Adapters are data.

docs/sources.md describes the file for whoever writes one; the models below are what is checked when it is loaded.
"""

import datetime as dt
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, Self
from zoneinfo import available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.errors import ConfigError, nearest
from features.plain_yaml import StrictLoader, TimeOfDay, load_yaml
from features.schema import TABLES, Column, Table

IDENTITY_COLUMNS = ("nhs_number", "local_id", "family_name", "given_name", "birth_date")
HEADER = "header"
CONSTANT = "="
"""What stands before a word that is not a column's name but itself."""
UNKNOWN = "unknown"
DIRECTIVES = set("abcdfghjmnpuwxyzABGHIMSTUVWXYZ%")
"""Letters after % that DuckDB's strptime understands."""

Constant = str | int | float | bool


class Part(BaseModel):
    """A part of a mapping: frozen, and with nothing in it that is not understood."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class RawTable(Part):
    """One table of text as the source gives it: from files (`match`), from a database (`url` and `query`), or from
    the mapping's other raw tables (`query` alone).

    columns: the name used in the mapping -> other names the extract may give the column. needs: columns that must be
    there. recorded: the column saying when a row was written down. encoding: how bytes become text.
    """

    match: tuple[str, ...] = ()
    query: str | None = None
    url: str | None = None
    encoding: Literal["utf-8", "utf-8 else windows-1252"] = "utf-8"
    required: bool = False
    columns: dict[str, tuple[str, ...]]
    needs: tuple[str, ...] = ()
    recorded: str | None = None

    _lists = field_validator("match", "needs", mode="before")(_listed)

    @field_validator("columns", mode="before")
    @classmethod
    def _plain_names(cls, value: Any) -> Any:
        """A list of names is short for names without aliases."""
        if isinstance(value, list):
            return dict.fromkeys(value, ())
        return {name: _listed(aliases) or () for name, aliases in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if bool(self.match) == (self.query is not None) or (self.url is not None and self.query is None):
            message = "a raw table needs either 'match' (files) or 'query' (with 'url' where it is a database's)"
            raise ValueError(message)
        return self


class Identity(Part):
    """One way to know a person: `nhs` is kept only where the check digit holds, every other scheme where all its
    columns have something in them."""

    scheme: str = Field(pattern="^[a-z][a-z0-9_]*$")
    columns: tuple[str, ...] = Field(min_length=1)

    _lists = field_validator("columns", mode="before")(_listed)


class Lookup(Part):
    """The row of another raw table that belongs to this one, within the same submission.

    on: its column -> this row's. required: without it the row is rejected. refresh: a later version of the looked-up
    row makes a later version of this one, and none is seen before it was recorded. same: rows with one key must agree
    in this column, or nobody can say which is meant.
    """

    from_: str = Field(alias="from")
    on: dict[str, str] = Field(min_length=1)
    required: bool = False
    refresh: bool = False
    same: str | None = None


class Cell(Part):
    """How one column is filled; exactly one of column, value, date, concat, hash and sql.

    column: the first of these that is not empty. date: the earliest of these; with `time`, at that time of day
    (`default_time` where there is none), or with `from_time`, at the first moment after it that the clock shows `time`
    (null where there is none); with `whole_days`, whatever time it gives is dropped. otherwise: what becomes of a
    code that `codes` does not have.
    """

    column: tuple[str, ...] = ()
    value: Constant | None = None
    date: tuple[str, ...] = ()
    time: str | None = None
    default_time: TimeOfDay = dt.time(0)
    from_time: str | None = None
    whole_days: bool = False
    concat: tuple[str, ...] = ()
    between: str = ""
    hash: tuple[str, ...] = ()
    sql: str | None = None
    codes: dict[str, Constant | None] = {}
    otherwise: Literal["null", "keep", "refuse"] = "null"
    empty: Constant | None = None
    prefix: str = ""
    strip_zeros: bool = False
    upper: bool = False
    above: float | None = None

    _lists = field_validator("column", "date", "concat", "hash", mode="before")(_listed)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (bool(self.column), self.value is not None, bool(self.date), bool(self.concat), bool(self.hash))
        if sum((*ways, self.sql is not None)) != 1:
            message = "needs exactly one of column, value, date, concat, hash, sql"
            raise ValueError(message)
        return self

    @property
    def refers(self) -> tuple[str, ...]:
        return tuple(
            name for name in (*self.column, *self.date, self.time, self.from_time, *self.concat, *self.hash) if name
        )

    @property
    def constants(self) -> tuple[Constant, ...]:
        return tuple(c for c in (self.value, self.empty, *self.codes.values()) if c is not None)


class Collapse(Part):
    """Several rows of one thing (the episodes of a spell) become one row for each moment at which any was recorded.

    part: the column that tells the rows apart, in order. last: columns whose value is the last part's; every other
    column has the first part's.
    """

    part: str
    last: tuple[str, ...] = ()


class Spec(Part):
    """How rows of one raw table become rows of one canonical table (or identities).

    key: alternatives, the first without an empty part is used; `person` stands for the person, `=word` for the word
    itself. where: rows for which this SQL condition does not hold are unused, for the reason `unused`. refuse,
    note: reason -> SQL condition under which a row is rejected, or kept and counted.
    """

    from_: str = Field(alias="from")
    lookups: dict[str, Lookup] = {}
    collapse: Collapse | None = None
    key: tuple[tuple[str, ...], ...] = ()
    person: tuple[Identity, ...] = Field(min_length=1)
    where: str | None = None
    unused: str = "not of this kind"
    refuse: dict[str, str] = {}
    note: dict[str, str] = {}
    deleted: Cell | None = None
    columns: dict[str, Cell]

    @field_validator("key", mode="before")
    @classmethod
    def _alternatives(cls, value: Any) -> Any:
        value = _listed(value)
        flat = isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)
        return (tuple(value),) if flat and value else value

    @field_validator("columns", mode="before")
    @classmethod
    def _short_cells(cls, value: Any) -> Any:
        """A column's bare name is short for {column: name}."""
        if not isinstance(value, dict):
            return value
        return {name: {"column": cell} if isinstance(cell, str) else cell for name, cell in value.items()}


class Receipt(Part):
    """When the extract arrived: a header column, or the folder's name read with `folder`, at `time`."""

    column: str | None = None
    folder: str | None = None
    time: TimeOfDay = dt.time(0)


class Limit(Part):
    """What a measured code's value may be: in `unit` (null: none applies), from least to most."""

    unit: str | None = None
    least: float | None = None
    most: float | None = None


class Complete(Part):
    """When `when` holds for the header, the batch has every row of `table` from one date to another, both included."""

    table: str
    when: str
    first: str
    last: str


class Mapping(Part):
    """A whole mapping. zone: of times without an offset, where the source's is not the service's. provider: the column
    naming who supplied a row. no_date: dates that mean that there is none.
    units: unit as given -> [unit as kept, factor]. measures: code of an observation -> what its value may be."""

    name: str
    about: str
    files: dict[str, RawTable]
    receipt: Receipt = Receipt()
    zone: str | None = None
    provider: str | None = None
    no_date: tuple[str, ...] = ()
    date_formats: tuple[str, ...] = ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%Y%m%d")
    units: dict[str, tuple[str, float]] = {}
    measures: dict[str, Limit] = {}
    tables: dict[str, tuple[Spec, ...]] = {}
    identities: tuple[Spec, ...] = ()
    complete: Complete | None = None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            message = f"there is no time zone '{value}'"
            raise ValueError(message)
        return value

    @field_validator("date_formats")
    @classmethod
    def _understood(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not (said := re.findall("%-?(.?)", one)) or not set(said) <= DIRECTIVES:
                message = f"'{one}' is no way to write a date; write it like %d.%m.%Y %H:%M, as strptime reads it"
                raise ValueError(message)
        return value

    @property
    def asks_databases(self) -> bool:
        return any(raw.url is not None for raw in self.files.values())

    @property
    def specs(self) -> Iterator[tuple[str, int, Spec]]:
        """(table, number, spec) of every spec; identities come last, under the table name ''."""
        for table, specs in (*self.tables.items(), ("", self.identities)):
            for number, spec in enumerate(specs):
                yield table, number, spec


@lru_cache(maxsize=64)
def load_mapping(text: str, where: str) -> Mapping:
    """The mapping written in `text`; the same text is read once. ConfigError names the place within `where` that is
    not understood."""
    try:
        found = load_yaml(text, StrictLoader)
    except yaml.YAMLError as error:
        message = f"{where} must be YAML: {' '.join(str(error).split())}"
        raise ConfigError(message) from None
    if not isinstance(found, dict):
        message = f"{where} must be a mapping with 'name', 'about' and 'files'; it is {'empty' if not found else 'not'}"
        raise ConfigError(message)
    try:
        mapping = Mapping.model_validate(found)
    except ValidationError as error:
        raise ConfigError(_first_fault(error, where)) from None
    for table, number, spec in mapping.specs:
        _check_spec(mapping, spec, table, f"{where}: {f'tables.{table}' if table else 'identities'}[{number}]")
    _check_rest(mapping, where)
    return mapping


def _first_fault(error: ValidationError, where: str) -> str:
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        key = str(fault["loc"][-1])
        owner = _part_at(Mapping, fault["loc"][:-1])
        return f"{where}: '{key}' at {place} is not understood; {nearest(key, _keys(owner))}"
    return f"{where}: {place}: {fault['msg'].removeprefix('Value error, ')}"


def _keys(part: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def _part_at(part: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that a place within a mapping is an instance of."""
    parts = (RawTable, Identity, Lookup, Cell, Collapse, Spec, Receipt, Limit, Complete)
    fields: dict[str, type[BaseModel]] = {
        "files": RawTable, "tables": Spec, "identities": Spec, "lookups": Lookup, "person": Identity,
        "columns": Cell, "deleted": Cell, "collapse": Collapse, "receipt": Receipt, "measures": Limit,
        "complete": Complete,
    }  # fmt: skip
    for step in place:
        found = fields.get(str(step))
        part = found if found in parts else part
    return part


def known_columns(mapping: Mapping, spec: Spec) -> dict[str, RawTable]:
    """The raw tables whose columns a spec may name, by the prefix that names them ('' for its own)."""
    tables = {"": mapping.files[spec.from_]}
    tables.update({name: mapping.files[lookup.from_] for name, lookup in spec.lookups.items()})
    if HEADER in mapping.files:
        tables.setdefault(HEADER, mapping.files[HEADER])
    return tables


def _check_name(word: str, known: Any, kind: str, where: str) -> None:
    if word not in known:
        message = f"{where}: there is no {kind} '{word}'; {nearest(word, known)}"
        raise ConfigError(message)


def _check_column(mapping: Mapping, spec: Spec, name: str, where: str) -> None:
    prefix, _, column = name.rpartition(".")
    tables = known_columns(mapping, spec)
    _check_name(prefix, tables, "lookup", where)
    _check_name(column, tables[prefix].columns, "column", where)


def _check_spec(mapping: Mapping, spec: Spec, table: str, where: str) -> None:
    if table:
        _check_name(table, TABLES, "canonical table", where)
    for name in (spec.from_, *(lookup.from_ for lookup in spec.lookups.values())):
        _check_name(name, mapping.files, "raw table", where)
    for name in (name for name in _named(spec) if not name.startswith(CONSTANT)):
        _check_column(mapping, spec, name, where)
    for lookup in spec.lookups.values():
        for name in (*lookup.on, *([lookup.same] if lookup.same else [])):
            _check_name(name, mapping.files[lookup.from_].columns, "column", where)
    for name, cell in spec.columns.items():
        _check_cell(TABLES[table] if table else None, name, cell, where)
    if table:
        _check_whole(spec, table, where)


def _check_whole(spec: Spec, table: str, where: str) -> None:
    """A fact without a key could not be told from another, and one without what is never null says nothing."""
    if table != "people" and not spec.key:
        message = f"{where}: needs a 'key': the columns that tell one row of the extract's facts from another"
        raise ConfigError(message)
    for name in (column.name for column in TABLES[table].columns if column.null == "never null"):
        if name not in spec.columns and UNKNOWN not in TABLES[table].column(name).codes:
            message = f"{where}: needs '{name}' among its 'columns': a row of {table} is never without it"
            raise ConfigError(message)


def _named(spec: Spec) -> Iterator[str]:
    """Every column a spec names outside SQL."""
    for alternative in spec.key:
        yield from (part for part in alternative if part != "person")
    for identity in spec.person:
        yield from identity.columns
    for cell in (*spec.columns.values(), *([spec.deleted] if spec.deleted else [])):
        yield from cell.refers
    for lookup in spec.lookups.values():
        yield from lookup.on.values()
    if spec.collapse:
        yield from (spec.collapse.part, *spec.collapse.last)


def _check_cell(table: Table | None, name: str, cell: Cell, where: str) -> None:
    known = table.names if table else IDENTITY_COLUMNS
    _check_name(name, known, "column", where)
    column: Column | None = table.column(name) if table else None
    for constant in cell.constants if column and column.codes else ():
        _check_name(str(constant), column.codes if column else (), f"code of {name}", where)


def _check_rest(mapping: Mapping, where: str) -> None:
    for name, raw in mapping.files.items():
        for column in (*raw.needs, *([raw.recorded] if raw.recorded else [])):
            _check_name(column, raw.columns, "column", f"{where}: files.{name}")
    if mapping.complete:
        _check_name(mapping.complete.table, TABLES, "canonical table", f"{where}: complete")
    header = mapping.files[HEADER].columns if HEADER in mapping.files else {}
    complete = (mapping.complete.first, mapping.complete.last) if mapping.complete else ()
    for column in (*([mapping.receipt.column] if mapping.receipt.column else []), *complete):
        _check_name(column, header, "header column", where)
