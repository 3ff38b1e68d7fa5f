"""From the history's tables to the streams of events that the compiled pass reads.

A stream is one table's rows placed at one of its moments: however many events a catalogue makes of them, each row is
held once, with a bit for every event that it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.aggregates import FOREVER, NO_VALUE, SCALE, Bits, Flags, Ints
from features.catalogue import Catalogue, Event
from features.frames import query
from features.runs import in_order
from features.schema import ENDS
from features.table import FeatureInfo

BITS, MOST_KINDS = 64, 1000
LARGEST = 1e9
"""A value beyond this, either way, counts as none: sums must stay exact."""


class Streams(NamedTuple):
    """What the pass reads of events: streams one behind the other, `begins[s]` to `begins[s + 1]`, each in the order of
    person and moment. Bit `n` of an event's `bits` says that it is of code `codes[s] + n`; its value for a code is
    `value[event + shift[code]]`, none where the shift is `NO_VALUE`. Only the first `brief` streams are of events that
    tell since when a person is known; the rest are of what lasts."""

    begins: Ints
    codes: Ints
    at: Ints
    known_from: Ints
    known_to: Ints
    bits: Bits
    value: Ints
    shift: Ints
    brief: int


@dataclass(frozen=True)
class Group:
    """The events of one stream: of `table`, placed at `moment`. lasting: they count for as long as the row lasts,
    which is what `open` asks for; `codes` says so of them by `open`."""

    table: str
    moment: str
    lasting: bool
    events: tuple[str, ...]

    @property
    def codes(self) -> list[str]:
        return [code_of(name, self.lasting) for name in self.events]


@dataclass(frozen=True)
class Stream:
    """One group's rows that are any of its events. team: the place in `teams` of the team whose row it is, or -1."""

    group: Group
    person: Ints
    at: Ints
    known_from: Ints
    known_to: Ints
    bits: Bits
    values: tuple[Ints, ...]
    team: Ints
    teams: tuple[str, ...]

    def taken(self, places: Ints) -> "Stream":
        columns: dict[str, Any] = {
            name: column[places] for name, column in vars(self).items() if isinstance(column, np.ndarray)
        }
        return replace(self, **columns, values=tuple(value[places] for value in self.values))

    def are(self, event: str) -> Flags:
        """Which rows are this event."""
        return np.asarray(self.bits & np.uint64(1 << self.group.events.index(event)) != 0)


@dataclass(frozen=True)
class Events:
    """Streams one behind the other: `person` goes with each place of them, `codes` says which number a code has."""

    person: Ints
    streams: Streams
    codes: Mapping[str, int]


def code_of(event: str, lasting: bool) -> str:
    return f"open {event}" if lasting else event


def groups(catalogue: Catalogue, infos: Iterable[FeatureInfo]) -> list[Group]:
    """The streams that a catalogue's features are made from, those of what lasts behind the others."""
    lasting = {info.of for info in infos if info.aggregate == "open"}
    found: dict[tuple[bool, str, str], list[str]] = {}
    for name, event in catalogue.events.items():
        found.setdefault((False, event.table, event.moment), []).append(name)
        if name in lasting:
            found.setdefault((True, event.table, event.moment), []).append(name)
    return [
        Group(table, moment, lasts, tuple(names[start : start + BITS]))
        for (lasts, table, moment), names in sorted(found.items())
        for start in range(0, len(names), BITS)
    ]


def streams(tables: Mapping[str, pa.Table], catalogue: Catalogue) -> list[Stream]:
    """A catalogue's events in the history. Each table is gone through once for each group of it."""
    infos = list(catalogue.infos())
    of_teams = {name for info in catalogue.of_teams for name in (info.of, info.among)}
    return [
        _in_order(_stream(tables[group.table], group, catalogue, bool(of_teams & set(group.events))))
        for group in groups(catalogue, infos)
    ]


def joined(found: Sequence[Stream], catalogue: Catalogue) -> Events:
    """Streams as the compiled pass reads them."""
    begins = np.cumsum([0, *(len(stream.at) for stream in found)])
    values = [value for stream in found for value in stream.values]
    together = Streams(
        begins,
        np.cumsum([0, *(len(stream.group.events) for stream in found)]),
        _one_behind_the_other([stream.at for stream in found]),
        _one_behind_the_other([stream.known_from for stream in found]),
        _one_behind_the_other([stream.known_to for stream in found]),
        _one_behind_the_other([stream.bits for stream in found]),
        _one_behind_the_other(values or [np.empty(0, np.int64)]),
        _shifts(found, catalogue, begins),
        sum(not stream.group.lasting for stream in found),
    )
    codes = [code for stream in found for code in stream.group.codes]
    return Events(
        _one_behind_the_other([stream.person for stream in found]), together, {code: n for n, code in enumerate(codes)}
    )


def _one_behind_the_other(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _stream(table: pa.Table, group: Group, catalogue: Catalogue, with_teams: bool) -> Stream:
    """Rows that are any of the group's events and have its moment, in the table's order."""
    events = [catalogue.events[name] for name in group.events]
    found = _told(table, events)
    known_to = _whole(table["known_to"])
    if group.lasting:
        known_to = np.minimum(known_to, _whole(table[ENDS[group.table]]))
    team, teams = _teams(table) if with_teams else (np.full(table.num_rows, -1, np.int32), ())
    stream = Stream(
        group,
        _whole(table["person_id"]),
        _whole(table[group.moment]),
        _whole(table["known_from"]),
        known_to,
        found["bits"].to_numpy(),
        tuple(found[f"value_{n}"].to_numpy() for n, _ in worths(events)),
        team,
        teams,
    )
    wanted = (stream.bits != 0) & (stream.at != FOREVER)
    return stream if wanted.all() else stream.taken(np.flatnonzero(wanted))


def _told(table: pa.Table, events: Sequence[Event]) -> pa.Table:
    """`bits` and `value_n` of each row, worked out once for all rows that are alike in what the events look at."""
    bits = " | ".join(f"case when {event.where}\n then {1 << n}::ubigint else 0 end" for n, event in enumerate(events))
    values = [f"{_value(events, worth)} as value_{n}" for n, worth in worths(events)]
    sql = f"select {', '.join(['bits', *values])} from (select *, ({bits})::ubigint as bits from rows)"
    alike = _alike(table, sorted(set().union(*(event.told_by for event in events))))
    if alike is None:
        return query(sql, rows=_on_one_clock(table))
    kind, one_of_each = alike
    return query(sql, rows=table.take(one_of_each)).take(kind)


def _on_one_clock(table: pa.Table) -> pa.Table:
    """Moments as SQL's plain ones, in UTC as queries are: it reckons with those many times as fast."""
    plain = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(plain))


def _alike(table: pa.Table, columns: Iterable[str]) -> tuple[Ints, Ints] | None:
    """Which kind each row is of, where rows of a kind are the same in these columns, and a row of each kind; none where
    there may be more kinds than it is worth, as with moments."""
    kind, kinds = np.zeros(table.num_rows, np.int64), 1
    for name in columns:
        if pa.types.is_temporal(table.schema.field(name).type):
            return None
        column = table[name].combine_chunks()
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = len(coded.dictionary)
        kinds *= words + 1
        if kinds > max(table.num_rows, MOST_KINDS):
            return None
        kind = kind * (words + 1) + coded.indices.fill_null(words).to_numpy(zero_copy_only=False)
    row = np.full(kinds, -1)
    row[kind] = np.arange(len(kind))
    found = np.flatnonzero(row >= 0)
    place = np.zeros(kinds, np.int64)
    place[found] = np.arange(len(found))
    return place[kind], row[found]


def _teams(table: pa.Table) -> tuple[Ints, tuple[str, ...]]:
    coded = table["team_id"].combine_chunks().dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(), tuple(coded.dictionary.to_pylist())


def _value(events: Sequence[Event], worth: str) -> str:
    """SQL of a value in whole ten-thousandths, of the rows that are an event worth it and of no other."""
    worthy = sum(1 << n for n, event in enumerate(events) if event.value == worth)
    number = f"try_cast(({worth}\n) as double)"
    within = f"case when abs({number}) <= {LARGEST} then round({number} * {SCALE})::bigint else {NO_VALUE} end"
    return f"case when bits & {worthy}::ubigint <> 0 then {within} else {NO_VALUE} end"


def worths(events: Iterable[Event]) -> list[tuple[int, str]]:
    """The different values that events are worth, numbered."""
    return list(enumerate(dict.fromkeys(event.value for event in events if event.value != "null")))


def _shifts(found: Sequence[Stream], catalogue: Catalogue, begins: Ints) -> Ints:
    """For each code, how far its values lie from its events."""
    shifts, behind = [], 0
    for stream, begin in zip(found, begins[:-1], strict=True):
        events = [catalogue.events[name] for name in stream.group.events]
        places = {worth: behind + n * len(stream.at) - int(begin) for n, worth in worths(events)}
        shifts += [places.get(event.value, NO_VALUE) for event in events]
        behind += len(stream.values) * len(stream.at)
    return np.array(shifts, np.int64)


def _in_order(stream: Stream) -> Stream:
    """By person and moment, as a compacted store's rows lie already."""
    order = in_order(np.stack((stream.person, stream.at)))
    return stream if order is None else stream.taken(order)


def _whole(column: pa.ChunkedArray) -> Ints:
    """Moments and identities as whole numbers; no moment is for ever away."""
    whole = column.combine_chunks().cast(pa.int64())
    return np.asarray((pc.fill_null(whole, FOREVER) if whole.null_count else whole).to_numpy())
