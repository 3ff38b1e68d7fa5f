"""What the compiled pass makes of the events of a window: one small function for each aggregate.

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
MINUTE = 60_000_000
LARGEST = 2.0**62
"""Whole numbers below it can be added, and taken from one another, without overflow."""

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
whole: Any = np.int64


@inlined
def climb(out, row, base, ladder, cut, starts, k, since, midnights, streams, program, scratch):  # type: ignore[no-untyped-def]
    """The features of one ladder."""
    _, _, column, kind, code, window, other, against, days, half_life, _, _, _ = program
    _, _, ats, values, in_place, begins, ends, lasts, _, sums, held = scratch
    walk, low, high = ladder
    c = base + code[low]
    rungs = out, row, column, kind, low, high, begins, c, window
    if in_place[c]:
        at, value, away = streams[2], streams[6], streams[7][code[low]]
    else:
        at, value, away = ats, values, 0
    if walk <= DECAYED_EXCESS:
        _of_values(walk, cut, rungs, ends[c], lasts[c], at, value, away, against, half_life, sums, held)
    elif walk <= DECAYED:
        _of_moments(walk, cut, rungs, ends[c], at, midnights, half_life)
    elif walk <= RUN:
        _of_two(walk, rungs, ends, at, base, other, in_place, streams[2], ats)
    else:
        _of_cover(walk, cut, rungs, ends[c], since, starts, k, against, days)


@inlined
def ahead(at, first, last, cut):  # type: ignore[no-untyped-def]
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
def _of_values(walk, cut, rungs, end, last, at, value, away, against, half_life, sums, held):  # type: ignore[no-untyped-def]
    out, row, column, _, low, high, begins, c, window = rungs
    if walk == SUM:
        _sums(*rungs, end, value, away)
    elif walk == LEAST:
        _extremes(*rungs, end, value, away)
    elif walk == SLOPE:
        _slopes(rungs, end, last, at, value, away, sums, held)
    elif walk == LAST:
        _lasts(*rungs, end, at, value, away)
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
def _lasts(out, row, column, kind, low, high, begins, c, window, end, at, value, away):  # type: ignore[no-untyped-def]
    newest, found = _newest(at, value, away, begins[c, window[high - 1]], end)
    for f in range(low, high):
        out[row, column[f]] = found / SCALE if newest >= begins[c, window[f]] else np.nan


@inlined
def _newest(at, value, away, begin, end):  # type: ignore[no-untyped-def]
    """The place of the newest value, and the value; the greatest of several at one moment."""
    e = end - 1
    while e >= begin and value[there(e + away)] == NO_VALUE:
        e -= 1
    place, found = e, NO_VALUE
    if e >= begin:
        found = value[there(e + away)]
        while e > begin and at[there(e - 1)] == at[there(place)]:
            e -= 1
            found = max(found, value[there(e + away)])
    return place, found


@inlined
def _slopes(rungs, end, last, at, value, away, sums, held):  # type: ignore[no-untyped-def]
    """Least squares, per day; NaN where all values are of one moment. Exact, from running sums of whole numbers, unless
    the ladder's own events do not allow of it. held: of which of a person's events, up to the `last`, there are `sums`,
    and whether they hold; those of gathered events are for one row alone."""
    _, _, _, _, _, high, begins, c, window = rungs
    begin = begins[c, window[high - 1]]
    if last < end or begin < held[0] or held[1] < end:
        held[0], held[1], held[2] = begin, last, _run_up(sums, begin, max(end, last), at, value, away)
        if not held[2] and end < last:
            held[1], held[2] = end, _run_up(sums, begin, end, at, value, away)
    if held[2]:
        _exact_slopes(*rungs, end, held[0], sums)
    else:
        _walked_slopes(*rungs, end, at, value, away)


@inlined
def _run_up(sums, begin, end, at, value, away):  # type: ignore[no-untyped-def]
    """Sums over the first events from `begin` on, of none to all: of ones, values, moments, squares of moments, and
    products, for events that have a value. Whether they hold: moments are whole minutes apart, and no slope of any of
    the events can overflow."""
    valued, total, moments, squares, products = 0, 0, 0, 0, 0
    largest, odd, minutes = 0, 0, 0
    sums[0, :] = 0
    for n in range(end - begin):
        here, passed = value[there(begin + n + away)], there(at[there(begin + n)] - at[begin])
        minutes = whole(passed // there(MINUTE))
        odd |= whole(passed) - minutes * MINUTE
        if here != NO_VALUE:
            valued, total, moments = valued + 1, total + here, moments + minutes
            squares, products = squares + minutes * minutes, products + minutes * here
            largest = max(largest, abs(here))
        after = there(n + 1)
        sums[after, 0], sums[after, 1], sums[after, 2] = valued, total, moments
        sums[after, 3], sums[after, 4] = squares, products
    return odd == 0 and np.float64(valued) * valued * minutes * max(minutes, 2 * largest) < LARGEST


@inlined
def _exact_slopes(out, row, column, kind, low, high, begins, c, window, end, since, sums):  # type: ignore[no-untyped-def]
    upto = there(end - since)
    for f in range(low, high):
        before = there(begins[c, window[f]] - since)
        valued, total = sums[upto, 0] - sums[before, 0], sums[upto, 1] - sums[before, 1]
        if kind[f] == SLOPE:
            moments = sums[upto, 2] - sums[before, 2]
            spread = valued * (sums[upto, 3] - sums[before, 3]) - moments * moments
            rise = valued * (sums[upto, 4] - sums[before, 4]) - moments * total
            out[row, column[f]] = rise / spread * (DAY / MINUTE / SCALE) if spread else np.nan
        else:
            out[row, column[f]] = total / SCALE if kind[f] == SUM else total / SCALE / valued


@inlined
def _walked_slopes(out, row, column, kind, low, high, begins, c, window, end, at, value, away):  # type: ignore[no-untyped-def]
    """As near as floating point comes: moments count from the newest that has a value, and values from that one, so
    that the sums stay as small as the spread they are taken from.

    The sum of products is taken by parts, as steps from moment to moment: events of one moment add nothing to those,
    whatever their order.
    """
    newest, level = _newest(at, value, away, begins[c, window[high - 1]], end)
    valued, total, back, moments, squares, steps, e = 0, 0, 0.0, 0.0, 0.0, 0.0, newest + 1
    for f in range(low, high):
        while e > begins[c, window[f]]:
            e -= 1
            if value[there(e + away)] != NO_VALUE:
                further = np.float64(at[there(e)] - at[there(newest)])
                steps += (further - back) * total
                back, valued, total = further, valued + 1, total + value[there(e + away)] - level
                moments += back
                squares += back * back
        if kind[f] == SLOPE:
            rise, spread = back * total - steps - moments * total / valued, squares - moments * moments / valued
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
    valued, total = _summed(value, away, begin, end)
    return total / SCALE / valued


@inlined
def _summed(value, away, begin, end):  # type: ignore[no-untyped-def]
    """How many values there are, and their sum."""
    valued, total = 0, 0
    for e in range(there(begin + away), there(end + away)):
        total += value[e] if value[e] != NO_VALUE else 0
        valued += value[e] != NO_VALUE
    return valued, total


@inlined
def _faded(kind, cut, at, value, away, begin, end, wide, half_life):  # type: ignore[no-untyped-def]
    """The mean; or the sum of how far values lie above the mean of the wide window, in whole numbers until they are
    weighted, so that what is not above it is nothing at all."""
    of_usual, usual = _summed(value, away, wide, end) if kind == DECAYED_EXCESS else (1, 0)
    total, weights, e = 0.0, 0.0, end
    while e > begin:
        weight = np.exp2((at[there(e - 1)] - cut) / half_life)
        here, risen, e = _moment(at, value, away, begin, e)
        total, weights = total + weight * (risen * of_usual - here * usual), weights + weight * here
    if kind == DECAYED_EXCESS:
        return total / of_usual / SCALE if weights else 0.0
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
            out[row, column[f]] = ends[c] - ahead(at, begin, ends[c], until + 1)


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
