"""From the history's tables to the streams of events that the compiled pass reads.

A stream is one table's rows placed at one of its moments: however many events a catalogue makes of them, each row is
held once, with a bit for every event that it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from features.aggregates import FOREVER, NO_VALUE, SCALE, Bits, Ints, Streams
from features.catalogue import ENDS, Catalogue, Event
from features.frames import query
from features.table import FeatureInfo

BITS = 64


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
class Events:
    """One bucket's events: `person` goes with each place of the streams, `codes` says which number a code has."""

    person: Ints
    streams: Streams
    codes: Mapping[str, int]


@dataclass(frozen=True)
class _Stream:
    person: Ints
    at: Ints
    known_from: Ints
    known_to: Ints
    bits: Bits
    values: tuple[Ints, ...]

    def taken(self, places: Ints) -> "_Stream":
        whole = {name: column[places] for name, column in vars(self).items() if name != "values"}
        return _Stream(**whole, values=tuple(value[places] for value in self.values))


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


def event_streams(tables: Mapping[str, pa.Table], catalogue: Catalogue, wanted: list[Group]) -> Events:
    """The history's events, stream by stream. Each table is gone through once for each of `wanted`."""
    made = [_in_order(_stream(tables[group.table], group, catalogue)) for group in wanted]
    codes = [code for group in wanted for code in group.codes]
    begins = np.cumsum([0, *(len(stream.at) for stream in made)])
    blocks = [value for stream in made for value in stream.values]
    streams = Streams(
        begins,
        np.cumsum([0, *(len(group.events) for group in wanted)]),
        *(_joined([getattr(stream, name) for stream in made]) for name in ("at", "known_from", "known_to", "bits")),
        _joined(blocks) if blocks else np.empty(0, np.int64),
        _shifts(made, wanted, catalogue, begins),
        sum(not group.lasting for group in wanted),
    )
    return Events(_joined([stream.person for stream in made]), streams, {code: n for n, code in enumerate(codes)})


def _stream(table: pa.Table, group: Group, catalogue: Catalogue) -> _Stream:
    """Rows that are any of the group's events and have its moment, in the table's order."""
    events = [catalogue.events[name] for name in group.events]
    bits = " | ".join(f"case when {event.where} then {1 << n}::ubigint else 0 end" for n, event in enumerate(events))
    values = [f"coalesce(round(({worth})::double * {SCALE})::bigint, {NO_VALUE}) as value_{n}" for n, worth in _worths(events)]
    found = query(f"select ({bits})::ubigint as bits, {', '.join(values) or 'null'} from rows", rows=table)
    known_to = _whole(table["known_to"])
    if group.lasting:
        known_to = np.minimum(known_to, _whole(table[ENDS[group.table]]))
    stream = _Stream(
        _whole(table["person_id"]),
        _whole(table[group.moment]),
        _whole(table["known_from"]),
        known_to,
        found["bits"].to_numpy(),
        tuple(found[f"value_{n}"].to_numpy() for n in range(len(values))),
    )
    wanted = (stream.bits != 0) & (stream.at != FOREVER)
    return stream if wanted.all() else stream.taken(np.flatnonzero(wanted))


def _worths(events: Iterable[Event]) -> list[tuple[int, str]]:
    """The different values that events are worth, numbered."""
    return list(enumerate(dict.fromkeys(event.value for event in events if event.value != "null")))


def _shifts(made: list[_Stream], wanted: list[Group], catalogue: Catalogue, begins: Ints) -> Ints:
    """For each code, how far its values lie from its events."""
    shifts, behind = [], 0
    for stream, group, begin in zip(made, wanted, begins[:-1], strict=True):
        events = [catalogue.events[name] for name in group.events]
        places = {worth: behind + n * len(stream.at) - int(begin) for n, worth in _worths(events)}
        shifts += [places.get(event.value, NO_VALUE) for event in events]
        behind += len(stream.values) * len(stream.at)
    return np.array(shifts, np.int64)


def _in_order(stream: _Stream) -> _Stream:
    """By person and moment, as a compacted store's rows lie already."""
    if _sorted(stream.person, stream.at):
        return stream
    return stream.taken(np.lexsort((stream.at, stream.person)))


@njit(cache=True, nogil=True)
def _sorted(person, at):  # type: ignore[no-untyped-def]
    for e in range(1, len(at)):
        if person[e] < person[e - 1] or (person[e] == person[e - 1] and at[e] < at[e - 1]):
            return False
    return True


def _joined(pieces: list[Ints]) -> Ints:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _whole(column: pa.ChunkedArray) -> Ints:
    """Moments and identities as whole numbers; no moment is for ever away."""
    whole = column.combine_chunks().cast(pa.int64())
    return np.asarray((pc.fill_null(whole, FOREVER) if whole.null_count else whole).to_numpy())
