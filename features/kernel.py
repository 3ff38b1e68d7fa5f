"""The compiled pass: every feature of every index row from one look back over the person's events.

Events lie sorted by person and moment. For each row the pass walks back from the cut until the longest look-back
begins, and drops each event that was in force at the cut into the smallest window that holds it; a window's figures are
then those of its bin and of the smaller ones. There is no join and no product of rows, windows and events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from features.table import FeatureInfo

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SCALE = 10_000
"""Values are whole ten-thousandths, so that sums are exact and the same in any order."""
NO_VALUE = np.iinfo(np.int64).min
FOREVER = np.iinfo(np.int64).max
DAY = 86_400_000_000.0
"""Microseconds in a day; every moment here is microseconds since 1970."""

COUNT, DAYS_SINCE, MEAN, LEAST, MOST, LAST, SHARE = range(7)
KINDS = {
    "count": COUNT,
    "days_since": DAYS_SINCE,
    "mean": MEAN,
    "min": LEAST,
    "max": MOST,
    "last": LAST,
    "share": SHARE,
}


@dataclass(frozen=True)
class Events:
    """One bucket's events in the order of person, moment, code and value; arrays of one length."""

    person: Ints
    code: Ints
    at: Ints
    known_from: Ints
    known_to: Ints
    value: Ints


@dataclass(frozen=True)
class Rows:
    """Index rows. starts: for each row, where each window begins, the shortest window first."""

    person: Ints
    as_of: Ints
    starts: Ints


@dataclass(frozen=True)
class Program:
    """What to compute, a column a feature: kind (of `KINDS`), code, window (its place in `Rows.starts`), and for a
    share the code it is a share of."""

    kind: Ints
    code: Ints
    window: Ints
    among: Ints
    codes: int


def program(infos: Sequence[FeatureInfo], codes: dict[str, int], days: Sequence[int]) -> Program:
    """The program of features made of events; `days` are the windows of `Rows.starts`."""
    place = {length: number for number, length in enumerate(days)}
    return Program(
        np.array([KINDS[i.aggregate] for i in infos], np.int64),
        np.array([codes[i.of] for i in infos], np.int64),
        np.array([place[i.days] for i in infos], np.int64),
        np.array([codes[i.among] if i.among else 0 for i in infos], np.int64),
        len(codes),
    )


def compute(events: Events, rows: Rows, what: Program) -> Floats:
    """Row by feature: the figures, NaN where there is nothing to make one of."""
    first = np.searchsorted(events.person, rows.person, "left").astype(np.int64)
    last = np.searchsorted(events.person, rows.person, "right").astype(np.int64)
    out = np.empty((len(rows.person), len(what.kind)))
    stream = (events.code, events.at, events.known_from, events.known_to, events.value)
    _fill(out, first, last, rows.as_of, rows.starts, *stream, what.kind, what.code, what.window, what.among, what.codes)
    return out


@njit(cache=True, nogil=True)
def _fill(out, first, last, as_of, starts, code, at, known_from, known_to, value, kind, of, window, among, codes):  # type: ignore[no-untyped-def]
    windows = starts.shape[1]
    counts = np.zeros((codes, windows), np.int64)
    valued = np.zeros((codes, windows), np.int64)
    total = np.zeros((codes, windows), np.int64)
    least = np.empty((codes, windows), np.int64)
    most = np.empty((codes, windows), np.int64)
    newest = np.empty((codes, windows), np.int64)
    newest_valued = np.empty((codes, windows), np.int64)
    latest = np.empty((codes, windows), np.int64)
    for row in range(out.shape[0]):
        counts[:], valued[:], total[:], least[:], most[:] = 0, 0, 0, FOREVER, NO_VALUE
        newest[:], newest_valued[:], latest[:] = NO_VALUE, NO_VALUE, NO_VALUE
        cut, bin_of = as_of[row], 0
        for e in range(_ahead(at, first[row], last[row], cut) - 1, first[row] - 1, -1):
            while bin_of < windows and at[e] < starts[row, bin_of]:
                bin_of += 1
            if bin_of == windows:
                break
            if known_from[e] <= cut < known_to[e]:
                _take(
                    code[e], bin_of, at[e], value[e], counts, valued, total, least, most, newest, newest_valued, latest
                )
        _widen(counts, valued, total, least, most, newest, newest_valued, latest)
        for f in range(out.shape[1]):
            c, w = of[f], window[f]
            figures = (counts[c, w], valued[c, w], total[c, w], least[c, w], most[c, w], newest[c, w], latest[c, w])
            out[row, f] = _figure(kind[f], cut, counts[among[f], w], *figures)


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
def _take(c, w, at, value, counts, valued, total, least, most, newest, newest_valued, latest):  # type: ignore[no-untyped-def]
    """Drop one event into its bin. Events come newest first; of several at one moment the greatest value is last."""
    counts[c, w] += 1
    newest[c, w] = max(newest[c, w], at)
    if value == NO_VALUE:
        return
    valued[c, w] += 1
    total[c, w] += value
    least[c, w] = min(least[c, w], value)
    most[c, w] = max(most[c, w], value)
    if at > newest_valued[c, w] or (at == newest_valued[c, w] and value > latest[c, w]):
        newest_valued[c, w], latest[c, w] = at, value


@njit(cache=True, nogil=True)
def _widen(counts, valued, total, least, most, newest, newest_valued, latest):  # type: ignore[no-untyped-def]
    """From bins to windows: each holds the smaller ones."""
    for c in range(counts.shape[0]):
        for w in range(1, counts.shape[1]):
            counts[c, w] += counts[c, w - 1]
            valued[c, w] += valued[c, w - 1]
            total[c, w] += total[c, w - 1]
            least[c, w] = min(least[c, w], least[c, w - 1])
            most[c, w] = max(most[c, w], most[c, w - 1])
            newest[c, w] = max(newest[c, w], newest[c, w - 1])
            if newest_valued[c, w - 1] > NO_VALUE:
                newest_valued[c, w], latest[c, w] = newest_valued[c, w - 1], latest[c, w - 1]


@njit(cache=True, nogil=True)
def _figure(kind, cut, among, count, valued, total, least, most, newest, latest):  # type: ignore[no-untyped-def]
    if kind == COUNT:
        return float(count)
    if kind == SHARE:
        return count / among if among else np.nan
    if kind == DAYS_SINCE:
        return (cut - newest) / DAY if count else np.nan
    if not valued:
        return np.nan
    if kind == MEAN:
        return total / SCALE / valued
    if kind == LEAST:
        return least / SCALE
    return (most if kind == MOST else latest) / SCALE
