"""The compiled part of the pass: one small function for each aggregate, and the driver that calls them row by row.

All of it is in this one file: compiled code is kept on disk for as long as the file of the function that was called
stays as it is, whatever happens to files it calls into.

A window is `at[begin:end]` and `value[begin + away:end + away]`: the moments, oldest first, and values of the events of
one code that were in force at the cut. All windows of a row end at its cut, so that each holds the shorter ones:
features that differ in their window alone are a ladder, and what has to look at every event looks once, going on from
rung to rung. Values are whole ten-thousandths, so that sums are exact and events of one moment may come in any order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.cpython.unsafe.numbers import trailing_zeros

lowest: Any = trailing_zeros
"""The place of the lowest bit that is set."""
Bits = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SCALE = 10_000
NO_VALUE = np.iinfo(np.int64).min
FOREVER = np.iinfo(np.int64).max
DAY = 86_400_000_000.0
"""Microseconds in a day; every moment here is microseconds since 1970."""

SUM, MEAN, LEAST, MOST, SLOPE, FIRST, LAST, CHANGE, DECAYED_MEAN, DECAYED_EXCESS = range(10)
OF_VALUES = ("sum", "mean", "min", "max", "slope", "first", "last", "change", "decayed_mean", "decayed_excess")
DISTINCT_DAYS, LONGEST_GAP, COUNT, DAYS_SINCE, DAYS_SINCE_FIRST, CADENCE, DECAYED = range(10, 17)
OF_MOMENTS = ("distinct_days", "longest_gap", "count", "days_since", "days_since_first", "cadence", "decayed")
SHARE, RUN, RATE, RATIO = range(20, 24)
OF_MORE = ("share", "run", "rate", "ratio")
NAMED = ((SUM, OF_VALUES), (DISTINCT_DAYS, OF_MOMENTS), (SHARE, OF_MORE))
KINDS = {"open": COUNT} | {name: first + n for first, names in NAMED for n, name in enumerate(names)}

compiled: Any = njit(cache=True, nogil=True, _nrt=False, error_model="numpy")  # type: ignore[call-overload]
inlined: Any = njit(nogil=True, _nrt=False, error_model="numpy", forceinline=True)  # type: ignore[call-overload]
"""Calls that pass arrays, and counting who holds them, would cost more than what is done here with a handful of
events: so everything is compiled into one function, and nothing in it makes an array. Nothing by nothing is NaN."""
there: Any = np.uint64
"""A place that cannot be meant from the end: the compiler need not allow for it, and takes several events at a time."""


@compiled
def fill(out, place, first, last, of_cut, cuts, starts, midnights, streams, program, scratch):  # type: ignore[no-untyped-def]
    """Every feature of every row. `place` is the row's person in `first` and `last`, which say where the person's
    events of each stream begin and end; `of_cut` is the row's cut in `cuts` and `starts`. The last three are the fields
    of `events.Streams`, `kernel.Program` and `kernel.Scratch`, in their order."""
    _, _, at, known_from, known_to, _, _, shift, brief = streams
    ladders, walks, _, _, _, _, _, _, _, _, reach, alone, known = program
    block, since = scratch[0], scratch[-1]
    for start in range(0, len(place), block):
        rows = range(start, min(start + block, len(place)))
        for row in rows:
            p, k, cut, base = place[row], of_cut[row], cuts[of_cut[row]], (row - start) * len(shift)
            for s in range(len(reach)):
                if reach[s] >= 0:
                    _look_back(s, base, first[p, s], last[p, s], cut, starts, k, reach[s], alone[s], streams, scratch)
            if known >= 0:
                earliest = starts[k, known]
                since[row - start] = _since(first, last, p, earliest, cut, at, known_from, known_to, brief)
        for n in range(len(ladders) - 1):
            for row in rows:
                k, base, known_for = of_cut[row], there((row - start) * len(shift)), since[row - start]
                ladder = walks[n], ladders[n], ladders[n + 1]
                _climb(out, row, base, ladder, cuts[k], starts, k, known_for, midnights, streams, program, scratch)


@inlined
def _look_back(s, base, first, last, cut, starts, k, far, alone, streams, scratch):  # type: ignore[no-untyped-def]
    """Where the windows of a stream's codes lie. The events of a stream of one code are walked where they are, if all
    of them were in force at the cut; otherwise those that were are gathered, code by code."""
    _, codes, at, known_from, known_to, bits, value, shift, _ = streams
    _, room, ats, values, in_place, begins, ends, _ = scratch
    first_code, last_code = base + codes[s], base + codes[s + 1]
    begin, end = _ahead(at, first, last, starts[k, far]), _ahead(at, first, last, cut)
    if alone and _all_in_force(known_from, known_to, begin, end, cut):
        in_place[first_code], ends[first_code], begins[first_code, far] = True, end, begin
        for w in range(far):
            begins[first_code, w] = _ahead(at, first, last, starts[k, w])
        return
    for c in range(first_code, last_code):
        in_place[c], ends[c], begins[c, 0] = False, (c + 1) * room, (c + 1) * room
    w = 0
    for e in range(end - 1, begin - 1, -1):
        w = _further(begins, first_code, last_code, starts, k, w, far, at[e])
        if known_from[e] <= cut < known_to[e]:
            _take(ats, values, begins, w, base, codes[s], bits[e], at[e], value, shift, e)
    _further(begins, first_code, last_code, starts, k, w, far, NO_VALUE)


@inlined
def _all_in_force(known_from, known_to, begin, end, cut):  # type: ignore[no-untyped-def]
    other = 0
    for e in range(there(begin), there(end)):
        other |= (known_from[e] > cut) | (known_to[e] <= cut)
    return other == 0


@inlined
def _further(begins, first_code, last_code, starts, k, w, far, at):  # type: ignore[no-untyped-def]
    """The shortest window that holds the moment `at`, or `far`; it begins, so far, where the shorter ones do."""
    while w < far and at < starts[k, w]:
        for c in range(first_code, last_code):
            begins[c, w + 1] = begins[c, w]
        w += 1
    return w


@inlined
def _take(ats, values, begins, w, base, first_code, bits, at, value, shift, e):  # type: ignore[no-untyped-def]
    """Put an event before what is gathered of each of its codes."""
    while bits:
        c = first_code + np.int64(lowest(bits))
        begins[base + c, w] -= 1
        ats[begins[base + c, w]] = at
        values[begins[base + c, w]] = value[e + shift[c]] if shift[c] != NO_VALUE else NO_VALUE
        bits &= bits - np.uint64(1)


@inlined
def _ahead(at, first, last, cut):  # type: ignore[no-untyped-def]
    """The place of the first event at or after the cut."""
    size = last - first
    while size > 8:  # so few are sooner all looked at than halved
        half = size >> 1
        first += half * (at[there(first + half - 1)] < cut)
        size -= half
    ahead = 0
    for e in range(there(first), there(first + size)):
        ahead += at[e] < cut
    return first + ahead


@inlined
def _since(first, last, p, start, cut, at, known_from, known_to, brief):  # type: ignore[no-untyped-def]
    """The moment of the person's oldest event that is in force and not before `start`, or the cut."""
    oldest = cut
    for s in range(brief):
        for e in range(_ahead(at, first[p, s], last[p, s], start), last[p, s]):
            if at[e] >= oldest or known_from[e] <= cut < known_to[e]:
                oldest = min(oldest, at[e])
                break
    return oldest


@inlined
def _climb(out, row, base, ladder, cut, starts, k, since, midnights, streams, program, scratch):  # type: ignore[no-untyped-def]
    """The features of one ladder."""
    _, _, column, kind, code, window, other, against, days, half_life, _, _, _ = program
    _, _, ats, values, in_place, begins, ends, _ = scratch
    walk, low, high = ladder
    c = base + code[low]
    rungs = out, row, column, kind, low, high, begins, c, window
    if in_place[c]:
        at, value, away = streams[2], streams[6], streams[7][code[low]]
    else:
        at, value, away = ats, values, 0
    if walk <= DECAYED_EXCESS:
        _of_values(walk, cut, rungs, ends[c], at, value, away, against, half_life)
    elif walk <= DECAYED:
        _of_moments(walk, cut, rungs, ends[c], at, midnights, half_life)
    elif walk <= RUN:
        _of_two(walk, rungs, ends, at, base, other, in_place, streams[2], ats)
    else:
        _of_cover(walk, cut, rungs, ends[c], since, starts, k, against, days)


@inlined
def _of_values(walk, cut, rungs, end, at, value, away, against, half_life):  # type: ignore[no-untyped-def]
    out, row, column, _, low, high, begins, c, window = rungs
    if walk == SUM:
        _sums(*rungs, end, value, away)
    elif walk == LEAST:
        _extremes(*rungs, end, value, away)
    elif walk == SLOPE:
        _slopes(*rungs, end, at, value, away)
    else:
        for f in range(low, high):
            begin, wide = begins[c, window[f]], begins[c, against[f]]
            out[row, column[f]] = _of_value(walk, cut, at, value, away, begin, end, wide, half_life[f])


@inlined
def _of_moments(walk, cut, rungs, end, at, midnights, half_life):  # type: ignore[no-untyped-def]
    out, row, column, _, low, high, begins, c, window = rungs
    if walk == DISTINCT_DAYS:
        _distinct_days(*rungs, end, at, midnights)
    elif walk == LONGEST_GAP:
        _longest_gaps(*rungs, end, at)
    else:
        for f in range(low, high):
            out[row, column[f]] = _of_moment(walk, cut, at, begins[c, window[f]], end, half_life[f])


@inlined
def _sums(out, row, column, kind, low, high, begins, c, window, end, value, away):  # type: ignore[no-untyped-def]
    total, valued = 0, 0
    for f in range(low, high):
        begin = begins[c, window[f]]
        for e in range(there(begin + away), there(end + away)):
            total += value[e] if value[e] != NO_VALUE else 0
            valued += value[e] != NO_VALUE
        end = begin
        out[row, column[f]] = total / SCALE if kind[f] == SUM else total / SCALE / valued


@inlined
def _extremes(out, row, column, kind, low, high, begins, c, window, end, value, away):  # type: ignore[no-untyped-def]
    least, most = FOREVER, NO_VALUE
    for f in range(low, high):
        begin = begins[c, window[f]]
        for e in range(there(begin + away), there(end + away)):
            most = max(most, value[e])
            least = min(least, value[e] if value[e] != NO_VALUE else FOREVER)
        end = begin
        out[row, column[f]] = np.nan if most == NO_VALUE else (least if kind[f] == LEAST else most) / SCALE


@inlined
def _slopes(out, row, column, kind, low, high, begins, c, window, e, at, value, away):  # type: ignore[no-untyped-def]
    """Least squares, per day: moments count from the newest that has a value, and values from one of its, so that the
    sums stay as small as the spread they are taken from. NaN where all values are of one moment."""
    valued, total, moments, squares, products = 0, 0, 0.0, 0.0, 0.0
    newest, level = NO_VALUE, 0
    for f in range(low, high):
        begin = begins[c, window[f]]
        while e > begin:
            e -= 1
            here, risen, moment = 1, value[there(e + away)], at[there(e)]
            if risen == NO_VALUE or (e > begin and at[there(e - 1)] == moment):
                here, risen, e = _moment(at, value, away, begin, e + 1)
            if here:
                if valued == 0:
                    newest, level = moment, risen // here
                back, risen = np.float64(moment - newest), risen - here * level
                valued, total = valued + here, total + risen
                moments += back * here
                squares += back * back * here
                products += back * risen
        if kind[f] == SLOPE:
            rise, spread = products - moments * total / valued, squares - moments * moments / valued
            out[row, column[f]] = rise / spread * (DAY / SCALE) if moments else np.nan
        else:
            summed = (total + level * valued) / SCALE
            out[row, column[f]] = summed if kind[f] == SUM else summed / valued


@inlined
def _moment(at, value, away, begin, e):  # type: ignore[no-untyped-def]
    """How many values there are at the moment of the event before place `e`, their sum, and its first place."""
    valued, total, moment = 0, 0, at[there(e - 1)]
    while e > begin and at[there(e - 1)] == moment:
        e -= 1
        here = value[there(e + away)]
        valued, total = (valued + 1, total + here) if here != NO_VALUE else (valued, total)
    return valued, total, e


@inlined
def _distinct_days(out, row, column, kind, low, high, begins, c, window, e, at, midnights):  # type: ignore[no-untyped-def]
    days, dawn = 0, FOREVER
    for f in range(low, high):
        while e > begins[c, window[f]]:
            e -= 1
            if at[there(e)] < dawn:
                days += 1
                dawn = midnights[np.searchsorted(midnights, at[there(e)], "right") - 1]
        out[row, column[f]] = days


@inlined
def _longest_gaps(out, row, column, kind, low, high, begins, c, window, end, at):  # type: ignore[no-untyped-def]
    longest, e = -1, end
    for f in range(low, high):
        while e > begins[c, window[f]]:
            e -= 1
            longest = max(longest, at[e + 1] - at[e] if e + 1 < end else -1)
        out[row, column[f]] = longest / DAY if longest >= 0 else np.nan


@inlined
def _of_moment(kind, cut, at, begin, end, half_life):  # type: ignore[no-untyped-def]
    if kind == COUNT:
        return np.float64(end - begin)
    if kind == DECAYED:
        return _decayed(cut, at, begin, end, half_life)
    if begin == end:
        return np.nan
    if kind == DAYS_SINCE:
        return (cut - at[end - 1]) / DAY
    return (cut - at[begin]) / DAY if kind == DAYS_SINCE_FIRST else _cadence(cut, at, begin, end)


@inlined
def _decayed(cut, at, begin, end, half_life):  # type: ignore[no-untyped-def]
    total = 0.0
    for e in range(end - 1, begin - 1, -1):
        total += np.exp2((at[e] - cut) / half_life)
    return total


@inlined
def _cadence(cut, at, begin, end):  # type: ignore[no-untyped-def]
    """The time since the last event, in mean gaps between events."""
    span = at[there(end - 1)] - at[begin]
    return (cut - at[there(end - 1)]) * (end - begin - 1) / span if span else np.nan


@inlined
def _of_value(kind, cut, at, value, away, begin, end, wide, half_life):  # type: ignore[no-untyped-def]
    if kind == FIRST:
        return _first(at, value, away, begin, end)
    if kind == LAST:
        return _last(at, value, away, begin, end)
    if kind >= DECAYED_MEAN:
        return _faded(kind, cut, at, value, away, begin, end, wide, half_life)
    return _last(at, value, away, begin, end) - _mean(value, away, wide, end)


@inlined
def _first(at, value, away, begin, end):  # type: ignore[no-untyped-def]
    """The oldest value; the least of several at one moment."""
    found, moment = FOREVER, FOREVER
    for e in range(begin, end):
        if at[there(e)] > moment:
            break
        if NO_VALUE < value[there(e + away)] < found:
            found, moment = value[there(e + away)], at[e]
    return found / SCALE if found < FOREVER else np.nan


@inlined
def _last(at, value, away, begin, end):  # type: ignore[no-untyped-def]
    """The newest value; the greatest of several at one moment."""
    found, moment = NO_VALUE, NO_VALUE
    for e in range(end - 1, begin - 1, -1):
        if at[there(e)] < moment:
            break
        if value[there(e + away)] > found:
            found, moment = value[there(e + away)], at[e]
    return found / SCALE if found > NO_VALUE else np.nan


@inlined
def _mean(value, away, begin, end):  # type: ignore[no-untyped-def]
    total, valued = 0, 0
    for e in range(there(begin + away), there(end + away)):
        total += value[e] if value[e] != NO_VALUE else 0
        valued += value[e] != NO_VALUE
    return total / SCALE / valued


@inlined
def _faded(kind, cut, at, value, away, begin, end, wide, half_life):  # type: ignore[no-untyped-def]
    total, weights, e = 0.0, 0.0, end
    while e > begin:
        weight = np.exp2((at[there(e - 1)] - cut) / half_life)
        here, risen, e = _moment(at, value, away, begin, e)
        total, weights = total + weight * risen, weights + weight * here
    if kind == DECAYED_EXCESS:
        return total / SCALE - weights * _mean(value, away, wide, end) if weights else 0.0
    return total / SCALE / weights


@inlined
def _of_two(walk, rungs, ends, at, base, other, in_place, streamed, gathered):  # type: ignore[no-untyped-def]
    """The share among the events of the other code; or how many events are newer than all of those."""
    out, row, column, _, low, high, begins, c, window = rungs
    for f in range(low, high):
        o, begin = base + other[f], begins[c, window[f]]
        among = ends[o] - begins[o, window[f]]
        if walk == SHARE:
            out[row, column[f]] = (ends[c] - begin) / among if among else np.nan
        else:
            until = NO_VALUE
            if among:
                until = streamed[ends[o] - 1] if in_place[o] else gathered[ends[o] - 1]
            out[row, column[f]] = ends[c] - _ahead(at, begin, ends[c], until + 1)


@inlined
def _of_cover(walk, cut, rungs, end, since, starts, k, against, days):  # type: ignore[no-untyped-def]
    """Events per covered day; or the short window's count against what the long one's leads to expect.

    Someone known for less than a day (for a ratio: than the short window) is taken to have been known for that long.
    """
    out, row, column, _, low, high, begins, c, window = rungs
    for f in range(low, high):
        covered = (cut - max(since, starts[k, against[f]])) / DAY
        count, long_count = end - begins[c, window[f]], end - begins[c, against[f]]
        if walk == RATE:
            out[row, column[f]] = count / max(covered, 1.0)
        else:
            out[row, column[f]] = (count + 0.25) / (long_count * days[f] / max(covered, days[f]) + 0.5)
