"""The features made of events, one pass over each person: what goes in, what comes out, and the program to run.

Events lie stream by stream, each stream's sorted by person and moment. For each index row the pass gathers, of each
code, the events that were in force at the cut, newest first and no further back than the longest look-back of that
stream; a window is then a prefix of what was gathered, and each feature is one small function of a window
(`features.aggregates`). There is no join and no product of rows, windows and events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.aggregates import KINDS, Floats, Ints, Program, fill, slices
from features.events import Events, code_of
from features.table import FeatureInfo
from features.windows import DAY, midnights, shift_moments

EVER = 0
"""The window of features that have no look-back: what lasts counts whenever it began."""
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Rows:
    """Index rows. starts: for each row, where each window of `days` begins, the shortest first and `EVER` last."""

    person: Ints
    as_of: Ints
    starts: Ints
    days: tuple[int, ...]


def index_rows(person: Ints, as_of: Ints, infos: Sequence[FeatureInfo], zone: str) -> Rows:
    """The rows of these people and cuts (microseconds since 1970), with the windows of `infos`."""
    lengths = {length for info in infos for length in (info.days, info.against)}
    days = (*sorted(lengths - {EVER}), EVER)
    cuts, place = np.unique(as_of, return_inverse=True)
    starts = [shift_moments(cuts, -length, zone) if length != EVER else np.full(len(cuts), NEVER) for length in days]
    return Rows(person, as_of, np.column_stack(starts)[place], days)


def program(infos: Sequence[FeatureInfo], columns: Sequence[int], events: Events, days: Sequence[int]) -> Program:
    """The program of features made of events, each for its column; `days` are the windows of `Rows`."""
    place = {length: number for number, length in enumerate(days)}
    code = [events.codes[code_of(info.of, info.aggregate == "open")] for info in infos]
    other = [_other(info, events.codes) for info in infos]
    longest = [place[max(info.days, info.against)] for info in infos]
    reach = np.full(len(events.streams.begins) - 1, -1, np.int64)
    for codes in (code, other):
        np.maximum.at(reach, np.searchsorted(events.streams.codes, codes, "right") - 1, longest)
    return Program(
        np.array(columns, np.int64),
        np.array([KINDS[info.aggregate] for info in infos], np.int64),
        np.array(code, np.int64),
        np.array([place[info.days] for info in infos], np.int64),
        np.array(other, np.int64),
        np.array([place[info.against or info.days] for info in infos], np.int64),
        np.array([info.days for info in infos], np.float64),
        np.array([info.half_life * DAY for info in infos], np.float64),
        reach,
        max(len(days) - 2, 0),
    )


def _other(info: FeatureInfo, codes: Mapping[str, int]) -> int:
    """The code that a share is among, or that ends a run; without one the feature's own."""
    return codes[code_of(info.among or info.until or info.of, info.aggregate == "open")]


def compute(out: Floats, events: Events, rows: Rows, what: Program, zone: str) -> None:
    """Put the program's features of every row into their columns of `out`, NaN where there is nothing to make one of.
    Days are those of `zone`."""
    people, place = np.unique(rows.person, return_inverse=True)
    first, last = slices(events.streams.begins, events.person, people)
    calendar = np.empty(0, np.int64)
    if KINDS["distinct_days"] in what.kind:
        calendar = midnights(int(rows.starts[:, what.known].min()), int(rows.as_of.max()), zone)
    fill(out, place.astype(np.int64), first, last, rows.as_of, rows.starts, calendar, events.streams, what)
