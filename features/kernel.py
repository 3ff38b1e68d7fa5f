"""The features made of events, one pass over each person: what goes in, what comes out, and the program to run.

Events lie stream by stream, each stream's sorted by person and moment. For each index row the pass finds, of each code,
the events that were in force at the cut, no further back than the longest look-back of that stream: where they lie, or
gathered if others lie among them. A window is a suffix of those, and each aggregate one small function that makes the
features of it, over all of their windows in one walk (`features.aggregates`). There is no join and no product of rows,
windows and events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from features.aggregates import DECAYED_MEAN, KINDS, NO_VALUE, Bits, Flags, Floats, Ints, compiled, fill
from features.events import Events, Streams, code_of
from features.table import FeatureInfo
from features.windows import DAY, midnights, shift_moments

EVER = 0
"""The window of features that have no look-back: what lasts counts whenever it began."""
NEVER = NO_VALUE + 1


@dataclass(frozen=True)
class Rows:
    """Index rows. place: which of `cuts` a row's is; starts: for each of them where each window of `days` begins, the
    shortest first and `EVER` last."""

    person: Ints
    place: Ints
    cuts: Ints
    starts: Ints
    days: tuple[int, ...]


class Program(NamedTuple):
    """What to compute: features in ladders, `ladders[n]` to `ladders[n + 1]`, of which one differs from the next in its
    window alone, the shortest first. Of each feature its column, kind (of `KINDS`), code, window (its place among the
    row's starts), the other code (of share and run), the other window (of change and ratio), the window's days, and the
    half-life in microseconds. reach: for each stream the longest window that a feature of it has, or -1; alone: whether
    a stream's events are all of one code, and so may be looked at where they lie; known: the window over which a person
    may have been known, or -1 where no feature asks."""

    ladders: Bits
    column: Bits
    kind: Ints
    code: Bits
    window: Bits
    other: Bits
    against: Bits
    days: Floats
    half_life: Floats
    reach: Ints
    alone: Flags
    known: int


class Scratch(NamedTuple):
    """Where the pass puts what it finds for a row. The events in force of a code lie up to `ends[code]`, and those of a
    window from `begins[code, window]`: in the stream, where they are `in_place`, or else in the `room` that each code
    has here for the most events that anyone has in a stream."""

    room: int
    at: Ints
    value: Ints
    in_place: Flags
    begins: Ints
    ends: Ints


def index_rows(person: Ints, as_of: Ints, infos: Sequence[FeatureInfo], zone: str) -> Rows:
    """The rows of these people and cuts (microseconds since 1970), with the windows of `infos`."""
    lengths = {length for info in infos for length in (info.days, info.against)}
    days = (*sorted(lengths - {EVER}), EVER)
    place, cuts = pd.factorize(as_of)
    starts = [shift_moments(cuts, -length, zone) if length != EVER else np.full(len(cuts), NEVER) for length in days]
    return Rows(person, place, cuts, np.column_stack(starts), days)


def program(infos: Sequence[FeatureInfo], columns: Sequence[int], events: Events, days: Sequence[int]) -> Program:
    """The program of features made of events, each for its column; `days` are the windows of `Rows`."""
    place = {length: number for number, length in enumerate(days)}
    kind = np.array([KINDS[info.aggregate] for info in infos])
    code = np.array([events.codes[code_of(info.of, info.aggregate == "open")] for info in infos])
    window = np.array([place[info.days] for info in infos])
    order = np.lexsort((window, code, kind))
    infos, kind, code, window = [infos[n] for n in order], kind[order], code[order], window[order]
    other = np.array([_other(info, events.codes) for info in infos])
    against = np.array([place[info.against or info.days] for info in infos])
    alike = (np.diff(kind) == 0) & (np.diff(code) == 0)
    return Program(
        _places([0, *np.flatnonzero(~alike) + 1, len(infos)]),
        _places(columns)[order],
        kind,
        _places(code),
        _places(window),
        _places(other),
        _places(against),
        np.array([info.days for info in infos], np.float64),
        np.array([info.half_life * DAY for info in infos], np.float64),
        _reach(events.streams, (code, other), np.maximum(window, against)),
        _alone(events.streams, code[kind <= DECAYED_MEAN]),
        len(days) - 2 if any(info.aggregate in ("rate", "ratio") for info in infos) else -1,
    )


def _places(numbers: Iterable[int]) -> Bits:
    """Where things lie, which never counts from the end: compiled code is quicker if it knows."""
    return np.array(list(numbers), np.uint64)


def _reach(streams: Streams, codes: Iterable[Ints], windows: Ints) -> Ints:
    """For each stream the longest of the windows in which one of its codes is looked for, or -1."""
    reach = np.full(len(streams.begins) - 1, -1, np.int64)
    for looked_for in codes:
        np.maximum.at(reach, np.searchsorted(streams.codes, looked_for, "right") - 1, windows)
    return reach


def _alone(streams: Streams, asked: Ints) -> Flags:
    """Which streams are of one code, and have its values where they are `asked` for."""
    first = streams.codes[:-1]
    return (np.diff(streams.codes) == 1) & ((streams.shift[first] != NO_VALUE) | ~np.isin(first, asked))


def _other(info: FeatureInfo, codes: Mapping[str, int]) -> int:
    """The code that a share is among, or that ends a run; without one the feature's own."""
    return codes[code_of(info.among or info.until or info.of, info.aggregate == "open")]


def compute(out: Floats, events: Events, rows: Rows, what: Program, zone: str) -> None:
    """Put the program's features of every row into their columns of `out`, NaN where there is nothing to make one of.
    Days are those of `zone`."""
    streams, (people, place) = events.streams, np.unique(rows.person, return_inverse=True)
    first, last = np.zeros((2, len(people), len(what.reach)), np.int64)
    _slices(first, last, streams.begins, events.person, people)
    room, codes = max(1, int((last - first).max())), len(streams.shift)
    scratch = Scratch(
        room,
        np.empty(codes * room, np.int64),
        np.empty(codes * room, np.int64),
        np.zeros(codes, np.bool_),
        np.zeros((codes, len(rows.days)), np.int64),
        np.zeros(codes, np.int64),
    )
    calendar = np.empty(0, np.int64)
    if KINDS["distinct_days"] in what.kind:
        calendar = midnights(int(rows.starts[:, :-1].min()), int(rows.cuts.max()), zone)
    tables = tuple(streams), tuple(what), tuple(scratch)  # compiled code that is kept on disk must not name our classes
    fill(out, place.astype(np.int64), first, last, rows.place, rows.cuts, rows.starts, calendar, *tables)


@compiled
def _slices(first, last, begins, person, people):  # type: ignore[no-untyped-def]
    """For each of the sorted `people` and each stream, where the person's events begin and end."""
    for s in range(len(begins) - 1):
        e, end = begins[s], begins[s + 1]
        for p in range(len(people)):
            while e < end and person[e] < people[p]:
                e += 1
            first[p, s] = e
            while e < end and person[e] == people[p]:
                e += 1
            last[p, s] = e
