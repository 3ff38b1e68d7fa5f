"""The compiled part of the pass: one small function for each aggregate, and the driver that calls them row by row.

All of it is in this one file: compiled code is kept on disk for as long as the file of the function that was called
stays as it is, whatever happens to files it calls into.

A window is `at[begin:end]` and `value[begin:end]`: the moments, newest first, and values of the events of one code that
were in force at the cut. Values are whole ten-thousandths, so that sums are exact and the same in any order.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

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


class Stream(NamedTuple):
    """What the pass reads of each event: moment, known from and to, value."""

    at: Ints
    known_from: Ints
    known_to: Ints
    value: Ints


class Program(NamedTuple):
    """What to compute, a column a feature: kind (of `KINDS`), code, window (its place among the row's starts), the
    other code (of share and run), the other window (of change and ratio), the window's days, and the half-life in
    microseconds. reach: for each code the longest window that a feature of it has, or -1."""

    kind: Ints
    code: Ints
    window: Ints
    other: Ints
    against: Ints
    days: Floats
    half_life: Floats
    reach: Ints


@njit(cache=True, nogil=True)
def slices(begins, person, people):  # type: ignore[no-untyped-def]
    """For each of the sorted `people` and each code, where the person's events begin and end."""
    codes = len(begins) - 1
    first, last = np.zeros((len(people), codes), np.int64), np.zeros((len(people), codes), np.int64)
    for c in range(codes):
        e, end = begins[c], begins[c + 1]
        for p in range(len(people)):
            while e < end and person[e] < people[p]:
                e += 1
            first[p, c] = e
            while e < end and person[e] == people[p]:
                e += 1
            last[p, c] = e
    return first, last


@njit(cache=True, nogil=True)
def fill(out, place, first, last, cuts, starts, midnights, stream, what):  # type: ignore[no-untyped-def]
    """Every feature of every row. `place` is the row's person in `first` and `last`."""
    at, known_from, known_to, value = stream
    kind, code, window, other, against, days, half_life, reach = what
    room, codes = _room(first, last), len(reach)
    ats, values = np.empty(room, np.int64), np.empty(room, np.int64)
    begins, ends = np.zeros(codes, np.int64), np.zeros((codes, starts.shape[1]), np.int64)
    needs_since = np.any(kind >= RATE)
    for row in range(len(place)):
        p, cut, size = place[row], cuts[row], 0
        for c in range(codes):
            begins[c] = size
            if reach[c] >= 0:
                end = _ahead(at, first[p, c], last[p, c], cut)
                size = _gather(
                    ats,
                    values,
                    ends,
                    c,
                    size,
                    first[p, c],
                    end,
                    cut,
                    starts,
                    row,
                    reach[c],
                    at,
                    known_from,
                    known_to,
                    value,
                )
        since = _since(first, last, p, starts[row, -1], cut, at, known_from, known_to) if needs_since else cut
        for f in range(len(kind)):
            c, w, o = code[f], window[f], other[f]
            begin, end, wide = begins[c], ends[c, w], ends[c, against[f]]
            if kind[f] < SUM:
                out[row, f] = _of_moments(kind[f], cut, ats, begin, end, midnights, half_life[f])
            elif kind[f] < SHARE:
                out[row, f] = _of_values(kind[f], cut, ats, values, begin, end, half_life[f])
            elif kind[f] <= CHANGE:
                out[row, f] = _of_two(kind[f], ats, values, begin, end, wide, begins[o], ends[o, w])
            else:
                covered = (cut - max(since, starts[row, against[f]])) / DAY
                out[row, f] = _covered(kind[f], end - begin, wide - begin, days[f], covered)


@njit(cache=True, nogil=True)
def _of_two(kind, at, value, begin, end, wide, other_begin, other_end):  # type: ignore[no-untyped-def]
    if kind == SHARE:
        return (end - begin) / (other_end - other_begin) if other_end > other_begin else np.nan
    if kind == RUN:
        return _run(at, begin, end, other_begin, other_end)
    return _last(at, value, begin, end) - _mean(value, begin, wide)


@njit(cache=True, nogil=True)
def _room(first, last):  # type: ignore[no-untyped-def]
    most = 0
    for p in range(len(first)):
        most = max(most, (last[p] - first[p]).sum())
    return most


@njit(cache=True, nogil=True)
def _gather(  # type: ignore[no-untyped-def]
    ats, values, ends, c, size, first, end, cut, starts, row, reach, at, known_from, known_to, value
):
    """Put one code's events in force at the cut behind what was gathered, and mark where each window ends."""
    w = 0
    for e in range(end - 1, first - 1, -1):
        while w <= reach and at[e] < starts[row, w]:
            ends[c, w] = size
            w += 1
        if w > reach:
            break
        if known_from[e] <= cut < known_to[e]:
            ats[size], values[size] = at[e], value[e]
            size += 1
    for later in range(w, ends.shape[1]):
        ends[c, later] = size
    return size


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
def _since(first, last, p, start, cut, at, known_from, known_to):  # type: ignore[no-untyped-def]
    """The moment of the person's oldest event of any code that is in force and not before `start`, or the cut."""
    oldest = cut
    for c in range(first.shape[1]):
        for e in range(_ahead(at, first[p, c], last[p, c], start), last[p, c]):
            if at[e] >= oldest:
                break
            if known_from[e] <= cut < known_to[e]:
                oldest = at[e]
                break
    return oldest


@njit(cache=True, nogil=True)
def _of_moments(kind, cut, at, begin, end, midnights, half_life):  # type: ignore[no-untyped-def]
    if kind == COUNT:
        return float(end - begin)
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
        return _slope(cut, at, value, begin, end)
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
def _slope(cut, at, value, begin, end):  # type: ignore[no-untyped-def]
    """Least squares, per day; nothing where all values are of one moment."""
    valued, days, total, newest, oldest = 0, 0.0, 0, NO_VALUE, FOREVER
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            valued += 1
            days += (at[e] - cut) / DAY
            total += value[e]
            newest, oldest = max(newest, at[e]), min(oldest, at[e])
    if newest <= oldest:
        return np.nan
    middle, level, across, spread = days / valued, total / valued, 0.0, 0.0
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            away = (at[e] - cut) / DAY - middle
            across += away * (value[e] - level)
            spread += away * away
    return across / spread / SCALE


@njit(cache=True, nogil=True)
def _decayed_mean(cut, at, value, begin, end, half_life):  # type: ignore[no-untyped-def]
    total, weights = 0.0, 0.0
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            weight = np.exp2((at[e] - cut) / half_life)
            total += weight * value[e]
            weights += weight
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
