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

from features import aggregates as made
from features.aggregates import FOREVER, KINDS, NO_VALUE, Bits, Flags, Floats, Ints, compiled
from features.driver import fill
from features.events import Events, Streams, code_of
from features.table import FeatureInfo
from features.windows import DAY, midnights, shift_moments

EVER = 0
"""The window of features that have no look-back: what lasts counts whenever it began."""
NEVER = NO_VALUE + 1
GATHERED, MOST_ROWS = 2**15, 256
"""So many events, of so many rows at most, are gathered before features are made of them, each for all of the rows."""


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
    """What to compute: features in ladders, `ladders[n]` to `ladders[n + 1]`, which are made of the events of one code
    in one walk of the kind `walks[n]`, the shortest window first. Of each feature its column, kind (of `KINDS`), code,
    window (its place among the row's starts), the other code (of share and run), the other window (of change and
    ratio), the window's days, and the half-life in microseconds. reach: for each stream the longest window that a
    feature of it has, or -1; alone: whether a stream's events are all of one code, and so may be looked at where they
    lie; known: the window over which a person may have been known, or -1 where no feature asks."""

    ladders: Bits
    walks: Ints
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
    """Where the pass puts what it finds for each row of a `block` of rows. The events in force of a code lie up to
    `ends[code]`, and those of a window from `begins[code, window]`: in the stream, where they are `in_place` and the
    person's go on to `lasts[code]`, or else in the `room` that each code has here for the most events that anyone has
    in a stream. Codes are counted on from row to row. since: from when each row's person is known; sums: running sums
    that are `held` from row to row."""

    block: int
    room: int
    at: Ints
    value: Ints
    in_place: Flags
    begins: Ints
    ends: Ints
    lasts: Ints
    since: Ints
    sums: Ints
    held: Ints


def scratch(room: int, codes: int, windows: int) -> Scratch:
    block = min(max(1, GATHERED // (room * codes)), MOST_ROWS)
    places = block * codes
    return Scratch(
        block,
        room,
        np.empty(places * room, np.int64),
        np.empty(places * room, np.int64),
        np.zeros(places, np.bool_),
        np.zeros((places, windows), np.int64),
        np.zeros(places, np.int64),
        np.zeros(places, np.int64),
        np.zeros(block, np.int64),
        np.zeros((room + 1, 5), np.int64),
        np.full(3, NO_VALUE),
    )


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
    walk = _walks(kind, code)
    order = np.lexsort((window, code, walk))
    infos, walk, kind, code, window = [infos[n] for n in order], walk[order], kind[order], code[order], window[order]
    other = np.array([_other(info, events.codes) for info in infos])
    against = np.array([place[info.against or info.days] for info in infos])
    ladders = np.flatnonzero(np.diff(walk, prepend=-1) | np.diff(code, prepend=-1))
    return Program(
        _places([*ladders, len(infos)]),
        walk[ladders],
        _places(columns)[order],
        kind,
        _places(code),
        _places(window),
        _places(other),
        _places(against),
        np.array([info.days for info in infos], np.float64),
        np.array([info.half_life * DAY for info in infos], np.float64),
        _reach(events.streams, (code, other), np.maximum(window, against)),
        _alone(events.streams, code[kind <= made.DECAYED_EXCESS]),
        len(days) - 2 if any(info.aggregate in ("rate", "ratio") for info in infos) else -1,
    )


def _walks(kind: Ints, code: Ints) -> Ints:
    """The kind of walk that makes each feature. Slopes give the sums and means of their code too, and what finds the
    least finds the most."""
    walk = np.select([kind == made.MEAN, kind == made.MOST], [made.SUM, made.LEAST], kind)
    return np.where((walk == made.SUM) & np.isin(code, code[kind == made.SLOPE]), made.SLOPE, walk)


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
    return np.asarray((np.diff(streams.codes) == 1) & ((streams.shift[first] != NO_VALUE) | ~np.isin(first, asked)))


def _other(info: FeatureInfo, codes: Mapping[str, int]) -> int:
    """The code that a share is among, or that ends a run; without one the feature's own."""
    return codes[code_of(info.among or info.until or info.of, info.aggregate == "open")]


def compute(out: Floats, events: Events, rows: Rows, what: Program, zone: str) -> None:
    """Put the program's features of every row into their columns of `out`, NaN where there is nothing to make one of.
    Days are those of `zone`."""
    streams, (people, place) = events.streams, _people(rows.person)
    first, last, until = np.zeros((3, len(people), len(what.reach)), np.int64)
    _slices(first, last, until, streams.begins, events.person, people, streams.known_from, streams.known_to)
    room = scratch(max(1, int((last - first).max())), len(streams.shift), len(rows.days))
    calendar = np.empty(0, np.int64)
    if KINDS["distinct_days"] in what.kind:
        calendar = midnights(int(rows.starts[:, :-1].min()), int(rows.cuts.max()), zone)
    tables = tuple(streams), tuple(what), tuple(room)  # compiled code that is kept on disk must not name our classes
    fill(out, place, (first, last, until), rows.place, rows.cuts, rows.starts, calendar, *tables)


def _people(person: Ints) -> tuple[Ints, Ints]:
    """The people of rows, in order, and which of them each row is of. Rows by person, as they come, need no sort."""
    changes = np.diff(person)
    if (changes < 0).any():
        people, place = np.unique(person, return_inverse=True)
        return people, place.astype(np.int64)
    return person[np.flatnonzero(np.append(True, changes > 0))], np.append(0, np.cumsum(changes > 0))


@compiled
def _slices(first, last, until, begins, person, people, known_from, known_to):  # type: ignore[no-untyped-def]
    """For each of the sorted `people` and each stream, where the person's events begin and end; and until when all of
    those before a cut are in force if the newest of them is: never, unless each was known no later than the next."""
    for s in range(len(begins) - 1):
        e, end = begins[s], begins[s + 1]
        for p in range(len(people)):
            while e < end and person[e] < people[p]:
                e += 1
            first[p, s] = e
            known, shut = NEVER, FOREVER
            while e < end and person[e] == people[p]:
                shut = min(shut, known_to[e] if known_from[e] >= known else NEVER)
                known = known_from[e]
                e += 1
            last[p, s], until[p, s] = e, shut
