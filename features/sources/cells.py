"""SQL for single cells: text as the source gives it -> values of the canonical types."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from features.schema import Column
from features.sources.mapping import Cell, Constant

DUCK = {"id": "bigint", "text": "varchar", "code": "varchar", "number": "double", "whole": "integer",
        "flag": "boolean", "date": "date", "time": "timestamptz"}  # fmt: skip
"""DuckDB's names of the canonical types."""

OLDEST = "timestamp '1890-01-01'"
YEARS_AHEAD = 2
"""A fact that is dated more than this long after its receipt is not believed."""

SEPARATOR = "chr(31)"


@dataclass(frozen=True)
class Filled:
    """A column's SQL, over the steps that it took. value: the typed value, or null; faults: reason -> condition under
    which a row is rejected; notes: reason -> condition worth counting on rows that are kept."""

    value: str
    faults: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def quoted(name: str) -> str:
    """A name as SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Constant | None) -> str:
    """A constant as SQL."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def listed(values: Iterable[Constant]) -> str:
    """Constants as an SQL list."""
    return ", ".join(literal(value) for value in values)


def wall_clock(text: str, formats: tuple[str, ...]) -> str:
    """A date, with or without a time, as it stands on the clock it was written down by; null where unreadable. One that
    begins with four digits may be ISO 8601; DuckDB would take 03-04-25 for a day of the year 3."""
    other = f"try_strptime({text}, [{listed(formats)}])" if formats else "null"
    digits = " and ".join(f"substr({text}, {place}, 1) between '0' and '9'" for place in (3, 4))
    iso = f"case when {digits} then try_cast({text} as timestamp) end"
    believable = f"substr({text}, 1, 1) between '0' and '9' and strpos({text}, '-') <= 5 and length({text}) <= 40"
    return f"(case when {believable} then coalesce({iso}, {other}) end)"


def to_utc(clock: str, zone: str) -> str:
    """A wall-clock time in `zone` as UTC; of a time that occurs twice the first is meant."""
    utc = f"timezone({literal(zone)}, {clock})"
    earlier = f"({utc} - interval 1 hour)"
    # No clock is put back into the day's middle, and looking whether one was takes two thirds of the time.
    midday = f"hour({clock}) between 5 and 21"
    first = f"case when timezone({literal(zone)}, {earlier}) = {clock} then {earlier} else {utc} end"
    return f"(case when {midday} then {utc} else {first} end)"


def moment(text: str, clock: str, zone: str) -> str:
    """A date and time as UTC, from its text and its `wall_clock`: an offset in the text is obeyed, otherwise it is
    local time in `zone`."""
    offset = f"regexp_matches({text}, '[T ]\\d\\d:.*(Z|[+-]\\d\\d(:?\\d\\d)?)$')"
    maybe = f"length({text}) > 16 and (length({text}) > 19 or substr({text}, 17, 1) <> ':')"
    return f"(case when {maybe} and {offset} then try_cast({text} as timestamptz) else {to_utc(clock, zone)} end)"


def clock_time(text: str) -> str:
    """A time of day as HH:MM, HH:MM:SS, HHMM or HMM; null where unreadable."""
    digits = f"lpad({text}, 4, '0')"
    split = f"substr({digits}, 1, 2) || ':' || substr({digits}, 3, 2)"
    return (
        f"try_cast(case when length({text}) in (3, 4) and strpos({text}, ':') = 0 then {split} else {text} end as time)"
    )


def hashed(kind: str, parts: Iterable[str]) -> str:
    """A stable non-negative 63-bit number for a kind of thing and the text that tells one from another."""
    joined = ", ".join((literal(kind), *parts))
    return f"(md5_number_lower(concat_ws({SEPARATOR}, {joined})) >> 1)::bigint"


def all_present(parts: Iterable[str]) -> str:
    return " and ".join(f"{part} is not null" for part in parts)


@dataclass(frozen=True)
class Filler:
    """Turns cells into SQL. refer: a column's name in the mapping -> its SQL; the rest as in the mapping.

    What is costly or used more than once becomes a step: a column of an inner query, so that it is worked out once, and
    planned once. Dates made of steps become columns of the query around that.
    """

    refer: Callable[[str], str]
    zone: str
    formats: tuple[str, ...]
    no_date: tuple[str, ...]
    receipt: str
    steps: dict[str, str] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)

    def step(self, sql: str) -> str:
        """The name under which the outer query has the value of `sql`."""
        return self.steps.setdefault(sql, f"_s{len(self.steps)}")

    def fill(self, column: Column, cell: Cell, decisive: bool) -> Filled:
        """decisive: the row is worth nothing without a believable value here."""
        if cell.sql is not None:
            return self._checked(column, f"({cell.sql})", None, decisive)
        if cell.value is not None:
            return self._checked(column, literal(cell.value), None, decisive)
        if cell.hash:
            parts = [self.refer(name) for name in cell.hash]
            value = f"case when {all_present(parts)} then {hashed(column.name, parts)} end"
            return self._checked(column, value, None, decisive)
        if column.type in ("date", "time"):
            return self._dated(column, cell, decisive)
        text = self.text(cell)
        if cell.codes:
            return self._coded(column, cell, text, decisive)
        value = f"({literal(cell.prefix)} || {text})" if cell.prefix else text
        return self._checked(column, value, text, decisive, cell.above)

    def text(self, cell: Cell) -> str:
        """A cell's text before it is given a type."""
        names = [self.refer(name) for name in cell.concat or cell.column]
        if cell.concat:
            return "(" + f" || {literal(cell.between)} || ".join(names) + ")"
        found = f"coalesce({', '.join(names)})" if len(names) > 1 else names[0]
        if cell.strip_zeros:
            found = f"coalesce(nullif(ltrim({found}, '0'), ''), case when {found} is not null then '0' end)"
        return f"upper({found})" if cell.upper else found

    def _coded(self, column: Column, cell: Cell, text: str, decisive: bool) -> Filled:
        given = self.step(text)
        known = " ".join(f"when {literal(code)} then {literal(word)}" for code, word in cell.codes.items())
        empty = literal(cell.empty)
        kept = f"{literal(cell.prefix)} || {given}" if cell.otherwise == "keep" else empty
        value = f"(case when {given} is null then {empty} else case {given} {known} else {kept} end end)"
        value = f"{value}::{DUCK[column.type]}"
        faults = {f"required value missing: {column.name}": f"{value} is null"} if decisive else {}
        if cell.otherwise == "keep":
            return Filled(value, faults)
        unknown = {f"unknown code: {column.name}": f"{given} not in ({listed(cell.codes)})"}
        return Filled(value, {**unknown, **faults}) if cell.otherwise == "refuse" else Filled(value, faults, unknown)

    def _dated(self, column: Column, cell: Cell, decisive: bool) -> Filled:
        found = [self._one_date(column, cell, name, decisive) for name in cell.date or cell.column]
        if len(found) == 1:
            return found[0]
        notes = {reason: " or ".join(f"({one.notes[reason]})" for one in found) for reason in found[0].notes}
        return Filled(f"least({', '.join(one.value for one in found)})", found[0].faults, notes)

    def _one_date(self, column: Column, cell: Cell, name: str, decisive: bool) -> Filled:
        text = self.refer(name)
        if self.no_date:
            text = f"(case when substr({text}, 1, 10) not in ({listed(self.no_date)}) then {text} end)"
        clock = wall_clock(text, self.formats)
        if column.type == "date":
            return self._believed(column, text, self.step(f"{clock}::date"), decisive, {})
        if cell.time is not None:
            return self._timed(column, cell, text, clock, decisive)
        if cell.whole_days:
            day = self.step(f"date_trunc('day', {clock})")
            return self._believed(column, text, to_utc(day, self.zone), decisive, {})
        return self._believed(column, text, moment(self.step(text), self.step(clock), self.zone), decisive, {})

    def _timed(self, column: Column, cell: Cell, text: str, clock: str, decisive: bool) -> Filled:
        given = self.refer(cell.time or "")
        time = clock_time(given)
        unreadable = self.step(f"{given} is not null and {time} is null")
        if cell.from_time is None:
            usual = f"{cell.default_time:%H:%M}"
            local = f"({clock}::date + coalesce({time}, time '{usual}'))"
            notes = {f"time unreadable, {usual} taken: {column.name}": unreadable}
        else:
            begun = clock_time(self.refer(cell.from_time))
            local = f"({clock}::date + {time} + interval 1 day * coalesce({time} < {begun}, false)::integer)"
            text = f"case when {time} is not null then {text} end"
            notes = {f"time unreadable, set to null: {column.name}": unreadable}
        return self._believed(column, text, to_utc(self.step(local), self.zone), decisive, notes)

    def _believed(self, column: Column, text: str, found: str, decisive: bool, notes: dict[str, str]) -> Filled:
        """A date that is there, can be read and can be true; an indecisive one that is not becomes null.

        `found` is made of steps: reading a date twice in one expression takes DuckDB longer to plan than to do.
        """
        found = self.dates.setdefault(found, f"_d{len(self.dates)}")
        given = self.step(f"{text} is not null")
        unreadable = f"{given} and {found} is null"
        implausible = f"({found} < {OLDEST} or {found} > {self.receipt} + interval {YEARS_AHEAD} year)"
        if decisive:
            faults = {
                f"required value missing: {column.name}": f"not {given}",
                f"unreadable date: {column.name}": unreadable,
                f"implausible date: {column.name}": implausible,
            }
            return Filled(found, faults, notes)
        bad = {
            f"date unreadable, set to null: {column.name}": unreadable,
            f"date implausible, set to null: {column.name}": implausible,
        }
        return Filled(f"(case when not {implausible} then {found} end)", {}, {**bad, **notes})

    def _checked(
        self, column: Column, value: str, text: str | None, decisive: bool, above: float | None = None
    ) -> Filled:
        """A value of the column's type and within its bounds; what is not becomes null and is noted."""
        if column.type not in ("number", "whole"):
            found = self.step(f"({value})::{DUCK[column.type]}")
            return Filled(found, {f"required value missing: {column.name}": f"{found} is null"} if decisive else {})
        number = self.step(f"try_cast({value} as double)")
        finite = f"(case when isfinite({number}) then {number} end)"
        bounds = [f"{number} {sign} {bound}" for sign, bound in _bounds(column, above) if bound is not None]
        outside = " or ".join(f"not ({bound})" for bound in bounds) or "false"
        given = self.step(f"{text or value} is not null")
        notes = {
            f"not a number, set to null: {column.name}": f"{given} and {finite} is null",
            f"implausible, set to null: {column.name}": f"isfinite({number}) and ({outside})",
        }
        faults = {f"required value missing: {column.name}": f"{finite} is null"} if decisive else {}
        kept = f"(case when not ({outside}) then try_cast({finite} as {DUCK[column.type]}) end)"
        return Filled(kept, faults, notes)


def _bounds(column: Column, above: float | None) -> list[tuple[str, float | None]]:
    return [(">=", column.least), ("<=", column.most), (">", above)]
