"""The features made of events, one pass over each person: what goes in, what comes out, and the program to run.

Events lie code by code, each code's sorted by person and moment. For each index row the pass gathers, of each code, the
events that were in force at the cut, newest first and no further back than the longest look-back of that code; a window
is then a prefix of what was gathered, and each feature is one small function of a window (`features.aggregates`). There
is no join and no product of rows, windows and events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.aggregates import KINDS, Floats, Ints, Program, Stream, fill, slices
from features.table import FeatureInfo
from features.windows import DAY, midnights


@dataclass(frozen=True)
class Events:
    """One bucket's events: code `c` has the places from `begins[c]` to `begins[c + 1]`, in the order of person, moment
    and value. Moments are microseconds since 1970, values whole ten-thousandths (`NO_VALUE` where there is none)."""

    begins: Ints
    person: Ints
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


def program(infos: Sequence[FeatureInfo], codes: dict[str, int], days: Sequence[int]) -> Program:
    """The program of features made of events; `days` are the windows of `Rows.starts`, in increasing order."""
    place = {length: number for number, length in enumerate(days)}
    reach = np.full(len(codes), -1, np.int64)
    for info in infos:
        for event in filter(None, (info.of, info.among, info.until)):
            longest = place[max(info.days, info.against)]
            reach[codes[event]] = max(reach[codes[event]], longest)
    return Program(
        np.array([KINDS[i.aggregate] for i in infos], np.int64),
        np.array([codes[i.of] for i in infos], np.int64),
        np.array([place[i.days] for i in infos], np.int64),
        np.array([codes[i.among or i.until or i.of] for i in infos], np.int64),
        np.array([place[i.against or i.days] for i in infos], np.int64),
        np.array([i.days for i in infos], np.float64),
        np.array([i.half_life * DAY for i in infos], np.float64),
        reach,
    )


def compute(events: Events, rows: Rows, what: Program, zone: str) -> Floats:
    """Row by feature: the figures, NaN where there is nothing to make one of. Days are those of `zone`."""
    people, place = np.unique(rows.person, return_inverse=True)
    first, last = slices(events.begins, events.person, people)
    out = np.empty((len(rows.person), len(what.kind)))
    if not out.size:
        return out
    calendar = np.empty(0, np.int64)
    if KINDS["distinct_days"] in what.kind:
        calendar = midnights(int(rows.starts.min()), int(rows.as_of.max()), zone)
    stream = Stream(events.at, events.known_from, events.known_to, events.value)
    fill(out, place.astype(np.int64), first, last, rows.as_of, rows.starts, calendar, stream, what)
    return out
