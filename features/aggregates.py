"""The compiled part of the pass: one small function for each aggregate, and the driver that calls them row by row.

All of it is in this one file: compiled code is kept on disk for as long as the file of the function that was called
stays as it is, whatever happens to files it calls into.

A window is `at[begin:end]` and `value[begin:end]`: the moments, newest first, and values of the events of one code that
were in force at the cut. Values are whole ten-thousandths, so that sums are exact and events of one moment may come in
any order.
"""

from typing import Any

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
OF_MOMENTS = ("count", "distinct_days", "days_since", "days_since_first", "longest_gap", "cadence", "decayed")
SUM, MEAN, LEAST, MOST, FIRST, LAST, SLOPE, DECAYED_MEAN = range(10, 18)
OF_VALUES = ("sum", "mean", "min", "max", "first", "last", "slope", "decayed_mean")
SHARE, RUN, CHANGE, RATE, RATIO = range(20, 25)
OF_TWO = ("share", "run", "change", "rate", "ratio")
NAMED = ((COUNT, OF_MOMENTS), (SUM, OF_VALUES), (SHARE, OF_TWO))
KINDS = {"open": COUNT} | {name: first + n for first, names in NAMED for n, name in enumerate(names)}


compiled: Any = njit(cache=True, nogil=True, _nrt=False)  # type: ignore[call-overload]
inlined: Any = njit(nogil=True, _nrt=False, forceinline=True)  # type: ignore[call-overload]
"""Calls that pass arrays, and counting who holds them, would cost more than what is done here with a handful of
events: so everything is compiled into one function, and nothing in it makes an array."""


@compiled
def fill(out, place, first, last, of_cut, cuts, starts, midnights, streams, program, scratch):  # type: ignore[no-untyped-def]
    """Every feature of every row. `place` is the row's person in `first` and `last`, which say where the person's
    events of each stream begin and end; `of_cut` is the row's cut in `cuts` and `starts`. The last three are the fields
    of `events.Streams`, `kernel.Program` and `kernel.Scratch`, in their order."""
    _, codes, at, known_from, known_to, bits, value, shift, brief = streams
    column, kind, code, window, other, against, days, half_life, reach, known = program
    room, ats, values, sizes, ends = scratch
    for row in range(len(place)):
        p, k, cut = place[row], of_cut[row], cuts[of_cut[row]]
        for s in range(len(reach)):
            first_code, last_code, far, w = codes[s], codes[s + 1], reach[s], 0
            begin, end = first[p, s], _ahead(at, first[p, s], last[p, s], cut)
            for c in range(first_code, last_code):
                sizes[c] = c * room
            for e in range(end - 1, begin - 1, -1):
                w = _closed(ends, sizes, first_code, last_code, starts, k, w, far, at[e])
                if w > far:
                    break
                if known_from[e] <= cut < known_to[e]:
                    _take(ats, values, sizes, first_code, bits[e], at[e], value, shift, e)
            _closed(ends, sizes, first_code, last_code, starts, k, w, far, NO_VALUE)
        since = _since(first, last, p, starts[k, known], cut, at, known_from, known_to, brief) if known >= 0 else cut
        for f in range(len(kind)):
            c, o, w, wide, life = code[f], other[f], window[f], against[f], half_life[f]
            begin, end, widely, other_begin, other_end = c * room, ends[c, w], ends[c, wide], o * room, ends[o, w]
            covered = (cut - max(since, starts[k, wide])) / DAY
            out[row, column[f]] = _figure(
                kind[f], cut, ats, values, begin, end, widely, other_begin, other_end, midnights, life, days[f], covered
            )


@inlined
def _figure(  # type: ignore[no-untyped-def]
    kind, cut, at, value, begin, end, wide, other_begin, other_end, midnights, half_life, days, covered
):
    """One feature of what was gathered for a row."""
    if kind == COUNT:
        return np.float64(end - begin)
    if kind < SUM:
        return _of_moments(kind, cut, at, begin, end, midnights, half_life)
    if kind < SHARE:
        return _of_values(kind, cut, at, value, begin, end, half_life)
    if kind < CHANGE:
        return _of_two(kind, at, begin, end, other_begin, other_end)
    if kind == CHANGE:
        return _last(at, value, begin, end) - _mean(value, begin, wide)
    return _covered(kind, end - begin, wide - begin, days, covered)


@inlined
def _closed(ends, sizes, first_code, last_code, starts, k, w, reach, at):  # type: ignore[no-untyped-def]
    """Mark where the windows end that begin after `at`; the first that does not."""
    while w <= reach and at < starts[k, w]:
        for c in range(first_code, last_code):
            ends[c, w] = sizes[c]
        w += 1
    return w


@inlined
def _take(ats, values, sizes, first_code, bits, at, value, shift, e):  # type: ignore[no-untyped-def]
    """Put an event into the room of each of its codes."""
    while bits:
        c = first_code + np.int64(lowest(bits))
        ats[sizes[c]] = at
        values[sizes[c]] = value[e + shift[c]] if shift[c] != NO_VALUE else NO_VALUE
        sizes[c] += 1
        bits &= bits - np.uint64(1)


@inlined
def _of_two(kind, at, begin, end, other_begin, other_end):  # type: ignore[no-untyped-def]
    if kind == SHARE:
        return (end - begin) / (other_end - other_begin) if other_end > other_begin else np.nan
    return _run(at, begin, end, other_begin, other_end)


@inlined
def _ahead(at, first, last, cut):  # type: ignore[no-untyped-def]
    """The place of the first event at or after the cut."""
    while first < last:
        middle = (first + last) // 2
        if at[middle] < cut:
            first = middle + 1
        else:
            last = middle
    return first


@inlined
def _since(first, last, p, start, cut, at, known_from, known_to, brief):  # type: ignore[no-untyped-def]
    """The moment of the person's oldest event that is in force and not before `start`, or the cut."""
    oldest = cut
    for s in range(brief):
        for e in range(_ahead(at, first[p, s], last[p, s], start), last[p, s]):
            if at[e] >= oldest:
                break
            if known_from[e] <= cut < known_to[e]:
                oldest = at[e]
                break
    return oldest


@inlined
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


@inlined
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


@inlined
def _decayed(cut, at, begin, end, half_life):  # type: ignore[no-untyped-def]
    total = 0.0
    for e in range(begin, end):
        total += np.exp2((at[e] - cut) / half_life)
    return total


@inlined
def _distinct_days(at, begin, end, midnights):  # type: ignore[no-untyped-def]
    days, dawn = 0, FOREVER
    for e in range(begin, end):
        if at[e] < dawn:
            days += 1
            dawn = midnights[np.searchsorted(midnights, at[e], "right") - 1]
    return float(days)


@inlined
def _longest_gap(at, begin, end):  # type: ignore[no-untyped-def]
    """Days; between one event and the next."""
    longest = -1
    for e in range(begin + 1, end):
        longest = max(longest, at[e - 1] - at[e])
    return longest / DAY if longest >= 0 else np.nan


@inlined
def _cadence(cut, at, begin, end):  # type: ignore[no-untyped-def]
    """The time since the last event, in mean gaps between events."""
    span = at[begin] - at[end - 1]
    return (cut - at[begin]) * (end - begin - 1) / span if span else np.nan


@inlined
def _sum(value, begin, end):  # type: ignore[no-untyped-def]
    total = 0
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            total += value[e]
    return total / SCALE


@inlined
def _mean(value, begin, end):  # type: ignore[no-untyped-def]
    total, valued = 0, 0
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            total += value[e]
            valued += 1
    return total / SCALE / valued if valued else np.nan


@inlined
def _least(value, begin, end):  # type: ignore[no-untyped-def]
    least = FOREVER
    for e in range(begin, end):
        if value[e] != NO_VALUE:
            least = min(least, value[e])
    return least / SCALE if least < FOREVER else np.nan


@inlined
def _most(value, begin, end):  # type: ignore[no-untyped-def]
    most = NO_VALUE
    for e in range(begin, end):
        most = max(most, value[e])
    return most / SCALE if most > NO_VALUE else np.nan


@inlined
def _last(at, value, begin, end):  # type: ignore[no-untyped-def]
    """The newest value; the greatest of several at one moment."""
    found, moment = NO_VALUE, NO_VALUE
    for e in range(begin, end):
        if found > NO_VALUE and at[e] < moment:
            break
        if value[e] > found:
            found, moment = value[e], at[e]
    return found / SCALE if found > NO_VALUE else np.nan


@inlined
def _first(at, value, begin, end):  # type: ignore[no-untyped-def]
    """The oldest value; the least of several at one moment."""
    found, moment = FOREVER, FOREVER
    for e in range(end - 1, begin - 1, -1):
        if found < FOREVER and at[e] > moment:
            break
        if NO_VALUE < value[e] < found:
            found, moment = value[e], at[e]
    return found / SCALE if found < FOREVER else np.nan


@inlined
def _moment(at, value, e, end):  # type: ignore[no-untyped-def]
    """How many values there are at the moment of event `e`, their sum, and the place of the next older moment."""
    valued, total, moment = 0, 0, at[e]
    while e < end and at[e] == moment:
        if value[e] != NO_VALUE:
            valued += 1
            total += value[e]
        e += 1
    return valued, total, e


@inlined
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


@inlined
def _decayed_mean(cut, at, value, begin, end, half_life):  # type: ignore[no-untyped-def]
    total, weights, e = 0.0, 0.0, begin
    while e < end:
        weight = np.exp2((at[e] - cut) / half_life)
        here, risen, e = _moment(at, value, e, end)
        total += weight * risen
        weights += weight * here
    return total / SCALE / weights if weights else np.nan


@inlined
def _run(at, begin, end, other_begin, other_end):  # type: ignore[no-untyped-def]
    """How many events are newer than the newest of the other kind."""
    until = at[other_begin] if other_end > other_begin else NO_VALUE
    run = 0
    while begin + run < end and at[begin + run] > until:
        run += 1
    return float(run)


@inlined
def _covered(kind, count, long_count, days, covered):  # type: ignore[no-untyped-def]
    """Events per covered day; or the short window's count against what the long one's leads to expect.

    Someone known for less than a day (for a ratio: than the short window) is taken to have been known for that long.
    """
    if kind == RATE:
        return count / max(covered, 1.0)
    return (count + 0.25) / (long_count * days / max(covered, days) + 0.5)
