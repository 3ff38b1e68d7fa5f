"""A mapping's specs as DuckDB SQL: raw tables of text -> typed rows, each with the reason for which it is left out.

Of each spec comes one table: `_row` (of the raw table), `_at` (when this version was recorded), `_t` (the same, or
else the receipt), `_identity` and `_alias` (the person's best and next identity), `_key` and `_by_person` (what tells
rows apart), `_used`, `_reason` (place from 1 in its reasons; null: none to leave it out), `_deleted`, the spec's
columns, and a flag `_n<i>` for each note.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from features.schema import TABLES, Column, Table
from features.sources.cells import SEPARATOR, Filled, Filler, all_present, listed, literal, quoted
from features.sources.mapping import CONSTANT, HEADER, UNKNOWN, Cell, Collapse, Identity, Lookup, Mapping, Spec
from features.sources.raw import raw_name

ORPHAN = "parent not in this submission"
AMBIGUOUS = "parent is ambiguous"
IDENTITY_TABLE = (
    Column("nhs_number", "text", ""),
    Column("local_id", "text", ""),
    Column("family_name", "text", ""),
    Column("given_name", "text", ""),
    Column("birth_date", "date", ""),
)


@dataclass(frozen=True)
class Compiled:
    """One spec's SQL. prepare: statements to run first, by the table they make; create: the statement that makes
    `name`; columns: what is filled; reasons and notes: the meanings of `_reason` and of each `_n` flag."""

    table: str
    spec: Spec
    name: str
    prepare: dict[str, str]
    create: str
    columns: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def repeats(self) -> bool:
        """Whether one row of the source may make several."""
        return self.spec.collapse is not None or any(lookup.refresh for lookup in self.spec.lookups.values())


def referrer(spec: Spec, has_header: bool) -> Callable[[str], str]:
    """From a column's name in a mapping to its SQL."""

    def refer(name: str) -> str:
        if name.startswith(CONSTANT):
            return literal(name.removeprefix(CONSTANT))
        prefix, _, column = name.rpartition(".")
        known = not prefix or prefix in spec.lookups or (prefix == HEADER and has_header)
        return f"{quoted(prefix or 'this')}.{quoted(column)}" if known else quoted(name)

    return refer


def compile_spec(mapping: Mapping, table: str, spec: Spec, name: str, zone: str, receipt: str) -> Compiled:
    """The SQL of one spec. receipt: the receipt as an SQL literal."""
    refer = referrer(spec, HEADER in mapping.files)
    filler = Filler(refer, zone, mapping.date_formats, mapping.no_date, receipt)
    cells = _filled(filler, TABLES.get(table), spec)
    prepare: dict[str, str] = {}
    source = _source(spec, (mapping, prepare), name, refer, receipt)
    deleted = _deleted(filler, spec)
    faults = _faults(filler, spec, cells)
    notes = {reason: filler.step(f"({test})") for reason, test in spec.note.items()}
    notes.update({reason: test for cell in cells.values() for reason, test in cell.notes.items()})
    columns = [f"{cell.value} as {quoted(column)}" for column, cell in cells.items()]
    flags = [f"coalesce({test}, false) as _n{i}" for i, test in enumerate(notes.values())]
    whens = " ".join(f"when {test} then {i + 1}" for i, test in enumerate(faults.values()))
    identities = [identity_sql(identity, refer) for identity in spec.person]
    steps, dates = ([f"{sql} as {name}" for sql, name in part.items()] for part in (filler.steps, filler.dates))
    select = f"""
        select _row, _at, _t, coalesce(_who, _next) as _identity, case when _who is not null then _next end as _alias,
               _key, _by_person, _used, {deleted} as _deleted, {", ".join([*columns, *flags, ""])}
               (case {whens} end)::utinyint as _reason
        from (select {", ".join(["*", *dates])} from (select this._row, this._at, this._t, this._bad_at,
                     {identities[0]} as _who, {_next_best(identities)} as _next,
                     {_key(spec, refer)} as _key, {_by_person(spec, refer)} as _by_person,
                     coalesce({spec.where or "true"}, false) as _used, {", ".join(steps)}
              from {source}{_joins(mapping, spec, refer)}))"""
    reasons = list(notes)
    if table == "observations":
        select = _measured(mapping, select, reasons)
    create = f"create temp table {quoted(name)} as {select}"
    return Compiled(table, spec, name, prepare, create, tuple(cells), tuple(faults), tuple(reasons))


def _filled(filler: Filler, table: Table | None, spec: Spec) -> dict[str, Filled]:
    known = {column.name: column for column in (table.columns if table else IDENTITY_TABLE)}
    at = table.at if table else None
    cells = {}
    unsaid = {name: Cell(value=UNKNOWN) for name, column in known.items() if UNKNOWN in column.codes}
    for name, cell in (unsaid | spec.columns).items():
        column = known[name]
        decisive = name == at or (table is not None and column.null == "never null")
        cells[name] = filler.fill(column, cell, decisive)
        if table is None and name == "nhs_number":
            cells[name] = Filled(filler.step(nhs_number(filler.text(cell))))
    return cells


def _deleted(filler: Filler, spec: Spec) -> str:
    if spec.deleted is None:
        return "false"
    value = filler.fill(Column("deleted", "flag", ""), spec.deleted, decisive=False).value
    return f"coalesce({value}, false)"


def identity_sql(identity: Identity, refer: Callable[[str], str]) -> str:
    """An identity as text, `scheme:...`; null where a part is empty or, for an NHS number, where it cannot be one."""
    parts = [refer(name) for name in identity.columns]
    joined = " || ':' || ".join(parts)
    if identity.scheme != "nhs":
        return f"({literal(identity.scheme + ':')} || {joined})"
    digits = nhs_number(parts[0])
    return f"('nhs:' || {digits})"


def nhs_number(text: str) -> str:
    """The ten digits of an NHS number whose check digit holds; else null."""
    digits = f"regexp_replace({text}, '[ -]', '', 'g')"
    total = " + ".join(f"{10 - i} * try_cast(substr({digits}, {i + 1}, 1) as integer)" for i in range(9))
    check = f"(11 - ({total}) % 11) % 11 = try_cast(substr({digits}, 10, 1) as integer)"
    whole = f"regexp_full_match({digits}, '[0-9]{{10}}') and {digits} <> '0000000000'"
    return f"(case when {whole} and {check} then {digits} end)"


def _next_best(identities: list[str]) -> str:
    return f"coalesce({', '.join(identities[1:])})" if identities[1:] else "null::varchar"


def _alternatives(spec: Spec, refer: Callable[[str], str]) -> list[tuple[list[str], bool]]:
    keys = spec.key or (("person",),)
    return [([refer(part) for part in key if part != "person"], "person" in key) for key in keys]


def _key(spec: Spec, refer: Callable[[str], str]) -> str:
    """The text that tells one fact from another; null where every alternative has an empty part."""
    whens = [
        f"when {all_present(parts) if parts else 'true'} then "
        + (f"concat_ws({SEPARATOR}, {', '.join(parts)})" if parts else "''")
        for parts, _ in _alternatives(spec, refer)
    ]
    return f"case {' '.join(whens)} end"


def _by_person(spec: Spec, refer: Callable[[str], str]) -> str:
    whens = [
        f"when {all_present(parts) if parts else 'true'} then {literal(person)}"
        for parts, person in _alternatives(spec, refer)
    ]
    return f"case {' '.join(whens)} else false end"


def _faults(filler: Filler, spec: Spec, cells: dict[str, Filled]) -> dict[str, str]:
    """Reason -> condition, the most telling first."""
    orphan = [f"{quoted(name)}._from is null" for name, lookup in spec.lookups.items() if lookup.required]
    ambiguous = [f"coalesce({quoted(name)}._ambiguous, false)" for name, lookup in spec.lookups.items() if lookup.same]
    faults = {
        ORPHAN: filler.step(" or ".join(orphan) or "false"),
        AMBIGUOUS: filler.step(" or ".join(ambiguous) or "false"),
        "unreadable date: recorded": "_bad_at",
        "recorded after receipt": f"_at > {filler.receipt}",
    }
    faults.update({reason: filler.step(f"({test})") for reason, test in spec.refuse.items()})
    faults["key part missing"] = "_key is null"
    faults["no person"] = "coalesce(_who, _next) is null"
    for cell in cells.values():
        faults.update({reason: f"not _deleted and ({test})" for reason, test in cell.faults.items()})
    return faults


def _parent(lookup: Lookup) -> str:
    """The table of a lookup's versions; lookups that ask the same share it."""
    how = ("refresh" if lookup.refresh else "first", lookup.same or "")
    return quoted(" ".join(("versions of", lookup.from_, "by", *sorted(lookup.on), *how)))


def _matches(spec: Spec, lookup_name: str, refer: Callable[[str], str]) -> str:
    pairs = spec.lookups[lookup_name].on.items()
    return " and ".join(f"{quoted(lookup_name)}.{quoted(theirs)} = {refer(mine)}" for theirs, mine in pairs)


def _joins(mapping: Mapping, spec: Spec, refer: Callable[[str], str]) -> str:
    """For each lookup the version in force when this row was recorded; where it need not be, the first one if none."""
    joins = [
        f" left join {_parent(lookup)} as {quoted(name)} on {_matches(spec, name, refer)}"
        f" and this._t >= {quoted(name)}._from and this._t < {quoted(name)}._until"
        for name, lookup in spec.lookups.items()
    ]
    return "".join(joins) + (f" cross join {raw_name(HEADER)} as {HEADER}" if HEADER in mapping.files else "")


def _source(
    spec: Spec, into: tuple[Mapping, dict[str, str]], name: str, refer: Callable[[str], str], receipt: str
) -> str:
    """The rows that a spec starts from, as `this`; the statements that make them are added to `into`."""
    mapping, prepare = into
    source = raw_name(spec.from_)
    if spec.collapse:
        prepare.update(_collapsing(spec, spec.collapse, mapping.files[spec.from_].columns, name, refer, receipt))
        source = quoted(f"{name} collapsed")
    for lookup in spec.lookups.values():
        prepare[_parent(lookup)] = _parents(mapping, lookup, receipt)
    refreshed = [lookup for lookup, how in spec.lookups.items() if how.refresh]
    if refreshed:
        prepare[name] = _refreshing(spec, name, source, refreshed, refer, receipt)
        source = quoted(f"{name} refreshed")
    return f"(select *, coalesce(_at, {receipt}) as _t from {source}) as this"


def _wanted(mapping: Mapping, raw: str) -> list[str]:
    """The columns of a raw table that anything which looks it up may ask for."""
    words: set[str] = set()
    for _, _, spec in mapping.specs:
        for name, lookup in spec.lookups.items():
            words.update(lookup.on if lookup.from_ == raw else ())
            words.update(re.findall(rf"\b{name}\W{{1,3}}(\w+)", spec.model_dump_json()) if lookup.from_ == raw else ())
            words.update([lookup.same] if lookup.from_ == raw and lookup.same else ())
    return [column for column in mapping.files[raw].columns if column in words]


def _parents(mapping: Mapping, lookup: Lookup, receipt: str) -> str:
    """The versions of a looked-up table, one for each key and moment; each may be seen from `_from` to `_until`."""
    keys = ", ".join(quoted(key) for key in lookup.on)
    columns = ", ".join(quoted(column) for column in _wanted(mapping, lookup.from_))
    first = f"row_number() over (partition by {keys} order by _t) = 1"
    seen = "_t" if lookup.refresh else f"case when {first} then timestamptz '-infinity' else _t end"
    same = quoted(lookup.same) if lookup.same else "1"
    return f"""
        create temp table {_parent(lookup)} as
        with believable as (
            select {columns}, coalesce(_at, {receipt}) as _t,
                   min({same}) over (partition by {keys}) <> max({same}) over (partition by {keys}) as _ambiguous
            from {raw_name(lookup.from_)}
            where not _bad_at and {all_present(quoted(key) for key in lookup.on)} and (_at is null or _at <= {receipt})
            qualify row_number() over (partition by {keys}, _t order by _row desc) = 1
        )
        select * exclude (_t), {seen} as _from,
               coalesce(lead(_t) over (partition by {keys} order by _t), timestamptz 'infinity') as _until
        from believable"""


def _refreshing(
    spec: Spec, name: str, source: str, refreshed: list[str], refer: Callable[[str], str], receipt: str
) -> str:
    """A spec's rows, and each again for every later moment at which a row that it looks up changed."""
    same = _key(spec, refer)
    if any(person for _, person in _alternatives(spec, refer)):
        same += ", coalesce(" + ", ".join(identity_sql(identity, refer) for identity in spec.person) + ")"
    again = "".join(
        f"""
        union all by name
        select this.* exclude (_t, _next) replace ({quoted(name)}._from as _at)
        from versions as this
        join {_parent(spec.lookups[name])} as {quoted(name)} on {_matches(spec, name, refer)}
        where {quoted(name)}._from > this._t and (this._next is null or {quoted(name)}._from < this._next)"""
        for name in refreshed
    )
    named = [column for columns in (*spec.key, *(i.columns for i in spec.person)) for column in columns]
    has_header = any(column.startswith(f"{HEADER}.") for column in named)
    header = f" cross join {raw_name(HEADER)} as {HEADER}" if has_header else ""
    return f"""
        create temp table {quoted(f"{name} refreshed")} as
        with versions as (
            select this.*, coalesce(this._at, {receipt}) as _t, lead(coalesce(this._at, {receipt})) over (
                partition by {same} order by coalesce(this._at, {receipt}), this._row
            ) as _next
            from {source} as this{header}
        )
        select * exclude (_t, _next) from versions{again}"""


def _collapsing(
    spec: Spec, collapse: Collapse, columns: Iterable[str], name: str, refer: Callable[[str], str], receipt: str
) -> dict[str, str]:
    """One row for each thing and moment at which any of its parts was recorded, of the parts as they then stood."""
    person = f"coalesce({', '.join(identity_sql(identity, refer) for identity in spec.person)})"
    part = quoted(collapse.part)
    everything = ", ".join(f"this.{quoted(column)}" for column in columns)
    parts, things = quoted(f"{name} parts"), quoted(f"{name} things")
    first = [f"arg_min({quoted(c)}, _order) as {quoted(c)}" for c in columns if c not in collapse.last]
    last = [f"arg_max_null({quoted(c)}, _order) as {quoted(c)}" for c in collapse.last]
    key = _key(spec, refer)
    prepare = {}
    prepare[parts] = f"""
        create temp table {parts} as
        select this.*, coalesce(this._at, {receipt}) as _t,
               concat_ws({SEPARATOR}, {key}, case when {_by_person(spec, refer)} then {person} end) as _thing,
               (_bad_at or _t > {receipt} or ({key}) is null or {person} is null) as _alone,
               case when _alone then this._row else min(this._row) over (partition by _alone, _thing, _t) end as _first,
               coalesce(lead(hash({everything})) over (partition by _alone, _thing, {part}, _t order by this._row)
                        = hash({everything}), false) and not _alone as _copy
        from {raw_name(spec.from_)} as this"""
    prepare[things] = f"""
        create temp table {things} as
        with told as (
            select * exclude (_alone, _first, _copy),
                   (coalesce(try_cast({part} as double), 0), coalesce({part}, '')) as _order,
                   lead(_t) over (partition by _thing, {part} order by _t) as _until
            from (select * from {parts} where not _alone
                  qualify row_number() over (partition by _thing, {part}, _t order by _row desc) = 1)
        ), moments as (
            select _thing as thing, _t as moment, min(_first) as first from {parts} where not _alone group by all
        )
        select any_value(first) as _row, max(_at) as _at, false as _bad_at, {", ".join([*first, *last])}
        from moments join told on _thing = thing and _t <= moment and (_until is null or moment < _until)
        group by thing, moment"""
    prepare[f"{name} collapsed"] = f"""
        create temp table {quoted(f"{name} collapsed")} as
        from {things} union all by name
        select * exclude (_file, _t, _thing, _alone, _first, _copy) from {parts} where _alone"""
    return prepare


def _measured(mapping: Mapping, select: str, reasons: list[str]) -> str:
    """Observations with their values in the units that are kept; a value that cannot be trusted becomes null."""
    first = len(reasons)
    reasons.extend(("unit not understood, value set to null", "unit missing or of another kind, value set to null",
                    "measure implausible, set to null"))  # fmt: skip
    factor = "coalesce(u.factor, 1)"
    strange = 'r.value is not null and r."unit" is not null and u.given is null'
    other = f"r.value is not null and m.needs is not null and u.kept is distinct from m.needs and not ({strange})"
    outside = f"(r.value * {factor} < m.least or r.value * {factor} > m.most)"
    outside = f"coalesce({outside}, false) and not ({strange}) and not ({other})"
    return f"""
        select r.* replace (
                   case when not ({strange}) and not ({other}) and not ({outside}) then r.value * {factor} end as value,
                   u.kept as unit),
               ({strange}) as _n{first}, ({other}) as _n{first + 1}, ({outside}) as _n{first + 2}
        from (select * from (select null::double as value, null::varchar as unit where false)
              union all by name ({select})) as r
        left join {_values("u", ("given", "kept", "factor"), [(given, *kept) for given, kept in mapping.units.items()])}
            on u.given = r."unit"
        left join {
        _values(
            "m",
            ("code", "needs", "least", "most"),
            [(code, m.unit, m.least, m.most) for code, m in mapping.measures.items()],
        )
    }
            on m.code = r.code"""


def _values(name: str, columns: tuple[str, ...], rows: list[tuple[str | float | None, ...]]) -> str:
    """Rows as an SQL table whose first two columns are text and whose others are numbers."""
    kinds = ["varchar" if i < 2 else "double" for i in range(len(columns))]
    nulls = ", ".join(f"null::{kind}" for kind in kinds)
    told = ["(" + ", ".join("null" if v is None else listed([v]) for v in row) + ")" for row in rows]
    return f"(from (values {', '.join([f'({nulls})', *told])}) as t({', '.join(columns)})) as {name}"
