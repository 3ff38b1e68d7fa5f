"""The compiled part of the pass: one small function for each aggregate, and the driver that calls them row by row.

All of it is in this one file: compiled code is kept on disk for as long as the file of the function that was called
stays as it is, whatever happens to files it calls into.

A window is `at[begin:end]` and `value[begin:end]`: the moments, newest first, and values of the events of one code that
were in force at the cut. Values are whole ten-thousandths, so that sums are exact and events of one moment may come in
any order.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.cpython.unsafe.numbers import trailing_zeros

lowest: Any = trailing_zeros
"""The place of the lowest bit that is set."""
Bits = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SCALE = 10_000
NO_VALUE = np.iinfo(np.int64).min
FOREVER = np.iinfo(np.int64).max
DAY = 86_400_000_000.0
"""Microseconds in a day; every moment here is microseconds since 1970."""

COUNT, DISTINCT_DAYS, DAYS_SINCE, DAYS_SINCE_FIRST, LONGEST_GAP, CADENCE, DECAYED = range(7)
SUM, MEAN, LEAST, MOST, FIRST, LAST, SLOPE, DECAYED_MEAN = range(10, 18)
SHARE, RUN, CHANGE, RATE, RATIO = range(20, 25)
KINDS = {
    "count": COUNT,
    "open": COUNT,
    "distinct_days": DISTINCT_DAYS,
    "days_since": DAYS_SINCE,
    "days_since_first": DAYS_SINCE_FIRST,
    "longest_gap": LONGEST_GAP,
    "cadence": CADENCE,
    "decayed": DECAYED,
    "sum": SUM,
    "mean": MEAN,
    "min": LEAST,
    "max": MOST,
    "first": FIRST,
    "last": LAST,
    "slope": SLOPE,
    "decayed_mean": DECAYED_MEAN,
    "share": SHARE,
    "run": RUN,
    "change": CHANGE,
    "rate": RATE,
    "ratio": RATIO,
}


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


class Program(NamedTuple):
    """What to compute: each feature's column, kind (of `KINDS`), code, window (its place among the row's starts), the
    other code (of share and run), the other window (of change and ratio), the window's days, and the half-life in
    microseconds. reach: for each stream the longest window that a feature of it has, or -1; known: the window over
    which a person may have been known."""

    column: Ints
    kind: Ints
    code: Ints
    window: Ints
    other: Ints
    against: Ints
    days: Floats
    half_life: Floats
    reach: Ints
    known: int


@njit(cache=True, nogil=True)
def slices(begins, person, people):  # type: ignore[no-untyped-def]
    """For each of the sorted `people` and each stream, where the person's events begin and end."""
    streams = len(begins) - 1
    first, last = np.zeros((len(people), streams), np.int64), np.zeros((len(people), streams), np.int64)
    for s in range(streams):
        e, end = begins[s], begins[s + 1]
        for p in range(len(people)):
            while e < end and person[e] < people[p]:
                e += 1
            first[p, s] = e
            while e < end and person[e] == people[p]:
                e += 1
            last[p, s] = e
    return first, last


@njit(cache=True, nogil=True)
def fill(out, place, first, last, cuts, starts, midnights, streams, what):  # type: ignore[no-untyped-def]
    """Every feature of every row. `place` is the row's person in `first` and `last`.

    Each code has room for the most events that any person has in a stream; what a row gathers of it lies at its
    beginning, newest first, so that a window is a prefix and `ends` says how far it goes.
    """
    room, codes = max(1, (last - first).max()), len(streams.shift)
    ats, values = np.empty(codes * room, np.int64), np.empty(codes * room, np.int64)
    ends, sizes = np.zeros((codes, starts.shape[1]), np.int64), np.zeros(codes, np.int64)
    needs_since = np.any(what.kind >= RATE)
    for row in range(len(place)):
        p, cut, since = place[row], cuts[row], cuts[row]
        for s in range(len(what.reach)):
            if what.reach[s] >= 0:
                end = _ahead(streams.at, first[p, s], last[p, s], cut)
                _gather(ats, values, ends, sizes, room, s, first[p, s], end, cut, starts[row], what.reach[s], streams)
        if needs_since:
            since = _since(first[p], last[p], starts[row, what.known], cut, streams)
        _finish(out[row], cut, since, starts[row], ats, values, ends, room, midnights, what)


@njit(cache=True, nogil=True)
def _gather(ats, values, ends, sizes, room, s, first, end, cut, starts, reach, streams):  # type: ignore[no-untyped-def]
    """Put the events of one stream that are in force at the cut into the room of each of their codes, and mark where
    each window ends there."""
    first_code, last_code = streams.codes[s], streams.codes[s + 1]
    for c in range(first_code, last_code):
        sizes[c] = c * room
    w = 0
    for e in range(end - 1, first - 1, -1):
        while w <= reach and streams.at[e] < starts[w]:
            ends[first_code:last_code, w] = sizes[first_code:last_code]
            w += 1
        if w > reach:
            return
        if streams.known_from[e] <= cut < streams.known_to[e]:
            bits = streams.bits[e]
            while bits:
                c = first_code + np.int64(lowest(bits))
                ats[sizes[c]] = streams.at[e]
                values[sizes[c]] = streams.value[e + streams.shift[c]] if streams.shift[c] != NO_VALUE else NO_VALUE
                sizes[c] += 1
                bits &= bits - np.uint64(1)
    for later in range(w, reach + 1):
        ends[first_code:last_code, later] = sizes[first_code:last_code]


@njit(cache=True, nogil=True)
def _finish(out, cut, since, starts, at, value, ends, room, midnights, what):  # type: ignore[no-untyped-def]
    """A row's features from what was gathered."""
    for f in range(len(what.kind)):
        kind, c, w, o = what.kind[f], what.code[f], what.window[f], what.other[f]
        begin, end, wide = c * room, ends[c, w], ends[c, what.against[f]]
        if kind == COUNT:
            out[what.column[f]] = end - begin
        elif kind < SUM:
            out[what.column[f]] = _of_moments(kind, cut, at, begin, end, midnights, what.half_life[f])
        elif kind < SHARE:
            out[what.column[f]] = _of_values(kind, cut, at, value, begin, end, what.half_life[f])
        elif kind <= CHANGE:
            out[what.column[f]] = _of_two(kind, at, value, begin, end, wide, o * room, ends[o, w])
        else:
            covered = (cut - max(since, starts[what.against[f]])) / DAY
            out[what.column[f]] = _covered(kind, end - begin, wide - begin, what.days[f], covered)


@njit(cache=True, nogil=True)
def _of_two(kind, at, value, begin, end, wide, other_begin, other_end):  # type: ignore[no-untyped-def]
    if kind == SHARE:
        return (end - begin) / (other_end - other_begin) if other_end > other_begin else np.nan
    if kind == RUN:
        return _run(at, begin, end, other_begin, other_end)
    return _last(at, value, begin, end) - _mean(value, begin, wide)


@njit(cache=True, nogil=True)
def _ahead(at, first, last, cut):  # type: ignore[no-untyped-def]
    """The place of the first event at or after the cut."""
    while first < last:
        middle = (first + last) // 2
        if at[middle] < cut:
            first = middle + 1
        else:
            last = middle
    return first


@njit(cache=True, nogil=True)
def _since(first, last, start, cut, streams):  # type: ignore[no-untyped-def]
    """The moment of the person's oldest event that is in force and not before `start`, or the cut."""
    oldest = cut
    for s in range(streams.brief):
        for e in range(_ahead(streams.at, first[s], last[s], start), last[s]):
            if streams.at[e] >= oldest:
                break
            if streams.known_from[e] <= cut < streams.known_to[e]:
                oldest = streams.at[e]
                break
    return oldest


@njit(cache=True, nogil=True)
def _of_moments(kind, cut, at, begin, end, midnights, half_life):  # type: ignore[no-untyped-def]
    if kind == DECAYED:
        return _decayed(cut, at, begin, end, half_life)
    if kind == DISTINCT_DAYS:
        return _distinct_days(at, begin, end, midnights)
    if begin == end:
        return np.nan
    if kind == DAYS_SINCE:
        return (cut - at[begin]) / DAY
    if kind == DAYS_SINCE_FIRST:
        return (cut - at[end - 1]) / DAY
    return _longest_gap(at, begin, end) if kind == LONGEST_GAP else _cadence(cut, at, begin, end)


@njit(cache=True, nogil=True)
def _of_values(kind, cut, at, value, begin, end, half_life):  # type: ignore[no-untyped-def]
    if kind == SUM:
        return _sum(value, begin, end)
    if kind == MEAN:
        return _mean(value, begin, end)
    if kind == LAST:
        return _last(at, value, begin, end)
    if kind == FIRST:
        return _first(at, value, begin, end)
    if kind == SLOPE:
        return _slope(at, value, begin, end)
    if kind == DECAYED_MEAN:
        return _decayed_mean(cut, at, value, begin, end, half_life)
    return _least(value, begin, end) if kind == LEAST else _most(value, begin, end)


@njit(cache=True, nogil=True)
def _decayed(cut, at, begin, end, half_life):  # type: ignore[no-untyped-def]
    total = 0.0
    for e in range(begin, end):
        total += np.exp2((at[e] - cut) / half_life)
    return total


@njit(cache=True, nogil=True)
def _distinct_days(at, begin, end, midnights):  # type: ignore[no-untyped-def]
    days, dawn = 0, FOREVER
    for e in range(begin, end):
        if at[e] < dawn:
            days += 1
            dawn = midnights[np.searchsorted(midnights, at[e], "right") - 1]
    return float(days)


@njit(cache=True, nogil=True)
def _longest_gap(at, begin, end):  # type: ignore[no-untyped-def]
    """Days; between one event and the next."""
    longest = -1
    for e in range(begin + 1, end):
        longest = max(longest, at[e - 1] - at[e])
    return longest / DAY if longest >= 0 else np.nan


@njit(cache=True, nogil=True)
def _cadence(cut, at, begin, end):  # type: ignore[no-untyped-def]
    """The time since the last event, in mean gaps between events."""
    span = at[begin] - at[end - 1]
    return (cut - at[begin]) * (end - begin - 1) / span if span else np.nan


@njit(cache=True, nogil=True)
def _sum(value, begin, end):  # type: ignore[no-untyped-def]
    total = 0
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            total += value[e]
    return total / SCALE


@njit(cache=True, nogil=True)
def _mean(value, begin, end):  # type: ignore[no-untyped-def]
    total, valued = 0, 0
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            total += value[e]
            valued += 1
    return total / SCALE / valued if valued else np.nan


@njit(cache=True, nogil=True)
def _least(value, begin, end):  # type: ignore[no-untyped-def]
    least = FOREVER
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            least = min(least, value[e])
    return least / SCALE if least < FOREVER else np.nan


@njit(cache=True, nogil=True)
def _most(value, begin, end):  # type: ignore[no-untyped-def]
    most = NO_VALUE
    for e in range(begin, end):
        most = max(most, value[e])
    return most / SCALE if most > NO_VALUE else np.nan


@njit(cache=True, nogil=True)
def _last(at, value, begin, end):  # type: ignore[no-untyped-def]
    """The newest value; the greatest of several at one moment."""
    found, moment = NO_VALUE, NO_VALUE
    for e in range(begin, end):
        if found > NO_VALUE and at[e] < moment:
            break
        if value[e] > found:
            found, moment = value[e], at[e]
    return found / SCALE if found > NO_VALUE else np.nan


@njit(cache=True, nogil=True)
def _first(at, value, begin, end):  # type: ignore[no-untyped-def]
    """The oldest value; the least of several at one moment."""
    found, moment = FOREVER, FOREVER
    for e in range(end - 1, begin - 1, -1):
        if found < FOREVER and at[e] > moment:
            break
        if NO_VALUE < value[e] < found:
            found, moment = value[e], at[e]
    return found / SCALE if found < FOREVER else np.nan


@njit(cache=True, nogil=True)
def _moment(at, value, e, end):  # type: ignore[no-untyped-def]
    """How many values there are at the moment of event `e`, their sum, and the place of the next older moment."""
    valued, total, moment = 0, 0, at[e]
    while e < end and at[e] == moment:
        if value[e] != NO_VALUE:
            valued += 1
            total += value[e]
        e += 1
    return valued, total, e


@njit(cache=True, nogil=True)
def _slope(at, value, begin, end):  # type: ignore[no-untyped-def]
    """Least squares, per day, in one pass: days count from the newest value, and values from it, so that the sums stay
    as small as the spread they are taken from. Nothing where all values are of one moment."""
    valued, days, squares, total, products, e = 0, 0.0, 0.0, 0, 0.0, begin
    newest, level = NO_VALUE, 0
    while e < end:
        moment = at[e]
        here, risen, e = _moment(at, value, e, end)
        if here:
            if valued == 0:
                newest, level = moment, risen // here
            away, risen = (moment - newest) / DAY, risen - here * level
            valued += here
            days += away * here
            squares += away * away * here
            total += risen
            products += away * risen
    if days == 0.0:
        return np.nan
    return (products - days * total / valued) / (squares - days * days / valued) / SCALE


@njit(cache=True, nogil=True)
def _decayed_mean(cut, at, value, begin, end, half_life):  # type: ignore[no-untyped-def]
    total, weights, e = 0.0, 0.0, begin
    while e < end:
        weight = np.exp2((at[e] - cut) / half_life)
        here, risen, e = _moment(at, value, e, end)
        total += weight * risen
        weights += weight * here
    return total / SCALE / weights if weights else np.nan


@njit(cache=True, nogil=True)
def _run(at, begin, end, other_begin, other_end):  # type: ignore[no-untyped-def]
    """How many events are newer than the newest of the other kind."""
    until = at[other_begin] if other_end > other_begin else NO_VALUE
    run = 0
    while begin + run < end and at[begin + run] > until:
        run += 1
    return float(run)


@njit(cache=True, nogil=True)
def _covered(kind, count, long_count, days, covered):  # type: ignore[no-untyped-def]
    """Events per covered day; or the short window's count against what the long one's leads to expect.

    Someone known for less than a day (for a ratio: than the short window) is taken to have been known for that long.
    """
    if kind == RATE:
        return count / max(covered, 1.0)
    return (count + 0.25) / (long_count * days / max(covered, days) + 0.5)
